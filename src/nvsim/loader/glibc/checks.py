"""What is checked once the objects are mapped: symbol versions, DT_RELR, the ISA level, undefined symbols (``elf/dl-version.c``,
``elf/dl-reloc.c``, ``sysdeps/x86/dl-prop.h``).
"""

from __future__ import annotations

from collections.abc import Iterator

from nvsim.elf.facts import ElfFacts
from nvsim.loader.glibc import verify
from nvsim.loader.glibc.state import Object, Process


def version_problems(process: Process, obj: Object) -> Iterator[tuple[bool, str]]:
    """(fatal, text) for every version that `obj` needs and does not get, in the order of its DT_VERNEED.

    The text is without the program's name.
    """
    label = process.label(obj)
    for need in obj.elf.verneed:
        found = process.loaded(need.file)
        if found is None:
            continue
        where, other = process.label(found), found.elf
        if not other.verdef:
            for _ in need.versions:
                yield False, f"{where}: no version information available (required by {label})"
            continue
        for version in need.versions:
            if not _defines(other, version):
                weak = version in need.weak
                kind = "weak version" if weak else "version"
                yield not weak, f"{where}: {kind} `{version}' not found (required by {label})"


def _defines(elf: ElfFacts, version: str) -> bool:
    """The base definition, which bears the soname, counts too."""
    return version in elf.verdef or version == elf.soname


def relr_problem(process: Process, objects: list[Object]) -> Object | None:
    """An object with DT_RELR that does not say that it needs a loader that can do it."""
    for obj in objects if process.rules.relr else ():
        libc = [n for n in obj.elf.verneed if n.file.startswith("libc.so.")]
        if obj.elf.relr and libc and not any("GLIBC_ABI_DT_RELR" in n.versions for n in libc):
            return obj
    return None


def isa_problem(process: Process, objects: list[Object]) -> Object | None:
    """The first object, dependencies first, whose ISA level the CPU lacks."""
    if not process.rules.isa_check:
        return None
    have = (1 << process.machine.cpu.isa_level) - 1
    return next((o for o in reversed(objects) if o.elf.isa_needed & ~have), None)


def undefined(objects: list[Object], scope: list[Object], *, now: bool) -> tuple[Object, str] | None:
    """The first undefined symbol, deepest object first, with its text. `now`: what is bound lazily counts too."""
    defined: set[str] = set()
    for obj in scope:
        defined |= obj.elf.defs or frozenset()
    for obj in reversed(objects):
        wanted = obj.elf.undef or ()
        if now or obj.elf.flags_1 & verify.DF_1_NOW:
            wanted = (*wanted, *(obj.elf.undef_lazy or ()))
        for symbol in wanted:
            if symbol.partition("@")[0] not in defined and symbol not in defined:
                return obj, _undefined_text(symbol)
    return None


def _undefined_text(symbol: str) -> str:
    name, _, version = symbol.partition("@")
    return f"undefined symbol: {name}" + (f", version {version.lstrip('@')}" if version else "")
