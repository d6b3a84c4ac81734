"""The CDI spec files that lie on a host, by directory. Reading them is `nvsim.inject.cdi.registry`."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable

from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree, join


def spec_files(tree: Tree, dirs: Iterable[str]) -> dict[str, str]:
    """The text of every spec file of the CDI directories of a host. A directory that is itself a symlink is not entered."""
    resolver = Resolver(tree)
    out = {}
    for directory in dirs:
        clean = posixpath.normpath(directory)
        at = resolver.resolve(clean, follow=False)
        if not isinstance(at, Resolved) or not isinstance(at.node, Directory):
            continue
        for name in tree.names(at.path):
            found = resolver.resolve(join(at.path, name))
            if isinstance(found, Resolved) and isinstance(found.node, File) and name.endswith((".json", ".yaml")):
                out[join(clean, name)] = _text(found.node)
    return out


def _text(file: File) -> str:
    facts = file.facts
    if facts.text is not None:
        return facts.text
    return "" if facts.json is None else json.dumps(facts.json)
