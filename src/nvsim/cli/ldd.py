"""``nvsim ldd``: the loader alone, no NVIDIA, over any root file system."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nvsim.cli.output import Output, output_options, with_progress
from nvsim.cli.sources import image_argument, open_sources
from nvsim.errors import ChangedError, InputError
from nvsim.scenario.sources import verify, with_config

if TYPE_CHECKING:
    from nvsim.diagnosis.linkage import Linkage
    from nvsim.diagnosis.wishes import Wish
    from nvsim.image.model import Image
    from nvsim.loader.outcome import Cpu, Outcome
    from nvsim.report.ldd import Where
    from nvsim.rootfs.tree import Tree


@click.command(name="ldd")
@click.option("--tree", "as_tree", is_flag=True, help="Needs below the object that needs them.")
@click.option("--all", "everything", is_flag=True, help="Every program and library of the image, with a summary.")
@click.option("--list", "as_list", is_flag=True, help="As ld.so --list and ldd print it (addresses are 0x...).")
@click.option("--trace", is_flag=True, help="The search, step by step, as LD_DEBUG=libs prints it.")
@click.option("--dlopen", "optional", is_flag=True, help="Also what the files may dlopen: metadata and strings.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set a variable, on top of the image's.")
@click.option("--library-path", metavar="PATH", help="LD_LIBRARY_PATH.")
@click.option("--cpu", metavar="LEVEL", help="x86-64 to x86-64-v4 (default), or native (this machine's).")
@click.option("--image-config", metavar="FILE", help="The image's config (OCI or docker inspect).")
@click.option("--no-cache", is_flag=True, help="Do not use the cache on disk.")
@output_options()
@image_argument()
@click.argument("programs", nargs=-1, metavar="PROGRAM...")
def command(output: Output, image: str, programs: tuple[str, ...], **options: Any) -> None:
    """What PROGRAMs of IMAGE load, from where and by which rule; for what is missing, every place that was looked in.

    PROGRAM is a path or a name of a program or library. Nothing is executed. Exit status 1 when something is missing.

    \b
    nvsim ldd / /usr/bin/git
    nvsim ldd --tree example:nix-torch python3
    nvsim ldd --all example:debian12
    """
    from nvsim.diagnosis.linkage import find_program, link
    from nvsim.report.ldd import Where
    from nvsim.rootfs.resolve import Resolver

    if bool(programs) == bool(options["everything"]):
        raise click.UsageError("name programs, or --all for every one of the image")
    sources = open_sources(options["no_cache"])
    found = with_config(sources.image(image), options["image_config"])
    env, env_from = _environment(found, options)
    cpu = _cpu(options["cpu"])
    resolver = Resolver(found.tree)
    where = Where(env_from)
    if options["everything"]:
        # the walk looks into every directory; the answer rests only on what the loaders look at, so only that must not change
        walked = sources.image(image).tree if os.path.isdir(image) else found.tree
        _every(output, found, walked, _pseudo(image), env, cpu, where)
        return
    paths = [find_program(found.tree, p, env.get("PATH")) for p in programs]
    if options["trace"]:
        _trace(output, found, paths, env, cpu)
        return
    linkages = [link(found.tree, p, env, cpu, resolver=resolver) for p in paths]
    if options["as_list"] and output.form == "text":
        verify(found.tree)
        output.text("".join(f"{x.path}:\n{x.outcome.stdout}{x.outcome.trace_stderr}" for x in linkages))
        click.get_current_context().exit(0 if all(x.ok for x in linkages) else 1)
    read = _reader(image)
    wishes: dict[str, dict[str, tuple[Wish, ...]]] = {}
    if options["optional"]:
        from nvsim.diagnosis.wishes import wishes_of

        wishes = {x.path: wishes_of(found.tree, x, env, cpu, read) for x in linkages}
    verify(found.tree)
    _print(output, linkages, where, wishes, options["as_tree"])
    click.get_current_context().exit(0 if all(x.ok for x in linkages) else 1)


def _cpu(told: str | None) -> Cpu | None:
    if not told:
        return None
    from nvsim.loader.cpu import parse_cpu

    return parse_cpu(told)


def _environment(image: Image, options: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The process environment, and for each variable a word on who set it."""
    env: dict[str, str] = {}
    origin: dict[str, str] = {}
    given = [(i, " of the image's config") for i in image.config.env] + [(i, " of --env") for i in options["env"]]
    if options["library_path"] is not None:
        given.append((f"LD_LIBRARY_PATH={options['library_path']}", " of --library-path"))
    for item, who in given:
        name, eq, value = item.partition("=")
        if not name:
            raise InputError(f"{item!r} is no NAME=VALUE", source="--env")
        if eq:
            env[name], origin[name] = value, who
        else:
            env.pop(name, None)
    return env, origin


