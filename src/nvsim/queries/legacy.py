"""Answers about nvidia-container-cli (kind ``tool``): one run, with the host and the container that it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.host.profile import Driver, Gpu, HostProfile, MigDevice, Toolkit
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import ROOTFS, run_cli
from nvsim.inject.plan import Injected
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Special, Symlink
from nvsim.rootfs.overlay import Mount, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.rootfs.tree import MemoryTree, Tree, is_canonical, join, walk
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json

Query = Mapping[str, Any]
_ENGINE = "1.17.7-equivalent"
_MAX_GPUS, _MAX_MIG_DEVICES = 64, 8  # as the engine has
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one query. Raises `InputError` for a query that cannot be understood."""
    argv = query.get("argv")
    if not isinstance(argv, list) or not all(isinstance(a, str) for a in argv):
        raise InputError("argv must be a list of strings")
    host = host_of_query(query)
    start = container_of_query(query)
    env = dict(host.toolkit.env)
    if host.toolkit.path is not None:
        env["PATH"] = host.toolkit.path
    given = ("--pid=1", f"/{ROOTFS}") if "configure" in argv else ()
    run = run_cli(host, start, (*argv, *given), env=env, engine=_optional(query, "engine", str) or _ENGINE)
    if run.exit == 0 and run.plan is None:
        told = {"rc": 0, "error": None, "stdout": list(run.stdout)}
        return told if run.unknown is None else {**told, "unknown": run.unknown}
    if run.plan is None:
        injected = Injected(start, failure=run.stderr, exit=run.exit)
    else:
        injected = apply(run.plan, start, host)
    out: dict[str, Any] = {"rc": injected.exit, "error": injected.failure}
    if "configure" not in argv:
        return out
    return {**out, **_observed(start, injected.rootfs), "text": _written(injected)}


def host_of_query(query: Query) -> HostProfile:
    """The host of a query: its tree with the changes, and what NVML answers there."""
    entry = query.get("host")
    if not isinstance(entry, Mapping) or not isinstance(entry.get("tree"), Mapping):
        raise InputError("host must be an object with a tree")
    name = str(entry.get("name") or "host")
    tree = _changed(
        tree_from_json(entry["tree"], name, Origin("host", name)), _optional(query, "host_changes", list) or []
    )
    nvml = _optional(query, "nvml", Mapping) or {}
    version = _optional(nvml, "driver_version", str)
    env = _optional(query, "env", Mapping) or {}
    path = query.get("path", _PATH)
    if path is not None and not isinstance(path, str):
        raise InputError("path must be a string or null")
    return HostProfile(
        name,
        name,
        tree,
        Driver(version, version, _optional(nvml, "cuda_version", str), nvml_init=_number(nvml, "init_result", 2**31)),
        _gpus(nvml),
        Toolkit(None, path=path, env=tuple((str(k), str(v)) for k, v in env.items())),
        data={k: v for k, v in entry.items() if k != "tree"},
    )


def _optional(query: Query, key: str, kind: type) -> Any:
    """The value of `key` if it is there and of the right kind, None if it is not there. Raises `InputError`."""
    value = query.get(key)
    if value is not None and not isinstance(value, kind):
        raise InputError(f"{key} must be {_KINDS[kind]}")
    return value


_KINDS: Mapping[type, str] = {Mapping: "an object", str: "a string", list: "a list"}


def _number(query: Query, key: str, limit: int) -> int:
    value = query.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise InputError(f"{key} must be a number from 0 to {limit}")
    return value


def _gpus(nvml: Query) -> tuple[Gpu, ...]:
    """The GPUs of an ``nvml`` table that only counts them (``docs/formats.md``: its fixed bus ids, UUIDs and MIG scheme)."""
    count, migs = _number(nvml, "gpus", _MAX_GPUS), _number(nvml, "mig_devices_per_gpu", _MAX_MIG_DEVICES)
    return tuple(
        Gpu(
            i,
            f"GPU-00000000-0000-0000-0000-{i + 1:012d}",
            f"0000:{0x3B + i:02x}:00.0",
            str(nvml.get("model") or ""),
            str(nvml.get("brand") or ""),
            str(nvml.get("compute_capability") or ""),
            tuple(MigDevice(f"MIG-00000000-0000-0000-{i:04d}-{k:012d}", k, 0) for k in range(1, migs + 1)),
            migs > 0,
        )
        for i in range(count)
    )


