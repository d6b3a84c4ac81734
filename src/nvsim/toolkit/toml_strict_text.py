"""The characters of a TOML text as BurntSushi/toml reads them, and its strings, numbers and dates (``lex.go``, ``parse.go``).

The document around them is `nvsim.toolkit.toml_strict`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from typing import Any

from nvsim.frozen import define, frozen
from nvsim.toolkit.go_text import go_quote

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
BLANK = ("\t", " ")
_HEX = frozenset("0123456789abcdefABCDEF")
_DIGITS = frozenset("0123456789")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
KEY_LINE = -1  # stands for the line of the last key, which only the document knows
_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,]\d+)?"
_ZONE = r"(?:Z|[+-](?P<zone_hour>\d\d):(?P<zone_minute>\d\d))"
_MOMENTS = [re.compile(p, re.ASCII) for p in (f"{_DAY}T{_TIME}{_ZONE}", f"{_DAY}T{_TIME}", _DAY, _TIME)]
_PARTS = (
    ("year", 4),
    ("month", 1),
    ("day", 1),
    ("hour", 0),
    ("minute", 0),
    ("second", 0),
    ("zone_hour", 0),
    ("zone_minute", 0),
)
_BASED = {"b": ("a binary", frozenset("01")), "o": ("an octal", frozenset("01234567")), "x": ("a hexidecimal", _HEX)}


class StrictError(Exception):
    """The text is refused at a line; the argument is the message without the place."""

    def __init__(self, line: int, text: str):
        super().__init__(text)
        self.line = line


@frozen
class Date:
    """A date or time: what it says does not matter, as no key of the toolkit takes one."""


@define
class Cursor:
    """A place in a text. An error at the end of the text is told of the line before, as in the library.

    `ranges`: the words for numbers out of range, which changed with the release of the library, as did its `newest` rules for the end of strings.
    """

    text: str
    newest: bool
    at: int = 0
    line: int = 1
    ended: bool = False

    def next(self) -> str:
        """The next character, "" at the end. Raises `StrictError` for what no TOML text may hold."""
        if self.at >= len(self.text):
            self.ended = True
            return ""
        char = self.text[self.at]
        self.line += char == "\n"
        if char == "\ufffd":
            raise StrictError(self.line, "invalid UTF-8 byte: 0xef")
        lone = char == "\r" and self.text[self.at + 1 : self.at + 2] != "\n"
        if lone or char == "\x7f" or (char < " " and char not in "\t\r\n"):
            raise StrictError(self.line, f"TOML files cannot contain control characters: '0x{ord(char):02x}'")
        self.at += 1
        return char

    def back(self, count: int = 1) -> None:
        """Step back; from the end, that takes back that it was seen."""
        for _ in range(count):
            if self.ended:
                self.ended = False
                continue
            self.at -= 1
            self.line -= self.text[self.at] == "\n"

    def peek(self) -> str:
        char = self.next()
        self.back()
        return char

    def accept(self, char: str) -> bool:
        if self.next() == char:
            return True
        self.back()
        return False

    def skip_blanks(self) -> None:
        while self.next() in BLANK:
            pass
        self.back()

    def error(self, text: str) -> StrictError:
        return StrictError(self.line - self.ended, text)

    def error_before(self, text: str) -> StrictError:
        """An error of the line before, for a line that ends too early."""
        return StrictError(self.line - 1, text)


def rune(char: str) -> str:
    """A character as ``%q`` prints it; the end of the text is NUL."""
    if char == "'":
        return "'\\''"
    return "'\"'" if char == '"' else f"'{go_quote(char or chr(0))[1:-1]}'"


# ---- strings


def quoted(cursor: Cursor, quote: str) -> str:
    """A string whose opening quote was read, in a key or value. Raises `StrictError`."""
    start = cursor.at
    while (char := cursor.next()) != quote:
        if char == "":
            raise cursor.error(f"unexpected EOF; expected {_in_quotes(quote)}")
        if char in "\r\n":
            raise cursor.error_before("strings cannot contain newlines")
        if char == "\\" and quote == '"':
            _escape(cursor, start)
    raw = cursor.text[start : cursor.at - 1]
    return _unescaped(cursor.line, raw) if quote == '"' else raw


def several_lines(cursor: Cursor, quote: str) -> str:
    """A string of several lines whose three opening quotes were read. Raises `StrictError`."""
    start = cursor.at
    while True:
        char = cursor.next()
        if char == "":
            raise cursor.error(f"unexpected EOF; expected {_in_quotes(quote * 3)}")
        if char == "\\" and quote == '"':
            if cursor.next() not in ("\r", "\n"):
                cursor.back()
                _escape(cursor, start)
        elif char == quote and cursor.accept(quote):
            if not cursor.accept(quote):
                cursor.back()
            elif cursor.peek() != quote:
                break
            else:
                current = cursor.text[start : cursor.at]
                spared = quote == '"' and cursor.newest and current.endswith('\\"""""')
                if current.endswith(quote * 5) and not spared:
                    raise cursor.error(f"unexpected {_in_quotes(quote * 6)}")
                cursor.back(2)
    raw = cursor.text[start : cursor.at - 3]
    line = cursor.line
    if quote == '"':
        return _unescaped(line, _without_first_newline(_without_escaped_ends(raw, cursor.newest)))
    return _without_first_newline(raw)


