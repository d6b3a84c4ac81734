"""Facts of dynamic loaders and ldconfig programs, read from the constants in their own bytes."""

from __future__ import annotations

import re

from nvsim.elf.facts import LdconfigFacts, LoaderFacts

_RELEASE = re.compile(rb"(?:stable|development) release version (\d+\.\d+)")
_DIRECTORY = re.compile(rb"(?:/[A-Za-z0-9_.+-]+)+/\0")
_MUSL_PATH = re.compile(rb"\0((?:/[A-Za-z0-9_.+-]+)+(?::(?:/[A-Za-z0-9_.+-]+)+)+)\0")
_MUSL_VERSION = re.compile(rb"\0(1\.[12]\.\d+)\0")
_CACHE = re.compile(rb"\0((?:/[^\0/]+)*/etc/ld\.so\.cache)\0")
_PRELOAD = re.compile(rb"\0((?:/[^\0/]+)*/etc/ld[a-z-]*\.so\.preload)\0")


def loader_facts(data: bytes) -> LoaderFacts | None:
    """The facts of a glibc or musl loader; None when `data` is none."""
    musl = _musl_path(data) if b"Error loading shared library" in data else None
    if musl is not None:
        version = _MUSL_VERSION.search(data)
        assumed = () if version else ("the version of musl is taken for 1.2.3",)
        name = re.search(rb"/etc/(ld-musl-[a-z0-9_]+\.path)", data)
        path_file = f"/etc/{name[1].decode()}" if name else "/etc/ld-musl-x86_64.path"
        number = version[1].decode() if version else "1.2.3"
        return LoaderFacts("musl", number, system_path=musl, path_file=path_file, assumed=assumed)
    release = _RELEASE.search(data)
    if release is None or b"error while loading shared libraries" not in data:
        return None
    dirs = _system_dirs(data)
    cache, preload = _CACHE.search(data), _PRELOAD.search(data)
    lib = "lib64" if "/lib64" in dirs else "lib"
    multiarch = next((d for d in dirs if "-linux-gnu" in d), None)
    if multiarch is not None:
        lib = multiarch.removeprefix("/usr").lstrip("/")
    assumed = () if dirs else ("the loader's built-in directories cannot be read from the file",)
    return LoaderFacts(
        "glibc",
        release[1].decode(),
        dirs,
        lib,
        cache[1].decode() if cache else None,
        preload[1].decode() if preload else None,
        assumed=assumed,
    )


def _musl_path(data: bytes) -> str | None:
    """The built-in library path; execvp's default PATH, a list of directories too, stands in the same file."""
    lists = (m[1].decode() for m in _MUSL_PATH.finditer(data))
    return next((text for text in lists if not any(d.endswith("/bin") for d in text.split(":"))), None)


def _system_dirs(data: bytes) -> tuple[str, ...]:
    """The NUL-terminated directories that directly follow each other, each with a trailing slash."""
    best: list[str] = []
    run: list[str] = []
    end = -1
    for match in _DIRECTORY.finditer(data):
        if match.start() != end:
            run = []
        run.append(match[0][:-2].decode())
        end = match.end()
        if len(run) > len(best):
            best = list(run)
    return tuple(best)


def ldconfig_facts(data: bytes) -> LdconfigFacts | None:
    """The facts of an ldconfig program; None when `data` is none."""
    release = _RELEASE.search(data)
    if release is None or (b"ld.so.cache~" not in data and b"Can't create temporary cache file" not in data):
        return None
    known = [d.encode() + b"\0" in data for d in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu")]
    if any(known):
        arch = "x86_64" if known[0] else "aarch64"
        dirs = (f"/lib/{arch}-linux-gnu", f"/usr/lib/{arch}-linux-gnu", "/lib", "/usr/lib")
    else:
        dirs = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
    return LdconfigFacts(release[1].decode(), dirs)
