"""A machine's own files as an expanded host profile: what `nvsim host capture` writes.

Only files are read, nothing is executed: driver files as the ld.so.cache and PATH name them, the C library and ldconfig, device nodes,
what the kernel module shows below /proc, the toolkit's configuration and its programs, CDI specifications. What files do not tell
(compute capability and brand of a GPU, the driver's CUDA version) is left open or guessed, and the profile says so.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nvsim.errors import InputError
from nvsim.host.read import FORMAT
from nvsim.ldcache import LdCache
from nvsim.loader.native import native_machine
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import File, Node
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.treefile import ldcache_to_json, node_to_json

_LIBRARY = re.compile(
    r"lib(nvidia-|cuda\.so|cudadebugger|nvcuvid|nvoptix|vdpau_nvidia|GLX_nvidia|EGL_nvidia|GLESv[12]\w*_nvidia|GLX_indirect|"
    r"dxcore|d3d12|nvdxdlkernels|nvwgf2)"
)
_PROGRAMS = ["nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server", "nv-fabricmanager", "nvidia-modprobe", "nvidia-imex", "nvidia-imex-ctl", "nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy", "nvidia-container-runtime-hook", "nvidia-ctk", "nvidia-cdi-hook", "runc", "docker-runc", "crun", "dockerd", "containerd", "podman"]  # fmt: skip
_BINS = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/nvidia/toolkit",
    "/opt/nvidia/toolkit",
)
_FILES = (
    "/etc/debian_version",
    "/etc/os-release",
    "/etc/nv_tegra_release",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d/*",
    "/etc/nvidia-container-runtime/config.toml",
    "/etc/nvidia-container-runtime/host-files-for-container.d/*.csv",
    "/etc/cdi/*",
    "/var/run/cdi/*",
    "/etc/docker/daemon.json",
    "/sbin/ldconfig",
    "/sbin/ldconfig.real",
    "/lib*/ld-linux*.so.*",
    "/lib/ld-musl-*.so.1",
    "/dev/nvidia*",
    "/dev/nvidia-caps/*",
    "/dev/dri/*",
    "/dev/dri/by-path/*",
    "/dev/dxg",
    "/run/nvidia-persistenced/socket",
    "/run/nvidia-fabricmanager/socket",
    "/lib/firmware/nvidia/*/gsp*.bin",
    "/etc/OpenCL/vendors/nvidia.icd",
    "/usr/share/glvnd/egl_vendor.d/*nvidia*.json",
    "/etc/glvnd/egl_vendor.d/*nvidia*.json",
    "/usr/share/vulkan/icd.d/nvidia*.json",
    "/etc/vulkan/icd.d/nvidia*.json",
    "/usr/share/vulkan/implicit_layer.d/nvidia*.json",
    "/etc/vulkan/implicit_layer.d/nvidia*.json",
    "/usr/share/egl/egl_external_platform.d/*nvidia*.json",
    "/usr/share/nvidia/nvoptix.bin",
    "/usr/lib/*/nvidia/xorg/*",
    "/usr/lib*/xorg/modules/drivers/nvidia_drv.so",
    "/usr/lib*/xorg/modules/extensions/libglxserver_nvidia.so*",
)
_LIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
_KERNEL = ("/proc/driver/nvidia/version", "/proc/driver/nvidia/params", "/proc/driver/nvidia/registry", "/proc/devices", "/sys/module/nvidia/version")  # fmt: skip


def capture(root: str | os.PathLike[str] = "/", name: str = "captured") -> dict[str, Any]:
    """The profile's JSON for the machine whose root directory is `root`. Raises `InputError` when it cannot be read."""
    top = Path(root)
    if not top.is_dir():
        raise InputError("is no directory", source=str(root))
    tree = DirectoryTree(top, name=name)
    resolver = Resolver(tree)
    nodes: dict[str, Node] = {}
    for pattern in _FILES:
        for path in glob(resolver, pattern):
            _add(nodes, resolver, path)
    for path in (f"{d}/{p}" for d in _BINS for p in _PROGRAMS):
        _add(nodes, resolver, path)
    cache = _cache(resolver)
    entries = [e for e in cache.entries if _LIBRARY.match(e.name) or e.name in _LIBC] if cache is not None else []
    for entry in entries:
        _add(nodes, resolver, entry.path)
        _add_versions(nodes, resolver, entry.path)
    out = {path: node_to_json(node) for path, node in sorted(nodes.items())}
    out.update(_kernel_entries(top, resolver))
    tree.verify()
    return _profile(name, top, resolver, out, cache, LdCache(tuple(entries)) if cache is not None else None)


def _add(nodes: dict[str, Node], resolver: Resolver, path: str) -> None:
    """A path's links and what they lead to, when it exists."""
    at = resolver.resolve(path)
    if isinstance(at, Resolved):
        for link in at.links:
            node = resolver.tree.node(link)
            assert node is not None
            nodes[link] = node
        nodes[at.path] = at.node
    else:  # a dangling link is a fact too
        here = resolver.resolve(path, follow=False)
        if isinstance(here, Resolved):
            nodes[here.path] = here.node


def _add_versions(nodes: dict[str, Node], resolver: Resolver, path: str) -> None:
    """The names beside a library that begin as it does: the development link, files of other driver versions."""
    directory, _, base = path.rpartition("/")
    stem = base.partition(".so")[0]
    if stem in ("libc", "libm", "libdl", "libpthread", "librt"):
        return
    for other in glob(resolver, f"{directory}/{stem}.so*"):
        _add(nodes, resolver, other)


