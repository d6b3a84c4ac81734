"""The functions of Go's library over texts and paths whose exact behaviour decides what the toolkit does, and a log line of it.

`strings.TrimSpace`, `strconv.ParseBool`, `path.Clean` and `path.Join`, logrus' text format. Python's own look alike but differ
(`str.strip` takes more characters, `posixpath.normpath` keeps a leading ``//``). How Go prints values is in `go_text`.
"""

from __future__ import annotations

from nvsim.toolkit.go_text import go_quote

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/@^+")


def trim_space(text: str) -> str:
    """``strings.TrimSpace``: without Unicode white space at both ends."""
    return text.strip(_SPACE)


def items_of(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list, trimmed, without the empty ones."""
    return tuple(t for t in map(trim_space, text.split(",")) if t)


def is_true(text: str) -> bool:
    """The value of ``strconv.ParseBool`` with its error ignored: what it cannot read is false."""
    return text in _TRUE


def parse_bool(text: str | None) -> bool | None:
    """A text as ``strconv.ParseBool`` reads it; None where that fails."""
    return True if text in _TRUE else False if text in _FALSE else None


def clean(path: str) -> str:
    """``path.Clean``: the shortest equivalent path by text alone; "" becomes "."."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and (parts and parts[-1] != ".."):
            parts.pop()
        elif part != ".." or not rooted:
            parts.append(part)
    text = "/".join(parts)
    return f"/{text}" if rooted else text or "."


def join(*parts: str) -> str:
    """``path.Join``: the non-empty parts joined and cleaned; "" when all are empty."""
    text = "/".join(p for p in parts if p)
    return clean(text) if text else ""


def log_line(level: str, message: str) -> str:
    """A line of logrus' text format as it stands on stderr, without its time stamp and without the newline."""
    plain = message != "" and all(c in _PLAIN for c in message)
    return f"level={level} msg={message if plain else go_quote(message)}"