def _in_quotes(quotes: str) -> str:
    """Quotes as a message shows them: within those of the other kind."""
    other = "'" if quotes[0] == '"' else '"'
    return f"{other}{quotes}{other}"


def _escape(cursor: Cursor, start: int) -> None:
    """What follows a backslash."""
    char = cursor.next()
    if char in ("u", "U"):
        count, word = (4, "four") if char == "u" else (8, "eight")
        for _ in range(count):
            if cursor.next() not in _HEX:
                found = go_quote(cursor.text[start : cursor.at])
                raise cursor.error(f"expected {word} hexadecimal digits after '\\{char}', but got {found} instead")
    elif char not in _ESCAPES and char not in BLANK:
        raise cursor.error(f"invalid escape in string '\\{char or chr(0)}'")


def _unescaped(line: int, raw: str) -> str:
    out = []
    at = 0
    while at < len(raw):
        char = raw[at]
        if char != "\\":
            out.append(char)
            at += 1
            continue
        char = raw[at + 1]
        if char in BLANK:
            raise StrictError(line, f"invalid escape: '\\{char}'")
        if char in ("u", "U"):
            digits = raw[at + 2 : at + (6 if char == "u" else 10)]
            code = int(digits, 16)
            if code >= 0x110000 or 0xD800 <= code < 0xE000:
                raise StrictError(line, f"Escaped character '\\u{digits}' is not valid UTF-8.")
            out.append(chr(code))
            at += 2 + len(digits)
        else:
            out.append(_ESCAPES[char])
            at += 2
    return "".join(out)


def _without_first_newline(text: str) -> str:
    return text.removeprefix("\n") if text.startswith("\n") else text.removeprefix("\r\n")


def _without_escaped_ends(text: str, newest: bool) -> str:
    """The text without line ends that a backslash takes away. As in the library, plain line ends after such a one are lost too.

    Raises `StrictError` for such a backslash in the last line.
    """
    lines = text.split("\n")
    escaped = False
    for i, whole in enumerate(lines):
        last = i == len(lines) - 1
        line = whole.rstrip(" \t\r")
        slashes = len(line) - len(line.rstrip("\\"))
        if not slashes:
            lines[i] = whole.rstrip("\r") + ("" if escaped or last else "\n")
            continue
        if escaped:
            line = line.lstrip(" \t\r")
        escaped = slashes % 2 == 1
        if not escaped:
            lines[i] = f"{whole}\n"
        elif last and newest:
            raise StrictError(KEY_LINE, "invalid escape: '\\ '")
        else:
            lines[i] = line[:-1]
            if not last:
                lines[i + 1] = lines[i + 1].lstrip(" \t\r")
    return "".join(lines)


# ---- values


def number_or_date(cursor: Cursor) -> Any:
    """A value that begins with a digit. Raises `StrictError`."""
    start = cursor.at
    if cursor.next() == "0":
        char = cursor.next()
        if char in _BASED:
            what, allowed = _BASED[char]
            following = cursor.peek()
            if following not in allowed:
                current = cursor.text[start : cursor.at]
                raise StrictError(cursor.line, f"not {what} number: '{current}{following or chr(0)}'")
            return _integer(cursor, start, lambda c: c in allowed or c == "_")
        cursor.back()
    while (char := cursor.next()) in _DIGITS:
        pass
    if char in ("-", ":") and cursor.text[start : cursor.at - 1] != "0":
        return _date(cursor, start)
    if char == "_":
        return _decimal(cursor, start)
    if char in (".", "e", "E"):
        return _float(cursor, start)
    cursor.back()
    return _checked_integer(cursor, start)


