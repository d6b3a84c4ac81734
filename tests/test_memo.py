"""The memory of stages: right answers, a bound, and no confusion of values that only look alike."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.memo import Memo, Same


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_answers_are_those_of_the_function_and_their_number_is_bounded(keys: list[int], limit: int) -> None:
    memo = Memo(limit)
    for key in keys:
        assert memo.get("square", key, lambda key=key: key * key) == key * key  # type: ignore[misc]
        assert memo.kept("square") <= limit
    assert memo.hits.get("square", 0) + memo.misses.get("square", 0) == len(keys)


def test_what_was_used_last_stays() -> None:
    memo = Memo(2)
    for key in (1, 2, 1, 3):
        memo.get("s", key, lambda: key)  # noqa: B023
    memo.get("s", 1, lambda: pytest.fail("1 was used after 2"))
    assert memo.misses == {"s": 3}


def test_a_stage_may_have_a_limit_of_its_own() -> None:
    memo = Memo(100)
    for key in range(9):
        memo.get("large", key, lambda: None, most=3)
        memo.get("small", key, lambda: None)
    assert (memo.kept("large"), memo.kept("small")) == (3, 9)


def test_stages_do_not_share_answers() -> None:
    memo = Memo()
    assert memo.get("a", 1, lambda: "a") == "a"
    assert memo.get("b", 1, lambda: "b") == "b"


def test_an_object_is_the_same_only_as_itself() -> None:
    one, two = [1], [1]
    assert Same(one) == Same(one) != Same(two)
    assert Same(one) != one
    memo = Memo()
    assert memo.get("s", Same(one), lambda: 1) == 1
    assert memo.get("s", Same(two), lambda: 2) == 2


def test_what_fails_is_tried_again() -> None:
    memo = Memo()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            memo.get("s", 0, lambda: 1 // 0)
    assert memo.kept("s") == 0


def test_a_copy_starts_empty() -> None:
    memo = Memo(7)
    memo.get("s", 1, lambda: 1)
    again = pickle.loads(pickle.dumps(memo))
    assert (again.kept("s"), again.limit) == (0, 7)
