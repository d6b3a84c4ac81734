"""The tree that a TOML text is read into (pelletier/go-toml v1, ``toml.go``); `nvsim.toolkit.toml_reader` builds it."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A string, bool, int, float, `Moment`, or a list of such values, `Table`s and lists. `commented`: it is written as a comment."""

    value: Any
    position: Position
    commented: bool = False


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


# ---- paths


def get_path(root: Table, path: Sequence[str]) -> Any:
    """What a path names: a bare value, `Table`, list of `Table`s, or None. In an array of tables the newest one counts."""
    table: Table | None = root
    for key in path[:-1]:
        table = step_into(table.values.get(key)) if table is not None else None
    if table is None or not path:
        return table
    return table.get(path[-1])


def set_path(root: Table, path: Sequence[str], value: Any, *, commented: bool = False) -> None:
    """Put a value where a path says; a key on the way that is no table is passed over, as the library does."""
    table = root
    for i, key in enumerate(path[:-1]):
        node = table.values.get(key)
        if node is None:
            node = table.values[key] = Table(Position(root.position.line + i, root.position.column))
        table = step_into(node) or table
    if isinstance(value, Table) or is_tables(value):
        table.values[path[-1]] = value
    else:
        place = Position(table.position.line + len(table.values) + 1, table.position.column)
        table.values[path[-1]] = Value(value, place, commented)


def delete_path(root: Table, path: Sequence[str]) -> None:
    """Remove what a path names, if it is there."""
    table = get_path(root, path[:-1])
    if isinstance(table, Table):
        table.values.pop(path[-1], None)


def step_into(node: Any) -> Table | None:
    """The table to go on from: the table itself, or the newest one of an array."""
    if isinstance(node, list):
        return node[-1] if node else None
    return node if isinstance(node, Table) else None
