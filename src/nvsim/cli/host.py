"""``nvsim host``: host profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nvsim.cli.output import Output, output_options
from nvsim.cli.sources import complete_host


@click.group(name="host")
def command() -> None:
    """Host profiles: the GPU hosts that nvsim knows, and your own."""


@command.command(name="list")
@output_options()
def list_(output: Output) -> None:
    """The shipped host profiles."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import list_hosts, load_host
    from nvsim.report.style import columns

    data = data_dir()
    hosts = [load_host(name, data) for name in list_hosts(data)]
    rows = [
        {
            "name": h.name,
            "title": h.title,
            "driver": h.driver.version,
            "cuda": h.driver.cuda,
            "toolkit": h.toolkit.version,
            "gpus": [g.model for g in h.gpus],
        }
        for h in hosts
    ]
    if output.form == "json":
        output.json(rows)
        return
    head = ["NAME", "DRIVER", "CUDA", "TOOLKIT", "GPUS", "WHAT"]
    table = [
        [h.name, h.driver.version or "-", h.driver.cuda or "-", h.toolkit.version or "-", _gpus(h), h.title]
        for h in hosts
    ]
    output.text("\n".join(columns([head, *table])))


def _gpus(host: Any) -> str:
    models = [g.model for g in host.gpus]
    counted = [f"{models.count(m)} x {m}" for m in dict.fromkeys(models)]
    return ", ".join(counted) or "-"


@command.command()
@output_options("json", "text")
@click.argument("name", metavar="HOST", shell_complete=complete_host)
@click.option("--expanded", is_flag=True, help="With every file, and the ld.so.cache that ldconfig makes of them.")
def show(output: Output, name: str, expanded: bool) -> None:
    """One host profile: as JSON that can be changed and used as a profile of one's own, or as text."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import host_to_json, load_host

    host = load_host(name, data_dir())
    if output.form == "json":
        output.json(host_to_json(host, expanded))
    else:
        from nvsim.report.host import host_text

        output.text(host_text(host, output.style))


@command.command()
@output_options("json")
@click.option("--root", default="/", metavar="DIR", help="The machine's root directory, where it is not /.")
@click.option("--name", default="captured", metavar="NAME", help="The profile's name.")
def capture(output: Output, root: str, name: str) -> None:
    """This machine as a host profile: driver files, ld.so.cache, devices, configuration. Nothing is executed.

    \b
    nvsim host capture -o my-host.json && nvsim run --host ./my-host.json --gpus all IMAGE
    """
    from nvsim.host.capture import capture as capture_host
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import host_from_json

    profile = capture_host(root, name)
    host_from_json(profile, data_dir(), name)  # what is written can be read
    output.json(profile)


@command.command()
@output_options()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check profiles; every fault of a file is told at once. Exit status 2 when one is invalid."""
    from nvsim.errors import InputError
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import load_host

    data = data_dir()
    rows: list[dict[str, Any]] = []
    for name in files:
        try:
            load_host(
                name if "/" in name or name.endswith((".json", ".gz")) or not Path(name).exists() else f"./{name}", data
            )
            rows.append({"file": name, "valid": True})
        except InputError as e:
            rows.append({"file": name, "valid": False, "fault": str(e)})
    if output.form == "json":
        output.json(rows)
    else:
        output.text("".join(f"{r['file']}: valid\n" for r in rows if r["valid"]))
        for row in rows:
            if not row["valid"]:
                click.echo(f"nvsim: {row['fault']}", err=True)
    click.get_current_context().exit(0 if all(r["valid"] for r in rows) else 2)


@command.command()
@output_options()
@click.argument("first", metavar="HOST", shell_complete=complete_host)
@click.argument("second", metavar="HOST", shell_complete=complete_host)
def diff(output: Output, first: str, second: str) -> None:
    """What differs between two hosts: driver, toolkit, GPUs, files. Exit status 1 when something does."""
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import load_host
    from nvsim.report.host import difference, difference_text

    data = data_dir()
    found = difference(load_host(first, data), load_host(second, data))
    if output.form == "json":
        output.json(found)
    else:
        output.text(difference_text(found, (first, second), output.style))
    same = not found["facts"] and not found["only_first"] and not found["only_second"] and not found["changed"]
    click.get_current_context().exit(0 if same else 1)
