"""Recorded decisions of the real toolkit: a case for every release of which a result is recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors" / "toolkit"
BASE = "1.20.0"


@cache
def records(kind: str) -> tuple[dict[str, Any], ...]:
    """The records of a kind, as they were written."""
    with gzip.open(FOLDER / f"{kind}.jsonl.gz", "rt") as lines:
        return tuple(json.loads(line) for line in lines)


def cases(kind: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(id with release, query, recorded result) of a kind; a result that is an error is {"error": text}."""
    for record in records(kind):
        base = {"error": record["error"]} if "error" in record else record["expect"]
        yield f"{record['id']} {BASE}", {**record["input"], "toolkit": BASE}, base
        for other in record.get("other") or ():
            if "error" in other:
                result = {"error": other["error"]}
            else:
                gone = {*(other.get("drop") or ()), "error"}
                result = {k: v for k, v in base.items() if k not in gone} | (other.get("set") or {})
            for release in other["toolkit"]:
                if release not in (record.get("unstable") or ()):
                    yield f"{record['id']} {release}", {**record["input"], "toolkit": release}, result


def plain(value: Any) -> Any:
    """A result as JSON has it, without the keys that say nothing."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value
