"""`read_elf`: the ELF facts of a file or of bytes. Usual files are read by `nvsim.elf.fast`, all others by `nvsim.elf.reference`."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from nvsim.elf.facts import ElfFacts
from nvsim.elf.fast import OddError, read_fast
from nvsim.elf.header import Header, header_size, read_header
from nvsim.elf.reference import MOST_SYMBOLS, read_reference
from nvsim.elf.terms import HEAD, MAGIC, machine_name
from nvsim.errors import InputError


def read_elf(source: str | os.PathLike[str] | int | BinaryIO | bytes, *, symbols: bool = True) -> ElfFacts | None:
    """The facts of an ELF file; None when it does not start with the ELF magic.

    `source` is a path, an open file descriptor (left open; its position does not matter), a seekable binary file or the content itself.
    Without `symbols`, `defs`, `undef` and `undef_lazy` stay unknown. A malformed file gives facts that let a loader model fail as
    the real loader does (`ElfFacts.malformed`, `truncate`). Raises `InputError` when the file cannot be read.
    """
    if isinstance(source, bytes):
        return _read_bytes(source, symbols)
    if isinstance(source, int):
        return read_descriptor(source, symbols=symbols)
    if not isinstance(source, (str, os.PathLike)):
        return _read_stream(source, source.seek(0, io.SEEK_END), symbols)
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror}", source=os.fspath(source)) from None
    try:
        return read_descriptor(fd, symbols=symbols)
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror}", source=os.fspath(source)) from None
    finally:
        os.close(fd)


def read_descriptor(
    fd: int, *, head: bytes | None = None, size: int | None = None, symbols: bool = True
) -> ElfFacts | None:
    """`read_elf` of an open descriptor of a regular file, whose first `HEAD` bytes and size may be known already. Raises OSError."""
    if size is None:
        size = os.fstat(fd).st_size
    if head is None:
        head = os.pread(fd, HEAD, 0)
    if head[:4] != MAGIC:
        return None
    if len(head) < header_size(head):
        return _too_short(head)
    header = read_header(head)
    try:
        return read_fast(fd, size, head, header, symbols)
    except OddError:
        pass
    with open(fd, "rb", closefd=False) as stream:
        return _odd(stream, size, header, symbols)


def _read_bytes(data: bytes, symbols: bool) -> ElfFacts | None:
    if data[:4] != MAGIC:
        return None
    if len(data) < header_size(data):
        return _too_short(data)
    header = read_header(data)
    try:
        return read_fast(-1, len(data), data, header, symbols)  # never reads the descriptor: all bytes are in the head
    except OddError:
        return _odd(io.BytesIO(data), len(data), header, symbols)


def _read_stream(stream: BinaryIO, size: int, symbols: bool) -> ElfFacts | None:
    stream.seek(0)
    head = stream.read(HEAD)
    if head[:4] != MAGIC:
        return None
    if len(head) < header_size(head):
        return _too_short(head)
    return _odd(stream, size, read_header(head), symbols)


def _odd(stream: BinaryIO, size: int, header: Header, symbols: bool) -> ElfFacts:
    return read_reference(stream, size, header, symbols, MOST_SYMBOLS)


def _too_short(head: bytes) -> ElfFacts:
    """A file that ends within its header."""
    machine = machine_name(int.from_bytes(head[18:20], "little")) if len(head) >= 20 else "em_0"
    return ElfFacts(
        elf_class=32 if head[4:5] == b"\x01" else 64, machine=machine, stack=None, nodyn=True, truncate=len(head)
    )
