"""The command line of nvidia-container-runtime-hook, as Go's ``flag`` package reads it."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import evolve, frozen
from nvsim.toolkit.go_strings import parse_bool
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release

_FLAGS = """\
  -config string
    \tconfiguration file
  -debug
    \tenable debug output
  -version
    \tenable version output

Commands:
  prestart
        run the prestart hook
  poststart
        no-op
  poststop
        no-op
"""


@frozen
class HookFlags:
    """The flags, and what stands after them. `error`: what is printed before the usage text ("" = the usage alone was asked for)."""

    config: str = ""
    debug: bool = False
    version: bool = False
    arguments: tuple[str, ...] = ()
    error: str | None = None


def usage(argv0: str, release: Release) -> str:
    """The usage text."""
    name = argv0 if release.usage_names_argv0 else "nvidia-container-runtime-hook"
    return f"Usage of {name}:\n{_FLAGS}"


def read_flags(argv: Sequence[str]) -> HookFlags:
    """The flags of an argument list (without the program's name)."""
    flags = HookFlags()
    rest = list(argv)
    while rest:
        text = rest[0]
        if len(text) < 2 or not text.startswith("-"):
            break
        rest.pop(0)
        if text == "--":
            break
        name = text[2:] if text.startswith("--") else text[1:]
        if not name or name[0] in "-=":
            return evolve(flags, error=f"bad flag syntax: {text}\n")
        name, equals, value = name.partition("=")
        if name == "config":
            if not equals:
                if not rest:
                    return evolve(flags, error="flag needs an argument: -config\n")
                value = rest.pop(0)
            flags = evolve(flags, config=value)
        elif name in ("debug", "version"):
            if equals and parse_bool(value) is None:
                problem = f"invalid boolean value {go_quote(value)} for -{name}: parse error"
                return evolve(flags, error=f"{problem}\n")
            on = not equals or parse_bool(value) is True
            flags = evolve(flags, debug=on) if name == "debug" else evolve(flags, version=on)
        elif name in ("h", "help"):
            return evolve(flags, error="")
        else:
            return evolve(flags, error=f"flag provided but not defined: -{name}\n")
    return evolve(flags, arguments=tuple(rest))
