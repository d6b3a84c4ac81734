"""From a sweep to its cells, and from an answer to whether the cell's expectation holds. Nothing here runs a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from nvsim.diagnosis.model import Diagnosis
from nvsim.frozen import evolve
from nvsim.sweep.model import Cell, CellResult, Expectation, ImageSource, Pattern, Setting, Sweep

_DEFAULT = Expectation(Pattern(), "work")


def matches(pattern: Pattern, cell: Cell) -> bool:
    """Whether a cell is one of those that `pattern` names."""
    return (
        fnmatchcase(cell.host, pattern.host)
        and fnmatchcase(cell.image.name, pattern.image)
        and fnmatchcase(cell.setting, pattern.setting)
        and fnmatchcase(cell.command_text, pattern.command)
    )


def cells(sweep: Sweep) -> tuple[Cell, ...]:
    """The cells: the product of the axes (images outermost, so that neighbours share an image), less the excluded, then the included.

    Every cell carries the last expectation of the file that matches it. A cell that stands twice is kept once.
    """
    found: dict[tuple[str, str, str, str], Cell] = {}
    for cell in (*_product(sweep), *_included(sweep)):
        found.setdefault((cell.image.name, cell.host, cell.setting, cell.command_text), cell)
    return tuple(evolve(c, expectation=_expected(sweep, c)) for c in found.values())


def _product(sweep: Sweep) -> Iterator[Cell]:
    for image in sweep.images:
        for host in sweep.hosts:
            for setting in sweep.settings:
                for command in sweep.commands:
                    cell = Cell(host, image, setting.name, command, setting.options)
                    if not any(matches(p, cell) for p in sweep.exclude):
                        yield cell


def _included(sweep: Sweep) -> Iterator[Cell]:
    for item in sweep.include:
        image: ImageSource = item["image"]
        setting: Setting = item["setting"]
        yield Cell(item["host"], image, setting.name, item["command"], setting.options)


def _expected(sweep: Sweep, cell: Cell) -> Expectation:
    return next((e for e in reversed(sweep.expect) if matches(e.pattern, cell)), _DEFAULT)


def judged(cell: Cell, key: str, diagnosis: Diagnosis) -> CellResult:
    """The result of a cell from what was found."""
    codes = [f.code for f in diagnosis.findings if not f.after]
    later = [f.code for f in diagnosis.findings if f.after]
    main = diagnosis.result.main
    result = CellResult(
        cell,
        key,
        diagnosis.result.verdict,
        main.reason,
        tuple(dict.fromkeys(codes)),
        tuple(dict.fromkeys(later)),
        main.message,
    )
    why = unmet(cell.expectation, result)
    return evolve(result, met=not why, why=why)


def unanswered(cell: Cell, key: str, text: str) -> CellResult:
    """The result of a cell whose query cannot be answered."""
    return CellResult(cell, key, "error", text, met=False, why=f"it cannot be answered: {text}")


def unmet(expectation: Expectation, result: CellResult) -> str:
    """Why a result is not what was expected; "" when it is. An unknown outcome meets no "work" and no "fail"."""
    if result.verdict == "error":
        return f"it cannot be answered: {result.reason}"
    if expectation.must == "any":
        return ""
    wanted = {"work": "ok", "fail": "fails"}[expectation.must]
    if result.verdict != wanted:
        said = {"ok": "it works", "fails": f"it fails: {result.reason}", "unknown": f"it is unknown: {result.reason}"}
        return f"must {expectation.must}, but {said[result.verdict]}"
    missing = [c for c in expectation.codes if c not in result.codes and c not in result.later]
    if missing:
        got = ", ".join((*result.codes, *result.later)) or "no finding"
        return f"must fail with {', '.join(missing)}, but has {got}"
    return ""
