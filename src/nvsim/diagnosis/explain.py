"""All layers of a failure: what shows now, and what shows once that is mended; every proposal verified by simulating again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.diagnosis.find import find
from nvsim.diagnosis.model import Diagnosis, Finding, Proposal
from nvsim.diagnosis.where import base_name
from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.simulate import ProcessResult, Result, simulate

if TYPE_CHECKING:
    from nvsim.programs import KnownProgram
    from nvsim.scenario.changes import Change
    from nvsim.scenario.model import Scenario

_MAX_LAYERS = 6


def works(result: Result) -> bool:
    """Whether the command and every injected program that was tried beside it work."""
    return result.verdict == "ok" and all(c.verdict == "ok" for c in result.checks)


def diagnose(result: Result, programs: tuple[KnownProgram, ...], *, verify: bool = True) -> Diagnosis:
    """The findings of every layer. Each proposal is verified by simulating again with that change on top of its layer.

    Without `verify` no proposal is tried and a later layer's findings name all changes before it: enough to know which there are.
    """
    findings: list[Finding] = []
    seen: set[tuple[str, str]] = set()
    applied: tuple[Change, ...] = ()
    current = result
    for _ in range(_MAX_LAYERS):
        # of what shows only later, the causes of failures count; what else is worth knowing is said of the scenario as it is
        shown = [f for f in find(current) if not applied or f.severity == "error" or f.code == "NVS901"]
        new = [f for f in shown if (f.code, f.subject) not in seen]
        if not new:
            break
        seen |= {(f.code, f.subject) for f in new}
        before, scenario = applied, current.scenario
        for finding in new:
            if verify:
                needed = _needed(result.scenario, before, finding, programs)
                findings.append(evolve(_verified(current, finding, programs), after=needed))
            else:
                findings.append(evolve(finding, after=before))
            first = finding.fixes[0].change if finding.severity == "error" and finding.fixes else None
            if first is not None and first not in applied:
                try:
                    scenario = first.apply(scenario)
                except InputError:
                    continue
                applied = (*applied, first)
        if scenario is current.scenario:
            break
        after = _attempt(scenario, programs)
        if after is None:
            break
        current = after
    return Diagnosis(result, tuple(findings))


def _attempt(scenario: Scenario, programs: tuple[KnownProgram, ...]) -> Result | None:
    """The result of a changed scenario; None where the change makes one that no engine accepts."""
    try:
        return simulate(scenario, programs)
    except InputError:
        return None


def with_changes(scenario: Scenario, changes: tuple[Change, ...]) -> Scenario:
    """The scenario after changes, in order. Raises `InputError` when one cannot be made."""
    for change in changes:
        scenario = change.apply(scenario)
    return scenario


def _needed(
    scenario: Scenario, changes: tuple[Change, ...], finding: Finding, programs: tuple[KnownProgram, ...]
) -> tuple[Change, ...]:
    """Those of `changes` without which the finding does not show."""
    if len(changes) < 2:
        return changes
    kept = changes
    for change in changes:
        fewer = tuple(c for c in kept if c != change)
        try:
            after = simulate(with_changes(scenario, fewer), programs)
        except InputError:
            continue
        if _shows(finding, after):
            kept = fewer
    return kept


def _verified(result: Result, finding: Finding, programs: tuple[KnownProgram, ...]) -> Finding:
    proposals = []
    for proposal in finding.fixes:
        try:
            after = simulate(proposal.change.apply(result.scenario), programs)
        except InputError as e:
            proposals.append(Proposal(proposal.change, False, f"cannot be made: {e}"))
            continue
        gone = (
            not _shows(finding, after) and after.call.refusal is None
        )  # an engine that refuses the container only hides the cause
        proposals.append(Proposal(proposal.change, gone, _what_then(after)))
    return evolve(finding, fixes=tuple(proposals))


def _shows(finding: Finding, result: Result) -> bool:
    """Whether a result has the same cause, about the same subject."""
    return any((f.code, f.subject) == (finding.code, finding.subject) for f in find(result))


def _what_then(after: Result) -> str:
    """What a re-simulation gave, in a sentence."""
    failing = [p for p in (after.main, *after.checks) if p.verdict != "ok"]
    if not failing:
        return "then everything works"
    return f"then {_name(failing[0])} {'still fails' if failing[0].verdict == 'fails' else 'is undecided'}: {failing[0].reason}"


def _name(process: ProcessResult) -> str:
    return base_name(process.argv[0])
