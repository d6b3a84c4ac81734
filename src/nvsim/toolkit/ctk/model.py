"""A command line as the library urfave/cli sees it: commands and options as values, and the state of one run.

What reads a command line is in `cli2` and `cli3`, what the help texts look like in `help`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from nvsim.frozen import define, field, frozen
from nvsim.toolkit.go_text import go_quote

OptionValue = str | bool | tuple[str, ...]
UNKNOWN_OPTION = "flag provided but not defined: -"


@frozen
class Option:
    """An option. `names`: the first is its key. `env`: its environment variable. `local`: not known to the commands below (library 3)."""

    names: tuple[str, ...]
    kind: Literal["text", "list", "bool"]
    usage: str
    env: str = ""
    default: str = ""
    hidden: bool = False
    local: bool = False
    show_default: bool = True

    @property
    def key(self) -> str:
        return self.names[0]


HELP_OPTION = Option(("help", "h"), "bool", "show help", local=True, show_default=False)
VERSION_OPTION = Option(("version", "v"), "bool", "print the version", local=True, show_default=False)


@define
class Command:
    """A command. The libraries add the command and the option ``help`` while they run, so one is made for each run.

    `help_name`: the name in help texts of library 2. `check`: what is asked before the action; its text is the error that ends the run.
    `action`: what it does, told by a word of the caller's; "" = its help.
    """

    name: str
    usage: str
    aliases: tuple[str, ...] = ()
    options: list[Option] = field(factory=list)
    commands: list[Command] = field(factory=list)
    args_usage: str = ""
    action: str = ""
    check: Callable[[Mapping[str, OptionValue]], str] | None = None
    hidden: bool = False
    help_name: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def command(self, name: str) -> Command | None:
        return next((c for c in self.commands if name in c.names), None)

    def option(self, name: str) -> Option | None:
        return next((o for o in self.options if name in o.names), None)

    def add_option(self, option: Option) -> None:
        if option not in self.options:
            self.options.append(option)


def help_command() -> Command:
    return Command(
        "help", "Shows a list of commands or help for one command", ("h",), args_usage="[command]", action="help"
    )


@define
class Run:
    """The state of one run: environment, the text for ``--version``, what was printed so far."""

    argv0: str
    environ: Mapping[str, str]
    version: str
    out: list[str] = field(factory=list)
    err: list[str] = field(factory=list)


@frozen
class Call:
    """The action that a command line asks for, with the values of its command's options."""

    action: str
    values: Mapping[str, OptionValue]


class CliError(Exception):
    """The library gives this error back to the program, which logs it and ends with status 1."""


class CliExit(Exception):  # noqa: N818 - a predicted end of the real program
    """The library ends the program with a status, after it has printed the message on stderr."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.message = message
        self.status = status


class NotModelled(Exception):  # noqa: N818 - becomes an InputError of the caller
    """The command line asks for something that is not predicted; the argument says what."""


def no_topic(name: str) -> CliExit:
    return CliExit(f"No help topic for '{name}'", 3)


def defaults(options: list[Option]) -> dict[str, OptionValue]:
    """The values of options that nobody gave."""
    return {o.key: False if o.kind == "bool" else () if o.kind == "list" else o.default for o in options}


def bad_boolean(text: str) -> str:
    """What ``strconv.ParseBool`` says of a text that it cannot read."""
    return f"strconv.ParseBool: parsing {go_quote(text)}: invalid syntax"
