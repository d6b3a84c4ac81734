"""What is in a real file: ELF facts, an ld.so.cache, text, or the first bytes of something opaque.

The one place that decides how much of a file is read, for files of a directory and for members of an archive. What the bytes mean is
told by `nvsim.elf` and `nvsim.ldcache`; facts that are known already come from `nvsim.elf.store`.
"""

from __future__ import annotations

import os

from nvsim.elf.facts import ElfFacts
from nvsim.elf.terms import HEAD, MAGIC
from nvsim.ldcache import parse_cache
from nvsim.rootfs.node import FileFacts

TEXT_LIMIT = 1 << 20  # a longer file is opaque
SCRIPT_HEAD = 256  # what the kernel reads of a script (BINPRM_BUF_SIZE)
_OTHER_HEAD = 16
_CACHE_MAGICS = (b"glibc-ld.so.cache", b"ld.so-1.7.0")
_CACHE_LIMIT = 64 << 20
_PROGRAM_LIMIT = 64 << 20


def read_content(fd: int, size: int, program: bool) -> FileFacts:
    """The facts of an open regular file of `size` bytes. `program`: look whether a binary is a loader or ldconfig. Raises OSError."""
    head = os.pread(fd, HEAD, 0)
    if head.startswith(MAGIC):
        from nvsim.elf.reader import read_descriptor  # texts are read without the readers of binaries

        elf = read_descriptor(fd, head=head, size=size, symbols=False)
        if elf is not None and elf.interp is not None:
            from nvsim.elf.nix import with_wrapper_command

            elf = with_wrapper_command(elf, size, lambda: _whole(fd, size))
        whole = _whole(fd, size) if program and size <= _PROGRAM_LIMIT else b""
        return _binary(elf, whole)
    cache = head.startswith(_CACHE_MAGICS) and size <= _CACHE_LIMIT
    if cache or (size <= TEXT_LIMIT and b"\0" not in head):
        return content_of(_whole(fd, size), program)
    return FileFacts(head=_head(head))


def content_of(data: bytes, program: bool) -> FileFacts:
    """`read_content` of a file whose bytes are all there."""
    if data.startswith(MAGIC):
        from nvsim.elf.reader import read_elf

        elf = read_elf(data, symbols=False)
        if elf is not None and elf.interp is not None:
            from nvsim.elf.nix import with_wrapper_command

            elf = with_wrapper_command(elf, len(data), lambda: data)
        return _binary(elf, data if program else b"")
    if data.startswith(_CACHE_MAGICS):
        return FileFacts(ldcache=parse_cache(data), head=data[:SCRIPT_HEAD])
    if len(data) <= TEXT_LIMIT and b"\0" not in data[:HEAD]:
        return FileFacts(text=data.decode("utf-8", "surrogateescape"))
    return FileFacts(head=_head(data))


def _binary(elf: ElfFacts | None, whole: bytes) -> FileFacts:
    if not whole:
        return FileFacts(elf=elf)
    from nvsim.elf.nix import nix_loader
    from nvsim.elf.programs import ldconfig_facts, loader_facts

    loader = loader_facts(whole) or nix_loader(whole)
    return FileFacts(elf=elf, loader=loader, ldconfig=ldconfig_facts(whole) if loader is None else None)


def _whole(fd: int, size: int) -> bytes:
    parts = []
    at = 0
    while at < size:
        part = os.pread(fd, size - at, at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _head(data: bytes) -> bytes:
    return data[: SCRIPT_HEAD if data.startswith(b"#!") else _OTHER_HEAD]
