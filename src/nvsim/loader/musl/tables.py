"""What differs between musl releases: rules asked for by name, and which symbols each libc exports.

Sources: musl ``ldso/dynlink.c`` at the tags 1.2.2 to 1.2.5 and the development tree after it; the dynamic symbol tables of Debian's
x86-64 builds of 1.2.2, 1.2.3, 1.2.5 and 1.2.6 (``exports.json``: the first release whole, each later one as what it adds and removes).
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from nvsim.frozen import frozen

# Names whose 64-suffixed forms the loader itself binds to the plain function, since they left the libc (get_lfs64).
LFS64 = frozenset(
    [
        "aio_cancel",
        "aio_error",
        "aio_fsync",
        "aio_read",
        "aio_return",
        "aio_suspend",
        "aio_write",
        "alphasort",
        "creat",
        "fallocate",
        "fgetpos",
        "fopen",
        "freopen",
        "fseeko",
        "fsetpos",
        "fstat",
        "fstatat",
        "fstatfs",
        "fstatvfs",
        "ftello",
        "ftruncate",
        "ftw",
        "getdents",
        "getrlimit",
        "glob",
        "globfree",
        "lio_listio",
        "lockf",
        "lseek",
        "lstat",
        "mkostemp",
        "mkostemps",
        "mkstemp",
        "mkstemps",
        "mmap",
        "nftw",
        "open",
        "openat",
        "posix_fadvise",
        "posix_fallocate",
        "pread",
        "preadv",
        "prlimit",
        "pwrite",
        "pwritev",
        "readdir",
        "scandir",
        "sendfile",
        "setrlimit",
        "stat",
        "statfs",
        "statvfs",
        "tmpfile",
        "truncate",
        "versionsort",
        "__fxstat",
        "__fxstatat",
        "__lxstat",
        "__xstat",
    ]
)


@frozen
class MuslRules:
    """The rules of one release. `lfs64_longest`: the longest NAME64 that is bound to NAME (0: none, to 1.2.3)."""

    lfs64_longest: int


def release(version: str) -> tuple[int, int, int]:
    """ "1.2.5_git20240705" -> (1, 2, 5); what is no number counts as 0."""
    numbers = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits or 0))
    return tuple([*numbers, 0, 0, 0][:3])  # type: ignore[return-value]


@lru_cache(maxsize=16)
def musl_rules(version: str) -> MuslRules:
    """The rules of a version ("1.2.3")."""
    number = release(version)
    return MuslRules(lfs64_longest=0 if number < (1, 2, 4) else 16 if number < (1, 2, 6) else 18)


@lru_cache(maxsize=16)
def exports(version: str) -> tuple[frozenset[str], str | None]:
    """The symbols that libc exports, and what was assumed for it: None for a release whose list is known."""
    known = _lists()
    number = release(version)
    if number in known:
        return known[number], None
    nearest = max((n for n in known if n <= number), default=min(known))
    text = ".".join(map(str, nearest))
    return known[nearest], f"musl {version} is taken to export the symbols of {text}"


@lru_cache(maxsize=1)
def _lists() -> dict[tuple[int, int, int], frozenset[str]]:
    data = json.loads(files(__package__).joinpath("exports.json").read_text("utf-8"))
    out: dict[tuple[int, int, int], frozenset[str]] = {}
    current: frozenset[str] = frozenset()
    for version, change in data.items():
        current = current - set(change["removed"]) | set(change["added"])
        out[release(version)] = current
    return out
