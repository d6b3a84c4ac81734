"""Reading host profiles: shipped ones by name or a file, composed or expanded, to a `HostProfile` and back to JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError, did_you_mean
from nvsim.host.devices import device_entries
from nvsim.host.profile import Driver, Gpu, HostProfile, KeptSpec, MigDevice, Toolkit
from nvsim.host.toolkit import program_entries
from nvsim.host.validate import check_profile
from nvsim.loader.outcome import Cpu
from nvsim.rootfs.datafile import FilePath, canonical_entries, names_in, read_object
from nvsim.rootfs.node import Origin
from nvsim.rootfs.treefile import tree_from_json, tree_to_json

FORMAT = "nvsim-host/1"


def list_hosts(data: FilePath) -> tuple[str, ...]:
    """The names of the shipped profiles, sorted."""
    return names_in(os.path.join(data, "host_profiles"))


def load_host(name_or_path: str, data: FilePath) -> HostProfile:
    """A shipped profile by name, or a profile from a file (a name with a slash or ending in .json or .gz).

    Raises `InputError`: unknown name (with near ones), unreadable file, broken JSON, or an invalid profile with all its faults.
    """
    profile, source = read_profile(name_or_path, data)
    return host_from_json(profile, data, source)


def read_profile(name_or_path: str, data: FilePath) -> tuple[dict[str, Any], str]:
    """The profile's JSON as it stands in its file, and what to call it in messages. Raises `InputError`."""
    shipped = os.path.join(data, "host_profiles", f"{name_or_path}.json")
    is_path = "/" in name_or_path or name_or_path.endswith((".json", ".gz"))
    if not is_path and name_or_path in names_in(os.path.join(data, "host_profiles")):
        return read_object(shipped, FORMAT), f"host_profiles/{name_or_path}.json"
    if is_path:
        if not os.path.lexists(name_or_path):
            raise InputError("no such file", source=name_or_path)
        return read_object(name_or_path, FORMAT, unique=True), name_or_path
    raise InputError(f"unknown host {name_or_path!r}", hint=did_you_mean(name_or_path, list_hosts(data)))


def host_from_json(profile: Mapping[str, Any], data: FilePath, source: str = "host") -> HostProfile:
    """A `HostProfile` from the JSON of a composed, expanded or captured profile. Raises `InputError` with all faults."""
    check_profile(profile, data, source)
    if "layout" in profile:
        from nvsim.host.compose import expand

        expanded = expand(profile, data)
    else:
        expanded = _captured(profile)
    name = str(expanded.get("name", source))
    entries = canonical_entries(expanded["tree"], source)
    told = expanded.get("driver") or {}
    version = told.get("version")
    driver = Driver(
        version,
        told.get("kernel_module", version),
        told.get("cuda"),
        told.get("root", "/"),
        bool(told.get("open", False)),
        int(told.get("nvml_init", 0)),
    )
    return HostProfile(
        name,
        expanded.get("title", name),
        tree_from_json(entries, f"host:{name}", Origin("host", name)),
        driver,
        tuple(_gpu(g) for g in expanded.get("gpus") or ()),
        _toolkit(expanded.get("toolkit") or {}),
        _cpu(expanded.get("cpu") or {}, expanded.get("os", {}).get("arch", "x86_64")),
        str(expanded.get("kernel") or "6.1"),
        expanded.get("os", {}),
        expanded.get("mode"),
        tuple(expanded.get("sources", ())),
        tuple(expanded.get("assumptions", ())),
        {
            **{k: v for k, v in expanded.items() if k != "tree"},
            "profile": dict(profile) if "layout" in profile else None,
        },
    )


