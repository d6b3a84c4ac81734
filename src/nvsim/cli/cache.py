"""``nvsim cache``: what is kept on disk between calls."""

from __future__ import annotations

import os

import click

from nvsim.cli.output import Output, output_options
from nvsim.errors import InputError


@click.group(name="cache")
def command() -> None:
    """What nvsim keeps on disk: facts of ELF files, by file identity ($XDG_CACHE_HOME/nvsim)."""


def _folder() -> str:
    from nvsim.elf.store import cache_folder

    folder = cache_folder(os.environ)
    if folder is None:
        raise InputError("there is no cache: NVSIM_NO_CACHE is set, or there is no home directory")
    return folder


@command.command()
@output_options()
def info(output: Output) -> None:
    """Where the cache is, and how much is in it."""
    from nvsim.elf.cache_info import cache_info

    found = cache_info(_folder())
    if output.form == "json":
        output.json({"bytes": found.bytes, "files": found.files, "folder": found.folder, "records": found.records})
    else:
        size = f"{found.bytes / 1048576:.1f} MiB in {found.files} file{'' if found.files == 1 else 's'}"
        output.text(f"{found.folder}\n{size}, facts of {found.records} ELF files\n")


@command.command()
@output_options()
def clean(output: Output) -> None:
    """Remove everything; the next call reads the files again."""
    from nvsim.elf.cache_info import clean_cache

    found = clean_cache(_folder())
    if output.form == "json":
        output.json({"removed_bytes": found.bytes, "removed_files": found.files})
    else:
        output.text(f"removed {found.files} file{'' if found.files == 1 else 's'}, {found.bytes / 1048576:.1f} MiB\n")
