"""The hooks create-symlinks and chmod (toolkit: ``cmd/nvidia-cdi-hook/create-symlinks``, ``chmod``)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from nvsim.frozen import evolve
from nvsim.inject.cdi.inject import clean_path
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.hooks.root import ContainerRoot
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import Directory, File, Node, Symlink
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import join
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release

_MOST_HOPS = 40


def create_symlinks(
    root: ContainerRoot, host: Resolver, log: ToolLog, links: Sequence[str], release: Release | None = None
) -> None:
    """Make each link ``TARGET::PATH``; stops at the first that fails (`ToolFailure`), earlier ones stay.

    `release`: of the hook, None = the newest. Up to 1.16 a link that cannot be made is a warning.
    """
    how = "replace" if release is None else release.links_hook
    if how in ("colon-keep", "keep"):
        separator = ":" if how == "colon-keep" else "::"
        _keep_going(root, host, log, links, separator)
        return
    done = set()
    for spec in links:
        if spec in done:
            continue
        parts = spec.split("::")
        if len(parts) != 2:
            raise ToolFailure(f"invalid symlink specification {spec}")
        try:
            _create_link(root, host, log, parts[0], parts[1], replace=how == "replace")
        except ToolFailure as e:
            raise e.within(f"failed to create link [{' '.join(parts)}]") from None
        done.add(spec)


def _keep_going(root: ContainerRoot, host: Resolver, log: ToolLog, links: Sequence[str], separator: str) -> None:
    done = set()
    for spec in links:
        parts = spec.split(separator)
        if len(parts) != 2:
            log.warning(f"Invalid link specification {spec}")
            continue
        target, path = parts
        if path in done:
            continue
        there = unconfined(root, host, path)
        if isinstance(there, PathError) and there.errno == "ENOENT":
            done.add(path)
            try:
                _create_link(root, host, log, target, path)
                continue
            except ToolFailure as e:
                error = e.text
        else:
            log.info(f"Symlinking {root.shown}{path} to {target}")
            reason = ERRNO_TEXT.get(there.errno, there.errno) if isinstance(there, PathError) else "file exists"
            error = f"failed to create symlink: symlink {target} {root.shown}{path}: {reason}"
        log.warning(f"Failed to create link [{' '.join(parts)}]: {error}")


def links_of_csv(host: Resolver, files: Sequence[str]) -> list[tuple[str, str]]:
    """(target, path) of every symlink on the way of the ``sym`` entries of CSV files (the option --csv-filename, up to 1.16)."""
    out = []
    for file in files:
        found = host.resolve(file)
        text = found.node.facts.text if isinstance(found, Resolved) and isinstance(found.node, File) else None
        for line in (text or "").splitlines():
            kind, _, path = (part.strip() for part in line.partition(","))
            if kind == "sym":
                out += _chain(host, path)
    return out


def _chain(host: Resolver, path: str) -> list[tuple[str, str]]:
    hops: list[tuple[str, str]] = []
    while len(hops) < _MOST_HOPS:
        found = host.resolve(path, follow=False)
        if not isinstance(found, Resolved) or not isinstance(found.node, Symlink):
            break
        hops.append((found.node.target, path))
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.node.target))
    return hops


def _create_link(
    root: ContainerRoot, host: Resolver, log: ToolLog, target: str, path: str, *, replace: bool = True
) -> None:
    there = unconfined(root, host, path)
    if isinstance(there, PathError):
        if there.errno != "ENOENT":
            shown = clean_path(f"{root.shown}/{path}")
            reason = f"failed to get file info: lstat {shown}: {ERRNO_TEXT.get(there.errno, there.errno)}"
            raise ToolFailure(f"failed to check if link exists: failed to resolve existing symlink {shown}: {reason}")
    elif isinstance(there, Symlink) and there.target == target:
        return
    elif isinstance(there, Symlink) and not replace:
        raise ToolFailure("unexpected link target")
    directory, name = _directory_and_name(path)
    found = root.resolver.resolve(directory)
    if isinstance(found, PathError):
        if found.errno != "ENOENT":
            text = f"openat2 {root.shown}{directory}: {ERRNO_TEXT.get(found.errno, found.errno)}"
            raise ToolFailure(f"failed to open parent dir of link in root: {text}")
        try:
            parent = root.make_directories(directory, 0o755, "openat2", below=root.shown)
        except ToolFailure as e:
            raise e.within("failed to create parent dir of link in root") from None
    else:
        parent = found.path
    log.info(f"Symlinking {(root.shown + join(parent, name)) if name else root.shown} to {target}")
    if isinstance(found, Resolved) and not isinstance(found.node, Directory):
        raise ToolFailure("failed to create temporary symlink: not a directory")
    if not target:
        raise ToolFailure("failed to create temporary symlink: no such file or directory")
    if root.is_readonly(parent) and path.strip("/"):  # the temporary link of "/" is made in the host's root
        raise ToolFailure("failed to create temporary symlink: read-only file system")
    if not name:
        raise ToolFailure("failed to create symlink: device or resource busy")
    here = join(parent, name)
    old = root.editor.node(here)
    if isinstance(old, Directory):
        raise ToolFailure("failed to create symlink: is a directory")
    mount = root.editor.mount_at(here)
    if old is not None and mount is not None and mount.dst == here:
        raise ToolFailure("failed to create symlink: device or resource busy")
    root.editor.put(here, Symlink(target, origin=root.origin))
    root.record("symlink", here, target)


def _directory_and_name(path: str) -> tuple[str, str]:
    """Go's ``filepath.Dir`` (below the root) and ``filepath.Base``; the name is "" for a path without one."""
    directory = clean_path("/" + path.rpartition("/")[0])
    name = posixpath.basename(path.rstrip("/"))
    return directory, "" if name in ("", ".", "..") else name


