"""A TOML text as a tree in which every value knows its place (pelletier/go-toml v1, ``parser.go`` and ``toml.go``).

`tomllib` reads another language: it has no positions, and it refuses texts that the toolkit takes and takes some that it refuses.
The words come from `nvsim.toolkit.toml_tokens`, the values of single words from `nvsim.toolkit.toml_scalars`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from nvsim.toolkit import toml_scalars as scalars
from nvsim.toolkit import toml_tokens as words
from nvsim.toolkit.toml_print import go_syntax
from nvsim.toolkit.toml_scalars import at_token, position_of
from nvsim.toolkit.toml_tokens import Token, tokens_of
from nvsim.toolkit.toml_tree import (
    Moment,
    Position,
    Table,
    TomlError,
    Value,
    get_path,
    is_tables,
    set_path,
    step_into,
)

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_BOM = "\ufeff"


def read_toml(text: str, *, unsigned: bool = True) -> Table:
    """The tree of a TOML text, with or without a byte order mark. Raises `TomlError`.

    `unsigned`: integers from 2**63 to 2**64 - 1 are values (go-toml 1.9.5), not errors (1.9.4).
    """
    return _Parser(tokens_of(text.removeprefix(_BOM)), unsigned).run()


class _Parser:
    def __init__(self, tokens: list[Token], unsigned: bool) -> None:
        self.tokens = tokens
        self.unsigned = unsigned
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
            raise at_token(token, f"was expecting token {kind}, but got {token} instead")

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
                raise at_token(token, f"parsing error: {token}")
            else:
                raise at_token(token, f"unexpected token {token.kind}")

    # ---- headers

    def table_array(self) -> None:
        start, key = self.take(), self.take()
        if key.kind != words.KEY_GROUP_ARRAY:
            raise at_token(key, f"unexpected token {key}, was expecting a table array key")
        path = _split_key(key, "invalid table array key")
        with suppress(TomlError):  # the library does not look
            _make_tables(self.root, path[:-1], position_of(start))
        found = get_path(self.root, path)
        if found is not None and not is_tables(found):
            raise at_token(key, f"key {key} is already assigned and not of type table array")
        array: list[Table] = [*(found or ()), Table(position_of(start))]
        set_path(self.root, path, array)
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
            raise at_token(key, f"unexpected token {key}, was expecting a table key")
        if key.text in self.seen:
            raise at_token(key, "duplicated tables")
        self.seen.append(key.text)
        path = _split_key(key, "invalid table array key")
        try:
            _make_tables(self.root, path, position_of(start))
        except TomlError as e:
            raise at_token(key, str(e)) from None
        found = get_path(self.root, path)
        if isinstance(found, Table) and found.inline:
            raise at_token(key, f"could not re-define exist inline table or its sub-table : {'.'.join(path)}")
        self.expect("]")
        self.current = path

    # ---- keys and values

    def assignment(self) -> None:
        key = self.take()
        self.expect("=")
        name = _split_key(key, "invalid key")
        value = self.value()
        path = [*self.current, *name[:-1]]
        target = get_path(self.root, path)
        if target is None:
            try:
                _make_tables(self.root, path, position_of(key))
            except TomlError as e:
                raise at_token(key, f"could not create intermediate group: {e}") from None
            target = get_path(self.root, path)
        if is_tables(target):
            target = target[-1]
        if not isinstance(target, Table):
            raise at_token(key, f"Unknown table type for path: {'.'.join(path)}")
        if target.inline:
            what = "could not add key or sub-table to exist inline table or its sub-table"
            raise at_token(key, f"{what} : {'.'.join(path)}")
        if target.get(name[-1]) is not None:
            raise at_token(key, f"The following key was defined twice: {'.'.join([*path, name[-1]])}")
        target.values[name[-1]] = (
            value if isinstance(value, Table) or is_tables(value) else Value(value, position_of(key))
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
            return scalars.integer(token, unsigned=self.unsigned)
        if kind == words.FLOAT:
            return scalars.floating(token)
        if kind in (words.LOCAL_DATE, words.LOCAL_TIME):
            return self.moment(token)
        if kind == "[":
            return self.array()
        if kind == "{":
            return self.inline_table()
        if kind == words.EOF:
            raise at_token(token, "expecting a value")
        if kind == "=":
            raise at_token(token, "cannot have multiple equals for the same key")
        if kind == words.ERROR:
            raise at_token(token, str(token))
        raise TomlError(f"unhandled token: {token}")

    def moment(self, token: Token) -> Moment:
        """A date, a time of day, both, or both with an offset: as many words as there are."""
        if token.kind == words.LOCAL_TIME:
            return scalars.local_time(token)
        if self.peek().kind != words.LOCAL_TIME:
            return scalars.local_date(token)
        time = self.take()
        if self.peek().kind != words.TIME_OFFSET:
            return scalars.local_date_time(token, time)
        return scalars.moment(token, time, self.take())

    def array(self) -> Any:
        items: list[Any] = []
        while True:
            token = self.peek()
            if token.kind == words.EOF:
                raise at_token(token, "unterminated array")
            if token.kind == "]":
                self.take()
                return items
            items.append(self.value())
            token = self.peek()
            if token.kind == words.EOF:
                raise at_token(token, "unterminated array")
            if token.kind not in ("]", ","):
                raise at_token(token, "missing comma")
            if token.kind == ",":
                self.take()

    def inline_table(self) -> Table:
        table = Table()
        previous: Token | None = None
        while True:
            token = self.peek()
            if token.kind == words.EOF:
                raise at_token(token, "unterminated inline table")
            if token.kind == "}":
                self.take()
                break
            if token.kind in (words.KEY, words.INTEGER, words.STRING):
                if previous is not None and previous.kind != ",":
                    raise at_token(token, "comma expected between fields in inline table")
                key = self.take()
                self.expect("=")
                path = _split_key(key, "invalid key")
                set_path(table, path, self.value())
            elif token.kind == ",":
                if previous is not None and previous.kind == ",":
                    raise at_token(token, "need field between two commas in inline table")
                self.take()
            else:
                raise at_token(token, f"unexpected token type in inline table: {token}")
            previous = token
        if previous is not None and previous.kind == ",":
            raise at_token(previous, "trailing comma at the end of inline table")
        table.inline = True
        return table


# ---- the tree


def _make_tables(root: Table, path: Sequence[str], position: Position) -> None:
    """Make the missing tables of a path. Raises `TomlError` (without a position) where something else stands."""
    table = root
    for key in path:
        node = table.values.get(key)
        if node is None:
            node = table.values[key] = Table(position, inline=table.inline)
        following = step_into(node)
        if following is None:
            raise TomlError(f"unknown type for path {'.'.join(path)} ({key}): *toml.tomlValue ({go_syntax(node)})")
        table = following


# ---- keys


def _split_key(token: Token, what: str) -> list[str]:
    """The parts of a dotted key. Raises `TomlError`."""
    try:
        return _key_parts(token.text)
    except TomlError as e:
        raise at_token(token, f"{what}: {e}") from None


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
