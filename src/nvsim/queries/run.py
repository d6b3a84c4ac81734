"""The batch kind ``run``: a whole scenario, with the options of ``nvsim run`` as keys (see ``docs/cli.md``)."""

from __future__ import annotations

from typing import Any

from nvsim.batch import compact_json
from nvsim.diagnosis.explain import diagnose
from nvsim.memo import Same
from nvsim.report.json import result_json
from nvsim.scenario.model import Scenario
from nvsim.scenario.read import scenario_from_json
from nvsim.scenario.sources import Sources, shipped_sources, verify
from nvsim.simulate import simulate


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one ``run`` query. Raises `InputError`."""
    sources = shipped_sources()
    return _answer(scenario_from_json(query, sources), sources)


def answer_text(query: dict[str, Any]) -> str:
    """The same as JSON text. Texts are kept with the image, so that a question that comes again is a look-up."""
    sources = shipped_sources()
    scenario = scenario_from_json(query, sources)
    key = (Same(scenario.host), scenario.settings)
    return scenario.image.memo.get("answer-text", key, lambda: compact_json(_answer(scenario, sources)))


def _answer(scenario: Scenario, sources: Sources) -> dict[str, Any]:
    out = result_json(diagnose(simulate(scenario, sources.programs), sources.programs))
    verify(scenario.image.tree)
    return out
