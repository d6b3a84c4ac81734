"""ld.so.conf: the directories that it names, in order, each with the file and line that says so (ldconfig(8), glibc ``elf/ldconfig.c``)."""

from __future__ import annotations

from attrs import frozen

from nvsim.rootfs.glob import glob, has_magic
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import parent_of

_MAX_INCLUDES = 64  # nesting; a file that includes itself ends here


@frozen(slots=True)
class ConfLine:
    """One directory of the configuration: `path` as written, `source` = "FILE:LINE"."""

    path: str
    source: str


@frozen(slots=True)
class Conf:
    """The directories in order, and the warnings that reading them gives (without the program's name)."""

    lines: tuple[ConfLine, ...] = ()
    warnings: tuple[str, ...] = ()


def read_conf(
    resolver: Resolver, path: str, *, hwcap_warning: bool, type_suffix: bool, missing_warning: bool = False
) -> Conf:
    """Read `path` and what it includes. `hwcap_warning`: from 2.33 on; `type_suffix`: ``=libc6`` is accepted, up to 2.36.

    `missing_warning`: it is said when `path` does not exist.
    """
    if missing_warning and not isinstance(resolver.resolve(path), Resolved):
        text = "No such file or directory"
        return Conf((), (f"Warning: ignoring configuration file that cannot be opened: {path}: {text}",))
    lines: list[ConfLine] = []
    warnings: list[str] = []
    _read(resolver, path, lines, warnings, hwcap_warning, type_suffix, 0)
    return Conf(tuple(lines), tuple(warnings))


def _read(
    resolver: Resolver,
    path: str,
    lines: list[ConfLine],
    warnings: list[str],
    hwcap_warning: bool,
    type_suffix: bool,
    depth: int,
) -> None:
    found = resolver.resolve(path)
    if not isinstance(found, Resolved) or not isinstance(found.node, File):
        if not isinstance(found, Resolved) and found.errno != "ENOENT":
            warnings.append(f"Warning: ignoring configuration file that cannot be opened: {path}: {found.errno}")
        return
    for number, raw in enumerate((found.node.facts.text or "").split("\n"), 1):
        line = raw.partition("#")[0].strip(" \t\r\f\v")
        if not line:
            continue
        if line.startswith("include") and line[7:8] in (" ", "\t"):
            if depth < _MAX_INCLUDES:
                for pattern in line[8:].split():
                    for included in _included(resolver, path, pattern):
                        _read(resolver, included, lines, warnings, hwcap_warning, type_suffix, depth + 1)
            continue
        if line.startswith("hwcap") and line[5:6] in (" ", "\t"):
            if hwcap_warning:
                warnings.append(f"{path}:{number}: hwcap directive ignored")
            continue
        if type_suffix and "=" in line:
            line = line.partition("=")[0].rstrip(" \t")
        lines.append(ConfLine(line, f"{path}:{number}"))


def _included(resolver: Resolver, path: str, pattern: str) -> tuple[str, ...]:
    if not pattern.startswith("/"):
        pattern = f"{parent_of(path).rstrip('/')}/{pattern}"
    return glob(resolver, pattern) if has_magic(pattern) else (pattern,)
