"""Container edits applied to an OCI runtime config (CDI library ``container-edits.go``, ``runtime-tools`` generator).

The config is a plain JSON object; it is copied, never changed in place. Failures are `ToolFailure`s with the library's text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

from nvsim.frozen import evolve
from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.registry import Registry
from nvsim.inject.cdi.spec import CdiHook, CdiMount, CdiNode, CdiSpec, Edits, IntelRdt
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.node import Special
from nvsim.rootfs.resolve import PathError, Resolver
from nvsim.toolkit.go_text import go_quote

_NODE_TYPES = {"block": "b", "char": "c", "fifo": "p"}


def inject_devices(
    oci: dict[str, Any],
    registry: Registry,
    devices: Iterable[str],
    host: Resolver,
    library: CdiLibrary = NEWEST_LIBRARY,
) -> dict[str, Any]:
    """`oci` with the devices of a registry added: all edits are concatenated and applied once.

    Raises `ToolFailure` ("unresolvable CDI devices ...", then nothing was edited).
    """
    names = tuple(devices)
    edits, unresolved = registry.edits_for(names)
    if unresolved:
        raise ToolFailure(f"unresolvable CDI devices {', '.join(unresolved if library.names_unresolved else names)}")
    try:
        return apply_edits(oci, edits, host, library)
    except ToolFailure as e:
        raise e.within("failed to inject devices") from None


def inject_spec(
    oci: dict[str, Any], spec: CdiSpec, host: Resolver, library: CdiLibrary = NEWEST_LIBRARY
) -> dict[str, Any]:
    """`oci` with every device of an in-memory spec and then its common edits, each applied by itself (toolkit, jit-cdi and csv)."""
    for device in spec.devices:
        try:
            oci = apply_edits(oci, device.edits, host, library)
        except ToolFailure as e:
            name = go_quote(f"{spec.kind}={device.name}")
            raise e.within(f"failed to apply edits for device {name}") from None
    return apply_edits(oci, spec.edits, host, library)


def apply_edits(
    oci: dict[str, Any], edits: Edits, host: Resolver, library: CdiLibrary = NEWEST_LIBRARY
) -> dict[str, Any]:
    """`oci` with container edits applied once; missing facts of device nodes are read from `host`. Raises `ToolFailure`."""
    out: dict[str, Any] = copied(oci)
    if edits.env:
        _add_env(_process(out), edits.env)
    for node in edits.nodes:
        _add_node(out, complete_node(node, host, fills_mode=library.fills_mode))
    for net in edits.net_devices:
        out.setdefault("linux", {}).setdefault("netDevices", {})[net.host_interface] = {"name": net.name}
    if edits.mounts:
        _add_mounts(out, edits.mounts, stable=library.stable_mounts)
    for hook in edits.hooks:
        out.setdefault("hooks", {}).setdefault(hook.name, []).append(_hook(hook))
    if edits.rdt is not None:
        out.setdefault("linux", {})["intelRdt"] = _rdt(edits.rdt)
    for gid in edits.gids:
        if gid:
            gids = _process(out)["user"].setdefault("additionalGids", [])
            if gid not in gids:
                gids.append(gid)
    return out


def copied(value: Any) -> Any:
    """A copy of a plain JSON value that can be edited; what is no object or list is shared."""
    if type(value) is dict:
        return {k: copied(v) for k, v in value.items()}
    return [copied(v) for v in value] if type(value) is list else value


def _process(oci: dict[str, Any]) -> dict[str, Any]:
    process: dict[str, Any] = oci.setdefault("process", {})
    process.setdefault("user", {}).setdefault("uid", 0)
    process["user"].setdefault("gid", 0)
    process.setdefault("cwd", "")
    return process


def _add_env(process: dict[str, Any], entries: tuple[str, ...]) -> None:
    """Append each variable; one that this same application has added is overwritten where it stands."""
    env: list[str] = process.setdefault("env", [])
    added: dict[str, int] = {}
    for entry in entries:
        name = entry.partition("=")[0]
        if name in added:
            env[added[name]] = entry
        else:
            added[name] = len(env)
            env.append(entry)


def complete_node(node: CdiNode, host: Resolver, *, fills_mode: bool = True) -> CdiNode:
    """`node` with type, number and (`fills_mode`) mode from the host's node. Raises `ToolFailure` where they cannot be known."""
    enough = bool(node.type) and (node.major != 0 or node.type == "p")
    path = node.host_path or node.path
    node = evolve(node, host_path=path)
    found = host.resolve(path, follow=False)
    error = None
    if isinstance(found, PathError):
        error = ERRNO_TEXT.get(found.errno, found.errno)
    elif not isinstance(found.node, Special) or found.node.kind not in _NODE_TYPES:
        error = "not a device node"
    if error is not None:
        if enough:
            return node
        raise ToolFailure(f"failed to stat CDI host device {go_quote(path)}: {error}")
    assert not isinstance(found, PathError) and isinstance(found.node, Special)
    special = found.node
    if node.file_mode is None and fills_mode:
        node = evolve(node, file_mode=special.mode & 0o7777)
    if enough:
        return node
    kind = _NODE_TYPES[special.kind]
    if node.type and node.type != kind:
        raise ToolFailure(
            f"CDI device ({go_quote(node.path)}, {go_quote(path)}), host type mismatch ({node.type}, {kind})"
        )
    node = evolve(node, type=kind)
    if kind != "p" and node.major == 0 and special.rdev is not None:
        node = evolve(node, major=special.rdev[0], minor=special.rdev[1])
    return node