def _print(
    output: Output, linkages: list[Linkage], where: Where, wishes: dict[str, dict[str, tuple[Wish, ...]]], as_tree: bool
) -> None:
    from nvsim.report.ldd import linkage_json, linkage_text, wish_json, wishes_text

    if output.form == "json":
        rows = []
        for item in linkages:
            row = linkage_json(item, where)
            if item.path in wishes:
                row["may_dlopen"] = {f: [wish_json(w) for w in ws] for f, ws in wishes[item.path].items()}
            rows.append(row)
        output.json({"schema": "nvsim-ldd/1", "programs": rows})
        return
    parts = []
    for item in linkages:
        parts.append(linkage_text(item, where, output.style, tree=as_tree))
        parts += [wishes_text(file, found, output.style) for file, found in wishes.get(item.path, {}).items()]
    output.text("".join(parts))


def _pseudo(spec: str) -> dict[str, str]:
    """Where a live root has file systems without files."""
    if not os.path.isdir(spec):
        return {}
    from nvsim.rootfs.mounted import pseudo_mounts

    return pseudo_mounts(spec)


def _every(
    output: Output,
    image: Image,
    walked: Tree,
    pseudo: dict[str, str],
    env: dict[str, str],
    cpu: Cpu | None,
    where: Where,
) -> None:
    """Every binary of the image. What was not looked at, could not be, or went away before it was, is named on stderr."""
    from nvsim.diagnosis.linkage import binaries, link
    from nvsim.report.ldd import linkage_json, summary_text
    from nvsim.rootfs.resolve import Resolver

    resolver = Resolver(image.tree)
    left_out: list[str] = []
    files = list(binaries(walked, pseudo=pseudo, left_out=left_out.append))
    there = [path for path, _ in files if image.tree.node(path) is not None]
    left_out += [path for path, _ in files if image.tree.node(path) is None]
    found = []
    for path in with_progress(there, "files", len(there)):
        try:
            found.append(link(image.tree, path, env, cpu, resolver=resolver))
        except ChangedError:
            raise
        except InputError:  # what it needs lies where the caller may not look
            left_out.append(path)
    verify(image.tree)
    if left_out:
        shown = ", ".join(left_out[:8]) + (f" and {len(left_out) - 8} more" if len(left_out) > 8 else "")
        click.echo(f"nvsim: left out (made by the kernel, not readable, or gone before it was read): {shown}", err=True)
    if output.form == "json":
        output.json({"schema": "nvsim-ldd/1", "programs": [linkage_json(f, where) for f in found]})
    else:
        output.text(summary_text(found, image.name, where, output.style))
    click.get_current_context().exit(0 if all(f.ok for f in found) else 1)


def _trace(output: Output, image: Image, paths: list[str], env: dict[str, str], cpu: Cpu | None) -> None:
    """The searches in the language of LD_DEBUG=libs; of a real start, which ends at the first library that is not found."""
    from nvsim.loader.outcome import Machine, ProcessRequest
    from nvsim.loader.process import run
    from nvsim.loader.trace import debug_lines, trace_text

    machine = Machine(cpu) if cpu is not None else Machine()
    outcomes: list[Outcome] = []
    parts = []
    for path in paths:
        outcome = run(image.tree, ProcessRequest(path, (path,), tuple(env.items())), machine)
        outcomes.append(outcome)
        parts.append(trace_text(outcome))
    verify(image.tree)
    if output.form == "json":
        rows = [
            {"path": p, "lines": list(debug_lines(o)), "stderr": o.stderr} for p, o in zip(paths, outcomes, strict=True)
        ]
        output.json({"schema": "nvsim-ldd-trace/1", "programs": rows})
    else:
        output.text("".join(parts))
    click.get_current_context().exit(0 if all(o.started for o in outcomes) else 1)


def _reader(spec: str) -> Callable[[str], bytes] | None:
    """Reads a file of an image that is a directory; a tree file has no bytes, only what it tells."""
    if not os.path.isdir(spec):
        return None

    def read(path: str) -> bytes:
        try:
            with open(os.path.join(spec, path.lstrip("/")), "rb") as file:
                return file.read()
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=path) from None

    return read
