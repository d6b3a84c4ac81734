"""The ld.so.cache file: its entries as values, and the codec between them and bytes (glibc ``sysdeps/generic/dl-cache.h``)."""

from __future__ import annotations

from attrs import frozen

FLAG_ELF_LIBC6 = 0x0003
FLAG_X86_64 = 0x0303
FLAG_AARCH64 = 0x0A03


@frozen(slots=True)
class CacheEntry:
    """One entry: `name` is the key (usually a soname), `path` the file, `flags` type and architecture (0x0303 = x86-64 libc6).

    `hwcap` is the raw 64-bit field (0 = plain; bit 62 = glibc-hwcaps); `hwcaps_dir` the glibc-hwcaps subdirectory name
    ("x86-64-v3") or None; `osversion` the kernel version of the ABI note that old writers stored (0 = none).
    """

    name: str
    path: str
    flags: int = FLAG_X86_64
    hwcap: int = 0
    hwcaps_dir: str | None = None
    osversion: int = 0


@frozen(slots=True)
class LdCache:
    """A cache file: entries in file order. `generator` is the writer's string of the extension area, where there is one."""

    entries: tuple[CacheEntry, ...] = ()
    generator: str | None = None
