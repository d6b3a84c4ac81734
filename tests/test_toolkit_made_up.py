"""Made-up questions and what the real functions and programs answered: odd texts, broken files, arguments of every form."""

from __future__ import annotations

from typing import Any

import pytest

from nvsim.queries.toolkit import answer
from toolkitvectors import plain, records

RUN = ("exit", "argv", "env", "stdout", "stderr", "spec", "mode_log")
CASES = records("made-up")


@pytest.mark.parametrize("kind", sorted({c["kind"] for c in CASES}))
def test_made_up_questions_are_answered_as_the_real_ones_were(kind: str) -> None:
    asked = [c for c in CASES if c["kind"] == kind]
    assert len(asked) >= 50
    assert [c["id"] for c in asked if _told(answer(kind, c["input"])) != _told(c["expect"])] == []


def _told(result: dict[str, Any]) -> Any:
    """What is compared of a result: of a run, what it leaves and says."""
    if "exit" not in result:
        return plain(result)
    told = {k: result.get(k) or None for k in RUN}
    if told["env"]:
        told["env"] = sorted(told["env"])
    return plain(told)
