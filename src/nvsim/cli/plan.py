"""``nvsim plan``: what is injected, where from, and why; and two modes or releases side by side."""

from __future__ import annotations

from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.scenarios import ScenarioCommand, scenario_options, scenarios_of, settled
from nvsim.cli.sources import image_argument, open_sources
from nvsim.errors import InputError


@click.command(name="plan", cls=ScenarioCommand, context_settings={"allow_interspersed_args": False})
@scenario_options()
@click.option("--against", metavar="MODE|VERSION", help="Beside it, the plan of another mode or toolkit release.")
@output_options()
@image_argument()
@click.argument("argv", nargs=-1, metavar="[COMMAND...]")
def command(output: Output, argv: tuple[str, ...], against: str | None, **options: Any) -> None:
    """What is injected into a container of IMAGE, where from and why; what is left out and why.

    \b
    nvsim plan --host ubuntu2404-550 --gpus all example:debian12
    nvsim plan --host eks-al2-535 -e NVIDIA_VISIBLE_DEVICES=all --against 1.3.0 example:nix-torch
    """
    from nvsim.report.json import plan_json
    from nvsim.report.plan import against_text, plan_text
    from nvsim.simulate import simulate

    sources = open_sources(options.pop("no_cache"))
    scenarios = scenarios_of(options, sources, argv or ("true",))
    results = [simulate(s, sources.programs) for s in scenarios]
    if against is not None:
        others = [simulate(s.with_settings(**_other(against)), sources.programs) for s in scenarios]
        settled(*scenarios)
        if output.form == "json":
            output.json([{"plan": plan_json(a), "against": plan_json(b)} for a, b in zip(results, others, strict=True)])
        else:
            pairs = zip(results, others, strict=True)
            output.text("\n".join(against_text(a, b, (_name(a), against), output.style) for a, b in pairs))
        return
    settled(*scenarios)
    if output.form == "json":
        found = [plan_json(r) for r in results]
        output.json(found[0] if len(found) == 1 else found)
    else:
        output.text("\n".join(plan_text(r, output.style) for r in results))


def _other(against: str) -> dict[str, str]:
    """The setting that a mode's name or a release stands for."""
    from nvsim.scenario.options import MODES, settings_from

    if against in MODES:
        return {"mode": against}
    if not against[:1].isdigit() and not against.startswith("v"):
        raise InputError(
            f"{against!r} is neither a mode nor a release", source="--against", hint=f"{', '.join(MODES)}, or 1.17.8"
        )
    return {"toolkit_version": settings_from({"toolkit_version": against}).toolkit_version or against}


def _name(result: Any) -> str:
    settings, toolkit = result.scenario.settings, result.scenario.host.toolkit
    version = settings.toolkit_version or toolkit.version or "newest"
    return f"toolkit {version}, {result.request.mode}"
