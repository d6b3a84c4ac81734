"""Semantic versions as the toolkit's two libraries read and compare them: ``golang.org/x/mod/semver``, and Masterminds/semver later.

Which release has which library is `Release.semver`. Both take ``1``, ``1.2`` and a leading ``v``.
"""

from __future__ import annotations

import re
from typing import Literal

from nvsim.frozen import frozen
from nvsim.toolkit.go_text import go_quote

Library = Literal["x-mod", "masterminds"]

_NUMBER = r"(0|[1-9][0-9]*)"
_PRE = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_BUILD = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_X_MOD = rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}{_PRE}{_BUILD})?)?"
_MASTERMINDS = rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_PRE}{_BUILD}"
_MASTERMINDS_BYTES = 256
_UINT64 = 2**64


class VersionError(ValueError):
    """The text is no version for the library; the argument is its message (of this module for x/mod, which has none)."""


@frozen
class SemVer:
    """A version: three numbers, as digits without leading zeros, and the pre-release ("" = none); build metadata plays no part."""

    major: str
    minor: str
    patch: str
    pre: str
    library: Library

    @property
    def major_minor(self) -> str:
        return f"{self.major}.{self.minor}"


def parse_version(text: str, library: Library) -> SemVer:
    """The version that a text names. Raises `VersionError`."""
    return _parse_x_mod(text) if library == "x-mod" else _parse_masterminds(text)


def _parse_x_mod(text: str) -> SemVer:
    match = re.fullmatch(_X_MOD, text)
    if match is None or any(_padded(part) for part in (match[4] or "").split(".")):
        raise VersionError("invalid version string")
    return SemVer(match[1], match[2] or "0", match[3] or "0", match[4] or "", "x-mod")


def _parse_masterminds(text: str) -> SemVer:
    if len(text.encode("utf-8", "surrogateescape")) > _MASTERMINDS_BYTES:
        raise VersionError(f"version string is too long (max {_MASTERMINDS_BYTES} bytes)")
    match = re.fullmatch(_MASTERMINDS, text)
    if match is None:
        raise VersionError("invalid semantic version")
    numbers = [n or "0" for n in match.groups()[:3]]
    for number in numbers:
        if int(number) >= _UINT64:
            reason = f"strconv.ParseUint: parsing {go_quote(number)}: value out of range"
            raise VersionError(f"error parsing version segment: {reason}")
    pre = match[4] or ""
    if any(_padded(part) for part in pre.split(".")):
        raise VersionError("version segment starts with 0")
    major, minor, patch = (str(int(n)) for n in numbers)
    return SemVer(major, minor, patch, pre, "masterminds")


def _padded(part: str) -> bool:
    """Whether a part of a pre-release is a number with leading zeros."""
    return len(part) > 1 and part[0] == "0" and part.isdigit()


def compare_versions(a: SemVer, b: SemVer) -> int:
    """-1, 0 or 1: a pre-release comes before its release, numbers in it before words and by value, words by their characters."""
    left, right = _order(a), _order(b)
    return (left > right) - (left < right)


def _order(version: SemVer) -> tuple[object, ...]:
    parts = version.pre.split(".") if version.pre else ()
    numbers = (_number(n) for n in (version.major, version.minor, version.patch))
    return (*numbers, not parts, tuple(_part_order(p, version.library) for p in parts))


def _number(digits: str) -> tuple[int, str]:
    """What orders numbers of any length by value."""
    return len(digits), digits


def _part_order(part: str, library: Library) -> tuple[bool, tuple[int, str]]:
    """Numbers come first; what Masterminds cannot hold in 64 bits is a word for it."""
    if part.isdigit() and (library == "x-mod" or int(part) < _UINT64):
        return False, _number(part)
    return True, (0, part)


def compare_texts(a: str, b: str) -> int:
    """What x/mod says of two texts: one that is no version comes before every version, two such are equal."""
    left, right = _optional(a), _optional(b)
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return compare_versions(left, right)


def _optional(text: str) -> SemVer | None:
    try:
        return _parse_x_mod(text)
    except VersionError:
        return None
