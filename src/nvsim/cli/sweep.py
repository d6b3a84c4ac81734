"""``nvsim sweep``: a matrix of scenarios with expectations, its progress, and its results in every form."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvsim.cli.output import Output, output_options, with_progress

if TYPE_CHECKING:
    from nvsim.sweep.model import CellResult
    from nvsim.sweep.run import Task
    from nvsim.sweep.summary import Summary

_FAIL_ON = ("unmet", "fails", "unknown", "never")


@click.command(name="sweep")
@output_options("text", "json", "html", "junit", "sarif")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes; default: all cores.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster: tcp://HOST:PORT, or local[:N].")
@click.option("--fail-on", type=click.Choice(_FAIL_ON), default="unmet", show_default=True, help="When to exit with 1.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="FILE", help="Keep results there; go on from them.")
@click.option("--list", "only_list", is_flag=True, help="Show the scenarios and what is expected, run nothing.")
def command(
    output: Output,
    file: Path,
    images: tuple[str, ...],
    jobs: int | None,
    scheduler: str | None,
    fail_on: str,
    resume: Path | None,
    only_list: bool,
) -> None:
    """Run every host x image x setting x command of FILE and hold it against what FILE expects.

    IMAGES (images or Dockerfiles) take the place of those in FILE. Exit status 1 when an expectation does not hold (see --fail-on).
    """
    from nvsim.host.datadir import data_dir
    from nvsim.sweep.expect import cells
    from nvsim.sweep.read import read_sweep
    from nvsim.sweep.run import tasks_of
    from nvsim.sweep.summary import failing, summarise

    sweep = read_sweep(file, data_dir(), images)
    tasks = tasks_of(cells(sweep), version("nvsim"))
    if only_list:
        output.text("".join(_listed(t) for t in tasks))
        return
    stream = output.form == "json" and output.path is None
    results = []
    for result in with_progress(_results(tasks, jobs, scheduler, resume), "sweep", len(tasks)):
        results.append(result)
        if stream:
            sys.stdout.write(_line(result))
            sys.stdout.flush()
    summary = summarise(sweep.name, results)
    if not stream:
        output.text(_rendered(summary, output.form, file))
    sys.exit(1 if failing(summary, fail_on) else 0)


def _listed(task: Task) -> str:
    cell = task.cell
    codes = f" with {', '.join(cell.expectation.codes)}" if cell.expectation.codes else ""
    words = (cell.image.name, "on", cell.host, f"[{cell.setting}]", cell.command_text)
    return f"{' '.join(w for w in words if w)}: must {cell.expectation.must}{codes}\n"


def _results(
    tasks: Sequence[Task], jobs: int | None, scheduler: str | None, resume: Path | None
) -> Iterator[CellResult]:
    """The results in order, each kept in `resume` as soon as it is there."""
    from nvsim.sweep import run

    rows = run.finished(resume) if resume is not None else {}
    done = {t.key: r for t in tasks if t.key in rows and (r := run.restored(t, rows[t.key])) is not None}
    todo = [t for t in tasks if t.key not in done]
    jobs = jobs or len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        if scheduler is not None:
            from nvsim.host.datadir import data_dir
            from nvsim.sweep.cluster import connect, run_on_dask

            client = stack.enter_context(connect(scheduler))
            workers = max(1, len(client.scheduler_info()["workers"]))
            fresh = run_on_dask(run.chunks_of(todo, workers), client, data_dir())
        elif jobs == 1 or len(todo) <= 1:
            fresh = run.run_here(run.chunks_of(todo, 1))
        else:
            fresh = run.run_on_cores(run.chunks_of(todo, jobs), jobs)
        keep = stack.enter_context(_journal(resume)) if resume is not None else None
        for result in run.merged(tasks, done, fresh):
            if keep is not None and result.key not in done:
                keep(_line(result))
            yield result


@contextlib.contextmanager
def _journal(path: Path) -> Iterator[Callable[[str], None]]:
    """Appends lines to `path`; a line that an interrupt cut off is taken away first."""
    from nvsim.errors import InputError

    try:
        with path.open("a+b") as f:
            text = path.read_bytes()
            f.truncate(text.rfind(b"\n") + 1)

            def keep(line: str) -> None:
                f.write(line.encode())
                f.flush()

            yield keep
    except OSError as e:
        raise InputError(f"cannot be written: {e.strerror or e}", source=str(path)) from None


def _line(result: CellResult) -> str:
    import json

    return json.dumps(result.as_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


def _rendered(summary: Summary, form: str, file: Path) -> str:
    if form == "html":
        from nvsim.sweep.render_html import html

        return html(summary)
    if form == "junit":
        from nvsim.sweep.render_ci import junit

        return junit(summary)
    if form == "sarif":
        from nvsim.sweep.render_ci import sarif

        return sarif(summary, str(file))
    if form == "json":
        return "".join(_line(r) for r in summary.results)
    from nvsim.sweep.render_text import sweep_text

    return sweep_text(summary)
