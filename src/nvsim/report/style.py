"""How text looks: colours that are there only on a terminal, wrapped sentences, aligned columns, short store paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nvsim.frozen import frozen

WIDTH = 110
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STORE = r"(/(?:nix|gnu)/store/)[0-9a-z]{32}-"
_ESCAPE = r"\x1b\[[0-9;]*m"
VERDICTS = {"ok": ("WORKS", "green"), "fails": ("FAILS", "red"), "unknown": ("UNKNOWN", "yellow")}
MARKS = {"ok": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}


@frozen
class Style:
    """Whether text is coloured."""

    color: bool = False

    def paint(self, text: str, *looks: str) -> str:
        """`text` in bold, dim, red, green, yellow or cyan."""
        if not self.color or not looks or not text:
            return text
        return f"\x1b[{';'.join(_CODES[look] for look in looks)}m{text}\x1b[0m"

    def verdict(self, verdict: str) -> str:
        """The verdict as one coloured word."""
        word, look = VERDICTS[verdict]
        return self.paint(word, "bold", look)

    def mark(self, verdict: str) -> str:
        """The verdict as one sign."""
        sign, look = MARKS[verdict]
        return self.paint(sign, look)


PLAIN = Style()


def wrapped(text: str, indent: str, first: str | None = None, width: int = WIDTH) -> list[str]:
    """A sentence as lines of at most `width`, words (paths) never broken; `first` stands before the first line."""
    import textwrap  # a list of libraries has no sentences

    lines = textwrap.wrap(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [(indent if first is None else first).rstrip()]


def short(text: str) -> str:
    """`text` with the hashes of store paths left out; for reading, not for copying."""
    return re.sub(_STORE, r"\1…-", text)


def columns(rows: Iterable[Sequence[str]], indent: str = "", gap: str = "  ") -> list[str]:
    """Rows of cells as aligned lines; colours do not count as width."""
    table = [list(row) for row in rows]
    count = max((len(row) for row in table), default=0)
    widths = [max((_width(row[i]) for row in table if i < len(row)), default=0) for i in range(count)]
    lines = []
    for row in table:
        cells = [cell + " " * (widths[i] - _width(cell)) for i, cell in enumerate(row)]
        lines.append((indent + gap.join(cells)).rstrip())
    return lines


def _width(cell: str) -> int:
    return len(re.sub(_ESCAPE, "", cell)) if "\x1b" in cell else len(cell)
