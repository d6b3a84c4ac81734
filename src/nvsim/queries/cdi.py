"""Answers about CDI: the rules of the CDI library (kind ``cdi-rules``) and the toolkit's CDI programs (kind ``tool``)."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from nvsim.elf.facts import ElfFacts, LdconfigFacts
from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.inject.cdi.annotations import parse_annotations
from nvsim.inject.cdi.inject import inject_devices
from nvsim.inject.cdi.registry import Registry, load_registry
from nvsim.inject.cdi.spec import minimum_version, spec_from_json, spec_to_json
from nvsim.inject.cdi.validate import version_error
from nvsim.inject.generate.command import run_generate, run_transform
from nvsim.inject.generate.host import CdiHost, Nvml, NvmlGpu, NvmlMig
from nvsim.inject.hooks.command import DEFAULT_STATE, ContainerState, run_hook
from nvsim.inject.hooks.effects import random_parts, tree_changes
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.behaviour import Behaviour
from nvsim.rootfs.node import File, FileFacts, Node, Origin, Special, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import MemoryTree, Tree
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json
from nvsim.toolkit.cdi_name import NamePanic, parse_name
from nvsim.toolkit.config import config_path, driver_root
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.releases import NEWEST_TREE, Release, release_of

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Query = Mapping[str, Any]


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of a query of kind ``cdi-rules`` or, for a CDI program, ``tool``. Raises `InputError`."""
    if kind == "cdi-rules":
        return _rules(query)
    program = _PROGRAMS.get(query.get("program", ""))
    if program is None:
        raise InputError(f"program {query.get('program')!r} is not modelled", hint=f"one of {', '.join(_PROGRAMS)}")
    return program(query)


def _ctk(query: Query) -> dict[str, Any]:
    """``nvidia-ctk cdi generate`` or ``nvidia-ctk cdi transform root``; what else there is, `nvsim.queries.ctk` answers."""
    args = _require(query, "argv", list)
    if not all(isinstance(a, str) for a in args):
        raise InputError("argv must be a list of strings")
    words = [a for a in args[1:] if not a.startswith("-")]
    if words[:2] == ["cdi", "generate"]:
        host = host_of_query(query)
        release = release_of(str(query.get("toolkit") or NEWEST_TREE))
        rules = generation_rules(release)
        if not rules.generates:
            raise InputError(f"toolkit {query['toolkit']} has no 'nvidia-ctk cdi generate'", hint="it came with 1.12.0")
        root = _config_root(host, release)
        result = run_generate(host, args[args.index("generate") + 1 :], root, rules)
        out: dict[str, Any] = {"specs": [spec_to_json(s) for s in result.specs]}
    elif words[:3] == ["cdi", "transform", "root"]:
        text = json.dumps(query.get("input"))
        result = run_transform(args[args.index("root") + 1 :], text, query.get("env") or {})
        out = {"output": spec_to_json(result.specs[0]) if result.specs else None}
    else:
        from nvsim.queries import ctk

        return ctk.answer(query)
    return {"rc": result.rc, **out, "log": [list(line) for line in result.log]}


def host_of_query(query: Query) -> CdiHost:
    """The host of a query: the tree and tables of a vector's host, with extra `files` and environment."""
    data = _require(query, "host", dict)
    tree: Tree = tree_from_json(data.get("tree", {}), str(data.get("name", "host")), Origin("host", "host"))
    tree = with_files(tree, dict(query.get("files") or {}))
    env = {"PATH": DEFAULT_PATH, **(query.get("env") or {})}
    stores = tuple(data.get("dxcore_driver_store_paths") or ())
    return CdiHost(Resolver(tree), _nvml(data.get("nvml")), stores, env)


def with_files(tree: Tree, texts: Mapping[str, str]) -> Tree:
    """`tree` with text files (path -> text), each written where the links of the tree lead."""
    if not texts:
        return tree
    editor = RootFS(tree).edit()
    for path, text in texts.items():
        found = Resolver(tree).resolve(path)
        place = found.path if isinstance(found, Resolved) else posixpath.join(found.parent or "/", found.rest or path)
        editor.put(place, File(len(text), ("query", path), FileFacts(text=text), 0o644))
    return editor.freeze()


def _cdi_hook(query: Query) -> dict[str, Any]:
    """Runs of ``nvidia-cdi-hook`` one after the other on a container root, and what they changed together."""
    host = host_of_query(query) if query.get("host") else debian_host()
    tree = tree_from_json(_require(query, "tree", dict), "container", Origin("image", "container"))
    rootfs = RootFS(tree)
    state = _state(query)
    steps = []
    serial = 0
    for step in _require(query, "steps", list):
        readonly = bool(query.get("readonly_rootfs"))
        result = run_hook(_require(step, "argv", list), rootfs, host, readonly=readonly, state=state, serial=serial)
        rootfs, serial = result.rootfs, result.serial
        steps.append({"argv": step["argv"], "rc": result.rc, "log": [[a, random_parts(b)] for a, b in result.log]})
    cache = rootfs.node("/etc/ld.so.cache")
    entries = cache.facts.ldcache if isinstance(cache, File) else None
    return {
        "steps": steps,
        "effect": tree_changes(tree, rootfs),
        "ld_so_cache_after": None if entries is None else ldcache_to_json(entries),
    }


def _state(query: Query) -> ContainerState:
    """The container state on the hook's stdin: the query's own, or the usual one."""
    text = query.get("container_state", query.get("stdin"))
    config = query.get("bundle_config", DEFAULT_STATE.config)
    as_text = [x if isinstance(x, str) or x is None else json.dumps(x) for x in (text, config)]
    return evolve(DEFAULT_STATE, text=DEFAULT_STATE.text if as_text[0] is None else as_text[0], config=as_text[1])


