"""What the graphics step of legacy mode finds on the host: DRM nodes of the visible GPUs, libraries and configuration
(toolkit: ``internal/discover/graphics.go``)."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.graphics import graphics_files
from nvsim.inject.generate.lookup import go_glob, join_path, read_link
from nvsim.inject.log import ToolFailure
from nvsim.ldcache import LdCache
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved
from nvsim.toolkit.releases import Release

_OLD_CONFIGS = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "nvidia/nvoptix.bin",
)


def graphics_discoverer(driver: Driver, creator: HookCreator, devices: Sequence[str], release: Release) -> Discoverer:
    """DRM nodes and files for graphics. Raises `ToolFailure` where the release needs what the host does not have."""
    return merge(_drm_nodes(driver, creator, devices), _files(driver, creator, release))


def _files(driver: Driver, creator: HookCreator, release: Release) -> Discoverer:
    if release.graphics_needs == "driver":
        try:
            return graphics_files(driver, creator)
        except ToolFailure as e:
            raise e.within("failed to create mounts discoverer") from None
    if release.graphics_needs == "ldcache":
        _check_ldcache(driver)
    return merge(
        mounts(driver.log, driver.libraries(), driver.root, ("libnvidia-egl-gbm.so.*",), "graphics library"),
        mounts(driver.log, driver.configs(), driver.root, _OLD_CONFIGS, "graphics configuration"),
    )


def _check_ldcache(driver: Driver) -> None:
    path = join_path(driver.root or "/", "/etc/ld.so.cache")
    step = "failed to construct discoverer: failed to create mounts discoverer: failed to construct library locator"
    found = driver.host.resolver.resolve(path)
    if not isinstance(found, Resolved) or not isinstance(found.node, File):
        raise ToolFailure(f"{step}: error loading ldcache: open {path}: no such file or directory")
    if not isinstance(found.node.facts.ldcache, LdCache):
        raise ToolFailure(f"{step}: error loading ldcache: invalid ld.so.cache file")


def _drm_nodes(driver: Driver, creator: HookCreator, devices: Sequence[str]) -> Discoverer:
    """The DRM nodes of the visible GPUs and a hook for the links by path that lead to them."""
    nodes = char_devices(driver, ("/dev/dri/card*", "/dev/dri/renderD*"), "DRM node")

    def selected() -> tuple[Found, ...]:
        wanted = _selected_nodes(driver, devices)
        return tuple(n for n in nodes.devices() if n.path in wanted)

    def hooks() -> tuple[CdiHook, ...]:
        names = {n.path.rpartition("/")[2] for n in selected()}
        links = []
        for path in go_glob(driver.host.resolver, join_path(driver.dev_root or "/", "/dev/dri/by-path/pci-*-*")):
            target = read_link(driver.host.resolver, path)
            if target.rpartition("/")[2] in names:
                links.append(f"{target}::{path}")
        return creator.create("create-symlinks", *links) if links else ()

    return Discoverer(devices=selected, hooks=hooks)


def _selected_nodes(driver: Driver, devices: Sequence[str]) -> set[str]:
    """``/dev/dri/...`` of the GPUs that are visible by minor number, UUID or bus id (``/proc/driver/nvidia/gpus``)."""
    host = driver.host
    out: set[str] = set()
    for path in go_glob(host.resolver, join_path(driver.dev_root or "/", "/proc/driver/nvidia/gpus/*/information")):
        facts = dict(line.split(":", 1) for line in (host.text(path) or "").splitlines() if ":" in line)
        names = {facts.get(key, "").strip() for key in ("Device Minor", "GPU UUID", "Bus Location")} - {""}
        if "all" in devices or names & set(devices):
            bus = facts.get("Bus Location", "").strip()
            found = lookup.go_glob(host.resolver, f"/sys/bus/pci/devices/{bus}/drm/*")
            out |= {f"/dev/dri/{p.rpartition('/')[2]}" for p in found}
    return out
