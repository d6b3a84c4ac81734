"""A command line as docker reads it (pflag, ``flag.go``: ``parseLongArg``, ``parseSingleShortArg``), brought into the form that click reads.

Where the two differ: the ``=`` behind a short option is no part of its value (``-e=A=1``), flags take a value behind ``=``
(``--privileged=false``), and of a repeated flag the last value holds. Options that change nothing here
(`nvsim.scenario.options_ignored`) are dropped once their values are looked at (`nvsim.scenario.option_values`).
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.scenario.options_docker import boolean, invalid_argument
from nvsim.scenario.options_ignored import IGNORED


@frozen
class _Known:
    """One option of a command: `spelled` as docker names it in errors, `flag` when it takes no value of its own, `ignored` when click
    is to see nothing of it."""

    spelled: str
    longest: str
    flag: bool
    ignored: bool = False


def as_click_reads(args: Sequence[str], parameters: Sequence[click.Parameter], *, interspersed: bool) -> list[str]:
    """`args` for click. `interspersed`: options may also stand behind the first argument.

    Raises `InputError` in docker's words for a flag's value that is neither true nor false, for a value that is missing, and for one of an
    ignored option that docker refuses. What is no option of the command is left for click to refuse.
    """
    known = _known(parameters)
    out: list[str] = []
    flags: dict[str, bool] = {}
    ignored: dict[str, list[str]] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--" or (not interspersed and not _is_option(word)):
            out += [word, *rest]
            break
        if not _is_option(word):
            out.append(word)
        elif word.startswith("--"):
            out += _long(word, known, flags, ignored, rest)
        else:
            out += _short(word[1:], known, flags, ignored, rest)
    if ignored:
        _look_at(ignored)
    return [*(name for name, on in flags.items() if on), *out]


def _long(
    word: str, known: dict[str, _Known], flags: dict[str, bool], ignored: dict[str, list[str]], rest: list[str]
) -> list[str]:
    """The words for one long option; a flag goes to `flags`, an ignored one's value to `ignored`, and a value in a word of its own is
    taken from `rest`."""
    name, eq, value = word.partition("=")
    option = known.get(name)
    if option is None:
        return [word]
    if option.flag:
        _set(flags, option, value if eq else None)
        return []
    if not eq:
        value = _next(rest, name)
    return _given(option, value, ignored)


def _short(
    letters: str, known: dict[str, _Known], flags: dict[str, bool], ignored: dict[str, list[str]], rest: list[str]
) -> list[str]:
    """The same for a run of short options."""
    while letters:
        option = known.get(f"-{letters[0]}")
        if option is None:
            return [f"-{letters}"]
        value = letters[2:] if len(letters) > 2 and letters[1] == "=" else None
        if not option.flag:
            if value is None:
                value = letters[1:] or _next(rest, f"'{letters[0]}' in -{letters}")
            return _given(option, value, ignored)
        _set(flags, option, value)
        letters = "" if value is not None else letters[1:]
    return []


def _given(option: _Known, value: str, ignored: dict[str, list[str]]) -> list[str]:
    """The words for an option with its value. Raises `InputError` for one that docker refuses."""
    if not option.ignored:
        return [option.longest, value]
    from nvsim.scenario.option_values import CHECKS  # most lines have no such option

    reason = CHECKS[option.longest](value) if option.longest in CHECKS else None
    if reason is not None:
        raise invalid_argument(value, option.spelled, reason)
    ignored.setdefault(option.longest, []).append(value)
    return []


def _look_at(ignored: dict[str, list[str]]) -> None:
    """What docker looks at once it has read the line. Raises `InputError`."""
    from nvsim.scenario.option_values import AFTER

    for name, check in AFTER.items():
        reason = check(ignored[name][-1]) if name in ignored else None
        if reason is not None:
            raise InputError(f"docker: {reason}")


def _next(rest: list[str], option: str) -> str:
    if not rest:
        raise InputError(f"docker: flag needs an argument: {option}", hint="--help lists the options")
    return rest.pop(0)


def _set(flags: dict[str, bool], option: _Known, value: str | None) -> None:
    on = value is None or boolean(value, option.spelled)
    if not option.ignored:
        flags[option.longest] = on


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _known(parameters: Sequence[click.Parameter]) -> dict[str, _Known]:
    """The options by every name. Those that act at once (``--help``) and switches of two names are left to click."""
    out: dict[str, _Known] = {}
    for spelled, flag in IGNORED.items():
        out |= dict.fromkeys(spelled, _Known(", ".join(spelled), spelled[-1], flag, ignored=True))
    for option in parameters:
        if not isinstance(option, click.Option) or option.is_eager or option.secondary_opts:
            continue
        names = sorted(option.opts, key=len)
        one = _Known(", ".join(names), names[-1], option.is_flag)
        out.update(dict.fromkeys(names, one))
    return out
