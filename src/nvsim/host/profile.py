"""`HostProfile`: an expanded GPU host as one value. Composing, reading and validating profiles is done by its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.frozen import field, frozen
from nvsim.loader.outcome import Cpu
from nvsim.memo import Memo
from nvsim.rootfs.tree import Tree


@frozen
class MigDevice:
    """One MIG device: its UUID, GPU instance and compute instance ids, and profile name ("1g.5gb")."""

    uuid: str
    gi: int
    ci: int
    profile: str = ""


@frozen
class Gpu:
    """One GPU as NVML reports it. `pci` is the bus id with a 4- or 8-digit domain, "" for an integrated GPU; `compute` the compute
    capability ("8.0")."""

    minor: int
    uuid: str
    pci: str
    model: str
    brand: str
    compute: str
    mig: tuple[MigDevice, ...] = ()
    mig_enabled: bool = False


@frozen
class Driver:
    """The driver: userland `version`, `kernel_module` version (None = not loaded), CUDA version of libcuda ("12.2"), and the root
    under which its files lie ("/" or "/run/nvidia/driver"). `nvml_init` is the nvmlReturn_t of nvmlInit_v2 (0 = success)."""

    version: str | None
    kernel_module: str | None
    cuda: str | None
    root: str = "/"
    open: bool = False
    nvml_init: int = 0


@frozen
class KeptSpec:
    """A CDI spec that a service of the host writes at boot: its `path`, the arguments of ``nvidia-ctk cdi generate`` that it is
    made with, and `mounts` that are added to its common edits (host path, container path)."""

    path: str
    argv: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()


@frozen
class Toolkit:
    """The toolkit of the host: release, which runtime the engine calls by default ("nvidia", "runc"), the text of config.toml
    (None = no file) and the PATH of the hook's process. `engine` is the container engine ("docker", "containerd", ...), with
    `engine_version` where it is known and `engine_cdi` where CDI was switched on or off in it; `device_plugin` how a Kubernetes device plugin hands GPUs over ("envvar", "volume-mounts",
    "cdi-annotations", "cdi-cri", "bind-mount"; None = there is no plugin). `cdi_specs` are the CDI specs that something on the host
    keeps up to date with its driver."""

    version: str | None
    runtime: str = "nvidia-container-runtime"
    config: str | None = None
    path: str | None = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine: str = "docker"
    env: tuple[tuple[str, str], ...] = ()
    engine_version: str | None = None
    engine_cdi: bool | None = None
    device_plugin: str | None = None
    cdi_specs: tuple[KeptSpec, ...] = ()


@frozen
class HostProfile:
    """A GPU host, expanded. `tree` is the whole host root (driver root included), with its ld.so.cache and device nodes.

    `os`: id, version_id, id_like, arch, libc (flavour, version, interp). `proc` are facts below /proc that matter (e.g. "devices").
    `assumptions` are sentences that a result shows when it rests on them. `data` is the profile's JSON as it was read.
    """

    name: str
    title: str
    tree: Tree
    driver: Driver
    gpus: tuple[Gpu, ...]
    toolkit: Toolkit
    cpu: Cpu = Cpu()
    kernel: str = "6.1"
    os: Mapping[str, Any] = field(factory=dict, hash=False)
    mode: str | None = None
    sources: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(factory=dict, hash=False)
    memo: Memo = field(factory=Memo, init=False, eq=False, repr=False)
