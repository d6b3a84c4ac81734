"""The ELF header: what a file calls itself, and whether its program headers can be used.

Shared by both readers (`nvsim.elf.fast`, `nvsim.elf.reference`). The order and the texts of `malformed` are those of glibc
``elf/dl-load.c`` (open_verify).
"""

from __future__ import annotations

import struct

from nvsim.elf.terms import PHENTSIZE, machine_name
from nvsim.frozen import frozen

_TYPE_NAMES = {0: "NONE", 1: "REL", 2: "EXEC", 3: "DYN", 4: "CORE"}

_ABI_VERSIONS_GNU = 4  # EI_ABIVERSION values that glibc accepts with ELFOSABI_GNU (libc-abis)


@frozen
class Header:
    """The header of one file. `is64` and `little` tell the layout of the file, which `elf_class` and `data` (the bytes of e_ident)
    may contradict. `malformed` is what a loader objects to, None when it does not; `usable` says whether the program headers
    can be read all the same; `entry` whether e_entry is not 0."""

    is64: bool
    little: bool
    elf_class: int
    data: int
    ev: int
    osabi: int
    type: str
    machine: str
    phoff: int
    phnum: int
    malformed: str | None
    usable: bool
    entry: bool


def header_size(head: bytes) -> int:
    """The size of the ELF header that the class byte of `head` promises."""
    return 52 if head[4:5] == b"\x01" else 64


def read_header(head: bytes) -> Header:
    """The header in `head`, the first bytes of a file, at least `header_size` of them."""
    is64, little = _layout(head)
    form = ("<" if little else ">") + ("HHIQQQIHHHHHH" if is64 else "HHIIIIIHHHHHH")
    e_type, machine, version, entry, phoff, _, _, _, phentsize, phnum, _, _, _ = struct.unpack_from(form, head, 16)
    osabi, abiversion = head[7], head[8]
    malformed = None
    usable = True
    if abiversion and not (osabi == 3 and abiversion < _ABI_VERSIONS_GNU):
        malformed = "ELF file ABI version invalid"
    elif any(head[9:16]):
        malformed = "nonzero padding in e_ident"
    elif version != 1:
        malformed = "ELF file version does not match current one"
    if phnum and phentsize != (56 if is64 else 32):
        malformed = malformed or PHENTSIZE
        usable = False
    class_byte = head[4]
    elf_class = 32 * class_byte if class_byte in (1, 2) else 32 if is64 else 64
    return Header(
        is64,
        little,
        elf_class,
        head[5],
        head[6],
        osabi,
        _TYPE_NAMES.get(e_type, str(e_type)),
        machine_name(machine),
        phoff,
        phnum,
        malformed,
        usable,
        entry != 0,
    )


def _layout(head: bytes) -> tuple[bool, bool]:
    """Whether the file is laid out as 64-bit, and as little-endian: what the sizes in the header say, else what e_ident says."""
    is64, little = head[4] != 1, head[5] != 2
    found = []
    for wide, at in ((True, 52), (False, 40)):
        for order in ("little", "big"):
            if len(head) >= at + 12 and int.from_bytes(head[at : at + 2], order) == at + 12:
                found.append((wide, order == "little"))
    if (is64, little) in found or not found:
        return (is64, little) if len(head) >= 64 else (False, little)
    return found[0]
