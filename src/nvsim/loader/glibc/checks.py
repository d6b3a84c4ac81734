"""What is checked once the objects are mapped: symbol versions, DT_RELR, the ISA level, undefined symbols (``elf/dl-version.c``,
``elf/dl-reloc.c``, ``sysdeps/x86/dl-prop.h``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nvsim.elf.facts import ElfFacts
from nvsim.loader.glibc import verify
from nvsim.loader.glibc.state import EndError, LoadError, Object, Process, failed_assertion
from nvsim.loader.outcome import VersionProblem


def version_problems(process: Process, obj: Object) -> tuple[list[VersionProblem], LoadError | EndError | None]:
    """Every version that `obj` needs and does not get, in the order of its DT_VERNEED, and what ends the check after these
    (``_dl_check_map_versions``).

    That is a `LoadError` when the object has DT_RELR without saying so, and an `EndError` when nothing loaded bears the name of a file
    that is needed. Needs of a library that stands in a listing although it is missing say nothing.
    """
    problems: list[VersionProblem] = []
    declared, answers = False, process.answers
    for need in obj.elf.verneed:
        provider = answers.get(need.file)
        if provider is None or need.file not in provider.names or process.tracing:
            provider = process.named(need.file)
        if provider is None:
            place = f"dl-version.c: {process.rules.needed_assert}: _dl_check_map_versions"
            return problems, failed_assertion(place, f"needed != {process.rules.null}")
        if provider.faked:
            continue
        declared = declared or "GLIBC_ABI_DT_RELR" in need.versions
        if provider.defined is None:  # the base definition, which bears the soname, counts too
            provider.defined = frozenset((*provider.elf.verdef, provider.elf.soname))
        if provider.elf.verdef and provider.defined.issuperset(need.versions):
            continue
        label, where = process.label(obj), process.label(provider)
        for version in need.versions:
            if not provider.elf.verdef:
                problems.append(VersionProblem(label, where, version, "none"))
            elif version not in provider.defined:
                problems.append(VersionProblem(label, where, version, "weak" if version in need.weak else "missing"))
    if obj.elf.relr and process.rules.relr and not declared and _must_declare_relr(obj.elf):
        return problems, LoadError(process.label(obj), "DT_RELR without GLIBC_ABI_DT_RELR dependency")
    return problems, None


def _must_declare_relr(elf: ElfFacts) -> bool:
    """DT_RELR in an object that has to say that it needs a loader that can do it."""
    return elf.relr and bool(elf.verneed) and any(n.startswith("libc.so.") for n in elf.needed)


def loader_level(process: Process) -> int | None:
    """The lowest ISA level that the loader itself was built for and the CPU lacks (``sysdeps/x86/dl-get-cpu-features.c``)."""
    if not process.rules.isa_fatal or process.loader is None:
        return None
    have = process.machine.cpu.isa_level
    return have + 1 if process.loader.elf.isa_needed >> have else None


def isa_problem(process: Process, order: Iterable[Object]) -> Object | None:
    """The first object in the order of relocation whose ISA level the CPU lacks (``dl_isa_level_check``)."""
    if not process.rules.isa_check:
        return None
    have = (1 << process.machine.cpu.isa_level) - 1
    return next((o for o in order if o.elf.isa_needed & ~have and o is not process.loader), None)


def undefined(order: Iterable[Object], scope: list[Object], *, now: bool) -> Iterator[tuple[Object, str]]:
    """Every undefined symbol in the order of relocation, with its text. `now`: what is bound lazily counts too.

    A symbol with a version is missing only where every object that defines that version has known symbols, and there is one.
    """
    order = [o for o in order if o.elf.undef or o.elf.undef_lazy]
    if not order:
        return
    defined: set[str] = set()
    for obj in scope:
        defined |= obj.elf.defs or frozenset()
    known: set[str] | None = None
    for obj in order:
        wanted = obj.elf.undef or ()
        if now or obj.elf.flags_1 & verify.DF_1_NOW:
            wanted = (*wanted, *(obj.elf.undef_lazy or ()))
        for symbol in wanted:
            name, _, version = symbol.partition("@")
            if symbol in defined or name in defined:
                continue
            if version and known is None:
                known = _known_versions(scope)
            if not version or (known is not None and version.lstrip("@") in known):
                yield obj, _undefined_text(symbol)


def _known_versions(scope: list[Object]) -> set[str]:
    """The versions whose symbols are known wherever they are defined."""
    known = {version for obj in scope if obj.elf.defs is not None for version in obj.elf.verdef}
    return known - {version for obj in scope if obj.elf.defs is None for version in obj.elf.verdef}


def _undefined_text(symbol: str) -> str:
    name, _, version = symbol.partition("@")
    return f"undefined symbol: {name}" + (f", version {version.lstrip('@')}" if version else "")
