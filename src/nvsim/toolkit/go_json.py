"""Reading JSON as Go's ``encoding/json`` does: into given types, with its error texts (Go 1.26, ``Decoder.Decode``).

`decode` takes a type described with `Scalar`, `ListOf`, `MapOf`, `Struct`, `Raw` and gives plain Python values: a struct becomes a dict
of its fields that the text sets. One value is read, what follows it is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nvsim.frozen import field, frozen
from nvsim.toolkit.go_text import go_quote

_MAX_NESTING = 400  # Go allows 10000; nobody writes that, and Python could not


class JsonError(ValueError):
    """The text cannot be read; the argument is Go's message."""


@frozen
class Scalar:
    """``string``, ``bool`` or a number: the Go type's name, and for integers the bounds. `kind`: what a type with a name of its own is."""

    go: str
    low: int = -(2**63)
    high: int = 2**63 - 1
    kind: str = ""


@frozen
class ListOf:
    of: GoType

    @property
    def go(self) -> str:
        return f"[]{self.of.go}"


@frozen
class MapOf:
    """A map from strings."""

    of: GoType

    @property
    def go(self) -> str:
        return f"map[string]{self.of.go}"


@frozen
class Struct:
    """A struct type: its name with package (``specs.Mount``) and its fields by JSON name."""

    go: str
    fields: Mapping[str, GoType] = field(factory=dict)


@frozen
class Raw:
    """``json.RawMessage``: the value is kept as it stands."""

    go: str = "json.RawMessage"


GoType = Scalar | ListOf | MapOf | Struct | Raw
STRING, BOOL, INT = Scalar("string"), Scalar("bool"), Scalar("int")


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


@frozen
class RawValue:
    """A value that was not decoded; `decode_value` does it."""

    tree: Any


class _Object(list[tuple[str, Any]]):
    """The members of an object in order, with duplicates."""


def decode(text: str, target: GoType, *, strict: bool = False) -> Any:
    """The first JSON value of `text` as `target`; None for ``null``. Raises `JsonError` with Go's text.

    `strict`: a field that a struct does not have is an error (``DisallowUnknownFields``).
    """
    return decode_value(_read(text), target, strict=strict)


def decode_value(raw: RawValue, target: GoType, *, strict: bool = False) -> Any:
    """As `decode`, for a value kept as `Raw` before."""
    state = _Decoder(strict)
    value = state.value(raw.tree, target, None)
    if state.error is not None:
        raise JsonError(state.error)
    return value


def plain_value(raw: RawValue) -> Any:
    """A raw value as plain JSON; numbers are floats, as in a Go value of any type."""
    return _plain(raw.tree)


def _plain(tree: Any) -> Any:
    if isinstance(tree, _Object):
        return {name: _plain(item) for name, item in tree}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    if isinstance(tree, _Number):
        number = float(tree)
        return int(number) if abs(number) < 1e21 and number.is_integer() else number
    return tree


class _Decoder:
    """One decoding: where it is, and the first error, which does not stop it (as in the original)."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.error: str | None = None
        self.path: list[str] = []
        self.struct = ""

    def value(self, found: Any, target: GoType, old: Any) -> Any:
        """`found` as `target`; `old` is what the place holds already."""
        if isinstance(target, Raw):
            return RawValue(found)
        if found is None:
            return None if not isinstance(target, Scalar) else old
        if isinstance(target, Struct) and isinstance(found, _Object):
            return self.fields(found, target, old if isinstance(old, dict) else {})
        if isinstance(target, MapOf) and isinstance(found, _Object):
            entries = dict(old) if isinstance(old, dict) else {}
            for name, item in found:
                entries[name] = self.item(item, target.of)
            return entries
        if isinstance(target, ListOf) and isinstance(found, list) and not isinstance(found, _Object):
            return [self.item(item, target.of) for item in found]
        if isinstance(target, Scalar):
            return self.scalar(found, target)
        self.mismatch(_kind(found), target)
        return None

    def item(self, found: Any, target: GoType) -> Any:
        """An item of a list or map, where null stands for the empty value of the type."""
        if found is not None:
            return self.value(found, target, None)
        if isinstance(target, Scalar):
            return {"string": "", "bool": False}.get(target.kind or target.go, 0)
        return {} if isinstance(target, Struct) else None

    def fields(self, found: _Object, target: Struct, old: dict[str, Any]) -> dict[str, Any]:
        values = dict(old)
        outer = self.struct
        folded = {_fold(name): name for name in target.fields}
        for key, item in found:
            name = key if key in target.fields else folded.get(_fold(key))
            if name is None:
                if self.strict:
                    self.fail(f"json: unknown field {go_quote(key)}")
                continue
            self.struct = target.go.rpartition(".")[2]
            self.path.append(name)
            value = self.value(item, target.fields[name], values.get(name))
            self.path.pop()
            self.struct = outer
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value
        return values

    def scalar(self, found: Any, target: Scalar) -> Any:
        kind = target.kind or target.go
        if kind == "string" and isinstance(found, str) and not isinstance(found, _Number):
            return found
        if kind == "bool" and isinstance(found, bool):
            return found
        if isinstance(found, _Number) and kind not in ("string", "bool"):
            if kind.startswith("float"):
                return float(found)
            number = int(found) if found.lstrip("-").isdigit() and len(found) < 25 else None
            if number is not None and target.low <= number <= target.high:
                return number
            self.mismatch(f"number {found}", target)
            return None
        self.mismatch(_kind(found), target)
        return None

    def mismatch(self, value: str, target: GoType) -> None:
        place = "Go value"
        if self.path:
            place = f"Go struct field {self.struct}.{'.'.join(self.path)}"
        self.fail(f"json: cannot unmarshal {value} into {place} of type {target.go}")

    def fail(self, text: str) -> None:
        self.error = self.error or text


def _fold(name: str) -> str:
    """How keys are compared when none is equal: by letter case, as far as ASCII names can match."""
    return name.replace("\u017f", "s").replace("\u212a", "k").lower()


def _kind(found: Any) -> str:
    for kind, name in ((bool, "bool"), (_Number, "number"), (_Object, "object"), (list, "array")):
        if isinstance(found, kind):
            return name
    return "string"


def _read(text: str) -> RawValue:
    """The first value of a text. Raises `JsonError`."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        tree, _ = _DECODER.raw_decode(_without_lone_surrogates(text), start)
    except ValueError:
        tree = None
        error = _Syntax(text).error()
        if error is None:
            raise JsonError("unexpected EOF") from None
        raise JsonError(error) from None
    except RecursionError:
        raise JsonError("exceeded max depth") from None
    if text[start] not in "{[":
        error = _Syntax(text).error()
        if error is not None:
            raise JsonError(error)
    return RawValue(tree)


