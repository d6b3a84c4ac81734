"""`nvsim.frozen` makes what attrs makes of the same class, and attrs works on it."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.frozen import define, evolve, field, fields, frozen


@frozen
class Ours:
    """A value."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = field(default=(), eq=False)
    d: dict[str, int] = field(factory=dict, hash=False, repr=False)
    e: bool = field(default=False, kw_only=True)
    made: list[int] = field(factory=list, init=False, eq=False)
    LIMIT: ClassVar[int] = 3

    def doubled(self) -> int:
        return 2 * self.a


@attrs.frozen
class Theirs:
    """A value."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = attrs.field(default=(), eq=False)
    d: dict[str, int] = attrs.field(factory=dict, hash=False, repr=False)
    e: bool = attrs.field(default=False, kw_only=True)
    made: list[int] = attrs.field(factory=list, init=False, eq=False)
    LIMIT: ClassVar[int] = 3

    def doubled(self) -> int:
        return 2 * self.a


@define
class State:
    a: int
    seen: list[int] = field(factory=list)


@define(eq=False)
class Identity:
    a: int


values = st.fixed_dictionaries(
    {"a": st.integers(0, 2)},
    optional={
        "b": st.sampled_from("xy"),
        "c": st.sampled_from([(), (1,)]),
        "d": st.dictionaries(st.sampled_from("pq"), st.integers(0, 1)),
        "e": st.booleans(),
    },
)


@given(values, values)
def test_values_compare_hash_and_print_as_those_of_attrs(left: dict[str, Any], right: dict[str, Any]) -> None:
    ours, theirs = (Ours(**left), Ours(**right)), (Theirs(**left), Theirs(**right))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert ours[0] != theirs[0]
    if ours[0] == ours[1]:
        assert hash(ours[0]) == hash(ours[1])
    assert repr(ours[0]) == repr(theirs[0]).replace("Theirs", "Ours")
    assert attrs.asdict(ours[0]) == attrs.asdict(theirs[0])
    assert evolve(ours[0], **right) == Ours(**{**left, **right}) == attrs.evolve(ours[0], **right)


@given(values)
def test_copies_and_pickles_are_equal_values(given_values: dict[str, Any]) -> None:
    value = Ours(**given_values)
    for again in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert again == value
        assert again.c == value.c


def test_a_value_cannot_be_changed() -> None:
    value = Ours(1)
    for change in (lambda: setattr(value, "a", 2), lambda: delattr(value, "a"), lambda: setattr(value, "other", 2)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            change()
    assert not hasattr(value, "__dict__")
    assert value.made is not Ours(1).made


def test_a_wrong_call_is_a_type_error() -> None:
    for call in (
        Ours,
        lambda: Ours(1, nothing=2),
        lambda: Ours(1, "x", (), {}, True),
        lambda: Ours(1, made=[]),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        evolve(Ours(1), **{"nothing": 2})


def test_state_can_be_changed_and_is_in_no_set() -> None:
    state = State(1)
    state.a = 2
    assert state == State(2)
    assert state != State(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(state)
    assert Identity(1) != Identity(1)
    assert len({Identity(1), Identity(1)}) == 2


def test_the_class_says_what_it_is() -> None:
    assert Ours.__doc__ == "A value."
    assert Ours.LIMIT == 3
    assert Ours(2).doubled() == 4
    assert [f.name for f in fields(Ours)] == [a.name for a in attrs.fields(Theirs)]
    assert not attrs.has(int)
    assert attrs.has(Ours)
    assert list(inspect.signature(Ours.__init__).parameters)[1:] == ["a", "b", "c", "d", "e"]
    match Ours(1, "y"):
        case Ours(a, b):
            assert (a, b) == (1, "y")
