"""A command line as docker reads it (pflag, ``flag.go``: ``parseLongArg``, ``parseSingleShortArg``), brought into the form that click reads.

Where the two differ: the ``=`` behind a short option is no part of its value (``-e=A=1``), flags take a value behind ``=``
(``--privileged=false``), and of a repeated flag the last value holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from nvsim.frozen import frozen
from nvsim.scenario.options_docker import invalid_argument

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@frozen
class _Known:
    """One option of a command: `spelled` as docker names it in errors, `flag` when it takes no value of its own."""

    spelled: str
    longest: str
    flag: bool


def as_click_reads(args: Sequence[str], parameters: Sequence[click.Parameter], *, interspersed: bool) -> list[str]:
    """`args` for click. `interspersed`: options may also stand behind the first argument.

    Raises `InputError` in docker's words for a flag's value that is neither true nor false. What is no option of the command is
    left for click to refuse.
    """
    known = _known(parameters)
    out: list[str] = []
    flags: dict[str, bool] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--" or (not interspersed and not _is_option(word)):
            out += [word, *rest]
            break
        if not _is_option(word):
            out.append(word)
        elif word.startswith("--"):
            name, eq, value = word.partition("=")
            option = known.get(name)
            if option is not None and option.flag:
                flags[option.longest] = _boolean(value, option.spelled) if eq else True
                continue
            out.append(word)
            if option is not None and not eq and rest:
                out.append(rest.pop(0))
        else:
            out += _short(word[1:], known, flags, rest)
    return [*(name for name, on in flags.items() if on), *out]


def _short(letters: str, known: dict[str, _Known], flags: dict[str, bool], rest: list[str]) -> list[str]:
    """The words for a run of short options; their flags go to `flags`, a value in a word of its own is taken from `rest`."""
    while letters:
        option = known.get(f"-{letters[0]}")
        if option is None:
            return [f"-{letters}"]
        value = letters[2:] if len(letters) > 2 and letters[1] == "=" else None
        if not option.flag:
            if value is None:
                value = letters[1:] or None
            words = [option.longest] if option.longest.startswith("--") else [f"-{letters[0]}"]
            return words + ([value] if value is not None else [rest.pop(0)] if rest else [])
        flags[option.longest] = _boolean(value, option.spelled) if value is not None else True
        letters = "" if value is not None else letters[1:]
    return []


def _boolean(value: str, flag: str) -> bool:
    """Go's ``strconv.ParseBool``."""
    if value not in _TRUE + _FALSE:
        raise invalid_argument(value, flag, f'strconv.ParseBool: parsing "{value}": invalid syntax')
    return value in _TRUE


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _known(parameters: Sequence[click.Parameter]) -> dict[str, _Known]:
    """The options by every name. Those that act at once (``--help``) and switches of two names are left to click."""
    out = {}
    for option in parameters:
        if not isinstance(option, click.Option) or option.is_eager or option.secondary_opts:
            continue
        names = sorted(option.opts, key=len)
        one = _Known(", ".join(names), names[-1], option.is_flag)
        out.update(dict.fromkeys(names, one))
    return out
