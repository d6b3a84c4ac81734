"""Discoverers of graphics files: EGL and Vulkan platform libraries, X.Org modules, their configuration
(toolkit: ``internal/discover/graphics.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, merge, mounts, remembered
from nvsim.inject.generate.driver import Driver, cached_library_locator
from nvsim.inject.generate.libraries import libcuda_version
from nvsim.inject.generate.lookup import Locator, join_path
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.request import Because

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_XORG_BASES = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
_XORG_MODULES = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")


def graphics_files(driver: Driver, creator: HookCreator) -> Discoverer:
    """Libraries, programs and configuration. Raises `ToolFailure` when what the release needs of the driver is unknown."""
    rules = driver.rules
    if rules.xorg == "modules":
        try:
            libraries = _libraries(driver, creator)
        except ToolFailure as e:
            raise e.within("failed to construct discoverer for graphics libraries") from None
    else:
        libraries = mounts(
            driver.log, _old_libraries(driver), driver.root, rules.graphics_libraries, "graphics library"
        )
    xorg = optional_xorg(driver, creator) if rules.xorg == "optional" else None
    programs = mounts(
        driver.log, driver.executables(), driver.root, rules.graphics_programs, "driver program on the PATH"
    )
    return merge(
        libraries,
        programs,
        mounts(driver.log, driver.configs(), driver.root, rules.graphics_configs, "graphics configuration"),
        merge(
            _configs(driver, driver.configs(), rules.shared_configs, "/usr/share"),
            _configs(driver, driver.configs(), rules.opencl_configs, "/etc"),
        ),
        _configs(driver, lookup.first(driver.configs(), driver.files()), _vulkan(driver), "/etc"),
        xorg,
    )


def _vulkan(driver: Driver) -> tuple[str, ...]:
    """Configuration files of Vulkan for the host's architecture."""
    arch = _ARCHITECTURES.get(driver.host.arch)
    known = (name for name in driver.rules.vulkan_configs if arch or "ARCH" not in name)
    return tuple(name.replace("ARCH", arch or "") for name in known)


def _old_libraries(driver: Driver) -> Locator:
    """The library locator; before 1.15 that of the ld.so.cache, without which there is no graphics. Raises `ToolFailure`."""
    if driver.rules.library_search != "ldcache":
        return driver.libraries()
    try:
        lookup.ldcache(driver.host.resolver, driver.root)
    except ToolFailure as e:
        raise e.within("error loading ldcache").within("failed to construct library locator") from None
    return cached_library_locator(driver.host, driver.log, driver.root, driver.rules) or driver.libraries()


def optional_xorg(driver: Driver, creator: HookCreator) -> Discoverer | None:
    """X.Org modules beside libcuda, a link to one of them, and their configuration; a warning without libcuda."""
    try:
        path = driver.libcuda(".*.*")[0]
    except ToolFailure as e:
        reason = f"failed to locate libcuda.so: {e.text}"
        driver.log.warning(f"Failed to create Xorg discoverer: {reason}; skipping xorg libraries")
        return None
    directory, name = posixpath.split(path)
    server = f"libglxserver_nvidia.so.{name.removeprefix('libcuda.so.')}"
    locate = driver.files_at((directory, "/usr/lib/x86_64-linux-gnu"), count=1)
    modules = mounts(
        driver.log, locate, driver.root, ("nvidia/xorg/nvidia_drv.so", f"nvidia/xorg/{server}"), "X.Org module"
    )
    shared = driver.configs() if driver.rules.config_directories == "xdg" else driver.files_at(("/usr/share",))
    config = mounts(driver.log, shared, driver.root, ("X11/xorg.conf.d/10-nvidia.conf",), "X.Org configuration")

    def hooks() -> tuple[CdiHook, ...]:
        found = [m.path for m in modules.mounts() if posixpath.basename(m.host_path) == server]
        links = [f"{server}::{join_path(posixpath.dirname(p), 'libglxserver_nvidia.so')}" for p in found[-1:]]
        because = (Because("host graphics libraries", "links that graphics libraries are looked for by"),)
        return creator.create("create-symlinks", *links, because=because) if links else ()

    return merge(modules, config, Discoverer(hooks=hooks))


def _version_and_directories(driver: Driver) -> tuple[str, tuple[str, ...]]:
    """The version of graphics libraries (a pattern where it is unknown) and the driver's directories. Raises `ToolFailure`."""
    if driver.rules.graphics_version == "libcuda":
        directory, version = libcuda_version(driver)
        return version, (directory,)
    try:
        version = driver.version()
    except ToolFailure as e:
        raise e.within("failed to get driver version") from None
    try:
        return version, driver.library_dirs()
    except ToolFailure as e:
        raise e.within("failed to get libcuda.so parent directory") from None


def _libraries(driver: Driver, creator: HookCreator) -> Discoverer:
    """Platform libraries and X.Org modules; the allocator is looked for only because of its link. Raises `ToolFailure`."""
    version, dirs = _version_and_directories(driver)
    known = version if driver.rules.graphics_version == "exact" else "*.*"
    versioned = (f"libnvidia-allocator.so.{version}", f"libnvidia-vulkan-producer.so.{version}")
    xorg = driver.files_at(_xorg_dirs(dirs), count=1)
    wanted = (*driver.rules.graphics_libraries, *versioned)
    found = merge(
        mounts(driver.log, driver.libraries(), driver.root, wanted, "graphics library"),
        mounts(driver.log, xorg, driver.root, ("nvidia_drv.so", f"libglxserver_nvidia.so.{version}"), "X.Org module"),
    )

    def asked() -> tuple[Found, ...]:
        try:
            return found.mounts()
        except ToolFailure as e:
            raise e.within("failed to get library mounts") from None

    def without_allocator() -> tuple[Found, ...]:
        pattern = f"libnvidia-allocator.so.{known}"
        return tuple(m for m in asked() if not lookup.go_match(pattern, posixpath.basename(m.path)))

    def hooks() -> tuple[CdiHook, ...]:
        links = [link for m in asked() for link in _links(m.path, known, driver.rules.graphics_links)]
        because = (Because("host graphics libraries", "links that graphics libraries are looked for by"),)
        return creator.create("create-symlinks", *links, because=because) if links else ()

    return Discoverer(mounts=without_allocator, hooks=hooks)


def _links(path: str, version: str, wanted: Sequence[str]) -> list[str]:
    """The links to a library of this version (a pattern), by the names that the release gives them."""
    directory, name = posixpath.split(path)
    if lookup.go_match(f"libnvidia-allocator.so.{version}", name):
        gbm = f"../libnvidia-allocator.so.1::{join_path(directory, 'gbm', 'nvidia-drm_gbm.so')}"
        links = {"allocator": f"{name}::{join_path(directory, 'libnvidia-allocator.so.1')}", "gbm": gbm}
        return [link for what, link in links.items() if what in wanted]
    for what, stem in (("vulkan-producer", "libnvidia-vulkan-producer.so"), ("glxserver", "libglxserver_nvidia.so")):
        if what in wanted and lookup.go_match(f"{stem}.{version}", name):
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
