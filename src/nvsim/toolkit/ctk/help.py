"""The help texts of urfave/cli (``template.go``, ``docs.go``, ``flag.go``), with Go's ``text/tabwriter`` for their columns."""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import frozen
from nvsim.toolkit.ctk.model import Command, Option, OptionValue, Run
from nvsim.toolkit.go_text import go_quote


@frozen
class Style:
    """The form of help texts. `app_end`, `command_end`: what stands at the end of a usage line; `args`: what stands before arguments.

    `bool_defaults`: the default of a switch is shown. `typed`: a value is called by its type. `persistent`: help texts with commands
    show the program's options too.
    """

    app_end: str = ""
    command_end: str = ""
    args: str = " "
    bool_defaults: bool = True
    typed: bool = False
    persistent: bool = False


STYLE_2_27_1 = Style(app_end=" ", command_end=" [arguments...]")
STYLE_2_27_2 = Style(app_end=" ", args="")
STYLE_2_27_4 = Style()
STYLE_3_4 = Style(typed=True)
STYLE_3_6 = Style(typed=True, bool_defaults=False)
STYLE_3_10 = Style(typed=True, bool_defaults=False, persistent=True)
_STYLE_2_3 = Style()


# ---- 2.3


def app_2_3(app: Command, run: Run, shown: Mapping[str, OptionValue]) -> str:
    """The help of a program; `shown`: the values of options from the environment, which it gives as defaults."""
    version = f"\n\nVERSION:\n   {run.version}" if any(o.key == "version" for o in app.options) else ""
    options = "\n   ".join(_option_2_3(o, shown.get(o.key)) for o in app.options if not o.hidden)
    usage = f"{app.help_name} [global options] command [command options] [arguments...]"
    return _columns(
        f"NAME:\n   {app.name} - {app.usage}\n\nUSAGE:\n   {usage}{version}"
        f"\n\nCOMMANDS:{_rows_2_3(app)}\n\nGLOBAL OPTIONS:\n   {options}\n"
    )


def subcommand_2_3(app: Command, shown: Mapping[str, OptionValue] | None = None) -> str:
    """The help of a command that has commands below it."""
    named, options = _options_2_3(app, shown or {})
    usage = f"{app.help_name} command{named} [arguments...]"
    return _columns(
        f"NAME:\n   {app.help_name} - {app.usage}\n\nUSAGE:\n   {usage}\n\nCOMMANDS:{_rows_2_3(app)}{options}\n"
    )


def command_2_3(command: Command) -> str:
    """The help of a command."""
    named, options = _options_2_3(command, {})
    usage = f"{command.help_name}{named} {command.args_usage or '[arguments...]'}"
    return _columns(f"NAME:\n   {command.help_name} - {command.usage}\n\nUSAGE:\n   {usage}{options}\n")


def _rows_2_3(command: Command) -> str:
    return "".join(f"\n   {', '.join(c.names)}\t{c.usage}" for c in command.commands)


def _options_2_3(command: Command, values: Mapping[str, OptionValue]) -> tuple[str, str]:
    """The words for options in the usage line, and the list of them."""
    shown = [o for o in command.options if not o.hidden]
    if not shown:
        return "", ""
    return " [command options]", "\n\nOPTIONS:\n   " + "".join(
        f"{_option_2_3(o, values.get(o.key))}\n   " for o in shown
    )


def _option_2_3(option: Option, value: OptionValue | None) -> str:
    usage = option.usage
    if option.kind == "bool":
        usage += f" (default: {'true' if value else 'false'})"
    elif option.kind == "text" and option.default:
        usage += f" (default: {go_quote(option.default)})"
    return f"{_names(option, 'value')}\t{usage}{_environment(option)}"


# ---- 2.27


def app_2_27(app: Command, run: Run, style: Style) -> str:
    """The help of the program."""
    usage = f"{app.help_name} [global options] command [command options]{style.app_end}"
    return _columns(
        f"NAME:\n   {app.help_name} - {app.usage}\n\nUSAGE:\n   {usage}\n\nVERSION:\n   {run.version}"
        f"\n\nCOMMANDS:{_rows(app.commands)}\n\nGLOBAL OPTIONS:{_options(app.options, style)}\n"
    )


def command_2_27(command: Command, style: Style) -> str:
    """The help of a command."""
    args = f"{style.args}{command.args_usage}" if command.args_usage else style.command_end
    if command.args_usage and style == STYLE_2_27_1:
        args = f" {command.args_usage}"
    usage = f"{command.help_name} [command options]{args}"
    return _columns(
        f"NAME:\n   {command.help_name} - {command.usage}\n\nUSAGE:\n   {usage}"
        f"\n\nOPTIONS:{_options(command.options, style)}\n"
    )


