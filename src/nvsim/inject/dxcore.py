"""What DXCore answers on a WSL host: the driver stores of the adapters that it enumerates.

libnvidia-container (``src/dxcore.c``) and the toolkit (``internal/dxcore/dxcore.c``) ask it alike. Whether libdxcore.so can be loaded is asked
where it is loaded.
"""

from __future__ import annotations

from nvsim.host.profile import HostProfile
from nvsim.rootfs.node import Special
from nvsim.rootfs.resolve import Resolved, resolve


def reported_stores(host: HostProfile) -> tuple[str, ...] | None:
    """The driver stores that DXCore reports, one for an adapter, in order.

    As the profile tells (``dxcore_driver_store_paths``; an empty list: it refuses, or has no adapter), else none without /dev/dxg, for it
    asks the kernel there; None: whatever the driver stores on the host show.
    """
    named = host.data.get("dxcore_driver_store_paths")
    if isinstance(named, list):
        return tuple(str(path) for path in named)
    found = resolve(host.tree, "/dev/dxg")
    return None if isinstance(found, Resolved) and isinstance(found.node, Special) else ()
