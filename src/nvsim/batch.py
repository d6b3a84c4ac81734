"""``nvsim batch``: JSON-lines queries in, JSON-lines answers out, in the same order (see ``docs/formats.md``).

What a kind of query means lives in `nvsim.queries`; a subject is imported when its first query comes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from nvsim.errors import InputError, NvsimError

_TOOLKIT_KINDS = (
    "image",
    "cdi-request",
    "mode",
    "requirements",
    "config",
    "runtime-args",
    "cdi-name",
    "version",
    "capabilities",
    "hook",
    "runtime",
    "chain",
)
_SUBJECTS = {
    "load": "load",
    "ldconfig": "ldconfig",
    "tool": "tool",
    "cdi-rules": "cdi",
    "run": "run",
    **dict.fromkeys(_TOOLKIT_KINDS, "toolkit"),
}


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one query. Raises `NvsimError` when it cannot be answered."""
    result: dict[str, Any] = _module(kind).answer(kind, query)
    return result


def compact_json(value: Any) -> str:
    """JSON as every answer has it: keys sorted, no spaces, no escapes that are not needed."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _result_text(kind: str, query: dict[str, Any]) -> str:
    """The JSON text of the result, which a subject may have at hand (``answer_text``)."""
    module = _module(kind)
    text: str = (
        module.answer_text(query) if hasattr(module, "answer_text") else compact_json(module.answer(kind, query))
    )
    return text


def _module(kind: str) -> Any:
    """The module that answers a kind of query."""
    subject = _SUBJECTS.get(kind)
    if subject is None:
        raise InputError(f"unknown kind {kind!r}", hint=f"one of {', '.join(sorted(_SUBJECTS))}")
    try:
        return import_module(f"nvsim.queries.{subject}")
    except ModuleNotFoundError as e:
        if e.name != f"nvsim.queries.{subject}":
            raise
        raise InputError(f"kind {kind!r} is not modelled yet") from None


def _no_number(text: str) -> float:
    raise InputError(f"bad JSON: {text} is no number of JSON")


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_number)


def _parsed(line: str) -> Any:
    """The value of one line. Raises `InputError`, also for what Python reads but JSON does not have (NaN, Infinity)."""
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as e:
        raise InputError(f"bad JSON at column {e.colno}: {e.msg}") from None
    except ValueError:
        raise InputError("bad JSON: a number has too many digits") from None


def answer_line(line: str) -> str:
    """The answer to one input line, as one line of JSON without the newline. Never raises for bad input."""
    ident: Any = None
    try:
        query = _parsed(line)
        if not isinstance(query, dict):
            raise InputError("a query must be a JSON object")
        ident = query.get("id")
        kind, data = query.get("kind"), query.get("input")
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise InputError("a query needs 'kind' (a string) and 'input' (an object)")
        result = _result_text(kind, data)
        return f'{{"id":{compact_json(ident)},"result":{result}}}'
    except NvsimError as e:
        out: dict[str, Any] = {"id": ident, "error": {"type": "input", "message": str(e)}}
    except RecursionError:
        out = {"id": ident, "error": {"type": "input", "message": "the query is nested too deeply"}}
    except Exception as e:  # a fault of nvsim itself: told as such, and the next query is still answered
        out = {"id": ident, "error": {"type": "internal", "message": f"{type(e).__name__}: {e}"}}
    return compact_json(out)


def answers(lines: Iterable[str]) -> Iterator[str]:
    """One answer line for each non-blank input line, in order."""
    for line in lines:
        if line.strip():
            yield answer_line(line)
