"""The way through: execve, then the loader that the program names, then its dlopens. One `Outcome` for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.access import may_execute
from nvsim.loader.execve import ExecCrash, ExecFailure, ExecImage, execve, no_entry
from nvsim.loader.glibc import session as glibc
from nvsim.loader.identify import loader_facts, own_facts
from nvsim.loader.outcome import DlopenCall, DlopenResult, ExecStep, Machine, Outcome, ProcessRequest
from nvsim.rootfs.node import File, FileFacts
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

if TYPE_CHECKING:
    from nvsim.loader import wrappers

# The other loaders and the readers of wrappers are imported when a program needs them: most programs need glibc's loader alone.
_MOST_WRAPPERS = 16
_SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # bash's default


class Session(Protocol):
    """A process that was started, or failed to: ask `outcome`, make dlopens, `finish`."""

    outcome: Outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult: ...

    def finish(self) -> Outcome: ...


class EndedSession:
    """A process that never ran its own code, or that has no loader: every dlopen is "not made"."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        return DlopenResult(call, None, "the process is not running")

    def finish(self) -> Outcome:
        return self.outcome


def run(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Outcome:
    """Execute `request` in `tree` and make its dlopens."""
    session = start(tree, request, machine or Machine())
    results = []
    for call in () if isinstance(session, EndedSession) or not session.outcome.started else request.dlopen:
        result = session.dlopen(call)
        results.append(result)
        if result.ended:
            break
    finished = session.finish()
    return finished if finished.dlopen == tuple(results) else evolve(finished, dlopen=tuple(results))


def start(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Session:
    """Execute `request` up to the point where the program's own code runs. Plain wrappers are followed to what they execute."""
    machine = machine or Machine()
    steps: tuple[ExecStep, ...] = ()
    for _ in range(_MOST_WRAPPERS):
        image = execve(Resolver(tree, request.uid, request.gid), request, machine)
        session = _load(tree, image, request, machine)
        code = _known_exit(tree, session.outcome)
        if steps or code != session.outcome.exit_code:
            session.outcome = evolve(session.outcome, exit_code=code, steps=(*steps, *session.outcome.steps))
        followed = _follow(tree, image, request) if session.outcome.started and isinstance(image, ExecImage) else None
        if followed is None:
            return session
        if isinstance(followed, str):
            return EndedSession(evolve(session.outcome, outcome="unknown", started=False, unknown=followed))
        request, steps = followed, session.outcome.steps
    return EndedSession(Outcome("unknown", steps=steps, unknown=f"more than {_MOST_WRAPPERS} wrappers in a row"))


def _load(tree: Tree, image: ExecImage | ExecFailure | ExecCrash, request: ProcessRequest, machine: Machine) -> Session:
    """What the loader of an executed program does."""
    if isinstance(image, ExecFailure):
        return EndedSession(Outcome("exec-error", errno=image.errno, steps=image.steps))
    if isinstance(image, ExecCrash):
        return EndedSession(Outcome("signal", steps=image.steps, unknown=f"{image.signal}: {image.reason}"))
    if image.interp is None:
        own = own_facts(tree, image)
        if own is not None and own.libc == "musl":
            from nvsim.loader.musl import direct as musl_direct

            return musl_direct.start(tree, image, own, request, machine)
        if own is not None and own.libc == "glibc":
            from nvsim.loader.glibc.direct import start_directly

            started = start_directly(tree, image, own, request, machine)
            return _chained(tree, image, started, machine) if isinstance(started, ProcessRequest) else started
        return EndedSession(_static(image))
    plain = Outcome("exit", steps=image.steps, program=image.path, interpreter=image.interp)
    facts = loader_facts(tree, image)
    if isinstance(facts, LoaderFacts) and facts.libc == "stub-ld":
        from nvsim.loader import nix_ld

        return EndedSession(evolve(plain, exit_code=127, stderr=nix_ld.stub_text(image)))
    if isinstance(facts, LoaderFacts) and facts.libc == "nix-ld":
        from nvsim.loader import nix_ld

        handed = nix_ld.hand_over(Resolver(tree, image.uid, image.gid), image, request)
        if isinstance(handed, str):
            return EndedSession(evolve(plain, outcome="unknown", unknown=handed))
        image, request = handed
        facts = loader_facts(tree, image)
    if isinstance(facts, str):
        return EndedSession(evolve(plain, outcome="unknown", unknown=facts))
    session: Session
    if facts.libc == "gcompat":
        from nvsim.loader.musl import gcompat

        handed_on = gcompat.start(tree, image, facts, request, machine)
        return EndedSession(handed_on) if isinstance(handed_on, Outcome) else handed_on
    if facts.libc == "musl":
        from nvsim.loader.musl import session as musl

        session = musl.start(tree, image, facts, request, machine)
    else:
        session = glibc.start(tree, image, facts, request, machine)
    return session


def _chained(tree: Tree, loader: ExecImage, request: ProcessRequest, machine: Machine) -> Session:
    """A directly run loader executes its program itself (glibc ``rtld_chain_load``)."""
    image = execve(Resolver(tree, loader.uid, loader.gid), request, machine)
    if isinstance(image, ExecFailure):
        text = f"{loader.elf.soname}: cannot execute {request.exec}: {image.errno}\n"
        steps = (*loader.steps, *image.steps)
        return EndedSession(Outcome("exit", exit_code=127, stderr=text, steps=steps, program=loader.path))
    return _load(tree, evolve(image, steps=(*loader.steps, *image.steps)), request, machine)


def _follow(tree: Tree, image: ExecImage, request: ProcessRequest) -> ProcessRequest | str | None:
    """What a started wrapper executes next; a string: that is unknown, and why; None: the program is no wrapper."""
    command = image.elf.extra.get("make_c_wrapper")
    if not isinstance(command, str) and not _is_script(image):
        return None
    from nvsim.loader import wrappers

    if isinstance(command, str):
        followed: wrappers.Wrapped | str | None = wrappers.follow_command(command, image.argv, request.env)
    else:
        followed = _follow_script(tree, image, request)
    if not isinstance(followed, wrappers.Wrapped):
        return followed
    cwd = image.cwd
    if followed.cwd is not None:
        found = Resolver(tree, image.uid, image.gid).resolve(followed.cwd, cwd=cwd)
        if not isinstance(found, Resolved):
            return f"{image.execfn} changes to {followed.cwd}, which cannot be entered ({found.errno})"
        cwd = found.path
    program = _in_path(Resolver(tree, image.uid, image.gid), followed, cwd)
    return evolve(request, exec=program, argv=followed.argv, env=followed.env, cwd=cwd)


def _in_path(resolver: Resolver, followed: wrappers.Wrapped, cwd: str) -> str:
    """The program of an exec as a shell finds it; its name alone when there is none."""
    if "/" in followed.exec:
        return followed.exec
    for directory in dict(followed.env).get("PATH", _SHELL_PATH).split(":"):
        path = f"{directory or '.'}/{followed.exec}"
        found = resolver.resolve(path, cwd=cwd)
        node = found.node if isinstance(found, Resolved) else None
        if isinstance(node, File) and may_execute(node, resolver.uid, resolver.gid):
            return path
    return followed.exec


def _is_script(image: ExecImage) -> bool:
    return len(image.steps) >= 2 and image.steps[1].role == "script-interpreter"


def _follow_script(tree: Tree, image: ExecImage, request: ProcessRequest) -> wrappers.Wrapped | str | None:
    """As `_follow`, for a shell that runs a script."""
    from nvsim.loader import wrappers

    if not wrappers.is_shell(image.steps[1].path):
        return None
    script = image.steps[0]
    node = tree.node(script.file) if script.file is not None else None
    text = node.facts.text if isinstance(node, File) else None
    if text is None:
        return None
    at = image.argv.index(script.path, 1)
    return wrappers.follow_script(text, script.path, image.argv[at + 1 :], request.env)


def listing(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Outcome:
    """Ask the program's loader for a list of objects instead of running it, as ldd does: see ``Outcome.trace_*``.

    glibc is asked with LD_TRACE_LOADED_OBJECTS=1, musl as ``LOADER --list PROGRAM``.
    """
    machine = machine or Machine()
    image = execve(Resolver(tree, request.uid, request.gid), request, machine)
    if isinstance(image, ExecImage) and image.interp is not None:
        facts = loader_facts(tree, image)
        if isinstance(facts, LoaderFacts) and facts.libc == "musl":
            asked = evolve(request, exec=image.interp, argv=(image.interp, "--list", image.execfn, *image.argv[1:]))
            return start(tree, asked, machine).finish()
    asked = evolve(request, env=(*request.env, ("LD_TRACE_LOADED_OBJECTS", "1")))
    outcome = start(tree, asked, machine).finish()
    static = isinstance(image, ExecImage) and image.interp is None
    return evolve(outcome, trace_rc=outcome.exit_code) if static else outcome


def _known_exit(tree: Tree, outcome: Outcome) -> int | None:
    """The status with which it ended, or with which a started program is known to end."""
    node = tree.node(outcome.program) if outcome.started and outcome.program is not None else None
    behaviour = node.facts.behaviour if isinstance(node, File) else None
    return outcome.exit_code if behaviour is None or behaviour.exit is None else behaviour.exit


def _static(image: ExecImage) -> Outcome:
    """A program without PT_INTERP: nobody looks at its dynamic entries."""
    behaviour = image.file.facts.behaviour
    code = behaviour.exit if behaviour is not None else None
    if not image.elf.entry:
        return Outcome("signal", steps=image.steps, program=image.path, unknown=no_entry(image.path))
    return Outcome("exit", exit_code=code, started=True, steps=image.steps, program=image.path)


def host_session(
    tree: Tree,
    loader: LoaderFacts,
    env: tuple[tuple[str, str], ...] = (),
    machine: Machine | None = None,
    *,
    uid: int = 0,
    gid: int = 0,
) -> Session:
    """A process of `tree` that is already running, without a file or DT_NEEDED of its own: to ask what dlopen answers there.

    `uid` and `gid` are those with which it opens files.
    """
    machine = machine or Machine()
    elf = ElfFacts(machine=machine.cpu.machine, type="EXEC")
    file = File(4096, ("synthetic", "program"), FileFacts(elf=elf))
    image = ExecImage("/proc/self/exe", "/proc/self/exe", file, elf, ("program",), "/", uid, gid, False)
    request = ProcessRequest("/proc/self/exe", ("program",), env, uid=uid, gid=gid)
    return glibc.start(tree, image, loader, request, machine)
