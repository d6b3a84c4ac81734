"""A sweep's results as text: the verdict first, then what is not as expected, then the matrix."""

from __future__ import annotations

from nvsim.sweep.model import CellResult
from nvsim.sweep.summary import Summary

MARKS = {"ok": "ok", "fails": "FAILS", "unknown": "?", "error": "ERROR"}
_SHOWN = 20


def sweep_text(summary: Summary) -> str:
    """The table that a terminal shows."""
    unmet = summary.unmet
    total = len(summary.results)
    head = "all as expected" if not unmet else f"{len(unmet)} of {total} NOT as expected"
    counts = ", ".join(f"{n} {w}" for w, n in ((MARKS[v], summary.count(v)) for v in MARKS) if n)
    lines = [f"{summary.name}: {total} scenarios, {head} ({counts})"]
    lines += [f"  {label(r)}: {r.why}" for r in unmet[:_SHOWN]]
    if len(unmet) > _SHOWN:
        lines.append(f"  ... and {len(unmet) - _SHOWN} more (--format json has all)")
    return "\n".join([*lines, "", *_matrix(summary)]) + "\n"


def label(result: CellResult) -> str:
    """A cell in a few words."""
    cell = result.cell
    parts = [f"{cell.image.name} on {cell.host}"]
    if cell.setting != "default":
        parts.append(f"[{cell.setting}]")
    if cell.command is not None:
        parts.append(cell.command_text)
    return " ".join(parts)


def cell_text(result: CellResult | None) -> str:
    """A cell of the matrix: its verdict, the findings of a failure, "!" when that is not as expected."""
    if result is None:
        return ""
    text = MARKS[result.verdict]
    if result.verdict == "fails" and result.codes:
        text = " ".join(result.codes)
    return text if result.met else f"{text} !"


def _matrix(summary: Summary) -> list[str]:
    """Hosts as lines (there are many), images with setting and command as columns, numbered where names would be too wide."""
    names = [
        " ".join(x for x in (r.image, f"[{r.setting}]" if r.setting != "default" else "", r.command) if x)
        for r in summary.rows
    ]
    table = [["", *(f"({n})" for n in range(1, len(names) + 1))]]
    for column, host in enumerate(summary.hosts):
        table.append([host, *(cell_text(row.results[column]) for row in summary.rows)])
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = [f"({n}) {name}" for n, name in enumerate(names, 1)]
    return [*lines, *("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in table)]
