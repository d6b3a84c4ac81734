"""Discoverers of what is injected only on request: GDS, MOFED, GDRCopy, NVSwitch, IMEX channels
(toolkit: ``pkg/nvcdi/gated.go``, ``lib-imex.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from nvsim.inject.cdi.spec import CdiDevice, CdiNode, Edits
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.lookup import join_path
from nvsim.inject.log import ToolFailure
from nvsim.rootfs.resolve import PathError
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.request import Because

GATED_MODES = ("gdrcopy", "gds", "mofed", "nvswitch")
_NODES = {
    "gdrcopy": ("/dev/gdrdrv",),
    "gds": ("/dev/nvidia-fs*",),
    "mofed": ("/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm"),
    "nvswitch": ("/dev/nvidia-nvswitchctl", "/dev/nvidia-nvswitch*"),
}
_MAX_CHANNEL = (1 << 20) - 1


def gated_files(driver: Driver, mode: str) -> Discoverer:
    """The device nodes of a gated feature; for GDS also udev's directory and cufile.json, when there are nodes."""
    nodes = char_devices(driver, _NODES[mode], f"{mode} device")
    if mode != "gds":
        return nodes
    folders = driver.files_at(accept=lookup.is_directory)
    extra = merge(
        mounts(driver.log, folders, driver.root, ("/run/udev",), "directory for GDS"),
        mounts(driver.log, driver.files(), driver.root, ("/etc/cufile.json",), "configuration of GDS"),
    )

    def found() -> tuple[Found, ...]:
        return extra.mounts() if nodes.devices() else ()

    return Discoverer(devices=nodes.devices, mounts=found)


def imex_channels(driver: Driver, ids: Sequence[str]) -> list[str]:
    """The channel numbers, as text, that the ids ask for. Raises `ToolFailure`."""
    out = []
    for ident in ids:
        number = ident.removeprefix("channel")
        if number == "all":
            nodes = char_devices(driver, ("/dev/nvidia-caps-imex-channels/channel*",), "IMEX channel").devices()
            return [posixpath.basename(n.path).removeprefix("channel") for n in nodes]
        if not (number.isascii() and number.isdigit()):
            reason = f"strconv.ParseUint: parsing {go_quote(number)}: invalid syntax"
            raise ToolFailure(f"invalid channel ID {ident}: {reason}")
        if int(number) >= 2**64:
            reason = f"strconv.ParseUint: parsing {go_quote(number)}: value out of range"
            raise ToolFailure(f"invalid channel ID {ident}: {reason}")
        if driver.rules.imex_checks and int(number) > _MAX_CHANNEL:
            raise ToolFailure(f"invalid channel ID {ident}: must be in the range [0, {_MAX_CHANNEL}]")
        out.append(number)
    return out


def imex_device(driver: Driver, channel: str) -> CdiDevice:
    """The CDI device of an IMEX channel. Raises `ToolFailure` when it does not exist, if the release looks."""
    path = f"/dev/nvidia-caps-imex-channels/channel{channel}"
    host_path = join_path(driver.dev_root, path)
    found = driver.host.resolver.resolve(host_path)
    if driver.rules.imex_checks and isinstance(found, PathError):
        error = f"stat {host_path}: {ERRNO_TEXT.get(found.errno, found.errno)}"
        raise ToolFailure(f"IMEX channel {channel} not found at {host_path}: {error}")
    because = (Because(f"host {host_path}", f"channel {channel} was asked for"),)
    return CdiDevice(channel, Edits(nodes=(CdiNode(path, host_path, because=because),)))
