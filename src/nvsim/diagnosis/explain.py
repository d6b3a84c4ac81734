"""All layers of a failure: what shows now, and what shows once that is mended."""

from __future__ import annotations

from attrs import evolve

from nvsim.diagnosis.find import find
from nvsim.diagnosis.model import Diagnosis, Finding, Proposal
from nvsim.errors import InputError
from nvsim.programs import KnownProgram
from nvsim.scenario.changes import Change, apply_change
from nvsim.simulate import Result, simulate

_MAX_LAYERS = 6


def works(result: Result) -> bool:
    """Whether the command and every injected program that was tried beside it work."""
    return result.verdict == "ok" and all(c.verdict == "ok" for c in result.checks)


def diagnose(result: Result, programs: tuple[KnownProgram, ...]) -> Diagnosis:
    """The findings of every layer. Each first proposal is verified by simulating again with that change alone."""
    findings: list[Finding] = []
    seen: set[tuple[str, str]] = set()
    applied: tuple[Change, ...] = ()
    current = result
    for _ in range(_MAX_LAYERS):
        new = [f for f in find(current) if (f.code, f.subject) not in seen]
        if not new:
            break
        seen |= {(f.code, f.subject) for f in new}
        scenario = current.scenario
        for finding in new:
            findings.append(evolve(_verified(current, finding, programs), after=applied))
            if finding.severity == "error" and finding.fixes and finding.fixes[0].change not in applied:
                try:
                    scenario = apply_change(scenario, finding.fixes[0].change)
                except InputError:
                    continue
                applied = (*applied, finding.fixes[0].change)
        if scenario is current.scenario:
            break
        current = simulate(scenario, programs)
    return Diagnosis(result, tuple(findings))


def _verified(result: Result, finding: Finding, programs: tuple[KnownProgram, ...]) -> Finding:
    proposals = []
    for proposal in finding.fixes:
        try:
            after = simulate(apply_change(result.scenario, proposal.change), programs)
        except InputError as e:
            proposals.append(Proposal(proposal.change, False, str(e)))
            continue
        gone = not any((f.code, f.subject) == (finding.code, finding.subject) for f in find(after))
        failing = [p for p in (after.main, *after.checks) if p.verdict != "ok"]
        text = "everything works" if not failing else f"then: {failing[0].argv[0]}: {failing[0].reason}"
        proposals.append(Proposal(proposal.change, gone, text))
    return evolve(finding, fixes=tuple(proposals))
