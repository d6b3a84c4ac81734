"""Which GPUs and MIG devices ``--device``, ``--mig-config`` and ``--mig-monitor`` name (libnvidia-container ``src/cli/common.c``)."""

from __future__ import annotations

import re

from nvsim.frozen import frozen
from nvsim.host.profile import Gpu, MigDevice
from nvsim.inject.host_view import busid8
from nvsim.inject.legacy.paths import EngineFailure
from nvsim.toolkit.request import Because

# Compute capabilities whose GPUs can be partitioned (MIG user guide, "Supported GPUs"); NVML answers for them even when MIG is off.
_MIG_CAPABLE = ("8.0", "9.0", "10.0", "10.3", "12.0")


@frozen
class SelectedGpu:
    """A GPU with its index and the argument that named it (or one of its MIG devices)."""

    index: int
    gpu: Gpu
    because: tuple[Because, ...]

    @property
    def mig_capable(self) -> bool:
        """Whether the GPU knows MIG, enabled or not."""
        return self.gpu.mig_enabled or bool(self.gpu.mig) or self.gpu.compute in _MIG_CAPABLE


@frozen
class SelectedMig:
    """A MIG device with its parent and the argument that named it."""

    parent: SelectedGpu
    device: MigDevice
    because: tuple[Because, ...]


@frozen
class Selection:
    """The visible devices in the order of their selection; `all` when the word "all" did it."""

    gpus: tuple[SelectedGpu, ...] = ()
    migs: tuple[SelectedMig, ...] = ()
    all: bool = False


def select_devices(devices: str | None, gpus: tuple[Gpu, ...]) -> Selection:
    """The devices of a comma list. Raises `EngineFailure` with the text behind "device error: "."""
    if devices is None or not gpus:
        return Selection()
    chosen: dict[int, SelectedGpu] = {}
    migs: dict[tuple[int, int], SelectedMig] = {}
    for item in devices.split(","):
        if not item:
            continue
        why = (Because(f"option --device={devices}", f"{item!r} names it"),)
        if item.lower() == "all":
            for i, gpu in enumerate(gpus):
                chosen.setdefault(i, SelectedGpu(i, gpu, why))
            for i, gpu in enumerate(gpus):
                for j, mig in enumerate(gpu.mig):
                    migs.setdefault((i, j), SelectedMig(chosen[i], mig, why))
            return Selection(tuple(chosen.values()), tuple(migs.values()), True)
        index = _gpu_index(item, gpus)
        if index is not None:
            chosen.setdefault(index, SelectedGpu(index, gpus[index], why))
            continue
        pair = _mig_index(item, gpus)
        if pair is None:
            raise EngineFailure(f"{item}: unknown device")
        parent = SelectedGpu(pair[0], gpus[pair[0]], why)
        migs.setdefault(pair, SelectedMig(parent, gpus[pair[0]].mig[pair[1]], why))
        chosen.setdefault(pair[0], parent)
    return Selection(tuple(chosen.values()), tuple(migs.values()))


def _gpu_index(item: str, gpus: tuple[Gpu, ...]) -> int | None:
    """UUID, PCI bus id or index, tried in this order (``select_gpu_device``)."""
    if item.lower().startswith("gpu-"):
        for i, gpu in enumerate(gpus):
            if gpu.uuid.lower() == item.lower():
                return i
    bus = re.match(r"\s*[+-]?(?:0[xX])?([0-9a-fA-F]+):\s*([0-9a-fA-F]{1,2}):\s*([0-9a-fA-F]{1,2})", item)
    if bus is not None:
        wanted = f"{int(bus[1], 16):08x}:{int(bus[2], 16):02x}:{int(bus[3], 16):02x}.0"
        for i, gpu in enumerate(gpus):
            if gpu.pci and busid8(gpu.pci).startswith(wanted):
                return i
    number = re.fullmatch(r"\s*([+-]?)(\d+)", item)
    if number is not None and (number[1] != "-" or int(number[2]) == 0) and int(number[2]) < len(gpus):
        return int(number[2])
    return None


def _mig_index(item: str, gpus: tuple[Gpu, ...]) -> tuple[int, int] | None:
    """MIG UUID, or "GPU:MIG" by index (``select_mig_device``)."""
    if item.lower().startswith("mig-"):
        for i, gpu in enumerate(gpus):
            for j, mig in enumerate(gpu.mig):
                if mig.uuid.lower() == item.lower():
                    return i, j
    pair = re.match(r"\s*\+?(\d+):\s*\+?(\d+)", item)
    if pair is not None and int(pair[1]) < len(gpus) and int(pair[2]) < len(gpus[int(pair[1])].mig):
        return int(pair[1]), int(pair[2])
    return None


def select_mig_admin(devices: str | None, visible: Selection, what: str) -> Selection:
    """The GPUs whose MIG devices may be configured or monitored; `what` is "mig-config" or "mig-monitor".

    Raises `EngineFailure` with the text behind "mig-config error: " or "mig-monitor error: ".
    """
    for item in (devices or "").split(","):
        if not item:
            continue
        if item.lower() != "all":
            raise EngineFailure(f"{item}: only 'all' devices are currently supported")
        if not visible.all and visible.migs:
            raise EngineFailure(f"{item}: cannot enable {what} with specific MIG devices selected")
        capable = [g for g in visible.gpus if g.mig_capable]
        known = {g.index for g in capable}
        capable += [m.parent for m in visible.migs if m.parent.index not in known]
        return Selection(tuple(capable), (), True)
    return Selection()
