"""ldconfig against recorded runs of the real programs (Debian's 2.31 to 2.43, an unpatched 2.26): links, messages, cache.

The recordings show the root after the run, and after files were deleted where the cache was to be stale: what stood there before is put
back as far as it is known, and records where it is not are left out of what cannot be told.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nvsim.queries.ldconfig import answer

VECTORS = Path(__file__).parent / "vectors" / "loader"
DEBIAN = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]


def records() -> list[dict[str, Any]]:
    lines = [
        line
        for name in ("scenarios", "layouts")
        for line in gzip.decompress((VECTORS / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
    ]
    return [r for r in map(json.loads, lines) if r["expect"].get("ldconfig")]


RECORDS = {r["id"]: r for r in records()}
FRESH = {name: r for name, r in RECORDS.items() if r["input"]["cache"] == "ldconfig"}


def query(record: dict[str, Any]) -> dict[str, Any]:
    tree = {p: e for p, e in record["input"]["rootfs"]["tree"].items() if e.get("made_by") != "ldconfig"}
    tree.pop("/etc/ld.so.cache", None)
    tree |= {p: {"type": "symlink", "target": "/nosuch"} for p in record["expect"]["ldconfig"]["removed"]}
    version = record["input"]["loader_version"]
    dirs = ["/lib64", "/usr/lib64"] if version == "2.26" else DEBIAN
    return {"rootfs": {"tree": tree}, "ldconfig": {"version": version, "system_dirs": dirs}}


def through_changed_links(record: dict[str, Any]) -> bool:
    """Whether a link leads to one that ldconfig made or changed: it may have led elsewhere before, and counted there."""
    tree = record["input"]["rootfs"]["tree"]
    made = {p.rpartition("/")[2] for p, e in tree.items() if e.get("made_by") == "ldconfig"}
    return any(e["type"] == "symlink" and e["target"].rpartition("/")[2] in made for e in tree.values())


def shared_by_architectures(record: dict[str, Any]) -> bool:
    """Whether i386 and x86-64 files of one directory share a soname: which came first decided the type."""
    machines: dict[tuple[str, str], set[str]] = {}
    for path, entry in record["input"]["rootfs"]["tree"].items():
        elf = entry.get("elf", {})
        key = (path.rpartition("/")[0], elf.get("soname") or path.rpartition("/")[2])
        machines.setdefault(key, set()).add(elf.get("machine", ""))
    return any({"i386", "x86_64"} <= found for found in machines.values())


@pytest.mark.parametrize("name", [n for n, r in FRESH.items() if not shared_by_architectures(r)])
def test_a_recorded_run_comes_out_the_same(name: str) -> None:
    record = FRESH[name]
    want, got = record["expect"]["ldconfig"], answer("ldconfig", query(record))
    assert got["links"] == want["links"]
    assert sorted(got["removed"]) == sorted(want["removed"])
    assert got["rc"] == want["rc"]
    # the order of messages is that of the directory
    assert Counter(got["stderr"].splitlines()) == Counter(want["stderr"].splitlines())
    cache = record["input"]["rootfs"]["tree"]["/etc/ld.so.cache"]["ldcache"]
    if not through_changed_links(record):
        told = ("name", "path", "flags", "hwcap", "hwcaps_dir")
        assert [[e.get(k) for k in told] for e in got["cache"]] == [[e.get(k) for k in told] for e in cache]


def test_stale_caches_say_what_was_recorded_as_far_as_files_are_still_there() -> None:
    good = total = 0
    for name, record in RECORDS.items():
        if name not in FRESH:
            want, got = record["expect"]["ldconfig"], answer("ldconfig", query(record))
            total += 1
            good += set(got["stderr"].splitlines()) == set(want["stderr"].splitlines()) and got["rc"] == want["rc"]
    assert good >= 0.95 * total > 50
