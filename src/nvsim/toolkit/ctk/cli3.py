"""A command line as urfave/cli 3 reads it: options may follow words, and those of the commands above are known below.

Source: urfave/cli ``command_parse.go``, ``command_run.go``, ``help.go`` of 3.4, 3.6 and 3.10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nvsim.frozen import define, field, frozen
from nvsim.toolkit.ctk import help as texts
from nvsim.toolkit.ctk.model import (
    HELP_OPTION,
    UNKNOWN_OPTION,
    VERSION_OPTION,
    Call,
    CliError,
    CliExit,
    Command,
    NotModelled,
    Option,
    OptionValue,
    Run,
    defaults,
    help_command,
    no_topic,
)
from nvsim.toolkit.go_strings import parse_bool, trim_space
from nvsim.toolkit.go_text import go_quote

_COMPLETION = "--generate-shell-completion"


@frozen
class Rules:
    """What the states of the library do differently.

    `local_known`: the options of a command above that are its own (``--version``) are known below. `empty_value`: what ``--output=`` means:
    the next word, an error, or the empty text. `blank_ends`: an empty word ends the reading. `short_takes`: the last of joined short
    options takes the next word away. `help_reads`: the command ``help`` reads options. `help_wins`: after an option that is wrong
    ``--help`` still counts. `error_help`: a command below shows its help after an error. `name_shifts`: a word that is the name of an
    option that was given counts as the second one. `version_set`: ``--version=false`` prints the version. `visible`: commands are counted
    without ``help`` when a help text is chosen.
    """

    style: texts.Style
    local_known: bool = False
    empty_value: str = "empty"
    blank_ends: bool = False
    short_takes: bool = True
    help_reads: bool = True
    help_wins: bool = True
    error_help: bool = True
    name_shifts: bool = False
    version_set: bool = True
    visible: bool = True


_OLD = {"blank_ends": True, "short_takes": False, "help_wins": False, "error_help": False}
RULES = {
    "3.4": Rules(
        texts.STYLE_3_4,
        local_known=True,
        empty_value="next",
        version_set=False,
        visible=False,
        **_OLD,
    ),
    "3.6": Rules(
        texts.STYLE_3_6,
        empty_value="error",
        help_reads=False,
        name_shifts=True,
        version_set=False,
        visible=False,
        **_OLD,
    ),
    "3.10": Rules(texts.STYLE_3_10),
}


class _UsageError(Exception):
    """The options cannot be read."""


@define
class _Level:
    """A command that runs: the values of its options, those that were given, the words that are left, the command above."""

    command: Command
    above: _Level | None
    values: dict[str, OptionValue] = field(factory=dict)
    given: set[str] = field(factory=set)
    rest: list[str] = field(factory=list)

    def lineage(self) -> Iterator[_Level]:
        level: _Level | None = self
        while level is not None:
            yield level
            level = level.above

    @property
    def path(self) -> str:
        return " ".join(reversed([level.command.name for level in self.lineage()]))


def run_3(root: Command, args: Sequence[str], run: Run, rules: Rules) -> Call | None:
    """What a command line asks for; None = nothing more than what was printed. Raises `CliError`, `CliExit`, `NotModelled`."""
    if args and args[-1] == _COMPLETION:
        raise NotModelled("shell completion")
    _add_help(root)
    root.add_option(VERSION_OPTION)
    root.commands.append(Command("completion", "", hidden=True))
    return _run(_Level(root, None), args, run, rules)


def _add_help(command: Command) -> None:
    """The command and the option ``help`` for a command and all below it."""
    if command.name == "help":
        return
    for below in command.commands:
        _add_help(below)
    command.commands.append(help_command())
    command.add_option(HELP_OPTION)


def _run(level: _Level, args: Sequence[str], run: Run, rules: Rules) -> Call | None:
    command = level.command
    if not command.action:
        raise NotModelled(f"the command {command.name!r}")
    if command.action == "help" and level.above is not None and not rules.help_reads:
        level.rest = list(args)
        _help_asked(level, run, rules)
        return None
    level.values = defaults(command.options)
    try:
        _read(level, args, rules)
    except _UsageError as e:
        if rules.help_wins and _asks_help(level):
            _show_own(level, run, rules)
            return None
        run.err.append(f"Incorrect Usage: {e}\n\n")
        if level.above is None or (rules.error_help and command.name != "help"):
            _show_own(level, run, rules)
        raise CliError(str(e)) from None
    if _asks_help(level):
        _help_asked(level, run, rules)
        return None
    if level.above is None and ("version" in level.given if rules.version_set else level.values["version"]):
        run.out.append(f"{command.name} version {run.version}\n")
        return None
    _take_environment(level, run)
    word = level.rest[0] if level.rest else None
    chosen = command.command(word) if word is not None else None
    if chosen is not None:
        return _run(_Level(chosen, level), level.rest[1:], run, rules)
    if rules.name_shifts and any(word in _names(up) for up in level.lineage()):
        level.rest = ["", *level.rest]
    for up in reversed(list(level.lineage())):
        problem = up.command.check(up.values) if up.command.check is not None else ""
        if problem:
            raise CliError(problem)
    if command.action == "help" or level.above is None:
        _help(level, run, rules)
        return None
    return Call(command.action, level.values)


def _names(level: _Level) -> set[str]:
    """The names of the options that were given."""
    return {name for o in level.command.options if o.key in level.given for name in o.names}


def _asks_help(level: _Level) -> bool:
    owner = next((up for up in level.lineage() if up.command.option("help")), None)
    return owner is not None and bool(owner.values["help"])


def _take_environment(level: _Level, run: Run) -> None:
    for option in level.command.options:
        text = run.environ.get(option.env) if option.env else None
        if text is None or option.key in level.given:
            continue
        level.given.add(option.key)
        if option.kind != "bool":
            level.values[option.key] = text
            continue
        value = parse_bool(text) if text else False
        if value is None:
            where = f"from environment variable {go_quote(option.env)} for flag {option.key}"
            raise CliError(f"could not parse {go_quote(text)} as bool value {where}: parse error")
        level.values[option.key] = value


# ---- options


def _read(level: _Level, args: Sequence[str], rules: Rules) -> None:
    """Read the options in `args`; what is left is put into ``level.rest``. Raises `_UsageError`."""
    todo = list(args)
    while todo:
        whole = todo.pop(0)
        text = trim_space(whole)
        if not text:
            if rules.blank_ends:
                return
            level.rest.append(whole)
        elif text == "--":
            level.rest += todo
            return
        elif text[0] != "-":
            if level.command.command(text) is not None:
                level.rest += [whole, *todo]
                return
            level.rest.append(text)
        elif len(text) == 1:
            level.rest.append(text)
            return
        elif text[1] != "-" and not _is_letter(text[1]):
            level.rest += [whole, *todo]
            return
        else:
            _option(level, text, todo, rules)


def _is_letter(c: str) -> bool:
    """Whether the first byte of a character, taken for a character of its own, is a letter."""
    return chr(c.encode("utf-8", "surrogatepass")[0]).isalpha()


def _option(level: _Level, text: str, todo: list[str], rules: Rules) -> None:
    long = text.startswith("--")
    name, equals, value = text[2 if long else 1 :].partition("=")
    found = _lookup(level, name, rules.local_known)
    if found is not None:
        owner, option = found
        if option.kind == "bool":
            _set(owner, option, name, value or "true")
            return
        if not value and not (equals and rules.empty_value == "empty"):
            if not todo or (equals and rules.empty_value == "error"):
                raise _UsageError(f"flag needs an argument: {text}")
            value = todo.pop(0)
        _set(owner, option, name, value)
        return
    if long:
        raise _UsageError(f"{UNKNOWN_OPTION}{name}")
    for i, c in enumerate(name):
        found = _lookup(level, c, True)
        if found is None:
            raise _UsageError(f"{UNKNOWN_OPTION}{name}")
        owner, option = found
        if option.kind == "bool":
            _set(owner, option, name, value or "true")
        elif i == len(name) - 1:  # one before the last that wants a value is passed over
            if not value:
                if not todo:
                    raise _UsageError(f"flag needs an argument: {c}")
                value = todo[0]
                if rules.short_takes:
                    todo.pop(0)
            _set(owner, option, name, value)


def _lookup(level: _Level, name: str, local_known: bool) -> tuple[_Level, Option] | None:
    """An option by name, of the command or of one above, and whose it is."""
    for up in level.lineage():
        option = up.command.option(name)
        if option is None:
            continue
        own = level.command.options
        hidden = option.local or any(level.command.option(n) for n in option.names)
        if option in own or local_known or not hidden:
            return up, option
    return None


def _set(owner: _Level, option: Option, name: str, text: str) -> None:
    if option.kind == "bool":
        value = parse_bool(text)
        if value is None:
            raise _UsageError(f"invalid value {go_quote(text)} for flag -{name}: parse error")
        owner.values[option.key] = value
    elif option.kind == "list":
        before = owner.values[option.key]
        owner.values[option.key] = (*(before if isinstance(before, tuple) else ()), *text.split(","))
    else:
        owner.values[option.key] = text
    owner.given.add(option.key)


# ---- help


def _show_own(level: _Level, run: Run, rules: Rules) -> None:
    if level.above is None:
        run.out.append(texts.root_3(level.command, run, rules.style))
    else:
        run.out.append(texts.subcommand_3(level.command, level.path, _global(level), rules.style))


def _help_asked(level: _Level, run: Run, rules: Rules) -> None:
    """`_help` outside an action: what it fails with ends the program as any other error does. Raises `CliError`."""
    try:
        _help(level, run, rules)
    except CliExit as e:
        raise CliError(e.message) from None


def _help(level: _Level, run: Run, rules: Rules) -> None:
    """What ``--help``, the command ``help`` and a command without an action print. Raises `CliExit`."""
    word = level.rest[0] if level.rest else ""
    if level.command.name == "help" and level.above is not None:
        level = level.above
    if word:
        _show(level, word, run, rules)
    elif level.above is None or len(_counted(level.command, rules)) > (0 if rules.visible else 1):
        _show_own(level, run, rules)
    else:
        run.out.append(texts.command_3(level.command, level.path, _global(level), rules.style))


def _show(level: _Level, word: str, run: Run, rules: Rules) -> None:
    topic = level.command.command(word)
    if topic is None:
        raise no_topic(word)
    if not topic.action:
        raise NotModelled(f"the command {topic.name!r}")
    shape = texts.subcommand_3 if _counted(topic, rules) else texts.command_3
    run.out.append(shape(topic, f"{level.path} {topic.name}", _global(level), rules.style))


def _counted(command: Command, rules: Rules) -> list[Command]:
    return [c for c in command.commands if not rules.visible or (not c.hidden and c.name != "help")]


def _global(level: _Level) -> list[Option]:
    """The options of the program that its commands know."""
    *_, root = level.lineage()
    return [o for o in root.command.options if not o.local]
