"""What the cache on disk holds, and emptying it. What is kept there and how is `nvsim.elf.store`."""

from __future__ import annotations

import os

from nvsim.elf.segments import open_segments
from nvsim.elf.store import cache_files, family, fingerprint
from nvsim.errors import InputError
from nvsim.frozen import frozen


@frozen
class CacheInfo:
    """What is on disk: folder, files and bytes of all versions, and the records that this version of the code can use."""

    folder: str
    files: int
    bytes: int
    records: int


def cache_info(folder: str) -> CacheInfo:
    """What is on disk now."""
    files = cache_files(folder)
    segments = open_segments(folder, family(fingerprint())).segments
    return CacheInfo(folder, len(files), sum(size for _, size, _ in files), sum(s.count for _, s in segments))


def clean_cache(folder: str) -> CacheInfo:
    """Remove every file of the cache; the answer is what was there. Raises `InputError` for a file that cannot be removed."""
    before = cache_info(folder)
    for path, _, _ in cache_files(folder):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as e:
            raise InputError(f"cannot be removed: {e.strerror}", source=path) from None
    return before
