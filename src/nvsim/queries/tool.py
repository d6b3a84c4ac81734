"""Answers about single programs of the toolkit (kind ``tool``), dispatched by ``program``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nvsim.errors import InputError

_SUBJECTS = {
    "nvidia-container-cli": "legacy",
    "nvidia-ctk": "cdi",
    "nvidia-cdi-hook": "cdi",
    "nvidia-container-runtime": "runtime_tool",
}


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """What the program of the query does. Raises `InputError`."""
    subject = _SUBJECTS.get(str(query.get("program")))
    if subject is None:
        raise InputError(f"unknown program {query.get('program')!r}", hint=f"one of {', '.join(_SUBJECTS)}")
    result: dict[str, Any] = import_module(f"nvsim.queries.{subject}").answer(kind, query)
    return result
