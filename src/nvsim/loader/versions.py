"""Symbol versions: the libc release as a number, and the check of every loaded object's needs (glibc ``elf/dl-version.c``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from nvsim.elf.facts import ElfFacts


@lru_cache(maxsize=256)
def libc_version(text: str) -> tuple[int, int]:
    """ "2.36" or "2.36-9+deb12u14" -> (2, 36); what is no number counts as 0."""
    parts = text.partition("-")[0].split(".")
    numbers = [int("".join(c for c in p if c.isdigit()) or 0) for p in parts[:2]]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0)


def version_problems(
    elf: ElfFacts, label: str, find: Callable[[str], tuple[str, ElfFacts] | None]
) -> Iterator[tuple[bool, str]]:
    """(fatal, text) for every version that `elf` needs and does not get, in the order of its DT_VERNEED.

    `find` gives the label and facts of the loaded object that a file name stands for. The text is without the program's name.
    """
    for need in elf.verneed:
        found = find(need.file)
        if found is None:
            continue
        where, other = found
        if not other.verdef:
            for _ in need.versions:
                yield False, f"{where}: no version information available (required by {label})"
            continue
        defined = {*other.verdef, other.soname}
        for version in need.versions:
            if version not in defined:
                weak = version in need.weak
                kind = "weak version" if weak else "version"
                yield not weak, f"{where}: {kind} `{version}' not found (required by {label})"
