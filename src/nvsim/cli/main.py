"""The ``nvsim`` command: its list of commands, each imported when it is called, and how a call ends.

Exit status: 0 success is predicted (diff: same), 1 a failure (diff: different), 2 bad usage or input, 3 undecidable with
``--strict``, 130 interrupted. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

COMMANDS = {
    "run": "The whole prediction: request, plan, exec, libraries.",
    "dlopen": "Would these libraries load?",
    "plan": "What is injected, where and why; what is left out and why.",
    "fix": "The smallest changes that make it work, each verified.",
    "diff": "Two scenarios: what differs, and why.",
    "ldd": "The loader alone, no NVIDIA: what programs load, and from where.",
    "sweep": "A matrix of hosts, images and settings.",
    "cdi": "CDI specifications: generate, validate, inject.",
    "explain": "What a finding's code or a topic means.",
    "host": "Host profiles: list, show, validate, diff, capture.",
    "image": "Images: show, index.",
    "batch": "JSON-lines queries on stdin, answers on stdout.",
    "lab": "A local web page to try things on.",
    "cache": "What nvsim keeps on disk: info, clean.",
    "completion": "Shell completion for bash, zsh or fish.",
    "demo": "Three failures that nobody could see, why, and the verified fix.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own (``nvsim.cli.NAME``, attribute ``command``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if _is_there(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not _is_there(cmd_name):
            return None
        command: click.Command = import_module(f"nvsim.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and not _is_there(args[0]):
            raise click.UsageError(f"no command {args[0]!r}{_near(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def _is_there(name: str) -> bool:
    return name in COMMANDS and find_spec(f"nvsim.cli.{name}") is not None


def _near(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=2, cutoff=0.55)
    return f" (did you mean {' or '.join(near)}?)" if near else " (nvsim --help lists them)"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="IMAGE is a directory, a docker or OCI archive, oci:DIR, a tree file, or example:NAME. HOST is a shipped profile or a file.",
)
@click.version_option(package_name="nvsim", prog_name="nvsim")
def cli() -> None:
    """Predict, without a GPU or a container engine, what the NVIDIA Container Toolkit puts into a container, and what exec and dlopen
    then do there."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; bad input gives one line on stderr and status 2."""
    from nvsim.errors import NvsimError

    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # paths of an image need not be UTF-8
            reconfigure(errors="backslashreplace")
    if "_NVSIM_COMPLETE" in os.environ:
        from nvsim.cli.completion import serve_bash

        serve_bash()
    try:
        status = cli.main(arguments, prog_name="nvsim", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as e:
        _complain(e.format_message())
        status = 2
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except NvsimError as e:
        _complain(str(e))
        status = 2
    except BrokenPipeError:
        # the reader has gone (nvsim ... | head): nothing more can be said
        sys.stdout = None
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


def _complain(text: str) -> None:
    click.echo(f"nvsim: {' '.join(text.split())}", err=True)
