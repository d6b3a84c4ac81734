"""What a container asks for, and the prestart hook, against recorded results of the real programs, 1.10.0 to 1.20.0+27."""

from __future__ import annotations

import pytest

from nvsim.queries.toolkit import answer
from toolkitvectors import cases, plain

KINDS = ("image", "mode", "cdi-request", "capabilities", "hook")


@pytest.mark.parametrize("kind", KINDS)
def test_every_recorded_result_is_predicted(kind: str) -> None:
    wrong = []
    count = 0
    for case, query, recorded in cases(kind):
        count += 1
        if plain(answer(kind, query)) != plain(recorded):
            wrong.append(case)
    assert count >= 100
    assert not wrong
