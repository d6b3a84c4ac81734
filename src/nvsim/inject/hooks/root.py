"""The container root that a hook works on: file operations with the kernel's errors, and a record of what they did.

Two ways of path resolution are in use upstream: *in root* (links stay inside, as after chroot: filepath-securejoin's ``pathrs``) and
*refusing* (an absolute link, or ``..`` above the root, is an error: Go's ``os.Root``).
"""

from __future__ import annotations

from nvsim.frozen import define, evolve, field
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.log import ToolFailure
from nvsim.inject.plan import Effect
from nvsim.rootfs.node import Directory, File, FileFacts, Node, Origin, Symlink
from nvsim.rootfs.overlay import Editor, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import join, parent_of


class PathFailure(ToolFailure):
    """A file operation that fails: Go's ``*PathError``. `errno` is its name."""

    def __init__(self, operation: str, path: str, errno: str):
        super().__init__(f"{operation} {path}: {ERRNO_TEXT.get(errno, errno)}")
        self.errno = errno


@define
class ContainerRoot:
    """A root that is being edited by one hook (`by`). `readonly`: the whole root is mounted read-only; `shown` names it in messages.

    `serial` numbers the files with random names, so that two runs make two files. `mount_point`: the root can be pivoted into.
    """

    editor: Editor
    by: str
    readonly: bool = False
    shown: str = "<rootfs>"
    serial: int = 0
    mount_point: bool = True
    effects: list[Effect] = field(factory=list)

    @property
    def origin(self) -> Origin:
        return Origin("hook", self.by)

    @property
    def resolver(self) -> Resolver:
        """Resolves paths in the root as it is now."""
        return Resolver(self.editor)

    def node(self, path: str) -> Node | None:
        """What lies at `path`, links followed; None when there is nothing (or no way to it)."""
        found = self.resolver.resolve(path)
        return found.node if isinstance(found, Resolved) else None

    def text(self, path: str) -> str | None:
        """The text of the file at `path`; None when it cannot be opened, "" for what has none."""
        node = self.node(path)
        if node is None:
            return None
        return node.facts.text or "" if isinstance(node, File) else ""

    def is_readonly(self, path: str) -> bool:
        """Whether nothing can be made at the canonical `path`."""
        mount = self.editor.mount_at(path)
        if mount is not None and mount.dst != "/":
            return "ro" in mount.flags
        return self.readonly or (mount is not None and "ro" in mount.flags)

    def check_writable(self, path: str, operation: str, shown: str) -> None:
        if self.is_readonly(path):
            raise PathFailure(operation, shown, "EROFS")

    def record(self, kind: str, path: str, detail: str = "") -> None:
        self.effects.append(Effect(kind, path, detail, self.by))

    # -- making things ---------------------------------------------------------------------------------------------------------

    def make_directories(
        self, path: str, mode: int, operation: str = "mkdirat", *, confined: bool = False, below: str = ""
    ) -> str:
        """Make the directory `path` and its missing parents; the canonical path of it. Raises `PathFailure`.

        `confined` refuses absolute links and makes what a dangling one on the way leads to (os.Root, whose messages have no leading
        slash); `below` precedes paths in messages.
        """
        at = "/"
        done: list[str] = []
        names = [p for p in path.split("/") if p and p != "."]
        for name in names:
            done.append(name)
            shown = "/".join(done) if confined else f"{below}/{'/'.join(done)}"
            here = join(at, name)
            node = self.editor.node(here)
            if node is None:
                self.check_writable(parent_of(here), "mkdirat", below + here if below else shown)
                self.editor.put(here, Directory(mode, origin=self.origin))
                self.record("directory", here)
                at = here
                continue
            dangling = self._dangling(here, node) if confined and len(done) < len(names) else None
            if dangling is not None:
                at = self.make_directories(dangling, mode, confined=True)
            else:
                at = self._entered(here, node, shown, operation, confined)
        return at

    def _dangling(self, here: str, node: Node) -> str | None:
        """Where a link at `here` leads that stays in the root and leads to nothing; None for anything else."""
        if not isinstance(node, Symlink) or self._escapes(here, node):
            return None
        found = self.resolver.resolve(here)
        if isinstance(found, Resolved) or found.errno != "ENOENT" or found.parent is None:
            return None
        return join(found.parent, found.rest or "")

    def _entered(self, here: str, node: Node, shown: str, operation: str, confined: bool) -> str:
        """The canonical path of the directory that `here` is or leads to."""
        if isinstance(node, Directory):
            return here
        if not isinstance(node, Symlink):
            raise PathFailure(operation, shown, "ENOTDIR")
        if confined and self._escapes(here, node):
            raise PathFailure(operation, shown, "EXDEV")
        found = self.resolver.resolve(here)
        if isinstance(found, PathError):
            raise PathFailure(operation, shown, "ELOOP" if found.errno == "ELOOP" else "ENOTDIR")
        if not isinstance(found.node, Directory):
            raise PathFailure(operation, shown, "ENOTDIR")
        return found.path

    def _escapes(self, here: str, link: Symlink) -> bool:
        """Whether following the link at `here` meets an absolute link, or goes above the root."""
        found = self.resolver.resolve(here)
        links = (here, *found.links)
        for path in links:
            node = self.editor.node(path)
            if not isinstance(node, Symlink):
                continue
            if node.target.startswith("/"):
                return True
            depth = parent_of(path).strip("/").count("/") + (parent_of(path) != "/")
            for part in node.target.split("/"):
                depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
                if depth < 0:
                    return True
        return False

    def write(self, path: str, text: str, mode: int, kind: str = "file") -> None:
        """Put a file with this text at the canonical `path`; an existing one keeps its mode and owner."""
        old = self.editor.node(path)
        size = len(text.encode("utf-8", "surrogateescape"))
        content = FileFacts(text=text)
        inode = (f"hook {self.by}", f"{path}#{len(self.effects)}")
        if isinstance(old, File):
            node = evolve(old, size=size, content=content, inode=inode, origin=self.origin)
        else:
            node = File(size, inode, content, mode, origin=self.origin)
        self.editor.put(path, node)
        self.record(kind, path, text.strip().replace("\n", " "))

    def random_name(self, pattern: str, uuid: bool = False) -> str:
        """`pattern` with its ``*`` replaced by what stands for the program's random part."""
        self.serial += 1
        number = f"{self.serial:010d}"
        return pattern.replace("*", f"00000000-0000-4000-8000-{self.serial:012d}" if uuid else number)

    def frozen(self) -> RootFS:
        return self.editor.freeze()
