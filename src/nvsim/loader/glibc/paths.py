"""Where glibc looks, as text: path lists, dynamic string tokens, hwcaps subdirectories (``elf/dl-load.c``, ``elf/dl-hwcaps.c``).

Nothing here opens a file. The lists of a process are `nvsim.loader.glibc.lists`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import product

_TOKEN = r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))"
_STRICT_TOKEN = r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![^/]))"  # up to 2.27
_ENDS_IN_TOKEN = r"\$(\{(ORIGIN|LIB|PLATFORM)\}|ORIGIN|LIB|PLATFORM|)$"


@lru_cache(64)
def subdirectories(hwcaps: tuple[str, ...], legacy: tuple[str, ...]) -> tuple[str, ...]:
    """What is tried below every search directory, in order, each with a trailing slash; "" (the directory itself) is last.

    `hwcaps` are glibc-hwcaps names, best first. Of the `legacy` names every combination is tried, more of the earlier ones first.
    """
    out = [f"glibc-hwcaps/{name}/" for name in hwcaps]
    for chosen in product((True, False), repeat=len(legacy)):
        out.append("".join(f"{name}/" for name, use in zip(legacy, chosen, strict=True) if use))
    return tuple(out)


def expand(
    text: str, origin: str | None, lib: str, platform: str | None, *, secure: bool = False, loose: bool = True
) -> str | None:
    """`text` with its tokens replaced; None when one has no value, or ($ORIGIN with `secure`, from 2.28) stands where it may not.

    `loose`: a token may be followed by anything that cannot be part of its name (from 2.28); otherwise only by the end or a slash.
    """
    if "$" not in text:
        return text
    bad = False

    def value(match: re.Match[str]) -> str:
        nonlocal bad
        name = match[1] or match[2]
        out: str | None = origin
        if name == "LIB":
            out = lib
        elif name == "PLATFORM":
            out = platform
        elif secure and (match.start() != 0 or text[match.end() : match.end() + 1] not in ("", "/")):
            if not loose:
                return match[0]
            out = None
        bad = bad or out is None
        return out or ""

    out = re.sub(_TOKEN if loose else _STRICT_TOKEN, value, text)
    return None if bad or not out else out


def expand_list(text: str, value: Callable[[str], str | None]) -> str:
    """A list with ":" between its elements, expanded as a whole as up to 2.26; `value` is what expands an element.

    An element without value is dropped, together with those before it back to the last that ends in a character of its own.
    """
    out, kept, colon = "", 0, ""
    elements = text.split(":")
    for at, element in enumerate(elements, 1):
        expanded = value(element) if "$" in element else element
        if expanded is None:
            out = out[:kept]
            colon = "" if not out and ":".join(elements[at:]) else ":"
            continue
        out += colon + expanded
        if colon if not element else not re.search(_ENDS_IN_TOKEN, element):
            kept = len(out)
        colon = ":"
    return out


def has_token(text: str, *, loose: bool = True) -> bool:
    """Whether `text` holds a dynamic string token."""
    return "$" in text and re.search(_TOKEN if loose else _STRICT_TOKEN, text) is not None


def split_path(text: str, separators: str) -> list[str]:
    """The elements of a path list."""
    for extra in separators[1:]:
        text = text.replace(extra, separators[0])
    return text.split(separators[0])


def directory_prefix(element: str) -> str:
    """The prefix of a candidate: trailing slashes reduced to one, "" for the current directory."""
    if not element:
        return ""
    stripped = element.rstrip("/")
    return f"{stripped}/" if stripped else "/"


def normalise(path: str) -> str:
    """An absolute path without ``.``, ``..`` and doubled slashes, taken as text."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
