"""Configuration, versions, names and whole runs of nvidia-container-runtime against recorded results of the real programs, 1.10.0 to 1.20.0+27."""

from __future__ import annotations

from typing import Any

import pytest

import cdi_vectors
from nvsim.queries import tool
from nvsim.queries.toolkit import answer
from toolkitvectors import cases, plain

WHOLE = ("config", "version", "cdi-name", "requirements", "runtime-args")
RUN = ("error", "exit", "argv", "spec", "spec_untouched", "mode_log", "stdout")
CHAIN = ("error", "runtime_exit", "runtime_mode_log", "env", "hook_runs")


@pytest.mark.parametrize("kind", WHOLE)
def test_every_recorded_result_is_predicted(kind: str) -> None:
    compared = [(case, plain(answer(kind, query)) == plain(recorded)) for case, query, recorded in cases(kind)]
    assert len(compared) >= 100
    assert [case for case, same in compared if not same] == []


@pytest.mark.parametrize(("kind", "keys"), [("runtime", RUN), ("chain", CHAIN)])
def test_every_recorded_run_is_predicted(kind: str, keys: tuple[str, ...]) -> None:
    """All but the wording of errors that only the generator of an older release has."""
    compared = [
        (case, _parts(answer(kind, query), keys) == _parts(recorded, keys)) for case, query, recorded in cases(kind)
    ]
    assert len(compared) >= 500
    assert [case for case, same in compared if not same] == []


def test_every_recorded_injection_on_a_whole_host_is_predicted() -> None:
    recorded = cdi_vectors.rows("runtime")
    wrong = [
        r["id"]
        for r in recorded
        if tool.answer("tool", {**cdi_vectors.query(r), "program": "nvidia-container-runtime"}) != r["expect"]
    ]
    assert len(recorded) >= 60
    assert wrong == []


def _parts(result: dict[str, Any], keys: tuple[str, ...]) -> Any:
    hooks = [{k: v for k, v in run.items() if k != "stderr"} for run in result.get("hook_runs") or ()]
    return plain({**{k: result.get(k) for k in keys if k != "hook_runs"}, "hook_runs": hooks})
