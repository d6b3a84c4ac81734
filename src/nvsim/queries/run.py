"""The batch kind ``run``: a whole scenario, with the options of ``nvsim run`` as keys (see ``docs/cli.md``)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nvsim.diagnosis.explain import diagnose
from nvsim.report.json import result_json
from nvsim.scenario.read import Sources, scenario_from_json, verify
from nvsim.simulate import simulate


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one ``run`` query. Raises `InputError`."""
    sources = _sources()
    scenario = scenario_from_json(query, sources)
    out = result_json(diagnose(simulate(scenario, sources.programs), sources.programs))
    verify(scenario.image.tree)
    return out


@lru_cache(maxsize=1)
def _sources() -> Sources:
    """The shipped hosts, images and programs, which a process reads once."""
    return Sources()
