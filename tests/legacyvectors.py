"""Recorded results of the real nvidia-container-cli: the cases, with the trees of their hosts and containers."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors" / "legacy"
GROUPS = (
    "capabilities",
    "cuda-compat",
    "devices",
    "errors",
    "info-list",
    "layouts",
    "ldconfig",
    "matrix",
    "requirements",
    "targets",
)
_ABOUT_THE_RECORD = ("id", "group", "expect", "capabilities")


@cache
def load(name: str) -> Any:
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def host(name: str) -> dict[str, Any]:
    return load("trees")["hosts"][name]


def container(name: str) -> dict[str, Any]:
    return load("trees")["containers"][name]


def cases() -> dict[str, dict[str, Any]]:
    return {case["id"]: case for group in GROUPS for case in load(group)}


def query(case: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The query that asks for a case, with some of its fields replaced."""
    out = {k: v for k, v in case.items() if k not in _ABOUT_THE_RECORD} | {"program": "nvidia-container-cli"} | changes
    if isinstance(out["host"], str):
        out["host"] = host(out["host"])
    if isinstance(out.get("container"), str):
        out["container"] = container(out["container"])
    return out
