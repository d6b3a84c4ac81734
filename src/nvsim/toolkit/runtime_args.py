"""What nvidia-container-runtime reads out of its arguments before it hands them on (toolkit: ``internal/oci/args.go``, ``internal/runtime``).

It has no option parser: it looks for a few flags anywhere, whatever the low-level runtime makes of them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from attrs import frozen

SPEC_FILE = "config.json"


class BundleError(ValueError):
    """The bundle flag has no value; the argument is the real program's text."""


@frozen(slots=True)
class LogArgs:
    """The flags about logging: file ("" = none), format, debug level; `version`: the version is asked for."""

    file: str = ""
    format: str = ""
    debug: bool = False
    version: bool = False


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
    return clean_path(posixpath.join(bundle, SPEC_FILE)) if bundle else SPEC_FILE


def clean_path(path: str) -> str:
    """Go's ``filepath.Clean``."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def _is_bundle_flag(text: str) -> bool:
    return text.startswith("-") and text.lstrip("-") in ("b", "bundle")


def log_args(argv: Sequence[str]) -> LogArgs:
    """The flags about logging, wherever they stand; the last of each counts."""
    values = {"log": "", "log-format": ""}
    seen: set[str] = set()
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
            if not equals:
                value = argv[i]
                i += 1
            values[name] = value
            seen.add(name)
    return LogArgs(values["log"], values["log-format"], "debug" in seen, "version" in seen)
