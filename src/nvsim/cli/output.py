"""What every command shares about its output: ``--format``, ``-o``, ``--color``, atomic files, and progress on a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.report.style import Style

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
_PATIENCE = 1.0  # seconds before progress is shown


@frozen
class Output:
    """Where a command's result goes, and in which form. `form` is "text", "json" or another format of the command."""

    form: str
    path: Path | None
    style: Style

    def text(self, text: str) -> None:
        """Write text, with a newline at its end."""
        self._write(text if text.endswith("\n") or not text else text + "\n")

    def json(self, value: Any) -> None:
        """Write a value as JSON with sorted keys."""
        self._write(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n")

    def _write(self, text: str) -> None:
        if self.path is None:
            write_out(text)
        else:
            write_atomically(self.path, text)


def write_out(text: str) -> None:
    """Write to stdout now. Raises `InputError` when that fails, and `BrokenPipeError` when its reader has gone."""
    if sys.stdout is None:
        raise InputError("is closed", source="standard output", hint="leave it open, or give -o FILE")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        raise InputError(f"cannot be written: {e.strerror or e}", source="standard output") from None


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there with all its content or not at all. Raises `InputError`."""
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8", errors="surrogateescape")  # a device or pipe, such as /dev/stdout
        except OSError as e:
            raise InputError(f"cannot be written: {e.strerror or e}", source=str(path)) from None
        return
    temporary = None
    try:
        import tempfile

        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as e:
        if temporary is not None:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        raise InputError(f"cannot be written: {e.strerror or e}", source=str(path)) from None


def output_options(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--format``, ``-o`` and ``--color`` to a command; its function gets them as one argument `output`."""
    known = formats or ("text", "json")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(form: str | None, path: str | None, color: str, **arguments: Any) -> Any:
            chosen = _form(form, known)
            where = _file(path)
            return function(output=Output(chosen, where, Style(_colored(color, where))), **arguments)

        wrapper.__doc__ = function.__doc__
        wrapper.__name__ = function.__name__
        inherited = getattr(function, "__click_params__", [])
        wrapper.__click_params__ = inherited  # type: ignore[attr-defined]
        for option in (
            click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour."),
            click.option("-o", "--output", "path", metavar="FILE", help="Write to FILE, whole or not at all."),
            click.option("--format", "form", type=click.Choice(known), help="Also by the variable NVSIM_FORMAT."),
        ):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def _file(told: str | None) -> Path | None:
    """The file to write to; None is stdout."""
    if told in (None, "-"):
        return None
    from pathlib import Path

    return Path(str(told))


def _form(given: str | None, known: tuple[str, ...]) -> str:
    """The format: as given, else NVSIM_FORMAT, else the command's first. A command without JSON ignores the variable."""
    if given is not None:
        return given
    wanted = os.environ.get("NVSIM_FORMAT")
    if wanted and wanted not in ("text", "json", *known):
        raise InputError(f"{wanted!r} is no format", source="NVSIM_FORMAT", hint="text or json")
    return wanted if wanted in known else known[0]


def _colored(told: str, path: Path | None) -> bool:
    if told != "auto":
        return told == "always"
    if path is not None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def verdict_status(verdicts: Iterable[str], strict: bool) -> int:
    """The exit status for verdicts: 1 when one fails, 3 when one is unknown and `strict`, else 0."""
    found = set(verdicts)
    if "fails" in found:
        return 1
    return 3 if strict and "unknown" in found else 0


def with_progress(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """The items, with a progress bar on stderr when stderr is a terminal and the work takes longer than a second."""
    if total < 2 or not sys.stderr.isatty():
        yield from items
        return
    began = time.monotonic()
    bar = None
    try:
        for number, item in enumerate(items):
            if bar is None and time.monotonic() - began > _PATIENCE:
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True), transient=True)
                bar.start()
                task = bar.add_task(title, total=total)
            if bar is not None:
                bar.update(task, completed=number)
            yield item
    finally:
        if bar is not None:
            bar.stop()
