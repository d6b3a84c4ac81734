"""``nvsim dlopen``: would these libraries load in the container's process?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.run import predict
from nvsim.cli.scenarios import ScenarioCommand, scenario_options, scenarios_of
from nvsim.cli.sources import image_argument, open_sources

if TYPE_CHECKING:
    from nvsim.image.model import Image


@click.command(name="dlopen", cls=ScenarioCommand)
@scenario_options(left_out=("dlopen",))
@click.option("--strict", is_flag=True, help="Exit with 3 when files do not decide the outcome.")
@output_options()
@image_argument()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(output: Output, names: tuple[str, ...], strict: bool, **options: Any) -> None:
    """Would the libraries NAME load in the process that IMAGE starts on the host?

    \b
    nvsim dlopen --host ubuntu2204-535 --gpus all example:debian12 libcuda.so.1 libnvidia-ml.so.1
    """
    sources = open_sources(options.pop("no_cache"))
    image = sources.image(options["image"], options.get("platform"))
    program, caller = _caller(image, options["dlopen_from"], options)
    asked = {**options, "dlopen": names, "dlopen_from": caller}
    predict(output, scenarios_of(asked, sources, program, image), sources.programs, strict)


def _caller(image: Image, told: str | None, options: dict[str, Any]) -> tuple[tuple[str, ...] | None, str | None]:
    """The command that is started, and the object that calls dlopen in it: FROM is the command itself where it is a program.

    An image that names no command is asked through a shell of its own.
    """
    from nvsim.rootfs.node import File
    from nvsim.rootfs.resolve import Resolved, resolve

    at = resolve(image.tree, told) if told is not None and told.startswith("/") else None
    if isinstance(at, Resolved) and isinstance(at.node, File):
        elf = at.node.facts.elf
        if elf is not None and elf.interp is not None:
            return (str(told),), None
    if image.config.entrypoint or image.config.cmd or options["entrypoint"] or options["image_config"]:
        return None, told
    shell = next((p for p in ("/bin/sh", "/bin/bash") if isinstance(resolve(image.tree, p), Resolved)), None)
    return ((shell,) if shell is not None else None), told
