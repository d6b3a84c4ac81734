"""The pipeline in one page: scenario -> request -> plan -> root file system -> process -> verdict.

Each stage is a function of frozen values; `simulate` calls them in order and keeps every intermediate value in the `Result`, from
which findings and reports are read. Nothing here reads files or the clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.errors import InputError, UnsupportedError
from nvsim.frozen import evolve, field, frozen
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.loader import process as loader
from nvsim.loader.outcome import DlopenCall, DlopenResult, LoadedObject, Machine, Outcome, ProcessRequest
from nvsim.memo import Memo, Same
from nvsim.programs import KnownProgram, ProgramRun, play, recognise, wishes_as_steps
from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.scenario import stages
from nvsim.scenario.cuda import CudaAnswer, cuda_answer
from nvsim.scenario.engine import Process, capabilities_of, process_of
from nvsim.scenario.engine_call import Call, who_is_called
from nvsim.scenario.engine_root import engine_root
from nvsim.scenario.engine_words import (
    DOCKER,
    Shown,
    Speaker,
    engine_refused,
    injection_failed,
    speaker_of,
    toolkit_refused,
)
from nvsim.scenario.engine_workdir import workdir_failed
from nvsim.scenario.messages import Lookup, look_up
from nvsim.scenario.messages_inner import Inner, inner_of
from nvsim.scenario.messages_runtimes import EXECVP
from nvsim.scenario.model import Scenario, Settings
from nvsim.scenario.processes import KeptProcesses, seen_inside
from nvsim.toolkit.request import ContainerRequest

MOST_RESULTS = 32  # whole answers that are kept with an image; they hold every search of a loader
_FOR_LOADER = ("LD_", "GLIBC_TUNABLES")  # beginnings of the variables that only dynamic loaders read


@frozen
class ProcessResult:
    """What came of one program in the prepared root.

    `kind`: "exit", "exec-error" or "start-error" (it was never started). `runs`: what known programs then did; `dlopen`: the calls
    that the user asked for. `message`: what engine or program show; `exit_code` None = the program's own, not known.
    `verdict`: "ok", "fails" or "unknown", and `reason` in one sentence. `told_by` names the shell or wrapper that could not start the
    program, where it was not the engine.
    """

    argv: tuple[str, ...]
    kind: str
    verdict: str
    reason: str
    lookup: Lookup | None = None
    outcome: Outcome | None = None
    runs: tuple[ProgramRun, ...] = ()
    dlopen: tuple[DlopenResult, ...] = ()
    stdout: str = ""
    stderr: str = ""
    message: str = ""
    exit_code: int | None = None
    assumptions: tuple[str, ...] = ()
    told_by: str = ""


@frozen
class Result:
    """A prediction with everything that it rests on. `processes` runs others in the prepared root (None: the container does not start).
    What takes further processes to know (`cuda`, `checks`) is found out when it is first read: not everybody who simulates asks for it."""

    scenario: Scenario
    process: Process
    call: Call
    request: ContainerRequest
    main: ProcessResult
    plan: InjectionPlan | None = None
    injected: Injected | None = None
    assumptions: tuple[str, ...] = ()
    processes: KeptProcesses | None = field(default=None, eq=False, repr=False)
    memo: Memo = field(factory=Memo, init=False, eq=False, repr=False)

    @property
    def cuda(self) -> CudaAnswer | None:
        """What CUDA would answer to the command (None = it does not start, so nothing is asked)."""
        return self.memo.get("cuda", None, lambda: _cuda(self))

    @property
    def checks(self) -> tuple[ProcessResult, ...]:
        """Injected programs, tried beside the command."""
        return self.memo.get("checks", None, lambda: _checks(self))

    @property
    def verdict(self) -> str:
        """Of the command alone: "ok", "fails" or "unknown"."""
        return self.main.verdict


def simulate(scenario: Scenario, programs: tuple[KnownProgram, ...] = ()) -> Result:
    """Predict what happens. Raises `InputError` for a scenario that no engine would accept, and where `dlopen_from` names
    nothing that is there.

    Answers are kept in the image's memo: whole ones, and by themselves the stages that do not depend on everything that was asked.
    """
    key = (Same(scenario.host), scenario.settings, Same(programs))
    return scenario.image.memo.get("result", key, lambda: _simulate(scenario, programs), MOST_RESULTS)


@frozen
class _Ready:
    """Everything up to the process: `prepared` is None when the container is not even tried. `met`: see `stages.driver_facts`."""

    call: Call
    request: ContainerRequest
    assumptions: tuple[str, ...]
    prepared: stages.Prepared | None = None
    met: Mapping[str, str | None] = field(factory=dict, hash=False)


def _ready(scenario: Scenario) -> _Ready:
    """Who is called, what is asked for, and the root that comes of it. `scenario` has no variables for the loader (`_before_loader`)."""
    call = who_is_called(scenario)
    process = process_of(scenario, call.env)
    root, assumed = engine_root(scenario, call)
    assumptions = [*stages.host_assumptions(scenario), *scenario.image.assumptions, *call.assumptions, *assumed]
    request = stages.decide(scenario, process, call)
    assumptions += request.assumptions
    if _refusal(call, request, speaker_of(call, scenario.settings.runtime)) is not None:
        return _Ready(call, request, tuple(assumptions))
    prepared = stages.inject(scenario, request, call, process, root)
    if prepared.plan is not None:
        assumptions += prepared.plan.assumptions
    met = stages.driver_facts(scenario, prepared.injected.rootfs) if prepared.injected.failure is None else {}
    return _Ready(call, request, tuple(assumptions), prepared, met)


def _before_loader(settings: Settings) -> Settings:
    """The settings without what only the loader of the container's processes reads: neither engine nor toolkit look at these variables."""
    env = tuple(item for item in settings.env if not item.startswith(_FOR_LOADER))
    return evolve(settings, env=env, dlopen=(), dlopen_from="main")


