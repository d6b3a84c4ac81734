"""A TOML document as BurntSushi/toml reads it, which the hook of releases before 1.14 uses (``lex.go`` and ``parse.go``).

Its errors name the line and the last key; it lets a list be set again, and refuses other keys that are set twice. Characters and values are in
`nvsim.toolkit.toml_strict_text`.
"""

from __future__ import annotations

from typing import Any

from nvsim.frozen import define, field, frozen
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.toml_strict_text import (
    BARE,
    BLANK,
    KEY_LINE,
    Cursor,
    StrictError,
    number_or_date,
    quoted,
    rune,
    several_lines,
    signed,
    word_float,
)

Key = tuple[str, ...]
_ESCAPES = {'"': '\\"', "\\": "\\\\"}
_ENDED = "end of file"


class _Tables(list[dict[str, Any]]):
    """An array of tables, to which headers and inline tables add."""


@frozen
class Document:
    """The values of a text, and the line of each dotted key's value."""

    values: dict[str, Any]
    lines: dict[str, int]


def read_strict(text: str, *, newest: bool) -> Document:
    """The values of a TOML text; `newest`: by release 1.2 of the library, not 1.0. Raises `StrictError` with the library's whole text."""
    if "\0" in text[:6]:
        what = "files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8"
        raise StrictError(1, f"toml: line 1: {what}")
    reader = _Reader(Cursor(text, newest))
    try:
        while reader.item():
            pass
    except StrictError as e:
        line = reader.line if e.line == KEY_LINE else e.line
        name = reader.current()
        place = f"line {line} (last key {go_quote(name)})" if name else f"line {line}"
        raise StrictError(line, f"toml: {place}: {e}") from None
    except RecursionError:
        raise StrictError(reader.line, "toml: nested too deeply") from None
    return Document(reader.values, reader.lines)


def key_text(key: Key) -> str:
    """A dotted key; parts that are not bare stand in quotes."""
    return ".".join(_part(p) for p in key)


def _part(part: str) -> str:
    if part and set(part) <= BARE:
        return part
    return '"' + "".join(_ESCAPES.get(c, c) for c in part) + '"'


