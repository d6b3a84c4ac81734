"""Whether a file that was opened may be the library: glibc's ``open_verify`` and the checks after it (``elf/dl-load.c``).

A candidate is accepted, skipped (the search goes on) or fatal (the search ends). After acceptance further conditions refuse the
object itself; their message names what was asked for, not the file.
"""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts
from nvsim.loader.glibc.tables import GlibcRules
from nvsim.rootfs.node import Directory, File, Node

ACCEPT, SKIP, OTHER_CLASS, FATAL = "accept", "skip", "other class", "fatal"
DF_1_NODEFLIB, DF_1_NOOPEN, DF_1_PIE, DF_1_NOW = 0x800, 0x40, 0x8000000, 0x1


def verify(node: Node, program: ElfFacts, rules: GlibcRules, kernel: int) -> tuple[str, str, str | None]:
    """Verdict, text and errno of a candidate for a process of `program`'s class and machine."""
    if isinstance(node, Directory):
        return FATAL, "cannot read file data", "EISDIR"
    if not isinstance(node, File):
        return FATAL, "file too short", None
    facts = node.facts
    elf = facts.elf
    size = node.size if elf is None or elf.truncate is None else elf.truncate
    if size < 64:
        return FATAL, "file too short", None
    if elf is None:
        return FATAL, "invalid ELF header", None
    if elf.elf_class != program.elf_class:
        return OTHER_CLASS, f"wrong ELF class: ELFCLASS{elf.elf_class}", None
    if elf.data != program.data:
        order = "little" if program.data == 1 else "big"
        return FATAL, f"ELF file data encoding not {order}-endian", None
    if elf.ev != 1:
        return FATAL, "ELF file version ident does not match current one", None
    if elf.osabi not in (0, 3):
        return FATAL, "ELF file OS ABI invalid", None
    if elf.extra.get("abi_version"):
        return FATAL, "ELF file ABI version invalid", None
    if elf.machine != program.machine:
        return SKIP, f"is for {elf.machine}", None
    if elf.type not in ("DYN", "EXEC"):
        return FATAL, "only ET_DYN and ET_EXEC can be loaded", None
    if rules.abi_note and elf.abi_tag is not None and not _abi_fits(elf.abi_tag, kernel):
        return SKIP, f"ABI note says {elf.abi_tag}", None
    return ACCEPT, "", None


def _abi_fits(tag: str, kernel: int) -> bool:
    system, _, version = tag.partition(" ")
    numbers = ([int(p) for p in version.split(".") if p.isdigit()] + [0, 0, 0])[:3]
    value = numbers[0] << 16 | min(numbers[1], 255) << 8 | min(numbers[2], 255)
    return system == "Linux" and value <= kernel


def refused(
    elf: ElfFacts, rules: GlibcRules, *, dlopened: bool, stack_executable: bool
) -> tuple[str, str | None] | None:
    """Why an accepted file cannot be loaded as a library: text and errno; None = it can."""
    if elf.malformed is not None:
        return "object file has no loadable segments", None
    if elf.type == "EXEC":
        return "cannot dynamically load executable", None
    if elf.nodyn:
        return "object file has no dynamic section", None
    if rules.pie_refused and elf.flags_1 & DF_1_PIE:
        return "cannot dynamically load position-independent executable", None
    if dlopened and elf.flags_1 & DF_1_NOOPEN:
        return "shared object cannot be dlopen()ed", None
    if dlopened and rules.no_exec_stack and elf.stack != "rw" and not stack_executable:
        return "cannot enable executable stack as shared object requires", "EINVAL"
    return None