def _simulate(scenario: Scenario, programs: tuple[KnownProgram, ...]) -> Result:
    early = _before_loader(scenario.settings)
    key = (Same(scenario.host), early)
    ready = scenario.image.memo.get("ready", key, lambda: _ready(evolve(scenario, settings=early)))
    call, request, prepared = ready.call, ready.request, ready.prepared
    process = process_of(scenario, call.env)
    assumptions = list(ready.assumptions)
    speaker = speaker_of(call, scenario.settings.runtime)
    refusal = _refusal(call, request, speaker)
    if refusal is not None or prepared is None:
        assert refusal is not None
        why, shown = refusal
        main = ProcessResult(process.argv, "start-error", "fails", why, message=shown.text, exit_code=shown.status)
        return Result(scenario, process, call, request, main, assumptions=_unique(assumptions))
    process, plan, injected = stages.edited(process, prepared), prepared.plan, prepared.injected
    if injected.failure is not None:
        shown = injection_failed(call, request, prepared, speaker)
        why = "injecting the driver fails"
        main = ProcessResult(process.argv, "start-error", "fails", why, message=shown.text, exit_code=shown.status)
        return Result(scenario, process, call, request, main, plan, injected, assumptions=_unique(assumptions))
    refused = workdir_failed(scenario, process, injected.rootfs, speaker)
    if refused is not None:
        why = "the working directory cannot be used"
        main = ProcessResult(process.argv, "start-error", "fails", why, message=refused.text, exit_code=refused.status)
        return Result(scenario, process, call, request, main, plan, injected, assumptions=_unique(assumptions))
    process = evolve(process, override=_overrides(scenario, call))
    machine = _machine(scenario)
    known = KeptProcesses(run_process, scenario.image.memo, injected.rootfs, machine, programs, ready.met)
    settings = scenario.settings
    main = known.run(process, settings.dlopen, settings.dlopen_from, speaker)
    assumptions += main.assumptions
    return Result(scenario, process, call, request, main, plan, injected, _unique(assumptions), known)


