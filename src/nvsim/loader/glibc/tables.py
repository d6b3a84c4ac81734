"""What differs between glibc releases, in one place: rules asked for by name, never a version comparison elsewhere in the loader.

Sources: glibc NEWS and ``elf/dl-load.c``, ``elf/dl-open.c``, ``sysdeps/x86/dl-hwcap.h`` at the tags 2.17 to 2.43.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from nvsim.loader.versions import libc_version


@frozen(slots=True)
class GlibcRules:
    """The rules of one release.

    `glibc_hwcaps`: those subdirectories exist (2.33). `legacy_names`: legacy hwcaps names in their order, "platform" standing for
    AT_PLATFORM; `legacy_bits`: their bits in a cache entry. `abi_note`: the ABI note and osversion are checked (to 2.35).
    `isa_check` (2.33), `isa_from_note`: the ISA property is seen only through PT_NOTE (to 2.36). `enotdir_continues`: ENOTDIR does not
    end a stage (2.39). `root_searched`: "/" works as a search directory (2.38). `no_exec_stack`: dlopen does not make the stack
    executable (2.41). `pie_refused`: a PIE cannot be loaded (2.30). `relr` (2.36). `preload_reason` (2.19).
    `filter_assertion`: dlopen of an object with DT_FILTER or DT_AUXILIARY fails an assertion (to 2.31).
    """

    glibc_hwcaps: bool
    legacy_names: tuple[str, ...]
    legacy_bits: dict[str, int]
    abi_note: bool
    isa_check: bool
    isa_from_note: bool
    enotdir_continues: bool
    root_searched: bool
    no_exec_stack: bool
    pie_refused: bool
    relr: bool
    preload_reason: bool
    filter_assertion: bool


@lru_cache(maxsize=64)
def glibc_rules(version: str) -> GlibcRules:
    """The rules of a glibc version ("2.36")."""
    v = libc_version(version)
    if v >= (2, 37):
        names: tuple[str, ...] = ()
        bits: dict[str, int] = {}
    elif v >= (2, 27):
        names = ("tls", "platform", "avx512_1", "x86_64")
        bits = {"tls": 63, "haswell": 50, "xeon_phi": 51, "avx512_1": 2, "x86_64": 1}
    elif v >= (2, 26):
        names = ("tls", "avx512_1")
        bits = {"tls": 63, "avx512_1": 1}
    else:
        names = ("tls", "x86_64")
        bits = {"tls": 63, "x86_64": 1}
    return GlibcRules(
        glibc_hwcaps=v >= (2, 33),
        legacy_names=names,
        legacy_bits=bits,
        abi_note=v < (2, 36),
        isa_check=v >= (2, 33),
        isa_from_note=v < (2, 37),
        enotdir_continues=v >= (2, 39),
        root_searched=v >= (2, 38),
        no_exec_stack=v >= (2, 41),
        pie_refused=v >= (2, 30),
        relr=v >= (2, 36),
        preload_reason=v >= (2, 19),
        filter_assertion=v < (2, 32),
    )
