"""The commands of nvidia-ctk as data, and a run of its command line (toolkit: ``cmd/nvidia-ctk/main.go``, ``cmd/nvidia-ctk/config``).

Of the commands only ``config`` is told in full; the others are known by name, for the help text of the program.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nvsim.toolkit.config import config_path
from nvsim.toolkit.ctk import help as texts
from nvsim.toolkit.ctk.cli2 import run_2_3, run_2_27
from nvsim.toolkit.ctk.cli3 import RULES, run_3
from nvsim.toolkit.ctk.model import Call, Command, Option, OptionValue, Run
from nvsim.toolkit.releases import Release

CONFIG, CONFIG_DEFAULT = "config", "config default"

_NAME = "NVIDIA Container Toolkit CLI"
_USAGE = {
    "hook": "A collection of hooks that may be injected into an OCI spec",
    "runtime": "A collection of runtime-related utilities for the NVIDIA Container Toolkit",
    "info": "Provide information about the system",
    "cdi": "Provide tools for interacting with Container Device Interface specifications",
    "system": "A collection of system-related utilities for the NVIDIA Container Toolkit",
    "config": "Interact with the NVIDIA Container Toolkit configuration",
}
_OPTIONS = {
    "debug": Option(("debug", "d"), "bool", "Enable debug-level logging", "NVIDIA_CTK_DEBUG"),
    "quiet": Option(("quiet",), "bool", "Suppress all output except for errors; overrides --debug", "NVIDIA_CTK_QUIET"),
    "config": Option(("config",), "text", "Path to the config file", "NVIDIA_CTK_CONFIG"),
}
_SET_UP_TO_1_15 = (
    "Set a config value using the pattern key=value. If value is empty, this is equivalent to specifying the same key in unset. "
    "This flag can be specified multiple times"
)
_SET = (
    "Set a config value using the pattern 'key[=value]'. Specifying only 'key' is equivalent to 'key=true' for boolean settings. "
    "This flag can be specified multiple times, but only the last value for a specific config option is applied. "
    "If the setting represents a list, the elements are colon-separated."
)
_SEPARATOR = Option(
    ("set-list-separator",),
    "text",
    "Specify a separator for lists applied using the set command.",
    default=":",
    hidden=True,
)
_IN_PLACE = Option(("in-place", "i"), "bool", "Modify the config file in-place")
_OUTPUT = Option(
    ("output", "o"),
    "text",
    "Specify the output file to write to; If not specified, the output is written to stdout",
)


def read_command_line(argv: Sequence[str], run: Run, release: Release) -> Call | None:
    """What a command line of nvidia-ctk asks for; None = nothing more than what `run` has printed.

    Raises `CliError`, `CliExit` and, for what is not predicted, `NotModelled`.
    """
    root = nvidia_ctk(release, run.environ)
    args = argv[1:]
    if release.ctk_library == "2.3":
        return run_2_3(root, args, run)
    if release.ctk_library in RULES:
        return run_3(root, args, run, RULES[release.ctk_library])
    return run_2_27(root, args, run, _STYLES[release.ctk_library])


_STYLES = {"2.27.1": texts.STYLE_2_27_1, "2.27.2": texts.STYLE_2_27_2, "2.27.4": texts.STYLE_2_27_4}


def nvidia_ctk(release: Release, environ: Mapping[str, str]) -> Command:
    """The program: its options, and its commands by name."""
    commands = [_config(release, environ) if n == "config" else Command(n, _USAGE[n]) for n in release.ctk_commands]
    options = [_OPTIONS[name] for name in release.ctk_options]
    return Command(_NAME, "Tools to configure the NVIDIA Container Toolkit", (), options, commands, action="help")


def _config(release: Release, environ: Mapping[str, str]) -> Command:
    separated = release.config_lists != "comma"
    options = [
        Option(
            ("config-file", "config", "c"),
            "text",
            "Specify the config file to modify.",
            default=config_path(environ, release),
        ),
        Option(("set",), "list", _SET if separated else _SET_UP_TO_1_15),
        *([_SEPARATOR] if separated else []),
        _IN_PLACE,
        _OUTPUT,
    ]
    default = Command(
        "default",
        "Generate the default NVIDIA Container Toolkit configuration file",
        ("create-default", "generate-default"),
        [_OUTPUT],
        action=CONFIG_DEFAULT,
    )
    return Command("config", _USAGE["config"], (), options, [default], action=CONFIG, check=_separator_problem)


def _separator_problem(values: Mapping[str, OptionValue]) -> str:
    return "set-list-separator must be set" if values.get("set-list-separator") == "" else ""


def program_name(argv: Sequence[str]) -> str:
    """The base name of ``argv[0]``, as Go's ``filepath.Base`` makes it."""
    return posixpath.basename(argv[0].rstrip("/")) or ("/" if argv[0] else ".")
