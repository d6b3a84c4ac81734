"""How Go prints values: what the texts of the toolkit's programs (all written in Go) are made of."""

from __future__ import annotations

from collections.abc import Iterable
from math import isinf, isnan

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
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, point = go_digits(value)
    if digits == "0":
        return f"{sign}0"
    if not -4 < point <= 6:
        mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
        return f"{sign}{mantissa}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def go_digits(value: float, *, single: bool = False) -> tuple[str, str, int]:
    """Sign, shortest decimal digits and the place of the point before them: 12.5 is ``("", "125", 2)``; `single`: as a float32."""
    from decimal import Decimal

    text = repr(value)
    if single:
        import struct

        shorter = (f"{value:.{n}g}" for n in range(1, 10))
        text = next((t for t in shorter if struct.unpack("f", struct.pack("f", float(t)))[0] == value), text)
    number = Decimal(text).normalize().as_tuple()
    assert isinstance(number.exponent, int)
    digits = "".join(map(str, number.digits))
    return "-" if number.sign else "", digits, len(digits) + number.exponent
