"""The places that a search for a library considered: directory, who put it into the search, what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.frozen import frozen
from nvsim.rootfs.tree import parent_of

if TYPE_CHECKING:
    from nvsim.loader.outcome import Search

# names of the subdirectories that loaders before 2.37 look into (platforms and hwcaps of x86 and others)
_CPU_NAMES = frozenset(
    ("tls", "x86_64", "haswell", "xeon_phi", "avx512_1", "i386", "i486", "i586", "i686", "sse2", "atomics", "aarch64", "v7l", "v8l", "neon", "vfp")
)  # fmt: skip
_ABSENT = "the directory does not exist"
_NO_ENTRY = "no entry of that name"


@frozen
class SearchPlace:
    """A directory that a search considered, who put it into the search ("" for a cache without an entry), and what was there."""

    path: str
    set_by: str
    result: str

    @property
    def absent(self) -> bool:
        """The directory itself does not exist."""
        return self.result == _ABSENT


def places_of(search: Search) -> tuple[SearchPlace, ...]:
    """The places of a search, in order.

    Subdirectories for kinds of CPUs (glibc-hwcaps, tls, haswell, ...) are named only where something was found in them.
    """
    every = {c.path.rpartition("/")[0] for c in search.candidates} | {d for p in search.paths for d in p.absent}

    def variant(directory: str) -> bool:
        """A subdirectory, for kinds of CPUs alone, of another directory of the search."""
        at = directory.find("/")
        while at >= 0:
            parts = directory[at + 1 :].split("/")
            if directory[:at] in every and (parts[0] == "glibc-hwcaps" or _CPU_NAMES.issuperset(parts)):
                return True
            at = directory.find("/", at + 1)
        return False

    asked_cache = any(c.stage == "cache" for c in search.candidates)
    rows: dict[tuple[str, str], list[str]] = {}
    without_file: dict[int, list[tuple[str, str, str]]] = {}
    for path in search.paths:
        found = without_file.setdefault(path.at, [])
        found += [(d, path.set_by, _ABSENT) for d in path.absent if not variant(d)]
        if path.what == "cache" and not asked_cache:
            found += [(d, "", _NO_ENTRY) for d in path.directories]
    for number in range(len(search.candidates) + 1):
        for directory, by, result in without_file.get(number, ()):
            rows.setdefault((directory, by), []).append(result)
        if number < len(search.candidates):
            candidate = search.candidates[number]
            directory = parent_of(candidate.path) if "/" in candidate.path else candidate.path
            if candidate.result != "missing" or not variant(directory):
                rows.setdefault((directory, candidate.set_by), []).append(candidate.result)
    return tuple(SearchPlace(d, by, ", ".join(dict.fromkeys(results))) for (d, by), results in rows.items())


def considered(search: Search) -> tuple[str, ...]:
    """The places of a search as lines of evidence."""
    return tuple(
        f"looked in {p.path} ({p.set_by}): {p.result}" if p.set_by else f"looked in {p.path}: {p.result}"
        for p in places_of(search)
    )
