"""The options that name a scenario, made from the table in `nvsim.scenario.options`, and the scenarios that they give."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nvsim.cli.docker_line import as_click_reads
from nvsim.cli.sources import complete_host
from nvsim.errors import InputError
from nvsim.scenario.options import BY_NAME, OPTIONS, Option, read_file
from nvsim.scenario.options_docker import env_file
from nvsim.scenario.read import make_scenario
from nvsim.scenario.sources import Sources, verify

if TYPE_CHECKING:
    from nvsim.image.model import Image
    from nvsim.scenario.model import Scenario

NAMES = tuple(option.name for option in OPTIONS)


_SECTIONS = {"docker": "Options of docker run", "nvidia": "Host, toolkit and simulation"}


class ScenarioCommand(click.Command):
    """A command that reads its options as ``docker run`` does; its help has docker's options and the others under headings of their own."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        return ["--help"]  # docker's -h is the host name

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args == ["-h"]:
            args = ["--help"]
        try:
            args = as_click_reads(args, self.get_params(ctx), interspersed=ctx.allow_interspersed_args)
        except InputError:
            if not ctx.resilient_parsing:  # a line that is being completed may be half an option
                raise
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in _SECTIONS.values()}
        own: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or isinstance(parameter, click.Argument):
                continue
            option = BY_NAME.get(parameter.name or "")
            if option is not None:
                sections[_SECTIONS[option.section]].append(record)
            elif parameter.name == "hosts":
                sections[_SECTIONS["nvidia"]].insert(0, record)
            else:
                own.append(record)
        for title, rows in [*reversed(sections.items()), ("Other options", own)]:
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def scenario_options(*, hosts: str = "some", left_out: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Add ``--host`` (`hosts`: "some" = repeatable and required, "optional") and every option of the table but those in `left_out`."""

    def decorate(function: Any) -> Any:
        for option in reversed([o for o in OPTIONS if o.name not in left_out]):
            function = _click_option(option)(function)
        function = click.option("--no-cache", is_flag=True, help="Do not use the cache on disk.")(function)
        return click.option(
            "--host",
            "hosts",
            multiple=True,
            required=hosts == "some",
            metavar="HOST",
            help="A shipped profile's name or a file; several give one answer a host.",
            shell_complete=complete_host,
        )(function)

    return decorate


def _click_option(option: Option) -> Callable[[Any], Any]:
    if option.kind == "flag":
        return click.option(*option.flags, option.name, is_flag=True, help=option.help)
    multiple = option.kind == "texts"
    return click.option(*option.flags, option.name, multiple=multiple, metavar=option.metavar or None, help=option.help)


def option_values(options: dict[str, Any]) -> dict[str, Any]:
    """The values of the table's options; files and the user's environment are brought in here, as the docker command does."""
    values = {name: options[name] for name in NAMES if name in options}
    if values.get("config") is not None:
        values["config"] = {"path": values["config"]}
    values["cdi_spec"] = [{"path": path} for path in values.get("cdi_spec") or ()]
    told = [i for path in values.pop("env_file", ()) for i in env_file(read_file(path), path, os.environ)]
    values["env"] = (*told, *(_from_environment(item) for item in values.get("env") or ()))
    return values


def _from_environment(item: str) -> str:
    return f"{item}={os.environ[item]}" if "=" not in item and item in os.environ else item


def settled(*scenarios: Scenario) -> None:
    """Raise `InputError` when a directory has changed since the answer's first look at it."""
    for image in {id(s.image): s.image for s in scenarios}.values():
        verify(image.tree)


def scenarios_of(
    options: dict[str, Any], sources: Sources, command: tuple[str, ...] | None, image: Image | None = None
) -> tuple[Scenario, ...]:
    """One scenario a host; `image` where it was loaded already. Raises `InputError`."""
    values = option_values(options)
    image = image if image is not None else sources.image(options["image"], options.get("platform"))
    return tuple(make_scenario(sources.host(h), image, values, command) for h in options["hosts"])
