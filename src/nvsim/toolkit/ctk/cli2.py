"""A command line as urfave/cli 2 reads it: options end at the first word that is none, every command reads its own.

Two states of it: 2.3 (`run_2_3`), where a command with commands below is an application of its own, and 2.27 (`run_2_27`), where all
commands are alike. Both read options with Go's ``flag`` (`_Options`) and try again with joined short options (``-id``) taken apart.
Source: urfave/cli ``app.go``, ``command.go``, ``parse.go``, ``help.go``; Go ``src/flag/flag.go``.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import define, field
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
    bad_boolean,
    defaults,
    help_command,
    no_topic,
)
from nvsim.toolkit.go_strings import parse_bool, trim_space
from nvsim.toolkit.go_text import go_quote

_COMPLETION = "--generate-bash-completion"


class _UsageError(Exception):
    """The options cannot be read."""


# ---- options


@define
class _Options:
    """The options of one command, and what was given: values by key, the names that were used, the words that are left."""

    options: list[Option]
    split_lists: bool
    values: dict[str, OptionValue] = field(factory=dict)
    used: set[str] = field(factory=set)
    rest: list[str] = field(factory=list)

    def lookup(self, name: str) -> Option | None:
        return next((o for o in self.options if name in o.names), None)

    def read(self, args: Sequence[str]) -> None:
        """Read options up to the first word that is none (``flag.FlagSet.Parse``). Raises `_UsageError`."""
        self.rest = list(args)
        while self.rest:
            text = self.rest[0]
            if len(text) < 2 or text[0] != "-":
                return
            self.rest.pop(0)
            if text == "--":
                return
            name = text[2:] if text[1] == "-" else text[1:]
            if not name or name[0] in "-=":
                raise _UsageError(f"bad flag syntax: {text}")
            name, equals, value = name.partition("=")
            option = self.lookup(name)
            if option is None:
                raise _UsageError(f"{UNKNOWN_OPTION}{name}")
            self._set(option, name, value if equals else None)

    def _set(self, option: Option, name: str, value: str | None) -> None:
        if option.kind == "bool":
            read = True if value is None else parse_bool(value)
            if read is None:
                raise _UsageError(f"invalid boolean value {go_quote(value or '')} for -{name}: parse error")
            self.values[option.key] = read
        else:
            if value is None:
                if not self.rest:
                    raise _UsageError(f"flag needs an argument: -{name}")
                value = self.rest.pop(0)
            if option.kind == "list":
                items = tuple(trim_space(t) for t in value.split(",")) if self.split_lists else (value,)
                before = self.values[option.key]
                self.values[option.key] = (*(before if isinstance(before, tuple) else ()), *items)
            else:
                self.values[option.key] = value
        self.used.add(name)

    def two_forms(self) -> str | None:
        """The error for an option that was given under two of its names."""
        for option in self.options:
            first = None
            for name in option.names if len(option.names) > 1 else ():
                if name in self.used:
                    if first is not None:
                        return f"Cannot use two forms of the same flag: {name} {first}"
                    first = name
        return None


def _read(options: list[Option], args: Sequence[str], run: Run, *, newer: bool) -> tuple[_Options, str | None]:
    """The options in `args`, joined short ones taken apart, and the error that ended the reading."""
    found = _prepared(options, run, newer=newer)
    args = list(args)
    while True:
        try:
            found.read(args)
        except _UsageError as e:
            name = str(e).removeprefix(UNKNOWN_OPTION)
            at = next((i for i, a in enumerate(args) if a.lstrip("-") == name), None)
            if name == str(e) or at is None:
                return found, str(e)
            parts = _short_options(found, args[at])
            if len(parts) == 1:
                return found, str(e)
            # 2.3 starts again from nothing, 2.27 goes on behind what it has read
            args = [*([] if newer else args[:at]), *parts, *args[at + 1 :]]
            found = found if newer else _prepared(options, run, newer=newer)
        else:
            return found, None


def _short_options(found: _Options, text: str) -> list[str]:
    joined = text.startswith("-") and not text.startswith("--") and len(text) > 2
    if not joined or any(found.lookup(c) is None for c in text[1:]):
        return [text]
    return [f"-{c}" for c in text[1:]]


def _prepared(options: list[Option], run: Run, *, newer: bool) -> _Options:
    """Options with the values that the environment gives. Raises `CliError`."""
    found = _Options(options, newer, defaults(options))
    for option in options:
        text = run.environ.get(option.env) if option.env else None
        if not text:
            continue
        value = parse_bool(text)
        if value is None:
            where = f" from environment variable {go_quote(option.env)}" if newer else ""
            told = f"could not parse {go_quote(text)} as bool value{where} for flag {option.key}"
            raise CliError(f"{told}: {bad_boolean(text)}")
        found.values[option.key] = value
    return found


def _without_completion(args: Sequence[str]) -> Sequence[str]:
    if args and args[-1] == _COMPLETION:
        raise NotModelled("shell completion")
    return args


# ---- 2.3


def run_2_3(root: Command, args: Sequence[str], run: Run) -> Call | None:
    """What a command line asks for; None = nothing more than what was printed. Raises `CliError`, `CliExit`, `NotModelled`."""
    _without_completion(args)
    root.help_name = run.argv0
    for command in root.commands:
        command.help_name = f"{root.help_name} {command.name}"
    root.commands.append(help_command())
    root.options += [HELP_OPTION, VERSION_OPTION]
    found, error = _read(root.options, args, run, newer=False)
    twice = found.two_forms()
    shown = _prepared(root.options, run, newer=False)  # what the environment says is shown as the default
    if twice is not None:
        run.out.append(f"{twice}\n{texts.app_2_3(root, run, shown.values)}")
        raise CliError(twice)
    if error is not None:
        run.out.append(f"Incorrect Usage. {error}\n\n{texts.app_2_3(root, run, shown.values)}")
        raise CliError(error)
    if found.values["help"]:
        run.out.append(texts.app_2_3(root, run, shown.values))
        return None
    if found.values["version"]:
        run.out.append(f"{root.name} version {run.version}\n")
        return None
    chosen = root.command(found.rest[0]) if found.rest else None
    if chosen is None:
        _help_2_3(root, found.rest, run, shown.values)
        return None
    if chosen.commands:
        return _application_2_3(root, chosen, found.rest[1:], run)
    return _command_2_3(root, chosen, found.rest[1:], run, shown.values)


def _application_2_3(root: Command, command: Command, args: Sequence[str], run: Run) -> Call | None:
    """A command with commands below it, which 2.3 runs as an application of its own."""
    app = Command(f"{root.name} {command.name}", command.usage, options=[*command.options, HELP_OPTION])
    app.help_name = app.name
    app.commands = [*command.commands, help_command()]
    for below in app.commands:
        below.help_name = f"{app.name} {below.name}"
    found, error = _read(app.options, args, run, newer=False)
    twice = found.two_forms()
    if twice is not None:
        run.out.append(f"{twice}\n\n{texts.subcommand_2_3(app)}")
        raise CliError(twice)
    if error is not None:
        run.out.append(f"Incorrect Usage. {error}\n\n{texts.subcommand_2_3(app)}")
        raise CliError(error)
    if found.values["help"]:
        run.out.append(texts.subcommand_2_3(app))
        return None
    chosen = app.command(found.rest[0]) if found.rest else None
    _check(command, found.values)
    return _command_2_3(app, chosen, found.rest[1:], run, {}) if chosen else Call(command.action, found.values)


def _command_2_3(
    app: Command, command: Command, args: Sequence[str], run: Run, shown: dict[str, OptionValue]
) -> Call | None:
    """A command without commands below it; `shown`: the values that the help of `app` gives as defaults."""
    if not command.action:
        raise NotModelled(f"the command {command.name!r}")
    command.add_option(HELP_OPTION)
    found, error = _read(command.options, args, run, newer=False)
    error = error or found.two_forms()
    if error is not None:
        run.out.append(f"Incorrect Usage: {error}\n\n{texts.command_2_3(command)}")
        raise CliError(error)
    if found.values["help"]:
        run.out.append(texts.command_2_3(command))
        return None
    if command.action == "help":
        _help_2_3(app, found.rest, run, shown)
        return None
    _check(command, found.values)
    return Call(command.action, found.values)


def _help_2_3(app: Command, words: Sequence[str], run: Run, shown: dict[str, OptionValue]) -> None:
    """What the command ``help`` prints, or an application for words that are no command. Raises `CliExit`."""
    if not words:
        run.out.append(texts.app_2_3(app, run, shown))
        return
    topic = app.command(words[0])
    if not words[0]:
        run.out.append(texts.subcommand_2_3(app, shown))
    elif topic is None:
        raise no_topic(words[0])
    else:
        _modelled(topic)
        run.out.append(texts.command_2_3(topic))


# ---- 2.27


@define
class _Level:
    """A command that runs, with its options, and the one above it."""

    command: Command
    above: _Level | None
    found: _Options


def run_2_27(root: Command, args: Sequence[str], run: Run, style: texts.Style) -> Call | None:
    """As `run_2_3`; `style`: the form of the help texts."""
    if "--" not in args or style in (texts.STYLE_2_27_1, texts.STYLE_2_27_2):
        _without_completion(args)
    root.help_name = root.name
    for command in root.commands:
        command.help_name = f"{root.help_name} {command.name}"
    root.commands.append(help_command())
    root.options += [HELP_OPTION, VERSION_OPTION]
    return _command_2_27(_Level(root, None, _Options([], True)), args, run, style)


def _command_2_27(level: _Level, args: Sequence[str], run: Run, style: texts.Style) -> Call | None:
    command, above = level.command, level.above
    if above is not None:
        _modelled(command)
        if command.command("help") is None:
            # one `help` for all of them: below itself it is found again
            command.commands.append(_root(level).command("help") or help_command())
        command.add_option(HELP_OPTION)
        for below in command.commands:
            below.help_name = below.help_name or f"{command.help_name} {below.name}"
    try:
        level.found, error = _read(command.options, args, run, newer=True)
        error = error or level.found.two_forms()
    except CliError as e:
        error = str(e)
    if error is not None:
        run.out.append(f"Incorrect Usage: {error}\n\n")
        if above is None:
            run.out.append(texts.app_2_27(command, run, style))
        else:
            _show_2_27(above, command.name, run, style)
        raise CliError(error)
    values, rest = level.found.values, level.found.rest
    if values["help"]:
        try:
            _help_2_27(level, run, style)
        except CliExit as e:  # outside an action it ends the program as any other error does
            raise CliError(e.message) from None
        return None
    if above is None and values["version"]:
        run.out.append(f"{command.name} version {run.version}\n")
        return None
    _check(command, values)
    chosen = command.command(rest[0]) if rest else None
    if chosen is not None:
        return _command_2_27(_Level(chosen, level, _Options([], True)), rest[1:], run, style)
    if command.action not in ("", "help"):
        return Call(command.action, values)
    _help_2_27(level, run, style)
    return None


def _root(level: _Level) -> Command:
    while level.above is not None:
        level = level.above
    return level.command


def _help_2_27(level: _Level, run: Run, style: texts.Style) -> None:
    """The action of the command ``help``, and of those that have none."""
    rest = level.found.rest
    word = rest[0] if rest else ""
    if level.command.name in ("help", "h") and level.above is not None:
        level = level.above
    if word:
        _show_2_27(level, word, run, style)
    elif level.above is None:
        run.out.append(texts.app_2_27(level.command, run, style))
    elif len(level.command.commands) == 1:
        run.out.append(texts.command_2_27(level.command, style))
    else:
        run.out.append(texts.subcommand_2_27(level.command, style))


def _show_2_27(level: _Level, word: str, run: Run, style: texts.Style) -> None:
    """The help of a command by its name. Raises `CliExit`."""
    known = level.command if level.command.commands else _root(level)
    topic = known.command(word)
    if topic is None:
        raise no_topic(word)
    _modelled(topic)
    prepared = topic.command("help") is not None
    if "help" not in topic.names and topic.commands and not prepared:
        topic.commands.append(help_command())
    topic.add_option(HELP_OPTION)
    if not topic.commands:
        run.out.append(texts.command_2_27(topic, style))
    else:
        run.out.append(texts.subcommand_2_27(topic, style, categories=prepared))


# ---- both


def _check(command: Command, values: dict[str, OptionValue]) -> None:
    problem = command.check(values) if command.check is not None else ""
    if problem:
        raise CliError(problem)


def _modelled(command: Command) -> None:
    if not command.action:
        raise NotModelled(f"the command {command.name!r}")
