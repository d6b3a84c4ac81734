"""What shells, ``env``-like programs and Python say when execve fails for them, and with which status: data tables by caller and version.

Measured with bash 5.1, 5.2, 5.3, dash 0.5.11 and 0.5.12, busybox 1.30, 1.35, 1.37 and 1.38, coreutils 9.1, util-linux 2.38 and Python 3.11
in the C locale, as images without LANG have it; older ones, tini, dumb-init, su-exec and sudo are as their sources say.
What engines and Kubernetes show is `nvsim.scenario.messages`; which program a command line really means `nvsim.scenario.messages_wrappers`.
"""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Mapping

from nvsim.frozen import evolve, frozen
from nvsim.loader.outcome import ExecStep
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved, Resolver

NEWEST = (99,)


@frozen
class Refusal:
    """An execve that failed: `name` as typed, `path` as found ("" = not in PATH), `errno` its name.

    `situation`: "not-in-path", "missing" (no such file), "interpreter" (PT_INTERP is missing), "script-interpreter", "directory", "binary"
    (ENOEXEC of something that is no text), "text" (ENOEXEC of a text without ``#!``: shells run it themselves) or "other".
    `interpreter` is the missing file's name.
    """

    name: str
    path: str
    errno: str
    situation: str
    interpreter: str = ""

    @property
    def strerror(self) -> str:
        """The C library's text of `errno`."""
        number = getattr(errnos, self.errno, None)
        return os.strerror(number) if isinstance(number, int) else self.errno


@frozen
class Shown:
    """What the user sees: `text` without the newline, and the caller's exit `status`; None = not known."""

    text: str | None
    status: int | None


@frozen
class _Say:
    """A template ({name}, {path}, {strerror}, {interpreter}, {argv0}) and a status; template None = nobody can tell."""

    template: str | None
    status: int | None = None


@frozen
class _Row:
    """How a caller speaks from the version `since` on: by situation, by errno, else `other`. `prefix` begins every text but a whole one,
    which starts with "="."""

    since: tuple[int, ...]
    prefix: str
    situations: Mapping[str, _Say]
    other: _Say
    errnos: Mapping[str, _Say] = {}


_UNTOLD = _Say(None)
_NOT_FOUND = "{path}: No such file or directory"
_BAD_INTERPRETER = _Say("={argv0}: {path}: {shown_interpreter}: bad interpreter: No such file or directory", 126)
_REQUIRED = _Say("{path}: cannot execute: required file not found", 127)


def _bash(since: tuple[int, ...], line: str, interpreter: _Say, script: _Say) -> _Row:
    situations = {
        "not-in-path": _Say("{name}: command not found", 127),
        "missing": _Say(_NOT_FOUND, 127),
        "interpreter": interpreter,
        "script-interpreter": script,
        "directory": _Say("{path}: Is a directory", 126),
        "binary": _Say("{path}: cannot execute binary file: Exec format error", 126),
        "text": _UNTOLD,
    }
    return _Row(since, "{argv0}: " + line, situations, _Say("{path}: {strerror}", 126))


def _ash(since: tuple[int, ...], prefix: str, binary: _Say) -> _Row:
    not_found = _Say("{name}: not found", 127)
    situations = {
        **dict.fromkeys(("not-in-path", "missing", "interpreter", "script-interpreter"), not_found),
        "binary": binary,
        "text": _UNTOLD,
    }
    by_errno = {"ENOTDIR": not_found, "ELOOP": _Say("{name}: {strerror}", 127), "ENOENT": not_found}
    return _Row(since, prefix, situations, _Say("{name}: {strerror}", 126), by_errno)


def _execvp(prefix: str, text: str, missing: int = 127, other: int = 126) -> tuple[_Row, ...]:
    """A program that calls execvp, which hands a file of an unknown format to /bin/sh."""
    by_errno = {"ENOENT": _Say(text, missing), "ENOEXEC": _UNTOLD}
    return (_Row((0,), prefix, {}, _Say(text, other), by_errno),)


_NO_ENTRY = _Say(_NOT_FOUND, 127)
_QUOTED = "'{name}': {strerror}"
_RUN = "failed to run command '{name}': {strerror}"
_EXECUTE = "failed to execute {name}: {strerror}"
_BUSYBOX = "can't execute '{name}': {strerror}"
_UTIL_LINUX = ("setsid", "setpriv", "ionice", "taskset", "chrt", "unshare", "prlimit", "setarch", "linux64", "linux32")

