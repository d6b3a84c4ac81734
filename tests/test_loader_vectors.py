"""The loader, ldconfig and the cache codec against recorded results of the real programs and the machine's own cache."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.ldcache import CacheEntry, LdCache, libcmp, parse_cache, write_cache
from nvsim.queries.load import answer

VECTORS = Path(__file__).parent / "vectors" / "loader"
MACHINE_CACHE = Path("/etc/ld.so.cache")


def records(file: str) -> list[dict[str, Any]]:
    lines = gzip.decompress((VECTORS / f"{file}.jsonl.gz").read_bytes()).decode().splitlines()
    return [json.loads(line) for line in lines]


def calls(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The dlopens that were made: result, text of a failure, new objects."""
    return [
        (c["ok"], c.get("error") if not c["ok"] else None, c.get("new_objects") or [])
        for c in answer.get("dlopen") or []
        if c["ok"] is not None
    ]


def objects(answer: dict[str, Any], want: dict[str, Any]) -> list[tuple[str | None, str]]:
    """(name, path) of the link map; where no name was recorded, none is compared."""
    unnamed = {o["path"] for o in want.get("objects") or [] if o["name"] is None}
    return [(None if o["path"] in unnamed else o["name"], o["path"]) for o in answer.get("objects") or []]


def differences(got: dict[str, Any], want: dict[str, Any]) -> list[str]:
    """The parts of an answer that do not agree."""
    made = calls(got)
    if want.get("dlopen_truncated"):
        made = made[: len(calls(want))]
    pairs = {
        "outcome": (got["outcome"], want["outcome"]),
        "errno": (got.get("errno"), want.get("errno")),
        "exit_code": (got.get("exit_code"), want.get("exit_code")),
        "stderr": (got["stderr"], want.get("stderr") or ""),
        "objects": (objects(got, want), objects(want, want)),
        "dlopen": (made, calls(want)),
        "trace": (got.get("trace"), want.get("trace")),
    }
    return [part for part, (mine, real) in pairs.items() if mine != real]


@pytest.mark.parametrize("file", ["scenarios", "layouts"])
def test_every_recorded_load_agrees_in_every_part(file: str) -> None:
    wrong = {r["id"]: parts for r in records(file) if (parts := differences(answer("load", r["input"]), r["expect"]))}
    assert not wrong


@pytest.mark.parametrize("file", ["scenarios", "layouts"])
def test_the_same_question_has_the_same_answer(file: str) -> None:
    for record in records(file)[::15]:
        first, second = answer("load", record["input"]), answer("load", record["input"])
        assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


@pytest.mark.skipif(not MACHINE_CACHE.exists(), reason="this machine has no /etc/ld.so.cache")
def test_the_machines_own_cache_is_written_back_byte_for_byte() -> None:
    data = MACHINE_CACHE.read_bytes()
    cache = parse_cache(data)
    assert cache is not None
    assert write_cache(cache) == data


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(st.lists(st.builds(CacheEntry, names, names.map("/".__add__)), max_size=20))
def test_a_cache_comes_back_as_it_was_written(entries: list[CacheEntry]) -> None:
    cache = LdCache(tuple(entries), "generator")
    assert parse_cache(write_cache(cache)) == cache


@given(st.binary(max_size=300), st.integers(0, 200))
def test_broken_caches_raise_nothing(noise: bytes, at: int) -> None:
    data = bytearray(write_cache(LdCache((CacheEntry("liba.so.1", "/lib/liba.so.1"),), "g")))
    data[at : at + len(noise)] = noise
    parse_cache(bytes(data))


def test_digit_runs_compare_by_value() -> None:
    assert libcmp("libx.so.10", "libx.so.9") > 0
    assert libcmp("libx.so.01", "libx.so.1") == 0
