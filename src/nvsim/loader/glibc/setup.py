"""A glibc process before anything is loaded: the rules of its release and machine, what the CPU offers, and ld.so itself in the map."""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc import cache_lookup, options
from nvsim.loader.glibc.options import Options
from nvsim.loader.glibc.paths import subdirectories
from nvsim.loader.glibc.state import Object, Process, Shared
from nvsim.loader.glibc.tables import GlibcRules, glibc_rules
from nvsim.loader.outcome import Cpu, Machine, Outcome
from nvsim.memo import Same
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import Tree, derived

_CACHE_FLAGS = {"x86_64": (0x0303,), "aarch64": (0x0A03,), "i386": (3, 1)}
_ANY_LEVEL = 1024  # cache entries of other machines than x86 carry no ISA level


def rules_for(program: ExecImage, facts: LoaderFacts) -> GlibcRules:
    """The rules of the loader that runs `program`."""
    multiarch = any("-linux-gnu" in d for d in facts.system_dirs)
    return glibc_rules(facts.version, program.elf.machine, multiarch=multiarch)


def new_outcome(program: ExecImage, facts: LoaderFacts) -> Outcome:
    """What is known before anything is loaded."""
    return Outcome(
        "exit",
        steps=program.steps,
        program=program.path,
        interpreter=program.interp,
        assumptions=facts.assumed,
        libc=f"glibc {facts.version}",
    )


def new_process(tree: Tree, program: ExecImage, facts: LoaderFacts, wishes: Options, machine: Machine) -> Process:
    """A process with an empty link map."""
    rules = rules_for(program, facts)
    cpu = options.masked_cpu(machine.cpu, wishes.disabled)
    platform = _platform(cpu, rules, program.elf.machine)
    hwcaps = _hwcaps(cpu, rules, wishes)
    legacy = _legacy(cpu, rules, platform)
    kernel = cache_lookup.kernel_value(machine.kernel)
    view = _cache_view(program, rules, hwcaps, legacy, machine)
    elf = program.elf
    kind = program.uid, program.gid, elf.elf_class, elf.machine, elf.data, Same(rules), view
    return Process(
        shared=derived(tree, "shared", (*kind, facts.cache, facts.system_dirs), Shared),
        image=program,
        facts=facts,
        rules=rules,
        resolver=Resolver(tree, program.uid, program.gid),
        machine=machine,
        kernel=kernel,
        platform=platform,
        caps=subdirectories(hwcaps, legacy),
        view=view,
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
        isa_level=machine.cpu.isa_level if x86 else _ANY_LEVEL,
        legacy_mask=sum(1 << bit for name, bit in rules.legacy_bits.items() if name in legacy),
        platform_mask=sum(1 << bit for bit in rules.platform_bits.values()),
        platform_bit=sum(1 << bit for name, bit in rules.platform_bits.items() if name in legacy),
        kernel=cache_lookup.kernel_value(machine.kernel),
    )


def add_loader(process: Process, path: str, name: str, node: File | None, file: str | None) -> None:
    """ld.so itself, in the map by the path it was run by, the PT_INTERP text `name`, and its soname."""
    elf = node.facts.elf if node is not None else None
    if elf is None:
        elf = ElfFacts(elf_class=process.image.elf.elf_class, machine=process.image.elf.machine)
    loader = Object(path, elf, node, file, origin=path.rpartition("/")[0] or "/")
    loader.names = {path, name} | ({elf.soname} if elf.soname else set())
    loader.name, loader.stage = name, "interpreter"
    process.enter(loader)
    process.loader = loader
