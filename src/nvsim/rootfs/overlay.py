"""A tree with edits and mounts on top of another one: what a process sees after the runtime has prepared its root.

`RootFS` is immutable; `RootFS.edit()` gives an `Editor` that collects changes and `Editor.freeze()` makes the next `RootFS`.
Paths here are canonical: a caller resolves links first (`nvsim.rootfs.resolve`).
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.memo import Memo
from nvsim.rootfs.node import Directory, Node, Origin, with_origin
from nvsim.rootfs.tree import Paths, Tree, join, names_index, parent_of

MOST_DIRECTORIES = 20_000  # of a root, of which is remembered where they lie


@frozen
class Mount:
    """One mount. `dst` is canonical; `flags` as in mountinfo ("ro", "nosuid", "noexec"); `fstype` bind, tmpfs, overlay or proc."""

    dst: str
    src: str
    flags: frozenset[str] = frozenset()
    fstype: str = "bind"


@frozen
class _Graft:
    """A directory of another tree that is visible at a path."""

    tree: Tree
    top: str


class RootFS:
    """`base` with node changes, hidden subtrees, grafted directories and a mount table on top.

    `memo` is what was derived of it (`nvsim.memo`).
    """

    __slots__ = ("_below", "_changes", "_covers", "_mounts_at", "_names", "base", "memo", "mounts", "name", "paths")

    def __init__(
        self,
        base: Tree,
        changes: dict[str, Node | None] | None = None,
        covers: dict[str, _Graft | None] | None = None,
        mounts: tuple[Mount, ...] = (),
    ):
        self.base = base
        self.name = base.name
        self.paths = Paths()
        self.memo = Memo()
        self.mounts = mounts
        self._changes = changes if changes is not None else {}
        self._covers = covers if covers is not None else {}
        self._below: dict[str, tuple[Tree, str] | Tree | None] = {}  # directory -> see `_place_below`
        self._names: dict[str, tuple[str, ...]] | None = None
        self._mounts_at: dict[str, Mount] | None = None

    def node(self, path: str) -> Node | None:
        if path in self._changes:
            return self._changes[path]
        if not self._covers:
            return self.base.node(path)
        if path in self._covers or path == "/":
            graft, _ = self._cover(path)
            return self.base.node(path) if graft is None else graft[0].node(graft[1])
        directory = path.rpartition("/")[0]
        try:
            place = self._below[directory]
        except KeyError:
            place = self._place_below(directory)
        if place is None:
            return None
        if isinstance(place, tuple):
            return place[0].node(place[1] + path[len(directory) :])
        return place.node(path)

    def _place_below(self, directory: str) -> tuple[Tree, str] | Tree | None:
        """The tree that serves what is in a directory ("" for the root): the base, or another with the directory's path there; None = it is
        hidden."""
        graft, hidden = self._cover(f"{directory}/.")  # "." is no name of a file
        place = None if hidden else self.base if graft is None else (graft[0], graft[1].removesuffix("/."))
        if len(self._below) >= MOST_DIRECTORIES:
            self._below.clear()
        self._below[directory] = place
        return place

    def names(self, path: str) -> tuple[str, ...]:
        if self._names is None:
            self._names = names_index(self._changes)
        graft, hidden = self._cover(path) if self._covers else (None, False)
        below = () if hidden else self.base.names(path) if graft is None else graft[0].names(graft[1])
        changed = self._names.get(path)
        if not changed:
            return below
        every = set(below)
        for name in changed:
            if self._changes[join(path, name)] is None:
                every.discard(name)
            else:
                every.add(name)
        return tuple(sorted(every))

    def _cover(self, path: str) -> tuple[tuple[Tree, str] | None, bool]:
        """The graft that serves `path` (tree, path there), and whether the path is hidden; the nearest cover decides."""
        at, covers = path, self._covers
        while True:
            if at in covers:
                graft = covers[at]
                if graft is None:
                    return None, at != path
                rest = path[len(at) :] if at != "/" else path
                return (graft.tree, (graft.top.rstrip("/") + rest) or "/"), False
            if at == "/":
                return None, False
            at = at.rpartition("/")[0] or "/"

    def mount_at(self, path: str) -> Mount | None:
        """The mount that a canonical path lies on: the one with the longest `dst`, the last made among equals."""
        if self._mounts_at is None:
            self._mounts_at = {mount.dst: mount for mount in self.mounts}
        at = path
        while True:
            mount = self._mounts_at.get(at)
            if mount is not None or at == "/":
                return mount
            at = at.rpartition("/")[0] or "/"

    def edit(self) -> Editor:
        """An editor that starts from this root."""
        return Editor(self)

    def changed_paths(self) -> tuple[str, ...]:
        """Every path that was put, removed or mounted on, sorted."""
        return tuple(sorted({*self._changes, *self._covers}))


class Editor:
    """Collects edits of a `RootFS`. It is itself a readable tree, so later steps see what earlier steps did."""

    __slots__ = ("_owned", "_root")

    def __init__(self, start: RootFS):
        self._root = start
        self._owned = False  # whether _root is this editor's own copy, which nobody else has seen

    @property
    def name(self) -> str:
        return self._root.name

    def node(self, path: str) -> Node | None:
        return self._root.node(path)

    def names(self, path: str) -> tuple[str, ...]:
        return self._root.names(path)

    def mount_at(self, path: str) -> Mount | None:
        return self._root.mount_at(path)

    def put(self, path: str, node: Node) -> None:
        """Put `node` at `path`. Missing parents are made (0755, the node's origin). A non-directory hides what was below it."""
        root = self._own()
        parent = parent_of(path)
        missing = []
        while root.node(parent) is None:
            missing.append(parent)
            parent = parent_of(parent)
        for directory in reversed(missing):
            root._changes[directory] = Directory(origin=node.origin)
        if isinstance(root.node(path), Directory) and not isinstance(node, Directory):
            self._hide_below(path)
        root._changes[path] = node

    def remove(self, path: str) -> None:
        """Remove the node at `path` and everything below it."""
        self._hide_below(path)
        self._own()._changes[path] = None

    def mount_node(self, mount: Mount, node: Node, origin: Origin) -> None:
        """Bind one file, device or socket: it keeps its identity and hides what was at `mount.dst`."""
        self.put(mount.dst, with_origin(node, origin))
        root = self._own()
        root.mounts += (mount,)
        root._mounts_at = None

    def mount_directory(self, mount: Mount, tree: Tree, top: str, origin: Origin) -> None:
        """Bind the directory `top` of `tree` at `mount.dst`; an empty `MemoryTree` makes a tmpfs."""
        source = tree.node(top)
        assert isinstance(source, Directory), f"{top} is no directory"
        self._hide_below(mount.dst)
        self.put(mount.dst, with_origin(source, origin))
        root = self._own()
        root._covers[mount.dst] = _Graft(tree, top)
        root._below.clear()
        root.mounts += (mount,)
        root._mounts_at = None

    def freeze(self) -> RootFS:
        """The root as edited so far. Later edits of this editor do not change it."""
        self._owned = False
        return self._root

    def _own(self) -> RootFS:
        """The editor's own copy of the root, about to be written."""
        root = self._root
        if not self._owned:
            root = RootFS(root.base, dict(root._changes), dict(root._covers), root.mounts)
            self._root = root
            self._owned = True
        root._names = None
        return root

    def _hide_below(self, path: str) -> None:
        root = self._own()
        below = path.rstrip("/") + "/"
        for changed in [p for p in root._changes if p.startswith(below)]:
            del root._changes[changed]
        for covered in [p for p in root._covers if p.startswith(below)]:
            del root._covers[covered]
        root._covers[path] = None
        root._below.clear()
