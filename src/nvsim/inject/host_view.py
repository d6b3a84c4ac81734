"""The host's root as programs on a running host see it: its files, what the NVIDIA kernel module shows below /proc, and the binds
into a driver root.

The module's /proc files follow from the driver version and the GPUs (`nvsim.host.devices`; the capabilities "mig/config" and
"mig/monitor" exist without MIG too, open kernel modules ``nv-caps.c``). What the tree has itself is taken as it is.
"""

from __future__ import annotations

from nvsim.host.devices import proc_entries
from nvsim.host.profile import HostProfile
from nvsim.rootfs.node import Directory, Node, Origin
from nvsim.rootfs.overlay import Mount, RootFS
from nvsim.rootfs.tree import MemoryTree, Tree, walk
from nvsim.rootfs.treefile import tree_from_json

PROC_DRIVER = "/proc/driver/nvidia"
_KERNEL = Origin("host", "kernel module nvidia")


def busid8(pci: str) -> str:
    """A PCI bus id as libnvidia-container writes it: lower case, 8-digit domain."""
    domain, colon, rest = pci.lower().partition(":")
    return f"{domain:0>8}{colon}{rest}"


def host_view(host: HostProfile, driver_root: str = "/") -> Tree:
    """The host's tree with the module's /proc files, and with /dev and /proc bound into a driver root that lacks them. Made once a root."""
    return host.memo.get("view", driver_root, lambda: _host_view(host, driver_root))


def _host_view(host: HostProfile, driver_root: str) -> Tree:
    editor = RootFS(host.tree).edit()
    if host.driver.kernel_module is not None:
        for path, node in _module_files(host).items():
            if editor.node(path) is None:
                editor.put(path, node)
    root = "/" + driver_root.strip("/")
    if root != "/" and isinstance(editor.node(root), Directory):
        bound = editor.freeze()
        for top, probe in (("/dev", "/dev/nvidiactl"), ("/proc", PROC_DRIVER)):
            if bound.node(probe) is None or bound.node(root + probe) is not None:
                continue
            nodes = {path[len(top) :] or "/": node for path, node in walk(bound, top)}
            mount = Mount(root + top, top)
            editor.mount_directory(mount, MemoryTree(host.name + top, nodes), "/", Origin("host", top))
    return editor.freeze()


def _module_files(host: HostProfile) -> dict[str, Node]:
    """The files below /proc/driver/nvidia and /proc/driver/nvidia-caps."""
    gpus = [
        {
            "minor": g.minor,
            "pci": g.pci,
            "uuid": g.uuid,
            "model": g.model,
            "mig": [{"gi": m.gi, "ci": m.ci} for m in g.mig],
        }
        for g in host.gpus
        if g.pci
    ]
    entries = proc_entries(host.driver.kernel_module, host.cpu.machine, gpus, None)
    for number, name in enumerate(("config", "monitor"), 1):
        text = f"DeviceFileMinor: {number}\nDeviceFileMode: 256\nDeviceFileModify: 1\n"
        path = f"{PROC_DRIVER}/capabilities/mig/{name}"
        entries.setdefault(path, {"type": "file", "mode": "0400", "size": len(text), "text": text})
    tree = tree_from_json(
        {p: e for p, e in entries.items() if p.startswith(PROC_DRIVER)}, f"{host.name} /proc", _KERNEL
    )
    return dict(walk(tree, "/proc/driver"))
