"""Results as text for people: verdict first, then the causes, then what helps."""

from __future__ import annotations

from nvsim.diagnosis.model import Diagnosis, Fix
from nvsim.inject.plan import InjectionPlan
from nvsim.simulate import Result

_WORDS = {"ok": "WORKS", "fails": "FAILS", "unknown": "UNKNOWN"}


def run_text(diagnosis: Diagnosis) -> str:
    """The answer of ``nvsim run``."""
    result = diagnosis.result
    lines = [f"{result.scenario.image.name} on {result.scenario.host.name}"]
    for process in (result.main, *result.checks):
        lines.append(f"  {_WORDS[process.verdict]:7} {process.argv[0]}: {process.reason}")
    for number, finding in enumerate(diagnosis.findings, 1):
        lines.append("")
        later = "  (shows once the causes above are mended)" if finding.after else ""
        lines.append(f"{number}. {finding.code} {finding.slug}: {finding.message}{later}")
        lines += [f"     {line}" for line in finding.evidence]
        for proposal in finding.fixes:
            mark = "verified" if proposal.verified else "not enough"
            lines.append(f"     fix ({mark}): {proposal.change.how()}   [{proposal.result}]")
        if finding.advice:
            lines.append(f"     {finding.advice}")
    if result.assumptions:
        lines += ["", "Assumed:", *(f"  {a}" for a in result.assumptions)]
    return "\n".join(lines) + "\n"


def fix_text(fix: Fix | None) -> str:
    """The answer of ``nvsim fix``."""
    if fix is None:
        return "No set of changes that nvsim can make and verify was found.\n"
    if not fix.changes:
        return "Nothing to fix: everything works.\n"
    lines = [f"{len(fix.changes)} change(s) make everything work ({fix.tried} sets simulated):"]
    lines += [f"  {c.how()}" for c in fix.changes]
    lines.append("Verified:")
    for result in fix.results:
        names = ", ".join(p.argv[0] for p in (result.main, *result.checks))
        lines.append(f"  {result.scenario.host.name}: {names} work")
    return "\n".join(lines) + "\n"


def plan_text(result: Result, plan: InjectionPlan | None) -> str:
    """The answer of ``nvsim plan``."""
    lines = [f"route {result.request.route} (mode {result.request.mode})"]
    lines += [f"  {what}: {why.text} [{why.input}]" for what, why in result.request.because]
    if plan is None:
        return "\n".join([*lines, "nothing is injected"]) + "\n"
    for mount in plan.mounts:
        because = "; ".join(b.text for b in mount.because)
        lines.append(f"  + {mount.kind} {mount.src} -> {mount.dst}" + (f"  ({because})" if because else ""))
    lines += [f"  + link {link.path} -> {link.target}" for link in plan.symlinks]
    lines += [f"  + device {node.path}" for node in plan.device_nodes]
    if plan.ldconfig is not None:
        lines.append(f"  + run {plan.ldconfig.path} {' '.join(plan.ldconfig.argv)} (from the {plan.ldconfig.side})")
    for skipped in plan.skipped:
        lines.append(f"  - {skipped.what}: {'; '.join(b.text for b in skipped.because)}")
    if plan.failure:
        lines.append(f"  ! {plan.failure.strip()}")
    return "\n".join(lines) + "\n"
