"""The differential fuzzer as a part of the suite: a short run against the machine's loaders, the differences that it once found, and
the proof that broken rules show. The long runs are in ``docs/fuzzing.md``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.command import FOUND, UNAVAILABLE
from fuzz.mangle import trouble
from fuzz.mutants import MUTANTS, broken
from nvsim.queries.load import answer

TESTS = Path(__file__).parent
RECORDS = sorted(FOUND.glob("*.json"))


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which may enter namespaces; skips where the kernel refuses them."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", *arguments],
        cwd=TESTS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize(("loader", "count"), [("glibc", "300"), ("musl", "150")])
def test_the_machines_loader_does_what_nvsim_says(loader: str, count: str) -> None:
    done = fuzz("--loader", loader, "--count", count, "--seed", "suite", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} scenarios" in done.stdout


@pytest.mark.parametrize("loader", ["glibc", "musl"])
def test_rules_broken_on_purpose_are_found(loader: str) -> None:
    done = fuzz("--loader", loader, "--mutants", "--count", "900", "--seed", "s2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("found in scenario") == sum(m.loader == loader for m in MUTANTS.values())


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_what_the_fuzzer_once_found_agrees(record: Path) -> None:
    case = json.loads(record.read_text())
    got, want = answer("load", case["input"]), case["expect"]
    for key in ("outcome", "errno", "exit_code", "stderr", "started"):
        assert got.get(key) == want.get(key), key
    assert [o["path"] for o in got["objects"]] == [o["path"] for o in want["objects"]]
    assert [told(call) for call in got["dlopen"]] == [told(call) for call in want["dlopen"]]


def told(call: dict[str, Any]) -> tuple[Any, ...]:
    """What a program learns from a dlopen, and what it brought."""
    return call["ok"], call.get("error") if call["ok"] is False else None, call["new_objects"]


def test_broken_files_raise_nothing_but_input_errors() -> None:
    found, ends = trouble("suite", 600)
    assert not found, found[0].what
    assert sum(ends.values()) == 600


def test_a_broken_rule_is_whole_again_after_its_block() -> None:
    from nvsim.loader.glibc import walk

    before = walk.runpath_list
    with broken(MUTANTS["runpath-inherited"]):
        assert walk.runpath_list is not before
    assert walk.runpath_list is before
