"""``nvsim dlopen``: would these libraries load in the container's process?"""

from __future__ import annotations

from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.run import predict
from nvsim.cli.scenarios import image_argument, scenario_options


@click.command(name="dlopen")
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
    predict(output, {**options, "dlopen": names}, None, strict)
