"""Which entry of ld.so.cache a glibc loader takes for a name (``elf/dl-cache.c``, ``search_cache``)."""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.ldcache import CacheEntry, LdCache
from nvsim.loader.execve import kernel_version
from nvsim.loader.glibc.tables import GlibcRules


@frozen
class CacheView:
    """What decides among entries: the accepted `flags`, the own kind first; the active glibc-hwcaps names (best first) and the ISA level;
    the active legacy bits (with tls), all platform bits and the own one; and the running kernel as an ABI note value."""

    flags: tuple[int, ...]
    hwcaps: tuple[str, ...]
    isa_level: int
    legacy_mask: int
    platform_mask: int
    platform_bit: int
    kernel: int


def kernel_value(release: str) -> int:
    """ "6.18" as the number that ABI notes are compared with."""
    a, b, c = (*kernel_version(release), 0, 0, 0)[:3]
    return (a << 16) | (min(b, 255) << 8) | min(c, 255)


def lookup(cache: LdCache, name: str, rules: GlibcRules, view: CacheView) -> CacheEntry | None:
    """The entry that is used for `name`, or None."""
    best: CacheEntry | None = None
    priority = len(view.hwcaps)
    for entry in cache.named(name):
        if entry.flags not in view.flags:
            continue
        if entry.hwcaps_dir is not None:
            level = entry.hwcap >> 32 & 0x3FF
            usable = rules.hwcaps_in_cache and level < view.isa_level
            if usable and entry.hwcaps_dir in view.hwcaps[:priority]:
                priority = view.hwcaps.index(entry.hwcaps_dir)
                best = entry
            continue
        if best is not None and rules.hwcaps_in_cache:
            break
        if entry.hwcap and not _legacy_fits(entry.hwcap, view):
            continue
        if rules.abi_note and entry.osversion and entry.osversion > view.kernel:
            continue
        best = entry
        if entry.flags == view.flags[0]:
            break
    return best


def _legacy_fits(hwcap: int, view: CacheView) -> bool:
    """Whether all bits of a legacy entry are active, and its platform, if it has one, is this one."""
    if hwcap & ~(view.legacy_mask | view.platform_mask):
        return False
    return hwcap & view.platform_mask in (0, view.platform_bit)
