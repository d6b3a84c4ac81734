"""``nvsim image``: what is in an image, and its tree file."""

from __future__ import annotations

import os
from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.sources import image_argument, open_sources
from nvsim.scenario.sources import verify


@click.group(name="image")
def command() -> None:
    """Images: directories, archives, tree files and the shipped examples."""


@command.command(name="list")
@output_options()
def list_(output: Output) -> None:
    """The shipped example images."""
    from nvsim.host.datadir import data_dir
    from nvsim.image.example import list_examples, read_example
    from nvsim.report.style import columns

    data = data_dir()
    rows = [(f"example:{n}", str(read_example(n, data).get("title", ""))) for n in list_examples(data)]
    if output.form == "json":
        output.json([{"name": name, "title": title} for name, title in rows])
    else:
        output.text("\n".join(columns(rows)))


@command.command()
@output_options()
@click.option("--no-cache", is_flag=True, help="Do not use the cache on disk.")
@image_argument()
def show(output: Output, image: str, no_cache: bool) -> None:
    """What an image is: config, C library and loader, what it holds of CUDA and of a driver."""
    from nvsim.report.image import image_facts, image_text

    found = open_sources(no_cache).image(image)
    facts = image_facts(found)
    verify(found.tree)
    if output.form == "json":
        output.json(facts)
    else:
        output.text(image_text(facts, output.style))


@command.command()
@output_options("json")
@click.option("--no-cache", is_flag=True, help="Do not use the cache on disk.")
@image_argument()
def index(output: Output, image: str, no_cache: bool) -> None:
    """The image as a tree file (nvsim-tree/1): every file's facts and no bytes, to be used as IMAGE anywhere."""
    from nvsim.image.read import image_to_json

    found = open_sources(no_cache).image(image)
    document: dict[str, Any] = image_to_json(found)
    verify(found.tree)
    document["name"] = os.path.basename(image.rstrip("/")) or "/"
    output.json(document)
