"""How Go prints values: what the texts of the toolkit's programs (all written in Go) are made of."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def go_quote(text: str) -> str:
    """`text` as ``%q`` prints it (``strconv.Quote``)."""
    out = ['"']
    for c in text:
        if c in '"\\':
            out.append("\\" + c)
        elif c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif c.isprintable():
            out.append(c)
        elif ord(c) < 0x80:
            out.append(f"\\x{ord(c):02x}")
        elif 0xDC80 <= ord(c) <= 0xDCFF:
            out.append(f"\\x{ord(c) - 0xDC00:02x}")
        else:
            out.append(f"\\u{ord(c):04x}" if ord(c) <= 0xFFFF else f"\\U{ord(c):08x}")
    out.append('"')
    return "".join(out)


def go_list(items: Iterable[str]) -> str:
    """A slice of strings as ``%v`` prints it."""
    return f"[{' '.join(items)}]"


def go_float(value: float) -> str:
    """A float64 as ``%v`` prints it: shortest digits, with an exponent below 1e-4 and from 1e21 on."""
    if isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    if exponent == "" and (value == 0 or 1e-4 <= abs(value) < 1e21):
        return mantissa.removesuffix(".0")
    if 1e-4 <= abs(value) < 1e21:
        return f"{value:.0f}" if abs(value) >= 1 else mantissa
    if exponent == "":
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"
