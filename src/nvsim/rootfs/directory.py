"""A real directory as a tree, read lazily. Links are never followed: every path that is opened has real directories in front."""

from __future__ import annotations

import os
import stat

from nvsim.elf.programs import ldconfig_facts, loader_facts
from nvsim.elf.reader import read_elf
from nvsim.elf.store import FactsStore
from nvsim.errors import InputError
from nvsim.ldcache import parse_cache
from nvsim.rootfs.node import Deferred, Directory, File, FileFacts, Node, Origin, Special, Symlink

_TEXT_LIMIT = 1 << 20
_SPECIAL = {stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo"}


class DirectoryTree:
    """The tree below `path`. What was seen is kept, so that every answer comes from one moment; `check_unchanged` tells whether it
    still holds."""

    def __init__(self, path: str | os.PathLike[str], store: FactsStore | None = None, *, name: str | None = None):
        self._top = os.path.abspath(path).rstrip("/")
        self._store = store or FactsStore()
        self.name = name or str(path)
        self._nodes: dict[str, Node | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, tuple[int, int, int, int]] = {}

    def node(self, path: str) -> Node | None:
        if path in self._nodes:
            return self._nodes[path]
        node = self._read(path)
        self._nodes[path] = node
        return node

    def names(self, path: str) -> tuple[str, ...]:
        if path not in self._names:
            names: tuple[str, ...] = ()
            if isinstance(self.node(path), Directory):
                try:
                    names = tuple(sorted(os.listdir(self._real(path))))
                except PermissionError:
                    raise InputError("directory cannot be read", source=self._real(path)) from None
            self._names[path] = names
        return self._names[path]

    def check_unchanged(self) -> None:
        """Raise `InputError` when a file that an answer rests on has changed since it was read."""
        for path, before in self._seen.items():
            try:
                st = os.lstat(self._real(path))
                now = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
            except OSError:
                now = (0, 0, 0, 0)
            if now != before:
                raise InputError("changed while it was read", source=self._real(path), hint="run again")

    def _real(self, path: str) -> str:
        return self._top + path if path != "/" else self._top or "/"

    def _read(self, path: str) -> Node | None:
        if path != "/" and not isinstance(self.node(path.rpartition("/")[0] or "/"), Directory):
            return None
        try:
            st = os.lstat(self._real(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=self._real(path)) from None
        mode, kind = stat.S_IMODE(st.st_mode), stat.S_IFMT(st.st_mode)
        origin = Origin("image", self.name)
        if kind == stat.S_IFDIR:
            return Directory(mode, st.st_uid, st.st_gid, origin)
        if kind == stat.S_IFLNK:
            return Symlink(os.readlink(self._real(path)), uid=st.st_uid, gid=st.st_gid, origin=origin)
        if kind != stat.S_IFREG:
            rdev = (os.major(st.st_rdev), os.minor(st.st_rdev)) if kind in (stat.S_IFCHR, stat.S_IFBLK) else None
            return Special(_SPECIAL.get(kind, "fifo"), rdev, mode, st.st_uid, st.st_gid, origin)
        self._seen[path] = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
        content = Deferred(lambda: self._content(path, st)) if st.st_size else FileFacts(text="")
        inode = (f"dev:{st.st_dev}", st.st_ino)
        return File(st.st_size, inode, content, mode, st.st_uid, st.st_gid, origin)

    def _content(self, path: str, st: os.stat_result) -> FileFacts:
        real = self._real(path)
        try:
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=real) from None
        with os.fdopen(descriptor, "rb") as file:
            head = file.read(4096)
            if head.startswith(b"\x7fELF"):
                identity = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
                elf = self._store.get(identity, lambda: read_elf(file.fileno(), symbols=False))
                loader = ldconfig = None
                base = path.rpartition("/")[2]
                if base.startswith(("ld-", "ld.", "ld64", "libc.musl", "libc.so")) or base.startswith("ldconfig"):
                    file.seek(0)
                    data = file.read()
                    loader = loader_facts(data)
                    ldconfig = ldconfig_facts(data) if loader is None else None
                return FileFacts(elf=elf, loader=loader, ldconfig=ldconfig)
            if head.startswith((b"glibc-ld.so.cache", b"ld.so-1.7.0")):
                return FileFacts(ldcache=parse_cache(head + file.read()), head=head[:256])
            if b"\0" not in head and st.st_size <= _TEXT_LIMIT:
                return FileFacts(text=(head + file.read()).decode("utf-8", "surrogateescape"))
            return FileFacts(head=head[:256])
