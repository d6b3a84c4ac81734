"""What ELF files and their parts are called in facts: machines, and what is wrong with a file. The texts of faults are those of glibc
``elf/dl-load.c`` where it has some.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MAGIC = b"\x7fELF"
HEAD = 4096  # bytes from the start of the file that hold the header and, in any usual file, the program headers

MACHINE_NAMES: Mapping[int, str] = MappingProxyType(
    {
        2: "sparc",
        3: "i386",
        4: "m68k",
        8: "mips",
        15: "parisc",
        18: "sparc32plus",
        20: "ppc",
        21: "ppc64",
        22: "s390",
        40: "arm",
        42: "sh",
        43: "sparcv9",
        50: "ia64",
        62: "x86_64",
        183: "aarch64",
        243: "riscv",
        252: "csky",
        258: "loongarch",
        0x9026: "alpha",
    }
)

PHENTSIZE = "ELF file's phentsize not the expected size"
NO_PROGRAM_HEADERS = "cannot read file data"
NO_LOAD = "object file has no loadable segments"
UNALIGNED_ADDRESS = "ELF load command address/offset not page-aligned"
UNALIGNED = "ELF load command alignment not page-aligned"
BAD_INTERP = "PT_INTERP is not a path"
BAD_DYNAMIC = "the dynamic section cannot be used"


def machine_name(number: int) -> str:
    """The name of an e_machine value: "x86_64", ...; "em_N" for one without a name here."""
    return MACHINE_NAMES.get(number, f"em_{number}")


def machine_number(name: str) -> int | None:
    """The e_machine value of a name of `machine_name`, or None."""
    if name.startswith("em_") and name[3:].isdigit():
        return int(name[3:])
    return next((number for number, known in MACHINE_NAMES.items() if known == name), None)
