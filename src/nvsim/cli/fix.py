"""``nvsim fix``: the smallest changes that make a scenario work."""

from __future__ import annotations

from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.scenarios import ScenarioCommand, scenario_options, scenarios_of, settled
from nvsim.cli.sources import image_argument, open_sources


@click.command(name="fix", cls=ScenarioCommand, context_settings={"allow_interspersed_args": False})
@scenario_options()
@output_options()
@image_argument()
@click.argument("argv", nargs=-1, metavar="[COMMAND...]")
def command(output: Output, argv: tuple[str, ...], **options: Any) -> None:
    """The smallest changes after which the command, and the driver's programs beside it, work on every --host.

    Each set of changes counts only after it was simulated again.

    \b
    nvsim fix --host eks-al2-2021 --host eks-al2-535 -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch
    """
    from nvsim.diagnosis.fix import find_fix

    sources = open_sources(options.pop("no_cache"))
    scenarios = scenarios_of(options, sources, argv or None)
    found = find_fix(scenarios, sources.programs)
    settled(*scenarios)
    if output.form == "json":
        from nvsim.report.json import fix_json

        output.json(fix_json(found))
    else:
        from nvsim.report.text import fix_text

        output.text(fix_text(found, output.style))
    click.get_current_context().exit(0 if found is not None else 1)
