"""The tree that a TOML text is read into (pelletier/go-toml v1, ``toml.go``); `nvsim.toolkit.toml_reader` builds it."""

from __future__ import annotations

from typing import Any

from nvsim.frozen import define, field, frozen


class TomlError(Exception):
    """The text is no TOML for the library; the argument is its message, mostly with a position such as ``(2, 1): ``."""


@frozen
class Position:
    """Line and column, from 1; an element of an inline table has a made-up place, as in the library."""

    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"({self.line}, {self.column})"


@frozen
class Moment:
    """A date or a time: the library's type for it, how it prints (``%v``), its Go syntax (``%#v``), and its TOML text."""

    go_type: str
    text: str
    syntax: str
    toml: str


@frozen
class Value:
    """A string, bool, int, float, `Moment`, or a list of such values, `Table`s and lists."""

    value: Any
    position: Position


@define
class Table:
    """A table; `values` holds `Value`, `Table` and lists of `Table` (an array of tables)."""

    position: Position = field(factory=Position)
    values: dict[str, Value | Table | list[Table]] = field(factory=dict)
    inline: bool = False

    def get(self, key: str) -> Any:
        """The bare value, `Table` or list of `Table`s of a key; None when it is absent."""
        found = self.values.get(key)
        return found.value if isinstance(found, Value) else found

    def position_of(self, key: str) -> Position:
        found = self.values.get(key)
        if isinstance(found, list):
            return found[-1].position if found else Position()
        return found.position if found is not None else Position()


def is_tables(value: Any) -> bool:
    """Whether a value is an array of tables: every item is a table, and there is one."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Table) for v in value)
