"""A TOML text as a tree in which every value knows its place (pelletier/go-toml v1, ``parser.go`` and ``toml.go``).

`tomllib` reads another language: it has no positions, and it refuses texts that the toolkit takes and takes some that it refuses.
The words come from `nvsim.toolkit.toml_tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from nvsim.toolkit import toml_tokens as words
from nvsim.toolkit.go_text import go_float, go_quote
from nvsim.toolkit.toml_tokens import Token, tokens_of

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_BOM = "\ufeff"
_BASES = {"0x": 16, "0o": 8, "0b": 2}


class TomlError(Exception):
    """The text is no TOML for the library; the argument is its message, mostly with a position such as ``(2, 1): ``."""


@frozen(slots=True)
class Position:
    """Line and column, from 1; an element of an inline table has a made-up place, as in the library."""

    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"({self.line}, {self.column})"


@frozen(slots=True)
class Moment:
    """A date or a time: the library's type for it, and how it prints."""

    go_type: str
    text: str


@frozen(slots=True)
class Value:
    """A string, bool, int, float, `Moment`, or a list of such values, `Table`s and lists."""

    value: Any
    position: Position


@define(slots=True)
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


def read_toml(text: str) -> Table:
    """The tree of a TOML text, with or without a byte order mark. Raises `TomlError`."""
    return _Parser(tokens_of(text.removeprefix(_BOM))).run()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.root = Table(Position(1, 1))
        self.current: list[str] = []
        self.seen: list[str] = []

    def peek(self) -> Token:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, kind: str) -> None:
        token = self.take()
        if token.kind != kind:
            raise _at(token, f"was expecting token {kind}, but got {token} instead")

    def run(self) -> Table:
        while True:
            token = self.peek()
            if token.kind == words.EOF:
                return self.root
            if token.kind == words.DOUBLE_LEFT:
                self.table_array()
            elif token.kind == "[":
                self.table()
            elif token.kind == words.KEY:
                self.assignment()
            elif token.kind == words.ERROR:
                raise _at(token, f"parsing error: {token}")
            else:
                raise _at(token, f"unexpected token {token.kind}")

    # ---- headers

    def table_array(self) -> None:
        start, key = self.take(), self.take()
        if key.kind != words.KEY_GROUP_ARRAY:
            raise _at(key, f"unexpected token {key}, was expecting a table array key")
        path = _split_key(key, "invalid table array key")
        with suppress(TomlError):  # the library does not look
            _make_tables(self.root, path[:-1], _position(start))
        found = _get(self.root, path)
        if found is not None and not _is_tables(found):
            raise _at(key, f"key {key} is already assigned and not of type table array")
        array: list[Table] = [*(found or ()), Table(_position(start))]
        _set(self.root, path, array)
        self.current = path
        last = False
        kept = []
        for name in self.seen:
            if not name.startswith(f"{key.text}."):
                last = name == key.text
                kept.append(name)
        self.seen = kept if last else [*kept, key.text]
        self.expect(words.DOUBLE_RIGHT)

    def table(self) -> None:
        start, key = self.take(), self.take()
        if key.kind != words.KEY_GROUP:
            raise _at(key, f"unexpected token {key}, was expecting a table key")
        if key.text in self.seen:
            raise _at(key, "duplicated tables")
        self.seen.append(key.text)
        path = _split_key(key, "invalid table array key")
        try:
            _make_tables(self.root, path, _position(start))
        except TomlError as e:
            raise _at(key, str(e)) from None
        found = _get(self.root, path)
        if isinstance(found, Table) and found.inline:
            raise _at(key, f"could not re-define exist inline table or its sub-table : {'.'.join(path)}")
        self.expect("]")
        self.current = path

    # ---- keys and values

    def assignment(self) -> None:
        key = self.take()
        self.expect("=")
        name = _split_key(key, "invalid key")
        value = self.value()
        path = [*self.current, *name[:-1]]
        target = _get(self.root, path)
        if target is None:
            try:
                _make_tables(self.root, path, _position(key))
            except TomlError as e:
                raise _at(key, f"could not create intermediate group: {e}") from None
            target = _get(self.root, path)
        if _is_tables(target):
            target = target[-1]
        if not isinstance(target, Table):
            raise _at(key, f"Unknown table type for path: {'.'.join(path)}")
        if target.inline:
            what = "could not add key or sub-table to exist inline table or its sub-table"
            raise _at(key, f"{what} : {'.'.join(path)}")
        if target.get(name[-1]) is not None:
            raise _at(key, f"The following key was defined twice: {'.'.join([*path, name[-1]])}")
        target.values[name[-1]] = (
            value if isinstance(value, Table) or _is_tables(value) else Value(value, _position(key))
        )

    def value(self) -> Any:
        token = self.take()
        kind = token.kind
        if kind == words.STRING:
            return token.text
        if kind in (words.TRUE, words.FALSE):
            return kind == words.TRUE
        if kind in (words.INF, words.NAN):
            return float(token.text)
        if kind == words.INTEGER:
            return _integer(token)
        if kind == words.FLOAT:
            return _float(token)
        if kind in (words.LOCAL_DATE, words.LOCAL_TIME):
            return self.moment(token)
        if kind == "[":
            return self.array()
        if kind == "{":
            return self.inline_table()
        if kind == words.EOF:
            raise _at(token, "expecting a value")
        if kind == "=":
            raise _at(token, "cannot have multiple equals for the same key")
        if kind == words.ERROR:
            raise _at(token, str(token))
        raise TomlError(f"unhandled token: {token}")

    def moment(self, token: Token) -> Moment:
        """A date or time; whether it exists in the calendar is not checked."""
        if token.kind == words.LOCAL_TIME:
            return Moment("toml.LocalTime", token.text)
        if self.peek().kind != words.LOCAL_TIME:
            return Moment("toml.LocalDate", token.text)
        time = self.take().text
        if self.peek().kind != words.TIME_OFFSET:
            return Moment("toml.LocalDateTime", f"{token.text}T{time}")
        offset = self.take().text
        zone = "+0000 UTC" if offset == "Z" else f"{offset.replace(':', '')} {offset.replace(':', '')}"
        return Moment("time.Time", f"{token.text} {time} {zone}")

    def array(self) -> Any:
        items: list[Any] = []
        while True:
            token = self.peek()
            if token.kind == words.EOF:
                raise _at(token, "unterminated array")
            if token.kind == "]":
                self.take()
                return items
            items.append(self.value())
            token = self.peek()
            if token.kind == words.EOF:
                raise _at(token, "unterminated array")
            if token.kind not in ("]", ","):
                raise _at(token, "missing comma")
            if token.kind == ",":
                self.take()

    def inline_table(self) -> Table:
        table = Table()
        previous: Token | None = None
        while True:
            token = self.peek()
            if token.kind == words.EOF:
                raise _at(token, "unterminated inline table")
            if token.kind == "}":
                self.take()
                break
            if token.kind in (words.KEY, words.INTEGER, words.STRING):
                if previous is not None and previous.kind != ",":
                    raise _at(token, "comma expected between fields in inline table")
                key = self.take()
                self.expect("=")
                path = _split_key(key, "invalid key")
                _set(table, path, self.value())
            elif token.kind == ",":
                if previous is not None and previous.kind == ",":
                    raise _at(token, "need field between two commas in inline table")
                self.take()
            else:
                raise _at(token, f"unexpected token type in inline table: {token}")
            previous = token
        if previous is not None and previous.kind == ",":
            raise _at(previous, "trailing comma at the end of inline table")
        table.inline = True
        return table


