"""Device requests by volume mounts: ``/dev/null`` mounted below ``/var/run/nvidia-container-devices``.

Source: ``internal/config/image/cuda_image.go`` (``requestsFromMounts``); before 1.17 the hook had a copy of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import frozen
from nvsim.toolkit.cdi_name import is_qualified
from nvsim.toolkit.go_strings import clean
from nvsim.toolkit.releases import Release

ROOT = "/var/run/nvidia-container-devices"
CDI, IMEX = "cdi/", "imex/"


@frozen
class Mount:
    """A mount of the OCI spec, as far as it can be a request."""

    source: str
    destination: str


def mount_requests(mounts: Sequence[Mount], *, unique: bool = True) -> tuple[str, ...]:
    """What the mounts ask for, in order: the path below `ROOT` (which is compared as text), without outer slashes."""
    seen: set[str] = set()
    out = []
    for mount in mounts:
        destination = clean(mount.destination)
        if clean(mount.source) != "/dev/null" or (unique and destination in seen):
            continue
        seen.add(destination)
        request = destination.removeprefix(ROOT).strip("/") if destination.startswith(ROOT) else ""
        if request:
            out.append(request)
    return tuple(out)


def mount_devices(mounts: Sequence[Mount], release: Release) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The requested devices and the warnings. Raises `NamePanic` where the real program crashes on a CDI name."""
    if release.mount_devices == "verbatim":
        return mount_requests(mounts, unique=False), ()
    devices, warnings = [], []
    for request in mount_requests(mounts):
        if request.startswith(IMEX):
            continue
        if not request.startswith(CDI):
            devices.append(request)
        elif release.mount_devices == "cdi-names":
            name = _cdi_name(request.removeprefix(CDI))
            if name is not None:
                devices.append(name)
            else:
                why = f"invalid mount CDI device request: {request}"
                warnings.append(f"Ignoring invalid mount request for CDI device {request}: {why}")
    return tuple(devices), tuple(warnings)


def cdi_mount_devices(mounts: Sequence[Mount]) -> tuple[str, ...]:
    """The devices named by ``cdi/VENDOR/CLASS/NAME`` alone, as CDI mode took them from 1.15 to 1.17."""
    below = [r.removeprefix(CDI).split("/", 2) for r in mount_requests(mounts) if r.startswith(CDI)]
    return tuple(f"{p[0]}/{p[1]}={p[2]}" for p in below if len(p) == 3)


def mount_imex_channels(mounts: Sequence[Mount]) -> tuple[str, ...]:
    """The IMEX channels that ``imex/N`` mounts ask for."""
    return tuple(r.removeprefix(IMEX) for r in mount_requests(mounts) if r.startswith(IMEX))


def _cdi_name(text: str) -> str | None:
    if is_qualified(text):
        return text
    parts = text.split("/", 2)
    return f"{parts[0]}/{parts[1]}={parts[2]}" if len(parts) == 3 else None
