"""Relocation: which symbols of an object nobody defines (``ldso/dynlink.c``: ``do_relocs``, ``find_sym``, ``get_lfs64``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nvsim.elf.facts import ElfFacts
from nvsim.loader.musl.state import Object, Process
from nvsim.loader.musl.tables import LFS64

_DF_1_NOW = 0x1


def unresolved(process: Process, objects: Iterable[Object], scope: Iterable[Object], *, lazy: bool) -> Iterator[str]:
    """``Error relocating PATH: SYMBOL: symbol not found`` for each symbol of `objects` that none of `scope` defines.

    First those of functions (DT_JMPREL), then those of data. With `lazy` (RTLD_LAZY) they wait, unless the object asks for DF_1_NOW.
    """
    defined: set[str] = set()
    for obj in scope:
        defined |= process.exports if obj is process.libc else obj.symbols().defs or frozenset()
    for obj in objects:
        if obj is process.libc or (lazy and not obj.elf.flags_1 & _DF_1_NOW):
            continue
        elf = obj.symbols()
        for wanted in (*(elf.undef_lazy or ()), *(elf.undef or ())):
            symbol = wanted.partition("@")[0]
            if symbol not in defined and not _without_64(process, symbol):
                yield f"Error relocating {obj.path}: {symbol}: symbol not found"


def unknown_needs(process: Process, objects: Iterable[Object]) -> Iterator[str]:
    """What has to be assumed: glibc-built objects of `objects` whose symbols nobody tells."""
    for obj in objects:
        elf = obj.symbols()
        if obj is not process.libc and elf.undef is None and elf.undef_lazy is None and _for_glibc(elf):
            yield f"{obj.path} was built for glibc and its symbols are not known: musl is taken to have all of them"


def _for_glibc(elf: ElfFacts) -> bool:
    return any(v.startswith("GLIBC_") for need in elf.verneed for v in need.versions)


def _without_64(process: Process, symbol: str) -> bool:
    """Whether the loader binds the symbol to libc's function of the same name without 64."""
    if not process.rules.lfs64_longest:
        return False
    if symbol == "readdir64_r":
        return "readdir_r" in process.exports
    plain = symbol.removesuffix("64")
    return (
        plain != symbol and len(symbol) <= process.rules.lfs64_longest and plain in LFS64 and plain in process.exports
    )