def _without_lone_surrogates(text: str) -> str:
    """The text with half a surrogate pair escaped as the replacement character instead, of the same length."""
    if "\\u" not in text:
        return text
    return re.sub(_ESCAPE, lambda m: "\\ufffd" if re.fullmatch(_HALF, m.group()) else m.group(), text)


_ESCAPE = r"(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)"
_HALF = r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
)


class _Stop(Exception):  # noqa: N818 - carries the message out of the nested readers
    pass


class _Syntax:
    """Finds the first syntax error of a text, with the words of Go's scanner."""

    def __init__(self, text: str) -> None:
        # Go's scanner sees bytes: one that is not ASCII is named by the character of that number
        self.text = text.encode("utf-8", "surrogateescape").decode("latin-1")
        self.at = 0

    def error(self) -> str | None:
        """The message, None when the first value is well-formed."""
        try:
            if not self.text.strip(" \t\r\n"):
                return "EOF"
            self.value(0)
        except _Stop as e:
            return str(e)
        return None

    def peek(self) -> str:
        if self.at == len(self.text):
            raise _Stop("unexpected EOF")
        return self.text[self.at]

    def skip(self) -> str:
        while self.peek() in " \t\r\n":
            self.at += 1
        return self.peek()

    def wrong(self, context: str) -> _Stop:
        char = self.text[self.at]
        named = {"'": "'\\''", '"': "'\"'"}.get(char) or f"'{go_quote(char)[1:-1]}'"
        return _Stop(f"invalid character {named} {context}")

    def value(self, depth: int) -> None:
        char = self.skip()
        if depth > _MAX_NESTING:
            raise _Stop("exceeded max depth")
        if char == "{":
            self.object(depth)
        elif char == "[":
            self.array(depth)
        elif char == '"':
            self.string()
        elif char in "-0123456789":
            self.number()
        elif char in "tfn":
            self.word({"t": "true", "f": "false", "n": "null"}[char])
        else:
            raise self.wrong("looking for beginning of value")

    def object(self, depth: int) -> None:
        self.at += 1
        if self.skip() == "}":
            self.at += 1
            return
        while True:
            if self.skip() != '"':
                raise self.wrong("looking for beginning of object key string")
            self.string()
            if self.skip() != ":":
                raise self.wrong("after object key")
            self.at += 1
            self.value(depth + 1)
            char = self.skip()
            if char not in ",}":
                raise self.wrong("after object key:value pair")
            self.at += 1
            if char == "}":
                return

    def array(self, depth: int) -> None:
        self.at += 1
        if self.skip() == "]":
            self.at += 1
            return
        while True:
            self.value(depth + 1)
            char = self.skip()
            if char not in ",]":
                raise self.wrong("after array element")
            self.at += 1
            if char == "]":
                return

    def string(self) -> None:
        self.at += 1
        while (char := self.peek()) != '"':
            if char < " ":
                raise self.wrong("in string literal")
            self.at += 1
            if char == "\\":
                escape = self.peek()
                if escape not in 'bfnrt\\/"u':
                    raise self.wrong("in string escape code")
                self.at += 1
                for _ in range(4 if escape == "u" else 0):
                    if self.peek() not in "0123456789abcdefABCDEF":
                        raise self.wrong("in \\u hexadecimal character escape")
                    self.at += 1
        self.at += 1

    def number(self) -> None:
        if self.text[self.at] == "-":
            self.at += 1
        if not self.peek().isdecimal():
            raise self.wrong("in numeric literal")
        if self.text[self.at] == "0":
            self.at += 1
        else:
            self.digits()
        if self.text[self.at : self.at + 1] == ".":
            self.at += 1
            if not self.peek().isdecimal():
                raise self.wrong("after decimal point in numeric literal")
            self.digits()
        if self.text[self.at : self.at + 1] in ("e", "E"):
            self.at += 1
            if self.peek() in "+-":
                self.at += 1
            if not self.peek().isdecimal():
                raise self.wrong("in exponent of numeric literal")
            self.digits()

    def digits(self) -> None:
        while self.text[self.at : self.at + 1].isdecimal():
            self.at += 1

    def word(self, word: str) -> None:
        for char in word:
            if self.peek() != char:
                raise self.wrong(f"in literal {word} (expecting {go_quote(char).replace(chr(34), chr(39))})")
            self.at += 1
