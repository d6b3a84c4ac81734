"""``nvsim run`` and what ``nvsim dlopen`` shares with it: predict, print, end with the verdict's status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nvsim.cli.output import Output, output_options, verdict_status, with_progress
from nvsim.cli.scenarios import ScenarioCommand, scenario_options, scenarios_of, settled
from nvsim.cli.sources import image_argument, open_sources
from nvsim.errors import InputError

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Diagnosis
    from nvsim.programs import KnownProgram
    from nvsim.scenario.model import Scenario


@click.command(name="run", cls=ScenarioCommand, context_settings={"allow_interspersed_args": False})
@scenario_options()
@click.option("--strict", is_flag=True, help="Exit with 3 when files do not decide the outcome.")
@click.option("--trace", is_flag=True, help="Also the whole search of the loader, candidate by candidate.")
@output_options()
@image_argument()
@click.argument("argv", nargs=-1, metavar="[COMMAND...]")
def command(output: Output, argv: tuple[str, ...], strict: bool, trace: bool, **options: Any) -> None:
    """The whole prediction: what is injected into a container of IMAGE, and what COMMAND then does there.

    Options go before IMAGE, as with docker run. With several --host the answer is a table.

    \b
    nvsim run --host eks-al2-535 -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch
    nvsim run --host ubuntu2404-550 --gpus all example:debian12 nvidia-smi
    """
    sources = open_sources(options.pop("no_cache"))
    predict(output, scenarios_of(options, sources, argv or None), sources.programs, strict, trace)


def predict(
    output: Output,
    scenarios: tuple[Scenario, ...],
    programs: tuple[KnownProgram, ...],
    strict: bool,
    trace: bool = False,
) -> None:
    """Simulate and diagnose one scenario a host, print the answer, and end with its status.

    Of several hosts one may not fit the question (``--from`` names a file that is not injected there): it is left out, with a line on
    stderr, and the status is 2.
    """
    from nvsim.diagnosis.explain import diagnose
    from nvsim.simulate import simulate

    diagnoses: list[Diagnosis] = []
    refused: list[tuple[str, InputError]] = []
    for scenario in with_progress(scenarios, "hosts", len(scenarios)):
        try:
            diagnoses.append(diagnose(simulate(scenario, programs), programs))
        except InputError as e:
            refused.append((scenario.host.name, e))
    if not diagnoses and refused:
        raise refused[0][1]
    for name, error in refused:
        click.echo(f"nvsim: {name} is left out: {error}", err=True)
    settled(*scenarios)
    if output.form == "json":
        from nvsim.report.json import result_json

        found = [result_json(d) for d in diagnoses]
        output.json(found[0] if len(scenarios) == 1 else found)
    elif len(scenarios) == 1:
        from nvsim.report.text import run_text

        output.text(run_text(diagnoses[0], output.style, trace=trace))
    else:
        from nvsim.report.table import hosts_text

        output.text(hosts_text(diagnoses, output.style))
    if refused:
        click.get_current_context().exit(2)
    click.get_current_context().exit(verdict_status((d.result.verdict for d in diagnoses), strict))
