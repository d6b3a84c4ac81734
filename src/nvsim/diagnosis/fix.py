"""The search for the smallest set of changes after which every scenario works; a set counts only after it was simulated."""

from __future__ import annotations

import heapq
from itertools import count

from nvsim.diagnosis.explain import works
from nvsim.diagnosis.find import find
from nvsim.diagnosis.model import Fix
from nvsim.errors import InputError
from nvsim.programs import KnownProgram
from nvsim.scenario.changes import Change, apply_change
from nvsim.scenario.model import Scenario
from nvsim.simulate import Result, simulate

_MAX_TRIED = 200


def find_fix(scenarios: tuple[Scenario, ...], programs: tuple[KnownProgram, ...]) -> Fix | None:
    """The cheapest changes, found in order of cost, that make every scenario work; None when none were found."""
    order = count()
    queue: list[tuple[int, int, tuple[Change, ...]]] = [(0, next(order), ())]
    seen: set[frozenset[Change]] = set()
    tried = 0
    while queue and tried < _MAX_TRIED:
        cost, _, changes = heapq.heappop(queue)
        key = frozenset(changes)
        if key in seen:
            continue
        seen.add(key)
        results = _run(scenarios, changes, programs)
        if results is None:
            continue
        tried += 1
        if all(works(r) for r in results):
            return Fix(changes, results, tried)
        for proposal in {p.change: p for r in results for f in find(r) if f.severity == "error" for p in f.fixes}:
            # a later value of the same variable replaces the earlier one
            rest = tuple(c for c in changes if getattr(c, "name", c) != getattr(proposal, "name", None))
            heapq.heappush(queue, (cost + proposal.cost, next(order), (*rest, proposal)))
    return None


def _run(
    scenarios: tuple[Scenario, ...], changes: tuple[Change, ...], programs: tuple[KnownProgram, ...]
) -> tuple[Result, ...] | None:
    try:
        results = []
        for scenario in scenarios:
            for change in changes:
                scenario = apply_change(scenario, change)
            results.append(simulate(scenario, programs))
        return tuple(results)
    except InputError:
        return None
