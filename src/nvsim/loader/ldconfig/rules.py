"""What differs between releases and builds of ldconfig, as one table of data asked by name.

Sources: glibc ``elf/ldconfig.c``, ``elf/readlib.c``, ``elf/cache.c``, ``sysdeps/x86/dl-procinfo.c``, ``sysdeps/i386/dl-procinfo.c`` and
``sysdeps/unix/sysv/linux/aarch64/dl-procinfo.c`` at the tags 2.17 to 2.42; Debian's builds of 2.31 to 2.43 as run.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.elf.facts import LdconfigFacts
from nvsim.frozen import frozen
from nvsim.loader.versions import libc_version

TLS_BIT = 63
_EMPTY: Mapping[str, int] = {}
_I386_FLAGS = [
    "fpu",
    "vme",
    "de",
    "pse",
    "tsc",
    "msr",
    "pae",
    "mce",
    "cx8",
    "apic",
    "10",
    "sep",
    "mtrr",
    "pge",
    "mca",
    "cmov",
    "pat",
    "pse36",
    "pn",
    "clflush",
    "20",
    "dts",
    "acpi",
    "mmx",
    "fxsr",
    "sse",
    "sse2",
    "ss",
    "ht",
    "tm",
    "ia64",
    "pbe",
]
_AARCH64_FLAGS = [
    "fp",
    "asimd",
    "evtstrm",
    "aes",
    "pmull",
    "sha1",
    "sha2",
    "crc32",
    "atomics",
    "fphp",
    "asimdhp",
    "cpuid",
    "asimdrdm",
    "jscvt",
    "fcma",
    "lrcpc",
    "dcpop",
    "sha3",
    "sm3",
    "sm4",
    "asimddp",
    "sha512",
    "sve",
    "asimdfhm",
    "dit",
    "uscat",
    "ilrcpc",
    "flagm",
    "ssbs",
    "sb",
    "paca",
    "pacg",
]


def _bits(flags: list[str], platforms: tuple[str, ...] = ()) -> dict[str, int]:
    """Bit numbers as ``_dl_string_hwcap`` and ``_dl_string_platform`` give them; platforms start at bit 48."""
    return {
        **{name: 48 + i for i, name in enumerate(platforms)},
        **{name: i for i, name in enumerate(flags)},
        "tls": TLS_BIT,
    }


# (first release, names and bits, names of subdirectories that are scanned) by family; the last row that applies counts
_LEGACY: Mapping[str, tuple[tuple[tuple[int, int], Mapping[str, int], frozenset[str]], ...]] = {
    "x86": (
        (
            (2, 17),
            _bits(_I386_FLAGS, ("i386", "i486", "i586", "i686")),
            frozenset({"sse2", "i386", "i486", "i586", "i686", "tls"}),
        ),
        (
            (2, 26),
            _bits(["sse2", "avx512_1"], ("i586", "i686", "haswell", "xeon_phi")),
            frozenset({"sse2", "avx512_1", "i586", "i686", "haswell", "xeon_phi", "tls"}),
        ),
        (
            (2, 27),
            _bits(["sse2", "x86_64", "avx512_1"], ("i586", "i686", "haswell", "xeon_phi")),
            frozenset({"sse2", "x86_64", "avx512_1", "i586", "i686", "haswell", "xeon_phi", "tls"}),
        ),
        ((2, 37), _EMPTY, frozenset()),
    ),
    "aarch64": (
        ((2, 17), _bits([]), frozenset({"tls"})),
        ((2, 26), _bits(_AARCH64_FLAGS[:16]), frozenset({"cpuid", "tls"})),
        ((2, 27), _bits(_AARCH64_FLAGS), frozenset({"atomics", "tls"})),
        ((2, 37), _EMPTY, frozenset()),
    ),
}
# Directories that the macro add_system_dir makes of one built-in directory: suffixes after ".../lib", in scan order.
_BIARCH: Mapping[str, tuple[str, ...]] = {"x86_64": ("", "64", "x32"), "aarch64": ("", "64", "ilp32")}
# Names that Debian's builds leave alone once they are there, whatever they lead to.
_DEBIAN_LOADERS = frozenset(
    (
        *(
            "ld.so.1",
            "ld64.so.1",
            "ld64.so.2",
            "ld-linux.so.2",
            "ld-linux.so.3",
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
        ),
        *("ld-linux-armhf.so.3", "ld-linux-ia64.so.2", "ld-linux-mipsn8.so.1", "ld-kfreebsd-x86-64.so.1"),
    )
)
_GDB = ("-gdb.py",)
_GDB_ALL = ("-gdb.gdb", "-gdb.py", "-gdb.scm")


@frozen
class Rules:
    """The rules of one ldconfig program.

    `machine`: what it is built for. `hwcap_bits`: legacy names and their bits in a cache entry; `scanned`: those whose subdirectories
    are scanned. `glibc_hwcaps` (2.33). `hwcap_lines`: ``hwcap N NAME`` defines a name (to 2.31), else it is warned about.
    `extra_bit`: the bit of ``hwcap 0 NAME``. `type_suffix`: ``DIR=libc6`` (to 2.36). `libc_type`: i386 files are typed by what they
    need (to 2.36). `loader_names`: names like ld.so.1 count (2.34). `package_files`: names of half-installed packages do not (2.39).
    `stale_links_with_x`: ``-X`` removes stale links all the same (to 2.23). `osversion`: ABI notes are stored (to 2.35).
    `gdb_suffixes`: text files that are not complained about. `missing_conf`: a configuration that is not there is complained about
    (to 2.30; not Debian). `quiet_foreign`: files of an unknown machine are named with ``-v`` only (Debian).
    `kept_loaders`: links of these names are not changed (Debian). `sources_shown`: ``-v``
    tells who named a directory (2.33). `format`: the format written by default; `endian`: the byte-order mark of a cache; `signed`:
    a cache is signed with the generator's text (2.33).
    """

    machine: str
    hwcap_bits: Mapping[str, int]
    scanned: frozenset[str]
    glibc_hwcaps: bool
    hwcap_lines: bool
    extra_bit: int
    type_suffix: bool
    libc_type: bool
    loader_names: bool
    package_files: bool
    stale_links_with_x: bool
    osversion: bool
    gdb_suffixes: tuple[str, ...]
    missing_conf: bool
    quiet_foreign: bool
    kept_loaders: frozenset[str]
    sources_shown: bool
    format: str
    endian: int
    signed: bool


def rules_of(facts: LdconfigFacts) -> Rules:
    """The rules of the program with these facts."""
    v = libc_version(facts.version)
    debian = is_multiarch(facts)
    machine = machine_of(facts)
    rows = [row for row in _LEGACY.get("aarch64" if machine == "aarch64" else "x86", ()) if v >= row[0]]
    bits, scanned = (rows[-1][1], rows[-1][2]) if rows else (_EMPTY, frozenset())
    return Rules(
        machine=machine,
        hwcap_bits=bits,
        scanned=scanned,
        glibc_hwcaps=v >= (2, 33),
        hwcap_lines=v < (2, 32),
        extra_bit=32 if machine == "aarch64" else 52,
        type_suffix=v < (2, 37),
        libc_type=v < (2, 37),
        loader_names=v >= (2, 34),
        package_files=v >= (2, 39),
        stale_links_with_x=v < (2, 24),
        osversion=v < (2, 36),
        gdb_suffixes=_GDB_ALL if v >= (2, 40) else _GDB if v >= (2, 22) else (),
        missing_conf=v < (2, 31) and not debian,
        quiet_foreign=debian,
        kept_loaders=_DEBIAN_LOADERS if debian else frozenset(),
        sources_shown=v >= (2, 33),
        format="new" if v >= (2, 32) or debian else "compat",
        endian=2 if v >= (2, 33) or (debian and v >= (2, 31)) else 0,
        signed=v >= (2, 33),
    )


def is_multiarch(facts: LdconfigFacts) -> bool:
    """Whether it is a build of Debian or one of its offspring, whose built-in directories are named after the machine."""
    return any("-linux-gnu" in d for d in facts.system_dirs)


def machine_of(facts: LdconfigFacts) -> str:
    """The machine that the program is built for: as its facts say, else as its directories are named, else x86_64."""
    if facts.machine is not None:
        return facts.machine
    for directory in facts.system_dirs:
        triplet = directory.rpartition("/")[2]
        if triplet.endswith("-linux-gnu"):
            return triplet.removesuffix("-linux-gnu")
    return "x86_64"


def builtin_dirs(facts: LdconfigFacts) -> tuple[str, ...]:
    """The built-in directories in scan order: Debian's as they stand, else each with its siblings of other word sizes."""
    suffixes = _BIARCH.get(machine_of(facts), ())
    if is_multiarch(facts) or not suffixes:
        return facts.system_dirs
    out: list[str] = []
    for directory in facts.system_dirs:
        stem = directory
        for suffix in suffixes[1:]:
            if directory.endswith("/lib" + suffix):
                stem = directory.removesuffix(suffix)
        out += [stem + suffix for suffix in suffixes] if stem.endswith("/lib") else [stem]
    return tuple(dict.fromkeys(out))


def generator_of(facts: LdconfigFacts) -> str:
    """The text that signs a cache."""
    return facts.generator or f"ldconfig (GNU libc) stable release version {facts.version}"
