"""A real directory as a tree, read lazily, with a journal of what was seen.

Links are never followed: a path is looked at only when every directory in front of it was seen to be a real directory. Each answer is
written into the journal, and `DirectoryTree.verify` compares the journal with the directory at the end: an answer that rests on a
mixture of two states is an error. What is in a file is read when it is asked for (`nvsim.rootfs.content`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from types import MappingProxyType

from nvsim.elf.facts import ElfFacts
from nvsim.elf.store import BinaryFacts, FactsStore, Identity, identity_of, is_program_name
from nvsim.errors import ChangedError, InputError
from nvsim.frozen import evolve
from nvsim.memo import Memo
from nvsim.rootfs.node import EMPTY_FILE, Deferred, Directory, File, FileFacts, Node, Origin, Special, Symlink
from nvsim.rootfs.tree import Paths

_SPECIAL: Mapping[int, str] = MappingProxyType(
    {stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo"}
)
_CHANGED = "changed while it was read"
_Seen = Identity | tuple[int, int, int, int, int, None] | None


class DirectoryTree:
    """The tree below the directory `path`. `store` keeps the facts of its binaries; `name` is what it is called in messages.

    Reading raises `InputError` for a file or directory that the user may not read, and for a file that changed since it was seen.
    """

    __slots__ = (
        "_devices", "_listed", "_names", "_nodes", "_origin", "_read_file", "_seen", "_store", "_top", "memo", "name", "paths",
    )  # fmt: skip

    def __init__(self, path: str | os.PathLike[str], store: FactsStore | None = None, *, name: str | None = None):
        self._top = os.path.abspath(path).rstrip("/")
        self._store = store if store is not None else FactsStore()
        self.name = name or str(path)
        self.paths = Paths()
        self.memo = Memo()
        self._origin = Origin("image", self.name)
        self._nodes: dict[str, Node | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, _Seen] = {}
        self._listed: dict[str, int] = {}
        self._devices: dict[int, str] = {}
        self._read_file = self._content

    def node(self, path: str) -> Node | None:
        try:
            return self._nodes[path]
        except KeyError:
            node = self._nodes[path] = self._look(path)
            return node

    def names(self, path: str) -> tuple[str, ...]:
        known = self._names.get(path)
        if known is None:
            known = self._names[path] = self._list(path) if isinstance(self.node(path), Directory) else ()
        return known

    def verify(self) -> None:
        """Compare the journal with the directory. Raises `InputError` naming a path that is no longer what it was when it was seen."""
        for path, before in self._seen.items():
            try:
                now = _state(os.lstat(self._real(path)))
            except (FileNotFoundError, NotADirectoryError):
                now = None
            except OSError as e:
                raise InputError(f"cannot be read: {e.strerror}", source=self._real(path)) from None
            if now != before:
                raise ChangedError(_CHANGED, source=self._real(path), hint="run again")
        for path, changed_at in self._listed.items():
            if os.lstat(self._real(path)).st_mtime_ns != changed_at:
                raise ChangedError(_CHANGED, source=self._real(path), hint="run again")

    def _real(self, path: str) -> str:
        return self._top + path if path != "/" else self._top or "/"

    def _list(self, path: str) -> tuple[str, ...]:
        real = self._real(path)
        try:
            self._listed[path] = os.lstat(real).st_mtime_ns
            return tuple(sorted(os.listdir(real)))
        except PermissionError:
            raise InputError("directory cannot be read", source=real) from None
        except OSError:
            raise ChangedError(_CHANGED, source=real, hint="run again") from None

    def _look(self, path: str) -> Node | None:
        """lstat of one path, written into the journal."""
        if path != "/" and not isinstance(self.node(path.rpartition("/")[0] or "/"), Directory):
            return None
        real = self._real(path)
        try:
            st = os.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            self._seen[path] = None
            return None
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=real) from None
        self._seen[path] = seen = _state(st)
        kind = stat.S_IFMT(st.st_mode)
        mode = _MODES.get(st.st_mode & 0o7777) or st.st_mode & 0o7777
        if kind == stat.S_IFREG:
            content: FileFacts | Deferred = Deferred(self._read_file, path, seen) if st.st_size else EMPTY_FILE
            inode = (self._device(st.st_dev), st.st_ino)
            return File(st.st_size, inode, content, mode, st.st_uid, st.st_gid, self._origin)
        if kind == stat.S_IFDIR:
            return Directory(mode, st.st_uid, st.st_gid, self._origin)
        if kind == stat.S_IFLNK:
            try:
                target = os.readlink(real)
            except OSError:
                raise ChangedError(_CHANGED, source=real, hint="run again") from None
            return Symlink(target, uid=st.st_uid, gid=st.st_gid, origin=self._origin)
        rdev = (os.major(st.st_rdev), os.minor(st.st_rdev)) if kind in (stat.S_IFCHR, stat.S_IFBLK) else None
        return Special(_SPECIAL.get(kind, "fifo"), rdev, mode, st.st_uid, st.st_gid, self._origin)

    def _device(self, number: int) -> str:
        return self._devices.setdefault(number, f"dev:{number}")

    def _content(self, path: str, seen: Identity) -> FileFacts:
        program = is_program_name(path.rpartition("/")[2])
        known = self._store.find(seen, program=program)
        if known is not None:
            symbols = cache(partial(self._symbols, path, seen)) if known.elf is not None else None
            return FileFacts(elf=known.elf, loader=known.loader, ldconfig=known.ldconfig, symbols=symbols)
        from nvsim.rootfs.content import read_content  # a directory whose facts are all known never needs the readers

        with self._opened(path, seen) as fd:
            facts = read_content(fd, seen[2], program)
        if facts.elf is not None:
            self._store.keep(seen, BinaryFacts(facts.elf, facts.loader, facts.ldconfig), program=program)
            facts = evolve(facts, symbols=cache(partial(self._symbols, path, seen)))
        return facts

    def _symbols(self, path: str, seen: Identity) -> ElfFacts | None:
        from nvsim.elf.reader import read_descriptor

        with self._opened(path, seen) as fd:
            return read_descriptor(fd, size=seen[2])

    @contextmanager
    def _opened(self, path: str, seen: Identity) -> Iterator[int]:
        """A descriptor of the file that was seen at `path`. What the block cannot read is an `InputError`."""
        real = self._real(path)
        try:
            fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ChangedError(_CHANGED, source=real, hint="run again") from None
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=real) from None
        try:
            if identity_of(os.fstat(fd)) != seen:
                raise ChangedError(_CHANGED, source=real, hint="run again")
            yield fd
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=real) from None
        finally:
            os.close(fd)


_MODES = {mode: mode for mode in (0o644, 0o755, 0o600, 0o444, 0o555, 0o640, 0o4755, 0o2755, 0o1777)}


def _state(st: os.stat_result) -> _Seen:
    """What must not change: everything of a file or link; of a directory what it is, as new names in it are told by its listing."""
    if stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode):
        return identity_of(st)
    return (st.st_dev, st.st_ino, st.st_mode, st.st_uid, st.st_gid, None)