def subcommand_2_27(command: Command, style: Style, *, categories: bool = True) -> str:
    """The help of a command that has commands below it. Without `categories` the library stumbles over them and ends there."""
    args = f" {command.args_usage}" if command.args_usage else style.app_end
    head = f"NAME:\n   {command.help_name} - {command.usage}\n\nUSAGE:\n   {command.help_name} command [command options]{args}\n\n"
    if not categories:
        return _columns(head)
    return _columns(f"{head}COMMANDS:{_rows(command.commands)}\n\nOPTIONS:{_options(command.options, style)}\n")


# ---- 3


def root_3(root: Command, run: Run, style: Style) -> str:
    """The help of the program."""
    usage = f"{root.name} [global options] [command [command options]]"
    return _columns(
        f"NAME:\n   {root.name} - {root.usage}\n\nUSAGE:\n   {usage}\n\nVERSION:\n   {run.version}"
        f"\n\nCOMMANDS:{_rows([c for c in root.commands if not c.hidden])}\n\nGLOBAL OPTIONS:{_options(root.options, style)}\n"
    )


def command_3(command: Command, path: str, above: list[Option], style: Style) -> str:
    """The help of a command, named by its `path`; `above`: the program's options that it knows."""
    options = _options(command.options, style)
    usage = path + (" [options]" if options else "") + (" [command [command options]]" if _visible(command) else "")
    usage += f" {command.args_usage}" if command.args_usage else ""
    told = f"\n\nOPTIONS:{options}" if options else ""
    return _columns(
        f"NAME:\n   {path} - {command.usage}\n\nUSAGE:\n   {usage}{told}\n\nGLOBAL OPTIONS:{_options(above, style)}\n"
    )


def subcommand_3(command: Command, path: str, above: list[Option], style: Style) -> str:
    """The help of a command that has commands below it."""
    commands, options = _visible(command), _options(command.options, style)
    usage = path + (" [command [command options]]" if commands else "")
    usage += f" {command.args_usage}" if command.args_usage else ""
    told = f"\n\nCOMMANDS:{_rows(commands)}" if commands else ""
    told += f"\n\nOPTIONS:{options}" if options else ""
    told += f"\n\nGLOBAL OPTIONS:{_options(above, style)}" if style.persistent else ""
    return _columns(f"NAME:\n   {path} - {command.usage}\n\nUSAGE:\n   {usage}{told}\n")


def _visible(command: Command) -> list[Command]:
    return [c for c in command.commands if not c.hidden and c.name != "help"]


# ---- parts


def _rows(commands: list[Command]) -> str:
    """Commands in two columns, two blanks apart."""
    names = [", ".join(c.names) for c in commands]
    width = max(map(len, names), default=0) + 2
    return "".join(f"\n   {n:{width}}{c.usage}" for n, c in zip(names, commands, strict=True))


def _options(options: list[Option], style: Style) -> str:
    return "".join(f"\n   {_option(o, style)}" for o in options if not o.hidden)


def _option(option: Option, style: Style) -> str:
    names = _names(option, "string" if style.typed else "value")
    names += f" [ {names} ]" if option.kind == "list" else ""
    usage = option.usage
    if option.kind == "bool" and style.bool_defaults and option.show_default:
        usage += " (default: false)"
    elif option.kind == "text" and option.default:
        usage += f" (default: {go_quote(option.default)})"
    return f"{names}\t{usage}{_environment(option)}"


def _names(option: Option, placeholder: str) -> str:
    value = "" if option.kind == "bool" else f" {placeholder}"
    return ", ".join(f"{'-' if len(n) == 1 else '--'}{n}{value}" for n in option.names)


def _environment(option: Option) -> str:
    return f" [${option.env}]" if option.env else ""


def _columns(text: str) -> str:
    """Tabs as ``text/tabwriter`` sets them: neighbouring lines with a tab share a column, two blanks wider than its widest cell."""
    out: list[str] = []
    block: list[tuple[str, str]] = []
    for line in [*text.split("\n"), ""]:
        cell, tab, rest = line.partition("\t")
        if tab:
            block.append((cell, rest))
            continue
        width = max((len(c) for c, _ in block), default=0) + 2
        out += [f"{c:{width}}{r}" for c, r in block]
        block = []
        out.append(line)
    return "\n".join(out[:-1])
