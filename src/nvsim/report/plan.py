"""A plan as text: what is added and from where, which input caused it, what was left out and why; and two plans side by side."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.inject.plan import InjectionPlan, PlannedMount
from nvsim.report.style import PLAIN, Style, columns, wrapped
from nvsim.simulate import Result
from nvsim.toolkit.request import Because

_KINDS = {
    "binary": "programs",
    "library": "libraries",
    "library32": "32-bit libraries",
    "compat-library": "CUDA compat libraries",
    "firmware": "firmware",
    "ipc": "sockets",
    "device": "device nodes",
    "config": "configuration",
    "directory": "directories",
    "proc": "/proc",
    "gpu-proc": "/proc of GPUs",
    "mig": "MIG",
    "user": "of the user",
}


def plan_text(result: Result, style: Style = PLAIN) -> str:
    """The answer of ``nvsim plan``."""
    plan, request = result.plan, result.request
    host, image = result.scenario.host.name, result.scenario.image.name
    lines = [f"{style.paint('PLAN', 'bold')}  {image} on {host}: {_summary(result)}", ""]
    lines.append(style.paint("Decided", "bold"))
    for what, why in request.because:
        lines += wrapped(_decision(what, result, why), "      ", "  ")
    if request.refused is not None:
        lines += wrapped(f"refused: {request.refused.stderr.strip()}", "      ", "  ")
    if plan is None:
        return "\n".join(lines) + "\n"
    lines += _mounts(plan, style)
    if plan.symlinks:
        lines += ["", style.paint(f"Links ({len(plan.symlinks)})", "bold")]
        lines += columns(
            [f"  + {link.path}", f"-> {link.target}", _because(link.because, style)] for link in plan.symlinks
        )
    lines += _rest(plan, style)
    if plan.skipped:
        lines += ["", style.paint(f"Left out ({len(plan.skipped)})", "bold")]
        for text, names in _grouped_skips(plan):
            lines += wrapped(f"{', '.join(names)}: {text}", "      ", "  - ")
    if plan.warnings:
        lines += ["", style.paint("Warnings", "bold"), *(f"  {w}" for w in plan.warnings)]
    if plan.failure:
        lines += ["", style.paint("Fails", "bold", "red"), *(f"  {line}" for line in plan.failure.strip().splitlines())]
    if plan.assumptions:
        lines += ["", style.paint("Assumed", "bold"), *(f"  - {a}" for a in plan.assumptions)]
    return "\n".join(lines) + "\n"


def _summary(result: Result) -> str:
    plan = result.plan
    if plan is None or not (plan.mounts or plan.device_nodes or plan.hooks):
        return "nothing is injected"
    hooks = f", {len(plan.hooks)} hooks" if plan.hooks else ""
    mode = result.request.mode
    return f"mode {mode}, {len(plan.mounts)} mounts, {len(plan.device_nodes)} device nodes{hooks}"


def _decision(what: str, result: Result, why: Because) -> str:
    request = result.request
    value = {
        "devices": ",".join(request.devices) if request.devices is not None else "none",
        "capabilities": ",".join(request.capabilities or ()),
        "mode": request.mode,
        "requirements": " ".join(request.requirements) or "none",
        "route": request.route,
    }.get(what)
    return f"{what} = {value}: {why.text} [{why.input}]" if value is not None else f"{what}: {why.text} [{why.input}]"


def _mounts(plan: InjectionPlan, style: Style) -> list[str]:
    """Mounts by kind; what they all have in common is said once."""
    lines: list[str] = []
    for kind in dict.fromkeys(m.kind for m in plan.mounts):
        group = [m for m in plan.mounts if m.kind == kind]
        shared = tuple(b for b in group[0].because if all(b in m.because for m in group)) if len(group) > 1 else ()
        lines += ["", style.paint(f"{_KINDS.get(kind, kind).capitalize()} ({len(group)})", "bold")]
        lines += [f"  all: {_sentence(b)}" for b in shared]
        rows = []
        for mount in group:
            why = tuple(b for b in mount.because if b not in shared)
            rows.append([f"  {style.paint('+', 'green')} {mount.dst}", _source(mount), _because(why, style)])
        lines += columns(rows)
    return lines


def _source(mount: PlannedMount) -> str:
    if mount.src_side == "none":
        return mount.fstype
    side = "" if mount.src_side == "host" else f"{mount.src_side} "
    return "" if mount.src == mount.dst and not side else f"from {side}{mount.src}"


def _because(because: Sequence[Because], style: Style) -> str:
    return style.paint("; ".join(_sentence(b) for b in because), "dim")


def _sentence(why: Because) -> str:
    return f"{why.text} [{why.input}]" if why.input else why.text


def _rest(plan: InjectionPlan, style: Style) -> list[str]:
    lines: list[str] = []
    mounted = {m.dst for m in plan.mounts}
    nodes = [n for n in plan.device_nodes if n.path not in mounted]
    if nodes:
        lines += ["", style.paint(f"Device nodes ({len(nodes)})", "bold")]
        lines += columns(
            [f"  {style.paint('+', 'green')} {n.path}", n.permissions, _because(n.because, style)] for n in nodes
        )
    if plan.env:
        lines += ["", style.paint("Environment", "bold"), *(f"  + {k}={v}" for k, v in plan.env)]
    if plan.hooks:
        lines += ["", style.paint(f"Hooks ({len(plan.hooks)})", "bold")]
        lines += [f"  + {h.stage}: {' '.join(h.argv or (h.path,))}" for h in plan.hooks]
    if plan.ldconfig is not None:
        run = plan.ldconfig
        lines += [
            "",
            style.paint("ldconfig", "bold"),
            f"  + {' '.join(run.argv)}   (the {run.side}'s {run.path}, in the container's root)",
        ]
        lines += [f"    {_sentence(b)}" for b in run.because]
    return lines


def _grouped_skips(plan: InjectionPlan) -> list[tuple[str, list[str]]]:
    """What was left out, things with one reason together; names inside the reason are not repeated."""
    groups: dict[str, list[str]] = {}
    for item in plan.skipped:
        name = item.what.split()[-1]
        text = "; ".join(_sentence(b).replace(name, "it") for b in item.because)
        groups.setdefault(text, []).append(item.what)
    return list(groups.items())


def against_text(left: Result, right: Result, names: tuple[str, str], style: Style = PLAIN) -> str:
    """Two plans side by side: what both inject, and what only one does."""
    first, second = targets(left.plan), targets(right.plan)
    lines = [f"{style.paint('PLANS', 'bold')}  {left.scenario.image.name} on {left.scenario.host.name}", ""]
    lines += columns([["", names[0], names[1]], *_rows(left, right)], "  ")
    for here, there, mark, look in ((first, second, "-", "red"), (second, first, "+", "green")):
        only = [t for t in here if t not in there]
        who = names[0] if here is first else names[1]
        if only:
            lines += ["", style.paint(f"Only with {who} ({len(only)})", "bold")]
            lines += [f"  {style.paint(mark, look)} {here[t]} {t}" for t in only]
    moved = [(t, first[t], second[t]) for t in first if t in second and first[t] != second[t]]
    if moved:
        lines += ["", style.paint("In both, otherwise", "bold"), *(f"  ~ {t}: {a} / {b}" for t, a, b in moved)]
    return "\n".join(lines) + "\n"


def _rows(left: Result, right: Result) -> list[list[str]]:
    def row(title: str, pick: object) -> list[str]:
        return [title, *(str(pick(r)) for r in (left, right))]  # type: ignore[operator]

    return [
        row("mode", lambda r: r.request.mode),
        row("capabilities", lambda r: ",".join(r.request.capabilities or ()) or "-"),
        row("mounts", lambda r: len(r.plan.mounts) if r.plan else 0),
        row("device nodes", lambda r: len(r.plan.device_nodes) if r.plan else 0),
        row("hooks", lambda r: len(r.plan.hooks) if r.plan else 0),
        row("ldconfig", lambda r: "yes" if r.plan and r.plan.ldconfig else "-"),
        row("verdict", lambda r: r.verdict),
        row("because", lambda r: dict(r.request.because)["mode"].text if "mode" in dict(r.request.because) else "-"),
    ]


def targets(plan: InjectionPlan | None) -> dict[str, str]:
    """Everything that a plan puts into the container: path -> kind."""
    if plan is None:
        return {}
    out = {m.dst: m.kind for m in plan.mounts}
    out.update({link.path: "link" for link in plan.symlinks})
    for node in plan.device_nodes:
        out.setdefault(node.path, "device")
    out.update({f"{k}={v}": "env" for k, v in plan.env})
    return out
