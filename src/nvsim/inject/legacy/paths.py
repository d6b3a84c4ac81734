"""Path handling of libnvidia-container (``src/utils.c``): resolution inside a root, joining, and its error texts.

Different from the kernel's resolution (`nvsim.rootfs.resolve`): components below a missing one are taken literally, ``..`` above the
root is an error, and 20 links are followed.
"""

from __future__ import annotations

from collections import deque

from nvsim.rootfs.node import Directory, File, Node, Special, Symlink
from nvsim.rootfs.resolve import NAME_MAX
from nvsim.rootfs.tree import Tree

MAX_LINKS = 20  # MAXSYMLINKS of <sys/param.h>
_SHORT = NAME_MAX // 4  # characters, which take no more bytes than that
_ERRNO_TEXT = {
    "EACCES": "Permission denied",
    "EEXIST": "File exists",
    "EINVAL": "Invalid argument",
    "EISDIR": "Is a directory",
    "ELOOP": "Too many levels of symbolic links",
    "ENAMETOOLONG": "File name too long",
    "ENODEV": "No such device",
    "ENOENT": "No such file or directory",
    "ENOEXEC": "Exec format error",
    "ENOTDIR": "Not a directory",
    "ENXIO": "No such device or address",
    "EROFS": "Read-only file system",
    "ERANGE": "Numerical result out of range",
}
_FILE_TYPE = {"char": 0o020000, "block": 0o060000, "fifo": 0o010000, "socket": 0o140000}


class EngineFailure(Exception):  # noqa: N818 - a predicted failure of the real program, not an error of nvsim
    """A stage of the engine fails; the text is what follows the program name and the stage's prefix."""


def failure(text: str, errno: str) -> EngineFailure:
    """A failure whose text ends in an errno's: the part from the last colon on is lower-cased, as in ``error_vset``."""
    return EngineFailure(lower_last(f"{text}: {_ERRNO_TEXT[errno]}"))


def lower_last(text: str) -> str:
    """`text` with everything from its last colon on in lower case."""
    head, colon, tail = text.rpartition(":")
    return head + colon + tail.lower()


def st_mode(node: Node) -> int:
    """File type and permission bits as ``st_mode`` holds them."""
    if isinstance(node, Directory):
        kind = 0o040000
    elif isinstance(node, File):
        kind = 0o100000
    elif isinstance(node, Symlink):
        kind = 0o120000
    else:
        assert isinstance(node, Special)
        kind = _FILE_TYPE[node.kind]
    return kind | (node.mode & 0o7777)


def path_append(base: str, path: str) -> str:
    """`path` behind `base` with one slash between them; an empty `path` adds nothing (``path_append``)."""
    if not path:
        return base
    if not path.startswith("/") and not base.endswith("/"):
        return f"{base}/{path}"
    if path.startswith("/") and base.endswith("/"):
        return base + path[1:]
    return base + path


class Root:
    """A directory of a tree as the root in which the engine resolves paths (itself a `Tree`). `shown` is how the engine names it."""

    __slots__ = ("shown", "top", "tree")

    def __init__(self, tree: Tree, shown: str = "/", top: str = "/"):
        self.tree = tree
        self.shown = shown
        self.top = top.rstrip("/")  # "" for the root of the tree

    @property
    def name(self) -> str:
        """What the tree is called."""
        return self.tree.name

    def node(self, path: str) -> Node | None:
        """The node at a resolved path of this root."""
        return self.tree.node((self.top + path).rstrip("/") or "/")

    def names(self, path: str) -> tuple[str, ...]:
        """The names in the directory at a resolved path of this root."""
        return self.tree.names((self.top + path).rstrip("/") or "/")

    def full(self, path: str) -> str:
        """`path` with the name of the root in front."""
        return path_append(self.shown, path)

    def within(self, path: str) -> str:
        """`path` as a path of the tree."""
        return (self.top + path).rstrip("/") or "/"

    def resolve(self, path: str) -> str:
        """The path of this root that `path` leads to, all links followed (``do_path_resolve``). "" stands for the root itself.

        Raises `EngineFailure` ("path error: ...").
        """
        start = self.node("/")
        if not isinstance(start, Directory):
            raise failure(f"open failed: {self.shown}", "ENOENT" if start is None else "ENOTDIR")
        real: list[str] = []
        here: Node | None = start  # what `real` leads to
        missing = links = 0
        todo = deque(path.split("/"))
        while todo:
            name = todo.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                if not real:
                    raise EngineFailure(f"path error: {path} resolves outside of {self.shown}")
                if missing:
                    missing -= 1
                elif not isinstance(here, Directory):
                    raise failure("open failed: ..", "ENOTDIR")
                real.pop()
                here = self.node(_absolute(real))
                continue
            if missing:
                missing += 1
                real.append(name)
                continue
            if not isinstance(here, Directory):
                raise failure(f"path error: {self.shown}/{path}", "ENOTDIR")
            if len(name) > _SHORT and len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
                raise failure(f"path error: {self.shown}/{path}", "ENAMETOOLONG")
            node = self.node(_absolute([*real, name]))
            if node is None:
                missing += 1
                real.append(name)
            elif isinstance(node, Symlink):
                if links >= MAX_LINKS:
                    raise failure(f"path error: {self.shown}/{path}", "ELOOP")
                links += 1
                if node.target.startswith("/"):
                    real, here = [], start
                todo.extendleft(reversed(node.target.split("/")))
            else:
                real.append(name)
                here = node
        return _absolute(real) if real else ""

    def exists(self, path: str) -> bool:
        """Whether a resolved path exists (``file_exists_at``)."""
        return path != "" and self.node(path) is not None


def _absolute(parts: list[str]) -> str:
    return "/" + "/".join(parts)