def _changed(tree: Tree, changes: list[Any]) -> Tree:
    """`tree` after edits such as ["rm", PATH], ["mkdir", PATH], ["write", PATH, TEXT], ["chmod", PATH, MODE]."""
    editor = RootFS(tree).edit()
    for change in changes:
        if not isinstance(change, list) or len(change) < 2 or not all(isinstance(c, str | int) for c in change):
            raise InputError(f"host_changes: {change!r} is no edit")
        what, path = change[0], str(change[1])
        if path == "/" or not is_canonical(path):
            raise InputError(f"host_changes: {path!r} is no absolute path of something that can be changed")
        found = resolve(editor, path, follow=what in ("write", "chmod"))
        where = found.path if isinstance(found, Resolved) else _missing(found, path)
        node = found.node if isinstance(found, Resolved) else None
        if what == "rm":
            editor.remove(where)
        elif what == "mkdir":
            editor.put(where, Directory())
        elif what == "write" and len(change) == 3:
            text = str(change[2])
            mode = node.mode if isinstance(node, File) else 0o644
            editor.put(where, File(len(text), (tree.name, f"{where} changed"), FileFacts(text=text), mode))
        elif what == "chmod" and len(change) == 3 and node is not None and not isinstance(node, Symlink):
            editor.put(where, evolve(node, mode=_mode(change[2])))
        else:
            raise InputError(f"host_changes: {change!r} is no edit of this host")
    return editor.freeze()


def _missing(error: PathError, path: str) -> str:
    """Where a path that does not exist would lie."""
    if error.errno != "ENOENT" or not is_canonical(where := join(error.parent, error.rest)):
        raise InputError(f"host_changes: {path} cannot be reached: {error.errno} at {error.path}")
    return where


def _mode(value: str | int) -> int:
    try:
        mode = value if isinstance(value, int) else int(value.removeprefix("0o"), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise InputError(f"host_changes: {value!r} is no file mode")
    return mode


def container_of_query(query: Query) -> RootFS:
    """The container's root as a runtime prepared it: /proc, /sys and /dev are mounted, unless the query says otherwise."""
    entry = query.get("container")
    if entry is None:
        return RootFS(MemoryTree("none", {}))
    if not isinstance(entry, Mapping) or not isinstance(entry.get("tree"), Mapping):
        raise InputError("container must be an object with a tree")
    name = str(entry.get("name") or "container")
    base = tree_from_json(entry["tree"], name, Origin("image", name))
    mounts = (Mount("/", "rootfs", frozenset({"ro"})),) if query.get("rootfs_readonly") else ()
    root = RootFS(base, mounts=mounts)
    if query.get("no_engine_mountpoints"):
        return root
    editor = root.edit()
    origin = Origin("engine")
    for path, nodes in (("/proc", {"/driver/nvidia": Directory()}), ("/sys", {}), ("/dev", {})):
        if not isinstance(editor.node(path), Directory):
            editor.put(path, Directory(origin=origin))
        editor.mount_directory(Mount(path, path[1:], fstype=path[1:]), MemoryTree(path[1:], nodes), "/", origin)
    return editor.freeze()


def _observed(start: RootFS, end: RootFS) -> dict[str, Any]:
    """What can be seen in the container after the run, as against before it."""
    before = list(start.mounts)
    mounts = []
    for mount in end.mounts:
        if mount in before:
            before.remove(mount)
            continue
        entry: dict[str, Any] = {
            "src": mount.src,
            "dst": mount.dst,
            "fstype": mount.fstype,
            "flags": sorted(mount.flags),
        }
        if mount.fstype == "bind":
            node = end.node(mount.dst)
            entry["src_side"] = "host" if node is not None and node.origin.kind == "host" else "container"
        mounts.append(entry)
    targets = {m["dst"] for m in mounts}
    links, directories = [], []
    for path in end.changed_paths():
        node, old = end.node(path), start.node(path)
        if path in targets or any(path.startswith(f"{t}/") for t in targets):
            continue
        if isinstance(node, Symlink) and not (isinstance(old, Symlink) and old.target == node.target):
            made_by = "engine" if node.origin.kind == "engine" else "ldconfig"
            links.append({"path": path, "target": node.target, "made_by": made_by})
        elif isinstance(node, Directory) and old is None:
            directories.append(path)
    devices = [
        {"path": path, "rdev": f"{node.rdev[0]}:{node.rdev[1]}"}
        for path, node in walk(end, "/dev")
        if isinstance(node, Special) and node.rdev is not None
    ]
    return {
        "mounts": mounts,
        "symlinks": links,
        "created_dirs": directories,
        "devices": devices,
        **_ldcache(start, end),
    }


def _written(injected: Injected) -> dict[str, str]:
    """The files that the engine wrote, with their text."""
    out = {}
    for effect in injected.effects:
        node = injected.rootfs.node(effect.path)
        if effect.kind == "file" and effect.by == "engine" and isinstance(node, File):
            out[effect.path] = node.facts.text or ""
    return out


def _ldcache(start: RootFS, end: RootFS) -> dict[str, Any]:
    def cache(root: RootFS) -> File | None:
        found = resolve(root, "/etc/ld.so.cache")
        return found.node if isinstance(found, Resolved) and isinstance(found.node, File) else None

    node = cache(end)
    if node is None:
        return {"ldcache_state": "absent"}
    old = cache(start)
    before, after = (f.facts.ldcache if f is not None else None for f in (old, node))
    same = old is node or (before is not None and after is not None and before.entries == after.entries)
    state = {"ldcache_state": "unchanged" if same else "rewritten"}
    if node.facts.ldcache is None:
        return state
    return {**state, "ldcache_entries": ldcache_to_json(node.facts.ldcache)}
