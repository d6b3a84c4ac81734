"""The notes of an ELF file that loaders read: the ABI note and the x86 ISA level (glibc ``elf/dl-load.c``, ``sysdeps/x86/dl-prop.h``)."""

from __future__ import annotations

from collections.abc import Iterator

_OS = {0: "Linux", 1: "Hurd", 2: "Solaris", 3: "FreeBSD"}
_X86_ISA_1_NEEDED = 0xC0008002


def notes(data: bytes, align: int, little: bool = True) -> Iterator[tuple[bytes, int, bytes]]:
    """(owner, type, description) of every note of a PT_NOTE segment, as far as they can be read."""
    step = 8 if align == 8 else 4
    order = "little" if little else "big"
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = (int.from_bytes(data[at + i : at + i + 4], order) for i in (0, 4, 8))  # type: ignore[arg-type]
        name_at = at + 12
        desc_at = name_at + name_size
        desc_at += -(desc_at - at) % step
        if desc_at + size > len(data):
            return
        yield data[name_at : name_at + name_size], kind, data[desc_at : desc_at + size]
        at = desc_at + size + -size % step


def abi_tag(data: bytes, align: int, little: bool = True) -> str | None:
    """The operating system and kernel version of the ABI note, "Linux 3.2.0"; None without one."""
    for owner, kind, desc in notes(data, align, little):
        if owner == b"GNU\0" and kind == 1 and len(desc) == 16:
            order = "little" if little else "big"
            os, *version = (int.from_bytes(desc[i : i + 4], order) for i in (0, 4, 8, 12))  # type: ignore[arg-type]
            return f"{_OS.get(os, os)} {'.'.join(map(str, version))}"
    return None


def isa_needed(data: bytes, align: int, is64: bool = True) -> int:
    """The GNU_PROPERTY_X86_ISA_1_NEEDED bits of the property note; 0 without one."""
    step = 8 if is64 else 4
    for owner, kind, desc in notes(data, align):
        if owner != b"GNU\0" or kind != 5 or len(desc) < 8 or len(desc) % step:
            continue
        at = 0
        while at + 8 <= len(desc):
            what = int.from_bytes(desc[at : at + 4], "little")
            size = int.from_bytes(desc[at + 4 : at + 8], "little")
            if what == _X86_ISA_1_NEEDED and size == 4:
                return int.from_bytes(desc[at + 8 : at + 12], "little")
            at += 8 + size + -size % step
    return 0
