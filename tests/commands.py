"""Calling the ``nvsim`` command in this process: what it prints and with which status it ends."""

from __future__ import annotations

import contextlib
import io

from attrs import frozen

from nvsim.cli.main import main


@frozen
class Done:
    """A finished call."""

    status: int
    out: str
    err: str


def nvsim(*arguments: str) -> Done:
    """Run ``nvsim ARGUMENTS``."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else 0
    return Done(status, out.getvalue(), err.getvalue())
