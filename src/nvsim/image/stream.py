"""Reading tar streams that strangers made: decompression, and limits that no well-made layer comes near.

Nothing is ever unpacked: members are looked at while the stream passes by. A stream is read forwards only, so that an archive cannot make
the reader go in circles; a header cannot make it allocate; and what expands beyond reason is refused.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import IO, Any, Protocol

from nvsim.errors import InputError, UnsupportedError

MAGICS = MappingProxyType({b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"})
_CHUNK = 1 << 20
_LONGEST_READ = 64 << 20  # of one header or of one member that is wanted whole
_FREE = 1 << 30  # bytes before the ratio is looked at
_RATIO = 200
_BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError, UnicodeError, OverflowError)


class Bytes(Protocol):
    """The part of a binary file that is used here."""

    def read(self, size: int = -1, /) -> bytes: ...


def compression(head: bytes) -> str | None:
    """The name of the compression that a file with this beginning has; None = none."""
    return next((name for magic, name in MAGICS.items() if head.startswith(magic)), None)


def decompressed(raw: IO[bytes], source: str) -> Bytes:
    """The bytes of `raw` (at its beginning) without their compression. Raises `UnsupportedError` for one that this Python lacks."""
    head = raw.read(6)
    raw.seek(0)
    kind = compression(head)
    if kind is None:
        return raw
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw, mode="rb")
    if kind == "bzip2":
        return bz2.BZ2File(raw)
    if kind == "xz":
        return lzma.LZMAFile(raw)
    return _zstd(raw, source)


def _zstd(raw: IO[bytes], source: str) -> Bytes:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            module: Any = import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            reader: Bytes = module.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            return reader
        opened: Bytes = module.ZstdFile(raw)
        return opened
    raise UnsupportedError(
        f"{source}: is compressed with zstd, which needs Python 3.14 or the package zstandard (pip install zstandard)"
    )


class ForwardStream:
    """A stream that only goes forwards, with limits; for `tarfile` it looks like a file. `raw` is the compressed file behind `data`.

    `digest` is the SHA-256 of everything read so far. Raises `InputError` when a limit is passed.
    """

    def __init__(self, data: Bytes, raw: IO[bytes] | None, source: str):
        self._data = data
        self._raw = raw
        self._source = source
        self._at = 0
        self._hash = hashlib.sha256()
        self.last = b""

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise InputError(f"is a broken archive: a header of {size} bytes", source=self._source)
        parts = []
        left = size
        while left:
            part = self._data.read(min(left, _CHUNK))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        out = parts[0] if len(parts) == 1 else b"".join(parts)
        self._passed(out)
        self.last = out
        return out

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence or offset < self._at:
            raise InputError("is a broken archive: a member lies before its header", source=self._source)
        while self._at < offset:
            part = self._data.read(min(offset - self._at, _CHUNK))
            if not part:
                break
            self._passed(part)
        return self._at

    def tell(self) -> int:
        return self._at

    def drain(self) -> str:
        """Read to the end; the SHA-256 of the whole stream in hex."""
        while part := self._data.read(_CHUNK):
            self._passed(part)
        return self._hash.hexdigest()

    @property
    def compressed(self) -> bool:
        return self._raw is not None

    def copy(self, target: IO[bytes]) -> None:
        """Write everything that is left to `target`."""
        while part := self._data.read(_CHUNK):
            self._passed(part)
            target.write(part)

    def _passed(self, part: bytes) -> None:
        self._at += len(part)
        self._hash.update(part)
        if self._raw is not None and self._at > _FREE and self._at > _RATIO * max(self._raw.tell(), 1):
            raise InputError(
                f"expands to more than {_RATIO} times its size",
                source=self._source,
                hint="unpack it yourself if you trust it, and name the directory",
            )


def open_stream(raw: IO[bytes], source: str) -> ForwardStream:
    """The decompressed stream of a file that stands at its beginning."""
    data = decompressed(raw, source)
    return ForwardStream(data, None if data is raw else raw, source)


@contextmanager
def sound(source: str) -> Iterator[None]:
    """Within it, whatever a broken archive or compression makes the standard library raise becomes an `InputError` naming `source`."""
    try:
        yield
    except _BROKEN as e:
        raise InputError(f"is a broken archive: {e or type(e).__name__}", source=source) from None


def members(stream: ForwardStream, source: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Every member with its content (regular files only; to be read before the next one is asked for). To be used within `sound`."""
    archive = tarfile.open(fileobj=stream, mode="r:", errorlevel=0)  # type: ignore[call-overload]  # noqa: SIM115
    while (member := archive.next()) is not None:
        archive.members = []  # they are not needed again
        if member.size < 0:
            raise InputError("is a broken archive: a size below zero", source=source, position=member.name)
        yield member, archive.extractfile(member) if member.isreg() else None
    if any(stream.last):  # tarfile takes a header that is none for the end
        raise InputError(f"is a broken archive: no header at byte {stream.tell() - len(stream.last)}", source=source)
