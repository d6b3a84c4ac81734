"""Findings read off one result: what shows in the scenario as it is. Later layers are `nvsim.diagnosis.explain`.

What each stage shows is told by a module of its own: `find_start` (request and injection), `find_exec`, `find_library`, `find_driver`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nvsim.diagnosis.find_driver import find_driver
from nvsim.diagnosis.find_exec import find_exec, find_lookup
from nvsim.diagnosis.find_library import find_library, find_startup
from nvsim.diagnosis.find_start import find_start

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.loader.outcome import Search
    from nvsim.simulate import ProcessResult, Result


def find(result: Result) -> tuple[Finding, ...]:
    """Every finding of one result, each once."""
    found = list(find_start(result))
    for process in (result.main, *result.checks):
        found += list(_of_process(result, process))
    found += list(find_driver(result))
    unique = {(f.code, f.subject): f for f in reversed(found)}
    return tuple(reversed(unique.values()))


def _of_process(result: Result, process: ProcessResult) -> Iterator[Finding]:
    injected = result.injected
    if process.verdict != "fails" or injected is None or injected.failure is not None:
        return
    outcome = process.outcome
    if outcome is None:
        if process.lookup is not None:
            yield find_lookup(result, process)
        return
    if outcome.outcome == "exec-error":
        yield find_exec(result, process)
        return
    failed = _failed_searches(process)
    for search in failed:
        yield find_library(result, process, search)
    if not failed:
        yield from find_startup(result, process)


def _failed_searches(process: ProcessResult) -> list[Search]:
    """The searches that decided the failure: of required steps, of the dlopens asked for, of the start."""
    outcome = process.outcome
    assert outcome is not None
    searches: list[Search] = []
    if not outcome.started:
        searches += outcome.searches
    for run in process.runs:
        for step in run.steps:
            if step.ok is False and step.step.required:
                searches += [s for attempt in step.attempts[:1] for s in attempt.searches]
    for call in process.dlopen:
        if call.ok is False:
            searches += call.searches
    return [s for s in searches if s.result in ("not-found", "fatal")]