def signed(cursor: Cursor) -> Any:
    """A number whose sign was read. Raises `StrictError`."""
    start = cursor.at - 1
    char = cursor.next()
    for word in ("inf", "nan"):
        if char == word[0]:
            if not (cursor.accept(word[1]) and cursor.accept(word[2])):
                raise cursor.error(f"invalid float: '{cursor.text[start : cursor.at]}'")
            return float(cursor.text[start : cursor.at])
    if char == "0" and (base := cursor.peek()) in _BASED:
        raise cursor.error(f"cannot use sign with non-decimal numbers: '{cursor.text[start : cursor.at]}{base}'")
    if char == ".":
        raise cursor.error("floats must start with a digit, not '.'")
    if char not in _DIGITS:
        raise cursor.error(f"expected a digit but got {rune(char)}")
    return _decimal(cursor, start)


def word_float(cursor: Cursor, start: int) -> float:
    """A word of letters that was taken for inf or nan."""
    return _checked_float(cursor, start)


def _decimal(cursor: Cursor, start: int) -> Any:
    while (char := cursor.next()) in _DIGITS or char == "_":
        pass
    if char in (".", "e", "E"):
        return _float(cursor, start)
    cursor.back()
    return _checked_integer(cursor, start)


def _integer(cursor: Cursor, start: int, allowed: Callable[[str], bool]) -> int:
    while (char := cursor.next()) != "" and allowed(char):
        pass
    cursor.back()
    return _checked_integer(cursor, start)


def _float(cursor: Cursor, start: int) -> float:
    while (char := cursor.next()) in _DIGITS or (char != "" and char in "_.-+eE"):
        pass
    cursor.back()
    return _checked_float(cursor, start)


def _date(cursor: Cursor, start: int) -> Date:
    while (char := cursor.next()) in _DIGITS or (char != "" and char in "-:Tt .Zz+"):
        pass
    cursor.back()
    text = cursor.text[start : cursor.at].strip(" ").replace("z", "Z").replace("t", "T").replace(" ", "T")
    if not any(_exists(m.groupdict()) for pattern in _MOMENTS if (m := pattern.fullmatch(text))):
        raise StrictError(cursor.line, f"Invalid TOML Datetime: {go_quote(text)}.")
    return Date()


def _exists(parts: dict[str, str | None]) -> bool:
    """Whether the calendar and the clock have what is told."""
    year, month, day, hour, minute, second, zone_hour, zone_minute = (int(parts.get(n) or d) for n, d in _PARTS)
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
        return False
    return hour < 24 and minute < 60 and second < 60 and zone_hour <= 24 and zone_minute <= 60


def _checked_integer(cursor: Cursor, start: int) -> int:
    text = cursor.text[start : cursor.at]
    if not _underscores_right(text):
        raise StrictError(cursor.line, f"Invalid integer {go_quote(text)}: underscores must be surrounded by digits")
    if _leading_zero(text):
        raise StrictError(cursor.line, f"Invalid integer {go_quote(text)}: cannot have leading zeroes")
    value = int(text.replace("_", ""), 0)
    if not -(2**63) <= value < 2**63:
        old = f"Integer '{text}' is out of the range of 64-bit signed integers."
        raise StrictError(cursor.line, f"{text} is out of range for int64" if cursor.newest else old)
    return value


def _checked_float(cursor: Cursor, start: int) -> float:
    text = cursor.text[start : cursor.at]
    name = f"Invalid float {go_quote(text)}"
    parts = [p for p in re.split("[.eE]", text) if p]
    if not all(map(_underscores_right, parts)):
        raise StrictError(cursor.line, f"{name}: underscores must be surrounded by digits")
    if parts and _leading_zero(parts[0]):
        raise StrictError(cursor.line, f"{name}: cannot have leading zeroes")
    if re.search(r"\.(?![0-9])", text):
        raise StrictError(cursor.line, f"{name}: '.' must be followed by one or more digits")
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        raise StrictError(cursor.line, f"Invalid float value: {go_quote(text)}") from None
    if value in (float("inf"), float("-inf")) and "inf" not in text:
        old = f"Float '{text}' is out of the range of 64-bit IEEE-754 floating-point numbers."
        raise StrictError(cursor.line, f"{text} is out of range for float64" if cursor.newest else old)
    return value


def _underscores_right(text: str) -> bool:
    """Whether digits (of any base) surround every underscore; the last character has to be one too."""
    if text in ("nan", "+nan", "-nan", "inf", "-inf", "+inf"):
        return True
    digit = False
    for char in text:
        if char == "_" and not digit:
            return False
        digit = char in _HEX
    return digit


def _leading_zero(text: str) -> bool:
    if len(text) > 1 and text[0] == "0" and text[1] not in "box":
        return True
    return len(text) > 2 and text[0] in "+-" and text[1] == "0"