def _cache(resolver: Resolver) -> LdCache | None:
    at = resolver.resolve("/etc/ld.so.cache")
    return at.node.facts.ldcache if isinstance(at, Resolved) and isinstance(at.node, File) else None


def _kernel_entries(top: Path, resolver: Resolver) -> dict[str, Any]:
    """Files that the kernel makes: their size is 0, so they are read as text here."""
    paths = [*_KERNEL, *glob(resolver, "/proc/driver/nvidia/gpus/*/information"), *_capabilities(top)]
    out = {}
    for path in paths:
        text = _text(top, path)
        if text is not None:
            out[path] = {"type": "file", "mode": "0444", "size": len(text.encode()), "text": text}
    return out


def _capabilities(top: Path) -> Iterator[str]:
    """MIG capabilities below /proc/driver/nvidia/capabilities."""
    base = top / "proc/driver/nvidia/capabilities"
    for folder, _, names in os.walk(base):
        for name in sorted(names):
            yield "/" + str((Path(folder) / name).relative_to(top))


def _text(top: Path, path: str) -> str | None:
    try:
        return (top / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _profile(
    name: str, top: Path, resolver: Resolver, tree: dict[str, Any], cache: LdCache | None, kept: LdCache | None
) -> dict[str, Any]:
    release = _os_release(_text(top, "/etc/os-release") or "")
    machine = native_machine()
    assumptions = []
    gpus = [_gpu(text) for p in glob(resolver, "/proc/driver/nvidia/gpus/*/information") if (text := _text(top, p))]
    if gpus:
        assumptions.append(
            f"{name}: brand and compute capability of the GPUs are not in files: check 'gpus' with nvidia-smi -q"
        )
    module = (_text(top, "/sys/module/nvidia/version") or "").strip() or _version_in(
        _text(top, "/proc/driver/nvidia/version")
    )
    version = _userland(tree)
    if version is not None:
        assumptions.append(
            f"{name}: the driver's CUDA version is not in files: set 'driver.cuda' to what nvidia-smi shows"
        )
    out: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "title": f"captured: {release.get('PRETTY_NAME', 'a machine')}",
        "os": {
            "id": release.get("ID", "unknown"),
            "version_id": release.get("VERSION_ID", ""),
            "arch": machine.cpu.machine,
        },
        "kernel": machine.kernel,
        "cpu": {
            "isa_level": machine.cpu.isa_level,
            "platform": machine.cpu.platform,
            "hwcaps": list(machine.cpu.hwcaps),
        },
        "driver": {"version": version, "kernel_module": module, "root": "/"},
        "gpus": gpus,
        "toolkit": _toolkit(top, tree),
        "sources": ["captured from a machine's files by nvsim host capture"],
        "assumptions": assumptions,
        "tree": tree,
    }
    if cache is not None and kept is not None:
        out["ldcache"] = ldcache_to_json(kept)
        out["ldcache_total"] = len(cache.entries)
    return out


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    return {k: v.strip("\"'") for k, v in pairs}


def _version_in(text: str | None) -> str | None:
    match = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d{3}\.\d+(?:\.\d+)?)", text or "")
    return match[1] if match else None


def _userland(tree: dict[str, Any]) -> str | None:
    """The driver version in the name of libcuda or NVML."""
    for path in tree:
        match = re.search(r"/lib(?:cuda|nvidia-ml)\.so\.(\d{3}\.\d+(?:\.\d+)?)$", path)
        if match:
            return match[1]
    return None


def _gpu(text: str) -> dict[str, Any]:
    """A GPU from /proc/driver/nvidia/gpus/BUS/information."""
    values = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}
    model = values.get("Model", "unknown")
    return {
        "minor": int(values["Device Minor"]) if values.get("Device Minor", "").isdigit() else 0,
        "uuid": values.get("GPU UUID", "GPU-00000000-0000-0000-0000-000000000000"),
        "pci": values.get("Bus Location", "0000:00:00.0"),
        "model": model,
        "brand": "geforce" if "geforce" in model.lower() else "tesla" if "tesla" in model.lower() else "nvidia",
        "compute": "0.0",
        "mig": [],
        "mig_enabled": False,
    }


def _toolkit(top: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Release (where dpkg knows it), configuration, the engine and its default runtime."""
    try:
        daemon = json.loads(_text(top, "/etc/docker/daemon.json") or "{}")
    except ValueError:
        daemon = {}
    default = daemon.get("default-runtime") if isinstance(daemon, dict) else None
    there = [p.rpartition("/")[2] for p in tree]
    engine = next(
        (e for e, p in (("docker", "dockerd"), ("containerd", "containerd"), ("podman", "podman")) if p in there),
        "docker",
    )
    return {
        "version": _package_version(_text(top, "/var/lib/dpkg/status") or "", "nvidia-container-toolkit"),
        "runtime": "nvidia-container-runtime" if isinstance(default, str) and default.startswith("nvidia") else "runc",
        "config": _text(top, "/etc/nvidia-container-runtime/config.toml"),
        "engine": engine,
    }


def _package_version(status: str, package: str) -> str | None:
    match = re.search(rf"^Package: {re.escape(package)}\n(?:.+\n)*?Version: (?:\d+:)?([0-9.]+)", status, re.MULTILINE)
    return match[1] if match else None
