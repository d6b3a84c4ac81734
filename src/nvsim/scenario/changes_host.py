"""Changes to how GPUs are asked for, and to the host: see `nvsim.scenario.changes`. They are proposed where a container does not start, or gets no
GPU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.host.profile import KeptSpec
from nvsim.scenario.engine_specs import generated_spec, host_specs

if TYPE_CHECKING:
    from nvsim.scenario.model import Scenario


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

    def apply(self, scenario: Scenario) -> Scenario:
        return scenario.with_settings(gpus=self.request)


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

    def apply(self, scenario: Scenario) -> Scenario:
        settings = scenario.settings
        env = (*settings.env, "NVIDIA_VISIBLE_DEVICES=all") if self.gpus else settings.env
        return scenario.with_settings(runtime=self.runtime, gpus=None if self.gpus else settings.gpus, env=env)


@frozen
class UseDevice:
    """Ask the engine for a CDI device; it takes the place of ``--gpus``."""

    device: str
    cost: int = 2

    def describe(self) -> str:
        return f"ask for the CDI device {self.device}"

    def how(self) -> str:
        return f"docker run --device {self.device} ..."

    def apply(self, scenario: Scenario) -> Scenario:
        return scenario.with_settings(devices=(*scenario.settings.devices, self.device), gpus=None)


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

    def apply(self, scenario: Scenario) -> Scenario:
        runtime = None if self.without_runtime else scenario.settings.runtime
        return scenario.with_settings(gpu_limit=self.count, gpus=None, runtime=runtime)


@frozen
class GenerateSpec:
    """Write the CDI spec of the host as it is now into a file of the host."""

    path: str = "/etc/cdi/nvidia.yaml"
    cost: int = 4

    def describe(self) -> str:
        return f"generate the CDI spec {self.path} on the host"

    def how(self) -> str:
        return f"nvidia-ctk cdi generate --output={self.path}"

    def apply(self, scenario: Scenario) -> Scenario:
        text = generated_spec(scenario.host, KeptSpec(self.path))
        if text is None:
            raise InputError(f"nvidia-ctk cdi generate fails on host {scenario.host.name}")
        return scenario.with_settings(cdi_specs=tuple({**host_specs(scenario), self.path: text}.items()))


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

    def apply(self, scenario: Scenario) -> Scenario:
        config = (*scenario.settings.config_set, (self.key, json.dumps(self.value)))
        return scenario.with_settings(config_set=config)


@frozen
class UpgradeToolkit:
    """Install a newer toolkit on the host."""

    version: str
    cost: int = 6

    def describe(self) -> str:
        return f"upgrade the host's NVIDIA Container Toolkit to {self.version} or newer"

    def how(self) -> str:
        return f"install nvidia-container-toolkit >= {self.version} on the host"

    def apply(self, scenario: Scenario) -> Scenario:
        return scenario.with_settings(toolkit_version=self.version)