def _overrides(scenario: Scenario, call: Call) -> bool:
    """Whether the runtime executes the program with CAP_DAC_OVERRIDE for an ordinary user, too."""
    return call.engine.rules.capable and "CAP_DAC_OVERRIDE" in capabilities_of(scenario.settings)


def _machine(scenario: Scenario) -> Machine:
    return Machine(scenario.settings.cpu or scenario.host.cpu, scenario.host.kernel)


def _refusal(call: Call, request: ContainerRequest, speaker: Speaker) -> tuple[str, Shown] | None:
    """Why the container is not even tried, and what is shown then. None = it is tried."""
    if call.refusal is not None:
        return f"the {call.refused_by} refuses the container: {call.because}", engine_refused(call, call.refusal)
    if request.refused is not None:
        return "the NVIDIA toolkit refuses the container", toolkit_refused(speaker, request.refused)
    return None


def _cuda(result: Result) -> CudaAnswer | None:
    main, injected = result.main, result.injected
    if injected is None or main.outcome is None or not main.outcome.started or main.lookup is None:
        return None
    if main.lookup.path is None:
        return None
    attempts = (a for r in main.runs for s in r.steps for a in s.attempts)
    new = (o for a in (*attempts, *main.dlopen) for o in a.new_objects)
    loaded = tuple(o.path for o in (*main.outcome.objects, *new) if o.path)
    scenario = result.scenario
    machine = _machine(scenario)
    host, rootfs, program = scenario.host, injected.rootfs, main.lookup.path
    process = seen_inside(result.process, main)
    key = (Same(host), process, program, machine, loaded)
    return rootfs.memo.get("cuda", key, lambda: cuda_answer(host, rootfs, process, program, machine, loaded))


