"""Two predictions compared, as text and as JSON: the verdicts first, then what changed them."""

from __future__ import annotations

from typing import Any

from nvsim.diagnosis.diff import Change, Difference
from nvsim.diagnosis.model import Finding
from nvsim.report.style import PLAIN, Style, short, wrapped
from nvsim.report.text import base

_SHOWN = 8


def diff_text(found: Difference, style: Style = PLAIN) -> str:
    """The answer of ``nvsim diff``."""
    first, second = found.first.result, found.second.result
    word = "SAME" if found.same else "DIFFERENT"
    lines = [f"{style.paint(word, 'bold')}  A: {style.verdict(first.verdict)} {_name(found, 0)}"]
    lines.append(f"{' ' * len(word)}  B: {style.verdict(second.verdict)} {_name(found, 1)}")
    lines += _findings(found, style)
    lines += _section("Decided otherwise", found.request, style)
    lines += _plan(found, style)
    lines += _section("Outcome", found.outcome, style)
    lines += _section("Input", found.inputs, style)
    return "\n".join(lines) + "\n"


def _name(found: Difference, side: int) -> str:
    scenario = (found.first, found.second)[side].result.scenario
    return f"{scenario.image.name} on {scenario.host.name}"


def _findings(found: Difference, style: Style) -> list[str]:
    lines: list[str] = []
    for title, findings, look in (
        ("Gone in B", found.gone, "green"),
        ("New in B", found.new, "red"),
        ("In both", found.stay, "dim"),
    ):
        causes = [f for f in findings if f.severity == "error" or look != "dim"]
        if causes:
            lines += ["", style.paint(title, "bold")]
        for finding in causes:
            lines += wrapped(short(finding.message), "             ", f"  - {style.paint(finding.code, look)} ")
    return lines


def _section(title: str, changes: tuple[Change, ...], style: Style) -> list[str]:
    if not changes:
        return []
    lines = ["", style.paint(title, "bold")]
    for change in changes:
        lines.append(f"  {base(change.what) if title == 'Outcome' else change.what}")
        for mark, value, why in (("A", change.first, change.because[0]), ("B", change.second, change.because[1])):
            reason = f"   ({why})" if why else ""
            lines += wrapped(f"{short(value) if value is not None else 'none'}{reason}", "       ", f"    {mark}: ")
    return lines


def _plan(found: Difference, style: Style) -> list[str]:
    lines: list[str] = []
    for title, changes, mark, look in (
        ("Injected in A only", [c for c in found.plan if c.second is None], "-", "red"),
        ("Injected in B only", [c for c in found.plan if c.first is None], "+", "green"),
    ):
        if changes:
            lines += ["", style.paint(f"{title} ({len(changes)})", "bold")]
        for reason in dict.fromkeys(c.because[0] or c.because[1] for c in changes):
            group = [c for c in changes if (c.because[0] or c.because[1]) == reason]
            if reason:
                lines += wrapped(reason, "    ", "  ")
            lines += [f"    {style.paint(mark, look)} {c.what}" for c in group[:_SHOWN]]
            if len(group) > _SHOWN:
                lines.append(f"      ... {len(group) - _SHOWN} more (--format json has them)")
    return lines


def diff_json(found: Difference) -> dict[str, Any]:
    """The object that ``nvsim diff --format json`` prints."""
    return {
        "schema": "nvsim-diff/1",
        "same": found.same,
        "first": {"scenario": _name(found, 0), "verdict": found.first.result.verdict},
        "second": {"scenario": _name(found, 1), "verdict": found.second.result.verdict},
        "inputs": [_change(c) for c in found.inputs],
        "request": [_change(c) for c in found.request],
        "plan": [_change(c) for c in found.plan],
        "outcome": [_change(c) for c in found.outcome],
        "findings": {
            "gone": [_cause(f) for f in found.gone],
            "new": [_cause(f) for f in found.new],
            "both": [_cause(f) for f in found.stay],
        },
    }


def _change(change: Change) -> dict[str, Any]:
    because = {"first": change.because[0], "second": change.because[1]}
    return {"what": change.what, "first": change.first, "second": change.second, "because": because}


def _cause(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "slug": finding.slug, "subject": finding.subject, "message": finding.message}
