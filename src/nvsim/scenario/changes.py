"""Changes that a user can make to a scenario, as values: what `fix` proposes and verifies.

A change says what it does in words (`describe`), how to write it down (`how`) and what it costs (`cost`: smaller is preferred; an
environment variable is cheaper than a file in the image, which is cheaper than touching the host).
"""

from __future__ import annotations

import json

from nvsim.errors import InputError
from nvsim.frozen import evolve, frozen
from nvsim.host.profile import KeptSpec
from nvsim.rootfs.node import Origin, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, resolve
from nvsim.rootfs.tree import Tree, join
from nvsim.scenario.engine_specs import generated_spec, host_specs
from nvsim.scenario.model import Scenario

_ORIGIN = Origin("fix")


@frozen
class SetEnv:
    """Set an environment variable of the container (in the image's config, or with ``-e``)."""

    name: str
    value: str
    cost: int = 1

    def describe(self) -> str:
        return f"set {self.name}={self.value}"

    def how(self) -> str:
        return f"ENV {self.name}={self.value}"


@frozen
class UseGpus:
    """Ask for GPUs with another ``--gpus``."""

    request: str
    cost: int = 1

    def describe(self) -> str:
        return f"ask for GPUs with --gpus {self.request}"

    def how(self) -> str:
        quoted = f"'{self.request}'" if "," in self.request else self.request
        return f"docker run --gpus {quoted} ..."


@frozen
class UnsetEnv:
    """Remove an environment variable from the image's config."""

    name: str
    cost: int = 2

    def describe(self) -> str:
        return f"unset {self.name}"

    def how(self) -> str:
        return f"remove ENV {self.name} from the image"


@frozen
class AddLink:
    """Add a symlink to the image."""

    path: str
    target: str
    cost: int = 2

    def describe(self) -> str:
        return f"add the symlink {self.path} -> {self.target} to the image"

    def how(self) -> str:
        directory = self.path.rpartition("/")[0]
        return f"RUN mkdir -p {directory} && ln -s {self.target} {self.path}"


@frozen
class RemoveFile:
    """Remove a file or symlink from the image."""

    path: str
    cost: int = 2

    def describe(self) -> str:
        return f"remove {self.path} from the image"

    def how(self) -> str:
        return f"RUN rm {self.path}"


@frozen
class UseRuntime:
    """Start the container with the NVIDIA runtime; ``--gpus``, which calls the hook past the runtime, becomes the variable."""

    runtime: str = "nvidia"
    gpus: bool = False
    cost: int = 2

    def describe(self) -> str:
        instead = " and -e NVIDIA_VISIBLE_DEVICES=... instead of --gpus" if self.gpus else ""
        return f"start the container with --runtime={self.runtime}{instead}"

    def how(self) -> str:
        if self.gpus:
            return f"docker run --runtime={self.runtime} -e NVIDIA_VISIBLE_DEVICES=all ...  (instead of --gpus)"
        return f"docker run --runtime={self.runtime} ...  (Kubernetes: runtimeClassName: {self.runtime})"


@frozen
class UseDevice:
    """Ask the engine for a CDI device; it takes the place of ``--gpus``."""

    device: str
    cost: int = 2

    def describe(self) -> str:
        return f"ask for the CDI device {self.device}"

    def how(self) -> str:
        return f"docker run --device {self.device} ..."


@frozen
class LimitGpus:
    """Ask the Kubernetes device plugin for GPUs, by the pod's limits; `without_runtime`: and name no runtime, which the host lacks."""

    count: int = 1
    without_runtime: bool = False
    cost: int = 2

    def describe(self) -> str:
        without = " and name no runtime" if self.without_runtime else ""
        return f"ask the device plugin for {self.count} GPU{'s' if self.count > 1 else ''}{without}"

    def how(self) -> str:
        without = ", without runtimeClassName" if self.without_runtime else ""
        limit = f"resources: limits: nvidia.com/gpu: {self.count} in the pod's spec{without}"
        return f"{limit}  (nvsim: --gpu-limit {self.count})"


@frozen
class GenerateSpec:
    """Write the CDI spec of the host as it is now into a file of the host."""

    path: str = "/etc/cdi/nvidia.yaml"
    cost: int = 4

    def describe(self) -> str:
        return f"generate the CDI spec {self.path} on the host"

    def how(self) -> str:
        return f"nvidia-ctk cdi generate --output={self.path}"


