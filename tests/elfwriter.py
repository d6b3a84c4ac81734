"""Writes small ELF files from `ElfFacts`, without a compiler: libraries and programs that real loaders run.

A file has two PT_LOAD segments (read-only with code; writable with the dynamic section and the GOT) and no section headers.
x86-64 programs print what they see (see `elfcode`); i386 and aarch64 ones only end with their status.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from attrs import evolve, frozen

from elfcode import CALL_X86_64, MAIN_X86_64, exit_code
from nvsim.elf.facts import ElfFacts

TAG_OFFSET = 0x3C0
_MACHINE = {"x86_64": 62, "i386": 3, "aarch64": 183, "arm": 40, "riscv": 243, "ppc64": 21, "s390x": 22}
_TYPE = {"REL": 1, "EXEC": 2, "DYN": 3, "CORE": 4}
_GLOB_DAT = {"x86_64": 6, "i386": 6, "aarch64": 1025}
_JUMP_SLOT = {"x86_64": 7, "i386": 7, "aarch64": 1026}
_ABI_OS = {"Linux": 0, "Hurd": 1, "Solaris": 2, "FreeBSD": 3}
_DATA_GAP = {"aarch64": 0x10000}


@frozen(slots=True)
class Call:
    """One dlopen of a program; `caller` is the tag of the calling library, 0 = the program itself."""

    name: str | None
    flags: int = 2
    caller: int = 0


@frozen(slots=True)
class Program:
    """What the code of a program does: its dlopens in order (x86-64 only), then the end with `exit`."""

    exit: int = 0
    calls: tuple[Call, ...] = ()


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._at: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        if text not in self._at:
            self._at[text] = len(self.data)
            self.data += text.encode("utf-8", "surrogateescape") + b"\0"
        return self._at[text]


def sysv_hash(name: str) -> int:
    h = 0
    for c in name.encode("utf-8", "surrogateescape"):
        h = (h << 4) + c
        h = (h ^ (h >> 24) & 0xF0) & 0x0FFFFFFF
    return h


def gnu_hash(name: str) -> int:
    h = 5381
    for c in name.encode("utf-8", "surrogateescape"):
        h = (h * 33 + c) & 0xFFFFFFFF
    return h


def write_elf(
    facts: ElfFacts | None = None,
    *,
    program: Program | None = None,
    tag: int = 0,
    hashes: Sequence[str] = ("gnu", "sysv"),
    abiversion: int = 0,
    padding: bytes = bytes(7),
    phentsize: int | None = None,
    e_version: int = 1,
    flags: int = 0,
    gnu_property: bool = True,
    loads: bool = True,
    weak_undef: Sequence[str] = (),
    tail: bytes = b"",
    **changes: object,
) -> bytes:
    """The bytes of a file with these facts (`changes` are fields of `ElfFacts`).

    `tag` identifies a library for `Call.caller`. `flags` is DT_FLAGS. `gnu_property` adds PT_GNU_PROPERTY beside PT_NOTE for the ISA
    level. Undefined symbols may be written NAME@VERSION with a version of `verneed`. `tail` is appended (strings of a program).
    """
    return _Writer(evolve(facts or ElfFacts(), **changes), program, tag, hashes).write(
        abiversion, padding, phentsize, e_version, flags, gnu_property, loads, tuple(weak_undef), tail
    )


class _Writer:
    def __init__(self, facts: ElfFacts, program: Program | None, tag: int, hashes: Sequence[str]):
        self.facts = facts
        self.program = program
        self.tag = tag
        self.hashes = hashes
        self.is64 = facts.elf_class == 64
        self.word = 8 if self.is64 else 4
        self.pack_word = struct.Struct("<Q" if self.is64 else "<I").pack
        self.base = 0 if facts.type != "EXEC" else 0x400000 if self.is64 else 0x8048000
        self.strings = _Strings()
        self.text = bytearray()  # the read-only segment, from the start of the file
        self.calls = program.calls if program else ()
        if self.calls and facts.machine != "x86_64":
            raise ValueError("only x86-64 programs call dlopen")

    def put(self, data: bytes, align: int = 8) -> int:
        """Append to the read-only segment; its address."""
        self.text += bytes(-len(self.text) % align)
        at = len(self.text)
        self.text += data
        return self.base + at

    def write(
        self,
        abiversion: int,
        padding: bytes,
        phentsize: int | None,
        e_version: int,
        flags: int,
        gnu_property: bool,
        loads: bool,
        weak_undef: tuple[str, ...],
        tail: bytes,
    ) -> bytes:
        facts = self.facts
        self.text += bytes(TAG_OFFSET)
        self.put(b"nvsimtag" + struct.pack("<Q", self.tag) + CALL_X86_64)
        phdrs: list[tuple[int, int, int, int, int, int]] = []  # type, flags, offset, vaddr, filesz, memsz
        if facts.interp is not None:
            raw = facts.interp.encode("utf-8", "surrogateescape") + b"\0"
            at = self.put(raw) - self.base
            phdrs.append((3, 4, at, self.base + at, len(raw), len(raw)))
        self._notes(phdrs, gnu_property)

        undef = list(facts.undef or ())
        if self.calls:
            undef += [n for n in ("dlopen", "dlerror") if n not in undef]
        lazy = list(facts.undef_lazy or ())
        symbols, dynamic = self._symbols(undef, lazy, weak_undef)
        dynsym = dynamic.pop("symtab")
        gap = _DATA_GAP.get(facts.machine, 0x1000)

        strings = self.strings
        needed = [(1, strings.add(n)) for n in facts.needed]
        if facts.soname is not None:
            dynamic[14] = strings.add(facts.soname)
        if facts.rpath is not None:
            dynamic[15] = strings.add(facts.rpath)
        if facts.runpath is not None:
            dynamic[29] = strings.add(facts.runpath)
        extra = [(0x7FFFFFFD, strings.add(n)) for n in facts.auxiliary]
        extra += [(0x7FFFFFFF, strings.add(n)) for n in facts.filter]

        # The writable segment: GOT header, one slot a symbol, a relr slot, the dynamic section; it follows code of a known size.
        code_at = len(self.text) + (-len(self.text) % 8)
        code = self._code_size()
        got = {name: (3 + i) * self.word for i, name in enumerate([*undef, *lazy, *weak_undef])}
        relr_slot = (3 + len(got)) * self.word
        dyn_at = relr_slot + 2 * self.word
        rel_size = self._rel_size()
        room = code + 64 + (len(undef) + len(lazy) + len(weak_undef)) * rel_size + 64 + len(tail) + len(strings.data)
        data_offset = (code_at + room + 15) & ~15
        data_vaddr = self.base + data_offset + gap

        index = {name: i for i, name in enumerate(symbols)}
        relocs = [(got[n], index[n]) for n in (*undef, *weak_undef)]
        if relocs:
            at = self.put(b"".join(self._reloc(data_vaddr + o, s, _GLOB_DAT) for o, s in relocs))
            names = (7, 8, 9) if self._rela() else (17, 18, 19)
            dynamic.update({names[0]: at, names[1]: len(relocs) * rel_size, names[2]: rel_size})
        if lazy:
            at = self.put(b"".join(self._reloc(data_vaddr + got[n], index[n], _JUMP_SLOT) for n in lazy))
            dynamic.update({23: at, 2: len(lazy) * rel_size, 20: 7 if self._rela() else 17, 3: data_vaddr})
        if facts.relr:
            at = self.put(self.pack_word(data_vaddr + relr_slot))
            dynamic.update({36: at, 35: self.word, 37: self.word})
        dynamic[5] = self.put(bytes(strings.data))
        dynamic[10] = len(strings.data)
        dynamic[6] = dynsym
        dynamic[11] = 24 if self.is64 else 16
        if flags:
            dynamic[30] = flags
        if facts.flags_1:
            dynamic[0x6FFFFFFB] = facts.flags_1
        entries = [*needed, *dynamic.items(), *extra]
        debug_at = 0
        if self.program is not None and not facts.nodyn:
            debug_at = dyn_at + 2 * self.word * len(entries) + self.word
            entries.append((21, 0))
        entries.append((0, 0))
        dyn = b"".join(self.pack_word(t) + self.pack_word(v) for t, v in entries)

        entry = int(facts.entry)  # 1: nobody runs it
        if self.program is not None:
            entry = self._code(data_vaddr, got, debug_at)
        if tail:
            self.put(tail)
        assert len(self.text) <= data_offset
        self.text += bytes(data_offset - len(self.text))
        data = bytearray(dyn_at) + dyn
        data[relr_slot : relr_slot + self.word] = self.pack_word(data_vaddr)
        data[0 : self.word] = self.pack_word(0 if facts.nodyn else data_vaddr + dyn_at)

        if facts.interp is not None:
            phdrs.insert(0, (6, 4, self._ehsize(), self.base + self._ehsize(), 0, 0))
        if loads:
            phdrs.append((1, 5, 0, self.base, len(self.text), len(self.text)))
            phdrs.append((1, 6, data_offset, data_vaddr, len(data), len(data)))
        if not facts.nodyn:
            phdrs.append((2, 6, data_offset + dyn_at, data_vaddr + dyn_at, len(dyn), len(dyn)))
        if facts.tls:
            phdrs.append((7, 4, data_offset, data_vaddr, 0, facts.tls))
        if facts.stack is not None:
            phdrs.append((0x6474E551, 7 if facts.stack == "rwx" else 6, 0, 0, 0, 0))
        if facts.type == "REL":
            phdrs = []
        header = self._header(abiversion, padding, phentsize, e_version, entry, len(phdrs))
        table = b"".join(self._phdr(p, len(phdrs), gap) for p in phdrs)
        assert len(header) + len(table) <= TAG_OFFSET
        self.text[: len(header) + len(table)] = header + table
        out = bytes(self.text) + bytes(data)
        return out if facts.truncate is None else out[: facts.truncate]

    def _ehsize(self) -> int:
        return 64 if self.is64 else 52

    def _header(
        self, abiversion: int, padding: bytes, phentsize: int | None, e_version: int, entry: int, phnum: int
    ) -> bytes:
        facts = self.facts
        ident = bytes([127, 69, 76, 70, 2 if self.is64 else 1, facts.data, facts.ev, facts.osabi, abiversion]) + padding
        size = self._ehsize()
        pent = phentsize if phentsize is not None else 56 if self.is64 else 32
        machine = _MACHINE[facts.machine]
        form = "<HHIQQQIHHHHHH" if self.is64 else "<HHIIIIIHHHHHH"
        return ident + struct.pack(
            form, _TYPE[facts.type], machine, e_version, entry, size if phnum else 0, 0, 0, size, pent, phnum, 0, 0, 0
        )

    def _phdr(self, p: tuple[int, int, int, int, int, int], count: int, gap: int) -> bytes:
        kind, flags, offset, vaddr, filesz, memsz = p
        if kind == 6:
            filesz = memsz = count * (56 if self.is64 else 32)
        align = gap if kind == 1 else self.word
        if self.is64:
            return struct.pack("<IIQQQQQQ", kind, flags, offset, vaddr, vaddr, filesz, memsz, align)
        return struct.pack("<IIIIIIII", kind, offset, vaddr, vaddr, filesz, memsz, flags, align)

    def _notes(self, phdrs: list[tuple[int, int, int, int, int, int]], gnu_property: bool) -> None:
        facts = self.facts
        if facts.abi_tag is not None:
            os, _, version = facts.abi_tag.partition(" ")
            numbers = [int(x) for x in version.split(".")]
            number = _ABI_OS[os] if os in _ABI_OS else int(os)
            note = struct.pack("<III4sIIII", 4, 16, 1, b"GNU\0", number, *numbers)
            at = self.put(note, 4)
            phdrs.append((4, 4, at - self.base, at, len(note), len(note)))
        if facts.isa_needed:
            property_ = struct.pack("<III", 0xC0008002, 4, facts.isa_needed) + bytes(4 if self.is64 else 0)
            note = struct.pack("<III4s", 4, len(property_), 5, b"GNU\0") + property_
            at = self.put(note, self.word)
            phdrs.append((4, 4, at - self.base, at, len(note), len(note)))
            if gnu_property:
                phdrs.append((0x6474E553, 4, at - self.base, at, len(note), len(note)))

    def _rela(self) -> bool:
        return self.facts.machine != "i386"

    def _rel_size(self) -> int:
        return (24 if self.is64 else 12) if self._rela() else 8

    def _reloc(self, at: int, symbol: int, kinds: dict[str, int]) -> bytes:
        kind = kinds.get(self.facts.machine, 6)
        if self.is64:
            return struct.pack("<QQq", at, symbol << 32 | kind, 0)
        entry = struct.pack("<II", at, symbol << 8 | kind & 0xFF)
        return entry + (bytes(4) if self._rela() else b"")

    def _symbols(self, undef: list[str], lazy: list[str], weak: tuple[str, ...]) -> tuple[list[str], dict[object, int]]:
        """Symbol table, hash tables and version tables: the names in table order ("" first), and their dynamic entries."""
        facts = self.facts
        defs = sorted(facts.defs or ())
        buckets = max(1, len(defs) // 2)
        defs.sort(key=lambda n: gnu_hash(n) % buckets)
        undefined = list(dict.fromkeys([*undef, *lazy, *weak]))
        names = ["", *undefined, *defs]
        dynamic: dict[object, int] = {}
        code_vaddr = self.base + TAG_OFFSET + 16
        table = bytearray(24 if self.is64 else 16)
        for name in undefined:
            table += self._symbol(name.partition("@")[0], 0, 0, 2 if name in weak else 1)
        for name in defs:
            table += self._symbol(name, code_vaddr, 1, 1)
        dynamic["symtab"] = self.put(bytes(table))
        if "sysv" in self.hashes:
            dynamic[4] = self.put(self._sysv_table(names, len(undefined) + 1))
        if "gnu" in self.hashes:
            dynamic[0x6FFFFEF5] = self.put(self._gnu_table(defs, len(undefined) + 1, buckets))
        self._versions(names, len(undefined), dynamic)
        return names, dynamic

    def _symbol(self, name: str, value: int, section: int, bind: int) -> bytes:
        at = self.strings.add(name)
        info = bind << 4 | (2 if section else 0)
        if self.is64:
            return struct.pack("<IBBHQQ", at, info, 0, section, value, len(CALL_X86_64) if section else 0)
        return struct.pack("<IIIBBH", at, value, 16 if section else 0, info, 0, section)

    def _sysv_table(self, names: list[str], first_def: int) -> bytes:
        chains = [0] * len(names)
        bucket = [0]
        for i in range(first_def, len(names)):
            chains[i], bucket[0] = bucket[0], i
        return struct.pack(f"<{3 + len(names)}I", 1, len(names), bucket[0], *chains)

    def _gnu_table(self, defs: list[str], first: int, nbuckets: int) -> bytes:
        bits = self.word * 8
        bloom = 0
        buckets = [0] * nbuckets
        chain = []
        for i, name in enumerate(defs):
            h = gnu_hash(name)
            bloom |= 1 << h % bits | 1 << (h >> 6) % bits
            if not buckets[h % nbuckets]:
                buckets[h % nbuckets] = first + i
            last = i + 1 == len(defs) or gnu_hash(defs[i + 1]) % nbuckets != h % nbuckets
            chain.append(h & ~1 | last)
        head = struct.pack("<IIII", nbuckets, first, 1, 6) + self.pack_word(bloom)
        return head + struct.pack(f"<{nbuckets + len(chain)}I", *buckets, *chain)

    def _versions(self, names: list[str], n_undef: int, dynamic: dict[object, int]) -> None:
        facts = self.facts
        if not (facts.verneed or facts.verdef):
            return
        versym = [0] + [0] * n_undef + [1] * (len(names) - 1 - n_undef)
        number = 2
        if facts.verdef:
            out = b""
            every = [facts.soname or "base", *facts.verdef]
            for i, version in enumerate(every):
                last = i + 1 == len(every)
                head = (1, 1 if i == 0 else 0, i + 1, 1, sysv_hash(version), 20, 0 if last else 28)
                out += struct.pack("<HHHHIII", *head) + struct.pack("<II", self.strings.add(version), 0)
            number = len(every) + 1
            dynamic[0x6FFFFFFC] = self.put(out)
            dynamic[0x6FFFFFFD] = len(every)
        if facts.verneed:
            out = b""
            for i, need in enumerate(facts.verneed):
                last = i + 1 == len(facts.verneed)
                n = len(need.versions)
                out += struct.pack("<HHIII", 1, n, self.strings.add(need.file), 16, 0 if last else 16 + 16 * n)
                for k, version in enumerate(need.versions):
                    weak = 2 if version in need.weak else 0
                    head = (sysv_hash(version), weak, number, self.strings.add(version), 0 if k + 1 == n else 16)
                    out += struct.pack("<IHHII", *head)
                    for at, name in enumerate(names[1 : 1 + n_undef], 1):
                        if name.partition("@")[2] == version:
                            versym[at] = number
                    number += 1
            dynamic[0x6FFFFFFE] = self.put(out)
            dynamic[0x6FFFFFFF] = len(facts.verneed)
        versym = [v or 1 if i else 0 for i, v in enumerate(versym)]
        dynamic[0x6FFFFFF0] = self.put(struct.pack(f"<{len(versym)}H", *versym), 2)

    def _code_size(self) -> int:
        if self.program is None:
            return 0
        names = sum(len((c.name or "").encode("utf-8", "surrogateescape")) + 1 for c in self.calls)
        return len(MAIN_X86_64) + 8 * 5 + 24 * len(self.calls) + names + 16

    def _code(self, data_vaddr: int, got: dict[str, int], debug_at: int) -> int:
        """Append the program's code; its entry address."""
        assert self.program is not None
        if self.facts.machine != "x86_64":
            return self.put(exit_code(self.facts.machine, self.program.exit), 16)
        entry = self.put(MAIN_X86_64, 16)
        table = entry + len(MAIN_X86_64)
        slots = [data_vaddr + got[n] - table if self.calls else 0 for n in ("dlopen", "dlerror")]
        head = [data_vaddr + debug_at - table if debug_at else 0, *slots, self.program.exit, len(self.calls)]
        names = b""
        rows = []
        start = 40 + 24 * len(self.calls)
        for call in self.calls:
            at = 0
            if call.name is not None:
                at = start + len(names)
                names += call.name.encode("utf-8", "surrogateescape") + b"\0"
            rows += [call.caller, call.flags, at]
        self.put(struct.pack(f"<{5 + len(rows)}Q", *head, *rows) + names, 1)
        return entry
