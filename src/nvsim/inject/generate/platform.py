"""What kind of machine a host is, as the toolkit finds out before it chooses a mode (go-nvlib: ``pkg/nvlib/info``)."""

from __future__ import annotations

from contextlib import suppress

from nvsim.frozen import frozen
from nvsim.inject.generate.host import CdiHost, can_load, host_library, open_nvml
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_strings import join

NVML_LIBRARY = "libnvidia-ml.so.1"
DXCORE_LIBRARY = "libdxcore.so"


@frozen
class Platform:
    """Whether NVML and DXCore can be loaded, whether the files say Tegra, and the names of the GPUs as NVML tells them."""

    nvml: bool
    dxcore: bool
    tegra: bool
    gpu_names: tuple[str, ...] = ()


def platform_of(host: CdiHost, root: str = "/", nvml_library: str = NVML_LIBRARY) -> Platform:
    """The platform of `host`, its driver below `root`. `nvml_library`: what is opened to ask for the GPUs."""
    names: tuple[str, ...] = ()
    with suppress(ToolFailure):
        names = tuple(gpu.name for gpu in open_nvml(host, nvml_library).visited())
    return Platform(
        can_load(host, host_library(host, root, NVML_LIBRARY)),
        can_load(host, host_library(host, root, DXCORE_LIBRARY)),
        _has_tegra_files(host, root),
        names,
    )


def _has_tegra_files(host: CdiHost, root: str) -> bool:
    if host.text(join(root or "/", "/etc/nv_tegra_release")) is not None:
        return True
    family = host.text(join(root or "/", "/sys/devices/soc0/family"))
    return family is not None and family.lower().startswith("tegra")
