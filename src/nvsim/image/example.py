"""The shipped example images (``nvsim-image/1``): a C library's files, the image's own entries, and the cache ldconfig would make.

Composed, an example says only what makes it itself; expanded it is a ``nvsim-tree/1`` document with ``config``, as users write them.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Any

from nvsim.errors import InputError
from nvsim.rootfs.datafile import FilePath, canonical_entries, find_named, names_in, read_libc, read_object
from nvsim.rootfs.treefile import FORMAT as TREE_FORMAT

FORMAT = "nvsim-image/1"


def list_examples(data: FilePath) -> tuple[str, ...]:
    """The names of the shipped images, sorted."""
    return names_in(os.path.join(data, "images"))


def read_example(name: str, data: FilePath) -> dict[str, Any]:
    """The example `name` expanded: ``tree``, ``config``, ``title``, ``sources``, ``assumptions``. Raises `InputError`."""
    own = read_object(find_named(os.path.join(data, "images"), name, "example image"), FORMAT, TREE_FORMAT)
    base = own.get("based_on")
    if base is not None:
        below = read_object(find_named(os.path.join(data, "images"), base, "example image"), FORMAT)
        own = {**below, **own, "tree": {**below.get("tree", {}), **own.get("tree", {})}}
    return own if own["format"] == TREE_FORMAT else _expand(own, data, f"images/{name}.json")


def _expand(image: dict[str, Any], data: FilePath, source: str) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    facts = None
    if image.get("libc") is not None:
        entries = dict(read_libc(image["libc"], data)["tree"])
    entries.update({p: {"type": "symlink", "target": t} for p, t in image.get("root_links", {}).items()})
    entries.update(image["tree"])
    entries = canonical_entries(entries, source)
    for pattern in image.get("remove", ()):
        entries = {path: entry for path, entry in entries.items() if not fnmatchcase(path, pattern)}
    for entry in entries.values():
        facts = entry.get("ldconfig", facts)
    if image.get("ldcache", "none") == "generated":
        if facts is None:
            raise InputError("has no ldconfig to make its cache", source=source, position="ldcache")
        from nvsim.loader.generated_cache import cache_of_entries

        cache, links = cache_of_entries(entries, facts, "/etc/ld.so.cache", source)
        made = {"type": "file", "mode": "0644", "ldcache": cache, "made_by": "ldconfig"}
        entries = {**entries, **links, "/etc/ld.so.cache": made}
    kept = ("name", "title", "sources", "uncertain", "assumptions", "config", "platform")
    return {"format": TREE_FORMAT, **{k: image[k] for k in kept if k in image}, "tree": entries}
