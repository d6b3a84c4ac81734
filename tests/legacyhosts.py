"""Small made-up hosts and images for tests of the legacy engine, and a run of it on them."""

from __future__ import annotations

from typing import Any

from nvsim.host.profile import Driver, Gpu, HostProfile, Toolkit
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import plan_legacy
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.rootfs.overlay import Mount, RootFS
from nvsim.rootfs.treefile import tree_from_json

NEW, OLD = "1.17.8", "1.12.1"
LIB = "/usr/lib64"


def library(name: str, **extra: Any) -> dict[str, Any]:
    return {"type": "file", "size": 4096, "elf": {"soname": name, "needed": []}, **extra}


def cache_entry(name: str, path: str, flags: str = "0x0303") -> dict[str, str]:
    return {"name": name, "path": path, "flags": flags}


def host_tree(**changes: dict[str, Any] | None) -> dict[str, Any]:
    """A host with a driver 535.54.03 in /usr/lib64; a change None removes an entry."""
    entries = [
        cache_entry("libnvidia-ml.so.1", f"{LIB}/libnvidia-ml.so.1"),
        cache_entry("libcuda.so.1", f"{LIB}/libcuda.so.1"),
    ]
    tree = {
        "/etc/ld.so.cache": {"type": "file", "size": 100, "ldcache": entries},
        "/lib64": {"type": "symlink", "target": "usr/lib64"},
        f"{LIB}/ld-linux-x86-64.so.2": library("ld-linux-x86-64.so.2", loader=_LOADER),
        f"{LIB}/libc.so.6": library("libc.so.6"),
        f"{LIB}/libnvidia-ml.so.535.54.03": library("libnvidia-ml.so.1"),
        f"{LIB}/libnvidia-ml.so.1": {"type": "symlink", "target": "libnvidia-ml.so.535.54.03"},
        f"{LIB}/libcuda.so.535.54.03": library("libcuda.so.1"),
        f"{LIB}/libcuda.so.1": {"type": "symlink", "target": "libcuda.so.535.54.03"},
        "/usr/bin/nvidia-smi": {"type": "file", "size": 5},
        "/sbin/ldconfig": {
            **library(""),
            "ldconfig": {"version": "2.34", "system_dirs": ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]},
        },
        "/dev/nvidiactl": {"type": "char", "rdev": "195:255", "mode": "0666"},
        "/dev/nvidia-uvm": {"type": "char", "rdev": "510:0", "mode": "0666"},
        "/dev/nvidia0": {"type": "char", "rdev": "195:0", "mode": "0666"},
    }
    tree |= {k: v for k, v in changes.items() if v is not None}
    return {k: v for k, v in tree.items() if changes.get(k, v) is not None}


_LOADER = {"libc": "glibc", "version": "2.34", "system_dirs": ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]}
GPU = Gpu(0, "GPU-aaaa", "00000000:3B:00.0", "A100", "Nvidia", "8.0")


def make_host(gpus: tuple[Gpu, ...] = (GPU,), **changes: dict[str, Any] | None) -> HostProfile:
    tree = tree_from_json(host_tree(**changes), "host")
    return HostProfile("host", "a host", tree, Driver("535.54.03", "535.54.03", "12.2"), gpus, Toolkit("1.17.8"))


def make_root(mounts: tuple[Mount, ...] = (), **entries: dict[str, Any]) -> RootFS:
    tree = {"/etc": {"type": "dir"}, "/proc/driver/nvidia": {"type": "dir"}, "/dev": {"type": "dir"}, **entries}
    return RootFS(tree_from_json(tree, "image"), mounts=mounts)


def configure(
    host: HostProfile, root: RootFS, *options: str, engine: str = NEW, env: dict[str, str] | None = None
) -> tuple[InjectionPlan, Injected]:
    plan = plan_legacy(host, root, ("configure", "--ldconfig=@/sbin/ldconfig", *options), engine=engine, env=env)
    return plan, apply(plan, root, host)
