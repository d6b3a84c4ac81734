"""A composed host profile (layout x driver set x overrides) to the expanded form, as JSON values.

The expanded form holds the whole ``tree`` and no reference to other files; `nvsim.host.read` makes a `HostProfile` of it. The faults of
hand-written files are told by `nvsim.host.validate` before they come here. Rules: ``docs/formats-data.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from nvsim.host.cache import with_cache
from nvsim.host.devices import device_entries, proc_entries, sys_entries
from nvsim.host.place import Entries, alternative_entries, driver_entries, fill_all, variables
from nvsim.host.toolkit import program_entries
from nvsim.rootfs.datafile import FilePath, canonical_entries, find_named, read_libc, read_object

LAYOUT_FORMAT = "nvsim-layout/1"
DRIVER_FORMAT = "nvsim-driver/1"
DEFAULT_KERNEL = "6.1"
_OF_ENGINE = ("engine_version", "engine_cdi")
_DIRECTORIES = ("/dev", "/etc", "/opt", "/proc", "/root", "/run", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin", "/var")


def read_layout(name: str, data: FilePath) -> dict[str, Any]:
    """A layout with what it is based on merged in: objects key by key, everything else replaced; sources are collected."""
    own = read_object(find_named(os.path.join(data, "layouts"), name, "layout"), LAYOUT_FORMAT)
    base = own.get("based_on")
    if base is None:
        return own
    below = read_layout(base, data)
    merged = merge(below, own)
    merged["sources"] = [*below.get("sources", ()), *own.get("sources", ())]
    return merged


def read_driver(name: str, data: FilePath) -> dict[str, Any]:
    """The driver set `name`."""
    return read_object(find_named(os.path.join(data, "drivers"), name, "driver set"), DRIVER_FORMAT)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: objects are merged key by key, anything else is replaced."""
    out = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


def expand(profile: Mapping[str, Any], data: FilePath) -> dict[str, Any]:
    """The expanded form of a valid composed profile. Raises `InputError` for a reference to something that does not exist."""
    overrides = profile.get("overrides", {})
    layout = merge(read_layout(profile["layout"], data), {k: v for k, v in overrides.items() if k != "tree"})
    told = profile.get("driver", {})
    driver = read_driver(told["set"], data) if told.get("set") else None
    version = driver["driver"] if driver else None
    module = told.get("kernel_module", version)
    gpus = profile.get("gpus") or []
    kernel = profile.get("kernel", layout.get("kernel", DEFAULT_KERNEL))
    machine = driver["machine"] if driver else "x86_64"
    root = told.get("root", layout.get("driver_root", "/"))

    tree = _root_tree(layout, driver, kernel, overrides, data)
    if root != "/":
        below = {f"{root}{path}": entry for path, entry in tree.items()}
        tree = {**_root_tree(read_layout(layout["host"], data), None, kernel, {}, data), **below}
    devices = layout.get("devices", "standard")
    shown = {
        **(device_entries(devices, gpus) if module is not None or isinstance(devices, list) else {}),
        **proc_entries(module, machine, gpus, devices),
        **sys_entries(gpus, devices),
    }
    for prefix in {"/": "", root: "" if root == "/" else root}.values():
        tree.update({f"{prefix}{path}": entry for path, entry in shown.items()})
    tree.update({path: {"type": "dir"} for path in _DIRECTORIES if path not in tree and not _below_link(path, tree)})

    libc = _libc(layout, data)
    toolkit = _toolkit(layout.get("toolkit", {}), profile.get("toolkit") or {})
    toolkit = fill_all(toolkit, variables(driver, kernel))
    if isinstance(toolkit.get("config"), Mapping):
        toolkit["config"] = toml_text(toolkit["config"])
    tree.update(program_entries(toolkit, tree))
    sources = dict.fromkeys(
        [
            *profile.get("sources", ()),
            *layout.get("sources", ()),
            *(driver["sources"] if driver else ()),
            *libc["sources"],
        ]
    )
    return {
        "format": profile["format"],
        "name": profile["name"],
        "title": profile.get("title", profile["name"]),
        "os": {"arch": machine, **layout.get("os", {}), "libc": libc["libc"]},
        "kernel": kernel,
        "cpu": profile.get("cpu", layout.get("cpu", {})),
        "driver": {
            "version": version,
            "cuda": driver["cuda"] if driver else None,
            "root": root,
            "kernel_module": module,
            "open": told.get("open", False),
            "nvml_init": told.get("nvml_init", 0),
        },
        "gpus": gpus,
        "toolkit": toolkit,
        "mode": profile.get("mode"),
        **{key: profile[key] for key in ("dxcore_driver_store_paths",) if key in profile},
        "sources": list(sources),
        "assumptions": list(profile.get("assumptions", ())),
        "uncertain": {**layout.get("uncertain", {}), **{f"libc.{i}": t for i, t in enumerate(libc["uncertain"])}},
        "tree": tree,
    }


