"""The ``nvsim-tree/1`` format (see ``docs/formats.md``): JSON objects to trees and back.

Reading files from disk and finding shipped ones is not done here (`nvsim.image`, `nvsim.host`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nvsim.elf.facts import (
    elf_from_json,
    elf_to_json,
    ldconfig_from_json,
    loader_from_json,
    program_facts_to_json,
)
from nvsim.errors import InputError
from nvsim.ldcache import CacheEntry, LdCache
from nvsim.rootfs.node import (
    OPAQUE_FILE,
    Directory,
    File,
    FileFacts,
    Node,
    Origin,
    Special,
    Symlink,
)
from nvsim.rootfs.tree import MemoryTree, Tree, walk

if TYPE_CHECKING:
    from nvsim.rootfs.behaviour import Behaviour

FORMAT = "nvsim-tree/1"
_CONTENTS = ("text", "elf", "ldcache", "json")
_OPAQUE_KEYS = {"type", "size", "mode", "uid", "gid"}
_KNOWN = {*_CONTENTS, "type", "size", "mode", "uid", "gid", "loader", "ldconfig", "exit", "behaviour"}


def tree_from_json(entries: Mapping[str, Any], name: str, origin: Origin | None = None) -> MemoryTree:
    """A tree from the ``tree`` object of a tree file. `name` identifies it (file identities, messages).

    Raises `InputError` naming the path of the faulty entry.
    """
    if not isinstance(entries, Mapping):
        raise InputError("tree must be an object of path: entry", source=name)
    origin = origin or Origin("image", name)
    nodes: dict[str, Node] = {}
    hardlinks: dict[str, str] = {}
    for path, entry in entries.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
            raise InputError("an entry must be an object with a type", source=name, position=path)
        if entry["type"] == "hardlink":
            hardlinks[path] = _require(entry, "of", str, name, path)
            continue
        try:
            nodes[path] = node_from_json(entry, (name, path), origin)
        except InputError as e:
            raise InputError(e.message, source=name, position=path) from None
        except (TypeError, ValueError, AttributeError, KeyError) as e:
            raise InputError(f"entry cannot be read: {e}", source=name, position=path) from None
    for path, of in hardlinks.items():
        target = nodes.get(of)
        if not isinstance(target, File):
            raise InputError(f"hardlink of {of}, which is no file of this tree", source=name, position=path)
        nodes[path] = target
    return MemoryTree(name, nodes)


def _require(entry: Mapping[str, Any], key: str, kind: type, name: str, path: str) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind):
        raise InputError(f"{entry['type']} needs {key!r}", source=name, position=path)
    return value


def node_from_json(entry: Mapping[str, Any], inode: tuple[str, str | int], origin: Origin) -> Node:
    """One node from its entry (hard links aside). Raises `InputError`, or TypeError/ValueError for a value of a wrong type."""
    kind = entry["type"]
    meta: dict[str, Any] = {"origin": origin}
    if "mode" in entry:
        mode = entry["mode"]
        meta["mode"] = int(mode, 8) if isinstance(mode, str) else mode
    for key in ("uid", "gid"):
        if key in entry:
            meta[key] = int(entry[key])
    if kind == "dir":
        return Directory(**meta)
    if kind == "symlink":
        if not isinstance(entry.get("target"), str):
            raise InputError("symlink needs 'target'")
        meta.pop("mode", None)
        return Symlink(entry["target"], **meta)
    if kind in ("char", "block"):
        major, _, minor = str(entry.get("rdev", "")).partition(":")
        if not (major.isdigit() and minor.isdigit()):
            raise InputError(f"{kind} needs 'rdev' as MAJOR:MINOR")
        return Special(kind, (int(major), int(minor)), **meta)
    if kind in ("socket", "fifo"):
        return Special(kind, **meta)
    if kind != "file":
        raise InputError(f"unknown type {kind!r}")
    facts = _file_facts(entry)
    size = entry.get("size")
    if size is None:
        size = _natural_size(facts)
    return File(int(size), inode, facts, **meta)


def _natural_size(facts: FileFacts) -> int:
    """The size of a file whose entry does not tell it: that of its text or cut, else any that is no special case."""
    if facts.text is not None:
        return len(facts.text.encode("utf-8", "surrogateescape"))
    if facts.elf is not None and facts.elf.truncate is not None:
        return facts.elf.truncate
    return 0 if facts == FileFacts() else 4096


def _file_facts(entry: Mapping[str, Any]) -> FileFacts:
    if entry.keys() <= _OPAQUE_KEYS:
        return OPAQUE_FILE
    given = [k for k in _CONTENTS if k in entry]
    if len(given) > 1:
        raise InputError(f"a file has at most one of {', '.join(_CONTENTS)}; this one has {', '.join(given)}")
    kw: dict[str, Any] = {}
    if "text" in entry:
        if not isinstance(entry["text"], str):
            raise InputError("text must be a string")
        kw["text"] = entry["text"]
    if "elf" in entry:
        kw["elf"] = elf_from_json(entry["elf"])
    if "ldcache" in entry:
        kw["ldcache"] = ldcache_from_json(entry["ldcache"])
    if "json" in entry:
        kw["json"] = entry["json"]
    if "loader" in entry:
        kw["loader"] = loader_from_json(entry["loader"])
    if "ldconfig" in entry:
        kw["ldconfig"] = ldconfig_from_json(entry["ldconfig"])
    if "behaviour" in entry or "exit" in entry:
        kw["behaviour"] = _behaviour(entry)
    extra = {k: v for k, v in entry.items() if k not in _KNOWN}
    return FileFacts(**kw, extra=extra)


def _behaviour(entry: Mapping[str, Any]) -> Behaviour:
    from nvsim.rootfs.behaviour import Behaviour, DlopenWish

    data = entry.get("behaviour", {})
    wishes = tuple(
        DlopenWish(d["name"], int(d.get("flags", 2)), d.get("from", "main"), bool(d.get("required", True)))
        for d in data.get("dlopen", ())
    )
    status = data.get("exit", entry.get("exit"))
    return Behaviour(wishes, None if status is None else int(status))


def ldcache_from_json(entries: Any) -> LdCache:
    """`LdCache` from the ``ldcache`` list of a tree entry. Raises `InputError`."""
    if not isinstance(entries, list):
        raise InputError("ldcache must be a list of entries")
    out = []
    for e in entries:
        try:
            flags = e.get("flags", 0x0303)
            hwcap = e.get("hwcap") or 0
            out.append(
                CacheEntry(
                    e["name"],
                    e["path"],
                    int(flags, 0) if isinstance(flags, str) else int(flags),
                    int(hwcap, 0) if isinstance(hwcap, str) else int(hwcap),
                    e.get("hwcaps_dir"),
                    int(e.get("osversion", 0)),
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise InputError(f"ldcache entry {e!r} needs name, path and flags") from err
    return LdCache(tuple(out))


def ldcache_to_json(cache: LdCache) -> list[dict[str, Any]]:
    """The ``ldcache`` list of a tree entry."""
    out = []
    for e in cache.entries:
        entry: dict[str, Any] = {"name": e.name, "path": e.path, "flags": f"0x{e.flags:04x}"}
        if e.hwcap:
            entry["hwcap"] = e.hwcap
        if e.hwcaps_dir is not None:
            entry["hwcaps_dir"] = e.hwcaps_dir
        if e.osversion:
            entry["osversion"] = e.osversion
        out.append(entry)
    return out


def node_to_json(node: Node) -> dict[str, Any]:
    """The entry of one node. The content of a lazily read file is read now."""
    out: dict[str, Any] = {}
    if isinstance(node, Directory):
        out["type"] = "dir"
    elif isinstance(node, Symlink):
        out.update(type="symlink", target=node.target)
    elif isinstance(node, Special):
        out["type"] = node.kind
        if node.rdev is not None:
            out["rdev"] = f"{node.rdev[0]}:{node.rdev[1]}"
    else:
        out.update(type="file", size=node.size)
        facts_to_json(node.facts, out)
    if not isinstance(node, Symlink) and node.mode != 0o755:
        out["mode"] = f"{node.mode:04o}"
    if node.uid:
        out["uid"] = node.uid
    if node.gid:
        out["gid"] = node.gid
    return out


def facts_to_json(facts: FileFacts, out: dict[str, Any]) -> None:
    if facts.text is not None:
        out["text"] = facts.text
    if facts.elf is not None:
        out["elf"] = elf_to_json(facts.elf)
    if facts.ldcache is not None:
        out["ldcache"] = ldcache_to_json(facts.ldcache)
    if facts.json is not None:
        out["json"] = facts.json
    if facts.loader is not None:
        out["loader"] = program_facts_to_json(facts.loader)
    if facts.ldconfig is not None:
        out["ldconfig"] = program_facts_to_json(facts.ldconfig)
    if facts.behaviour is not None:
        wishes = [
            {"name": w.name, "flags": w.flags, "from": w.caller, "required": w.required} for w in facts.behaviour.dlopen
        ]
        if wishes:
            out["behaviour"] = {"dlopen": wishes, "exit": facts.behaviour.exit}
        else:
            out["exit"] = facts.behaviour.exit
    out.update(facts.extra)


def tree_to_json(tree: Tree, keep: Callable[[str], bool] = lambda path: True) -> dict[str, Any]:
    """The ``tree`` object: every node below the root for which `keep(path)` holds; a second name of a file becomes a hardlink."""
    out: dict[str, Any] = {}
    first: dict[tuple[str, str | int], str] = {}
    for path, node in walk(tree):
        if path == "/" or not keep(path):
            continue
        if isinstance(node, File):
            of = first.setdefault(node.inode, path)
            if of != path:
                out[path] = {"type": "hardlink", "of": of}
                continue
        out[path] = node_to_json(node)
    return out


def dump(document: Mapping[str, Any]) -> str:
    """The text of a tree file: keys sorted, one tree entry a line, so that two files can be compared line by line."""
    lines = []
    for key in sorted(document):
        value = document[key]
        if key == "tree":
            entries = [f"{json.dumps(p)}: {json.dumps(value[p], sort_keys=True)}" for p in sorted(value)]
            joined = ",\n".join(entries)
            lines.append(f'"tree": {{\n{joined}\n}}' if entries else '"tree": {}')
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
