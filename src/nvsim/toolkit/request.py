"""`ContainerRequest`: what the toolkit decided about one container, every decision with its reason."""

from __future__ import annotations

from nvsim.frozen import frozen


@frozen
class Because:
    """Why a decision fell: `input` names the input ("env NVIDIA_DRIVER_CAPABILITIES", "config.toml disable-require",
    "toolkit release", "annotation cdi.k8s.io/gpu", "host GPUs"), `text` says it in a sentence."""

    input: str
    text: str


@frozen
class Refusal:
    """The container does not start because of the toolkit: which program said it, its exit status and its exact stderr."""

    program: str
    exit: int
    stderr: str
    because: tuple[Because, ...] = ()


@frozen
class ContainerRequest:
    """What the toolkit decided.

    `route`: "none" (no GPU was asked for, or no NVIDIA runtime), "legacy" (hook and nvidia-container-cli), "cdi", "jit-cdi", "csv".
    `devices`: ids as given to the next stage; None = no GPU container. `capabilities`: driver capabilities in the toolkit's order,
    None where they play no part. `cli_args`: the arguments of nvidia-container-cli after its name (legacy), without
    ``--pid`` and the rootfs. `cli_env`: what is added to its environment. `requirements`: the expressions that are checked.
    `cdi_devices`: the CDI names that the devices become (cdi, jit-cdi). `imex_channels`, `mig_config`, `mig_monitor`: further requests.
    `gated`: features that the runtime adds (gds, mofed, gdrcopy, nvswitch); `graphics`: it adds graphics files and DRM devices (legacy).
    `lines`: what the hook prints before nvidia-container-cli runs; `warnings`: what the programs log.
    """

    route: str
    mode: str
    devices: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] | None = None
    requirements: tuple[str, ...] = ()
    legacy_image: bool = False
    privileged: bool = False
    cli_args: tuple[str, ...] = ()
    cli_env: tuple[tuple[str, str], ...] = ()
    refused: Refusal | None = None
    warnings: tuple[str, ...] = ()
    because: tuple[tuple[str, Because], ...] = ()
    assumptions: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] | None = None
    imex_channels: tuple[str, ...] = ()
    mig_config: str = ""
    mig_monitor: str = ""
    gated: tuple[str, ...] = ()
    graphics: bool = False
    lines: tuple[str, ...] = ()
