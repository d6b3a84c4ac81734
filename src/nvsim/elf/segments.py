"""The files of the facts cache: immutable segments of key-value records, written once and never changed.

A segment is sorted by key, so that opening it costs nothing and a look-up is a bisection in mapped memory. New records become a new
segment, put in place by a rename; when there are many, one process merges them. Nothing is ever locked: a reader that meets a segment
while it is merged away still holds its mapping. Every record carries a checksum of key and value; what does not fit is a miss.
What the records mean is `nvsim.elf.store`.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Mapping

from nvsim.frozen import frozen

KEY = 41  # bytes of a key
SUFFIX = ".facts"
MERGE_AT = 8  # segments of one process family before they are merged
_MAGIC = b"nvsim-facts/1\n\0\0"
_HEADER = struct.Struct("<16sI")
_ROW = struct.Struct(f"<{KEY}sIII")  # key, offset, length, checksum


class Segment:
    """One open segment. `size` is that of its file in bytes, `count` the number of its records."""

    __slots__ = ("_map", "count", "size")

    def __init__(self, path: str):
        """Map the file. Raises OSError or ValueError when it is no segment."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
        self.size = len(self._map)
        if self.size < _HEADER.size:
            raise ValueError("no header")
        magic, self.count = _HEADER.unpack_from(self._map)
        if magic != _MAGIC or _HEADER.size + self.count * _ROW.size > self.size:
            raise ValueError("no segment")

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None when it is not here, or its record is damaged."""
        data = self._map
        low, high = 0, self.count
        while low < high:
            middle = (low + high) >> 1
            at = _HEADER.size + middle * _ROW.size
            if data[at : at + KEY] < key:
                low = middle + 1
            else:
                high = middle
        if low == self.count:
            return None
        found, value = self._record(low)
        return value if found == key else None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every sound record."""
        for i in range(self.count):
            key, value = self._record(i)
            if value is not None:
                yield key, value

    def _record(self, number: int) -> tuple[bytes, bytes | None]:
        key, offset, length, checksum = _ROW.unpack_from(self._map, _HEADER.size + number * _ROW.size)
        value = self._map[offset : offset + length]
        sound = len(value) == length and zlib.crc32(value, zlib.crc32(key)) == checksum
        return key, value if sound else None


def write_segment(path: str, records: Mapping[bytes, bytes]) -> None:
    """Write a segment beside `path` and rename it into place. Raises OSError."""
    index = bytearray(_HEADER.pack(_MAGIC, len(records)))
    body = []
    offset = _HEADER.size + _ROW.size * len(records)
    for key in sorted(records):
        value = records[key]
        index += _ROW.pack(key, offset, len(value), zlib.crc32(value, zlib.crc32(key)))
        body.append(value)
        offset += len(value)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            file.write(index)
            file.writelines(body)
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


@frozen
class SegmentSet:
    """The segments below `folder` whose names start with `family`, newest first. `failed` names files that are no segments."""

    folder: str
    family: str
    segments: tuple[tuple[str, Segment], ...]
    failed: tuple[str, ...] = ()

    def get(self, key: bytes) -> bytes | None:
        for _, segment in self.segments:
            value = segment.get(key)
            if value is not None:
                return value
        return None


def open_segments(folder: str, family: str) -> SegmentSet:
    """Open what is there. A folder that is missing or cannot be read is an empty set; so is a damaged file."""
    try:
        names = sorted((n for n in os.listdir(folder) if n.startswith(family) and n.endswith(SUFFIX)), reverse=True)
    except OSError:
        names = []
    opened = []
    failed = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            opened.append((path, Segment(path)))
        except FileNotFoundError:
            continue  # merged by somebody else just now
        except (OSError, ValueError):
            failed.append(path)
    return SegmentSet(folder, family, tuple(opened), tuple(failed))


def add_records(known: SegmentSet, records: Mapping[bytes, bytes], limit: int) -> None:
    """Keep `records` as a new segment; merge when there are `MERGE_AT` or more. Never raises for a folder that cannot be written.

    `limit` bounds the family's bytes on disk: merged records are kept up to half of it, those of newer segments first.
    """
    if not records:
        return
    try:
        os.makedirs(known.folder, mode=0o700, exist_ok=True)
        now = open_segments(known.folder, known.family)
        number = max(map(_number, (*(path for path, _ in now.segments), *now.failed)), default=0) + 1
        merged = dict(records)
        old = now.segments if len(now.segments) + 1 >= MERGE_AT or sum(s.size for _, s in now.segments) > limit else ()
        if old:
            size = sum(map(len, merged.values()))
            for _, segment in old:  # newest first
                for key, value in segment.items():
                    if key not in merged and size + len(value) <= limit // 2:
                        merged[key] = value
                        size += len(value)
        write_segment(os.path.join(known.folder, f"{known.family}{number:08d}-{os.getpid()}{SUFFIX}"), merged)
        for path in (*(path for path, _ in old), *now.failed):
            os.unlink(path)
    except OSError:
        return


def _number(path: str) -> int:
    digits = path.rpartition("-")[0][-8:]
    return int(digits) if digits.isdigit() else 0