def _at(token: Token, message: str) -> TomlError:
    return TomlError(f"{_position(token)}: {message}")


def _position(token: Token) -> Position:
    return Position(token.line, token.column)


def _is_tables(value: Any) -> bool:
    """Whether a value is an array of tables: every item is a table, and there is one."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Table) for v in value)


# ---- the tree


def _step(node: Any) -> Table | None:
    """The table to go on from: the table itself, or the newest one of an array."""
    if isinstance(node, list):
        return node[-1] if node else None
    return node if isinstance(node, Table) else None


def _get(root: Table, path: Sequence[str]) -> Any:
    """What a path names: a bare value, `Table`, list of `Table`s, or None."""
    table: Table | None = root
    for key in path[:-1]:
        table = _step(table.values.get(key)) if table is not None else None
    if table is None or not path:
        return table
    return table.get(path[-1])


def _make_tables(root: Table, path: Sequence[str], position: Position) -> None:
    """Make the missing tables of a path. Raises `TomlError` (without a position) where something else stands."""
    table = root
    for key in path:
        node = table.values.get(key)
        if node is None:
            node = table.values[key] = Table(position, inline=table.inline)
        following = _step(node)
        if following is None:
            raise TomlError(f"unknown type for path {'.'.join(path)} ({key}): *toml.tomlValue")
        table = following


def _set(root: Table, path: Sequence[str], value: Any) -> None:
    """Put a value where a path says; a key on the way that is no table is passed over, as the library does."""
    table = root
    for i, key in enumerate(path[:-1]):
        node = table.values.get(key)
        if node is None:
            node = table.values[key] = Table(Position(root.position.line + i, root.position.column))
        table = _step(node) or table
    if isinstance(value, Table) or _is_tables(value):
        table.values[path[-1]] = value
    else:
        place = Position(table.position.line + len(table.values) + 1, table.position.column)
        table.values[path[-1]] = Value(value, place)


# ---- keys


def _split_key(token: Token, what: str) -> list[str]:
    """The parts of a dotted key. Raises `TomlError`."""
    try:
        return _key_parts(token.text)
    except TomlError as e:
        raise _at(token, f"{what}: {e}") from None


def _key_parts(text: str) -> list[str]:
    """The parts of a key (``keysparsing.go``); escapes in quoted parts were resolved before."""
    if not text:
        raise TomlError("empty key")
    parts: list[str] = []
    at = 0
    while True:
        at = _past_blanks(text, at)
        if at >= len(text):
            break
        c = text[at]
        if c in _BARE:
            end = at
            while end < len(text) and text[end] in _BARE:
                end += 1
            parts.append(text[at:end])
            at = _past_blanks(text, end)
            if at < len(text) and text[at] != ".":
                what = "invalid key character after whitespace" if at > end else "invalid bare key character"
                raise TomlError(f"{what}: {text[at]}")
        elif c in "'\"":
            end = text.find(c, at + 1)
            if end < 0:
                raise TomlError(f"unclosed {'single' if c == chr(39) else 'double'}-quoted key")
            parts.append(text[at + 1 : end])
            at = end + 1
        elif c == ".":
            at += 1
            if at >= len(text):
                raise TomlError("unexpected end of key")
            if text[at] not in _BARE and text[at] not in "'\" ":
                raise TomlError("expecting key part after dot")
        else:
            raise TomlError(f"invalid key character: {c}")
    if not parts:
        raise TomlError("empty key")
    return parts


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


# ---- numbers


def _integer(token: Token) -> int:
    """The value of an integer word. Raises `TomlError`."""
    digits = token.text.replace("_", "")
    base = _BASES.get(digits[:2], 10) if len(digits) >= 3 else 10
    if base == 10 and len(digits) >= 3 and digits[0] == "0":
        raise TomlError("invalid base")
    _check_underscores(token, base)
    number = digits[2:] if base != 10 else digits
    try:
        value = int(number, base)
    except ValueError:
        raise _at(token, f"strconv.ParseUint: parsing {go_quote(number)}: invalid syntax") from None
    if not -(2**63) <= value < 2**64:
        function = "ParseInt" if number.startswith("-") else "ParseUint"
        raise _at(token, f"strconv.{function}: parsing {go_quote(number)}: value out of range")
    return value


def _float(token: Token) -> float:
    _check_underscores(token, 10)
    number = token.text.replace("_", "")
    try:
        return float(number)
    except ValueError:
        raise _at(token, f"strconv.ParseFloat: parsing {go_quote(number)}: invalid syntax") from None


def _check_underscores(token: Token, base: int) -> None:
    """Every underscore must stand behind a digit and not at the end. Raises `TomlError`."""
    before = False
    for i, c in enumerate(token.text):
        if c == "_" and (not before or i + 1 == len(token.text)):
            raise _at(token, f"invalid use of _ in {'hex ' if base == 16 else ''}number")
        before = c in "0123456789" or (base == 16 and c in "abcdefABCDEF")


# ---- how values print


def go_type(value: Any) -> str:
    """The Go type of a value of the tree, as ``%T`` prints it."""
    if isinstance(value, Moment):
        return value.go_type
    if isinstance(value, Table):
        return "*toml.Tree"
    if isinstance(value, list):
        return "[]*toml.Tree" if _is_tables(value) else "[]interface {}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "int64" if value < 2**63 else "uint64"
    return {bool: "bool", str: "string", float: "float64"}[type(value)]


def go_value(value: Any) -> str:
    """A value of the tree as ``%v`` prints it; a table prints as TOML text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, list):
        return f"[{' '.join(go_value(v) for v in value)}]"
    if isinstance(value, Table):
        return _table_text(value, "", "")
    return value.text if isinstance(value, Moment) else str(value)


def _table_text(table: Table, path: str, indent: str) -> str:
    """A table as TOML: its plain values by name, then its tables, each level two blanks deeper (``tomltree_write.go``)."""
    out = []
    for key in sorted(k for k, v in table.values.items() if isinstance(v, Value)):
        out.append(f"{indent}{key} = {_literal(table.get(key))}\n")
    for key in sorted(k for k, v in table.values.items() if not isinstance(v, Value)):
        node = table.values[key]
        name = f"{path}.{key}" if path else key
        many = isinstance(node, list)
        for child in node if isinstance(node, list) else [node]:
            header = f"[[{name}]]" if many else f"[{name}]"
            assert isinstance(child, Table)
            out.append(f"\n{indent}{header}\n{_table_text(child, name, indent + '  ')}")
    return "".join(out)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, list):
        return f"[{', '.join(_literal(v) for v in value)}]"
    return go_value(value)
