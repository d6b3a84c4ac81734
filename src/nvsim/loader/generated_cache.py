"""The cache that ldconfig would write for a file system that is described by tree entries (host profiles, example images)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cache_of_entries(
    entries: Mapping[str, Any], facts: Mapping[str, Any], path: str, source: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The ``ldcache`` list that ldconfig with `facts` writes to `path`, and the entries of the links that it makes."""
    return [], {}
