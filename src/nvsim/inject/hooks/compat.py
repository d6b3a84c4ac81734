"""The hook enable-cuda-compat: whether the image's forward compatibility libraries are used (toolkit:
``cmd/nvidia-cdi-hook/cudacompat``)."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from nvsim.inject.generate.lookup import go_match, join_path
from nvsim.inject.hooks.root import ContainerRoot
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved
from nvsim.rootfs.tree import join
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release

DEFAULT_COMPAT_DIR = "/usr/local/cuda/compat"
NOTE_OWNER = "NVIDIA Corporation"
NOTE_KEY = "cuda_fwd_compat_note"  # in the ELF facts: name and desc of the note in section .note.cuda.fwd_compatibility
Version = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
_VERSION = re.compile(
    r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?\Z"
)


def parse_version(text: str) -> Version | None:
    """A lenient semantic version: up to three numbers, leading zeros allowed, pre-release and build after them."""
    match = _VERSION.match(text)
    if match is None:
        return None
    numbers = [int(g or 0) for g in match.groups()[:3]]
    if any(n >= 2**64 for n in numbers):
        return None
    pre = match.group(4)
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ((2, 0, ""),)
    return numbers[0], numbers[1], numbers[2], parts


def enable_cuda_compat(
    root: ContainerRoot, log: ToolLog, driver: str, cuda: str, compat_dir: str, release: Release | None = None
) -> None:
    """Put the image's compat directory first in its library path, if the host's driver or CUDA version asks for it.

    `release`: of the hook, None = the newest. Raises `ToolFailure` when the file cannot be written.
    """
    if not driver and not cuda:
        return
    how = "note" if release is None else release.compat_hook
    if how == "major-and-cache" and root.node("/etc/ld.so.cache") is None:
        return
    directory = _compat_directory(root, log, driver, cuda, compat_dir, how)
    if directory is None:
        return
    folder = "/etc/ld.so.conf.d"
    try:
        folder_at = root.make_directories(folder, 0o755)
    except ToolFailure as e:
        raise e.within("failed to create ld.so.conf.d") from None
    name = root.random_name("00-compat-*.conf", uuid=True)
    path = join(folder_at, name)
    if root.is_readonly(path):
        reason = f"failed to create file {go_quote(join(folder, name))} in root: read-only file system"
        raise ToolFailure(f"failed to create config file: {reason}")
    root.write(path, f"{directory}\n", 0o644)


def _compat_directory(
    root: ContainerRoot, log: ToolLog, driver: str, cuda: str, compat_dir: str, how: str
) -> str | None:
    """The resolved compat directory, when its libraries are to be used."""
    found = root.resolver.resolve(join_path("/", compat_dir))
    if not isinstance(found, Resolved):
        return None
    if not isinstance(found.node, Directory):
        log.warning("Failed to find CUDA compat library: %!w(*os.PathError=&{reopen fd 20})")
        return None
    names = [n for n in root.editor.names(found.path) if go_match("libcuda.so.*.*", n)]
    names = [n for n in names if isinstance(root.editor.node(join(found.path, n)), File)]
    if not names:
        return None
    if len(names) != 1:
        shown = " ".join(join(found.path, n) for n in names)
        log.warning(f"Unexpected number of CUDA compat libraries in container: [{shown}]")
        return None
    library = root.editor.node(join(found.path, names[0]))
    assert isinstance(library, File)
    use = _use(log, names[0], library, driver, cuda) if how == "note" else _higher_branch(names[0], driver)
    return found.path if use else None


def _higher_branch(name: str, driver: str) -> bool:
    """Up to 1.18: the library's branch against the driver's. Raises `ToolFailure` for a version that is none."""
    branches = []
    for version in (name.removeprefix("libcuda.so."), driver):
        major = version.partition(".")[0]
        if not major.isdigit():
            reason = (
                f"failed to extract major version from {go_quote(version)}: strconv.Atoi: parsing {go_quote(major)}: "
            )
            raise ToolFailure(f"failed to get container forward compat directory: {reason}invalid syntax")
        branches.append(int(major))
    return branches[0] > branches[1]


def _use(log: ToolLog, name: str, library: File, driver: str, cuda: str) -> bool:
    compat = _parsed(log, "compat driver", posixpath.basename(name).removeprefix("libcuda.so."))
    host = _parsed(log, "host driver", driver)
    host_cuda = _parsed(log, "host CUDA", cuda)
    header = _header(log, library)
    if header is not None:
        if compat is None or host is None:
            container_cuda = parse_version(str(header.get("CUDA Version") or ""))
            return host_cuda is not None and container_cuda is not None and container_cuda > host_cuda
        return host[0] in (header.get("Driver") or ()) and compat > host
    if cuda or host is None or compat is None:
        return False
    return host[0] < compat[0]


def _parsed(log: ToolLog, what: str, text: str) -> Version | None:
    version = parse_version(text)
    if version is None:
        log.warning(f"failed to parse {what} version {go_quote(text)}: invalid semantic version")
    return version


def _header(log: ToolLog, library: File) -> Mapping[str, Any] | None:
    """The note in which a compat library says which drivers it works with; None without it."""
    elf = library.facts.elf
    if elf is None:
        log.warning("failed to get ELF header from CUDA compat library: %!w(*fmt.wrapError=&{failed to load elf info})")
        return None
    note = elf.extra.get(NOTE_KEY)
    if not isinstance(note, Mapping) or note.get("name") != NOTE_OWNER or not note.get("desc"):
        return None
    try:
        header = json.loads(str(note["desc"]))
    except ValueError:
        header = None
    if not _well_formed(header):
        log.warning("failed to get ELF header from CUDA compat library: %!w(*fmt.wrapError=&{could not unmarshal})")
        return None
    assert isinstance(header, Mapping)
    return header


def _well_formed(header: Any) -> bool:
    """Whether the note's JSON has the types that the hook expects."""
    if not isinstance(header, Mapping):
        return False
    drivers = header.get("Driver") or []
    return (
        isinstance(header.get("CUDA Version", ""), str | None)
        and isinstance(drivers, list)
        and all(isinstance(d, int) and not isinstance(d, bool) for d in drivers)
    )
