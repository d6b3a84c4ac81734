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
# answers that must agree, of all recorded glibc cases; what differs are rare orders and texts
AT_LEAST = 0.9


def agrees(got: dict[str, Any], want: dict[str, Any]) -> bool:
    calls = [
        (c["ok"], c.get("error") if not c["ok"] else None) for c in want.get("dlopen") or [] if c["ok"] is not None
    ]
    mine = [(c["ok"], c.get("error") if not c["ok"] else None) for c in got["dlopen"] if c["ok"] is not None]
    return (
        got["outcome"] == want["outcome"]
        and got.get("errno") == want.get("errno")
        and got.get("exit_code") == want.get("exit_code")
        and got["stderr"] == (want.get("stderr") or "")
        and [o["path"] for o in got["objects"]] == [o["path"] for o in want.get("objects") or []]
        and (calls == mine or bool(want.get("dlopen_truncated")))
    )


@pytest.mark.parametrize("file", ["scenarios", "layouts"])
def test_recorded_loads_of_glibc_agree(file: str) -> None:
    lines = gzip.decompress((VECTORS / f"{file}.jsonl.gz").read_bytes()).decode().splitlines()
    records = [r for r in map(json.loads, lines) if r["input"]["loader"] == "glibc"]
    good = sum(agrees(answer("load", r["input"]), r["expect"]) for r in records)
    assert good >= AT_LEAST * len(records), f"{good} of {len(records)}"


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
