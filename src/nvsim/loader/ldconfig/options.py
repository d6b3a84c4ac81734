"""The command line of ldconfig, as GNU argp reads it (glibc ``elf/ldconfig.c``, ``argp/argp-parse.c``, getopt_long(3))."""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import frozen

EX_USAGE = 64
_WITH_VALUE = "Cfrc"
_PLAIN = "pvNXnli"
# long options: the letter that they stand for ("" = only told here), and whether they take a value
_LONG: Mapping[str, tuple[str, bool]] = {
    "print-cache": ("p", False),
    "verbose": ("v", False),
    "format": ("c", True),
    "ignore-aux-cache": ("i", False),
    "help": ("?", False),
    "program-name": ("", True),
    "usage": ("u", False),
    "HANG": ("", False),
    "version": ("V", False),
}
_FORMATS = ("old", "compat", "new")


@frozen
class Options:
    """What a command line asks for. `flags` are the plain letters given; `format` None = the program's default."""

    conf: str | None = None
    cache: str | None = None
    root: str = ""
    format: str | None = None
    flags: frozenset[str] = frozenset()
    args: tuple[str, ...] = ()

    @property
    def links(self) -> bool:
        return "X" not in self.flags

    @property
    def build(self) -> bool:
        return not self.flags & {"N", "n"}

    @property
    def verbose(self) -> bool:
        return "v" in self.flags


@frozen
class Refused:
    """A command line that is not understood, or that only asks for help or the version: what is printed, and the status."""

    stderr: str = ""
    rc: int = EX_USAGE
    asked: str = ""


def parse_options(argv: tuple[str, ...], program: str) -> Options | Refused:
    """Read the arguments after the program's name. Options may follow directories; ``--`` ends them."""
    values: dict[str, str] = {}
    flags: set[str] = set()
    args: list[str] = []
    items = list(argv)
    while items:
        item = items.pop(0)
        if item == "--":
            args += items
            break
        if item.startswith("--"):
            wrong = _long(item[2:], items, values, flags)
        elif item.startswith("-") and len(item) > 1:
            wrong = _short(item[1:], items, values, flags)
        else:
            args.append(item)
            continue
        if wrong is not None:
            name = program.rpartition("/")[2]
            return Refused(f"{program}: {wrong}\nTry `{name} --help' or `{name} --usage' for more information.\n")
        asked = flags & {"?", "u", "V"}
        if asked:
            return Refused(rc=0, asked=asked.pop())
    return Options(
        values.get("f"), values.get("C"), values.get("r", ""), values.get("c"), frozenset(flags), tuple(args)
    )


def _set(letter: str, value: str, values: dict[str, str]) -> None:
    if letter != "c" or value in _FORMATS:  # an unknown format is ignored
        values[letter] = value


def _short(letters: str, items: list[str], values: dict[str, str], flags: set[str]) -> str | None:
    """One word of short options; the text of the error, if there is one."""
    for i, letter in enumerate(letters):
        if letter in _WITH_VALUE:
            rest = letters[i + 1 :]
            if not rest and not items:
                return f"option requires an argument -- '{letter}'"
            _set(letter, rest or items.pop(0), values)
            return None
        if letter not in _PLAIN + "?V":
            return f"invalid option -- '{letter}'"
        flags.add(letter)
    return None


def _long(text: str, items: list[str], values: dict[str, str], flags: set[str]) -> str | None:
    """One long option, which may be abbreviated; the text of the error, if there is one."""
    name, eq, value = text.partition("=")
    fits = [name] if name in _LONG else [o for o in _LONG if o.startswith(name)]
    if not fits:
        return f"unrecognized option '--{name}'"
    if len(fits) > 1:
        possible = " ".join(f"'--{option}'" for option in fits)
        return f"option '--{name}' is ambiguous; possibilities: {possible}"
    letter, takes_value = _LONG[fits[0]]
    if takes_value:
        if not eq and not items:
            return f"option '--{fits[0]}' requires an argument"
        _set(letter, value if eq else items.pop(0), values)
    elif eq:
        return f"option '--{fits[0]}' doesn't allow an argument"
    elif letter:
        flags.add(letter)
    return None
