"""Recorded CDI results, read from tests/vectors/cdi."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from nvsim.host.datadir import data_dir

FOLDER = Path(__file__).parent / "vectors" / "cdi"
RESULTS = ("id", "expect", "effect", "ld_so_cache_after")


@lru_cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    """The records of a file, in order."""
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt") as f:
        return tuple(json.loads(line) for line in f)


@lru_cache
def table(name: str) -> dict[str, Any]:
    with gzip.open(FOLDER / f"{name}.json.gz", "rt") as f:
        data: dict[str, Any] = json.load(f)
    return data


def query(record: dict[str, Any]) -> dict[str, Any]:
    """The query that asks for what a record holds, its host put in."""
    out = {k: v for k, v in record.items() if k not in RESULTS}
    if isinstance(out.get("host"), str):
        out["host"] = table("hosts")[out["host"]]
    return out


def normal(value: Any) -> Any:
    """A missing key and null are the same."""
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items() if v is not None}
    return [normal(v) for v in value] if isinstance(value, list) else value


@lru_cache
def _symbols() -> dict[str, dict[str, Any]]:
    """File name -> the symbols that the shipped driver set 535.309.01 says it takes from glibc."""
    driver = json.loads((data_dir() / "drivers/535.309.01.json").read_text())
    files = [f for f in driver["files"] if f["arch"] == "64" and "elf" in f]
    return {f["name"]: {k: f["elf"][k] for k in ("undef", "undef_lazy") if k in f["elf"]} for f in files}


def with_symbols(tree: dict[str, Any]) -> dict[str, Any]:
    """A recorded tree with the symbols of its driver files, which the recordings leave out."""
    out = dict(tree)
    for path, entry in tree.items():
        found = _symbols().get(path.rpartition("/")[2])
        if found and "elf" in entry:
            out[path] = {**entry, "elf": {**entry["elf"], **found}}
    return out
