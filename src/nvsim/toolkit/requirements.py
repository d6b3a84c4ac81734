"""The toolkit's own requirement language, which csv mode checks (toolkit: ``internal/requirements``).

``cuda>=11.0,brand=tesla cuda>=12`` is (cuda >= 11.0 AND brand = tesla) OR (cuda >= 12). The legacy engine has another implementation,
in `nvsim.inject.legacy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nvsim.frozen import frozen
from nvsim.toolkit.go_strings import trim_space
from nvsim.toolkit.versions import Library, VersionError, compare_texts, compare_versions, parse_version

VERSIONS = ("cuda", "arch", "driver")
STRINGS = ("brand",)

_OPERATORS = ("!=", "<=", ">=", "=", "<", ">")
_SATISFIED = {"=": (0,), "!=": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}


class RequirementError(Exception):
    """A requirement cannot be read; the argument is the real program's text."""


@frozen
class Condition:
    """One comparison; an operator "" is one that the language does not have, and always an error."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


@frozen
class Constraint:
    """What must hold: all requirements; in one requirement any term; in a term all conditions. Empty = always met."""

    requirements: tuple[tuple[tuple[Condition, ...], ...], ...] = ()

    def __str__(self) -> str:
        if not self.requirements:
            return "true"
        return "&&".join(_or_text(terms) for terms in self.requirements)


def parse_requirements(requirements: Iterable[str], library: Library) -> Constraint:
    """The constraint of several requirements; conditions on unknown names are dropped. Raises `RequirementError`."""
    every = []
    for requirement in requirements:
        terms = tuple(_term(t, library) for t in requirement.split(" ")) if trim_space(requirement) else ()
        kept = tuple(t for t in terms if t)
        if kept:
            every.append(kept)
    return Constraint(tuple(every))


def _term(text: str, library: Library) -> tuple[Condition, ...]:
    found = (_condition(factor, library) for factor in text.split(","))
    return tuple(c for c in found if c is not None)


def _condition(text: str, library: Library) -> Condition | None:
    """The condition of a factor; None for blank text and for a name that is not known."""
    if not trim_space(text):
        return None
    end = next((i for i, c in enumerate(text) if c in "<>=!"), None)
    if end is None:
        raise RequirementError(f"invalid constraint: {text}")
    name, rest = text[:end], text[end:]
    if name not in VERSIONS and name not in STRINGS:
        return None
    operator = next((o for o in _OPERATORS if rest.startswith(o)), "")
    condition = Condition(name, operator, rest.removeprefix(operator))
    if name in VERSIONS:
        _check(condition.value, library)
    return condition


def _check(value: str, library: Library) -> None:
    try:
        parse_version(value, library)
    except VersionError as e:
        if library == "x-mod":
            raise RequirementError(f"invailid value {value}; expected a valid version string") from None
        raise RequirementError(f"invalid version string: {e}") from None


def unmet(constraint: Constraint, properties: Mapping[str, str], library: Library) -> str | None:
    """Why the constraint does not hold for these properties (absent = ""); None when it does."""
    for terms in constraint.requirements:
        failures = []
        for term in terms:
            failure = _unmet_term(term, properties, library)
            if failure is None:
                break
            failures.append(failure)
        else:
            return failures[0] if len(terms) == 1 else f"{_or_text(terms)} not met"
    return None


def _unmet_term(term: tuple[Condition, ...], properties: Mapping[str, str], library: Library) -> str | None:
    return next((f for c in term if (f := _unmet_condition(c, properties.get(c.name, ""), library)) is not None), None)


def _unmet_condition(condition: Condition, have: str, library: Library) -> str | None:
    if condition.name in STRINGS:
        left, right = (s.encode("utf-8", "surrogateescape") for s in (have, condition.value))
        order = (left > right) - (left < right)
    elif library == "x-mod":
        order = compare_texts(have, condition.value)
    else:
        try:
            order = compare_versions(parse_version(have, library), parse_version(condition.value, library))
        except VersionError as e:
            return f"invalid value for {condition.name}: {e}"
    if not condition.operator:
        return "invalid operator "
    if order in _SATISFIED[condition.operator]:
        return None
    return f"unsatisfied condition: {condition} ({condition.name}={have})"


def _or_text(terms: tuple[tuple[Condition, ...], ...]) -> str:
    return "||".join("&&".join(str(c) for c in term) for term in terms)
