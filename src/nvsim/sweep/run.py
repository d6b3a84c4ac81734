"""Running the cells of a sweep in order: in this process, on all cores, and what was done before an interrupt taken over.

The cluster is `nvsim.sweep.cluster`. Answers are those of batch queries of kind ``run``, whoever computes them.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import count, groupby, islice, pairwise
from pathlib import Path
from typing import Any

from nvsim.elf.store import FactsStore, cache_folder
from nvsim.errors import InputError, NvsimError
from nvsim.frozen import evolve, field, frozen
from nvsim.sweep.expect import judged, unanswered, unmet
from nvsim.sweep.model import Cell, CellResult

_CHUNK = 32
_RETRIES = 2
_AHEAD = 8  # chunks a process that may be under way: results come in order, and one slow chunk must not idle the rest


@frozen
class Task:
    """A cell that has to be computed, with the key of its answer."""

    cell: Cell
    key: str


@frozen
class Chunk:
    """Neighbouring tasks of one image, so a worker reads it once. `number` counts the chunks of a sweep.

    `images` holds the files of images that a worker elsewhere cannot read (digest -> ``nvsim-tree/1`` JSON); empty on one machine.
    """

    tasks: tuple[Task, ...]
    images: Mapping[str, bytes] = field(factory=dict, hash=False)
    number: int = 0


def context_of(cells: Iterable[Cell], version: str) -> dict[str, str]:
    """What beside its own words the answer of a cell rests on, by image and host name: program version, and what tells that a file
    changed. A directory is told by its top alone; that is said in ``docs/sweep.md``."""

    def stamp(name: Any) -> str:
        path = name.get("path") if isinstance(name, Mapping) else name
        if not isinstance(path, str):
            return ""
        try:
            stat = Path(path.removeprefix("oci:")).stat()
        except OSError:
            return ""
        return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"

    found: dict[str, str] = {}
    for cell in cells:
        for name, query in ((cell.image.name, cell.image.query), (cell.host, cell.host)):
            if name not in found:
                found[name] = f"{version} {stamp(query)}"
    return found


def tasks_of(cells: Iterable[Cell], version: str) -> tuple[Task, ...]:
    """The tasks of a sweep's cells, in order."""
    all_cells = tuple(cells)
    context = context_of(all_cells, version)
    return tuple(Task(c, c.key(f"{context[c.image.name]} {context[c.host]}")) for c in all_cells)


def finished(path: Path) -> dict[str, dict[str, Any]]:
    """The results that an interrupted run left in `path`, by key. A last line that was cut off is left out."""
    out: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return out
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=str(path)) from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            out[row["key"]] = row
        except (json.JSONDecodeError, TypeError, KeyError):
            if number < len(lines):
                raise InputError("is no line of a sweep's results", source=str(path), position=str(number)) from None
    return out


def restored(task: Task, row: Mapping[str, Any]) -> CellResult | None:
    """A result from its JSON line, held against the expectation of now; None for a line of another shape."""
    try:
        codes, later = tuple(row["codes"]), tuple(row["later"])
        result = CellResult(
            task.cell, task.key, row["verdict"], row["reason"], codes, later, row["message"], row["met"], row["why"]
        )
        if result.verdict == "error":
            return None
        why = unmet(task.cell.expectation, result)
    except (KeyError, TypeError):
        return None
    return evolve(result, met=not why, why=why)


def answer_chunk(chunk: Chunk) -> list[CellResult]:
    """The results of a chunk's tasks. Never raises for a query that cannot be answered."""
    from nvsim.sweep.answer import Answerer

    out = []
    with FactsStore(cache_folder(os.environ)) as store:
        answerer = Answerer(chunk.images, store)
        for task in chunk.tasks:
            try:
                out.append(judged(task.cell, task.key, answerer(task.cell.query)))
            except NvsimError as e:
                out.append(unanswered(task.cell, task.key, str(e)))
    return out


def chunks_of(tasks: Sequence[Task], jobs: int) -> Iterator[Chunk]:
    """Chunks of tasks in order, never across two images, small enough that every job gets some.

    An image is divided evenly and into a multiple of `jobs`, as far as it has tasks: when chunks go to the processes in turn, each meets the
    same hosts again with the next image, and what is found out of a host is kept with it.
    """
    most = max(1, min(_CHUNK, -(-len(tasks) // (jobs * 4)) if jobs > 1 else _CHUNK))
    numbers = count()
    for _, group in groupby(tasks, lambda task: task.cell.image.name):
        of_image = tuple(group)
        parts = min(len(of_image), -(-len(of_image) // (most * jobs)) * jobs)
        ends = [len(of_image) * n // parts for n in range(parts + 1)]
        yield from (Chunk(of_image[start:end], number=next(numbers)) for start, end in pairwise(ends))


def run_here(chunks: Iterable[Chunk]) -> Iterator[list[CellResult]]:
    """The chunks one after the other in this process."""
    return map(answer_chunk, chunks)


def run_on_cores(chunks: Iterable[Chunk], jobs: int) -> Iterator[list[CellResult]]:
    """The chunks in turn on `jobs` processes, results in the order of the chunks. What a lost process had is done again, at most twice.

    Raises `InputError` when processes keep dying.
    """
    waiting: deque[Chunk] = deque()
    source = iter(chunks)
    for attempt in range(_RETRIES + 1):
        running: deque[tuple[Chunk, Future[list[CellResult]]]] = deque()
        with ExitStack() as open_pools:
            context = multiprocessing.get_context("forkserver")
            seldom = gc.get_threshold()  # the processes look for garbage as seldom as this one
            pools = [
                open_pools.enter_context(ProcessPoolExecutor(1, context, initializer=gc.set_threshold, initargs=seldom))
                for _ in range(jobs)
            ]
            try:
                while True:
                    while len(running) < _AHEAD * jobs and (fresh := _next(waiting, source)) is not None:
                        running.append((fresh, pools[fresh.number % jobs].submit(answer_chunk, fresh)))
                    if not running:
                        return
                    result = running[0][1].result()
                    running.popleft()
                    yield result
            except BrokenProcessPool:
                waiting.extendleft(chunk for chunk, _ in reversed(running))
                if attempt == _RETRIES:
                    raise InputError(
                        "worker processes keep dying", hint="is there enough memory? try --jobs 1"
                    ) from None
            except BaseException:
                for pool in pools:
                    pool.shutdown(wait=False, cancel_futures=True)
                raise


def _next(waiting: deque[Chunk], source: Iterator[Chunk]) -> Chunk | None:
    return waiting.popleft() if waiting else next(source, None)


def merged(
    tasks: Sequence[Task], done: Mapping[str, CellResult], fresh: Iterable[list[CellResult]]
) -> Iterator[CellResult]:
    """Every task's result in the order of the tasks: taken over where it is in `done`, else the next of `fresh`."""
    stream = (result for results in fresh for result in results)
    for task in tasks:
        known = done.get(task.key)
        if known is not None:
            yield known
        else:
            yield from islice(stream, 1)
