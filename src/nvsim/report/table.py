"""One image on several hosts, as a table: a row a host, with the first cause of each failure."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.diagnosis.model import Diagnosis, Finding
from nvsim.report.style import PLAIN, Style, columns, short, wrapped
from nvsim.report.text import base, title_of


def hosts_text(diagnoses: Sequence[Diagnosis], style: Style = PLAIN) -> str:
    """The answer of ``nvsim run`` for several hosts."""
    first = diagnoses[0].result
    checks = tuple(dict.fromkeys(base(c.argv[0]) for d in diagnoses for c in d.result.checks))
    head = ["HOST", "DRIVER", "TOOLKIT", "MODE", title_of(first.main), *checks, "CAUSES"]
    rows = [head, *(_row(d, checks, style) for d in diagnoses)]
    good = sum(d.result.verdict == "ok" for d in diagnoses)
    lines = [f"{first.scenario.image.name}: works on {good} of {len(diagnoses)} hosts", ""]
    lines += columns(rows, "  ")
    causes = _causes(diagnoses)
    if causes:
        lines.append("")
    for code, (finding, hosts) in causes.items():
        where = "" if len(hosts) == len(diagnoses) else f" (on {', '.join(hosts)})"
        lines += wrapped(f"{short(finding.message)}{where}", "         ", f"{code} ")
        helps = next((p for p in finding.fixes if p.verified), None)
        if helps is not None:
            lines.append(f"       {style.paint('✓', 'green')} fix, verified: {style.paint(helps.change.how(), 'bold')}")
    return "\n".join(lines) + "\n"


def _row(diagnosis: Diagnosis, checks: tuple[str, ...], style: Style) -> list[str]:
    result = diagnosis.result
    host = result.scenario.host
    found = {base(c.argv[0]): c.verdict for c in result.checks}
    codes = dict.fromkeys(f.code for f in diagnosis.findings if f.severity == "error" or f.code.startswith("NVS9"))
    return [
        host.name,
        host.driver.version or "none",
        result.scenario.settings.toolkit_version or host.toolkit.version or "none",
        result.request.mode if result.request.route != "none" else "none",
        style.verdict(result.verdict),
        *(style.verdict(found[name]) if name in found else "-" for name in checks),
        " ".join(codes) or "-",
    ]


def _causes(diagnoses: Sequence[Diagnosis]) -> dict[str, tuple[Finding, list[str]]]:
    """Each code once, with the first finding of that code and the hosts that have it."""
    causes: dict[str, tuple[Finding, list[str]]] = {}
    for diagnosis in diagnoses:
        for finding in diagnosis.findings:
            if finding.severity == "error" or finding.code.startswith("NVS9"):
                _, hosts = causes.setdefault(finding.code, (finding, []))
                if diagnosis.result.scenario.host.name not in hosts:
                    hosts.append(diagnosis.result.scenario.host.name)
    return dict(sorted(causes.items()))
