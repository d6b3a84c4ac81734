"""What every rule uses to say a finding: the catalogue's severity and slug, the environment, names of processes."""

from __future__ import annotations

from nvsim.diagnosis.catalogue import entry
from nvsim.diagnosis.model import Finding, Proposal
from nvsim.scenario.changes import Change
from nvsim.simulate import Result


def finding(
    code: str,
    subject: str,
    message: str,
    evidence: tuple[str, ...] = (),
    changes: tuple[Change, ...] = (),
    advice: str = "",
) -> Finding:
    """A finding of the catalogue, its proposals not yet verified."""
    kind = entry(code)
    proposals = tuple(Proposal(c) for c in changes)
    return Finding(code, kind.slug, kind.severity, subject, message, evidence, proposals, advice)


def env_of(result: Result, name: str) -> str:
    """The value of a variable in the container's process; "" when it is unset."""
    return next((e.partition("=")[2] for e in result.process.env if e.startswith(f"{name}=")), "")
