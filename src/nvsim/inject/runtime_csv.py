"""What csv mode finds on a Tegra host before 1.19, and what the host tells about CUDA for its requirements
(toolkit: ``internal/platform-support/tegra``, ``internal/discover/csv.go``, ``internal/cuda``)."""

from __future__ import annotations

import posixpath

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.csv_files import MountSpecs, csv_files, read_specs
from nvsim.inject.generate.discover import Discoverer, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import CdiHost, can_load, open_nvml
from nvsim.inject.generate.platform import NVML_LIBRARY
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.releases import Release

_TEGRA_FILES = ("/etc/nv_tegra_release", "/sys/devices/soc0/family")
_LINKS = (
    ("libcuda.so", "libcuda.so.1", "libcuda.so"),
    ("libGLX_nvidia.so", "", "libGLX_indirect.so.0"),
    ("libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so"),
)


def csv_discoverer(driver: Driver, creator: HookCreator, directory: str, every: bool, release: Release) -> Discoverer:
    """The files of a Tegra driver and the hooks that make them usable; `every`: all CSV files of the directory, not the base ones."""
    files = csv_files(driver.host, directory, not every)
    specs = read_specs(driver.host, driver.log, files)
    listed = _listed(driver, specs)
    links, cache = _links_hook(creator, files, listed), _ldcache_hook(creator, listed)
    return merge(listed, *((cache, links) if release.prestart_hook_known_by == "text" else (links, cache)))


def _listed(driver: Driver, specs: MountSpecs) -> Discoverer:
    resolver, log = driver.host.resolver, driver.log
    folders = lookup.files(resolver, driver.root, accept=lookup.is_directory)
    resolved = lookup.symlinks(resolver, driver.root)
    return merge(
        char_devices(driver, specs.get("dev", ()), "dev of a CSV file"),
        mounts(log, folders, driver.root, specs.get("dir", ()), "dir of a CSV file"),
        mounts(log, resolved, driver.root, specs.get("lib", ()), "lib of a CSV file"),
        mounts(log, resolved, driver.root, specs.get("sym", ()), "target of a sym of a CSV file"),
    )


def _ldcache_hook(creator: HookCreator, listed: Discoverer) -> Discoverer:
    """update-ldcache for the directories of libraries; it is there even without any."""

    def hooks() -> tuple[CdiHook, ...]:
        dirs = {posixpath.dirname(m.path) for m in listed.mounts() if "so" in posixpath.basename(m.path).split(".")}
        return creator.create("update-ldcache", *sorted(dirs))

    return Discoverer(hooks=hooks)


def _links_hook(creator: HookCreator, files: tuple[str, ...], listed: Discoverer) -> Discoverer:
    """create-symlinks, which up to 1.13 reads the CSV files itself; it is there even without any."""

    def hooks() -> tuple[CdiHook, ...]:
        args = [arg for file in files for arg in ("--csv-filename", file)]
        seen: set[str] = set()
        for mount in listed.mounts():
            directory, name = posixpath.split(mount.path)
            known = next(((target, link) for stem, target, link in _LINKS if name.startswith(stem)), None)
            if known is not None and known[1] not in seen:
                seen.add(known[1])
                args += ["--link", f"{known[0] or name}::{directory}/{known[1]}"]
        program = posixpath.basename(creator.path)
        return (CdiHook("createContainer", creator.path, (program, "hook", "create-symlinks", *args)),)

    return Discoverer(hooks=hooks)


def tegra_files(host: CdiHost, log: ToolLog) -> Discoverer:
    """The files by which a Tegra system is known."""
    return mounts(log, lookup.files(host.resolver, ""), "", _TEGRA_FILES, "file of a Tegra system")


def cuda_properties(host: CdiHost) -> dict[str, str]:
    """What csv mode's requirement check knows: the CUDA version of libcuda.so.1 when it can be loaded and the driver answers.

    The compute capability of the first GPU would be known then too; where no file tells it, it stays unknown.
    """
    if not can_load(host, "libcuda.so.1"):
        return {}
    try:
        version = open_nvml(host, NVML_LIBRARY).cuda_version
    except ToolFailure:
        return {}
    return {"cuda": f"{version // 1000}.{version % 1000 // 10}"} if version else {}