@frozen
class SetConfig:
    """Set a key of the host's config.toml."""

    key: str
    value: str | bool
    cost: int = 4

    def describe(self) -> str:
        return f"set {self.key} = {json.dumps(self.value)} in the host's config.toml"

    def how(self) -> str:
        return f"nvidia-ctk config --in-place --set {self.key}={str(self.value).lower() if isinstance(self.value, bool) else self.value}"


@frozen
class UpgradeToolkit:
    """Install a newer toolkit on the host."""

    version: str
    cost: int = 6

    def describe(self) -> str:
        return f"upgrade the host's NVIDIA Container Toolkit to {self.version} or newer"

    def how(self) -> str:
        return f"install nvidia-container-toolkit >= {self.version} on the host"


Change = (
    SetEnv
    | UnsetEnv
    | UseGpus
    | UseDevice
    | LimitGpus
    | AddLink
    | RemoveFile
    | UseRuntime
    | GenerateSpec
    | SetConfig
    | UpgradeToolkit
)


def apply_change(scenario: Scenario, change: Change) -> Scenario:
    """The scenario after one change. Raises `InputError` when it cannot be made (a link where something is).

    An image remembers its changed versions, so that what was derived of those is not derived again.
    """
    settings, image = scenario.settings, scenario.image
    if isinstance(change, SetEnv):
        return scenario.with_settings(env=(*settings.env, f"{change.name}={change.value}"))
    if isinstance(change, UseGpus):
        return scenario.with_settings(gpus=change.request)
    if isinstance(change, UseDevice):
        return scenario.with_settings(devices=(*settings.devices, change.device), gpus=None)
    if isinstance(change, LimitGpus):
        runtime = None if change.without_runtime else settings.runtime
        return scenario.with_settings(gpu_limit=change.count, gpus=None, runtime=runtime)
    if isinstance(change, GenerateSpec):
        return _with_spec(scenario, change.path)
    if isinstance(change, UnsetEnv):

        def keep(items: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(e for e in items if not e.startswith(f"{change.name}="))

        config = evolve(image.config, env=keep(image.config.env))
        changed = image.memo.get("changed", change, lambda: evolve(image, config=config))
        return evolve(scenario.with_settings(env=keep(settings.env)), image=changed)
    if isinstance(change, AddLink):
        changed = image.memo.get("changed", change, lambda: evolve(image, tree=_with_link(image.tree, change)))
        return evolve(scenario, image=changed)
    if isinstance(change, RemoveFile):
        changed = image.memo.get("changed", change, lambda: evolve(image, tree=_without(image.tree, change.path)))
        return evolve(scenario, image=changed)
    if isinstance(change, UseRuntime):
        env = (*settings.env, "NVIDIA_VISIBLE_DEVICES=all") if change.gpus else settings.env
        return scenario.with_settings(runtime=change.runtime, gpus=None if change.gpus else settings.gpus, env=env)
    if isinstance(change, SetConfig):
        return scenario.with_settings(config_set=(*settings.config_set, (change.key, json.dumps(change.value))))
    return scenario.with_settings(toolkit_version=change.version)


def _with_spec(scenario: Scenario, path: str) -> Scenario:
    text = generated_spec(scenario.host, KeptSpec(path))
    if text is None:
        raise InputError(f"nvidia-ctk cdi generate fails on host {scenario.host.name}")
    return scenario.with_settings(cdi_specs=tuple({**host_specs(scenario), path: text}.items()))


def _without(tree: Tree, path: str) -> RootFS:
    at = resolve(tree, path, follow=False)
    if isinstance(at, PathError):
        raise InputError(f"{path} is not in the image")
    editor = (tree if isinstance(tree, RootFS) else RootFS(tree)).edit()
    editor.remove(at.path)
    return editor.freeze()


def _with_link(tree: Tree, change: AddLink) -> RootFS:
    at = resolve(tree, change.path, follow=False)
    if not isinstance(at, PathError) or at.errno != "ENOENT":
        raise InputError(f"{change.path} exists already in the image")
    path = at.parent
    for part in at.rest.split("/"):
        path = join(path, part)
    editor = (tree if isinstance(tree, RootFS) else RootFS(tree)).edit()
    editor.put(path, Symlink(change.target, origin=_ORIGIN))
    return editor.freeze()
