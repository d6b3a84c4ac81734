"""The ld.so.cache file: its entries as values, their order, and the codec between them and bytes.

Source: glibc ``sysdeps/generic/dl-cache.h``, ``elf/cache.c``, ``elf/stringtable.c``, ``elf/dl-cache.c``. Which entry a loader takes is
`nvsim.loader.glibc.cache_lookup`; what goes into a cache is `nvsim.loader.ldconfig`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from nvsim.frozen import field, frozen

FLAG_ELF = 0x0001
FLAG_ELF_LIBC6 = 0x0003
FLAG_X86_64 = 0x0303
FLAG_AARCH64 = 0x0A03
HWCAPS_EXTENSION = 1 << 62
_MAGIC_NEW = b"glibc-ld.so.cache1.1"
_MAGIC_OLD = b"ld.so-1.7.0"
_MAGIC_EXTENSION = 0xEAA42174
_HEADER = 48
_ENTRY = 24
_ISA_MASK = (1 << 10) - 1
_RUN = re.compile("[0-9]+")
_ODD_RUN = re.compile("(?<![0-9])0[0-9]|[0-9]{10}")

NameKey = tuple[tuple[int, int], ...]


@frozen
class CacheEntry:
    """One entry: `name` is the key (usually a soname), `path` the file, `flags` type and architecture (0x0303 = x86-64 libc6).

    `hwcap` is the raw 64-bit field (0 = plain; bit 62 = glibc-hwcaps); `hwcaps_dir` the glibc-hwcaps subdirectory name
    ("x86-64-v3") or None; `osversion` the kernel version of the ABI note that old writers stored (0 = none).
    """

    name: str
    path: str
    flags: int = FLAG_X86_64
    hwcap: int = 0
    hwcaps_dir: str | None = None
    osversion: int = 0


@frozen
class LdCache:
    """A cache file: entries in file order.

    `generator` is the writer's string of the extension area; without one (writers up to 2.32) the file has neither that area nor a
    shared string table. `format` is new, compat (the old format in front) or old; `endian` the byte-order mark of the header (2 =
    little-endian, 0 = none, as upstream wrote it up to 2.32). `idle_hwcaps` are names of glibc-hwcaps subdirectories that no entry
    uses: they stand in the string table alone, where a reader does not see them.
    """

    entries: tuple[CacheEntry, ...] = ()
    generator: str | None = None
    format: str = "new"
    endian: int = 2
    idle_hwcaps: tuple[str, ...] = ()
    _index: dict[str, list[CacheEntry]] = field(factory=dict, init=False, eq=False, repr=False)

    def named(self, name: str) -> Sequence[CacheEntry]:
        """The entries whose name compares equal to `name` (``_dl_cache_libcmp``), in file order. Indexed at the first call."""
        index = self._index
        if not index:
            for entry in self.entries:
                index.setdefault(_spelling(entry.name), []).append(entry)
        return index.get(_spelling(name), ())


@lru_cache(maxsize=16384)
def _spelling(name: str) -> str:
    """The same text for all names that compare equal: digit runs without leading zeros, as the C ``int`` that they give."""
    return name if _ODD_RUN.search(name) is None else _RUN.sub(_int_text, name)


def _int_text(run: re.Match[str]) -> str:
    value = 0
    for digit in run[0]:
        value = _c_int(value * 10 + int(digit))
    return str(value) if value >= 0 else f"\0{value}"


def _c_int(value: int) -> int:
    return (value + 0x80000000) % 0x100000000 - 0x80000000


@lru_cache(maxsize=65536)
def name_key(name: str) -> NameKey:
    """A key whose order is that of ``_dl_cache_libcmp``: digit runs compare by value and sort after every other character.

    Values are those of a C ``int``, other bytes those of the signed ``char`` of x86.
    """
    out: list[tuple[int, int]] = []
    data = name.encode("utf-8", "surrogateescape")
    i, n = 0, len(data)
    while i < n:
        c = data[i]
        if 48 <= c <= 57:
            j = i
            value = 0
            while j < n and 48 <= data[j] <= 57:
                value = value * 10 + data[j] - 48
                j += 1
            out.append((1, _c_int(value)))
            i = j
        else:
            out.append((0, c - 256 if c > 127 else c))
            i += 1
    out.append((0, 0))
    return tuple(out)


def libcmp(a: str, b: str) -> int:
    """Below, equal to or above zero as ``_dl_cache_libcmp(a, b)``."""
    x, y = name_key(a), name_key(b)
    return (x > y) - (x < y)


def sort_entries(
    entries: Iterable[CacheEntry], *, legacy_hwcaps: bool = False, by_osversion: bool = False
) -> list[CacheEntry]:
    """Entries in the order in which ldconfig writes them (``elf/cache.c``, ``compare``); equal ones keep their order.

    `legacy_hwcaps`: as written up to 2.36 (more hwcap bits first); `by_osversion`: as written up to 2.35.
    """
    out = list(entries)
    if by_osversion:
        out.sort(key=lambda e: -e.osversion)
    if legacy_hwcaps:
        out.sort(key=lambda e: (0, 0) if e.hwcaps_dir else (-e.hwcap.bit_count(), -e.hwcap))
    out.sort(key=lambda e: (0, e.hwcaps_dir.encode()) if e.hwcaps_dir is not None else (1, b""))
    out.sort(key=lambda e: e.flags, reverse=True)
    out.sort(key=lambda e: name_key(e.name), reverse=True)
    return out


def parse_cache(data: bytes) -> LdCache | None:
    """The cache in `data`, or None when a loader would not use it (bad magic, cut, other byte order). Never raises."""
    start, form = 0, "new"
    if data.startswith(_MAGIC_OLD):
        if len(data) < 16:
            return None
        count = struct.unpack_from("<I", data, 12)[0]
        start = 16 + 12 * count
        start += -start % 8
        form = "compat"
        if data[start : start + 20] != _MAGIC_NEW:
            return _parse_old(data, count)
    if data[start : start + 20] != _MAGIC_NEW or len(data) < start + _HEADER:
        return None
    body = data[start:]
    count, _length = struct.unpack_from("<II", body, 20)
    if body[28] & 3 not in (0, 2) or len(body) < _HEADER + _ENTRY * count:
        return None
    names, generator = _extensions(data, start)
    entries = []
    for i in range(count):
        flags, key, value, osversion, hwcap = struct.unpack_from("<iIIIQ", body, _HEADER + _ENTRY * i)
        name, path = _string(body, key), _string(body, value)
        if name is None or path is None:
            return None
        hwcaps_dir = None
        if hwcap & HWCAPS_EXTENSION and not hwcap >> 42 & ~(1 << 20):
            index = hwcap & 0xFFFFFFFF
            hwcaps_dir = names[index] if index < len(names) else ""
        entries.append(CacheEntry(name, path, flags & 0xFFFFFFFF, hwcap, hwcaps_dir, osversion))
    return LdCache(tuple(entries), generator, form, body[28])


def _parse_old(data: bytes, count: int) -> LdCache | None:
    """The old format alone (``ld.so-1.7.0``): no hwcaps, string offsets relative to the end of the entries."""
    base = 16 + 12 * count
    if len(data) < base:
        return None
    entries = []
    for i in range(count):
        flags, key, value = struct.unpack_from("<iII", data, 16 + 12 * i)
        name, path = _string(data, base + key), _string(data, base + value)
        if name is None or path is None:
            return None
        entries.append(CacheEntry(name, path, flags & 0xFFFFFFFF))
    return LdCache(tuple(entries), format="old")


def _string(data: bytes, offset: int) -> str | None:
    if offset >= len(data):
        return None
    end = data.find(b"\0", offset)
    return data[offset:end].decode("utf-8", "surrogateescape") if end >= 0 else None


def _extensions(data: bytes, start: int) -> tuple[list[str], str | None]:
    """The glibc-hwcaps names and the generator string of the extension directory; `start` is where the new format begins.

    Offsets of the directory and its sections count from the start of the file, those of strings from `start`.
    """
    names: list[str] = []
    generator = None
    offset = struct.unpack_from("<I", data, start + 32)[0]
    if not offset or offset % 4 or len(data) < offset + 8:
        return names, generator
    magic, count = struct.unpack_from("<II", data, offset)
    if magic != _MAGIC_EXTENSION or len(data) < offset + 8 + 16 * count:
        return names, generator
    body = data[start:] if start else data
    for i in range(count):
        tag, _flags, at, size = struct.unpack_from("<IIII", data, offset + 8 + 16 * i)
        if at + size > len(data):
            continue
        if tag == 0:
            generator = data[at : at + size].decode("utf-8", "surrogateescape")
        elif tag == 1:
            names = [_string(body, o) or "" for (o,) in struct.iter_unpack("<I", data[at : at + size - size % 4])]
    return names, generator


def write_cache(cache: LdCache) -> bytes:
    """The bytes of a cache file (``elf/cache.c``, ``save_cache``), entries in the order given."""
    shared = cache.generator is not None
    hwcaps = sorted({e.hwcaps_dir for e in cache.entries if e.hwcaps_dir is not None}, key=str.encode)
    table, offsets, subdirectories = _string_table(cache, hwcaps) if shared else _string_run(cache)
    old = b""
    if cache.format != "new":
        old = _old_part(cache, offsets, compat=cache.format == "compat")
    if cache.format == "old":
        return old + table
    base = _HEADER + _ENTRY * len(cache.entries)
    start = len(old)
    end = start + base + len(table)
    extension = end + -end % 4 if shared else 0
    out = bytearray(
        old + _MAGIC_NEW + struct.pack("<II", len(cache.entries), len(table)) + bytes([cache.endian, 0, 0, 0])
    )
    out += struct.pack("<I", extension) + bytes(12)
    for e, (name, path) in zip(cache.entries, offsets, strict=True):
        hwcap = e.hwcap
        if e.hwcaps_dir is not None:
            hwcap = HWCAPS_EXTENSION | hwcap & _ISA_MASK << 32 | hwcaps.index(e.hwcaps_dir)
        out += struct.pack("<IIIIQ", e.flags, base + name, base + path, e.osversion, hwcap)
    out += table
    if cache.generator is not None:
        out += bytes(extension - len(out))
        text = cache.generator.encode("utf-8", "surrogateescape")
        sections = 2 if hwcaps else 1
        at = extension + 8 + 16 * sections
        out += struct.pack("<II", _MAGIC_EXTENSION, sections)
        out += struct.pack("<IIII", 0, 0, at + 4 * len(hwcaps), len(text))
        if hwcaps:
            out += struct.pack("<IIII", 1, 0, at, 4 * len(hwcaps))
        out += struct.pack(f"<{len(hwcaps)}I", *(base + at for at in subdirectories))
        out += text
    return bytes(out)


def _old_part(cache: LdCache, offsets: list[tuple[int, int]], *, compat: bool) -> bytes:
    """The header and entries of the old format, padded to where the new one begins. It has no entries of legacy hwcaps."""
    plain = [
        (e.flags, at) for e, at in zip(cache.entries, offsets, strict=True) if e.hwcaps_dir is not None or not e.hwcap
    ]
    count = len(plain) + len(plain) % 2 if compat else len(plain)
    pad = -(16 + 12 * count) % 8
    shift = _HEADER + _ENTRY * len(cache.entries) if compat else 0
    if cache.generator is None:
        shift += pad  # as writers up to 2.32 count it, also where no padding follows
    out = bytearray(_MAGIC_OLD.ljust(12, b"\0") + struct.pack("<I", count))
    for flags, (name, path) in plain + plain[-1:] * (count - len(plain)):
        out += struct.pack("<III", flags, shift + name, shift + path)
    return bytes(out + bytes(pad if compat else 0))


def _string_run(cache: LdCache) -> tuple[bytes, list[tuple[int, int]], list[int]]:
    """The strings of writers up to 2.32, one after the other; results as of `_string_table`."""
    table = bytearray()
    offsets = []
    for e in cache.entries:
        name, path = (s.encode("utf-8", "surrogateescape") + b"\0" for s in (e.name, e.path))
        offsets.append((len(table), len(table) + len(name)))
        table += name + path
    return bytes(table), offsets, []


def _string_table(cache: LdCache, hwcaps: list[str]) -> tuple[bytes, list[tuple[int, int]], list[int]]:
    """The table with common suffixes shared, as ``stringtable_finalize`` lays it out; the offsets of each entry's name and path,
    and those of `hwcaps`."""
    strings = {s for e in cache.entries for s in (e.name, e.path)} | {*hwcaps, *cache.idle_hwcaps}
    encoded = {s: s.encode("utf-8", "surrogateescape") for s in strings}
    # by reversed bytes, descending; a string that is another's suffix comes right after it
    order = sorted(strings, key=lambda s: encoded[s][::-1], reverse=True)
    offsets: dict[str, int] = {}
    table = bytearray()
    previous = b""
    before = 0
    for i, s in enumerate(order):
        data = encoded[s]
        if i and previous.endswith(data):
            before += len(previous) - len(data)
        elif i:
            before += len(previous) + 1
        if before >= len(table):
            table += data + b"\0"
        offsets[s] = before
        previous = data
    return bytes(table), [(offsets[e.name], offsets[e.path]) for e in cache.entries], [offsets[h] for h in hwcaps]
