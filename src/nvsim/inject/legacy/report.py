"""What ``nvidia-container-cli list`` and ``info`` print (libnvidia-container ``src/cli/list.c``, ``src/cli/info.c``)."""

from __future__ import annotations

import re

from nvsim.host.profile import HostProfile
from nvsim.inject.host_view import busid8
from nvsim.inject.legacy.args import CliArgs
from nvsim.inject.legacy.devices import Selection
from nvsim.inject.legacy.host import DriverInfo
from nvsim.inject.legacy.paths import Root
from nvsim.inject.legacy.plan import CAPS_DEV, CAPS_PROC, IMEX_DEV, cap_minor
from nvsim.rootfs.node import File

_MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"


def info_lines(host: HostProfile, args: CliArgs, version: str, *, wsl: bool) -> tuple[str, ...]:
    """The lines of ``info``. Devices of WSL have minor 0."""
    cuda = host.driver.cuda or ""
    rows = [
        (str(i), str(0 if wsl else g.minor), g.model, g.brand, g.uuid, busid8(g.pci), g.compute)
        for i, g in enumerate(host.gpus)
    ]
    if args.csv:
        head = ("NVRM version,CUDA version", f"{version},{cuda}", "")
        titles = "Device Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture"
        return (*head, titles, *(",".join(row) for row in rows))
    names = ("Device Index:", "Device Minor:", "Model:", "Brand:", "GPU UUID:", "Bus Location:", "Architecture:")
    out = [f"{'NVRM version:':<15} {version}", f"{'CUDA version:':<15} {cuda}"]
    for row in rows:
        out.append("")
        out += [f"{name:<15} {value}" for name, value in zip(names, row, strict=True)]
    return tuple(out)


def _mig_nodes(root: Root, minor: int) -> list[str]:
    """The device nodes of all MIG capabilities of a GPU, as the kernel module's table of minor numbers has them."""
    node = root.tree.node(_MIG_MINORS)
    text = (node.facts.text or "") if isinstance(node, File) else ""
    return [
        f"{CAPS_DEV}/nvidia-cap{m[2]}" for m in re.finditer(r"(?m)^gpu(\d+)\S+ +(\d+)$", text) if int(m[1]) == minor
    ]


def list_lines(
    root: Root,
    args: CliArgs,
    info: DriverInfo,
    selected: Selection,
    mig_config: Selection,
    mig_monitor: Selection,
    *,
    wsl: bool,
    caps_devices: bool,
    imex: tuple[int, ...],
) -> tuple[str, ...]:
    """The lines of ``list``. `caps_devices`: capability files have device nodes on this host."""

    def nodes(*paths: str) -> list[str]:
        """The device nodes of capability files; one that tells no number is left out."""
        minors = [cap_minor(root, p) for p in paths] if caps_devices else []
        return [f"{CAPS_DEV}/nvidia-cap{m}" for m in minors if m is not None]

    out: list[str] = []
    if args.devices is not None:
        out += [d.path for d in info.devices]
        if not wsl:
            out += [f"/dev/nvidia{g.gpu.minor}" for g in selected.gpus]
        if not mig_config.all and not mig_monitor.all:
            for mig in selected.migs:
                top = f"{CAPS_PROC}/gpu{mig.parent.gpu.minor}/mig/gi{mig.device.gi}"
                paths = (f"{top}/access", f"{top}/ci{mig.device.ci}/access")
                out += [*paths, *nodes(*paths)]
    out += [f"{IMEX_DEV}/channel{channel}" for channel in imex]
    for what, selection in (("config", mig_config), ("monitor", mig_monitor)):
        if selection.all and selection.gpus:
            path = f"{CAPS_PROC}/mig/{what}"
            out += [path, *nodes(path)]
            for gpu in selection.gpus:
                out.append(f"{CAPS_PROC}/gpu{gpu.gpu.minor}")
                if caps_devices:
                    out += [CAPS_DEV, *_mig_nodes(root, gpu.gpu.minor)]
    if "binaries" in args.listed:
        out += [f.path for f in info.binaries]
    if "libraries" in args.listed:
        out += [f.path for f in info.libraries]
        if args.compat32:
            out += [f.path for f in info.libraries32]
    if "ipcs" in args.listed:
        out += [f.path for f in info.ipcs]
    if "firmwares" in args.listed:
        out += [f.path for f in info.firmwares]
    return tuple(out)