def _unique(items: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def run_process(
    rootfs: RootFS,
    process: Process,
    machine: Machine,
    programs: tuple[KnownProgram, ...],
    met: Mapping[str, str | None],
    dlopen: tuple[str, ...] = (),
    dlopen_from: str = "main",
    speaker: Speaker = DOCKER,
) -> ProcessResult:
    """Look the program up, execute it, play what it is known to do, and make the dlopens that were asked for; `speaker` tells failures."""
    resolver = Resolver(rootfs, process.uid, process.gid)
    lookup = look_up(resolver, process, speaker.low_level, speaker.low_level_version)
    if lookup.path is None:
        error = lookup.error or ""
        shown = speaker.start_failed(error)
        return ProcessResult(
            process.argv, "start-error", "fails", error, lookup, message=shown.text, exit_code=shown.status
        )
    env = tuple((k, v) for k, _, v in (e.partition("=") for e in process.env))
    request = ProcessRequest(
        lookup.path, process.argv, env, process.cwd, process.uid, process.gid, override=process.override
    )
    session = loader.start(rootfs, request, machine)
    outcome = session.outcome
    base = ProcessResult(process.argv, outcome.outcome, "ok", "", lookup, outcome, assumptions=outcome.assumptions)
    if outcome.outcome == "unknown":
        return evolve(
            base, kind="exit", verdict="unknown", reason=outcome.unknown or "the loader's behaviour is not known"
        )
    if outcome.outcome == "exec-error":
        shown = speaker.exec_failed(lookup.path, outcome.errno or "")
        why = speaker.exec_reason(lookup.path, outcome.errno or "")
        return evolve(base, verdict="fails", reason=why, message=shown.text, exit_code=shown.status)
    if not outcome.started and outcome.exit_code == 0:  # ld.so --list, --verify, --help: what was asked for is done
        return evolve(base, reason="the loader does what it was asked for, and ends", exit_code=0)
    if not outcome.started:
        reason = (
            outcome.stderr.strip().splitlines()[0]
            if outcome.stderr.strip()
            else f"ends with status {outcome.exit_code}"
        )
        return evolve(
            base,
            verdict="fails",
            reason=reason,
            stderr=outcome.stderr,
            message=outcome.stderr,
            exit_code=outcome.exit_code,
        )
    try:
        inner = inner_of(process, outcome.program or lookup.path, resolver)
    except UnsupportedError as e:
        base = evolve(base, assumptions=(*base.assumptions, f"{e}: only {process.argv[0]} itself was looked at"))
        inner = None
    if inner is not None:
        by_execvp = evolve(speaker, low_level=EXECVP)
        started = run_process(rootfs, inner.process, machine, programs, met, dlopen, dlopen_from, by_execvp)
        return _told_by(started, process, inner, resolver, base.assumptions)
    runs = _play_known(session, rootfs, resolver, process, outcome, programs, met)
    calls: list[DlopenResult] = []
    for name in dlopen:
        caller = _caller(dlopen_from, process, session.outcome, _opened(runs, calls), resolver)
        calls.append(session.dlopen(DlopenCall(name, 2, caller)))
    return _judge(evolve(base, outcome=session.finish()) if runs or calls else base, runs, tuple(calls))


def _opened(runs: tuple[ProgramRun, ...], calls: list[DlopenResult]) -> list[LoadedObject]:
    """What dlopens have loaded so far."""
    made = [*(a for r in runs for s in r.steps for a in s.attempts), *calls]
    return [o for call in made for o in call.new_objects]


def _caller(told: str, process: Process, outcome: Outcome, opened: list[LoadedObject], resolver: Resolver) -> str:
    """The object that a dlopen comes from, as the loader knows it: "main" or a path. `told` names the program, or an object by its
    path, file name, SONAME or the name under which it was asked for.

    Raises `InputError` for a name that no loaded object has and for a path where nothing lies.
    """
    program = outcome.program or process.argv[0]
    if told in ("main", program, process.argv[0], program.rpartition("/")[2], process.argv[0].rpartition("/")[2]):
        return "main"
    objects = [*outcome.objects, *opened]
    named = next((o.path for o in objects if told in _names(o, resolver)), None)
    if named is not None:
        return named
    if "/" in told and isinstance(resolver.resolve(told), Resolved):
        return told  # another name of a loaded file, or one that is not loaded: the loader tells
    known = ", ".join(dict.fromkeys((program, *(o.path for o in objects))))
    why = f"no file {told} in the container" if "/" in told else f"no loaded object is called {told}"
    raise InputError(f"--from: {why}, so it cannot call dlopen", hint=f"loaded are {known}")


def _names(loaded: LoadedObject, resolver: Resolver) -> set[str]:
    """Every name that an object goes by."""
    node = resolver.tree.node(loaded.file) if loaded.file is not None else None
    elf = node.facts.elf if isinstance(node, File) else None
    paths = [p for p in (loaded.path, loaded.file) if p]
    names = [loaded.name, elf.soname if elf is not None else None]
    return {*paths, *(p.rpartition("/")[2] for p in paths), *(n for n in names if n)}


def _told_by(
    result: ProcessResult, outer: Process, inner: Inner, resolver: Resolver, assumed: tuple[str, ...]
) -> ProcessResult:
    """What came of a program that `outer` did nothing but start: failures to start it are told by its starter, not by the engine."""
    result = evolve(result, assumptions=_unique([*assumed, *inner.assumptions, *result.assumptions]))
    if result.kind not in ("start-error", "exec-error") or result.argv != inner.process.argv or result.told_by:
        return result
    if result.outcome is None:
        shown = inner.not_found(result.lookup or Lookup(None))
    else:
        shown = inner.refused(resolver, result.outcome.steps, result.outcome.errno or "")
    kind = "exit" if result.outcome is None else result.kind
    text = shown.text or result.reason
    return evolve(
        result,
        kind=kind,
        reason=text,
        stderr=shown.text or "",
        message=shown.text or "",
        exit_code=shown.status,
        told_by=outer.argv[0],
    )


def _play_known(
    session: loader.Session,
    rootfs: RootFS,
    resolver: Resolver,
    process: Process,
    outcome: Outcome,
    programs: tuple[KnownProgram, ...],
    met: Mapping[str, str | None],
) -> tuple[ProgramRun, ...]:
    """Every known program that this process is, played in turn; the image's own word about a program comes first."""
    path = outcome.program or ""
    node = resolver.tree.node(path)
    own = node.facts.behaviour if isinstance(node, File) else None
    if own is not None and own.dlopen:
        return (play(None, wishes_as_steps(own), session, resolver, met, own.exit),)
    runs = []
    key = (Same(programs), process.argv, path, process.cwd, process.uid, process.gid)
    recognised = rootfs.memo.get(
        "recognise", key, lambda: recognise(programs, resolver, process.argv, path, process.cwd)
    )
    for known, assumption in recognised:
        run = play(known, known.steps, session, resolver, met, known.exit)
        runs.append(evolve(run, assumptions=(assumption,) if assumption else ()))
    return tuple(runs)


def _judge(result: ProcessResult, runs: tuple[ProgramRun, ...], calls: tuple[DlopenResult, ...]) -> ProcessResult:
    """`result` with what its program did after its start, and the verdict on it."""
    outcome = result.outcome
    assert outcome is not None
    assumptions = [*result.assumptions, *(a for r in runs for a in r.assumptions)]
    for run in runs:
        if run.program is not None:
            assumptions.append(f"what {run.program.title} loads is known from: {'; '.join(run.program.sources)}")
    stderr = outcome.stderr + "".join(r.stderr for r in runs)
    stdout = "".join(r.stdout for r in runs)
    exit_code = outcome.exit_code if outcome.exit_code is not None else next((r.exit_code for r in runs), None)
    ended = next((r for r in runs if r.failed is not None), None)
    verdict, reason = _verdict(runs, calls)
    return evolve(
        result,
        kind="exit",
        verdict=verdict,
        reason=reason,
        runs=runs,
        dlopen=calls,
        stdout=stdout,
        stderr=stderr,
        message=(stderr + stdout).strip(),
        exit_code=exit_code if ended is None else ended.exit_code,
        assumptions=_unique(assumptions),
    )


def _verdict(runs: tuple[ProgramRun, ...], calls: tuple[DlopenResult, ...]) -> tuple[str, str]:
    """The verdict on a program that started, and the reason."""
    for run in runs:
        failed = run.failed
        if failed is not None:
            last = failed.attempts[-1].error if failed.attempts else failed.note
            return "fails", f"{failed.step.what}: {last}"
    missing = next((c for c in calls if c.ok is False), None)
    if missing is not None:
        return "fails", missing.error or f"{missing.call.name} does not load"
    open_questions = [s.note or s.step.what for r in runs for s in r.steps if s.ok is None and s.step.required]
    open_questions += [c.error or c.call.name for c in calls if c.ok is None]
    if open_questions:
        return "unknown", open_questions[0]
    return "ok", "the program starts and every library that it is known to need loads"


def _checks(result: Result) -> tuple[ProcessResult, ...]:
    """Try the injected programs that people judge a container by (``check`` in their data), unless one is the command itself."""
    processes, plan, process = result.processes, result.plan, result.process
    if processes is None or plan is None:
        return ()
    names = {pattern for known in processes.programs if known.check for pattern in known.match.program}
    wanted = dict.fromkeys(m.dst for m in plan.mounts if m.kind == "binary" and m.dst.rpartition("/")[2] in names)
    own = process.argv[0].rpartition("/")[2]
    return tuple(processes.run(evolve(process, argv=(path,))) for path in wanted if path.rpartition("/")[2] != own)
