"""The search for the smallest set of changes after which every scenario works; a set counts only after it was simulated."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from nvsim.diagnosis.explain import with_changes, works
from nvsim.diagnosis.find import find
from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.simulate import Result, simulate

if TYPE_CHECKING:
    from nvsim.programs import KnownProgram
    from nvsim.scenario.changes import Change
    from nvsim.scenario.model import Scenario

_MAX_TRIED = 200


@frozen
class Fix:
    """A smallest set of changes after which everything works. `results`: the verified predictions, one a scenario."""

    changes: tuple[Change, ...]
    results: tuple[Result, ...]
    tried: int = 0


def find_fix(scenarios: tuple[Scenario, ...], programs: tuple[KnownProgram, ...]) -> Fix | None:
    """The cheapest changes, found in order of cost, that make every scenario work; None when none were found.

    Changes come from the proposals of the findings that each tried set still has. No change of the answer can be left out.
    """
    order = count()
    queue: list[tuple[int, int, tuple[Change, ...]]] = [(0, next(order), ())]
    seen: set[frozenset[Change]] = set()
    tried = 0
    while queue and tried < _MAX_TRIED:
        _, _, changes = heapq.heappop(queue)
        key = frozenset(changes)
        if key in seen:
            continue
        seen.add(key)
        results = _run(scenarios, changes, programs)
        if results is None:
            continue
        tried += 1
        if all(works(r) for r in results):
            return _smallest(scenarios, changes, results, tried, programs)
        for proposal in {p.change: p for r in results for f in find(r) if f.severity == "error" for p in f.fixes}:
            # a later value of the same variable replaces the earlier one
            rest = tuple(c for c in changes if getattr(c, "name", c) != getattr(proposal, "name", None))
            cost = sum(c.cost for c in (*rest, proposal))
            heapq.heappush(queue, (cost, next(order), (*rest, proposal)))
    return None


def _smallest(
    scenarios: tuple[Scenario, ...],
    changes: tuple[Change, ...],
    results: tuple[Result, ...],
    tried: int,
    programs: tuple[KnownProgram, ...],
) -> Fix:
    """Leave out each change without which everything still works."""
    for change in changes if len(changes) > 1 else ():
        fewer = tuple(c for c in changes if c != change)
        tried += 1
        after = _run(scenarios, fewer, programs)
        if after is not None and all(works(r) for r in after):
            changes, results = fewer, after
    return Fix(changes, results, tried)


def _run(
    scenarios: tuple[Scenario, ...], changes: tuple[Change, ...], programs: tuple[KnownProgram, ...]
) -> tuple[Result, ...] | None:
    try:
        return tuple(simulate(with_changes(s, changes), programs) for s in scenarios)
    except InputError:
        return None
