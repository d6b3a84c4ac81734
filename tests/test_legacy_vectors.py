"""The legacy engine against recorded runs of the real one: exit status, messages, mounts, links, devices, directories, ld.so.cache."""

from __future__ import annotations

from typing import Any

import pytest

from legacyvectors import cases, query
from nvsim.queries.tool import answer

CASES = cases()
_PARAMS = """\
ResmanDebugLevel: 4294967295
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: 0
DeviceFileMode: 438
"""


def _by_json(items: list[Any]) -> list[Any]:
    return sorted(items, key=str)


def _comparable(result: dict[str, Any]) -> dict[str, Any]:
    """What is compared, in one spelling: mounts and cache entries in order, the rest as sets."""
    cache = result.get("ldcache_entries")
    return {
        "rc": result["rc"],
        "error": result.get("error"),
        "stdout": result.get("stdout"),
        "mounts": [(m["src"], m["dst"], m["fstype"], sorted(m["flags"])) for m in result.get("mounts") or []],
        "sides": [m.get("src_side") for m in result.get("mounts") or []],
        "symlinks": _by_json([(s["path"], s["target"], s["made_by"]) for s in result.get("symlinks") or []]),
        "created_dirs": sorted(result.get("created_dirs") or []),
        "devices": _by_json([(d["path"], d["rdev"]) for d in result.get("devices") or []]),
        "cache": cache and [(e["name"], e["path"], e["flags"]) for e in cache],
        "cache_state": result.get("ldcache_state"),
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_recorded_run_comes_out_the_same(case: dict[str, Any]) -> None:
    assert _comparable(answer("tool", query(case))) == _comparable(case["expect"])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_generated_files_have_the_recorded_text(case: dict[str, Any]) -> None:
    # The recorded hosts showed these parameters; their listings leave /proc out.
    changes = [*case.get("host_changes", ()), ["write", "/proc/driver/nvidia/params", _PARAMS]]
    answered = answer("tool", query(case, host_changes=changes))
    for path, text in (case["expect"].get("text") or {}).items():
        assert answered["text"].get(path) == text
