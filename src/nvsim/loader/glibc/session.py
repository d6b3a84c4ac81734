"""The glibc process as callers see it: `start` makes it, then it answers any number of dlopens, `finish` gives the outcome."""

from __future__ import annotations

from attrs import evolve

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc import cache_lookup, options
from nvsim.loader.glibc.dlopen import dlopen
from nvsim.loader.glibc.linkmap import PROGRAM, map_object
from nvsim.loader.glibc.options import Options, UsageError
from nvsim.loader.glibc.paths import subdirectories
from nvsim.loader.glibc.startup import run_startup
from nvsim.loader.glibc.state import EndlessError, InconsistencyError, LoadError, Object, Process, UncertainError
from nvsim.loader.glibc.tables import GlibcRules, glibc_rules
from nvsim.loader.outcome import Cpu, DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import Tree

_CACHE_FLAGS = {"x86_64": (0x0303,), "aarch64": (0x0A03,), "i386": (3, 1)}


class GlibcSession:
    """A started process (or one that failed to start: see `outcome`)."""

    def __init__(self, process: Process, outcome: Outcome):
        self._process = process
        self._dlopens: list[DlopenResult] = []
        self.outcome = outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        """Make one dlopen call."""
        if not self.outcome.started or any(d.ended for d in self._dlopens):
            return DlopenResult(call, None, "the process is not running")
        try:
            result = dlopen(self._process, call)
        except InconsistencyError as e:
            self.outcome = evolve(self.outcome, stderr=self.outcome.stderr + e.text, exit_code=127)
            result = DlopenResult(call, False, None, ended=True)
        except (UncertainError, EndlessError) as e:
            self.outcome = evolve(
                self.outcome, outcome="unknown" if isinstance(e, UncertainError) else "signal", unknown=e.text
            )
            result = DlopenResult(call, None, e.text, ended=True)
        self._dlopens.append(result)
        return result

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens)) if self._dlopens else self.outcome


