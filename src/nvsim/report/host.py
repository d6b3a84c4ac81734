"""A host profile as text, and what differs between two of them."""

from __future__ import annotations

import re
from typing import Any

from nvsim.host.profile import HostProfile
from nvsim.host.read import host_to_json
from nvsim.report.style import PLAIN, Style, columns, wrapped

_SHOWN = 12


def host_text(host: HostProfile, style: Style = PLAIN) -> str:
    """The facts of a host that decide most, for reading."""
    driver, toolkit = host.driver, host.toolkit
    module = "not loaded" if driver.kernel_module is None else driver.kernel_module
    rows = [
        ["system", f"{host.os.get('id', '?')} {host.os.get('version_id', '')}".strip()],
        ["kernel", host.kernel],
        [
            "driver",
            f"{driver.version or 'none'} (kernel module {module}, CUDA {driver.cuda or '?'}, root {driver.root})",
        ],
        *([f"GPU {g.minor}", f"{g.model}, {g.uuid}, {g.pci}"] for g in host.gpus),
        ["toolkit", f"{toolkit.version or 'none'}, runtime {toolkit.runtime}, engine {toolkit.engine}"],
        ["mode", host.mode or "as config.toml says"],
        ["CPU", f"x86-64-v{host.cpu.isa_level}" if host.cpu.machine == "x86_64" else host.cpu.machine],
    ]
    lines = [f"{style.paint(host.name, 'bold')}  {host.title}", *columns(rows, "  ")]
    if toolkit.config:
        lines += ["  config.toml", *(f"    {line}" for line in toolkit.config.strip().splitlines())]
    if host.assumptions:
        lines += ["Assumed"]
        for sentence in host.assumptions:
            lines += wrapped(sentence, "    ", "  - ")
    return "\n".join(lines) + "\n"


def difference(first: HostProfile, second: HostProfile) -> dict[str, Any]:
    """What differs: facts (key, both values), and files, whose driver version counts as the same text."""
    left, right = host_to_json(first), host_to_json(second)
    facts = []
    for key in ("os", "kernel", "cpu", "driver", "gpus", "toolkit", "mode"):
        facts += _facts(key, left[key], right[key])
    trees = [_generic(side["tree"], host.driver.version) for side, host in ((left, first), (right, second))]
    return {
        "facts": facts,
        "only_first": sorted(set(trees[0]) - set(trees[1])),
        "only_second": sorted(set(trees[1]) - set(trees[0])),
        "changed": sorted(p for p in trees[0] if p in trees[1] and _kind(trees[0][p]) != _kind(trees[1][p])),
    }


def _facts(key: str, left: Any, right: Any) -> list[dict[str, Any]]:
    if left == right:
        return []
    if isinstance(left, dict) and isinstance(right, dict):
        return [f for k in sorted({*left, *right}) for f in _facts(f"{key}.{k}", left.get(k), right.get(k))]
    return [{"what": key, "first": left, "second": right}]


def _generic(tree: dict[str, Any], version: str | None) -> dict[str, Any]:
    """The tree with the driver's version in its paths replaced by a word."""
    pattern = re.compile(re.escape(version)) if version else None
    return {pattern.sub("{driver}", p) if pattern else p: e for p, e in tree.items()}


def _kind(entry: Any) -> Any:
    return entry.get("type"), entry.get("mode"), entry.get("rdev")


def difference_text(found: dict[str, Any], names: tuple[str, str], style: Style = PLAIN) -> str:
    """The answer of ``nvsim host diff``."""
    if not any(found.values()):
        return f"{names[0]} and {names[1]} are the same\n"
    rows = [["", *names], *([f["what"], _brief(f["first"]), _brief(f["second"])] for f in found["facts"])]
    lines = columns(rows) if found["facts"] else []
    for key, title in (("only_first", names[0]), ("only_second", names[1])):
        paths = found[key]
        if paths:
            lines += [
                "",
                style.paint(f"Files only on {title} ({len(paths)})", "bold"),
                *(f"  {p}" for p in paths[:_SHOWN]),
            ]
            if len(paths) > _SHOWN:
                lines.append(f"  ... {len(paths) - _SHOWN} more (--format json has them)")
    if found["changed"]:
        lines += ["", style.paint("Of another type or mode", "bold"), *(f"  {p}" for p in found["changed"][:_SHOWN])]
    return "\n".join(lines) + "\n"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(v.get("model", v)) if isinstance(v, dict) else str(v) for v in value) or "none"
    text = "none" if value is None else str(value)
    return text if "\n" not in text else f"{len(text.splitlines())} lines"
