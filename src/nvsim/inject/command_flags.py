"""Command-line flags of the toolkit's programs, as the Go library urfave/cli reads them: ``--name value``, ``--name=value``, one dash
or two, lists split at commas, environment variables where no flag is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvsim.frozen import evolve, frozen
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_strings import parse_bool
from nvsim.toolkit.go_text import go_quote

Value = str | bool | tuple[str, ...]


@frozen
class Flag:
    """A flag: its names (the first is its key), `kind` text, list or bool, its environment variable and default."""

    names: tuple[str, ...]
    kind: str
    env: str = ""
    default: str | tuple[str, ...] = ""


@frozen
class Flags:
    """Parsed flags: a value for every flag, the keys of those that were given (also by environment), and what was left over."""

    values: Mapping[str, Value]
    given: frozenset[str]
    rest: tuple[str, ...] = ()

    def is_set(self, key: str) -> bool:
        return key in self.given

    def with_value(self, key: str, value: Value) -> Flags:
        return evolve(self, values={**self.values, key: value})


def parse_flags(
    flags: Sequence[Flag],
    args: Sequence[str],
    env: Mapping[str, str],
    *,
    known: Sequence[str] | None = None,
    interspersed: bool = True,
    one_form: bool = False,
) -> Flags:
    """The flags in `args`. Raises `ToolFailure` with the library's words.

    `known`: the names that the program's release has, None = all. `interspersed`: flags may follow other arguments. `one_form`: a
    flag may be given by one of its names alone.
    """
    by_name = {name: flag for flag in flags for name in flag.names if known is None or name in known}
    values: dict[str, Value] = {}
    forms: dict[str, set[str]] = {}
    rest: list[str] = []
    todo = list(args)
    while todo:
        arg = todo.pop(0)
        if arg == "--":
            rest += todo
            break
        if not arg.startswith("-") or arg == "-":
            rest.append(arg)
            if not interspersed:
                rest += todo
                break
            continue
        name, equals, value = arg.lstrip("-").partition("=")
        flag = by_name.get(name)
        if flag is None:
            raise ToolFailure(f"flag provided but not defined: -{name}")
        forms.setdefault(flag.names[0], set()).add(name)
        if flag.kind == "bool":
            values[flag.names[0]] = _boolean(name, value) if equals else True
            continue
        if not equals:
            if not todo:
                raise ToolFailure(f"flag needs an argument: {arg}")
            value = todo.pop(0)
        if flag.kind == "list":
            values[flag.names[0]] = (*_items(values.get(flag.names[0])), *_split(value))
        else:
            values[flag.names[0]] = value
    for flag in flags if one_form else ():
        used = [name for name in flag.names if name in forms.get(flag.names[0], ())]
        if len(used) > 1:
            raise ToolFailure(f"Cannot use two forms of the same flag: {used[1]} {used[0]}")
    for flag in flags:
        key = flag.names[0]
        unknown = known is not None and not set(flag.names) & set(known)
        if key not in values and not unknown and flag.env and flag.env in env:
            text = env[flag.env]
            if flag.kind == "text":
                values[key] = text
            elif text:
                values[key] = _split(text) if flag.kind == "list" else _boolean(key, text)
    given = frozenset(values)
    for flag in flags:
        default: Value = False if flag.kind == "bool" else flag.default
        values.setdefault(flag.names[0], () if flag.kind == "list" and default == "" else default)
    return Flags(values, given, tuple(rest))


def _items(value: Value | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _boolean(name: str, text: str) -> bool:
    read = parse_bool(text)
    if read is not None:
        return read
    reason = f"strconv.ParseBool: parsing {go_quote(text)}: invalid syntax"
    raise ToolFailure(f"invalid value {go_quote(text)} for flag -{name}: {reason}")