def start(
    tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcSession:
    """Start `program` under the loader that execve put in front of it."""
    env = _environment(request)
    wishes = options.from_environment(env, _rules(program, facts), secure=program.secure)
    process = _process(tree, program, facts, wishes, machine)
    main = Object("", program.elf, program.file, program.path, names={""})
    main.origin = (program.path.rpartition("/")[0] or "/") if request.proc else wishes.origin_path
    process.enter(main)
    if program.interp is not None:
        _add_loader(process, program.interp, program.interp, program.interp_file, program.interp_path)
    outcome = _outcome(program, facts)
    if wishes.mode != options.NORMAL and program.secure:
        return GlibcSession(process, evolve(outcome, exit_code=5))
    return GlibcSession(process, _run(process, wishes, outcome))


def start_directly(
    tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcSession:
    """Run the loader `program` itself as a command: ``ld.so [OPTION]... PROGRAM [ARGUMENT]...``."""
    env = _environment(request)
    outcome = _outcome(program, facts)
    wishes = options.from_environment(env, _rules(program, facts), secure=program.secure)
    process = _process(tree, program, facts, wishes, machine)
    try:
        wishes, argv = options.from_arguments(wishes, program.argv, facts.version)
    except UsageError as e:
        if not e.text:
            return GlibcSession(process, evolve(outcome, outcome="unknown", unknown="the loader prints its usage text"))
        return GlibcSession(process, evolve(outcome, exit_code=e.code, stderr=e.text))
    if wishes.mode == options.PRINT:
        assumption = f"what {wishes.prints} prints is not modelled"
        return GlibcSession(process, evolve(outcome, exit_code=0, assumptions=(*outcome.assumptions, assumption)))
    process = _process(tree, evolve(program, argv=argv), facts, wishes, machine)
    process.stack_executable = program.elf.stack == "rwx"
    try:
        main = map_object(process, argv[0], None, PROGRAM)
    except LoadError as e:
        verify = wishes.mode == options.VERIFY
        text = "" if verify else f"{argv[0]}: error while loading shared libraries: {e.early()}\n"
        searches = tuple(process.searches)
        return GlibcSession(process, evolve(outcome, exit_code=1 if verify else 127, stderr=text, searches=searches))
    assert main is not None
    if main.node is None or main.file is None:  # a faked object: in a listing a missing program is no error
        return GlibcSession(process, evolve(outcome, exit_code=0, stdout="\tstatically linked\n"))
    if wishes.mode == options.VERIFY:
        code = 1 if main.elf.nodyn else 2 if main.elf.interp is None else 0
        return GlibcSession(process, evolve(outcome, exit_code=code))
    soname = program.elf.soname
    if wishes.mode == options.NORMAL and soname is not None and main.elf.soname == soname:
        return GlibcSession(process, evolve(outcome, exit_code=127, stderr=f"{soname}: loader cannot load itself\n"))
    loader = program.argv[0] if program.argv else ""
    process.image = evolve(process.image, path=main.file, file=main.node, elf=main.elf)
    for name in ("", main.path):
        process.call(main, name)
    main.path, main.name = "", None
    process.argv0 = argv[0] if wishes.argv0 is None else wishes.argv0
    _add_loader(process, loader, main.elf.interp or loader, program.file, program.path)
    outcome = _run(process, wishes, evolve(outcome, program=main.file, interpreter=loader))
    behaviour = main.node.facts.behaviour
    if outcome.started and behaviour is not None:
        outcome = evolve(outcome, exit_code=behaviour.exit)
    return GlibcSession(process, outcome)


def _outcome(program: ExecImage, facts: LoaderFacts) -> Outcome:
    return Outcome(
        "exit",
        steps=program.steps,
        program=program.path,
        interpreter=program.interp,
        assumptions=facts.assumed,
        libc=f"glibc {facts.version}",
    )


def _run(process: Process, wishes: Options, outcome: Outcome) -> Outcome:
    tags = [tag for tag in ("audit", "depaudit") if tag in process.main.elf.extra]
    asked = wishes.audit or (f"DT_{tags[0].upper()} of {process.label(process.main)}" if tags else None)
    if asked is not None:
        return evolve(outcome, outcome="unknown", unknown=f"{asked}: what audit modules do is not in files")
    return run_startup(process, wishes, outcome)


def _rules(program: ExecImage, facts: LoaderFacts) -> GlibcRules:
    multiarch = any("-linux-gnu" in d for d in facts.system_dirs)
    return glibc_rules(facts.version, program.elf.machine, multiarch=multiarch)


def _environment(request: ProcessRequest) -> dict[str, str]:
    """The variables; of one that is given twice the loader takes the last."""
    return dict(request.env)


def _process(tree: Tree, program: ExecImage, facts: LoaderFacts, wishes: Options, machine: Machine) -> Process:
    rules = _rules(program, facts)
    cpu = options.masked_cpu(machine.cpu, wishes.disabled)
    platform = _platform(cpu, rules, program.elf.machine)
    hwcaps = _hwcaps(cpu, rules, wishes)
    legacy = _legacy(cpu, rules, platform)
    return Process(
        image=program,
        facts=facts,
        rules=rules,
        resolver=Resolver(tree, program.uid, program.gid),
        machine=machine,
        kernel=cache_lookup.kernel_value(machine.kernel),
        platform=platform,
        caps=subdirectories(hwcaps, legacy),
        view=_cache_view(program, rules, hwcaps, legacy, machine),
        stack_executable=program.elf.stack != "rw",
        execstack=wishes.execstack,
        argv0=program.argv[0] if program.argv else "",
        library_path=wishes.library_path,
        use_cache=not wishes.inhibit_cache,
        inhibit_rpath=wishes.inhibit_rpath,
        bind_now=wishes.bind_now,
        tracing=wishes.mode == options.TRACE,
    )


def _platform(cpu: Cpu, rules: GlibcRules, machine: str) -> str | None:
    """``$PLATFORM`` of a program of `machine`."""
    if machine == "i386":
        return "i686"
    if machine != "x86_64" or rules.platform == "kernel":
        return machine
    if rules.platform == "phi":
        return "xeon_phi" if cpu.platform == "xeon_phi" else None
    return cpu.platform


def _hwcaps(cpu: Cpu, rules: GlibcRules, wishes: Options) -> tuple[str, ...]:
    """The active glibc-hwcaps names, best first."""
    if not rules.hwcaps_in_cache:
        return ()
    mask = None if wishes.hwcaps_mask is None else wishes.hwcaps_mask.split(":")
    own = [name for name, level in rules.hwcaps if cpu.isa_level >= level and (mask is None or name in mask)]
    return (*(n for n in wishes.hwcaps_prepend.split(":") if n), *own)


def _legacy(cpu: Cpu, rules: GlibcRules, platform: str | None) -> tuple[str, ...]:
    """The active legacy names in their order."""
    out = []
    for name in rules.legacy_names:
        if name == "platform":
            if platform is not None:
                out.append(platform)
        elif name in ("tls", "sse2") or name in cpu.hwcaps:
            out.append(name)
    return tuple(out)


def _cache_view(
    program: ExecImage, rules: GlibcRules, hwcaps: tuple[str, ...], legacy: tuple[str, ...], machine: Machine
) -> cache_lookup.CacheView:
    x86 = program.elf.machine in ("x86_64", "i386")
    return cache_lookup.CacheView(
        flags=_CACHE_FLAGS.get(program.elf.machine, (3, 1)),
        hwcaps=hwcaps,
        isa_level=machine.cpu.isa_level if x86 else 1024,
        legacy_mask=sum(1 << bit for name, bit in rules.legacy_bits.items() if name in legacy),
        platform_mask=sum(1 << bit for bit in rules.platform_bits.values()),
        platform_bit=sum(1 << bit for name, bit in rules.platform_bits.items() if name in legacy),
        kernel=cache_lookup.kernel_value(machine.kernel),
    )


def _add_loader(process: Process, path: str, name: str, node: File | None, file: str | None) -> None:
    """ld.so itself, in the map by the path it was run by, the PT_INTERP text `name`, and its soname."""
    elf = node.facts.elf if node is not None else None
    if elf is None:
        elf = ElfFacts(elf_class=process.image.elf.elf_class, machine=process.image.elf.machine)
    loader = Object(path, elf, node, file, origin=path.rpartition("/")[0] or "/")
    loader.names = {path, name} | ({elf.soname} if elf.soname else set())
    loader.name, loader.stage = name, "interpreter"
    process.enter(loader)
    process.loader = loader
