"""Results as ``nvsim-result/1`` JSON: sorted keys, no time, no machine path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.cuda import ERRORS, CudaAnswer

if TYPE_CHECKING:
    from nvsim.diagnosis.fix import Fix
    from nvsim.diagnosis.model import Diagnosis, Finding
    from nvsim.inject.plan import InjectionPlan
    from nvsim.loader.outcome import Search
    from nvsim.rootfs.tree import Tree
    from nvsim.simulate import ProcessResult, Result
    from nvsim.toolkit.request import Because, ContainerRequest


def result_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The object that ``nvsim run --format json`` prints."""
    result = diagnosis.result
    plan, injected = result.plan, result.injected
    out: dict[str, Any] = {
        "schema": "nvsim-result/1",
        "host": result.scenario.host.name,
        "image": result.scenario.image.name,
        "verdict": result.verdict,
        "request": _request(result.request),
        "plan": _plan(plan),
        "effects": None,
        "process": _process(result.main),
        "checks": [_process(c) for c in result.checks],
        "findings": [_finding(f) for f in diagnosis.findings],
        "cuda": _cuda(result.cuda),
        "assumptions": list(result.assumptions),
    }
    if injected is not None:
        out["effects"] = {
            "changes": [{"kind": e.kind, "path": e.path, "detail": e.detail, "by": e.by} for e in injected.effects],
            "failure": injected.failure,
            "ld_so_cache": _cache_change(result),
        }
    return out


def _cache_change(result: Result) -> dict[str, Any]:
    """How /etc/ld.so.cache of the container differs from the image's: number of entries (null: no cache), what came and what went."""
    trees = (result.scenario.image.tree, result.injected.rootfs if result.injected is not None else None)
    before, after = (_cache_entries(tree) if tree is not None else None for tree in trees)
    return {
        "entries_before": len(before) if before is not None else None,
        "entries_after": len(after) if after is not None else None,
        "added": sorted(set(after or ()) - set(before or ())),
        "removed": sorted(set(before or ()) - set(after or ())),
    }


def _cache_entries(tree: Tree) -> list[str] | None:
    at = resolve(tree, "/etc/ld.so.cache")
    if not isinstance(at, Resolved) or not isinstance(at.node, File) or at.node.facts.ldcache is None:
        return None
    return [f"{e.name} => {e.path}" for e in at.node.facts.ldcache.entries]


def plan_json(result: Result) -> dict[str, Any]:
    """The object that ``nvsim plan --format json`` prints: request and plan (null when nothing is planned)."""
    return {
        "schema": "nvsim-plan/1",
        "host": result.scenario.host.name,
        "image": result.scenario.image.name,
        "request": _request(result.request),
        "plan": _plan(result.plan),
    }


def _request(request: ContainerRequest) -> dict[str, Any]:
    return {
        "devices": list(request.devices) if request.devices is not None else None,
        "driver_capabilities": list(request.capabilities) if request.capabilities is not None else None,
        "mode": request.mode,
        "route": request.route,
        "legacy_image": request.legacy_image,
        "requirements": list(request.requirements),
        "refused": request.refused.stderr if request.refused else None,
        "because": {what: _because(why) for what, why in request.because},
    }


def _plan(plan: InjectionPlan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    run = plan.ldconfig
    return {
        "engine": plan.engine,
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
        "symlinks": [
            {"path": s.path, "target": s.target, "because": [_because(b) for b in s.because]} for s in plan.symlinks
        ],
        "device_nodes": [
            {
                "path": n.path,
                "host_path": n.host_path,
                "rdev": f"{n.rdev[0]}:{n.rdev[1]}" if n.rdev else None,
                "permissions": n.permissions,
                "because": [_because(b) for b in n.because],
            }
            for n in plan.device_nodes
        ],
        "env": [f"{k}={v}" for k, v in plan.env],
        "hooks": [{"stage": h.stage, "path": h.path, "args": list(h.argv)} for h in plan.hooks],
        "ldconfig": {"path": run.path, "side": run.side, "argv": list(run.argv)} if run else None,
        "skipped": [{"what": s.what, "because": [_because(b) for b in s.because]} for s in plan.skipped],
        "warnings": list(plan.warnings),
        "failure": plan.failure,
    }


def _cuda(answer: CudaAnswer | None) -> dict[str, Any] | None:
    """What CUDA would say; null when the command does not start. An unknown code is null, with the reason in ``unknown``."""
    if answer is None:
        return None
    return {
        "cuInit": _cuda_error(answer.code),
        "runtime": _cuda_error(answer.runtime_code),
        "unknown": answer.unknown,
        "libcuda": {"path": answer.libcuda, "driver": answer.version, "cuda": answer.cuda} if answer.libcuda else None,
        "cudart": {"path": answer.cudart[0], "version": answer.cudart[1]} if answer.cudart else None,
        "because": [_because(b) for b in answer.because],
        "assumptions": list(answer.assumptions),
    }


def _cuda_error(code: int | None) -> dict[str, Any] | None:
    if code is None:
        return None
    name, text = ERRORS[code]
    return {"code": code, "name": name, "text": text}


def _because(why: Because) -> dict[str, str]:
    return {"input": why.input, "text": why.text}


def _process(process: ProcessResult) -> dict[str, Any]:
    outcome = process.outcome
    attempts = (*(a for r in process.runs for s in r.steps for a in s.attempts), *process.dlopen)
    searches = (*(outcome.searches if outcome else ()), *(s for a in attempts for s in a.searches))
    found_by = {s.path: s.candidates[-1].set_by for s in searches if s.result == "loaded" and s.candidates}
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
        "told_by": process.told_by or None,
        "objects": [
            {"name": o.name, "path": o.path, "origin": str(o.origin), "because": found_by.get(o.path, o.stage)}
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
            for a in attempts
        ],
        "search": [_search(s) for s in searches],
    }


def _search(search: Search) -> dict[str, Any]:
    return {
        "name": search.name,
        "requester": search.requester,
        "result": search.result,
        "path": search.path,
        "error": search.error,
        "note": search.note,
        "candidates": [
            {"stage": c.stage, "path": c.path, "set_by": c.set_by, "result": c.result} for c in search.candidates
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
        "fixes": [
            {"change": p.change.describe(), "how": p.change.how(), "verified": p.verified, "result": p.result}
            for p in finding.fixes
        ],
        "advice": finding.advice,
        "after": [c.describe() for c in finding.after],
    }


def fix_json(fix: Fix | None) -> dict[str, Any]:
    """The object that ``nvsim fix --format json`` prints; `changes` is null when no fix was found."""
    if fix is None:
        return {"schema": "nvsim-fix/1", "changes": None, "verified": []}
    return {
        "schema": "nvsim-fix/1",
        "changes": [{"change": c.describe(), "how": c.how()} for c in fix.changes],
        "combinations_simulated": fix.tried,
        "verified": [
            {
                "host": r.scenario.host.name,
                "verdict": r.verdict,
                "programs": [{"argv": list(p.argv), "verdict": p.verdict} for p in (r.main, *r.checks)],
            }
            for r in fix.results
        ],
    }
