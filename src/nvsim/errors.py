"""The exceptions of nvsim, told apart by what the caller can do about them.

A *predicted* failure (a library that is not found, a container that does not start) is a value, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable


class NvsimError(Exception):
    """Base of every error that nvsim raises on purpose."""


class InputError(NvsimError):
    """Something the user gave cannot be used: a file, an option, a query.

    The text is one line: *what* is wrong, *where* (``source``: a file or option; ``position``: line, column, JSON path)
    and, where there is one, *what to do* (``hint``).
    """

    def __init__(
        self, message: str, *, source: str | None = None, position: str | None = None, hint: str | None = None
    ):
        self.message = message
        self.source = source
        self.position = position
        self.hint = hint
        where = ":".join(x for x in (source, position) if x)
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text} ({hint})" if hint else text)


class ChangedError(InputError):
    """A file or directory is no longer what it was when it was first seen: asked again, there may be an answer."""


class UnsupportedError(NvsimError):
    """The question is understood, but nvsim does not model what it asks for."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known ones, or all of them."""
    import difflib

    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.55)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if known else "there are none"
