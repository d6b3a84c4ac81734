"""The direct reader of ELF files: program headers and the dynamic segment of usual little-endian files, with `struct` alone.

It gives what `nvsim.elf.reference` gives, some 30 times faster, and raises `OddError` for everything that is not as linkers write it
(the reference decides then). Section headers are never looked at.
"""

from __future__ import annotations

import os
import struct
import sys

from nvsim.elf.facts import ElfFacts, VersionNeed
from nvsim.elf.header import Header
from nvsim.elf.notes import abi_tag, isa_needed
from nvsim.elf.terms import NO_LOAD, UNALIGNED, UNALIGNED_ADDRESS

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS = 1, 2, 3, 4, 7
PT_GNU_STACK, PT_GNU_PROPERTY = 0x6474E551, 0x6474E553
_PHDR64 = struct.Struct("<IIQQQQQQ")
_PHDR32 = struct.Struct("<IIIIIIII")
_SYM64 = struct.Struct("<IBBHQQ")
_SYM32 = struct.Struct("<IIIBBH")
_PAGE = 4096
_MANY = 1 << 16  # more entries than this in a list that a linker writes is odd
_LONG = 1 << 28  # bytes of a table
_CHUNK = 1 << 14


class OddError(Exception):
    """The file is not as linkers write it; the text says where."""


