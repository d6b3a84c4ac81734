"""The log of nvidia-container-runtime: whether a file takes it, and from which level on (toolkit: ``internal/runtime/logger.go``).

What stands in it is said by what is decided (`nvsim.inject.runtime`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.releases import Release
from nvsim.toolkit.runtime import RuntimeFailure, RuntimeProcess
from nvsim.toolkit.runtime_args import log_args

Line = tuple[str, str]

_LEVELS = ("panic", "fatal", "error", "warning", "info", "debug", "trace")
_NOWHERE = ("", "/dev/null")


def runtime_log(
    config: ToolkitConfig, process: RuntimeProcess, files: HostFiles, release: Release
) -> tuple[str | None, tuple[Line, ...]]:
    """The level of the log, None when no file takes it; and the lines (level, text) that it begins with. Raises `RuntimeFailure`."""
    arguments = log_args(process.argv)
    if arguments.joined and release.joined_log_flag_crashes:
        raise RuntimeFailure("runtime error: index out of range [2] with length 2", panic=True)
    debug = config.runtime.debug
    opened = debug not in _NOWHERE and not arguments.version
    directory = posixpath.dirname(posixpath.join(process.cwd, debug))
    if opened and release.debug_log_directory == "needed" and not files.exists(directory):
        what = f"error opening debug log file: open {debug}: no such file or directory"
        raise RuntimeFailure(f"failed to set up logger: {what}")
    level = "debug" if arguments.debug else _level(config.runtime.log_level)
    warning = () if level else (("warning", f"invalid log-level '{config.runtime.log_level}'"),)
    written = opened or (arguments.file not in _NOWHERE and not arguments.version)
    return (level or "info") if written else None, warning


def shown(log: Iterable[Line], level: str | None) -> tuple[Line, ...]:
    """The lines that a log of a level holds; none without a log."""
    if level is None:
        return ()
    return tuple(line for line in log if _LEVELS.index(line[0]) <= _LEVELS.index(level))


def _level(text: str) -> str | None:
    """The level that a configured name means (logrus' ``ParseLevel``)."""
    name = {"warn": "warning"}.get(text.lower(), text.lower())
    return name if name in _LEVELS else None
