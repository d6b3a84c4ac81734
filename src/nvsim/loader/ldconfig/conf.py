"""ld.so.conf: the directories that it names, in order, each with the file and line that says so (ldconfig(8), glibc ``elf/ldconfig.c``)."""

from __future__ import annotations

import re

from nvsim.frozen import frozen
from nvsim.rootfs.glob import glob, has_magic
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import PathError, Resolved, Resolver

_MAX_INCLUDES = 64  # nesting; the real program ends by running out of memory or descriptors
_SPACE = " \t\n\v\f\r"
_TYPES = {"libc4": 0, "libc5": 2, "libc6": 3, "glibc2": 3}


@frozen
class ConfLine:
    """One directory of the configuration: `path` as written, `file` and `line` where, `type` of ``=libc6`` (3) and the like."""

    path: str
    file: str
    line: int
    type: int | None = None

    @property
    def source(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class HwcapLine:
    """A line ``hwcap N NAME``: `text` is what stands behind the word."""

    text: str
    file: str
    line: int


@frozen
class ConfWarning:
    """A message of the reader (without the program's name); `errno` is the name of the error that goes with it."""

    text: str
    errno: str | None = None


Item = ConfLine | HwcapLine | ConfWarning


def read_conf(
    resolver: Resolver, path: str, *, type_suffix: bool = False, missing_warning: bool = False, cwd: str = "/"
) -> tuple[Item, ...]:
    """What `path` and the files that it includes say, in order.

    `type_suffix`: ``=libc6`` is taken off a directory (up to 2.36). `missing_warning`: a file that is not there is worth a warning.
    Relative names count from `cwd`.
    """
    out: list[Item] = []
    _read(resolver, path, out, type_suffix, missing_warning, cwd, 0)
    return tuple(out)


def _read(
    resolver: Resolver, path: str, out: list[Item], type_suffix: bool, missing_warning: bool, cwd: str, depth: int
) -> None:
    found = resolver.resolve(path, cwd=cwd)
    if isinstance(found, PathError):
        if missing_warning or found.errno != "ENOENT":
            out.append(ConfWarning(f"Warning: ignoring configuration file that cannot be opened: {path}", found.errno))
        return
    if not isinstance(found.node, File) or depth >= _MAX_INCLUDES:
        return
    for number, raw in enumerate((found.node.facts.text or "").split("\n"), 1):
        line = raw.partition("\0")[0].partition("#")[0].lstrip(_SPACE)
        if not line:
            continue
        if line.startswith("include") and line[7:8] in (" ", "\t") and line[7:8]:
            for pattern in re.split("[ \t]", line[8:]):
                for included in _included(resolver, path, pattern, cwd) if pattern else ():
                    _read(resolver, included, out, type_suffix, missing_warning, cwd, depth + 1)
        elif line[:5].lower() == "hwcap" and line[5:6] in (" ", "\t") and line[5:6]:
            out.append(HwcapLine(line[6:], path, number))
        else:
            _directory(line, path, number, out, type_suffix)


def _directory(line: str, file: str, number: int, out: list[Item], type_suffix: bool) -> None:
    kind: int | None = None
    if type_suffix and "=" in line:
        line, _, name = line.partition("=")
        kind = _TYPES.get(name)
        if kind is None:
            out.append(ConfWarning(f"{name} is not a known library type"))
    path = line.rstrip(_SPACE).rstrip("/")
    if path:
        out.append(ConfLine(path, file, number, kind))


def _included(resolver: Resolver, path: str, pattern: str, cwd: str) -> tuple[str, ...]:
    """glob(3) of a pattern, which counts from the directory of the file that includes it."""
    if not pattern.startswith("/"):
        directory = path.rpartition("/")[0] if "/" in path else cwd
        pattern = f"{directory}/{pattern}"
    if has_magic(pattern):
        return glob(resolver, pattern)
    return (pattern,) if isinstance(resolver.resolve(pattern, follow=False), Resolved) else ()
