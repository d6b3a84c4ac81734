"""Path resolution inside a root, as the kernel does it after chroot (``path_resolution(7)``, Linux ``fs/namei.c``).

Absolute links restart at the root, ``..`` at the root stays there, at most 40 links are followed in one resolution, a name has
at most 255 bytes and a path 4095. Nothing outside the tree is ever looked at.
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.rootfs.node import Directory, Node, Symlink
from nvsim.rootfs.tree import Paths, Tree, parent_of

MAX_LINKS = 40  # as many can be followed; one more fails (ELOOP)
NAME_MAX = 255
_SHORT = NAME_MAX // 4  # characters, which take no more bytes than that
PATH_MAX = 4096  # with the terminating NUL
MOST_PATHS = 20_000  # that are remembered of one tree and user


@frozen
class Resolved:
    """A path that exists: its canonical path, its node, and the symlinks that were followed on the way (their canonical paths)."""

    path: str
    node: Node
    links: tuple[str, ...] = ()


@frozen
class PathError:
    """A path that cannot be resolved. `errno` is its name ("ENOENT"); `path` is the component where it happened.

    For ENOENT `parent` is the canonical directory in which the first missing component would lie and `rest` what is missing
    ("a/b"), so that a caller can create it; `links` are the links followed before.
    """

    errno: str
    path: str
    parent: str = "/"
    rest: str = ""
    links: tuple[str, ...] = ()


class Resolver:
    """Resolves paths of one immutable tree for one user, remembering directories. Cheap to make.

    What an immutable tree was asked is remembered in its `Paths`, for all resolvers of the same user.
    """

    __slots__ = ("_dirs", "_found", "gid", "tree", "uid")

    def __init__(self, tree: Tree, uid: int = 0, gid: int | None = None):
        self.tree = tree
        self.uid = uid
        self.gid = uid if gid is None else gid
        paths: Paths | None = getattr(tree, "paths", None)
        self._dirs: dict[str, Resolved | PathError]
        self._found: dict[str, Resolved | PathError]
        self._dirs, self._found = ({}, {}) if paths is None else paths.of(uid, self.gid)

    def resolve(self, path: str, *, cwd: str = "/", follow: bool = True) -> Resolved | PathError:
        """Resolve `path` (relative ones from the canonical directory `cwd`); with `follow` false the last link is not followed."""
        if not follow or not path.startswith("/"):
            return self._resolve(path, cwd, follow)
        found = self._found.get(path)
        if found is None:
            if len(self._found) >= MOST_PATHS:
                self._found.clear()
                self._dirs.clear()
            found = self._found[path] = self._resolve(path, cwd, follow)
        return found

    def _resolve(self, path: str, cwd: str, follow: bool) -> Resolved | PathError:
        if not path:
            return PathError("ENOENT", path)
        if len(path) >= PATH_MAX and len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            return PathError("ENAMETOOLONG", path)
        if not path.startswith("/"):
            path = f"{cwd}/{path}"
        head, _, last = path.rpartition("/")
        if last in ("", ".", ".."):
            return self._directory(path)
        start = self._directory(head) if head else self._root()
        if isinstance(start, PathError):
            return self._enter(start, last)
        return self._step(start, last, follow)

    def _directory(self, path: str) -> Resolved | PathError:
        """The directory at `path`, all links followed; every prefix is memoised."""
        known = self._dirs.get(path)
        if known is not None:
            return known
        todo = []
        at = path
        while known is None:
            todo.append(at)
            at = at.rpartition("/")[0]
            known = self._dirs.get(at) if at else self._root()
        for prefix in reversed(todo):
            known = self._dirs[prefix] = self._enter(known, prefix.rpartition("/")[2])
        return known

    def _root(self) -> Resolved:
        node = self.tree.node("/")
        return Resolved("/", node if node is not None else Directory())

    def _enter(self, start: Resolved | PathError, name: str) -> Resolved | PathError:
        """The directory `name` of `start`."""
        if isinstance(start, PathError):
            if start.errno == "ENOENT":
                rest = f"{start.rest}/{name}" if name else start.rest
                return PathError("ENOENT", start.path, start.parent, rest, start.links)
            return start
        if name in ("", "."):
            return start
        if name == "..":
            return self._parent(start)
        found = self._step(start, name, follow=True)
        if isinstance(found, Resolved) and not isinstance(found.node, Directory):
            return PathError("ENOTDIR", found.path, links=found.links)
        return found

    def _parent(self, start: Resolved) -> Resolved:
        up = parent_of(start.path)
        node = self.tree.node(up)
        assert node is not None
        return Resolved(up, node, start.links)

    def _step(self, start: Resolved, name: str, follow: bool) -> Resolved | PathError:
        """Look `name` up in the directory `start`."""
        if not isinstance(start.node, Directory):
            return PathError("ENOTDIR", start.path, links=start.links)
        if self.uid and not self._may_search(start.node):
            return PathError("EACCES", start.path, links=start.links)
        here = f"/{name}" if start.path == "/" else f"{start.path}/{name}"
        if len(name) > _SHORT and len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
            return PathError("ENAMETOOLONG", here, links=start.links)
        node = self.tree.node(here)
        if node is None:
            return PathError("ENOENT", here, start.path, name, start.links)
        if not follow or not isinstance(node, Symlink):
            return Resolved(here, node, start.links)
        if len(start.links) >= MAX_LINKS:
            return PathError("ELOOP", here, links=start.links)
        return self._follow(start, here, node)

    def _follow(self, start: Resolved, here: str, link: Symlink) -> Resolved | PathError:
        """Continue at the target of the symlink at `here`, which lies in the directory `start`."""
        links = (*start.links, here)
        if not link.target:
            return PathError("ENOENT", here, links=links)
        first = self._root() if link.target.startswith("/") else start
        current = Resolved(first.path, first.node, links)
        parts = [p for p in link.target.split("/") if p and p != "."]
        for i, part in enumerate(parts):
            if part == "..":
                if not isinstance(current.node, Directory):
                    return PathError("ENOTDIR", current.path, links=current.links)
                current = self._parent(current)
                continue
            step = self._step(current, part, follow=True)
            if isinstance(step, PathError):
                if step.errno == "ENOENT":
                    rest = "/".join([step.rest, *parts[i + 1 :]])
                    return PathError("ENOENT", step.path, step.parent, rest, step.links)
                return step
            current = step
        if link.target.endswith(("/", "/.")) and not isinstance(current.node, Directory):
            return PathError("ENOTDIR", current.path, links=current.links)
        return current

    def _may_search(self, node: Directory) -> bool:
        if node.uid == self.uid:
            return bool(node.mode & 0o100)
        if node.gid == self.gid:
            return bool(node.mode & 0o010)
        return bool(node.mode & 0o001)


def resolve(tree: Tree, path: str, *, cwd: str = "/", follow: bool = True, uid: int = 0) -> Resolved | PathError:
    """Resolve one path in `tree`; for many paths of one tree keep a `Resolver`."""
    return Resolver(tree, uid).resolve(path, cwd=cwd, follow=follow)