def _add_node(oci: dict[str, Any], node: CdiNode) -> None:
    user = oci.get("process", {}).get("user", {})
    device: dict[str, Any] = {"path": node.path, "type": node.type, "major": node.major, "minor": node.minor}
    if node.file_mode is not None:
        device["fileMode"] = node.file_mode
    for key, given in (("uid", node.uid), ("gid", node.gid)):
        value = given if given is not None else user.get(key) or None
        if value is not None:
            device[key] = value
    devices: list[dict[str, Any]] = oci.setdefault("linux", {}).setdefault("devices", [])
    _remove_first(devices, "path", node.path)
    same = next((i for i, d in enumerate(devices) if d.get("path") == node.path), None)
    if same is None:
        devices.append(device)
    else:
        devices[same] = device
    if node.type in ("b", "c"):
        rule = {"allow": True, "type": node.type, "major": node.major, "minor": node.minor}
        rules = oci["linux"].setdefault("resources", {}).setdefault("devices", [])
        rules.append({**rule, "access": node.permissions or "rwm"})


def _remove_first(items: list[dict[str, Any]], key: str, value: str) -> None:
    for i, item in enumerate(items):
        if item.get(key) == value:
            del items[i]
            return


def _add_mounts(oci: dict[str, Any], mounts: tuple[CdiMount, ...], *, stable: bool) -> None:
    """Add mounts, each in place of one with the very same destination text, and sort all by the depth of the destination."""
    every: list[dict[str, Any]] = oci.setdefault("mounts", [])
    for mount in mounts:
        _remove_first(every, "destination", mount.container_path)
        entry: dict[str, Any] = {"destination": mount.container_path, "source": mount.host_path}
        if mount.type:
            entry["type"] = mount.type
        if mount.options:
            entry["options"] = list(mount.options)
        every.append(entry)
    every.sort(key=lambda m: (_depth(m), "" if stable else m.get("destination", "")))


def _depth(mount: dict[str, Any]) -> int:
    return clean_path(mount.get("destination", "")).count("/")


def clean_path(path: str) -> str:
    """Go's ``filepath.Clean``."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def _hook(hook: CdiHook) -> dict[str, Any]:
    out: dict[str, Any] = {"path": hook.path}
    if hook.args:
        out["args"] = list(hook.args)
    if hook.env:
        out["env"] = list(hook.env)
    if hook.timeout is not None:
        out["timeout"] = hook.timeout
    return out


def _rdt(rdt: IntelRdt) -> dict[str, Any]:
    out = {
        "closID": rdt.clos_id,
        "l3CacheSchema": rdt.l3_cache_schema,
        "memBwSchema": rdt.mem_bw_schema,
        "schemata": list(rdt.schemata or ()),
        "enableMonitoring": rdt.enable_monitoring,
    }
    return {k: v for k, v in out.items() if v}
