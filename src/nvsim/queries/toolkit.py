"""Answers about the toolkit's decisions: each batch kind of ``vectors/toolkit`` and the module that answers it.

Only the way to the answer is here. The kinds about a container's request live in `nvsim.queries.toolkit_request`, those about
configuration, versions, requirements and the runtime in `nvsim.queries.toolkit_runtime`; each is imported when its first query comes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nvsim.errors import InputError

_SUBJECTS = {
    **dict.fromkeys(("image", "mode", "cdi-request", "capabilities", "hook"), "toolkit_request"),
    **dict.fromkeys(
        ("config", "version", "cdi-name", "requirements", "runtime-args", "runtime", "chain"), "toolkit_runtime"
    ),
}


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one query of a toolkit kind. Raises `InputError`."""
    subject = _SUBJECTS[kind]
    try:
        module = import_module(f"nvsim.queries.{subject}")
    except ModuleNotFoundError as e:
        if e.name != f"nvsim.queries.{subject}":
            raise
        raise InputError(f"kind {kind!r} is not modelled yet") from None
    result: dict[str, Any] = module.answer(kind, query)
    return result
