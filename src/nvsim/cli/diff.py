"""``nvsim diff``: two scenarios, what differs between their predictions, and why."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.scenarios import ScenarioCommand, option_values, scenario_options, scenarios_of, settled
from nvsim.cli.sources import open_sources
from nvsim.errors import InputError
from nvsim.scenario.model import Scenario
from nvsim.scenario.read import make_scenario, scenario_from_json
from nvsim.scenario.sources import Sources


class _Quoted(ScenarioCommand):
    """A command whose arguments may be options of another command, quoted: they are not taken for its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for number, word in enumerate(args):
            if word.startswith("-") and " " in word and not (number and args[number - 1].startswith("-")):
                args = [*args[:number], "--", *args[number:]]
                break
        return super().parse_args(ctx, args)


@click.command(name="diff", cls=_Quoted, context_settings={"allow_interspersed_args": False})
@scenario_options(hosts="optional")
@output_options()
@click.argument("sides", nargs=-1, metavar="A B | IMAGE [COMMAND...]")
def command(output: Output, sides: tuple[str, ...], **options: Any) -> None:
    """What differs between two scenarios in request, plan and outcome, and which decision made the difference.

    A and B are each the options of nvsim run in one string, or a JSON file with a scenario. With two --host, the one IMAGE is
    compared on both. Exit status 0: the same; 1: different.

    \b
    nvsim diff --host eks-al2-2021 --host eks-al2-535 -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch
    nvsim diff "--host debian12-535 --gpus all example:debian12" "--host debian12-535 example:debian12"
    """
    from nvsim.diagnosis.diff import compare
    from nvsim.diagnosis.explain import diagnose
    from nvsim.report.diff import diff_json, diff_text
    from nvsim.simulate import simulate

    sources = open_sources(options.pop("no_cache"))
    pair = _two(sides, options, sources)
    first, second = (diagnose(simulate(s, sources.programs), sources.programs) for s in pair)
    settled(*pair)
    found = compare(first, second)
    if output.form == "json":
        output.json(diff_json(found))
    else:
        output.text(diff_text(found, output.style))
    click.get_current_context().exit(0 if found.same else 1)


def _two(sides: tuple[str, ...], options: dict[str, Any], sources: Sources) -> tuple[Scenario, Scenario]:
    if options["hosts"]:
        if len(options["hosts"]) != 2 or not sides:
            raise click.UsageError("give two --host and an image, or two scenarios")
        first, second = scenarios_of({**options, "image": sides[0]}, sources, sides[1:] or None)
        return first, second
    if len(sides) != 2:
        raise click.UsageError("give two scenarios (each quoted, or a JSON file), or two --host and an image")
    return _side(sides[0], sources), _side(sides[1], sources)


def _side(text: str, sources: Sources) -> Scenario:
    """A scenario from a JSON file, or from the options of ``nvsim run`` in one string."""
    if os.path.isfile(text):
        from pathlib import Path

        from nvsim.rootfs.datafile import read_json

        query = read_json(Path(text), unique=True)
        if not isinstance(query, dict):
            raise InputError("must hold a scenario, a JSON object", source=text)
        return scenario_from_json(query.get("input", query), sources)
    from nvsim.cli.run import command as run

    try:
        words = shlex.split(text)
    except ValueError as e:
        raise InputError(f"{text!r}: {e}", hint="the options of nvsim run in one string, or a JSON file") from None
    options = dict(run.make_context("run", words).params)
    if len(options["hosts"]) != 1:
        raise click.UsageError(f"{text!r} must name one --host")
    image = sources.image(options["image"], options.get("platform"))
    return make_scenario(sources.host(options["hosts"][0]), image, option_values(options), options["argv"] or None)
