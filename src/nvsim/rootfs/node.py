"""The nodes of a tree: files, directories, symlinks and special files, each knowing where it came from.

What a file *contains* is a `FileFacts`; for a file of a real directory it is read when first asked for (`Deferred`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nvsim.elf.facts import ElfFacts, LdconfigFacts, LoaderFacts
from nvsim.frozen import evolve, field, frozen

if TYPE_CHECKING:
    from nvsim.ldcache import LdCache
    from nvsim.rootfs.behaviour import Behaviour


@frozen
class Origin:
    """Where a node comes from. `kind`: image, host, hook, engine, user or fix; `detail`: a layer, a host path, a step."""

    kind: str = "image"
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".strip()


@frozen
class FileFacts:
    """What a file contains. At most one of `text`, `elf`, `ldcache`, `json` is given; none = opaque bytes.

    `loader`, `ldconfig`: the file is a dynamic loader or an ldconfig program. `behaviour`: what the program does.
    `head`: the first bytes of a real file that is neither ELF nor text (to tell its format). `extra`: unknown keys.
    `symbols` reads `elf` again with its symbols, where that was put off because few ask; it may raise `InputError`.
    """

    elf: ElfFacts | None = None
    text: str | None = None
    ldcache: LdCache | None = None
    json: Any = None
    loader: LoaderFacts | None = None
    ldconfig: LdconfigFacts | None = None
    behaviour: Behaviour | None = None
    head: bytes | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)
    symbols: Callable[[], ElfFacts | None] | None = field(default=None, eq=False, repr=False)


EMPTY_FILE = FileFacts(text="")
OPAQUE_FILE = FileFacts()


class Deferred:
    """Facts that are read when first asked for, once, by `read(*args)`, which may raise `InputError`."""

    __slots__ = ("_args", "_read", "_value")

    def __init__(self, read: Callable[..., FileFacts], *args: object):
        self._read = read
        self._args = args
        self._value: FileFacts | None = None

    def get(self) -> FileFacts:
        value = self._value
        if value is None:
            value = self._value = self._read(*self._args)
            self._args = ()
        return value


@frozen(eq=False)
class File:
    """A regular file. `inode` identifies it: two nodes with an equal `inode` are one file (hard links, bind mounts)."""

    size: int
    inode: tuple[str, str | int]
    content: FileFacts | Deferred
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    origin: Origin = Origin()

    @property
    def facts(self) -> FileFacts:
        """The content; reads it now if it has not been read yet."""
        content = self.content
        return content if isinstance(content, FileFacts) else content.get()


@frozen
class Directory:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    origin: Origin = Origin()


@frozen
class Symlink:
    target: str
    mode: int = 0o777
    uid: int = 0
    gid: int = 0
    origin: Origin = Origin()


@frozen
class Special:
    """A device node, socket or fifo. `kind`: char, block, socket or fifo; `rdev` is (major, minor) for devices."""

    kind: str
    rdev: tuple[int, int] | None = None
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    origin: Origin = Origin()


Node = File | Directory | Symlink | Special


def with_origin(node: Node, origin: Origin) -> Node:
    """The same node (and the same file identity) with another origin."""
    if isinstance(node, File):  # most are, and this is the short way
        return File(node.size, node.inode, node.content, node.mode, node.uid, node.gid, origin)
    return evolve(node, origin=origin)
