"""Trees: immutable mappings from canonical paths to nodes.

`Tree` is what every consumer asks for; `MemoryTree` holds its nodes in a dict, `nvsim.rootfs.directory.DirectoryTree` reads
a real directory lazily, `nvsim.rootfs.overlay.RootFS` is a tree with edits and mounts on top.
A *canonical path* is absolute, has no ``.``, ``..``, ``//`` or trailing slash, and no symlink in its directory part; the root is "/".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from nvsim.errors import InputError
from nvsim.memo import Memo
from nvsim.rootfs.node import Directory, Node

T = TypeVar("T")
MOST_USERS = 16  # whose resolved paths a tree remembers


class Tree(Protocol):
    """An immutable file system tree."""

    @property
    def name(self) -> str:
        """What it is called in messages; also the device part of its files' identities."""

    def node(self, path: str) -> Node | None:
        """The node at a canonical path (as lstat, no link is followed), or None."""

    def names(self, path: str) -> tuple[str, ...]:
        """The names in the directory at a canonical path, sorted; () when there is no directory."""


class Paths:
    """What `nvsim.rootfs.resolve` remembers of an immutable tree's paths, by user and group. A tree that can change has none."""

    __slots__ = ("_by_user",)

    def __init__(self) -> None:
        self._by_user: dict[tuple[int, int], tuple[dict[str, Any], dict[str, Any]]] = {}

    def of(self, uid: int, gid: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The memory for one user: directories on the way, and whole paths that were asked for."""
        known = self._by_user.get((uid, gid))
        if known is None:
            if len(self._by_user) >= MOST_USERS:
                self._by_user.clear()
            known = self._by_user[uid, gid] = ({}, {})
        return known


class MemoryTree:
    """A tree held in a dict. Missing parent directories are added as 0755.

    Raises `InputError` for a path that is not canonical, or that lies below something that is no directory.
    """

    __slots__ = ("_names", "_nodes", "memo", "name", "paths")

    def __init__(self, name: str, nodes: Mapping[str, Node]):
        self.name = name
        self.paths = Paths()
        self.memo = Memo()
        every: dict[str, Node] = {"/": Directory()}
        for path, node in nodes.items():
            if path != "/" and not is_canonical(path):
                raise InputError(f"{path!r} is not a canonical absolute path", source=name)
            every[path] = node
            parent = parent_of(path)
            while parent not in every and parent not in nodes:
                every[parent] = Directory()
                parent = parent_of(parent)
        for path in every:
            if path != "/" and not isinstance(every[parent_of(path)], Directory):
                raise InputError(f"{path} lies below {parent_of(path)}, which is no directory", source=name)
        self._nodes = every
        self._names: dict[str, tuple[str, ...]] | None = None

    def node(self, path: str) -> Node | None:
        return self._nodes.get(path)

    def names(self, path: str) -> tuple[str, ...]:
        if self._names is None:
            self._names = names_index(self._nodes)
        return self._names.get(path, ())


def derived(tree: Tree, stage: str, key: Hashable, make: Callable[[], T]) -> T:
    """What follows from `tree` and `key` alone: kept in the memo of an immutable tree, made anew for one that can change."""
    memo: Memo | None = getattr(tree, "memo", None)
    return make() if memo is None else memo.get(stage, key, make)


def names_index(paths: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """Directory -> sorted names, for a mapping keyed by canonical paths."""
    index: dict[str, list[str]] = {}
    for path in paths:
        if path != "/":
            head, _, tail = path.rpartition("/")
            index.setdefault(head or "/", []).append(tail)
    return {d: tuple(sorted(n)) for d, n in index.items()}


def parent_of(path: str) -> str:
    """The directory part of a canonical path; "/" for the root."""
    return path.rpartition("/")[0] or "/"


def join(directory: str, name: str) -> str:
    """The canonical path of `name` in the canonical directory path `directory`."""
    return f"/{name}" if directory == "/" else f"{directory}/{name}"


def is_canonical(path: str) -> bool:
    """Whether `path` is absolute and has no empty, ``.`` or ``..`` component. (Symlinks are not looked at.)"""
    if path == "/":
        return True
    return (
        path.startswith("/") and "\0" not in path and not any(part in ("", ".", "..") for part in path[1:].split("/"))
    )


def walk(tree: Tree, top: str = "/") -> Iterator[tuple[str, Node]]:
    """Every (path, node) at and below `top`, parents first, names sorted. Does not follow links."""
    stack = [top]
    while stack:
        path = stack.pop()
        node = tree.node(path)
        if node is None:
            continue
        yield path, node
        if isinstance(node, Directory):
            stack.extend(join(path, name) for name in reversed(tree.names(path)))
