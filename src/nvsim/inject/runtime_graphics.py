"""What the graphics step of legacy mode finds on the host: DRM nodes of the visible GPUs, libraries and configuration
(toolkit: ``internal/discover/graphics.go``)."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, char_devices, merge
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.graphics import graphics_files, optional_xorg
from nvsim.inject.generate.lookup import go_glob, join_path, read_link
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.releases import Release


def graphics_discoverer(driver: Driver, creator: HookCreator, devices: Sequence[str], release: Release) -> Discoverer:
    """DRM nodes and files for graphics. Raises `ToolFailure` where the release needs what the host does not have."""
    return merge(_drm_nodes(driver, creator, devices), _files(driver, creator, release))


def _files(driver: Driver, creator: HookCreator, release: Release) -> Discoverer:
    """Libraries and configuration, as generated specs have them. Raises `ToolFailure`."""
    try:
        found = graphics_files(driver, creator)
    except ToolFailure as e:
        failed = e.within("failed to create mounts discoverer")
        raise (
            failed.within("failed to construct discoverer") if release.graphics_needs == "ldcache" else failed
        ) from None
    return merge(found, optional_xorg(driver, creator) if driver.rules.xorg == "runtime" else None)


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