TABLES: Mapping[str, tuple[_Row, ...]] = {
    "bash": (
        _bash((0,), "", _NO_ENTRY, _BAD_INTERPRETER),
        _bash((5, 1), "line 1: ", _NO_ENTRY, _BAD_INTERPRETER),
        _bash((5, 2), "line 1: ", _REQUIRED, _REQUIRED),
        _bash((5, 3), "line 1: ", _REQUIRED, _BAD_INTERPRETER),
    ),
    "dash": (_ash((0,), "{argv0}: 1: ", _Say("{name}: {strerror}", 126)),),
    "busybox sh": (
        _ash((0,), "{argv0}: ", _UNTOLD),
        _ash((1, 38), "{argv0}: line 0: ", _UNTOLD),
    ),
    # with the word exec in front of the command
    "bash exec": (
        _Row(
            (0,),
            "{argv0}: line 1: ",
            {
                "not-in-path": _Say("exec: {name}: not found", 127),
                "missing": _NO_ENTRY,
                **dict.fromkeys(("interpreter", "script-interpreter"), _REQUIRED),
            },
            _Say(None, 126),
        ),
    ),
    "dash exec": (_ash((0,), "{argv0}: 1: exec: ", _Say("{name}: {strerror}", 126)),),
    "busybox sh exec": (_ash((0,), "{argv0}: exec: line 0: ", _UNTOLD),),
    "env": (
        _Row(
            (0,),
            "env: ",
            {},
            _Say("{name}: {strerror}", 126),
            {"ENOENT": _Say("{name}: {strerror}", 127), "ENOEXEC": _UNTOLD},
        ),
        evolve(_execvp("env: ", _QUOTED)[0], since=(8, 25)),
    ),
    "nice": _execvp("nice: ", _QUOTED),
    **{name: _execvp(f"{name}: ", _RUN) for name in ("timeout", "nohup", "stdbuf", "chroot")},
    **{name: _execvp(f"{name}: ", _EXECUTE) for name in _UTIL_LINUX},
    "xargs": _execvp("xargs: ", "{name}: {strerror}"),
    **{
        f"busybox {name}": _execvp(f"{name}: ", _BUSYBOX)
        for name in ("env", "timeout", "nice", "nohup", "setsid", "ionice", "chrt")
    },
    "tini": (
        _Row(
            (0,),
            "[FATAL tini (7)] exec ",
            {},
            _Say("{name} failed: {strerror}", 1),
            {
                "ENOENT": _Say("{name} failed: {strerror}", 127),
                "EACCES": _Say("{name} failed: {strerror}", 126),
                "ENOEXEC": _UNTOLD,
            },
        ),
    ),
    "dumb-init": _execvp("[dumb-init] ", "{name}: {strerror}", 2, 2),
    "su-exec": _execvp("su-exec: ", "{name}: {strerror}", 1, 1),
    "sudo": (
        _Row(
            (0,),
            "sudo: ",
            {"not-in-path": _Say("{name}: command not found", 1)},
            _Say("unable to execute {path}: {strerror}", 1),
        ),
    ),
    "python": (
        _Row(
            (3,),
            "",
            {},
            _Say("OSError: [Errno {number}] {strerror}: {repr}", 1),
            {
                "ENOENT": _Say("FileNotFoundError: [Errno 2] {strerror}: {repr}", 1),
                "EACCES": _Say("PermissionError: [Errno 13] {strerror}: {repr}", 1),
                "ENOTDIR": _Say("NotADirectoryError: [Errno 20] {strerror}: {repr}", 1),
            },
        ),
    ),
}
# Releases of bash by os-release's ID and VERSION_ID (a prefix), for images that show no version of it.
_BASH_RELEASES: tuple[tuple[str, str, str], ...] = (
    ("debian", "10", "5.0"),
    ("debian", "11", "5.1"),
    ("debian", "12", "5.2"),
    ("debian", "13", "5.2"),
    ("ubuntu", "18.04", "4.4"),
    ("ubuntu", "20.04", "5.0"),
    ("ubuntu", "22.04", "5.1"),
    ("ubuntu", "24.04", "5.2"),
    ("centos", "7", "4.2"),
    ("rhel", "7", "4.2"),
    ("rhel", "8", "4.4"),
    ("rhel", "9", "5.1"),
    ("rhel", "10", "5.2"),
    ("rocky", "8", "4.4"),
    ("rocky", "9", "5.1"),
    ("almalinux", "8", "4.4"),
    ("almalinux", "9", "5.1"),
    ("amzn", "2023", "5.2"),
    ("amzn", "2", "4.2"),
)
_SHELLS = {"bash": "bash", "dash": "dash", "busybox": "busybox sh", "ash": "busybox sh"}


