"""Which entry of ld.so.cache a glibc loader takes for a name (``elf/dl-cache.c``, ``search_cache``)."""

from __future__ import annotations

from attrs import frozen

from nvsim.ldcache import CacheEntry, LdCache, name_key
from nvsim.loader.execve import kernel_version
from nvsim.loader.glibc.tables import GlibcRules


@frozen(slots=True)
class CacheView:
    """What decides among entries: the accepted `flags`, the active glibc-hwcaps names (best first), the active legacy bits and
    the bits of platform names, and the running kernel as an ABI note value."""

    flags: tuple[int, ...]
    hwcaps: tuple[str, ...]
    legacy_mask: int
    platform_mask: int
    kernel: int


def kernel_value(release: str) -> int:
    """ "6.18" as the number that ABI notes are compared with."""
    a, b, c = (*kernel_version(release), 0, 0, 0)[:3]
    return (a << 16) | (min(b, 255) << 8) | min(c, 255)


def lookup(cache: LdCache, name: str, rules: GlibcRules, view: CacheView) -> CacheEntry | None:
    """The entry that is used, or None."""
    key = name_key(name)
    best: CacheEntry | None = None
    priority = len(view.hwcaps)
    for entry in cache.entries:
        if entry.flags not in view.flags or name_key(entry.name) != key:
            continue
        if rules.abi_note and entry.osversion and entry.osversion & 0xFFFFFF > view.kernel:
            continue
        if entry.hwcaps_dir is not None:
            if rules.glibc_hwcaps and entry.hwcaps_dir in view.hwcaps[:priority]:
                priority = view.hwcaps.index(entry.hwcaps_dir)
                best = entry
            continue
        if entry.hwcap == 0:
            return best or entry
        if best is not None and rules.legacy_bits:
            return best
        if rules.legacy_bits and not entry.hwcap & ~view.legacy_mask:
            platform = entry.hwcap & view.platform_mask
            if platform == 0 or platform & view.legacy_mask == platform:
                return entry
    return best
