"""The names in LD_PRELOAD and in ld.so.preload (glibc ``elf/rtld.c``)."""

from __future__ import annotations

import re


def preload_names(text: str, *, secure: bool) -> list[str]:
    """The names in LD_PRELOAD, split at blanks and colons; with AT_SECURE those with a slash are dropped."""
    names = [n for n in re.split("[ :]", text) if n]
    return [n for n in names if "/" not in n] if secure else names


def preload_file_names(text: str) -> list[str]:
    """The names in ld.so.preload.

    Comments are blanked as rtld does it: every look for the next ``#`` begins at the start of the file again, with the length that is
    left, so that after a comment a later one may not be recognised.
    """
    data = list(text)
    rest = len(data)
    while True:
        at = next((i for i in range(rest) if data[i] == "#"), None)
        if at is None:
            break
        rest -= at
        while True:
            data[at] = " "
            rest -= 1
            at += 1
            if rest <= 0 or data[at] == "\n":
                break
    return [n for n in re.split("[ \t\n:]", "".join(data)) if n]