@define
class _Reader:
    """The state of the parser: the table in scope (`context`), the last part of the key being set (`key`), and the line of the last key."""

    cursor: Cursor
    values: dict[str, Any] = field(factory=dict)
    lines: dict[str, int] = field(factory=dict)
    context: Key = ()
    key: str = ""
    line: int = 0
    implicit: set[Key] = field(factory=set)
    lists: set[Key] = field(factory=set)

    def current(self) -> str:
        if not self.key:
            return key_text(self.context)
        return f"{key_text(self.context)}.{self.key}" if self.context else self.key

    # ---- the document

    def item(self) -> bool:
        """One item of the top level; False at the end."""
        cursor = self.cursor
        while (char := cursor.next()) in BLANK or (char != "" and char in "\r\n"):
            pass
        if char == "":
            return False
        if char == "#":
            self.comment()
            return True
        if char == "[":
            self.header()
        else:
            cursor.back()
            outer = self.context
            self.assignment(self.key_start())
            self.context, self.key = outer, ""
        while (char := cursor.next()) in BLANK:
            pass
        if char == "#":
            self.comment()
        elif char != "" and char not in "\r\n":
            wanted = "expected a top-level item to end with a newline, comment, or EOF"
            raise cursor.error(f"{wanted}, but got {rune(char)} instead")
        return True

    def comment(self) -> None:
        while (char := self.cursor.next()) != "" and char not in "\r\n":
            pass
        self.cursor.back()

    def header(self) -> None:
        cursor, start = self.cursor, self.cursor.line
        many = cursor.accept("[")
        key: Key = ()
        while True:
            cursor.skip_blanks()
            char = cursor.peek()
            if char in ("]", ""):
                raise cursor.error("unexpected end of table name (table names cannot be empty)")
            if char == ".":
                raise cursor.error("unexpected table separator (table names cannot be empty)")
            key = (*key, self.name(char, first=not key))
            cursor.skip_blanks()
            char = cursor.next()
            if char == "]":
                break
            if char != ".":
                raise cursor.error(f"expected '.' or ']' to end table name, but got {rune(char)} instead")
        if many and (char := cursor.next()) != "]":
            raise cursor.error(f"expected end of table array name delimiter ']', but got {rune(char)} instead")
        self.enter(key, many)
        self.lists.discard(key)
        self.lines[key_text(key)] = start

    def name(self, char: str, *, first: bool) -> str:
        """One part of a key or table name."""
        cursor = self.cursor
        if char in ('"', "'"):
            cursor.next()
            text = quoted(cursor, char)
        else:
            begin = cursor.at
            while cursor.next() in BARE:
                pass
            cursor.back()
            text = cursor.text[begin : cursor.at]
        if first:
            self.line = cursor.line
        return text

    def key_start(self) -> Key:
        """A key up to and with its equals sign."""
        cursor = self.cursor
        cursor.skip_blanks()
        char = cursor.peek()
        if char in ("=", ""):
            raise cursor.error("unexpected '=': key name appears blank")
        if char == ".":
            raise cursor.error("unexpected '.': keys cannot start with a '.'")
        key: Key = ()
        while True:
            cursor.skip_blanks()
            char = cursor.peek()
            if char in ("=", ""):
                raise cursor.error("unexpected '='")
            if char == ".":
                raise cursor.error("unexpected '.'")
            key = (*key, self.name(char, first=not key))
            cursor.skip_blanks()
            char = cursor.next()
            if char == "=":
                return key
            if char == "":
                raise cursor.error("unexpected EOF; expected key separator '='")
            if char != ".":
                raise cursor.error(f"expected '.' or '=', but got {rune(char)} instead")

    def assignment(self, key: Key) -> Any:
        """The value of a key, set in the table in scope; its own tables and its last part stay in scope."""
        self.key = key[-1]
        for part in key[:-1]:
            inner = (*self.context, part)
            self.implicit.add(inner)
            self.enter(inner, many=False)
        value, line = self.value(in_list=False)
        self.set(self.key, value)
        self.lines[key_text((*self.context, self.key))] = line
        return value

    # ---- values

    def value(self, *, in_list: bool) -> tuple[Any, int]:
        """A value, and the line on which its first word ends."""
        cursor = self.cursor
        while (char := cursor.next()) in BLANK:
            pass
        if char != "" and char in "0123456789":
            cursor.back()
            return number_or_date(cursor), cursor.line
        if char == "[":
            line = cursor.line
            return self.array(), line
        if char == "{":
            line = cursor.line
            return self.inline_table(in_list=in_list), line
        if char in ('"', "'"):
            return self.string(char), cursor.line
        if char == ".":
            raise cursor.error("floats must start with a digit, not '.'")
        if char in ("-", "+"):
            return signed(cursor), cursor.line
        return self.word(char), cursor.line

    def string(self, quote: str) -> str:
        cursor = self.cursor
        if cursor.accept(quote):
            if cursor.accept(quote):
                return several_lines(cursor, quote)
            cursor.back()
        return quoted(cursor, quote)

    def word(self, char: str) -> Any:
        """A value that begins with a letter; `char` was read."""
        cursor = self.cursor
        start = cursor.at - 1
        if char in ("i", "n") and (
            (cursor.accept("n") and cursor.accept("f")) or (cursor.accept("a") and cursor.accept("n"))
        ):
            return word_float(cursor, start)
        if not char.isalpha():
            found = f"expected value but found {rune(char)} instead"
            raise cursor.error(found if char else "unexpected EOF; expected value")
        cursor.back()
        begin = cursor.at
        while cursor.next().isalpha():
            pass
        cursor.back()
        text = cursor.text[begin : cursor.at]
        if text not in ("true", "false"):
            raise cursor.error(f"expected value but found {go_quote(text)} instead")
        return text == "true"

    def array(self) -> list[Any]:
        cursor = self.cursor
        self.lists.add((*self.context, self.key) if self.key else self.context)
        items: list[Any] = []
        while True:
            char = cursor.next()
            if char in BLANK or (char != "" and char in "\r\n"):
                continue
            if char == "#":
                self.comment()
            elif char == ",":
                raise cursor.error("unexpected comma")
            elif char == "]":
                return items
            else:
                cursor.back()
                items.append(self.value(in_list=True)[0])
                while (char := cursor.next()) in BLANK or (char != "" and char in "\r\n#"):
                    if char == "#":
                        self.comment()
                if char == "]":
                    return items
                if char != ",":
                    found = f"'{char}'" if char else _ENDED
                    raise cursor.error(f"expected a comma (',') or array terminator (']'), but got {found}")

    def inline_table(self, *, in_list: bool) -> dict[str, Any]:
        cursor = self.cursor
        context, key = self.context, self.key
        inside = (*context, key)
        self.context, self.key = inside, ""
        self.implicit.add(inside)
        self.enter(inside, in_list)
        found: dict[str, Any] = {}
        while True:
            char = self._in_table()
            if char == ",":
                raise cursor.error("unexpected comma")
            if char == "}":
                break
            cursor.back()
            name = self.key_start()
            found[name[-1]] = self.assignment(name)
            self.context = inside
            char = self._in_table()
            if char == "}":
                break
            if char != ",":
                shown = f"'{char}'" if char else _ENDED
                raise cursor.error(f"expected a comma or an inline table terminator '}}', but got {shown} instead")
            cursor.skip_blanks()
            if cursor.peek() == "}":
                raise cursor.error("trailing comma not allowed in inline tables")
        self.context, self.key = context, key
        return found

    def _in_table(self) -> str:
        """The next character of an inline table that counts."""
        while True:
            char = self.cursor.next()
            if char != "" and char in "\r\n":
                raise self.cursor.error_before("newlines not allowed within inline tables")
            if char == "#":
                self.comment()
            elif char not in BLANK:
                return char

    # ---- tables

    def enter(self, key: Key, many: bool) -> None:
        """Make a table, or the next one of an array, the one in scope."""
        table = self.values
        for i, part in enumerate(key[:-1]):
            if part not in table:
                self.implicit.add(key[: i + 1])
                table[part] = {}
            following = self._table(table[part])
            if following is None:
                raise StrictError(self.line, f"Key '{key_text(key[: i + 1])}' was already created as a hash.")
            table = following
        self.context = key[:-1]
        name = key[-1]
        if many:
            tables = table.setdefault(name, _Tables())
            if not isinstance(tables, _Tables):
                text = f"Key '{key_text(key)}' was already created and cannot be used as an array."
                raise StrictError(self.line, text)
            tables.append({})
        else:
            self.set(name, {}, typed=False)
        self.context = key

    def set(self, name: str, value: Any, *, typed: bool = True) -> None:
        """Set a key of the table in scope."""
        table = self.values
        for i, part in enumerate(self.context):
            following = self._table(table[part])
            if following is None:
                raise StrictError(self.line, f"Key '{key_text(self.context[: i + 1])}' has already been defined.")
            table = following
        key = (*self.context, name)
        if name not in table:
            table[name] = value
        elif key in self.lists:
            table[name] = value
            self.implicit.discard(key)
        elif key in self.implicit:
            self.implicit.discard(key)
        else:
            raise StrictError(self.line, f"Key '{key_text(key)}' has already been defined.")
        if typed and not isinstance(value, list):
            self.lists.discard(key)

    @staticmethod
    def _table(node: Any) -> dict[str, Any] | None:
        if isinstance(node, _Tables):
            return node[-1]
        return node if isinstance(node, dict) else None
