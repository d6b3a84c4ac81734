"""The cache that ldconfig would write for a file system that is described by tree entries (host profiles, example images)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.elf.facts import ldconfig_from_json
from nvsim.loader.ldconfig.run import run_ldconfig
from nvsim.rootfs.node import Origin
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json


def cache_of_entries(
    entries: Mapping[str, Any], facts: Mapping[str, Any], path: str, source: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The ``ldcache`` list that ldconfig with `facts` writes to `path`, and the entries of the links that it makes.

    `entries` is the ``tree`` object of a tree file, `source` names it in messages. Raises `InputError` for faulty entries.
    """
    tree = tree_from_json(entries, source)
    run = run_ldconfig(tree, ldconfig_from_json(facts), ("-C", path), origin=Origin("host", "ldconfig"))
    links = {at: {"type": "symlink", "target": target} for at, target in run.links}
    return ldcache_to_json(run.cache) if run.cache is not None else [], links
