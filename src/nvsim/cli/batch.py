"""``nvsim batch``: queries by pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click


@click.command(name="batch")
def command() -> None:
    """One JSON object a line in on stdin, one a line out on stdout, in the same order; ends with the input.

    \b
    echo '{"id": 1, "kind": "run", "input": {"host": "eks-al2-535", "image": "example:debian12"}}' | nvsim batch
    """
    from nvsim.batch import answers
    from nvsim.cli.output import write_out

    for line in answers(_lines()):
        write_out(line + "\n")


def _lines() -> Iterator[str]:
    """The lines of stdin; bytes that are no UTF-8 make that line bad JSON, not the end."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape")
