"""Discoverers for WSL2: the DXG node and the driver store (toolkit: ``pkg/nvcdi/driver-wsl.go``)."""

from __future__ import annotations

import posixpath

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import can_load
from nvsim.inject.generate.libraries import ldcache_hook
from nvsim.inject.generate.lookup import Filter
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.resolve import Resolver
from nvsim.toolkit.request import Because

_STORE_FILES = (
    "libcuda.so.1.1",
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvdxgdmal.so.1",
    "nvcubins.bin",
    "nvidia-smi",
)


def dxg_device(driver: Driver) -> Discoverer:
    """The one device node of WSL2, whatever GPU is meant."""
    return char_devices(driver, ("/dev/dxg",), "WSL2 device")


def wsl_driver(driver: Driver, creator: HookCreator) -> Discoverer:
    """libdxcore and the files of NVIDIA's driver store. Raises `ToolFailure` without DXCore or store."""
    host, log, resolver = driver.host, driver.log, driver.host.resolver
    if not can_load(host, "libdxcore.so"):
        raise ToolFailure("failed to initialize dxcore: failed to initialize dxcore context")
    stores = tuple(dict.fromkeys(host.driver_stores))
    if not stores:
        raise ToolFailure("no driver store paths found")
    if len(stores) > 1:
        log.warning(f"Found multiple driver store paths: [{' '.join(stores)}]")
    try:
        cuda = lookup.files(resolver, "", stores, count=1)("libcuda.so.1.1")
    except ToolFailure as e:
        reason = e.within("failed to locate libcuda.so.1.1 at WSL driver store paths")
        raise reason.within("failed to find NVIDIA driver store path") from None
    store = posixpath.dirname(cuda[0])
    log.info(f"Using WSL driver store path: {store}")
    dxcore = mounts(
        log,
        lookup.files(resolver, "", ("/usr/lib/wsl/lib",), count=1),
        driver.root,
        ("libdxcore.so",),
        "DXCore library",
    )
    required = mounts(
        log, lookup.files(resolver, "", (store,), count=1), driver.root, _STORE_FILES, "driver store file"
    )
    others = lookup.optional(lookup.files(resolver, "", (store,), _not_named(_STORE_FILES)))
    wanted = [path for pattern in ("*.so*", "*.bin", "*.dll") for path in others(pattern)]
    additional = mounts(log, driver.files(), driver.root, wanted, "further driver store file")
    return merge(
        dxcore,
        required,
        additional,
        _smi_link(driver, creator, required),
        ldcache_hook(creator, merge(required, dxcore)),
    )


def _not_named(names: tuple[str, ...]) -> Filter:
    """Everything, a directory too, that has none of these base names."""

    def accept(resolver: Resolver, path: str) -> bool:
        return posixpath.basename(path) not in names

    return accept


def _smi_link(driver: Driver, creator: HookCreator, required: Discoverer) -> Discoverer:
    def hooks() -> tuple[CdiHook, ...]:
        smi = next((m.path for m in required.mounts() if posixpath.basename(m.path) == "nvidia-smi"), None)
        if smi is None:
            driver.log.warning("Failed to find nvidia-smi in mounts")
            return ()
        because = (Because(f"host file {smi}", "nvidia-smi is expected in /usr/bin"),)
        return creator.create("create-symlinks", f"{smi}::/usr/bin/nvidia-smi", because=because)

    return Discoverer(hooks=hooks)
