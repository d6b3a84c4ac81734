"""Whether a file that was opened may be the library: glibc's ``open_verify`` and the checks after it (``elf/dl-load.c``).

A candidate is accepted, skipped (the search goes on) or fatal (the search ends). After acceptance further conditions refuse the
object itself; their message names what was asked for, not the file.
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.elf import terms
from nvsim.elf.facts import ElfFacts
from nvsim.frozen import evolve
from nvsim.loader.glibc.tables import GlibcRules
from nvsim.rootfs.node import Directory, File, Node, Special

ACCEPT, SKIP, OTHER_CLASS, FATAL = "accept", "skip", "other class", "fatal"
DF_1_NODEFLIB, DF_1_NOOPEN, DF_1_PIE, DF_1_NOW = 0x800, 0x40, 0x8000000, 0x1
_PAGE = 4096
_ENDLESS = ((1, 5), (1, 7), (1, 8), (1, 9))  # /dev/zero, full, random, urandom
_HEADER_SIZE = {32: 52, 64: 64}
_VERSION = "ELF file version does not match current one"
_IN_HEADER = ("ELF file ABI version invalid", "nonzero padding in e_ident", _VERSION)
_AFTER_TYPE = (terms.PHENTSIZE, terms.NO_PROGRAM_HEADERS)


def verify(
    node: Node, program: ElfFacts, rules: GlibcRules, kernel: int, *, open_exec: bool = False
) -> tuple[str, str, str | None]:
    """Verdict, text and errno of a candidate for a process of `program`'s class and machine. `open_exec`: it is to be the program."""
    if isinstance(node, Directory):
        return FATAL, "cannot read file data", "EISDIR"
    if not isinstance(node, File):
        endless = isinstance(node, Special) and node.rdev in _ENDLESS
        return FATAL, "invalid ELF header" if endless else "file too short", None
    elf = node.facts.elf
    size = node.size if elf is None or elf.truncate is None else elf.truncate
    if size < _HEADER_SIZE[program.elf_class]:
        return FATAL, "file too short", None
    if elf is None:
        return FATAL, "invalid ELF header", None
    if elf.elf_class != program.elf_class:
        return OTHER_CLASS, f"wrong ELF class: ELFCLASS{elf.elf_class}", None
    if rules.foreign_first and elf.machine != program.machine and elf.malformed != _VERSION:
        return SKIP, f"is for {elf.machine}", None
    if elf.data != program.data:
        order = "little" if program.data == 1 else "big"
        return FATAL, f"ELF file data encoding not {order}-endian", None
    if elf.ev != 1:
        return FATAL, "ELF file version ident does not match current one", None
    if elf.osabi not in (0, 3):
        return FATAL, "ELF file OS ABI invalid", None
    if elf.extra.get("abi_version"):
        return FATAL, "ELF file ABI version invalid", None
    if elf.malformed in _IN_HEADER:
        return FATAL, elf.malformed, None
    if elf.machine != program.machine:
        return SKIP, f"is for {elf.machine}", None
    if elf.type not in ("DYN", "EXEC"):
        return FATAL, "only ET_DYN and ET_EXEC can be loaded", None
    if rules.exec_refused_early and elf.type == "EXEC" and not open_exec:
        return FATAL, "cannot dynamically load executable", None
    if elf.malformed in _AFTER_TYPE:
        return FATAL, elf.malformed, None
    if rules.abi_note and elf.abi_tag is not None and not _abi_fits(elf.abi_tag, kernel):
        return SKIP, f"ABI note says {elf.abi_tag}", None
    return ACCEPT, "", None


@lru_cache(256)
def _abi_fits(tag: str, kernel: int) -> bool:
    system, _, version = tag.partition(" ")
    numbers = ([int(p) for p in version.split(".") if p.isdigit()] + [0, 0, 0])[:3]
    value = numbers[0] << 16 | min(numbers[1], 255) << 8 | min(numbers[2], 255)
    return system == "Linux" and value <= kernel


def refused(
    elf: ElfFacts, rules: GlibcRules, *, dlopened: bool, stack_refused: bool, open_exec: bool = False
) -> tuple[str, str | None] | None:
    """Why an accepted file cannot be loaded as a library: text and errno; None = it can.

    `stack_refused`: the stack is not executable and will not be made so.
    """
    unaligned = (terms.UNALIGNED_ADDRESS,) if rules.page_alignment else (terms.UNALIGNED_ADDRESS, terms.UNALIGNED)
    if elf.malformed is not None and elf.malformed in unaligned:
        return rules.unaligned_texts[elf.malformed], None
    if elf.malformed == terms.NO_LOAD:
        return elf.malformed, None
    if elf.type == "EXEC" and not open_exec:
        return "cannot dynamically load executable", None
    if elf.nodyn and elf.type == "DYN":
        return "object file has no dynamic section", None
    if dlopened and elf.flags_1 & DF_1_NOOPEN and not (rules.pie_refused and elf.flags_1 & DF_1_PIE):
        return "shared object cannot be dlopen()ed", None
    if rules.pie_refused and elf.flags_1 & DF_1_PIE and not open_exec:
        return "cannot dynamically load position-independent executable", None
    if stack_refused and elf.stack != "rw":
        return "cannot enable executable stack as shared object requires", "EINVAL"
    return None


def always_mapped(elf: ElfFacts | None) -> bool:
    """Whether nothing that `refused` and `as_mapped` look at stands against this file, whatever the release and the process."""
    return (
        elf is not None
        and elf.truncate is None
        and elf.malformed is None
        and elf.type == "DYN"
        and not elf.nodyn
        and not elf.flags_1 & (DF_1_NOOPEN | DF_1_PIE)
        and elf.stack == "rw"
    )


def as_mapped(elf: ElfFacts) -> ElfFacts | None:
    """What the loader finds in a mapped file: of one that is cut within its first page, zeros instead of a dynamic section.

    None: the file is cut later, and whether touching what is missing kills the process (SIGBUS) cannot be told from facts.
    """
    if elf.truncate is None:
        return elf
    if elf.truncate > _PAGE:
        return None
    return evolve(
        elf, soname=None, needed=(), rpath=None, runpath=None, auxiliary=(), filter=(), flags_1=0, verneed=(), verdef=(),
        defs=frozenset(), undef=(), undef_lazy=(), relr=False, malformed=None,
    )  # fmt: skip
