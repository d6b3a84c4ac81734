"""Discoverers of graphics files: EGL and Vulkan platform libraries, X.Org modules, their configuration
(toolkit: ``internal/discover/graphics.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, merge, mounts, remembered
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.lookup import Locator, join_path
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.request import Because

_PLATFORM_LIBRARIES = (
    "libnvidia-egl-gbm.so.*.*",
    "libnvidia-egl-wayland.so.*.*",
    "libnvidia-egl-wayland2.so.*.*",
    "libnvidia-egl-xcb.so.*.*",
    "libnvidia-egl-xlib.so.*.*",
)
_SHARED_CONFIGS = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "egl/egl_external_platform.d/09_nvidia_wayland2.json",
    "egl/egl_external_platform.d/20_nvidia_xcb.json",
    "egl/egl_external_platform.d/20_nvidia_xlib.json",
    "nvidia/nvoptix.bin",
    "X11/xorg.conf.d/10-nvidia.conf",
    "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
)
_VULKAN_CONFIGS = (
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
)
_VULKAN_BY_ARCH = {"amd64": "vulkan/icd.d/nvidia_icd.x86_64.json", "arm64": "vulkan/icd.d/nvidia_icd.aarch64.json"}
_XORG_BASES = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
_XORG_MODULES = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")


def graphics_files(driver: Driver, creator: HookCreator) -> Discoverer:
    """Libraries, nvidia-xconfig and configuration. Raises `ToolFailure` when the driver's version or directories are unknown."""
    try:
        libraries = _libraries(driver, creator)
    except ToolFailure as e:
        raise e.within("failed to construct discoverer for graphics libraries") from None
    vulkan = _VULKAN_BY_ARCH.get(driver.host.arch)
    xconfig = ("nvidia-xconfig",) if "xconfig" in driver.parts else ()
    icd = ("OpenCL/vendors/nvidia.icd",) if "opencl-icd" in driver.parts else ()
    return merge(
        libraries,
        mounts(driver.log, driver.executables(), driver.root, xconfig, "driver program on the PATH"),
        merge(
            _configs(driver, driver.configs(), _SHARED_CONFIGS, "/usr/share"),
            _configs(driver, driver.configs(), icd, "/etc"),
        ),
        _configs(
            driver,
            lookup.first(driver.configs(), driver.files()),
            (*_VULKAN_CONFIGS, *((vulkan,) if vulkan else ())),
            "/etc",
        ),
    )


def _libraries(driver: Driver, creator: HookCreator) -> Discoverer:
    """Platform libraries and X.Org modules; the allocator is looked for only because of its link."""
    try:
        version = driver.version()
    except ToolFailure as e:
        raise e.within("failed to get driver version") from None
    try:
        dirs = driver.library_dirs()
    except ToolFailure as e:
        raise e.within("failed to get libcuda.so parent directory") from None
    versioned = (f"libnvidia-allocator.so.{version}", f"libnvidia-vulkan-producer.so.{version}")
    xorg = lookup.files(driver.host.resolver, driver.root, _xorg_dirs(dirs), count=1)
    found = merge(
        mounts(driver.log, driver.libraries(), driver.root, (*_PLATFORM_LIBRARIES, *versioned), "graphics library"),
        mounts(driver.log, xorg, driver.root, ("nvidia_drv.so", f"libglxserver_nvidia.so.{version}"), "X.Org module"),
    )

    def asked() -> tuple[Found, ...]:
        try:
            return found.mounts()
        except ToolFailure as e:
            raise e.within("failed to get library mounts") from None

    def wanted() -> tuple[Found, ...]:
        return tuple(m for m in asked() if posixpath.basename(m.path) != versioned[0])

    def hooks() -> tuple[CdiHook, ...]:
        links = [link for m in asked() for link in _links(m.path, version)]
        because = (Because("host graphics libraries", "links that graphics libraries are looked for by"),)
        return creator.create("create-symlinks", *links, because=because) if links else ()

    return Discoverer(mounts=wanted, hooks=hooks)


def _links(path: str, version: str) -> list[str]:
    directory, name = posixpath.split(path)
    if name == f"libnvidia-allocator.so.{version}":
        return [f"../libnvidia-allocator.so.1::{join_path(directory, 'gbm', 'nvidia-drm_gbm.so')}"]
    for stem in ("libnvidia-vulkan-producer.so", "libglxserver_nvidia.so"):
        if name == f"{stem}.{version}":
            return [f"{name}::{join_path(directory, stem)}"]
    return []


def _xorg_dirs(library_dirs: Sequence[str]) -> list[str]:
    out = []
    for directory in library_dirs:
        if directory:
            out += [join_path(directory, "nvidia/xorg")]
            out += [join_path(directory, "xorg", module) for module in _XORG_MODULES]
        out += [join_path(base, module) for base in _XORG_BASES for module in _XORG_MODULES]
    return out


def _configs(driver: Driver, locate: Locator, wanted: Sequence[str], container_root: str) -> Discoverer:
    """Configuration files, each at a fixed place in the container whatever its place on the host."""

    def found() -> tuple[Found, ...]:
        out: dict[str, Found] = {}
        for name in wanted:
            try:
                located = locate(name)
            except ToolFailure as e:
                driver.log.warning(f"Could not locate {name}: {e.text}")
                continue
            if not located:
                driver.log.warning(f"Missing {name}")
            elif located[0] not in out:
                path = located[0]
                because = Because(f"host file {path}", f"graphics configuration: it was found for {name}")
                out[path] = Found(path, join_path(container_root, name), (because,))
        return tuple(out.values())

    return remembered(Discoverer(mounts=found))
