"""The batch kind ``load``: one program in one tree, without NVIDIA (see ``docs/formats.md``)."""

from __future__ import annotations

from typing import Any

from nvsim.errors import InputError
from nvsim.loader.cpu import parse_cpu
from nvsim.loader.outcome import Cpu, DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.loader.process import listing, run
from nvsim.rootfs.treefile import tree_from_json


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one ``load`` query. Raises `InputError`."""
    rootfs = query.get("rootfs")
    if not isinstance(rootfs, dict) or "tree" not in rootfs:
        raise InputError("load needs rootfs.tree")
    if not isinstance(query.get("exec"), str):
        raise InputError("load needs exec, the path of the program")
    tree = tree_from_json(rootfs["tree"], "rootfs")
    request, machine = _request(query), _machine(query)
    outcome = run(tree, request, machine)
    out = render(outcome)
    listed = listing(tree, request, machine)
    nobody = outcome.interpreter is None and query.get("loader") == "musl"  # only musl's loader itself makes its lists
    if listed.trace_rc is not None and not request.secure and not nobody:
        out["trace"] = {
            "rc": listed.trace_rc,
            "objects": [{"name": name, "path": path} for name, path in listed.trace_objects],
            "stderr": listed.trace_stderr,
        }
    return out


def _request(query: dict[str, Any]) -> ProcessRequest:
    try:
        calls = tuple(
            DlopenCall(c["name"] or "", int(c.get("flags", 2)), c.get("from", "main"), c.get("namespace", "base"))
            for c in query.get("dlopen") or ()
        )
        env = query.get("env") or {}
        uid = int(query.get("uid", 0))
        return ProcessRequest(
            query["exec"],
            tuple(query.get("argv") or (query["exec"],)),
            tuple(env.items()),
            query.get("cwd", "/"),
            uid,
            int(query.get("gid", uid)),
            bool(query.get("secure", False)),
            bool(query.get("proc", True)),
            calls,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise InputError(f"load query cannot be read: {e}") from None


def _machine(query: dict[str, Any]) -> Machine:
    given = query.get("cpu")
    cpu = Cpu()
    if isinstance(given, dict):
        level = given.get("isa_level", cpu.isa_level)
        hwcaps = tuple(given.get("hwcaps", cpu.hwcaps))
        cpu = Cpu(int(level), given.get("platform", cpu.platform), hwcaps, given.get("machine", cpu.machine))
    elif isinstance(given, str):
        cpu = parse_cpu(given)
    return Machine(cpu, str(query.get("kernel", "6.18")))


def render(outcome: Outcome) -> dict[str, Any]:
    """The JSON form of an outcome."""
    out: dict[str, Any] = {
        "outcome": outcome.outcome,
        "stderr": outcome.stderr,
        "started": outcome.started,
        "objects": [{"name": o.name, "path": o.path} for o in outcome.objects],
        "dlopen": [_call(d) for d in outcome.dlopen],
    }
    if outcome.errno is not None:
        out["errno"] = outcome.errno
    if outcome.outcome == "exit":
        out["exit_code"] = outcome.exit_code if outcome.exit_code is not None else 0
    if outcome.stdout:
        out["stdout"] = outcome.stdout
    if outcome.unknown is not None:
        out["unknown"] = outcome.unknown
    return out


def _call(result: DlopenResult) -> dict[str, Any]:
    out: dict[str, Any] = {"ok": result.ok, "new_objects": [o.path for o in result.new_objects]}
    if result.error is not None:
        out["error"] = result.error
    if result.path is not None:
        out["path"] = result.path
    return out
