"""What single words of a TOML text mean: numbers, dates and times (pelletier/go-toml v1, ``parser.go`` and ``localtime.go``; Go's ``time``)."""

from __future__ import annotations

import re
from datetime import date
from math import isinf

from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.toml_tokens import Token
from nvsim.toolkit.toml_tree import Moment, Position, TomlError

_BASES = {"0x": 16, "0o": 8, "0b": 2}
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146097
_OFFSET = r"([+-])(\d\d):(\d\d)"


def at_token(token: Token, message: str) -> TomlError:
    """An error at the place of a word."""
    return TomlError(f"{position_of(token)}: {message}")


def position_of(token: Token) -> Position:
    """Where a word begins."""
    return Position(token.line, token.column)


def integer(token: Token, *, unsigned: bool) -> int:
    """The value of an integer word; `unsigned`: also of those that only an unsigned one of 64 bits holds. Raises `TomlError`."""
    parser = "ParseUint" if unsigned else "ParseInt"
    digits = token.text.replace("_", "")
    base = _BASES.get(digits[:2], 10) if len(digits) >= 3 else 10
    if base == 10 and len(digits) >= 3 and digits[0] == "0":
        raise TomlError("invalid base")
    _check_underscores(token, base)
    number = digits[2:] if base != 10 else digits
    try:
        value = int(number, base)
    except ValueError:
        raise at_token(token, f"strconv.{parser}: parsing {go_quote(number)}: invalid syntax") from None
    if not -(2**63) <= value < 2 ** (64 if unsigned else 63):
        function = "ParseInt" if number.startswith("-") else parser
        raise at_token(token, f"strconv.{function}: parsing {go_quote(number)}: value out of range")
    return value


def floating(token: Token) -> float:
    _check_underscores(token, 10)
    number = token.text.replace("_", "")
    try:
        value = float(number)
    except ValueError:
        raise at_token(token, f"strconv.ParseFloat: parsing {go_quote(number)}: invalid syntax") from None
    if isinf(value):
        raise at_token(token, f"strconv.ParseFloat: parsing {go_quote(number)}: value out of range")
    return value


def _check_underscores(token: Token, base: int) -> None:
    """Every underscore must stand behind a digit and not at the end. Raises `TomlError`."""
    before = False
    for i, c in enumerate(token.text):
        if c == "_" and (not before or i + 1 == len(token.text)):
            raise at_token(token, f"invalid use of _ in {'hex ' if base == 16 else ''}number")
        before = c in "0123456789" or (base == 16 and c in "abcdefABCDEF")


# ---- dates and times


def local_date(token: Token) -> Moment:
    """A date. Raises `TomlError`."""
    return Moment("toml.LocalDate", token.text, _date_syntax(_date(token.text, token)), token.text)


def local_time(token: Token) -> Moment:
    """A time of day. Raises `TomlError`."""
    time = _time(token.text, token, token.text)
    return Moment("toml.LocalTime", _time_text(time), _time_syntax(time), _time_text(time))


def local_date_time(date_token: Token, time_token: Token) -> Moment:
    """A date and a time of day without an offset; one that does not exist is told as the layout with a small ``t`` sees it."""
    text = f"{date_token.text}T{time_token.text}"
    try:
        day = _date(date_token.text, date_token)
        time = _time(time_token.text, date_token, text)
    except TomlError:
        rest = go_quote(f"T{time_token.text}")
        layout = "2006-01-02t15:04:05.999999999"
        what = f"parsing time {go_quote(text)} as {go_quote(layout)}: cannot parse {rest} as {go_quote('t')}"
        raise at_token(date_token, what) from None
    syntax = f"toml.LocalDateTime{{Date:{_date_syntax(day)}, Time:{_time_syntax(time)}}}"
    shown = f"{date_token.text}T{_time_text(time)}"
    return Moment("toml.LocalDateTime", shown, syntax, shown)


def moment(date_token: Token, time_token: Token, offset_token: Token) -> Moment:
    """A date and a time with an offset from UTC; the address of an offset other than 0 in its Go syntax is not told. Raises `TomlError`."""
    text = f"{date_token.text}T{time_token.text}{offset_token.text}"
    year, month, day = _date(date_token.text, date_token, text)
    hour, minute, second, nano = time = _time(time_token.text, date_token, text)
    match = re.fullmatch(_OFFSET, offset_token.text)
    zone, short, place = "+0000 UTC", "Z", "nil"
    if match:
        sign, hours, minutes = match.groups()
        for value, limit, name in ((hours, 24, "hour"), (minutes, 60, "minute")):
            if int(value) > limit:
                raise at_token(date_token, f"parsing time {go_quote(text)}: time zone offset {name} out of range")
        if int(hours) or int(minutes):
            zone, short, place = f"{sign}{hours}{minutes} {sign}{hours}{minutes}", match.group(), "0x..."
    fraction = f".{nano:09d}".rstrip("0").rstrip(".")
    shown = f"{_time_text(time)[:8]}{fraction}"
    seconds = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - _offset_seconds(match)
    syntax = f"time.Time{{wall:{nano:#x}, ext:{seconds}, loc:(*time.Location)({place})}}"
    toml = f"{date_token.text}T{_time_text(time)[:8]}{short}"
    return Moment("time.Time", f"{date_token.text} {shown} {zone}", syntax, toml)


def _days(year: int, month: int, day: int) -> int:
    """Days since 0001-01-01; the year 0 is counted a whole cycle of the calendar later, which is where Python's dates begin."""
    if year:
        return date(year, month, day).toordinal() - 1
    return date(_CYCLE_YEARS, month, day).toordinal() - 1 - _CYCLE_DAYS


def _offset_seconds(match: re.Match[str] | None) -> int:
    if match is None:
        return 0
    sign, hours, minutes = match.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 3600 + int(minutes) * 60)


def _date(text: str, token: Token, whole: str | None = None) -> tuple[int, int, int]:
    """Year, month and day. Raises `TomlError` at `token`, which tells the `whole` text."""
    year, month, day = (int(part) for part in text.split("-"))
    if not 1 <= month <= 12:
        raise at_token(token, f"parsing time {go_quote(whole or text)}: month out of range")
    from calendar import monthrange

    if not 1 <= day <= monthrange(year, month)[1]:
        raise at_token(token, f"parsing time {go_quote(whole or text)}: day out of range")
    return year, month, day


def _time(text: str, token: Token, whole: str) -> tuple[int, int, int, int]:
    """Hour, minute, second and nanosecond; digits beyond these are dropped. Raises `TomlError`."""
    clock, _, fraction = text.partition(".")
    parts = [int(part) for part in clock.split(":")]
    for value, limit, name in zip(parts, (24, 60, 60), ("hour", "minute", "second"), strict=True):
        if value >= limit:
            raise at_token(token, f"parsing time {go_quote(whole)}: {name} out of range")
    hour, minute, second = parts
    return hour, minute, second, int(fraction[:9].ljust(9, "0"))


def _time_text(time: tuple[int, int, int, int]) -> str:
    hour, minute, second, nano = time
    return f"{hour:02d}:{minute:02d}:{second:02d}" + (f".{nano:09d}" if nano else "")


def _date_syntax(day: tuple[int, int, int]) -> str:
    return "toml.LocalDate{{Year:{}, Month:{}, Day:{}}}".format(*day)


def _time_syntax(time: tuple[int, int, int, int]) -> str:
    return "toml.LocalTime{{Hour:{}, Minute:{}, Second:{}, Nanosecond:{}}}".format(*time)
