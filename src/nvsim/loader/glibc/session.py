"""The glibc process as callers see it: `start` makes it, then it answers any number of dlopens, `finish` gives the outcome."""

from __future__ import annotations

from attrs import evolve

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc import cache_lookup
from nvsim.loader.glibc.dlopen import InconsistencyError, dlopen
from nvsim.loader.glibc.paths import subdirectories
from nvsim.loader.glibc.startup import run_startup
from nvsim.loader.glibc.state import Object, Process
from nvsim.loader.glibc.tables import GlibcRules, glibc_rules
from nvsim.loader.outcome import DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import Tree

_CACHE_FLAGS = {"x86_64": (0x0303,), "aarch64": (0x0A03,), "i386": (1, 3)}


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
        self._dlopens.append(result)
        return result

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens))


def start(
    tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcSession:
    """Start `program` under the loader that execve put in front of it."""
    process = _process(tree, program, facts, request, machine)
    main = Object("", program.elf, program.file, program.path)
    main.origin = (program.path.rpartition("/")[0] or "/") if request.proc else None
    process.map.append(main)
    loader = _loader_object(program)
    if loader is not None:
        process.map.append(loader)
    outcome = Outcome(
        "exit", steps=program.steps, program=program.path, interpreter=program.interp, assumptions=facts.assumed
    )
    if "LD_AUDIT" in process.env and not program.secure:
        unknown = "LD_AUDIT: what audit modules do is not in files"
        return GlibcSession(process, evolve(outcome, outcome="unknown", unknown=unknown))
    return GlibcSession(process, run_startup(process, loader, outcome))


def _process(tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine) -> Process:
    rules = glibc_rules(facts.version)
    caps = subdirectories(machine.cpu, rules)
    env: dict[str, str] = {}
    for name, value in request.env:
        env.setdefault(name, value)
    return Process(
        image=program,
        facts=facts,
        rules=rules,
        resolver=Resolver(tree, program.uid, program.gid),
        env=env,
        machine=machine,
        kernel=cache_lookup.kernel_value(machine.kernel),
        platform=machine.cpu.platform if machine.cpu.machine == "x86_64" else machine.cpu.machine,
        caps=caps,
        view=_cache_view(program, rules, caps, machine),
        stack_executable=program.elf.stack != "rw",
    )


def _cache_view(
    program: ExecImage, rules: GlibcRules, caps: tuple[str, ...], machine: Machine
) -> cache_lookup.CacheView:
    active = {part for cap in caps if not cap.startswith("glibc-hwcaps/") for part in cap.split("/") if part}
    return cache_lookup.CacheView(
        _CACHE_FLAGS.get(program.elf.machine, (3,)),
        tuple(c.split("/")[1] for c in caps if c.startswith("glibc-hwcaps/")),
        sum(1 << bit for name, bit in rules.legacy_bits.items() if name in active),
        sum(1 << bit for name, bit in rules.legacy_bits.items() if name in ("haswell", "xeon_phi")),
        cache_lookup.kernel_value(machine.kernel),
    )


def _loader_object(program: ExecImage) -> Object | None:
    """ld.so itself, in the map under the PT_INTERP text and its soname."""
    if program.interp is None or program.interp_file is None:
        return None
    elf = program.interp_file.facts.elf
    if elf is None:
        elf = ElfFacts(elf_class=program.elf.elf_class, machine=program.elf.machine)
    origin = program.interp.rpartition("/")[0] or "/"
    loader = Object(program.interp, elf, program.interp_file, program.interp_path, origin=origin)
    loader.names = {program.interp} | ({elf.soname} if elf.soname else set())
    loader.name, loader.stage = program.interp, "interpreter"
    return loader
