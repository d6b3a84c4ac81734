"""The reference reader of ELF files, through pyelftools' structures: any class and byte order, and files that are malformed.

Only program headers and what they lead to are looked at, as loaders do; section headers may be missing or wrong. What cannot be
read leaves its fact empty and names the reason in `ElfFacts.malformed`. The time is bounded for any input.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, BinaryIO

from nvsim.elf.facts import ElfFacts, VersionNeed
from nvsim.elf.header import Header
from nvsim.elf.notes import abi_tag, isa_needed
from nvsim.elf.terms import (
    BAD_DYNAMIC,
    BAD_INTERP,
    NO_LOAD,
    NO_PROGRAM_HEADERS,
    UNALIGNED,
    UNALIGNED_ADDRESS,
    machine_number,
)

_PAGE = 4096
_MOST_HEADERS = 512
_MOST_ENTRIES = 4096  # of the dynamic section, and of each version table
_MOST_TEXT = 1 << 16  # bytes of one string
_MOST_ALL_TEXT = 1 << 22  # bytes of all strings of the dynamic section
_MOST_NOTE = 1 << 16
MOST_SYMBOLS = 5_000


class _UnusableError(Exception):
    """A part of the file cannot be read as what it should be."""


class _Image:
    """The file as pyelftools' structures see it, by file offset and by address."""

    def __init__(self, stream: BinaryIO, size: int, header: Header):
        from elftools.common.exceptions import ELFError
        from elftools.common.utils import struct_parse
        from elftools.elf.structs import ELFStructs

        self.stream = stream
        self.size = size
        self.structs: Any = ELFStructs(little_endian=header.little, elfclass=64 if header.is64 else 32)
        self.structs.create_basic_structs()
        machine = machine_number(header.machine) or 0
        names = {62: "EM_X86_64", 3: "EM_386", 183: "EM_AARCH64", 8: "EM_MIPS"}
        self.structs.create_advanced_structs(e_type=None, e_machine=names.get(machine, "EM_NONE"), e_ident_osabi=None)
        self.loads: list[tuple[int, int, int]] = []
        self._parse = struct_parse
        self._error = ELFError
        self._text = _MOST_ALL_TEXT

    def struct(self, kind: Any, offset: int) -> Any:
        """One structure at a file offset."""
        if not 0 <= offset < self.size:
            raise _UnusableError("outside of the file")
        try:
            return self._parse(kind, self.stream, stream_pos=offset)
        except (self._error, ValueError, OverflowError) as e:
            raise _UnusableError(str(e)) from None

    def offset(self, address: int) -> int:
        for vaddr, offset, filesz in self.loads:
            if vaddr <= address < vaddr + filesz:
                return offset + address - vaddr
        raise _UnusableError("an address lies in no segment")

    def bytes(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset > self.size:
            return b""
        self.stream.seek(offset)
        return self.stream.read(max(0, min(length, self.size - offset)))

    def text(self, offset: int) -> str:
        """The string at a file offset."""
        raw, nul, _ = self.bytes(offset, _MOST_TEXT).partition(b"\0")
        self._text -= len(raw)
        if not nul or self._text < 0:
            raise _UnusableError("a string has no end")
        return raw.decode("utf-8", "surrogateescape")


def read_reference(
    stream: BinaryIO, size: int, header: Header, symbols: bool = True, most_symbols: int = MOST_SYMBOLS
) -> ElfFacts:
    """The facts of a seekable binary file of `size` bytes. With more than `most_symbols` symbols or relocations, the symbol facts
    are left unknown. Raises OSError only."""
    image = _Image(stream, size, header)
    facts: dict[str, Any] = {
        "elf_class": header.elf_class,
        "data": header.data,
        "ev": header.ev,
        "osabi": header.osabi,
        "type": header.type,
        "machine": header.machine,
        "stack": None,
        "nodyn": True,
        "entry": header.entry,
    }
    faults = [header.malformed] if header.malformed else []
    if not header.usable:
        return ElfFacts(**facts, malformed=faults[0])
    dynamic: tuple[int, int, int] | None = None
    step = image.structs.Elf_Phdr.sizeof()
    if header.phnum and header.phoff + header.phnum * step > size:
        faults.append(NO_PROGRAM_HEADERS)
    else:
        for i in range(min(header.phnum, _MOST_HEADERS)):
            p = image.struct(image.structs.Elf_Phdr, header.phoff + i * step)
            dynamic = _segment(image, p, facts, faults, header) or dynamic
        if not image.loads and header.type in ("DYN", "EXEC"):
            faults.append(NO_LOAD)
    if dynamic is not None:
        facts["nodyn"] = False
        try:
            _dynamic(image, *dynamic, facts, symbols, most_symbols)
        except _UnusableError:
            faults.append(BAD_DYNAMIC)
    faults.sort(key=lambda fault: fault == BAD_INTERP)  # only execve objects to it
    return ElfFacts(**facts, malformed=faults[0] if faults else None)


def _segment(
    image: _Image, p: Any, facts: dict[str, Any], faults: list[str], header: Header
) -> tuple[int, int, int] | None:
    """Take in one program header; (address, offset, size) when it is the dynamic segment."""
    kind, offset, vaddr, filesz, align = p["p_type"], p["p_offset"], p["p_vaddr"], p["p_filesz"], p["p_align"]
    if kind == "PT_LOAD":
        image.loads.append((vaddr, offset, filesz))
        if offset + filesz > image.size:
            facts["truncate"] = image.size
        if (vaddr - offset) % _PAGE:
            faults.append(UNALIGNED_ADDRESS)
        elif align % _PAGE:
            faults.append(UNALIGNED)
    elif kind == "PT_DYNAMIC" and filesz:
        return vaddr, offset, filesz
    elif kind == "PT_INTERP" and "interp" not in facts:
        raw = image.bytes(offset, min(filesz, _PAGE))
        facts["interp"] = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if not 2 <= filesz <= _PAGE or len(raw) != filesz or raw[-1:] != b"\0":
            faults.append(BAD_INTERP)
    elif kind in ("PT_NOTE", "PT_GNU_PROPERTY"):
        note = image.bytes(offset, min(filesz, _MOST_NOTE))
        if facts.get("abi_tag") is None:
            facts["abi_tag"] = abi_tag(note, align, header.little)
        if header.little:
            facts["isa_needed"] = facts.get("isa_needed", 0) | isa_needed(note, align, header.is64)
    elif kind == "PT_TLS":
        facts["tls"] = p["p_memsz"]
    elif kind == "PT_GNU_STACK":
        facts["stack"] = "rwx" if p["p_flags"] & 1 else "rw"
    return None


def _dynamic(
    image: _Image,
    address: int,
    offset: int,
    length: int,
    facts: dict[str, Any],
    symbols: bool,
    most_symbols: int,
) -> None:
    """Take in the dynamic segment, as far as it can be read; raises `_UnusableError` when a part of it cannot."""
    try:
        offset = image.offset(address)
    except _UnusableError:
        if facts.get("truncate") is None:
            raise
    tags: dict[str | int, list[int]] = {}
    step = image.structs.Elf_Dyn.sizeof()
    for i in range(min(length // step, _MOST_ENTRIES + 1)):
        if i == _MOST_ENTRIES:
            raise _UnusableError("too many entries")
        d = image.struct(image.structs.Elf_Dyn, offset + i * step)
        if d["d_tag"] == "DT_NULL":
            break
        tags.setdefault(d["d_tag"], []).append(d["d_val"])
    one = {tag: values[-1] for tag, values in tags.items()}  # the last of several counts, as in the loaders
    facts["flags_1"] = one.get("DT_FLAGS_1", 0)
    facts["relr"] = "DT_RELR" in one
    failed: _UnusableError | None = None
    strings = 0

    def texts(tag: str) -> tuple[str, ...]:
        return tuple([image.text(strings + v) for v in tags.get(tag, ())])

    if "DT_STRTAB" in one:
        strings = image.offset(one["DT_STRTAB"])
    elif any(t in tags for t in ("DT_NEEDED", "DT_SONAME", "DT_RPATH", "DT_RUNPATH")):
        raise _UnusableError("no string table")
    for key, tag in (("needed", "DT_NEEDED"), ("auxiliary", "DT_AUXILIARY"), ("filter", "DT_FILTER")):
        try:
            facts[key] = texts(tag)
        except _UnusableError as e:
            failed = e
    for key, tag in (("soname", "DT_SONAME"), ("rpath", "DT_RPATH"), ("runpath", "DT_RUNPATH")):
        if tag in one:
            try:
                facts[key] = image.text(strings + one[tag])
            except _UnusableError as e:
                failed = e
    names: dict[int, str] = {}
    try:
        if "DT_VERNEED" in one:
            facts["verneed"] = _verneed(image, image.offset(one["DT_VERNEED"]), strings, names)
        if "DT_VERDEF" in one:
            facts["verdef"] = _verdef(image, image.offset(one["DT_VERDEF"]), strings)
    except _UnusableError as e:
        failed = e
    if failed is not None:
        raise failed
    if symbols:
        with suppress(_UnusableError):  # left unknown: no symbol check is made
            facts.update(_symbols(image, one, strings, names, most_symbols))


def _verneed(image: _Image, at: int, strings: int, names: dict[int, str]) -> tuple[VersionNeed, ...]:
    needs = []
    left = _MOST_ENTRIES
    while left > 0:
        need = image.struct(image.structs.Elf_Verneed, at)
        versions = []
        weak = set()
        where = at + need["vn_aux"]
        while left > 0:
            left -= 1
            aux = image.struct(image.structs.Elf_Vernaux, where)
            version = image.text(strings + aux["vna_name"])
            versions.append(version)
            names[aux["vna_other"] & 0x7FFF] = version
            if aux["vna_flags"] & 2:
                weak.add(version)
            if not aux["vna_next"]:
                break
            where += aux["vna_next"]
        needs.append(VersionNeed(image.text(strings + need["vn_file"]), tuple(versions), frozenset(weak)))
        if not need["vn_next"]:
            return tuple(needs)
        at += need["vn_next"]
    raise _UnusableError("too many versions")


def _verdef(image: _Image, at: int, strings: int) -> tuple[str, ...]:
    versions = []
    for _ in range(_MOST_ENTRIES):
        definition = image.struct(image.structs.Elf_Verdef, at)
        name = image.struct(image.structs.Elf_Verdaux, at + definition["vd_aux"])["vda_name"]
        if not definition["vd_flags"] & 1:
            versions.append(image.text(strings + name))
        if not definition["vd_next"]:
            return tuple(versions)
        at += definition["vd_next"]
    raise _UnusableError("too many versions")


def _symbols(
    image: _Image, one: dict[str | int, int], strings: int, names: dict[int, str], most: int
) -> dict[str, Any]:
    """`defs`, `undef`, `undef_lazy`: what the hash table makes findable, and what relocations refer to and is not there."""
    if "DT_SYMTAB" not in one:
        return {"defs": frozenset(), "undef": (), "undef_lazy": ()}
    structs = image.structs
    table = image.offset(one["DT_SYMTAB"])
    step = structs.Elf_Sym.sizeof()
    known: dict[int, Any] = {}

    def symbol(index: int) -> Any:
        if index not in known:
            if len(known) >= most:
                raise _UnusableError("too many symbols")
            known[index] = image.struct(structs.Elf_Sym, table + index * step)
        return known[index]

    first, end = _hashed(image, one, most)
    defs = set()
    for i in range(first, end):
        s = symbol(i)
        if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] != "STB_LOCAL":
            defs.add(_symbol_name(image, strings, s))

    def undefined(indices: dict[int, None]) -> dict[str, None]:
        out: dict[str, None] = {}
        for i in indices:
            s = symbol(i)
            if s["st_shndx"] == "SHN_UNDEF" and s["st_info"]["bind"] == "STB_GLOBAL":
                text = _symbol_name(image, strings, s)
                version = None
                if names and "DT_VERSYM" in one:
                    at = image.offset(one["DT_VERSYM"]) + 2 * i
                    version = names.get(image.struct(structs.Elf_half(""), at) & 0x7FFF)
                out[f"{text}@{version}" if version else text] = None
        return out

    jumps = one.get("DT_JMPREL")
    plt = _relocated(image, jumps, one.get("DT_PLTRELSZ", 0), one.get("DT_PLTREL") == 7, most)
    eager: dict[int, None] = {}
    for start, size, rela in (("DT_RELA", "DT_RELASZ", True), ("DT_REL", "DT_RELSZ", False)):
        address, length = one.get(start), one.get(size, 0)
        if address is not None and jumps is not None and address <= jumps < address + length:
            length = jumps - address
        eager.update(_relocated(image, address, length, rela, most))
    if ("DT_BIND_NOW" in one or one.get("DT_FLAGS", 0) & 8) and not one.get("DT_FLAGS_1", 0) & 1:
        eager.update(plt)
        plt = {}
    return {"defs": frozenset(defs), "undef": tuple(undefined(eager)), "undef_lazy": tuple(undefined(plt))}


def _symbol_name(image: _Image, strings: int, symbol: Any) -> str:
    """The name of a symbol; names are many and short, so they have a limit of their own."""
    raw, nul, _ = image.bytes(strings + symbol["st_name"], 4096).partition(b"\0")
    if not nul:
        raise _UnusableError("a symbol's name has no end")
    return raw.decode("utf-8", "surrogateescape")


def _hashed(image: _Image, one: dict[str | int, int], most: int) -> tuple[int, int]:
    """The range of symbols that the hash table holds: first index, end."""
    structs = image.structs
    if "DT_GNU_HASH" in one:
        at = image.offset(one["DT_GNU_HASH"])
        if not _small_hash(image, at, most):
            raise _UnusableError("too many symbols")
        head = image.struct(structs.Gnu_Hash, at)
        last = max(head["buckets"], default=0)
        if last < head["symoffset"]:
            return 0, 0
        chains = at + 16 + head["bloom_size"] * structs.elfclass // 8 + 4 * head["nbuckets"]
        for i in range(last - head["symoffset"], most):
            if image.struct(structs.Elf_word(""), chains + 4 * i) & 1:
                return head["symoffset"], head["symoffset"] + i + 1
        raise _UnusableError("too many symbols")
    if "DT_HASH" in one:
        at = image.offset(one["DT_HASH"])
        count = image.struct(structs.Elf_word(""), at + 4)
        if count > most:
            raise _UnusableError("too many symbols")
        return 1, count
    return 0, 0


def _small_hash(image: _Image, at: int, most: int) -> bool:
    nbuckets = image.struct(image.structs.Elf_word(""), at)
    bloom = image.struct(image.structs.Elf_word(""), at + 8)
    return bool(nbuckets <= most and bloom <= most)


def _relocated(image: _Image, address: int | None, length: int, rela: bool, most: int) -> dict[int, None]:
    """The symbols that a relocation table refers to, in its order."""
    if address is None or not length:
        return {}
    kind = image.structs.Elf_Rela if rela else image.structs.Elf_Rel
    step = kind.sizeof()
    if length // step > most:
        raise _UnusableError("too many relocations")
    start = image.offset(address)
    found: dict[int, None] = {}
    for i in range(length // step):
        entry = image.struct(kind, start + i * step)
        if entry["r_info_sym"] and entry["r_info_type"]:
            found[entry["r_info_sym"]] = None
    return found
