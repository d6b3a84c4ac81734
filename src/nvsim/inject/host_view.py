"""The host's root as programs on a running host see it: its files, what the NVIDIA kernel module shows below /proc, and the binds
into a driver root.

Profiles state files; the module's /proc files follow from the driver version and the GPUs (open kernel modules
``kernel-open/nvidia/nv-procfs.c``, ``kernel-open/nvidia/nv-caps.c``). A tree that has them itself is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from nvsim.host.profile import Gpu, HostProfile
from nvsim.rootfs.node import Directory, File, FileFacts, Node, Origin
from nvsim.rootfs.overlay import Mount, RootFS
from nvsim.rootfs.tree import MemoryTree, Tree, join, walk

PROC_DRIVER = "/proc/driver/nvidia"
_KERNEL = Origin("host", "kernel module nvidia")


def busid8(pci: str) -> str:
    """A PCI bus id as libnvidia-container writes it: lower case, 8-digit domain."""
    domain, colon, rest = pci.lower().partition(":")
    return f"{domain:0>8}{colon}{rest}"


def busid4(pci: str) -> str:
    """A PCI bus id as /proc/driver/nvidia/gpus spells it: at least 4 digits of domain."""
    domain, colon, rest = busid8(pci).partition(":")
    return f"{domain.lstrip('0'):0>4}{colon}{rest}"


def host_view(host: HostProfile, driver_root: str = "/") -> Tree:
    """The host's tree with the module's /proc files, and with /dev and /proc bound into a driver root that lacks them."""
    editor = RootFS(host.tree).edit()
    if host.driver.kernel_module is not None and editor.node(PROC_DRIVER) is None:
        for path, node in _module_files(host).items():
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
    version = host.driver.kernel_module or ""
    flavour = "Open " if host.driver.open else ""
    out: dict[str, Node] = {PROC_DRIVER: Directory(0o555, origin=_KERNEL)}

    def put(path: str, text: str, mode: int = 0o444) -> None:
        full = join(PROC_DRIVER, path)
        out[full] = File(len(text), (host.name, full), FileFacts(text=text), mode, origin=_KERNEL)

    put("params", _PARAMS, 0o644)
    put("registry", 'Binary: ""\n', 0o644)
    put("version", f"NVRM version: NVIDIA UNIX {flavour}x86_64 Kernel Module  {version}\n")
    put("capabilities/mig/config", _capability(1))
    put("capabilities/mig/monitor", _capability(2))
    for gpu in host.gpus:
        _gpu_files(gpu, put)
    return out


def _gpu_files(gpu: Gpu, put: Callable[[str, str], None]) -> None:
    if not gpu.pci:
        return
    bus = busid4(gpu.pci)
    put(
        f"gpus/{bus}/information",
        f"Model: \t\t {gpu.model}\nGPU UUID: \t {gpu.uuid}\nBus Location: \t {bus}\nDevice Minor: \t {gpu.minor}\n",
    )
    for i, mig in enumerate(gpu.mig):
        top = f"capabilities/gpu{gpu.minor}/mig/gi{mig.gi}"
        put(f"{top}/access", _capability(3 + 2 * i))
        put(f"{top}/ci{mig.ci}/access", _capability(4 + 2 * i))


def _capability(minor: int) -> str:
    return f"DeviceFileMinor: {minor}\nDeviceFileMode: 256\nDeviceFileModify: 1\n"


_PARAMS = """\
ResmanDebugLevel: 4294967295
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: 0
DeviceFileMode: 438
"""
