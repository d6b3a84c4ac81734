"""What a whole sweep came to: counts, the matrix of hosts and images, and the exit status. Renderings read off these values."""

from __future__ import annotations

from collections.abc import Iterable

from nvsim.frozen import frozen
from nvsim.sweep.model import CellResult

FAIL_ON = ("unmet", "fails", "unknown", "never")


@frozen
class Row:
    """One line of the matrix: an image with a setting and a command, and its results by host (None = no such cell)."""

    image: str
    setting: str
    command: str
    results: tuple[CellResult | None, ...]


@frozen
class Summary:
    """A sweep's results as a matrix; `hosts` are its columns."""

    name: str
    hosts: tuple[str, ...]
    rows: tuple[Row, ...]
    results: tuple[CellResult, ...]

    def count(self, verdict: str) -> int:
        """How many cells have this verdict."""
        return sum(r.verdict == verdict for r in self.results)

    @property
    def unmet(self) -> tuple[CellResult, ...]:
        """The cells whose expectation does not hold."""
        return tuple(r for r in self.results if not r.met)


def summarise(name: str, results: Iterable[CellResult]) -> Summary:
    """The matrix of some results; rows and columns stand in the order in which they first occur."""
    given = tuple(results)
    hosts = tuple(dict.fromkeys(r.cell.host for r in given))
    rows: dict[tuple[str, str, str], dict[str, CellResult]] = {}
    for r in given:
        rows.setdefault((r.cell.image.name, r.cell.setting, r.cell.command_text), {})[r.cell.host] = r
    return Summary(name, hosts, tuple(Row(*k, tuple(by.get(h) for h in hosts)) for k, by in rows.items()), given)


def failing(summary: Summary, fail_on: str) -> bool:
    """Whether the sweep's exit status is 1: an expectation does not hold ("unmet"), any cell fails ("fails"), or fails or is unknown
    ("unknown"). A cell that could not be answered fails in all of them but "never"."""
    if fail_on == "never":
        return False
    if fail_on == "unmet":
        return bool(summary.unmet)
    bad = {"fails": ("fails", "error"), "unknown": ("fails", "unknown", "error")}[fail_on]
    return any(r.verdict in bad for r in summary.results)
