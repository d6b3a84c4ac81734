"""Facts of dynamic loaders and ldconfig programs, read from the constants in their own bytes.

What is looked for: glibc ``elf/dl-load.c`` (system_dirs and their lengths, ``DL_DST_LIB``), ``elf/dl-cache.c`` (LD_SO_CACHE),
``elf/rtld.c`` (the preload file, the release), ``elf/ldconfig.c`` and ``elf/cache.c`` (files, signature); musl ``ldso/dynlink.c``.
Compared with Debian's packages of glibc 2.31 to 2.43 (x86-64, i386, x32, aarch64, ppc64le) and musl 1.2.2 to 1.2.6.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from nvsim.elf.facts import LdconfigFacts, LoaderFacts
from nvsim.elf.terms import machine_name
from nvsim.frozen import evolve

_RELEASE = re.compile(rb"(?:stable|development) release version (\d+\.\d+)")
_VENDOR = re.compile(rb"ld\.so \(([^\0()]*)\) (?:stable|development) release version")
_SELF_NAME = re.compile(rb"self-identifies as: (/[^\0\n]*)\n")
_SIGNATURE = re.compile(rb"\0(ldconfig (?:\([^\0()]*\) )?(?:stable|development) release version \d+\.\d+[^\0]*)\0")
_PACKAGE = re.compile(rb"\(\w+ (?:E?GLIBC|GLIBC) (\d+\.\d+)[^\0()]*\) \0")
_BARE_VERSION = re.compile(rb"\0(2\.\d\d)\0")
_DIRECTORY = re.compile(rb"(?:/[A-Za-z0-9_.+-]+)+/\0")
_LIBRARY_DIRECTORY = re.compile(r"/lib[a-z0-9]*\Z|-linux-gnu[a-z0-9]*\Z")
_LIB_TOKEN = re.compile(rb"\0(lib(?:32|64|x32|ilp32|/[a-z0-9_]+-linux-gnu[a-z0-9]*))\0")
_CACHE = re.compile(rb"\0((?:/[^\0/]+)*/etc/ld\.so\.cache)\0")
_CONF = re.compile(rb"\0((?:/[^\0/]+)*/etc/ld\.so\.conf)\0")
_PRELOAD = re.compile(rb"\0((?:/[^\0/]+)*/etc/ld[a-z-]*\.so\.preload)\0")
_MUSL_PATH = re.compile(rb"\0((?:/[A-Za-z0-9_.+-]+)+(?::(?:/[A-Za-z0-9_.+-]+)+)*)\0")
_MUSL_VERSION = re.compile(rb"\0(1\.[12]\.\d+)(?:-[^\0]*)?\0")
_LIBGCOMPAT = re.compile(rb"(/[A-Za-z0-9_./+-]*libgcompat\.so[.0-9]*)")
_MUSL_PATH_FILE = re.compile(rb"/etc/(ld-musl-[a-z0-9_-]+\.path)\0")
_LDCONFIG_ONLY = b"Can't create temporary cache file"
# What a loader without a release in it (up to 2.32) shows of its age: texts by the release that brought them (``elf/rtld.c``,
# ``elf/dl-load.c``, tunables being built by default, ``elf/dl-deps.c``, ``elf/rtld.c``, ``elf/dl-open.c``). A mark counts where all before
# it are there: Red Hat's 2.28 has later ones for fixes that were taken over. 2.32 has no mark: Debian's 2.31 has all of its new texts.
_AGE = (
    (b"cannot be preloaded (%s): ignored", "2.19"),
    (b"audit changed filename", "2.23"),
    (b"GLIBC_TUNABLES", "2.26"),
    (b"cannot allocate dependency buffer", "2.28"),
    (b"--preload\0", "2.30"),
    (b"activating NODELETE", "2.31"),
)
_OLDEST = "2.17"
_NO_VERSION = "the loader's file does not tell its version"
_NEAR = 4096  # bytes between the built-in directories and the array of their lengths, in the loaders seen so far


def loader_facts(data: bytes) -> LoaderFacts | None:
    """The facts of a glibc or musl loader, or of gcompat's stub; None when `data` is none. What the bytes do not show is named in `LoaderFacts.assumed`."""
    if b"gcompat ELF interpreter stub" in data:
        return _gcompat(data)
    if b"Error loading shared library" in data:
        return _musl(data)
    if b"error while loading shared libraries" not in data or _LDCONFIG_ONLY in data:
        return None
    cache, preload = _CACHE.search(data), _PRELOAD.search(data)
    dirs = _system_dirs(data)
    if cache is None and not dirs:
        return None  # a libc, which has some of the texts
    assumed = []
    release = _RELEASE.search(data)
    if release is not None:
        version = release[1].decode()
    else:
        version = _age(data)
        assumed.append(f"{_NO_VERSION}: taken for glibc {version}")
    if not dirs:
        assumed.append("the loader's built-in directories cannot be read from the file")
    if any(d.startswith("/gnu/store/") for d in dirs):
        assumed.append("Guix's loader may also read etc/ld.so.cache of the program's own package: not modelled")
    vendor, self_name = _VENDOR.search(data), _SELF_NAME.search(data)
    token = _LIB_TOKEN.search(data)
    lib = token[1].decode() if token else dirs[0].rpartition("/")[2] if dirs else "lib"
    return LoaderFacts(
        "glibc",
        version,
        dirs,
        lib,
        cache[1].decode() if cache else None,
        preload[1].decode() if preload else None,
        assumed=tuple(assumed),
        vendor=None if vendor is None or vendor[1] == b"GNU libc" else vendor[1].decode("utf-8", "surrogateescape"),
        self_name=self_name[1].decode("utf-8", "surrogateescape") if self_name else None,
    )