def _toolkit(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The toolkit of a layout with a profile's laid over it; what is told of one engine does not hold for another."""
    if above.get("engine", below.get("engine", "docker")) != below.get("engine", "docker"):
        below = {key: value for key, value in below.items() if key not in _OF_ENGINE}
    return merge(below, above)


def _below_link(path: str, tree: Mapping[str, Any]) -> bool:
    head = path.rpartition("/")[0]
    return bool(head) and (tree.get(head, {}).get("type") == "symlink" or _below_link(head, tree))


def _root_tree(
    layout: Mapping[str, Any],
    driver: Mapping[str, Any] | None,
    kernel: str,
    overrides: Mapping[str, Any],
    data: FilePath,
) -> Entries:
    """One root file system: C library, distribution, driver, overrides, and at last its ld.so.cache."""
    names = variables(driver, kernel)
    entries: Entries = {
        path: {"type": "symlink", "target": target} for path, target in layout.get("root_links", {}).items()
    }
    entries["/var/run"] = {"type": "symlink", "target": "/run"}
    entries["/tmp"] = {"type": "dir", "mode": "1777"}
    libc = _libc(layout, data)["tree"]
    entries.update({path: entry for path, entry in libc.items() if "ldconfig" not in entry})
    facts = _add_ldconfig(entries, libc, layout)
    entries.update(_distribution(layout))
    if driver is not None:
        entries.update(driver_entries(driver, layout, names))
        entries.update(fill_all(layout.get("driver_tree", {}), names))
        for socket in layout.get("sockets", ()):
            entries[socket] = {"type": "socket", "mode": "0777"}
    entries.update(fill_all(layout.get("tree", {}), names))
    entries.update(fill_all(overrides.get("tree", {}), names))
    entries.update(alternative_entries(layout, names, entries))
    entries = canonical_entries(entries, layout["name"])
    for pattern in fill_all(layout.get("remove", []), names):
        entries = {path: entry for path, entry in entries.items() if not fnmatchcase(path, pattern)}
    return with_cache(entries, facts, layout.get("ldcache", {}), layout["name"])


def _libc(layout: Mapping[str, Any], data: FilePath) -> Mapping[str, Any]:
    """The layout's C library; an empty one for a host whose libc is not known."""
    if layout.get("libc") is None:
        return {"libc": {}, "tree": {}, "sources": [], "uncertain": ["the host's C library is not known"]}
    return read_libc(layout["libc"], data)


def _add_ldconfig(entries: Entries, libc: Mapping[str, Any], layout: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Put the libc's ldconfig where the layout has it, behind a script where that is its way. Returns its facts."""
    program = next((entry for entry in libc.values() if "ldconfig" in entry), None)
    told = layout.get("ldconfig", {"path": "/sbin/ldconfig", "kind": "elf"})
    if program is None or told is None:
        return None
    path = told["path"]
    if told.get("kind") == "script":
        text = f'#!/bin/sh\nexec {path}.real "$@"\n'
        entries[path] = {"type": "file", "size": len(text), "mode": "0755", "text": text}
        path += ".real"
    entries[path] = program
    facts: Mapping[str, Any] = program["ldconfig"]
    return facts


def _distribution(layout: Mapping[str, Any]) -> Entries:
    """The files that name the distribution, and ld.so.conf."""
    out: Entries = {}
    told = layout.get("os", {})
    lines = [f"ID={told.get('id', 'linux')}"]
    if told.get("version_id"):
        lines.append(f'VERSION_ID="{told["version_id"]}"')
    if told.get("id_like"):
        lines.append(f'ID_LIKE="{" ".join(told["id_like"])}"')
    out["/etc/os-release"] = _text("\n".join(lines) + "\n")
    for path, content in layout.get("ld_so_conf", {}).items():
        out[path] = _text("".join(f"{line}\n" for line in content))
    return out


def _text(text: str) -> dict[str, Any]:
    return {"type": "file", "size": len(text.encode()), "mode": "0644", "text": text}


def toml_text(settings: Mapping[str, Any]) -> str:
    """TOML of an object whose keys are dotted ("nvidia-container-cli.ldconfig"): the last part is the key, the rest the table."""
    tables: dict[str, list[str]] = {"": []}
    for dotted, value in settings.items():
        table, _, key = dotted.rpartition(".")
        tables.setdefault(table, []).append(f"{key} = {json.dumps(value)}")
    parts = ["\n".join([f"[{table}]", *lines] if table else lines) for table, lines in sorted(tables.items()) if lines]
    return "\n\n".join(parts) + "\n"
