"""Results as ``nvsim-result/1`` JSON: sorted keys, no time, no machine path."""

from __future__ import annotations

from typing import Any

from nvsim.diagnosis.model import Diagnosis, Finding
from nvsim.simulate import ProcessResult
from nvsim.toolkit.request import Because


def result_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The object that ``nvsim run --format json`` prints."""
    result = diagnosis.result
    request, plan, injected = result.request, result.plan, result.injected
    out: dict[str, Any] = {
        "schema": "nvsim-result/1",
        "host": result.scenario.host.name,
        "image": result.scenario.image.name,
        "verdict": result.verdict,
        "request": {
            "devices": list(request.devices) if request.devices is not None else None,
            "driver_capabilities": list(request.capabilities) if request.capabilities is not None else None,
            "mode": request.mode,
            "route": request.route,
            "legacy_image": request.legacy_image,
            "requirements": list(request.requirements),
            "refused": request.refused.stderr if request.refused else None,
            "because": {what: _because(why) for what, why in request.because},
        },
        "plan": None,
        "effects": None,
        "process": _process(result.main),
        "checks": [_process(c) for c in result.checks],
        "findings": [_finding(f) for f in diagnosis.findings],
        "assumptions": list(result.assumptions),
    }
    if plan is not None:
        out["plan"] = {
            "mounts": [
                {
                    "src": m.src,
                    "dst": m.dst,
                    "flags": list(m.flags),
                    "kind": m.kind,
                    "capability": m.capability,
                    "because": [_because(b) for b in m.because],
                }
                for m in plan.mounts
            ],
            "symlinks": [{"path": link.path, "target": link.target} for link in plan.symlinks],
            "device_nodes": [{"path": n.path} for n in plan.device_nodes],
            "env": [f"{k}={v}" for k, v in plan.env],
            "hooks": [{"path": h.path, "args": list(h.argv)} for h in plan.hooks],
            "ldconfig": list(plan.ldconfig.argv) if plan.ldconfig else None,
            "skipped": [{"what": s.what, "because": [_because(b) for b in s.because]} for s in plan.skipped],
        }
    if injected is not None:
        out["effects"] = {
            "changes": [{"kind": e.kind, "path": e.path, "detail": e.detail, "by": e.by} for e in injected.effects],
            "failure": injected.failure,
        }
    return out


def _because(why: Because) -> dict[str, str]:
    return {"input": why.input, "text": why.text}


def _process(process: ProcessResult) -> dict[str, Any]:
    outcome = process.outcome
    return {
        "argv": list(process.argv),
        "outcome": process.kind,
        "verdict": process.verdict,
        "reason": process.reason,
        "errno": outcome.errno if outcome else None,
        "exit_code": process.exit_code,
        "stdout": process.stdout,
        "stderr": process.stderr,
        "message": process.message,
        "objects": [
            {"name": o.name, "path": o.path, "origin": str(o.origin), "because": o.stage}
            for o in (outcome.objects if outcome else ())
        ],
        "dlopen": [
            {
                "name": a.call.name,
                "ok": a.ok,
                "error": a.error,
                "path": a.path,
                "new_objects": [o.path for o in a.new_objects],
            }
            for a in (*(a for r in process.runs for s in r.steps for a in s.attempts), *process.dlopen)
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "slug": finding.slug,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": finding.message,
        "evidence": list(finding.evidence),
        "fixes": [{"change": p.change.describe(), "verified": p.verified, "result": p.result} for p in finding.fixes],
        "after": [c.describe() for c in finding.after],
    }
