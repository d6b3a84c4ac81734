"""`Finding` and `Diagnosis`: why a prediction is what it is, and what was verified to help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.frozen import frozen

if TYPE_CHECKING:
    from nvsim.scenario.changes import Change
    from nvsim.simulate import Result


@frozen
class Proposal:
    """One change that a finding suggests. `verified`: a re-simulation with this change alone no longer has the finding.

    `result` says what the re-simulation gave ("works", or what fails next).
    """

    change: Change
    verified: bool = False
    result: str = ""


@frozen
class Finding:
    """One cause. `code` and `slug` are stable; `severity` is "error", "warning" or "info".

    `subject`: the program or library that it is about. `message`: one sentence, the cause. `evidence`: facts read off the result,
    in causal order. `advice`: what helps but is no change that nvsim can make and verify. `after`: the changes that had to be
    assumed before this cause showed (empty = it shows in the scenario as it is).
    """

    code: str
    slug: str
    severity: str
    subject: str
    message: str
    evidence: tuple[str, ...] = ()
    fixes: tuple[Proposal, ...] = ()
    advice: str = ""
    after: tuple[Change, ...] = ()


@frozen
class Diagnosis:
    """A result and what was found about it, all layers: what shows now, then what shows once that is mended."""

    result: Result
    findings: tuple[Finding, ...]
