"""The little language of ``--require`` (libnvidia-container ``src/cli/dsl.c``): alternatives, conjunctions, version comparison."""

from __future__ import annotations

import re

from nvsim.frozen import frozen
from nvsim.inject.legacy.paths import EngineFailure

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")  # in the order in which they are tried
_EXPRESSION_MAX = 128
_ADVICE = ", please update your driver to a newer version, or use an earlier cuda container"
_INVALID = "invalid expression"


@frozen
class Facts:
    """What the terms are compared with; None = not known, every comparison holds (`arch` and `brand` without a device)."""

    cuda: str | None
    driver: str | None
    arch: str | None = None
    brand: str | None = None


def check_requirement(expression: str, facts: Facts) -> None:
    """Evaluate one ``--require``. Raises `EngineFailure` with the text behind "requirement error: "."""
    satisfied = True
    for alternative in expression.split(" "):
        if not alternative:
            continue
        for term in alternative.split(","):
            if term:
                satisfied = _holds(term, facts)
                if not satisfied:
                    break
        else:
            break
    if not satisfied:
        first = expression.split(" ", maxsplit=1)[0]
        raise EngineFailure(f"unsatisfied condition: {first}{_ADVICE if first.startswith('cuda>=') else ''}")


def _holds(term: str, facts: Facts) -> bool:
    match = re.match(r"([^<>=!]+)([<>=!]+)(.*)", term, re.DOTALL)
    if match is None:
        raise EngineFailure(_INVALID)
    name, written, wanted = match.groups()
    # strncmp over the length of what was written: a prefix of an operator stands for it.
    operator = next((o for o in _OPERATORS if o.startswith(written)), None)
    if operator is None or not wanted:
        raise EngineFailure(_INVALID)
    name = name.lower()
    if name not in ("cuda", "driver", "arch", "brand"):
        raise EngineFailure(_INVALID)
    known = {"cuda": facts.cuda, "driver": facts.driver, "arch": facts.arch, "brand": facts.brand}[name]
    if known is None:
        return True
    result = _compare_text(known, operator, wanted) if name == "brand" else compare_versions(known, operator, wanted)
    if result is None or (not result and len(f"{name} {operator} {wanted}") >= _EXPRESSION_MAX):
        raise EngineFailure(_INVALID)
    return result


def _compare_text(known: str, operator: str, wanted: str) -> bool | None:
    if operator not in ("=", "!="):
        return None
    return (known.lower() == wanted.lower()) == (operator == "=")


def compare_versions(known: str, operator: str, wanted: str) -> bool | None:
    """Compare two dotted versions number by number; None when one is not a version (``dsl_compare_version``).

    A version that goes on with anything but zeros is the greater one.
    """
    if re.fullmatch(r"[0-9.]*", known) is None or re.fullmatch(r"[0-9.]*", wanted) is None:
        return None
    while known and wanted:
        a, b = re.match(r"\d+", known), re.match(r"\d+", wanted)
        if a is None or b is None or int(a[0]) >= 2**64 - 1 or int(b[0]) >= 2**64 - 1:
            return None
        if int(a[0]) != int(b[0]):
            return _ordered(int(a[0]) < int(b[0]), operator)
        known, wanted = known[a.end() :].lstrip("."), wanted[b.end() :].lstrip(".")
    known, wanted = known.lstrip(".0"), wanted.lstrip(".0")
    if not known and not wanted:
        return operator in ("=", "<=", ">=")
    return _ordered(not known, operator)


def _ordered(less: bool, operator: str) -> bool:
    if operator in ("<", "<="):
        return less
    if operator in (">", ">="):
        return not less
    return operator == "!="
