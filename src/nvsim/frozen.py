"""`frozen` and `define`: attrs classes whose comparison, hash and text are functions that all of them share.

attrs compiles these methods for each class. A start of nvsim makes some hundred classes and compares or prints few of their instances, and
that was half of what making them took. Slots, fields, initialiser and immutability are attrs' own, and so is everything that attrs says
of a class (`attrs.fields`, `attrs.evolve`, `attrs.asdict`); type checkers see plain attrs.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from attrs import define as _define
from attrs import evolve as attrs_evolve
from attrs import field, fields, has

if TYPE_CHECKING:
    from attrs import define, evolve, frozen

__all__ = ["define", "evolve", "field", "fields", "frozen", "has"]


if not TYPE_CHECKING:

    def frozen(cls=None, /, *, eq=True):
        """A class of immutable values with slots. `eq` False: an instance is equal only to itself."""
        return _made(cls, True, eq) if cls is not None else lambda made: _made(made, True, eq)

    def define(cls=None, /, *, eq=True):
        """A class of state with slots; its instances have no hash unless `eq` is False."""
        return _made(cls, False, eq) if cls is not None else lambda made: _made(made, False, eq)

    def evolve(inst, /, **changes):
        """A copy with other values of some fields, named as the initialiser names them."""
        cls = inst.__class__
        plan = cls.__dict__.get("_evolved")
        if plan is None:
            plan = cls._evolved = _evolution(cls)
        taken, places = plan
        if places is None or not places.keys() >= changes.keys():  # a name that there is not: attrs says so
            return attrs_evolve(inst, **changes)
        values = [*taken(inst)]
        for name, value in changes.items():
            values[places[name]] = value
        return cls(*values)


def _made(cls: type, immutable: bool, eq: bool) -> type:
    own = vars(cls)
    made = _define(cls, frozen=immutable, eq=False, repr=False, getstate_setstate=True)
    members: Any = made  # what follows is no part of its type
    compared = [a.name for a in fields(made) if a.eq]
    if eq and "__eq__" not in own:
        members._compared = _getter(compared)
        members.__eq__ = _equal
        members.__hash__ = None
    if eq and immutable and "__hash__" not in own:
        members._hashed = _getter([a.name for a in fields(made) if (a.eq if a.hash is None else a.hash)])
        members.__hash__ = _hash
    if "__repr__" not in own:
        members.__repr__ = _text
    return made


def _getter(names: list[str]) -> attrgetter[Any]:
    """The values of these attributes, in a tuple where there are several."""
    return attrgetter(*names) if names else attrgetter("__class__")


def _evolution(cls: type) -> tuple[attrgetter[Any], dict[str, int] | None]:
    """What a copy takes over: the values of the fields in the initialiser's order, and the place of each. Without places attrs makes the
    copy: where there are few fields, or where values are given by name alone."""
    taken = [a for a in fields(cls) if a.init]
    plain = len(taken) > 1 and not any(a.kw_only for a in taken)
    return _getter([a.name for a in taken]), {a.alias: i for i, a in enumerate(taken)} if plain else None


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = self._compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self._hashed(self))


def _text(self: Any) -> str:
    shown = ", ".join(f"{a.name}={getattr(self, a.name)!r}" for a in fields(self.__class__) if a.repr)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({shown})"
