"""Where the parts of an image archive lie: the members of a tar file, or the files of an OCI layout directory."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from nvsim.errors import InputError
from nvsim.image.stream import members, open_stream, sound
from nvsim.rootfs.datafile import parse_json

_JSON_LIMIT = 16 << 20
_MOST = 1_000_000


class Blobs(Protocol):
    """Named pieces of bytes."""

    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a piece, seekable. Raises `InputError` for one that is not there."""


def read_json_blob(blobs: Blobs, name: str, source: str) -> object:
    """The JSON value in a piece. Raises `InputError`."""
    with blobs.open(name) as file:
        raw = file.read(_JSON_LIMIT + 1)
    if len(raw) > _JSON_LIMIT:
        raise InputError(f"is larger than {_JSON_LIMIT >> 20} MiB", source=source, position=name)
    return parse_json(raw, f"{source}:{name}")


class FolderBlobs:
    """The files below an OCI layout directory. Names are relative and checked by the caller; links are not followed at the end."""

    def __init__(self, folder: Path):
        self._folder = folder

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        path = self._folder / name
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as e:
            raise InputError(f"cannot be read: {e.strerror}", source=str(path)) from None


class TarBlobs:
    """The members of an open, uncompressed tar file. Links between members (of old ``docker save``) are followed."""

    def __init__(self, file: IO[bytes], source: str):
        self._file = file
        self._source = source
        self._places: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        file.seek(0)
        with sound(source):
            self._index(file, links)
        for name, target in links.items():
            place = self._places.get(links.get(target, target))
            if place is not None:
                self._places[name] = place

    def _index(self, file: IO[bytes], links: dict[str, str]) -> None:
        source = self._source
        for number, (member, _) in enumerate(members(open_stream(file, source), source)):
            if number >= _MOST:
                raise InputError(f"has more than {_MOST} members", source=source)
            name = posixpath.normpath(member.name)
            if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                self._places[name] = (member.offset_data, member.size)
            elif member.issym():
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.islnk():
                links[name] = posixpath.normpath(member.linkname)

    def has(self, name: str) -> bool:
        return name in self._places

    def open(self, name: str) -> IO[bytes]:
        place = self._places.get(name)
        if place is None:
            raise InputError(f"lacks {name}", source=self._source)
        return io.BufferedReader(_Slice(self._file.fileno(), *place), 1 << 16)


class _Slice(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, fd: int, start: int, size: int):
        super().__init__()
        self._fd = fd
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = os.pread(self._fd, min(len(buffer), max(self._size - self._at, 0)), self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at


@contextmanager
def plain_file(path: Path, source: str) -> Iterator[IO[bytes]]:
    """The file at `path`, open; a compressed one is expanded into a temporary file. Raises `InputError`."""
    try:
        file = path.open("rb")
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror}", source=source) from None
    with file:
        stream = open_stream(file, source)
        if not stream.compressed:
            file.seek(0)
            yield file
            return
        with tempfile.TemporaryFile() as expanded:
            with sound(source):
                stream.copy(expanded)
            expanded.seek(0)
            yield expanded