def unconfined(root: ContainerRoot, host: Resolver, path: str) -> Node | PathError:
    """lstat of the root's path joined with `path` as the hook sees it: absolute links on the way lead into the *host*."""
    at = "/"
    parts = [p for p in clean_path("/" + path).split("/") if p]
    if _above(path):
        return PathError("ENOENT", path)
    for i, part in enumerate(parts):
        here = join(at, part)
        node = root.editor.node(here)
        if node is None:
            return PathError("ENOENT", here)
        if i == len(parts) - 1:
            return node
        if isinstance(node, Symlink):
            if node.target.startswith("/"):
                found = host.resolve("/".join([node.target, *parts[i + 1 :]]), follow=False)
                return found.node if isinstance(found, Resolved) else found
            inner = root.resolver.resolve(here)
            if isinstance(inner, PathError):
                return inner
            at, node = inner.path, inner.node
        else:
            at = here
        if not isinstance(node, Directory):
            return PathError("ENOTDIR", here)
    return root.editor.node(at) or PathError("ENOENT", at)


def _above(path: str) -> bool:
    """Whether `path`, joined to the root as text, lies outside it."""
    depth = 0
    for part in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def parse_mode(text: str) -> int:
    """The octal argument of chmod. Raises `ToolFailure`."""
    if not text.strip():
        raise ToolFailure("a non-empty mode must be specified")
    if not set(text) <= set("01234567"):
        raise ToolFailure(f"failed to parse mode as octal: strconv.ParseUint: parsing {go_quote(text)}: invalid syntax")
    mode = int(text, 8)
    if mode >= 2**32:
        raise ToolFailure(
            f"failed to parse mode as octal: strconv.ParseUint: parsing {go_quote(text)}: value out of range"
        )
    return mode


def chmod(root: ContainerRoot, mode: int, paths: Sequence[str]) -> None:
    """Set the mode of the paths that exist and have another. Raises `ToolFailure` when the last of them fails."""
    failure = None
    for path in paths:
        found = root.resolver.resolve(clean_path("/" + path))
        if isinstance(found, PathError) or found.node.mode & 0o7777 == mode:
            continue
        failure = None
        if root.is_readonly(found.path):
            failure = ToolFailure(f"chmod {clean_path(f'{root.shown}/{path}')}: read-only file system")
            continue
        root.editor.put(found.path, evolve(found.node, mode=mode & 0o777, origin=root.origin))
        root.record("mode", found.path, f"{mode & 0o777:04o}")
    if failure is not None:
        raise failure
