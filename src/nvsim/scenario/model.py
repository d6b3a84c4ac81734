"""`Settings` and `Scenario`: everything that a prediction depends on, as values.

Reading settings from command-line options or batch queries is `nvsim.scenario.options`; what a container engine makes of them is
`nvsim.scenario.engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsim.frozen import evolve, frozen

if TYPE_CHECKING:
    from nvsim.host.profile import HostProfile
    from nvsim.image.model import Image
    from nvsim.loader.outcome import Cpu


@frozen
class Volume:
    """One ``-v`` or ``--mount``: `kind` bind, volume or tmpfs; `src` a host path (bind) or a volume's name."""

    src: str
    dst: str
    readonly: bool = False
    kind: str = "bind"


@frozen
class Settings:
    """What the user says beside host and image: the options of ``docker run``, and which toolkit is simulated.

    `command`: None = the image's. `env`: "NAME=value" in order, the last of a name wins. `gpus`: the text of ``--gpus``.
    `runtime`: None = the host's default, "nvidia", or "runc" (no NVIDIA runtime). `mode`, `toolkit_version`, `config` (text of
    config.toml), `cpu` replace what the host profile says. `config_set` are single keys ("nvidia-container-cli.no-cgroups", value as
    TOML text) set on top of it. `cdi_specs` (path, text) stand in place of the CDI specs that lie on the host. `engine` is a name with or
    without a version ("docker", "docker-29.2", "podman-5.4", "containerd-2.0", "cri-o"); `device_plugin` how the Kubernetes device
    plugin hands GPUs over, `gpu_limit` how many of them the pod asks it for (``resources.limits``; -1 = all). None = the host's.
    `rootless`: the engine runs in a user namespace without privileges. `dlopen`: library names that are tried after start, from `dlopen_from` ("main" or a path).
    """

    command: tuple[str, ...] | None = None
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    gpus: str | None = None
    devices: tuple[str, ...] = ()
    runtime: str | None = None
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    workdir: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    platform: str | None = None
    toolkit_version: str | None = None
    mode: str | None = None
    config: str | None = None
    config_set: tuple[tuple[str, str], ...] = ()
    cdi_specs: tuple[tuple[str, str], ...] = ()
    engine: str | None = None
    device_plugin: str | None = None
    gpu_limit: int | None = None
    rootless: bool = False
    cpu: Cpu | None = None
    dlopen: tuple[str, ...] = ()
    dlopen_from: str = "main"


@frozen
class Scenario:
    """One question: this image on that host with these settings."""

    host: HostProfile
    image: Image
    settings: Settings = Settings()

    def with_settings(self, **changes: Any) -> Scenario:
        """The same scenario with some settings replaced."""
        return evolve(self, settings=evolve(self.settings, **changes))