class _File:
    """The bytes of a file by address. `loads`: (vaddr, offset, filesz) of every PT_LOAD."""

    __slots__ = ("fd", "head", "loads", "size")

    def __init__(self, fd: int, head: bytes, size: int):
        self.fd = fd
        self.head = head
        self.size = size
        self.loads: list[tuple[int, int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at a file offset."""
        if offset + length <= len(self.head):
            return self.head[offset : offset + length]
        if length > _LONG or offset + length > self.size:
            raise OddError("a table lies outside of the file")
        data = os.pread(self.fd, length, offset)
        if len(data) != length:
            raise OddError("the file ends early")
        return data

    def find(self, address: int) -> tuple[int, int]:
        """The file offset of an address, and how many bytes of its segment follow in the file."""
        for vaddr, offset, filesz in self.loads:
            if vaddr <= address < vaddr + filesz:
                return offset + address - vaddr, vaddr + filesz - address
        raise OddError("an address lies in no segment")

    def at(self, address: int, length: int) -> bytes:
        offset, room = self.find(address)
        if length > room:
            raise OddError("a table runs over its segment")
        return self.read(offset, length)

    def some(self, address: int, most: int) -> bytes:
        """At most `most` bytes at an address, as many as the segment has."""
        offset, room = self.find(address)
        return self.read(offset, min(most, room))


def read_fast(fd: int, size: int, head: bytes, header: Header, symbols: bool) -> ElfFacts:
    """The facts of the file `fd` of `size` bytes that starts with `head` (`nvsim.elf.header.HEAD` bytes). Raises `OddError`, OSError."""
    if sys.byteorder != "little" or not (
        header.little and header.data == 1 and header.usable and (32, 64)[header.is64] == header.elf_class
    ):
        raise OddError("header")
    if header.machine in ("mips", "alpha"):
        raise OddError("relocations or hash table of another form")
    file = _File(fd, head, size)
    step = 56 if header.is64 else 32
    if not 0 < header.phnum <= _MANY or header.phoff + step * header.phnum > size:
        raise OddError("program headers")
    table = file.read(header.phoff, step * header.phnum)
    interp: bytes | None = None
    dynamic: tuple[int, int] | None = None
    stack: str | None = None
    tag: str | None = None
    isa = tls = 0
    malformed = header.malformed
    truncated = False
    notes: list[tuple[int, int, int]] = []
    for p in (_PHDR64 if header.is64 else _PHDR32).iter_unpack(table):
        if header.is64:
            kind, flags, offset, vaddr, _, filesz, memsz, align = p
        else:
            kind, offset, vaddr, _, filesz, memsz, flags, align = p
        if kind == PT_LOAD:
            file.loads.append((vaddr, offset, filesz))
            truncated = truncated or offset + filesz > size
            if (vaddr - offset) % _PAGE:
                malformed = malformed or UNALIGNED_ADDRESS
            elif align % _PAGE:
                malformed = malformed or UNALIGNED
        elif kind == PT_DYNAMIC and filesz:
            dynamic = (vaddr, filesz)
        elif kind == PT_INTERP and interp is None:
            if not 2 <= filesz <= _PAGE:
                raise OddError("PT_INTERP")
            interp = file.read(offset, filesz)
        elif kind in (PT_NOTE, PT_GNU_PROPERTY):
            notes.append((offset, filesz, align))
        elif kind == PT_TLS:
            tls = memsz
        elif kind == PT_GNU_STACK:
            stack = "rwx" if flags & 1 else "rw"
    if not file.loads:
        malformed = malformed or NO_LOAD
    if truncated:
        raise OddError("segments beyond the end of the file")
    for offset, filesz, align in notes:
        note = file.read(offset, filesz)
        tag = tag or abi_tag(note, align)
        isa |= isa_needed(note, align, header.is64)
    facts = {
        "elf_class": header.elf_class,
        "machine": header.machine,
        "type": header.type,
        "osabi": header.osabi,
        "ev": header.ev,
        "stack": stack,
        "tls": tls,
        "abi_tag": tag,
        "isa_needed": isa,
        "malformed": malformed,
        "nodyn": dynamic is None,
        "entry": header.entry,
    }
    if interp is not None:
        if interp[-1:] != b"\0":
            raise OddError("PT_INTERP")
        facts["interp"] = _text(interp.partition(b"\0")[0])
    if dynamic is not None:
        facts.update(_dynamic(file, header.is64, *dynamic, symbols))
    return ElfFacts(**facts)  # type: ignore[arg-type]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _string(table: bytes, at: int) -> str:
    end = table.find(0, at)
    if at < 0 or end < 0:
        raise OddError("a string lies outside of the string table")
    return _text(table[at:end])


def _dynamic(file: _File, is64: bool, address: int, length: int, symbols: bool) -> dict[str, object]:
    word = 8 if is64 else 4
    if length % (2 * word) or length > 2 * word * _MANY:
        raise OddError("dynamic section")
    raw = file.at(address, length)
    several: dict[int, list[int]] = {1: [], 0x7FFFFFFD: [], 0x7FFFFFFF: []}
    one: dict[int, int] = {}
    for tag, value in struct.iter_unpack("<QQ" if is64 else "<II", raw):
        if tag == 0:
            break
        if tag in several:
            several[tag].append(value)
        else:
            one[tag] = value  # the last of several counts, as in the loaders
    strings = file.at(one[5], one.get(10, 0)) if 5 in one else b"\0"
    facts: dict[str, object] = {
        "needed": tuple([_string(strings, v) for v in several[1]]),
        "auxiliary": tuple([_string(strings, v) for v in several[0x7FFFFFFD]]),
        "filter": tuple([_string(strings, v) for v in several[0x7FFFFFFF]]),
        "flags_1": one.get(0x6FFFFFFB, 0),
        "relr": 36 in one,
    }
    for key, tag in (("soname", 14), ("rpath", 15), ("runpath", 29)):
        if tag in one:
            facts[key] = _string(strings, one[tag])
    names: dict[int, str] = {}
    if 0x6FFFFFFE in one:
        facts["verneed"] = _verneed(file.some(one[0x6FFFFFFE], _CHUNK), strings, names)
    if 0x6FFFFFFC in one:
        facts["verdef"] = _verdef(file.some(one[0x6FFFFFFC], _CHUNK), strings)
    if symbols:
        bind_now = (24 in one or one.get(30, 0) & 8) and not one.get(0x6FFFFFFB, 0) & 1  # DF_1_NOW is a fact of its own
        facts.update(_symbols(file, is64, one, strings, names, bool(bind_now)))
    return facts


def _verneed(data: bytes, strings: bytes, names: dict[int, str]) -> tuple[VersionNeed, ...]:
    """DT_VERNEED in file order; fills `names`, version index -> version."""
    needs = []
    at = 0
    try:
        for _ in range(_MANY):
            _, _, file, aux, following = struct.unpack_from("<HHIII", data, at)
            versions = []
            weak = set()
            where = at + aux
            for _ in range(_MANY):
                _, flags, other, name, step = struct.unpack_from("<IHHII", data, where)
                version = _string(strings, name)
                versions.append(version)
                names[other & 0x7FFF] = version
                if flags & 2:
                    weak.add(version)
                if not step:
                    break
                where += step
            needs.append(VersionNeed(_string(strings, file), tuple(versions), frozenset(weak)))
            if not following:
                return tuple(needs)
            at += following
    except struct.error:
        pass
    raise OddError("DT_VERNEED")


def _verdef(data: bytes, strings: bytes) -> tuple[str, ...]:
    """The versions of DT_VERDEF in file order, without the base definition."""
    versions = []
    at = 0
    try:
        for _ in range(_MANY):
            _, flags, _, _, _, aux, following = struct.unpack_from("<HHHHIII", data, at)
            name = struct.unpack_from("<I", data, at + aux)[0]
            if not flags & 1:
                versions.append(_string(strings, name))
            if not following:
                return tuple(versions)
            at += following
    except struct.error:
        pass
    raise OddError("DT_VERDEF")


def _symbols(
    file: _File, is64: bool, one: dict[int, int], strings: bytes, names: dict[int, str], bind_now: bool
) -> dict[str, object]:
    """`defs`, `undef` and `undef_lazy`: what the hash table makes findable, and what relocations refer to and is not there."""
    if 6 not in one:
        return {"defs": frozenset(), "undef": (), "undef_lazy": ()}
    first, count = _hashed(file, is64, one)
    plt = _relocated(file, is64, one.get(23), one.get(2, 0), one.get(20) == 7, 0)
    eager: dict[int, None] = {}
    for start, size, rela, relative in ((7, 8, True, 0x6FFFFFF9), (17, 18, False, 0x6FFFFFFA)):
        length = one.get(size, 0)
        table, jumps = one.get(start), one.get(23)
        if table is not None and jumps is not None and table <= jumps < table + length:
            length = jumps - table
        eager.update(_relocated(file, is64, table, length, rela, one.get(relative, 0)))
    step = 24 if is64 else 16
    most = max(count, max(eager, default=-1) + 1, max(plt, default=-1) + 1)
    raw = file.at(one[6], step * most)
    if is64:
        rows = [(name, info, section) for name, info, _, section, _, _ in _SYM64.iter_unpack(raw)]
    else:
        rows = [(name, info, section) for name, _, _, info, _, section in _SYM32.iter_unpack(raw)]
    defs = frozenset([_string(strings, name) for name, info, section in rows[first:count] if section and info >> 4])
    versions = struct.unpack(f"<{most}H", file.at(one[0x6FFFFFF0], 2 * most)) if names and 0x6FFFFFF0 in one else ()

    def undefined(indices: dict[int, None]) -> tuple[str, ...]:
        out = []
        for i in indices:
            name, info, section = rows[i]
            if section == 0 and info >> 4 == 1:
                version = names.get(versions[i] & 0x7FFF) if versions else None
                text = _string(strings, name)
                out.append(f"{text}@{version}" if version else text)
        return tuple(dict.fromkeys(out))

    if bind_now:
        eager.update(plt)
        plt = {}
    return {"defs": defs, "undef": undefined(eager), "undef_lazy": undefined(plt)}


def _hashed(file: _File, is64: bool, one: dict[int, int]) -> tuple[int, int]:
    """The range of symbols that the hash table holds: first index, end."""
    if 0x6FFFFEF5 in one:
        address = one[0x6FFFFEF5]
        nbuckets, first, bloom, _ = struct.unpack("<IIII", file.at(address, 16))
        address += 16 + bloom * (8 if is64 else 4)
        if nbuckets > _LONG // 4:
            raise OddError("DT_GNU_HASH")
        last = max(struct.unpack(f"<{nbuckets}I", file.at(address, 4 * nbuckets)), default=0)
        if last < first:
            return 0, 0
        address += 4 * nbuckets + 4 * (last - first)
        while True:
            chain = file.some(address, 256)
            for i in range(0, len(chain) - 3, 4):
                last += 1
                if chain[i] & 1:
                    return first, last
            if len(chain) < 256:
                raise OddError("DT_GNU_HASH")
            address += len(chain)
    if 4 in one:
        return 1, struct.unpack("<II", file.at(one[4], 8))[1]
    return 0, 0


def _relocated(file: _File, is64: bool, address: int | None, length: int, rela: bool, relative: int) -> dict[int, None]:
    """The symbols of a relocation table, in its order; its first `relative` entries name none."""
    if address is None or not length:
        return {}
    words = 3 if rela else 2
    size = words * (8 if is64 else 4)
    skip = min(relative, length // size)
    table = file.at(address + skip * size, (length // size - skip) * size) if length // size > skip else b""
    infos = memoryview(table).cast("Q" if is64 else "I")[1::words].tolist()
    if is64:
        return dict.fromkeys([info >> 32 for info in infos if info >> 32 and info & 0xFFFFFFFF])
    return dict.fromkeys([info >> 8 for info in infos if info >> 8 and info & 0xFF])
