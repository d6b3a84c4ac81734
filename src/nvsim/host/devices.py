"""What the NVIDIA kernel driver shows on a host: device nodes, /proc/driver/nvidia, /sys of the GPUs, and daemons' sockets.

Numbers: NVIDIA's ``nv-reg.h``, ``nvidia-modprobe-utils``; MIG capability minors: ``nv-caps.c`` of the open kernel module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entries = dict[str, Any]

NVIDIA_MAJOR = 195
DEFAULT_UVM_MAJOR = 508  # dynamic: differs from boot to boot
DEFAULT_CAPS_MAJOR = 234  # dynamic
DRM_MAJOR = 226
_MIG_INSTANCES, _MIG_COMPUTE = 15, 8

_PARAMS = """\
ResmanDebugLevel: 4294967295
RmLogonRC: 1
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: 0
DeviceFileMode: 438
InitializeSystemMemoryAllocations: 1
UsePageAttributeTable: 4294967295
EnableMSI: 1
MapRegistersEarly: 0
RegisterForACPIEvents: 1
"""


def _text(text: str, mode: str = "0444") -> dict[str, Any]:
    return {"type": "file", "size": len(text.encode()), "mode": mode, "text": text}


def _char(major: int, minor: int, mode: str = "0666", gid: int = 0) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "char", "rdev": f"{major}:{minor}", "mode": mode}
    if gid:
        entry["gid"] = gid
    return entry


def bus_id(pci: str) -> str:
    """A PCI bus id as /proc and /sys write it: four-digit domain, lower case."""
    domain, _, rest = pci.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def mig_minor(gpu: int, gi: int, ci: int | None = None) -> int:
    """The minor number of a MIG capability (1 = config, 2 = monitor, then nine for each GPU instance of each GPU)."""
    first = 3 + (gpu * _MIG_INSTANCES + gi) * (_MIG_COMPUTE + 1)
    return first if ci is None else first + 1 + ci


def device_entries(devices: Any, gpus: Sequence[Mapping[str, Any]]) -> Entries:
    """The device nodes: ``"standard"``, an object of exceptions from it, or a list of ``[path, type, major, minor, mode, uid, gid]``."""
    if isinstance(devices, list):
        return {row[0]: _row(row) for row in devices}
    options: Mapping[str, Any] = devices if isinstance(devices, Mapping) else {}
    uvm = options.get("uvm_major", DEFAULT_UVM_MAJOR)
    out = {
        "/dev/nvidiactl": _char(NVIDIA_MAJOR, 255),
        "/dev/nvidia-modeset": _char(NVIDIA_MAJOR, 254),
        "/dev/nvidia-uvm": _char(uvm, 0),
        "/dev/nvidia-uvm-tools": _char(uvm, 1),
    }
    for gpu in gpus:
        out[f"/dev/nvidia{gpu['minor']}"] = _char(NVIDIA_MAJOR, gpu["minor"])
    caps = options.get("caps_major", DEFAULT_CAPS_MAJOR)
    for minor, _ in _mig_capabilities(gpus):
        out[f"/dev/nvidia-caps/nvidia-cap{minor}"] = _char(caps, minor, "0444" if minor > 2 else "0400")
    if options.get("drm"):
        for number, gpu in enumerate(gpus):
            card, render = f"card{number}", f"renderD{128 + number}"
            out[f"/dev/dri/{card}"] = _char(DRM_MAJOR, number, "0660", 44)
            out[f"/dev/dri/{render}"] = _char(DRM_MAJOR, 128 + number, "0660", 105)
            by_path = f"/dev/dri/by-path/pci-{bus_id(gpu['pci'])}"
            out[f"{by_path}-card"] = {"type": "symlink", "target": f"../{card}"}
            out[f"{by_path}-render"] = {"type": "symlink", "target": f"../{render}"}
    for path in options.get("missing", ()):
        out.pop(path, None)
    return out


def _row(row: Sequence[Any]) -> dict[str, Any]:
    _, kind, major, minor, mode, uid, gid = row
    return {"type": kind, "rdev": f"{major}:{minor}", "mode": mode, "uid": uid, "gid": gid}


def _mig_capabilities(gpus: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """(minor, path below capabilities/) of every MIG capability of the host; [] without MIG."""
    out: dict[int, str] = {}
    for gpu in gpus:
        for device in gpu.get("mig", ()):
            number, gi, ci = gpu["minor"], device["gi"], device["ci"]
            out[mig_minor(number, gi)] = f"gpu{number}/mig/gi{gi}/access"
            out[mig_minor(number, gi, ci)] = f"gpu{number}/mig/gi{gi}/ci{ci}/access"
    if out:
        out |= {1: "mig/config", 2: "mig/monitor"}
    return sorted(out.items())


def proc_entries(kernel_module: str | None, machine: str, gpus: Sequence[Mapping[str, Any]], devices: Any) -> Entries:
    """What lies below /proc/driver, and /proc/devices. Nothing of NVIDIA when the kernel module is not loaded."""
    options: Mapping[str, Any] = devices if isinstance(devices, Mapping) else {}
    uvm, caps = options.get("uvm_major", DEFAULT_UVM_MAJOR), options.get("caps_major", DEFAULT_CAPS_MAJOR)
    lines = ["Character devices:", "  1 mem", "  5 /dev/tty", "136 pts"]
    if kernel_module is None:
        return {"/proc/devices": _text("\n".join(lines) + "\n"), "/proc/driver": {"type": "dir", "mode": "0555"}}
    lines += [
        "195 nvidia",
        "195 nvidia-modeset",
        "195 nvidiactl",
        "226 drm",
        f"{caps} nvidia-caps",
        f"{uvm} nvidia-uvm",
    ]
    base = "/proc/driver/nvidia"
    out: Entries = {
        "/proc/devices": _text("\n".join(lines) + "\n"),
        f"{base}/params": _text(_PARAMS),
        f"{base}/registry": _text('Binary: ""\n', "0644"),
        f"{base}/version": _text(f"NVRM version: NVIDIA UNIX {machine} Kernel Module  {kernel_module}\n"),
    }
    for gpu in (g for g in gpus if g["pci"]):
        out[f"{base}/gpus/{bus_id(gpu['pci'])}/information"] = _text(_information(gpu))
    minors = []
    for minor, path in _mig_capabilities(gpus):
        out[f"{base}/capabilities/{path}"] = _text(
            f"DeviceFileMinor: {minor}\nDeviceFileMode: {292 if minor > 2 else 256}\nDeviceFileModify: 1\n", "0400"
        )
        minors.append((path.removeprefix("mig/") if minor <= 2 else path.replace("/mig/", "/"), minor))
    if minors:
        out["/proc/driver/nvidia-caps/mig-minors"] = _text("".join(f"{name} {minor}\n" for name, minor in minors))
    return out


def _information(gpu: Mapping[str, Any]) -> str:
    rows = (
        ("Model:", gpu["model"]),
        ("GPU UUID:", gpu["uuid"]),
        ("Bus Type:", "PCIe"),
        ("Bus Location:", bus_id(gpu["pci"])),
        ("Device Minor:", gpu["minor"]),
        ("GPU Excluded:", "No"),
    )
    return "".join(f"{name:<15}\t {value}\n" for name, value in rows)


def sys_entries(gpus: Sequence[Mapping[str, Any]], devices: Any) -> Entries:
    """The GPUs in /sys/bus/pci/devices, with their DRM nodes where the host has them."""
    drm = isinstance(devices, Mapping) and bool(devices.get("drm"))
    out: Entries = {}
    for number, gpu in enumerate(g for g in gpus if g["pci"]):
        base = f"/sys/bus/pci/devices/{bus_id(gpu['pci'])}"
        out[base] = {"type": "dir"}
        if drm:
            out[f"{base}/drm/card{number}"] = {"type": "dir"}
            out[f"{base}/drm/renderD{128 + number}"] = {"type": "dir"}
    return out
