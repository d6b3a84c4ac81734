"""Tegra's CSV mount specifications: reading and filtering them (toolkit: ``internal/platform-support/tegra/csv``)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence

from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import go_match
from nvsim.inject.log import ToolLog
from nvsim.rootfs.node import Directory
from nvsim.rootfs.resolve import PathError, Resolved
from nvsim.rootfs.tree import join

DEFAULT_DIR = "/etc/nvidia-container-runtime/host-files-for-container.d"
BASE_FILES = ("devices.csv", "drivers.csv", "l4t.csv")
_TYPES = ("dev", "dir", "lib", "sym")

MountSpecs = Mapping[str, tuple[str, ...]]


def default_files() -> tuple[str, ...]:
    """The files that a generator reads unless told otherwise."""
    return tuple(join(DEFAULT_DIR, name) for name in BASE_FILES)


def csv_files(host: CdiHost, directory: str, base_only: bool) -> tuple[str, ...]:
    """The CSV files of a directory, sorted by name; `base_only` leaves out all but the three base files."""
    found = host.resolver.resolve(directory)
    if not isinstance(found, Resolved) or not isinstance(found.node, Directory):
        return ()
    out = []
    for name in host.tree.names(found.path):
        inner = host.tree.node(join(found.path, name))
        stem, ext = posixpath.splitext(name)
        wanted = ext.lower() == ".csv" and stem and not isinstance(inner, Directory)
        if wanted and (not base_only or name in BASE_FILES):
            out.append(join(directory.rstrip("/") or "/", name))
    return tuple(out)


def read_specs(host: CdiHost, log: ToolLog, files: Iterable[str]) -> MountSpecs:
    """Type -> paths, in file order. A file that cannot be read or holds no valid line gives a warning."""
    out: dict[str, tuple[str, ...]] = {}
    for file in files:
        found = host.resolver.resolve(file)
        if isinstance(found, PathError):
            error = f"failed to open {file} for reading: open {file}: {ERRNO_TEXT.get(found.errno, found.errno)}"
            log.warning(f"Skipping CSV file {file}: failed to parse CSV file: {error}")
            continue
        entries = [e for e in map(parse_line, (host.text(file) or "").splitlines()) if e is not None]
        if not entries:
            log.warning(f"Skipping CSV file {file}: CSV file is empty")
        for kind, path in entries:
            out[kind] = (*out.get(kind, ()), path)
    return out


def parse_line(line: str) -> tuple[str, str] | None:
    """The type and path of a ``TYPE, PATH`` line, or None for any other line."""
    kind, comma, path = (part.strip() for part in line.strip().partition(","))
    return (kind, path) if comma and kind in _TYPES and path else None


def without(specs: MountSpecs, kinds: Sequence[str], dropped: Callable[[str], bool]) -> MountSpecs:
    """`specs` without the paths of these types for which `dropped` holds."""
    return {k: tuple(p for p in paths if k not in kinds or not dropped(p)) for k, paths in specs.items()}


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path matches a pattern; ``**/x`` matches base names."""
    every = tuple(patterns)

    def matches(path: str) -> bool:
        return any(
            go_match(p[3:], posixpath.basename(path)) if p.startswith("**/") else go_match(p, path) for p in every
        )

    return matches
