"""Numbers as Go writes them: ``strconv.FormatFloat`` in its shortest form, and ``encoding/json``."""

from __future__ import annotations

import math
import struct


def format_number(value: int | float) -> str:
    """A YAML number that stands where a string is wanted: Go's FormatInt, or FormatFloat(f, 'g', -1, 32)."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"

    single = struct.unpack("f", struct.pack("f", max(min(value, 3.4e38), -3.4e38)))[0]
    shortest = next(t for t in (f"{single:.{p}e}" for p in range(18)) if _same_single(float(t), single))
    return _go_number(shortest, -4, 6)


def json_number(value: int | float) -> str:
    """A number as ``encoding/json`` writes it."""
    if isinstance(value, int):
        return str(value)
    shortest = next(t for t in (f"{value:.{p}e}" for p in range(18)) if float(t) == value)
    return _go_number(shortest, -6, 21)


def _go_number(scientific: str, low: int, high: int) -> str:
    """Go's shorter notation of ``D.DDDe+XX``: without an exponent when that is at least `low` and below `high`."""
    mantissa, _, exponent = scientific.partition("e")
    sign, digits = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    digits, power = digits.replace(".", "").rstrip("0") or "0", int(exponent)
    if not low <= power < high:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, fraction = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}"


def _same_single(a: float, b: float) -> bool:
    return struct.pack("f", a) == struct.pack("f", b)
