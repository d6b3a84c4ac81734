"""Discoverers for WSL2: the DXG node and the driver store (toolkit: ``pkg/nvcdi/driver-wsl.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import can_load
from nvsim.inject.generate.libraries import ldcache_hook
from nvsim.inject.generate.lookup import Filter
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.resolve import Resolver
from nvsim.toolkit.go_text import go_list
from nvsim.toolkit.request import Because


def dxg_device(driver: Driver) -> Discoverer:
    """The one device node of WSL2, whatever GPU is meant."""
    return char_devices(driver, ("/dev/dxg",), "WSL2 device")


def wsl_driver(driver: Driver, creator: HookCreator) -> Discoverer:
    """libdxcore and the files of NVIDIA's driver store. Raises `ToolFailure` without DXCore or store."""
    host, log = driver.host, driver.log
    if not can_load(host, "libdxcore.so"):
        raise ToolFailure("failed to initialize dxcore: failed to initialize dxcore context")
    stores = tuple(dict.fromkeys(host.driver_stores))
    if not stores:
        raise ToolFailure("no driver store paths found")
    rules = driver.rules
    if rules.wsl_stores == "nvidia":
        if len(stores) > 1:
            log.warning(f"Found multiple driver store paths: {go_list(stores)}")
        return _nvidia_store(driver, creator, stores)
    told = [("info", f"Using WSL driver store paths: {go_list(stores)}")]
    if len(stores) > 1:
        told.insert(
            0 if rules.wsl_stores == "all-warned-first" else 1,
            ("warning", f"Found multiple driver store paths: {go_list(stores)}"),
        )
    for level, text in told:
        log.add(level, text)
    locate = driver.files_at((*stores, "/usr/lib/wsl/lib"), count=1, root="")
    files = mounts(log, locate, driver.root, rules.wsl_files, "driver store file")
    return merge(files, _smi_link(driver, creator, files), ldcache_hook(creator, files))


def _nvidia_store(driver: Driver, creator: HookCreator, stores: Sequence[str]) -> Discoverer:
    """The files of the store that has libcuda. Raises `ToolFailure` without one."""
    log, required_files = driver.log, driver.rules.wsl_files
    try:
        cuda = driver.files_at(stores, count=1, root="")("libcuda.so.1.1")
    except ToolFailure as e:
        reason = e.within("failed to locate libcuda.so.1.1 at WSL driver store paths")
        raise reason.within("failed to find NVIDIA driver store path") from None
    store = posixpath.dirname(cuda[0])
    log.info(f"Using WSL driver store path: {store}")
    library = driver.files_at(("/usr/lib/wsl/lib",), count=1, root="")
    dxcore = mounts(log, library, driver.root, ("libdxcore.so",), "DXCore library")
    in_store = driver.files_at((store,), count=1, root="")
    required = mounts(log, in_store, driver.root, required_files, "driver store file")
    others = lookup.optional(driver.files_at((store,), _not_named(required_files), root=""))
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
