"""Discoverers of GPU device nodes: full GPUs, MIG devices, control nodes, everything for management
(toolkit: ``internal/platform-support/dgpu``, ``pkg/nvcdi/management.go``)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, char_devices, merge, remembered
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import CdiHost, NvmlGpu, NvmlMig, nvml_text
from nvsim.inject.generate.lookup import join_path
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.node import Symlink
from nvsim.rootfs.resolve import Resolved
from nvsim.toolkit.request import Because

CONTROL_NODES = ("/dev/nvidia-modeset", "/dev/nvidia-uvm-tools", "/dev/nvidia-uvm", "/dev/nvidiactl")
MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"
_NOT_FOR_MANAGEMENT = ("nvidia-fs", "nvidia-nvswitch", "nvidia-nvlink")
_FOLDERS_TO_OPEN = ("/dev/dri", "/dev/nvidia-caps")
_MIG_CAP = re.compile(r"(config|monitor|gpu\d+/gi\d+(/ci\d+)?/access)\Z")


def control_nodes(driver: Driver) -> Discoverer:
    """The nodes that every CUDA process needs besides its GPU's."""
    return char_devices(driver, CONTROL_NODES, "control device")


def full_gpu(driver: Driver, creator: HookCreator, gpu: NvmlGpu) -> Discoverer:
    """A GPU's node, its DRM nodes and their by-path links. Raises `ToolFailure` when NVML does not tell its bus id."""
    bus_id = _bus_id(gpu, driver)
    wanted = (f"/dev/nvidia{gpu.minor}", *drm_nodes(driver.host, bus_id))
    nodes = char_devices(driver, wanted, f"node of GPU {gpu.uuid}")
    return remembered(merge(nodes, _by_path_links(driver, creator, bus_id, nodes)))


def mig_device(driver: Driver, creator: HookCreator, gpu: NvmlGpu, mig: NvmlMig) -> Discoverer:
    """The nodes of a MIG device: its GPU's and those of its two capabilities; DRM nodes only with the gfx attribute."""
    caps = mig_capabilities(driver.host)
    if caps is None and not driver.rules.mig_minors_needed:
        caps = {}
    if caps is None:
        raise ToolFailure("error getting MIG capability device paths: <nil>")
    wanted = [f"/dev/nvidia{gpu.minor}"]
    for what, key in (
        ("GI", f"gpu{gpu.minor}/gi{mig.gi}/access"),
        ("CI", f"gpu{gpu.minor}/gi{mig.gi}/ci{mig.ci}/access"),
    ):
        if key not in caps:
            raise ToolFailure(f"failed to get {what} cap device path: invalid MIG capability path {key}")
        wanted.append(f"/dev/nvidia-caps/nvidia-cap{caps[key]}")
    what = f"node of MIG device {mig.uuid}"
    if not driver.rules.mig_graphics or "gfx" not in mig.profile.partition("+")[2].split(","):
        return remembered(char_devices(driver, wanted, what))
    bus_id = _bus_id(gpu, driver)
    nodes = char_devices(driver, (*wanted, *drm_nodes(driver.host, bus_id)), what)
    return remembered(merge(nodes, _by_path_links(driver, creator, bus_id, nodes)))


def _bus_id(gpu: NvmlGpu, driver: Driver) -> str:
    bus_id = gpu.bus_id
    if bus_id is None:
        step = "error getting PCI info for device"
        raise ToolFailure(f"{step}: {'error getting PCI info: ' if driver.rules.pci_told_twice else ''}{nvml_text(3)}")
    return bus_id


def drm_nodes(host: CdiHost, bus_id: str) -> list[str]:
    """The DRM nodes that sysfs of the generating system names for a PCI device."""
    found = lookup.go_glob(host.resolver, f"/sys/bus/pci/devices/{bus_id}/drm/*")
    return [f"/dev/dri/{posixpath.basename(path)}" for path in found]


def mig_capabilities(host: CdiHost) -> Mapping[str, int] | None:
    """Capability -> minor, as the driver tells it in /proc; None without that file."""
    text = host.text(MIG_MINORS)
    if text is None:
        return None
    out = {}
    for line in text.splitlines():
        key, space, minor = line.partition(" ")
        if space and _MIG_CAP.match(key) and re.fullmatch(r"[-+]?\d+", minor):
            out[key] = int(minor)
    return out


def _by_path_links(driver: Driver, creator: HookCreator, bus_id: str, nodes: Discoverer) -> Discoverer:
    """The links below /dev/dri/by-path that lead to selected nodes. The link's place keeps the dev root (as upstream does)."""

    every = driver.rules.by_path_links == "all"

    def hooks() -> tuple[CdiHook, ...]:
        selected = {d.host_path for d in nodes.devices()}
        if not selected and not every:
            return ()
        links = []
        for kind in ("card", "render"):
            link = join_path(driver.dev_root, f"/dev/dri/by-path/pci-{bus_id}-{kind}")
            found = driver.host.resolver.resolve(link, follow=False)
            if not isinstance(found, Resolved) or not isinstance(found.node, Symlink):
                driver.log.warning(f"Failed to evaluate symlink {link}; ignoring")
                continue
            target = found.node.target
            node = target if target.startswith("/") else join_path(posixpath.dirname(link), target)
            if every or node in selected:
                links.append(f"{target}::{link}")
        because = (Because("host links in /dev/dri/by-path", f"they lead to nodes of the GPU at {bus_id}"),)
        return creator.create("create-symlinks", *links, because=because) if links else ()

    return Discoverer(hooks=hooks)


def folder_permissions(creator: HookCreator, nodes: Discoverer) -> Discoverer:
    """The hook that opens the directories of device nodes to users other than root."""

    def hooks() -> tuple[CdiHook, ...]:
        folders = dict.fromkeys(posixpath.dirname(d.path) for d in nodes.devices())
        return creator.create("chmod", *(f for f in folders if f in _FOLDERS_TO_OPEN))

    return Discoverer(hooks=hooks)


def management_nodes(driver: Driver, creator: HookCreator) -> Discoverer:
    """Every NVIDIA device node, without those of nvidia-fs, NVSwitch and NVLink."""
    nodes = char_devices(driver, driver.rules.management_nodes, "management device")

    def allowed() -> tuple[Found, ...]:
        return tuple(d for d in nodes.devices() if not posixpath.basename(d.host_path).startswith(_NOT_FOR_MANAGEMENT))

    return merge(Discoverer(devices=allowed), folder_permissions(creator, nodes))
