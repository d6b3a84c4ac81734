"""What hooks changed in a root, as a list that can be compared: random parts of names are written ``<uuid>`` and ``<n>``."""

from __future__ import annotations

import re
from typing import Any

from nvsim.rootfs.node import Directory, File, Node, Special, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.tree import Tree

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DROP_IN = re.compile(r"((?:00|zz)-nvcr-)\d+(\.conf)")
_CACHE = "/etc/ld.so.cache"


def random_parts(text: str) -> str:
    """`text` with random parts of file names replaced."""
    return _DROP_IN.sub(r"\1<n>\2", _UUID.sub("<uuid>", text))


def tree_changes(before: Tree, after: RootFS) -> dict[str, list[dict[str, Any]]]:
    """Nodes that were added, removed and changed, sorted by path. What lies on mounts does not count."""
    added: dict[str, dict[str, Any]] = {}
    removed, changed = [], []
    for path in after.changed_paths():
        mount = after.mount_at(path)
        if mount is not None and mount.dst != "/":
            inside = mount.fstype == "tmpfs" and mount.dst == path
            if not inside:
                continue
        old, new = before.node(path), after.node(path)
        if new is None:
            if old is not None:
                removed.append(_entry(path, old, "text"))
        elif old is None:
            entry = _entry(random_parts(path), new, "text")
            same = added.get(entry["path"])
            if same is None:
                added[entry["path"]] = entry
            else:
                same["count"] = same.get("count", 1) + 1
        else:
            pair = [_entry(path, node, "content") for node in (old, new)]
            if pair[0] != pair[1]:
                changed.append({"before": pair[0], "after": pair[1]})
    return {"added": [added[p] for p in sorted(added)], "removed": removed, "changed": changed}


def _entry(path: str, node: Node, content: str) -> dict[str, Any]:
    if isinstance(node, Symlink):
        return {"path": path, "type": "symlink", "target": node.target}
    mode = f"{node.mode:04o}"
    if isinstance(node, Directory):
        return {"path": path, "type": "dir", "mode": mode}
    if isinstance(node, Special):
        rdev = {} if node.rdev is None else {"rdev": f"{node.rdev[0]}:{node.rdev[1]}"}
        return {"path": path, "type": node.kind, "mode": mode, **rdev}
    out: dict[str, Any] = {"path": path, "type": "file", "mode": mode}
    if path != _CACHE:
        out["size"] = node.size
        text = node.facts.text if isinstance(node, File) else None
        if text is not None:
            out[content] = text
    return out
