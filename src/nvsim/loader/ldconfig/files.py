"""What ldconfig makes of one file: a library with a soname and flags, or nothing and a message (glibc ``elf/readlib.c``, ``readelflib.c``)."""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts
from nvsim.elf.terms import BAD_DYNAMIC, BAD_INTERP, NO_PROGRAM_HEADERS, machine_number
from nvsim.frozen import frozen
from nvsim.loader.ldconfig.job import Job
from nvsim.rootfs.node import Directory, File, Node, Special

ELF_HEADER = 64
TYPE_ELF = 0x0001  # "libc unknown"; a library that needs no known libc
TYPE_LIBC6 = 0x0003
_FOREIGN_CLASS32 = {"aarch64": {"arm": 0x0903}}
_NATIVE64 = {"aarch64": 0x0A03, "ppc64": 0x0503, "s390x": 0x0403, "riscv": 0x1003, "loongarch": 0x1103}
_LIBC6_INTERPRETERS = (
    "/lib/ld-linux-x86-64.so.2",
    "/lib/ld-linux.so.2",
    "/libx32/ld-linux-x32.so.2",
    "/lib64/ld-linux-x86-64.so.2",
)
_LIBC6_NAMES = ("libc.so.6", "libm.so.6")
_LITTLE_ENDIAN = ("x86_64", "i386")  # a file of these that is marked as big-endian has only the mark wrong
_CUT = (BAD_DYNAMIC, BAD_INTERP, NO_PROGRAM_HEADERS)


@frozen
class Library:
    """A usable shared object: its DT_SONAME (None = none), cache flags, ABI note value (0 = none), ISA level (bit number)."""

    soname: str | None
    flags: int
    osversion: int
    isa: int


def read_library(job: Job, path: str, node: Node, is_link: bool) -> Library | None:
    """``process_file``: `node` is what `path` leads to. None for everything that is no library, with a message where there is one."""
    if not isinstance(node, File):
        _not_a_file(job, path, node)
        return None
    facts = node.facts
    elf = facts.elf
    size = node.size if elf is None or elf.truncate is None else elf.truncate
    if size == 0:
        job.say(f"File {path} is empty, not checked.")
        return None
    if size < ELF_HEADER:
        start = (facts.text or "").encode("utf-8", "surrogateescape") or facts.head or b""
        if elf is not None or start[: min(size, 4)] == b"\x7fELF"[:size]:
            job.say(f"File {path} is too small, not checked.")
        return None
    if elf is None:
        head = facts.text if facts.text is not None else (facts.head or b"").decode("latin-1")
        script = "GROUP" in head[:512] or "GNU ld script" in head[:512]
        if not script and not path.endswith(job.rules.gdb_suffixes or ("\0",)):
            job.say(f"{path} is not an ELF file - it has the wrong magic bytes at the start.\n")
        return None
    return _read_elf(job, path, elf)


def _not_a_file(job: Job, path: str, node: Node) -> None:
    """A link to something else: directories cannot be mapped, devices have no size; sockets and fifos are passed over."""
    if isinstance(node, Directory):
        job.say(f"Cannot mmap file {path}.\n")
    elif isinstance(node, Special) and node.kind in ("char", "block"):
        job.say(f"File {path} is empty, not checked.")


def _read_elf(job: Job, path: str, elf: ElfFacts) -> Library | None:
    """``process_elf_file``."""
    if elf.type != "DYN" or (elf.data != 1 and elf.machine not in _LITTLE_ENDIAN):
        return None  # the header is read in this machine's byte order, whatever EI_DATA says
    flags = _flags(job, elf)
    if flags is None:
        number = machine_number(elf.machine) or int(elf.extra.get("e_machine", 0))
        if job.options.verbose or not job.rules.quiet_foreign:
            job.say(f"{path} is for unknown machine {number}.\n")
        return None
    if elf.truncate is not None or elf.malformed in _CUT:
        job.say(f"file {path} is truncated\n")
        return None
    if elf.nodyn:
        return None
    osversion = abi_value(elf.abi_tag) if job.rules.osversion else 0
    return Library(elf.soname, flags, osversion, max(elf.isa_needed.bit_length() - 1, 0))


def _flags(job: Job, elf: ElfFacts) -> int | None:
    """The flags of a cache entry; None when the file is for a machine that this ldconfig does not know."""
    machine = job.rules.machine
    if machine in ("x86_64", "i386"):
        if elf.machine == "x86_64":
            return 0x0303 if elf.elf_class == 64 else 0x0803
        if elf.machine == "i386" and elf.elf_class == 32:
            return _libc_type(job, elf)
        return None
    if elf.elf_class == 64:  # the machine is not looked at
        return _NATIVE64.get(machine, TYPE_LIBC6)
    return _FOREIGN_CLASS32.get(machine, {}).get(elf.machine, _libc_type(job, elf))


def _libc_type(job: Job, elf: ElfFacts) -> int:
    """Type 3 for a library of libc 6; up to 2.36 only one that shows it by its interpreter or a needed library."""
    known = elf.interp in _LIBC6_INTERPRETERS or any(name in _LIBC6_NAMES for name in elf.needed)
    return TYPE_LIBC6 if known or not job.rules.libc_type else TYPE_ELF


def abi_value(tag: str | None) -> int:
    """os<<24 | a<<16 | b<<8 | c of an ABI note such as "Linux 3.2.0"."""
    if not tag:
        return 0
    system, _, version = tag.partition(" ")
    numbers = [int(p) for p in version.split(".") if p.isdigit()][:3]
    numbers += [0] * (3 - len(numbers))
    os_number = {"Linux": 0, "Hurd": 1, "Solaris": 2, "FreeBSD": 3}.get(system, 0)
    return os_number << 24 | (numbers[0] & 0xFF) << 16 | (numbers[1] & 0xFF) << 8 | numbers[2] & 0xFF
