"""What nvidia-container-runtime reads out of its arguments before it hands them on (toolkit: ``internal/oci/args.go``, ``internal/runtime``).

It has no option parser: it looks for a few flags anywhere, whatever the low-level runtime makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import frozen
from nvsim.toolkit.go_strings import join

SPEC_FILE = "config.json"


class BundleError(ValueError):
    """The bundle flag has no value; the argument is the real program's text."""


@frozen
class LogArgs:
    """The flags about logging: file ("" = none), format, debug level; `version`: the version is asked for, and nothing is logged.

    `joined`: a flag stands in one argument with its value.
    """

    file: str = ""
    format: str = ""
    debug: bool = False
    version: bool = False
    joined: bool = False


def is_create(argv: Sequence[str]) -> bool:
    """Whether any argument is ``create`` that is not the value of a bundle flag; ``-b -b create`` is one."""
    value = False
    for argument in argv:
        if argument == "create" and not value:
            return True
        value = not value and _is_bundle_flag(argument)
    return False


def bundle_of(argv: Sequence[str]) -> str:
    """The bundle directory; the last flag wins, "" without one. Raises `BundleError`."""
    bundle = ""
    i = 0
    while i < len(argv):
        name, equals, value = argv[i].partition("=")
        i += 1
        if not _is_bundle_flag(name):
            continue
        if not equals:
            if i >= len(argv):
                raise BundleError("bundle option requires an argument")
            value = argv[i]
            i += 1
        bundle = value
    return bundle


def spec_path(bundle: str) -> str:
    """The spec file of a bundle; a relative one is below the working directory."""
    return join(bundle, SPEC_FILE)


def _is_bundle_flag(text: str) -> bool:
    return text.startswith("-") and text.lstrip("-") in ("b", "bundle")


def log_args(argv: Sequence[str]) -> LogArgs:
    """The flags about logging, wherever they stand; the last of each counts."""
    values = {"log": "", "log-format": ""}
    seen: set[str] = set()
    joined = False
    i = 0
    while i < len(argv) and len(seen) < 4:
        flag, equals, value = argv[i].partition("=")
        name = flag.lstrip("-")
        i += 1
        if name == flag:
            continue
        if name in ("version", "debug"):
            seen.add(name)
        elif name in values and (equals or i < len(argv)):
            if equals:
                joined = True
            else:
                value = argv[i]
                i += 1
            values[name] = value
            seen.add(name)
    return LogArgs(values["log"], values["log-format"], "debug" in seen, "version" in seen, joined)


def asks_version(argv: Sequence[str]) -> bool:
    """Whether the version is to be printed: any argument that looks like the flag, even where it is the value of another."""
    return any(a.startswith("-") and a.partition("=")[0].lstrip("-") == "version" for a in argv)