def shown_by(caller: str, version: str, refusal: Refusal, argv0: str | None = None) -> Shown:
    """What `caller` ("bash", "dash", "busybox sh", "env", "python", ...) prints for a failed execve, and its status.

    A shell's ``exec CMD`` is a caller of its own: "bash exec". `version` is "5.2" or the like, "" = the newest known. `argv0` is the name by which a shell was called. A caller without a table, and
    what depends on more than the failure (a shell that reads a binary as its script), gives `Shown(None, None)`.
    """
    rows = TABLES.get(caller)
    if rows is None:
        return Shown(None, None)
    number = tuple(int(p) for p in version.split(".") if p.isdigit()) if version else NEWEST
    row = [r for r in rows if number >= r.since or r is rows[0]][-1]
    say = row.situations.get(refusal.situation) or row.errnos.get(refusal.errno) or row.other
    if say.template is None:
        return Shown(None, say.status)
    words = {
        "argv0": argv0 or caller.removesuffix(" exec").rpartition(" ")[2],
        "name": refusal.name,
        "path": refusal.path or refusal.name,
        "strerror": refusal.strerror,
        "number": getattr(errnos, refusal.errno, 0),
        "repr": repr(refusal.name),
        "shown_interpreter": refusal.interpreter.replace("\r", "^M"),
    }
    if say.template.startswith("="):
        return Shown(say.template[1:].format_map(words), say.status)
    return Shown((row.prefix + say.template).format_map(words), say.status)


def refusal_of(resolver: Resolver, name: str, steps: tuple[ExecStep, ...], errno: str) -> Refusal:
    """The failure of an execve from the files that it looked at (`nvsim.loader.execve`); no steps = the name is not in PATH."""
    if not steps:
        return Refusal(name, "" if "/" not in name else name, errno, "missing" if "/" in name else "not-in-path")
    first, last = steps[0], steps[-1]
    situation, interpreter = "other", ""
    if errno == "ENOENT":
        situation = {"interpreter": "interpreter", "script-interpreter": "script-interpreter"}.get(last.role, "missing")
        if len(steps) > 1 and last.role == "interpreter" and any(s.role == "script-interpreter" for s in steps):
            situation = "script-interpreter"
        interpreter = next((s.path for s in steps if s.role == "script-interpreter"), last.path)
    elif errno == "EACCES" and len(steps) == 1:
        node = resolver.tree.node(first.file) if first.file else None
        situation = "directory" if isinstance(node, Directory) else "other"
    elif errno == "ENOEXEC":
        node = resolver.tree.node(last.file) if last.file else None
        text = isinstance(node, File) and node.facts.elf is None and (node.facts.text is not None or not node.size)
        situation = "text" if text else "binary"
    return Refusal(name, first.path, errno, situation, interpreter)


def caller_of(resolver: Resolver, path: str) -> tuple[str, str, str | None]:
    """Which caller the program at `path` is (a shell by the file that its name leads to), its version ("" = newest), an assumption."""
    found = resolver.resolve(path)
    base = path.rpartition("/")[2]
    real = found.path.rpartition("/")[2] if isinstance(found, Resolved) else base
    box = resolver.resolve("/bin/busybox")
    if isinstance(found, Resolved) and isinstance(box, Resolved) and isinstance(found.node, File):
        real = "busybox" if isinstance(box.node, File) and box.node.inode == found.node.inode else real
    if real == "busybox":
        return ("busybox sh" if base in ("sh", "ash", "busybox") else f"busybox {base}"), "", None
    if real in _SHELLS or base in _SHELLS:
        shell = _SHELLS.get(real) or _SHELLS[base]
        if shell != "bash":
            return shell, "", None
        version = _bash_release(resolver)
        told = version or "its newest known version"
        return shell, version, f"{path} is taken for bash {told}"
    if real.startswith("python") or base.startswith("python"):
        return "python", "", None
    return base, "", None


def _bash_release(resolver: Resolver) -> str:
    for place in ("/etc/os-release", "/usr/lib/os-release"):
        found = resolver.resolve(place)
        if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.text:
            values = dict(line.partition("=")[::2] for line in found.node.facts.text.splitlines() if "=" in line)
            name, version = values.get("ID", "").strip("\"'"), values.get("VERSION_ID", "").strip("\"'")
            for row_name, row_version, bash in _BASH_RELEASES:
                if name == row_name and (version == row_version or version.startswith(f"{row_version}.")):
                    return bash
    return ""