def debian_host() -> CdiHost:
    """The host of the recorded hook runs: Debian 12 with its ldconfig, without an NVIDIA driver."""
    dirs = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib")
    ldconfig = FileFacts(elf=ElfFacts(), ldconfig=LdconfigFacts("2.36", dirs))
    nodes: dict[str, Node] = {
        "/bin": Symlink("usr/bin"),
        "/sbin": Symlink("usr/sbin"),
        "/etc/debian_version": File(6, ("host", 1), FileFacts(text="12.11\n"), 0o644),
        "/usr/sbin/ldconfig": File(982880, ("host", 2), ldconfig),
        "/usr/bin/false": File(35664, ("host", 3), FileFacts(elf=ElfFacts(), behaviour=Behaviour(exit=1))),
        "/usr/bin/true": File(35664, ("host", 4), FileFacts(elf=ElfFacts(), behaviour=Behaviour(exit=0))),
    }
    return CdiHost(Resolver(MemoryTree("host", nodes)))


def _nvml(data: Mapping[str, Any] | None) -> Nvml | None:
    if data is None:
        return None
    migs = data.get("mig_devices") or ()
    return Nvml(
        str(data.get("driver_version") or ""),
        int(data.get("cuda_driver_version") or 0),
        tuple(
            NvmlGpu(
                g["uuid"],
                int(g["minor"]),
                g.get("pci_bus_id"),
                str(g.get("name") or ""),
                g.get("mig_mode") == "enabled",
                tuple(
                    NvmlMig(
                        m["mig_index"], m["uuid"], m["gpu_instance"], m["compute_instance"], str(m.get("profile") or "")
                    )
                    for m in migs
                    if m["parent_index"] == g["index"]
                ),
            )
            for g in data.get("gpus") or ()
        ),
    )


def _config_root(host: CdiHost, release: Release) -> str:
    """``nvidia-container-cli.root`` of the host's config.toml; "" where there is none (or no readable file)."""
    return driver_root(host.text(config_path(host.env, release)), release)


def _rules(query: Query) -> dict[str, Any]:
    op = _OPERATIONS.get(query.get("op", ""))
    if op is None:
        raise InputError(f"unknown op {query.get('op')!r}", hint=f"one of {', '.join(_OPERATIONS)}")
    try:
        return op(query)
    except NamePanic as e:
        return {"panic": str(e)}


def _name(query: Query) -> dict[str, Any]:
    parsed = parse_name(_require(query, "name", str))
    out = {"vendor": parsed.vendor, "class": parsed.cls, "name": parsed.name}
    return out if parsed.error is None else {**out, "error": parsed.error}


def _minimum(query: Query) -> dict[str, Any]:
    spec = spec_from_json(_require(query, "spec", dict))
    error = version_error(spec)
    out = {"version": minimum_version(spec)}
    return out if error is None else {**out, "validate_error": error}


def _annotations(query: Query) -> dict[str, Any]:
    try:
        keys, devices = parse_annotations(_require(query, "annotations", dict))
    except ToolFailure as e:
        return {"keys": None, "devices": None, "error": e.text}
    return {"keys": list(keys) or None, "devices": list(devices) or None}


def _files(query: Query) -> dict[str, Any]:
    return _registry_answer(_registry(query))


def _inject(query: Query) -> dict[str, Any]:
    registry = _registry(query)
    out = _registry_answer(registry)
    request = _require(query, "request", list)
    out["unresolved"] = list(registry.edits_for(request)[1]) or None
    try:
        oci = inject_devices(_require(query, "oci", dict), registry, request, Resolver(_any_machine()))
        out["oci"] = {"ociVersion": "", **oci}
    except ToolFailure as e:
        out["inject_error"] = e.text
    return out


_OPERATIONS: Mapping[str, Callable[[Query], dict[str, Any]]] = {
    "name": _name,
    "minversion": _minimum,
    "annotations": _annotations,
    "files": _files,
    "inject": _inject,
}


def _registry(query: Query) -> Registry:
    return load_registry(_require(query, "files", dict), _require(query, "dirs", list))


def _registry_answer(registry: Registry) -> dict[str, Any]:
    return {
        "devices": sorted(registry.devices) or None,
        "vendors": list(registry.vendors) or None,
        "classes": list(registry.classes) or None,
        "errors": {path: list(errors) for path, errors in registry.errors.items()},
    }


def _any_machine() -> MemoryTree:
    """What lies on every Linux machine and matters to a device node: the query names no host."""
    memory = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
    nodes = {f"/dev/{name}": Special("char", (1, minor), 0o666) for name, minor in memory.items()}
    nodes["/dev/tty"] = Special("char", (5, 0), 0o666)
    return MemoryTree("machine", {**nodes, "/etc/hostname": File(0, ("machine", "hostname"), FileFacts(text=""))})


def _require(query: Query, key: str, kind: type) -> Any:
    value = query.get(key)
    if not isinstance(value, kind):
        raise InputError(f"a cdi query needs {key!r} as a JSON {_JSON_NAMES[kind]}")
    return value


_PROGRAMS: Mapping[str, Callable[[Query], dict[str, Any]]] = {"nvidia-ctk": _ctk, "nvidia-cdi-hook": _cdi_hook}
_JSON_NAMES: Mapping[type, str] = {str: "string", dict: "object", list: "list"}