def _age(data: bytes) -> str:
    version = _OLDEST
    for mark, since in _AGE:
        if mark not in data:
            break
        version = since
    return version


def _gcompat(data: bytes) -> LoaderFacts:
    library = _LIBGCOMPAT.search(data)
    assumed = () if library else ("gcompat's library is taken to be /lib/libgcompat.so.0",)
    return LoaderFacts("gcompat", "1", cache=None, preload=library[1].decode() if library else None, assumed=assumed)


def with_named_version(facts: LoaderFacts, name: str) -> LoaderFacts:
    """`facts` with the version that the loader's file name tells (``ld-2.31.so``, as glibc installed it up to 2.33), if it tells one
    and the file itself did not."""
    told = re.fullmatch(r"ld-(2\.\d+)\.so", name)
    untold = [a for a in facts.assumed if a.startswith(_NO_VERSION)]
    if told is None or not untold:
        return facts
    return evolve(facts, version=told[1], assumed=tuple(a for a in facts.assumed if a not in untold))


def _musl(data: bytes) -> LoaderFacts | None:
    lists = [m[1].decode() for m in _MUSL_PATH.finditer(data) if b":" in m[1]]
    found = [text for text in lists if not text.endswith("/bin")]  # execvp's default PATH stands in the same file
    path_file = _MUSL_PATH_FILE.search(data)
    if not found and path_file is None:
        return None
    assumed = [] if found else ["the loader's default path cannot be read from the file"]
    version = _MUSL_VERSION.search(data)
    if version is None:
        assumed.append("the version of musl is taken for 1.2.3")
    return LoaderFacts(
        "musl",
        version[1].decode() if version else "1.2.3",
        system_path=found[0] if found else "/lib:/usr/local/lib:/usr/lib",
        path_file=f"/etc/{path_file[1].decode()}" if path_file else "/etc/ld-musl-x86_64.path",
        assumed=tuple(assumed),
    )


def _system_dirs(data: bytes) -> tuple[str, ...]:
    """The built-in directories in search order, without trailing slashes.

    They stand one after the other, NUL-terminated, each with a trailing slash; an array of their lengths stands near. With one or two
    directories gcc 12 unrolls the loops over that array and it is gone (unpatched builds of 2.36). Then several library directories in a row
    are taken without it, and a single one (as of Arch, Nix and Guix) that stands there twice: from 2.34 on ``elf/dl-diagnostics.c`` has a copy.
    """
    runs = [
        (at, run) for at, run in _directory_runs(data) if all(_LIBRARY_DIRECTORY.search(d.rstrip("/")) for d in run)
    ]
    known = [run for at, run in runs if _lengths_are_near(data, at, run)] or [
        run for _, run in runs if len(run) > 1 or sum(run == other for _, other in runs) > 1
    ]
    return tuple(d.rstrip("/") for d in max(known, key=len)) if known else ()


def _directory_runs(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Every maximal run of directory texts that directly follow each other, with its offset."""
    run: list[str] = []
    start = end = -1
    for match in _DIRECTORY.finditer(data):
        if match.start() != end:
            if run:
                yield start, run
            run, start = [], match.start()
        run.append(match[0][:-1].decode())
        end = match.end()
    if run:
        yield start, run


def _lengths_are_near(data: bytes, at: int, run: list[str]) -> bool:
    word, order = ("Q" if data[4:5] == b"\x02" else "I"), (">" if data[5:6] == b"\x02" else "<")
    lengths = struct.pack(f"{order}{len(run)}{word}", *(len(d) for d in run))
    size = sum(len(d) + 1 for d in run)
    if data.find(lengths, max(at - _NEAR, 0), at + size + _NEAR) >= 0:
        return True
    return len(run) > 1 and lengths in data


def ldconfig_facts(data: bytes) -> LdconfigFacts | None:
    """The facts of an ldconfig program; None when `data` is none."""
    conf, cache = _CONF.search(data), _CACHE.search(data)
    if _LDCONFIG_ONLY not in data or cache is None:
        return None
    signature = _SIGNATURE.search(data)
    release = _RELEASE.search(data) or _PACKAGE.search(data) or _BARE_VERSION.search(data)
    dirs = _system_dirs(data)
    assumed = []
    if release is None:
        assumed.append("the version of ldconfig is taken for 2.31")
    if not dirs:
        dirs = ("/lib64", "/usr/lib64")
        assumed.append("the built-in directories of ldconfig cannot be read from the file: taken for Red Hat's")
    machine = int.from_bytes(data[18:20], "big" if data[5:6] == b"\x02" else "little")
    return LdconfigFacts(
        release[1].decode() if release else "2.31",
        dirs,
        assumed=tuple(assumed),
        machine=machine_name(machine),
        conf=conf[1].decode() if conf else "/etc/ld.so.conf",
        cache=cache[1].decode(),
        generator=signature[1].decode("utf-8", "surrogateescape") if signature else None,
    )
