"""What every rule uses to say a finding: the catalogue's severity and slug, the environment, names of processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nvsim.diagnosis.catalogue import entry
from nvsim.diagnosis.model import Finding, Proposal
from nvsim.scenario.changes import SetEnv

if TYPE_CHECKING:
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


def ask_capabilities(result: Result, capabilities: Iterable[str]) -> Change:
    """The change that asks for driver capabilities: by the variable, or by ``--gpus`` where that names them and so sets the variable."""
    names = ",".join(sorted(set(capabilities)))
    request = result.scenario.settings.gpus
    if request is not None and "capabilities=" in request:
        from nvsim.scenario.changes_host import UseGpus

        return UseGpus(f'all,"capabilities={names}"' if "," in names else f"all,capabilities={names}")
    return SetEnv("NVIDIA_DRIVER_CAPABILITIES", names)


def ask_all_gpus(result: Result) -> Change:
    """The change that asks for all GPUs, in the way in which GPUs are asked for here."""
    if result.scenario.settings.gpus is not None:
        from nvsim.scenario.changes_host import UseGpus

        return UseGpus("all")
    return SetEnv("NVIDIA_VISIBLE_DEVICES", "all")
