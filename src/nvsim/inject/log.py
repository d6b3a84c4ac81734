"""What a simulated toolkit program says while it works: its log lines, and the error that ends it.

`ToolFailure` travels only inside `nvsim.inject`: the public functions catch it and return its text as a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from nvsim.frozen import define, field, frozen

T = TypeVar("T")


class ToolFailure(Exception):  # noqa: N818 - it is a predicted failure of the real program, not an error of nvsim
    """An error of the real program on its way up; the argument is the real program's text so far.

    `not_found` says that a lookup found nothing, which optional lookups forgive.
    """

    def __init__(self, text: str, *, not_found: bool = False):
        super().__init__(text)
        self.text = text
        self.not_found = not_found

    def within(self, prefix: str) -> ToolFailure:
        """The same failure, one level up: Go's ``fmt.Errorf("prefix: %w", err)``."""
        return ToolFailure(f"{prefix}: {self.text}", not_found=self.not_found)


@define
class ToolLog:
    """The log of one program run: (level, message) pairs, first occurrences only."""

    lines: list[tuple[str, str]] = field(factory=list)
    _seen: set[tuple[str, str]] = field(factory=set, repr=False)

    def add(self, level: str, message: str) -> None:
        line = (level, message)
        if line not in self._seen:
            self._seen.add(line)
            self.lines.append(line)

    def info(self, message: str) -> None:
        self.add("info", message)

    def warning(self, message: str) -> None:
        self.add("warning", message)

    def error(self, message: str) -> None:
        self.add("error", message)


@frozen
class Logged(Generic[T]):
    """What a piece of work came to, with the lines that it logged: a `value`, or the `failure` that ended it. It can be kept and told again."""

    lines: tuple[tuple[str, str], ...]
    value: T | None = None
    failure: ToolFailure | None = None

    def told(self, log: ToolLog) -> T:
        """The value, the lines added to `log`. Raises `ToolFailure`."""
        for level, message in self.lines:
            log.add(level, message)
        if self.failure is not None:
            raise ToolFailure(self.failure.text, not_found=self.failure.not_found)
        return self.value  # type: ignore[return-value]


def logged(work: Callable[[ToolLog], T]) -> Logged[T]:
    """`work` done with a log of its own."""
    log = ToolLog()
    try:
        value = work(log)
    except ToolFailure as e:
        return Logged(tuple(log.lines), failure=e)
    return Logged(tuple(log.lines), value)
