"""``nvsim demo``: the seed story, told by the program's own answers."""

from __future__ import annotations

from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.sources import open_sources

_HOSTS = ("eks-al2-2021", "eks-al2-535")
_IMAGE = "example:nix-torch"
_ENV = "NVIDIA_VISIBLE_DEVICES=all"


@click.command(name="demo")
@output_options("text")
def command(output: Output) -> None:
    """Three failures that nobody could see: a store-only image on two Amazon Linux 2 hosts, why, and the verified fix."""
    from nvsim.diagnosis.diff import compare
    from nvsim.diagnosis.explain import diagnose
    from nvsim.diagnosis.find import find
    from nvsim.diagnosis.fix import find_fix
    from nvsim.report.diff import diff_text
    from nvsim.report.text import fix_text, run_text
    from nvsim.scenario.changes import AddLink
    from nvsim.scenario.read import scenario_from_json
    from nvsim.simulate import simulate

    sources = open_sources()
    programs = sources.programs
    scenarios = tuple(scenario_from_json({"host": h, "image": _IMAGE, "env": [_ENV]}, sources) for h in _HOSTS)
    first, second = (diagnose(simulate(s, programs), programs) for s in scenarios)
    old, new = (f"--host {h} -e {_ENV} {_IMAGE}" for h in _HOSTS)
    both = f"--host {_HOSTS[0]} --host {_HOSTS[1]} -e {_ENV} {_IMAGE}"
    parts = [
        _part(output, 1, "the image as the device plugin starts it, on the node image of 2021", f"run {old}"),
        run_text(first, output.style),
        _part(output, 2, "the same image on today's node image: one cause is gone, and diff says why", f"diff {both}"),
        diff_text(compare(first, second), output.style),
        _part(output, 3, "the smallest changes that make both programs work on both hosts", f"fix {both}"),
        fix_text(find_fix(scenarios, programs), output.style),
        _part(
            output, 4, "half a fix: the linker's symlink alone is enough for nvidia-smi, not for PyTorch", f"run {new}"
        ),
    ]
    linker = [f for f in find(second.result) if f.code == "NVS301"]
    links = [p.change for f in linker for p in f.fixes if isinstance(p.change, AddLink)]
    for link in links[:1]:
        parts.append(f"with only: {link.how()}\n\n")
        parts.append(run_text(diagnose(simulate(link.apply(scenarios[1]), programs), programs), output.style))
    output.text("".join(parts))


def _part(output: Output, number: int, title: str, command: str) -> str:
    style: Any = output.style
    space = "\n\n" if number > 1 else ""
    return f"{space}{style.paint(f'({number}) {title}', 'bold', 'cyan')}\n$ nvsim {command}\n\n"
