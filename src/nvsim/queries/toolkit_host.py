"""The host of a query about a whole program of the toolkit (kinds ``hook``, ``runtime``, ``chain``): a minimal root and what is changed in it.

The root is that of the recorded runs: programs of the toolkit and ``runc`` in ``/usr/bin``, nothing of a driver. ``host.nvml`` is a
library that answers count and names of GPUs; the programs of the recorded runs were linked by a recent linker.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from nvsim.errors import InputError
from nvsim.toolkit.hook_input import CONFIG_FILE, HostFiles
from nvsim.toolkit.mode import Platform, has_tegra_files

PROGRAMS = (
    "nvidia-container-cli",
    "nvidia-container-runtime",
    "nvidia-container-runtime.cdi",
    "nvidia-container-runtime.legacy",
    "nvidia-container-runtime-hook",
    "nvidia-container-toolkit",
    "nvidia-ctk",
    "nvidia-cdi-hook",
    "runc",
)
_DIRECTORIES = ("/", "/dev", "/etc", "/tmp", "/usr", "/usr/bin")
GPU_NAMES = {
    "dgpu": ("NVIDIA RTX A6000",),
    "initfail": (),
    "orin": ("Orin (nvgpu)",),
    "thor": ("NVIDIA Thor",),
    "mixed": ("NVIDIA RTX A6000", "Orin (nvgpu)"),
}

Query = dict[str, Any]


def host_files(query: Query) -> HostFiles:
    """The files of a query's host: the minimal root, ``host.files``, config.toml, the bundle, CDI specs."""
    host = _object(query, "host")
    texts = {str(path): str(text) for path, text in _object(host, "files").items()}
    if query.get("config") is not None:
        texts[str(query.get("config_path", CONFIG_FILE))] = str(query["config"])
    if query.get("spec") is not None:
        texts[f"{str(query.get('bundle', '/bundle')).rstrip('/')}/config.json"] = as_text(query["spec"])
    texts |= {str(path): as_text(spec) for path, spec in _object(query, "cdi_specs").items()}
    missing = _paths(host, "missing")
    programs = ({f"/usr/bin/{name}" for name in PROGRAMS} | _paths(host, "executables")) - missing
    texts = {path: text for path, text in texts.items() if path not in missing}
    there = {*texts, *programs, *_DIRECTORIES}
    there |= {str(parent) for path in (*texts, *programs) for parent in PurePosixPath(path).parents}
    directories = there - texts.keys() - programs
    executable = programs - texts.keys()
    return HostFiles(texts.get, there.__contains__, executable.__contains__, directories.__contains__)


def platform_of(query: Query, files: HostFiles) -> Platform:
    """What the programs find out about the host."""
    host = _object(query, "host")
    nvml = host.get("nvml")
    if nvml is not None and (not isinstance(nvml, str) or nvml not in GPU_NAMES):
        raise InputError(f"host.nvml must be one of {', '.join(GPU_NAMES)}")
    tegra = has_tegra_files(files.read)
    return Platform(nvml is not None, bool(host.get("dxcore")), tegra, GPU_NAMES.get(nvml or "", ()), own_build=True)


def as_text(value: Any) -> str:
    """A JSON document of a query: given as an object, or as its text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def environ_of(query: Query) -> dict[str, str]:
    """The environment of the program itself."""
    environ = query.get("environ")
    if environ is None:
        return {"PATH": "/usr/bin:/bin"}
    if not isinstance(environ, dict):
        raise InputError("environ must be an object")
    return {str(k): str(v) for k, v in environ.items()}


def _paths(host: Query, name: str) -> set[str]:
    paths = host.get(name) or []
    if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
        raise InputError(f"host.{name} must be a list of paths")
    return set(paths)


def _object(query: Query, name: str) -> Query:
    value = query.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{name} must be an object")
    return value
