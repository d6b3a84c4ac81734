"""Release numbers of C libraries as values that compare."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=256)
def libc_version(text: str) -> tuple[int, int]:
    """ "2.36" or "2.36-9+deb12u14" -> (2, 36); what is no number counts as 0."""
    parts = text.partition("-")[0].split(".")
    numbers = [int("".join(c for c in p if c.isdigit()) or 0) for p in parts[:2]]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0)
