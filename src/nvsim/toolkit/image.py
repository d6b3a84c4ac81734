"""The image view: what the toolkit sees of a container, before it decides anything (``internal/config/image``, type ``CUDA``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from nvsim.frozen import field, frozen
from nvsim.toolkit.go_strings import items_of
from nvsim.toolkit.mounts import Mount
from nvsim.toolkit.releases import Release

Caller = Literal["hook", "runtime"]

UNPRIVILEGED_KEY = "config.toml accept-nvidia-visible-devices-envvar-when-unprivileged"
SYS_ADMIN = "CAP_SYS_ADMIN"
GATED = {
    "gds": "NVIDIA_GDS",
    "mofed": "NVIDIA_MOFED",
    "gdrcopy": "NVIDIA_GDRCOPY",
    "nvswitch": "NVIDIA_NVSWITCH",
}


class BadEnvironment(Exception):  # noqa: N818 - a predicted refusal of the real program
    """An `entry` of the environment is no assignment; the text is the real program's."""

    def __init__(self, entry: str):
        super().__init__(f"invalid environment variable: {entry}")
        self.entry = entry


@frozen
class ImageView:
    """The environment as a map, mounts, annotations and privileges of a container, and the settings that say what of it counts.

    `preferred_variables`: those that replace NVIDIA_VISIBLE_DEVICES where they are set (`preferred_variables`).
    `annotation_prefixes`: of the keys that are requests; none = annotations do not count.
    """

    env: Mapping[str, str] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    annotations: Mapping[str, str] = field(factory=dict)
    privileged: bool = False
    accept_envvar_unprivileged: bool = True
    accept_volume_mounts: bool = False
    preferred_variables: tuple[str, ...] = ()
    annotation_prefixes: tuple[str, ...] = ()
    ignore_imex: bool = False

    @property
    def legacy_image(self) -> bool:
        """An image from before CUDA 10, or one that looks like it: CUDA_VERSION without NVIDIA_REQUIRE_CUDA."""
        return bool(self.env.get("CUDA_VERSION")) and not self.env.get("NVIDIA_REQUIRE_CUDA")


def environment(entries: Iterable[str], *, disable_require: bool = False) -> dict[str, str]:
    """The entries as a map: split at the first ``=``, the last one of a name wins. Raises `BadEnvironment`.

    `disable_require`: the setting of config.toml, which counts as NVIDIA_DISABLE_REQUIRE=true.
    """
    env = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            raise BadEnvironment(entry)
        env[name] = value
    if disable_require:
        env["NVIDIA_DISABLE_REQUIRE"] = "true"
    return env


def preferred_variables(swarm_resource: str | None, release: Release, caller: Caller) -> tuple[str, ...]:
    """The variables that swarm-resource (its text, None = not set) names for `caller`."""
    if swarm_resource is None or (caller == "runtime" and not release.runtime_swarm_resource):
        return ()
    return (swarm_resource,) if release.swarm_resource == "one" else items_of(swarm_resource)


def is_privileged(capabilities: Sequence[str]) -> bool:
    """Whether a container counts as privileged, by its bounding set (before OCI 1.0.0-rc5 its only set)."""
    return SYS_ADMIN in capabilities


def gated_features(env: Mapping[str, str], features: Sequence[str]) -> tuple[str, ...]:
    """Those of `features` whose variable says exactly ``enabled``."""
    return tuple(f for f in features if env.get(GATED[f]) == "enabled")
