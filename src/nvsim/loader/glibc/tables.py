"""What differs between glibc releases and machines, in one place: rules asked for by name, never a version comparison elsewhere in the
loader.

Sources: glibc NEWS, ``elf/*.c`` and ``sysdeps`` at the tags 2.17 to 2.42 and the development tree after it (2.43).
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.elf.terms import UNALIGNED, UNALIGNED_ADDRESS
from nvsim.frozen import frozen
from nvsim.loader.versions import libc_version


@frozen
class GlibcRules:
    """The rules of one release on one machine.

    Directories and cache
      `hwcaps` -- names of glibc-hwcaps subdirectories, best first, with the x86-64 ISA level that each needs; `hwcaps_in_cache` -- cache
      entries may be for one (from 2.33).
      `legacy_names` -- legacy hwcaps in their order, "platform" standing for the platform's name (to 2.36); `legacy_bits` -- their bits in a
      cache entry, `platform_bits` those of platforms.
      `platform` -- what ``$PLATFORM`` is: "cpu" as the CPU's features say, "kernel" as the kernel says (AT_PLATFORM), "phi" only xeon_phi.
      `abi_note` -- the ABI note of a file and the osversion of a cache entry are checked (to 2.35).
      `enotdir_continues` -- ENOTDIR does not end a list (from 2.39). `root_searched` -- "/" works as a search directory (from 2.38).
      `loose_tokens` -- a token must be followed by the end of the element or "/" (to 2.27).
      `secure_origin_normalised` -- with AT_SECURE, the program's ``$ORIGIN`` directory is searched in its normalised form (measured with
      Debian's 2.41-12+deb13u5 and 2.43-7, a security fix of 2026; not in 2.36-9+deb12u14).
      `nohwcap` -- before it looks into the cache, the loader looks for /etc/ld.so.nohwcap and leaves errno as that ended (Debian's and
      Ubuntu's builds; from 2.26 on errno stays).
      `dropped_is_current` -- a list element of which nothing is left stands for the current directory, as an empty one does, and
      LD_LIBRARY_PATH is expanded as a whole before it is split at ";" (to 2.26).
    Mapping
      `foreign_first` -- a file of another machine is passed over before the rest of its e_ident is looked at (as Debian and Ubuntu build).
      `exec_refused_early` -- ET_EXEC is refused while the file is verified (2.22 to 2.30). `pie_refused` -- so is a PIE (from 2.30).
      `no_exec_stack` -- dlopen does not make the stack executable (from 2.41).
      `page_alignment` -- a segment needs the alignment of a page, not its own (from 2.35); `unaligned_texts` -- the complaints, by what
      `nvsim.elf.terms` calls them.
    Checks
      `isa_check` (from 2.33), `isa_from_note` -- the ISA property is seen only through PT_NOTE (to 2.36). `relr` (from 2.36).
      `loader_stays` -- ld.so is in the link map even when nobody needs it (from 2.41).
      `sort` -- how objects are ordered for relocation: "original" (to 2.34) or "dfs".
      `isa_fatal` -- a loader that was itself built for a level refuses to run below it (from 2.35).
      `secure_deaf` -- with AT_SECURE no variable counts but LD_PRELOAD and LD_AUDIT (from 2.39).
    Run as a command
      `chain_load` -- a program with neither DT_NEEDED nor PT_INTERP is executed, not started by the loader, which now says its name when it
      is told to run itself (from 2.35). `static_crashes` -- otherwise the loader crashes over a program without dynamic section, for it
      looks for DT_AUDIT (from 2.32).
    Texts
      `preload_reason` -- the warning about a preload tells why (from 2.19).
      `debug_rejections` -- LD_DEBUG tells why a file is not taken (from 2.43). `debug_option` -- it names --library-path
      (from 2.33), not LD_LIBRARY_PATH. `debug_filtered` -- it tells DT_FILTER from DT_AUXILIARY (to
      2.19).
      `first_assert`, `needed_assert` -- lines of the assertions in ``dl-deps.c`` (to 2.31) and ``dl-version.c``; `null` -- how these
      write NULL (to 2.22 as the preprocessor left it).
    """

    hwcaps: tuple[tuple[str, int], ...]
    hwcaps_in_cache: bool
    legacy_names: tuple[str, ...]
    legacy_bits: dict[str, int]
    platform_bits: dict[str, int]
    platform: str
    abi_note: bool
    enotdir_continues: bool
    root_searched: bool
    loose_tokens: bool
    secure_origin_normalised: bool
    nohwcap: bool
    dropped_is_current: bool
    foreign_first: bool
    exec_refused_early: bool
    pie_refused: bool
    no_exec_stack: bool
    page_alignment: bool
    unaligned_texts: dict[str, str]
    isa_check: bool
    isa_from_note: bool
    relr: bool
    isa_fatal: bool
    secure_deaf: bool
    loader_stays: bool
    sort: str
    preload_reason: bool
    debug_rejections: bool
    debug_filtered: bool
    debug_option: bool
    chain_load: bool
    static_crashes: bool
    first_assert: int | None
    needed_assert: int
    null: str


_X86_64_HWCAPS = (("x86-64-v4", 4), ("x86-64-v3", 3), ("x86-64-v2", 2))
_PLATFORM_BITS = {"i586": 48, "i686": 49, "haswell": 50, "xeon_phi": 51}

# machine -> (first release, legacy names, bits of their cache entries, how the platform is known), newest first
_LEGACY: dict[str, tuple[tuple[tuple[int, int], tuple[str, ...], dict[str, int], str], ...]] = {
    "x86_64": (
        ((2, 37), (), {}, "cpu"),
        ((2, 27), ("tls", "platform", "avx512_1", "x86_64"), {"tls": 63, "avx512_1": 2, "x86_64": 1}, "cpu"),
        ((2, 26), ("tls", "platform", "avx512_1"), {"tls": 63, "avx512_1": 1}, "phi"),
        ((2, 0), ("tls", "platform"), {"tls": 63}, "kernel"),
    ),
    "i386": (
        ((2, 37), (), {}, "cpu"),
        ((2, 26), ("tls", "platform", "sse2"), {"tls": 63, "sse2": 0}, "cpu"),
        ((2, 0), ("tls", "platform", "sse2"), {"tls": 63, "sse2": 26}, "kernel"),
    ),
    "aarch64": (
        ((2, 37), (), {}, "kernel"),
        ((2, 28), ("tls", "platform", "atomics"), {"tls": 63, "atomics": 8}, "kernel"),
        ((2, 26), ("tls", "platform", "cpuid"), {"tls": 63, "cpuid": 11}, "kernel"),
        ((2, 0), ("tls", "platform"), {"tls": 63}, "kernel"),
    ),
}

# first release with that line of "assert (map->l_searchlist.r_list[0] == map)" in elf/dl-deps.c; gone in 2.32
_FIRST_ASSERT = (((2, 32), None), ((2, 28), 553), ((2, 27), 549), ((2, 20), 574), ((2, 18), 586), ((2, 0), 590))
# ... of "assert (needed != NULL)" in elf/dl-version.c
_NEEDED_ASSERT = (((2, 35), 204), ((2, 27), 205), ((2, 0), 224))


@lru_cache(maxsize=64)
def glibc_rules(version: str, machine: str = "x86_64", *, multiarch: bool = False) -> GlibcRules:
    """The rules of a glibc version ("2.36") for programs of a machine (``ElfFacts.machine``). `multiarch`: built as Debian's."""
    v = libc_version(version)
    legacy = next(row for row in _LEGACY.get(machine, (((2, 0), (), {}, "kernel"),)) if v >= row[0])
    return GlibcRules(
        hwcaps_in_cache=v >= (2, 33),
        hwcaps=_X86_64_HWCAPS if machine == "x86_64" and v >= (2, 33) else (),
        legacy_names=legacy[1],
        legacy_bits=legacy[2],
        platform_bits=_PLATFORM_BITS if legacy[1] and machine in ("x86_64", "i386") and v >= (2, 26) else {},
        platform=legacy[3],
        abi_note=v < (2, 36),
        enotdir_continues=v >= (2, 39),
        root_searched=v >= (2, 38),
        loose_tokens=v < (2, 28),
        secure_origin_normalised=v >= (2, 41),
        nohwcap=multiarch and v < (2, 26),
        dropped_is_current=v < (2, 27),
        foreign_first=multiarch,
        exec_refused_early=(2, 22) <= v < (2, 31),
        pie_refused=v >= (2, 30),
        no_exec_stack=v >= (2, 41),
        page_alignment=v >= (2, 35),
        unaligned_texts={
            UNALIGNED: UNALIGNED,
            UNALIGNED_ADDRESS: UNALIGNED_ADDRESS
            if v >= (2, 35)
            else "ELF load command address/offset not properly aligned",
        },
        isa_check=machine in ("x86_64", "i386") and v >= (2, 33),
        isa_from_note=v < (2, 37),
        relr=v >= (2, 36),
        isa_fatal=machine == "x86_64" and v >= (2, 35),
        secure_deaf=v >= (2, 39),
        loader_stays=v >= (2, 41),
        sort="dfs" if v >= (2, 35) else "original",
        preload_reason=v >= (2, 19),
        debug_rejections=v >= (2, 43),
        debug_filtered=v < (2, 20),
        debug_option=v >= (2, 33),
        chain_load=v >= (2, 35),
        static_crashes=v >= (2, 32),
        first_assert=next(line for first, line in _FIRST_ASSERT if v >= first),
        needed_assert=next(line for first, line in _NEEDED_ASSERT if v >= first) or 0,
        null="NULL" if v >= (2, 23) else "((void *)0)",
    )


# Options of a directly run loader: name, whether a value follows, first release.
LOADER_OPTIONS: tuple[tuple[str, bool, tuple[int, int]], ...] = (
    ("--list", False, (2, 0)),
    ("--verify", False, (2, 0)),
    ("--inhibit-cache", False, (2, 0)),
    ("--library-path", True, (2, 0)),
    ("--inhibit-rpath", True, (2, 0)),
    ("--audit", True, (2, 4)),
    ("--preload", True, (2, 30)),
    ("--argv0", True, (2, 33)),
    ("--glibc-hwcaps-prepend", True, (2, 33)),
    ("--glibc-hwcaps-mask", True, (2, 33)),
    ("--list-tunables", False, (2, 33)),
    ("--help", False, (2, 33)),
    ("--version", False, (2, 33)),
    ("--list-diagnostics", False, (2, 34)),
)

# CPU features that the tunable glibc.cpu.hwcaps can switch off: the ISA level that is lost, whether "haswell" and "avx512_1" are too
# (sysdeps/x86/cpu-tunables.c; the other features of the levels have no name there).
DISABLED_BY_TUNABLE: dict[str, tuple[int, bool, bool]] = {
    **dict.fromkeys(("SSSE3", "SSE4_1", "SSE4_2"), (2, False, False)),
    "POPCNT": (2, True, False),
    "AVX": (3, False, False),
    **dict.fromkeys(("AVX2", "BMI1", "BMI2", "FMA", "LZCNT", "MOVBE"), (3, True, False)),
    "AVX512F": (4, False, False),
    **dict.fromkeys(("AVX512CD", "AVX512BW", "AVX512DQ", "AVX512VL"), (4, False, True)),
}
