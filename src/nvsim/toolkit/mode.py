"""The mode: how the driver gets into a container (``internal/info/auto.go``, go-nvlib's platform resolver)."""

from __future__ import annotations

from collections.abc import Callable

from nvsim.frozen import frozen
from nvsim.toolkit.cdi_name import NamePanic, is_qualified
from nvsim.toolkit.devices import VISIBLE, env_list, visible_devices
from nvsim.toolkit.image import Caller, ImageView
from nvsim.toolkit.mounts import CDI, mount_requests
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because

TEGRA_RELEASE = "/etc/nv_tegra_release"
MODE_KEY = "config.toml nvidia-container-runtime.mode"


@frozen
class Platform:
    """What the programs find out about the host: libraries that can be dlopened, Tegra's files, the names of the GPUs that NVML tells.

    `gpu_names`: empty where NVML cannot be initialised. `own_build`: the programs are no official packages but were linked by a recent linker.
    """

    nvml: bool = False
    dxcore: bool = False
    tegra: bool = False
    gpu_names: tuple[str, ...] = ()
    own_build: bool = False


class NvmlCrash(Exception):  # noqa: N818 - a predicted crash of the real program
    """A call of NVML kills the program (SIGSEGV, exit status 2); the argument is what stands on stderr, without the traces.

    `log`: what was told before, in the same look at the devices.
    """

    def __init__(self, text: str, log: tuple[tuple[str, str], ...] = ()):
        super().__init__(text)
        self.log = log


@frozen
class Mode:
    """The mode in force. `log`: the lines (level, text) that tell it."""

    name: str
    because: Because
    log: tuple[tuple[str, str], ...] = ()


def resolve_mode(requested: str, view: ImageView, platform: Platform, release: Release, caller: Caller) -> Mode:
    """The mode that `requested` (a mode, or ``auto``) comes to for a container on a host.

    The logs of the device look-up that this needs come first in `log`. Raises `NamePanic` and `NvmlCrash` where the real program crashes.
    """
    if requested != "auto":
        told = (("info", f"Using requested mode '{requested}'"),) if release.requested_mode_logged else ()
        return Mode(requested, Because(MODE_KEY, f"mode {requested} is configured"), told)
    named, why, log = _only_cdi(view, release, caller)
    if not named and platform.nvml and platform.own_build and release.nvml_calls_need_old_linker:
        raise NvmlCrash(
            "SIGSEGV: segmentation violation\nPC=0x0 m=0 sigcode=1 addr=0x0\nsignal arrived during cgo execution\n", log
        )
    name, because = ("cdi", why) if named else _by_platform(platform, release, caller)
    told = (("info", f"Auto-detected mode as '{name}'"),) if release.auto_mode_logged else ()
    return Mode(name, because, (*log, *told))


def only_cdi_devices(view: ImageView, release: Release, caller: Caller) -> bool:
    """Whether all requested devices are fully-qualified CDI names. Raises `NamePanic` where the real program crashes."""
    return _only_cdi(view, release, caller)[0]


def _only_cdi(view: ImageView, release: Release, caller: Caller) -> tuple[bool, Because, tuple[tuple[str, str], ...]]:
    if release.auto_cdi == "never":
        return False, Because("toolkit release", "auto never becomes cdi"), ()
    if release.auto_cdi == "visible":
        requested = visible_devices(view, release, caller)
    else:
        requested = env_list(view, (VISIBLE,), release)
    devices = requested.ids or ()
    why = Because(requested.because.input, "every requested device is a fully-qualified CDI name")
    try:
        named = all(is_qualified(d) for d in devices)
    except NamePanic as e:
        raise NamePanic(str(e), requested.log) from None
    if named and release.auto_cdi == "env-and-mounts" and (caller == "runtime" or release.hook_auto_sees_mounts):
        mounted = mount_requests(view.mounts)
        named = all(m.startswith(CDI) for m in mounted)
        devices = (*devices, *mounted)
    return named and bool(devices), why, requested.log


def _by_platform(platform: Platform, release: Release, caller: Caller) -> tuple[str, Because]:
    default = release.runtime_auto_mode if caller == "runtime" else "legacy"
    if platform.dxcore and release.wsl_first:
        return default, Because("host libdxcore.so", f"a WSL host: auto is {default} in the {caller}")
    if platform.tegra and not platform.nvml:
        return "csv", Because(f"host {TEGRA_RELEASE}", "Tegra files and no NVML")
    integrated = _integrated(platform.gpu_names, release)
    if integrated is not None:
        return "csv", Because("host GPUs", f"{integrated} is an integrated GPU")
    return default, Because("toolkit release", f"auto is {default} in the {caller} where nothing else decides")


def _integrated(names: tuple[str, ...], release: Release) -> str | None:
    """A GPU that makes the host one with integrated GPUs."""
    marks = ("(nvgpu)",) if release.integrated_gpus == "all-nvgpu" else ("(nvgpu)", "NVIDIA Thor")
    found = [n for n in names if any(m in n for m in marks)]
    if release.integrated_gpus == "ignored" or not found:
        return None
    return found[0] if release.integrated_gpus == "any" or len(found) == len(names) else None


def has_tegra_files(read: Callable[[str], str | None]) -> bool:
    """Whether a host, of which `read` gives the text of a regular file (None = there is none), is a Tegra by its files."""
    return read(TEGRA_RELEASE) is not None or (read("/sys/devices/soc0/family") or "").lower().startswith("tegra")
