"""A plan as text: what is added and from where, which input caused it, what was left out and why; and two plans side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from nvsim.frozen import evolve
from nvsim.inject.plan import HookRun, InjectionPlan, PlannedMount
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
            lines += wrapped(text, "      ", "  - ")
            lines += wrapped(style.paint(_listed(names), "dim"), "      ")
    warnings = _warnings(plan)
    if warnings:
        lines += ["", style.paint("Warnings", "bold"), *(f"  {w}" for w in warnings)]
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
    """Mounts by kind, then by reason, each reason said once."""
    lines: list[str] = []
    for kind in dict.fromkeys(m.kind for m in plan.mounts):
        group = [m for m in plan.mounts if m.kind == kind]
        lines += ["", style.paint(f"{_KINDS.get(kind, kind).capitalize()} ({len(group)})", "bold")]
        reasons: dict[tuple[str, ...], list[PlannedMount]] = {}
        for mount in group:
            reasons.setdefault(_own_reasons(mount), []).append(mount)
        for because, mounts in reasons.items():
            for why in because:
                lines += wrapped(style.paint(why, "dim"), "      ", "    ")
            lines += columns([f"  {style.paint('+', 'green')} {m.dst}", _source(m)] for m in mounts)
    return lines


def _own_reasons(mount: PlannedMount) -> tuple[str, ...]:
    """The reasons in sentences that are the same for files alike: the file's own path and name are left out of them.

    A reason that only repeats the file (its entry in the host's cache, its directory in PATH) is left out where there are others.
    """
    name = mount.src.rpartition("/")[2]
    rest = tuple(b for b in mount.because if name not in b.text) or mount.because
    return tuple(_sentence(evolve(b, input=_without(b.input, mount.src), text=_without(b.text, name))) for b in rest)


def _without(text: str, name: str) -> str:
    """A text about one file without the file's name."""
    if name not in text:
        return text
    before = text.partition(name)[0].rstrip("/ ")
    words = before.split(" ")
    return " ".join(words[:-1] if "/" in words[-1] else words).removesuffix(" for") or "the host's file"


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
        for hook in plan.hooks:
            lines += _hook(hook, style)
    if plan.ldconfig is not None:
        run = plan.ldconfig
        lines += [
            "",
            style.paint("ldconfig", "bold"),
            f"  + {' '.join(run.argv)}   (the {run.side}'s {run.path}, in the container's root)",
        ]
        lines += [f"    {_sentence(b)}" for b in run.because]
    return lines


def _hook(hook: HookRun, style: Style) -> list[str]:
    """A hook's command; options that are given many times (the links to make) on lines of their own."""
    words = list(hook.argv or (hook.path,))
    pairs = [(a, b) for a, b in pairwise(words) if a == "--link"]
    if len(pairs) < 3:
        return [f"  {style.paint('+', 'green')} {hook.stage}: {' '.join(words)}"]
    short = [w for n, w in enumerate(words) if w != "--link" and (n == 0 or words[n - 1] != "--link")]
    links = [b.partition("::")[::2] for _, b in pairs]
    rows = [[f"      {path}", f"-> {target}"] for target, path in ((t, p) for t, p in links)]
    return [f"  {style.paint('+', 'green')} {hook.stage}: {' '.join(short)} with {len(pairs)} links", *columns(rows)]


def _warnings(plan: InjectionPlan) -> list[str]:
    """The warnings' first lines; what was not found is told under what was left out."""
    first = dict.fromkeys(w.strip().splitlines()[0] for w in plan.warnings if w.strip())
    return [w for w in first if not w.startswith("Could not locate")]


def _grouped_skips(plan: InjectionPlan) -> list[tuple[str, list[str]]]:
    """What was left out, things with one reason together; the last reason decided, names inside it are not repeated."""
    groups: dict[str, list[str]] = {}
    for item in plan.skipped:
        name = item.what.split()[-1]
        why = item.because[-1] if item.because else Because("", "")
        groups.setdefault(_sentence(why).replace(name, "it"), []).append(item.what)
    return list(groups.items())


def _listed(names: list[str]) -> str:
    """Names with what they share in front (a kind, a directory) said once."""
    kind = {n.rpartition(" ")[0] for n in names}
    if len(kind) == 1 and len(names) > 1:
        head = kind.pop()
        rest = [n.rpartition(" ")[2] for n in names]
        folder = {r.rpartition("/")[0] for r in rest}
        if len(folder) == 1 and "" not in folder:
            head, rest = f"in {folder.pop()}", [r.rpartition("/")[2] for r in rest]
        return f"{head}: {', '.join(rest)}" if head else ", ".join(rest)
    return ", ".join(names)


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
        row("problem", _problem),
        row("because", lambda r: dict(r.request.because)["mode"].text if "mode" in dict(r.request.because) else "-"),
    ]


def _problem(result: Result) -> str:
    """Why the container does not start, in the last line of the program that says so."""
    refused = result.request.refused.stderr if result.request.refused is not None else ""
    failure = (result.injected.failure if result.injected is not None else None) or refused
    return failure.strip().splitlines()[-1] if failure.strip() else "-"


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