def _captured(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The expanded form of a captured profile, whose cache, conf files and devices may stand beside the tree."""
    out = dict(profile)
    tree = dict(profile["tree"])
    assumptions = list(profile.get("assumptions", ()))
    for path, lines in (profile.get("ld_so_conf") or {}).items():
        text = "".join(f"{line}\n" for line in lines)
        tree.setdefault(path, {"type": "file", "size": len(text.encode()), "mode": "0644", "text": text})
    cache = profile.get("ldcache")
    if isinstance(cache, list):
        tree.setdefault("/etc/ld.so.cache", {"type": "file", "mode": "0644", "ldcache": cache})
        total = profile.get("ldcache_total")
        if isinstance(total, int) and total > len(cache):
            assumptions.append(
                f"the ld.so.cache of {profile.get('name')} had {total} entries; {len(cache)} were captured"
            )
    if profile.get("devices") is not None:
        tree = {**device_entries(profile["devices"], profile.get("gpus") or ()), **tree}
    tree |= program_entries(profile.get("toolkit") or {}, tree)
    if "kernel_module" not in (profile.get("driver") or {}):
        assumptions.append(f"{profile.get('name')}: the kernel module is taken to be of the driver's version")
    out.update(tree=tree, assumptions=assumptions)
    return out


def _gpu(data: Mapping[str, Any]) -> Gpu:
    mig = tuple(MigDevice(m["uuid"], m["gi"], m["ci"], m.get("profile", "")) for m in data.get("mig", ()))
    enabled = bool(data.get("mig_enabled", bool(mig)))
    return Gpu(data["minor"], data["uuid"], data["pci"], data["model"], data["brand"], data["compute"], mig, enabled)


def _toolkit(data: Mapping[str, Any]) -> Toolkit:
    default = Toolkit(None)
    return Toolkit(
        data.get("version"),
        data.get("runtime") or default.runtime,
        data.get("config"),
        data.get("path", default.path),
        data.get("engine", default.engine),
        tuple(sorted(data.get("env", {}).items())),
        data.get("engine_version"),
        data.get("engine_cdi"),
        data.get("device_plugin"),
        tuple(_kept_spec(path, told) for path, told in sorted((data.get("cdi_specs") or {}).items())),
    )


def _kept_spec(path: str, told: Mapping[str, Any]) -> KeptSpec:
    return KeptSpec(path, tuple(told.get("argv", ())), tuple((m[0], m[1]) for m in told.get("mounts", ())))


def _cpu(data: Mapping[str, Any], machine: str) -> Cpu:
    default = Cpu()
    return Cpu(
        data.get("isa_level", default.isa_level),
        data.get("platform", default.platform),
        tuple(data.get("hwcaps", default.hwcaps)),
        machine,
    )


def host_to_json(profile: HostProfile, expanded: bool = True) -> dict[str, Any]:
    """The profile's JSON: expanded (with its whole tree, no references), or as it was composed where it was."""
    composed = profile.data.get("profile")
    if not expanded and composed is not None:
        return dict(composed)
    gpus = [
        {
            "minor": g.minor,
            "uuid": g.uuid,
            "pci": g.pci,
            "model": g.model,
            "brand": g.brand,
            "compute": g.compute,
            "mig": [{"uuid": m.uuid, "gi": m.gi, "ci": m.ci, "profile": m.profile} for m in g.mig],
            "mig_enabled": g.mig_enabled,
        }
        for g in profile.gpus
    ]
    driver, toolkit, cpu = profile.driver, profile.toolkit, profile.cpu
    out: dict[str, Any] = {
        "format": FORMAT,
        "name": profile.name,
        "title": profile.title,
        "os": dict(profile.os),
        "kernel": profile.kernel,
        "cpu": {"isa_level": cpu.isa_level, "platform": cpu.platform, "hwcaps": list(cpu.hwcaps)},
        "driver": {
            "version": driver.version,
            "kernel_module": driver.kernel_module,
            "cuda": driver.cuda,
            "root": driver.root,
            "open": driver.open,
            "nvml_init": driver.nvml_init,
        },
        "gpus": gpus,
        "toolkit": {
            "version": toolkit.version,
            "runtime": toolkit.runtime,
            "config": toolkit.config,
            "path": toolkit.path,
            "engine": toolkit.engine,
            "env": dict(toolkit.env),
            "engine_version": toolkit.engine_version,
            "engine_cdi": toolkit.engine_cdi,
            "device_plugin": toolkit.device_plugin,
            "cdi_specs": {
                k.path: {"argv": list(k.argv), "mounts": [list(m) for m in k.mounts]} for k in toolkit.cdi_specs
            },
        },
        "mode": profile.mode,
        "sources": list(profile.sources),
        "assumptions": list(profile.assumptions),
        "uncertain": profile.data.get("uncertain", {}),
        "tree": tree_to_json(profile.tree),
    }
    if "dxcore_driver_store_paths" in profile.data:
        out["dxcore_driver_store_paths"] = profile.data["dxcore_driver_store_paths"]
    return out
