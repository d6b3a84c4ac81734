"""The ld.so.cache of a composed host: what ldconfig would write for its files, none, a stale one, or entries told one by one."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

Entries = dict[str, Any]
DEFAULT_PATH = "/etc/ld.so.cache"


def with_cache(entries: Entries, facts: Mapping[str, Any] | None, rule: Mapping[str, Any], source: str) -> Entries:
    """The entries with the cache file that `rule` (``ldcache`` of a layout) asks for, and the links that ldconfig makes.

    `facts` are those of the host's ldconfig; without one there is no cache unless its content is told.
    """
    content = rule.get("content", "generated")
    path = rule.get("path", DEFAULT_PATH)
    if content == "none":
        return entries
    if isinstance(content, list):
        return {**entries, path: _file([_entry(row) for row in content])}
    if facts is None:
        return entries
    from nvsim.loader.generated_cache import cache_of_entries

    cache, links = cache_of_entries(entries, facts, path, source)
    if content == "stale":
        missing = rule.get("missing", ())
        cache = [e for e in cache if not any(fnmatchcase(e["name"], pattern) for pattern in missing)]
        cache += [_entry(row) for row in rule.get("extra", ())]
        links = {}
    return {**entries, **links, path: _file(cache)}


def _entry(row: list[Any]) -> dict[str, Any]:
    return {"name": row[0], "flags": row[1], "path": row[2]}


def _file(cache: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "file", "mode": "0644", "ldcache": cache}
