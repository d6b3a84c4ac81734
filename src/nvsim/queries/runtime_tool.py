"""Answers about runs of ``nvidia-container-runtime`` on a host told in full (kind ``tool``): its config.json before and after.

The host is a tree with the tables of NVML and DXCore, as for the other CDI programs; the low-level runtime is a dummy. The kinds
``runtime`` and ``chain`` run the same program on a minimal root (`nvsim.queries.toolkit_machine`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import is_executable
from nvsim.inject.generate.platform import platform_of
from nvsim.inject.runtime import RuntimeRun, run_runtime
from nvsim.queries.cdi import host_of_query, with_files
from nvsim.rootfs.node import Directory, File, FileFacts, Node
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.toolkit.config import ConfigCrash, config_path
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.mode import Platform
from nvsim.toolkit.releases import NEWEST_TREE, Release, release_of
from nvsim.toolkit.runtime import RuntimeFailure, RuntimeProcess, bundle_spec_path, read_runtime_config

LOW_LEVEL_RUNTIME = "/usr/bin/runc"
_BUNDLE_SPEC = "/bundle/config.json"


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """`rc`, the log on stderr, and what config.json holds afterwards (`config_out`, None where it is as before). Raises `InputError`."""
    run, _ = run_of(query)
    changed = run.spec is not None and run.spec != query.get("config_in")
    return {
        "rc": run.exit,
        "modified": changed,
        "config_out": run.spec if changed else None,
        "log": [["error", run.error]] if run.exit == 1 else [],
    }


def run_of(query: dict[str, Any]) -> tuple[RuntimeRun, CdiHost]:
    """The run that a query asks for, and the host on which it took place. Raises `InputError`."""
    release = release_of(str(query.get("toolkit") or NEWEST_TREE))
    process = RuntimeProcess(_argv(query), {}, "/")
    host = _prepared(host_of_query(query), query, process, release)
    return run_on(host, evolve(process, environ=dict(host.env)), release), host


def run_on(host: CdiHost, process: RuntimeProcess, release: Release) -> RuntimeRun:
    """The run of the runtime on a host that has config.toml, bundle and low-level runtime among its files."""
    files = files_of(host)
    try:
        root = read_runtime_config(process, files, release).cli.root
    except (RuntimeFailure, ConfigCrash):
        root = ""  # the run ends by the same failure, before the platform matters
    found = platform_of(host, root)
    platform = Platform(found.nvml, found.dxcore, found.tegra, found.gpu_names)
    return run_runtime(process, host=host, files=files, platform=platform, release=release)


def files_of(host: CdiHost) -> HostFiles:
    """A host's files as the toolkit's programs ask for them."""

    def found(path: str) -> Node | None:
        resolved = host.resolver.resolve(path)
        return resolved.node if isinstance(resolved, Resolved) else None

    return HostFiles(
        host.text,
        lambda path: found(path) is not None,
        lambda path: is_executable(host.resolver, path),
        lambda path: isinstance(found(path), Directory),
    )


def _prepared(host: CdiHost, query: Mapping[str, Any], process: RuntimeProcess, release: Release) -> CdiHost:
    """The host with the files of the query: config.toml, the bundle's config.json, CDI specs, the low-level runtime."""
    try:
        bundle = bundle_spec_path(process)
    except RuntimeFailure:
        bundle = _BUNDLE_SPEC
    texts = {str(path): _text(spec) for path, spec in _object(query, "cdi_files").items()}
    if query.get("config_toml") is not None:
        texts[config_path(host.env, release)] = str(query["config_toml"])
    if query.get("config_in") is not None:
        texts[bundle] = _text(query["config_in"])
    editor = RootFS(with_files(host.tree, texts)).edit()
    editor.put(LOW_LEVEL_RUNTIME, File(0, ("query", LOW_LEVEL_RUNTIME), FileFacts(), 0o755))
    return evolve(host, resolver=Resolver(editor.freeze()))


def _argv(query: Mapping[str, Any]) -> tuple[str, ...]:
    argv = query.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
        raise InputError("argv must be a list of strings, the program's name first")
    return tuple(argv)


def _object(query: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = query.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{name} must be an object")
    return value


def _text(value: Any) -> str:
    """A document of the query: given as its text, or as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
