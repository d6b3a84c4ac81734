"""`Memo`: the bounded memory that an immutable value carries of what was derived from it.

A stage that is a pure function keeps its answers in the memo of the value that it starts from (an image, a host), under a key that holds
everything else that it reads. So an answer lives no longer than the value it rests on, nothing is global, and a stage whose inputs did not
change is not run again. What the stages and their keys are is told where they are called (`nvsim.simulate`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT = 128


class Same:
    """A part of a key that stands for one object: equal only to itself, whatever it holds. Keeps the object alive."""

    __slots__ = ("value",)

    def __init__(self, value: object):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Memo:
    """Of each stage at most `limit` answers, or as many as the stage says; the one that was not asked for the longest goes first.

    `hits` and `misses` count by stage. A copy or a pickle of a memo is empty.
    """

    __slots__ = ("_stages", "hits", "limit", "misses")

    def __init__(self, limit: int = LIMIT):
        self.limit = limit
        self.hits: dict[str, int] = {}
        self.misses: dict[str, int] = {}
        self._stages: dict[str, dict[Hashable, Any]] = {}

    def get(self, stage: str, key: Hashable, make: Callable[[], T], most: int | None = None) -> T:
        """The answer of `stage` for `key`, made now if it is not known; `most` is the stage's own limit. What `make` raises is not kept."""
        answers = self._stages.get(stage)
        if answers is None:
            answers = self._stages[stage] = {}
        known: T
        if key in answers:
            known = answers.pop(key)
            self.hits[stage] = self.hits.get(stage, 0) + 1
        else:
            known = make()
            self.misses[stage] = self.misses.get(stage, 0) + 1
            while len(answers) >= (most or self.limit):
                answers.pop(next(iter(answers)), None)
        answers[key] = known
        return known

    def kept(self, stage: str) -> int:
        """How many answers of a stage there are now."""
        return len(self._stages.get(stage, ()))

    def __reduce__(self) -> tuple[type[Memo], tuple[int]]:
        return Memo, (self.limit,)
