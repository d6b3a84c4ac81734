"""How GPUs can be asked for on a host: the changes that hosts of its kind can make. Whether one helps is told by simulating again."""

from __future__ import annotations

from nvsim.scenario.changes import Change, GenerateSpec, LimitGpus, UseDevice, UseRuntime
from nvsim.scenario.engine_call import DEVICE_KIND, has_program
from nvsim.scenario.engine_specs import host_registry
from nvsim.scenario.engines import engine_of
from nvsim.scenario.model import Scenario
from nvsim.simulate import Result

_HOOK_PROGRAM = "nvidia-container-runtime-hook"
_ALL = f"{DEVICE_KIND}=all"


def ways_to_ask(result: Result) -> tuple[Change, ...]:
    """What calls NVIDIA's programs where nobody did: the pod's limit on a host without a toolkit that has a device plugin, the engine's
    CDI devices where the host has a spec and no hook, else the runtime."""
    scenario = result.scenario
    if not _has_toolkit(scenario):
        return (LimitGpus(),) if scenario.host.toolkit.device_plugin is not None else ()
    if not has_program(scenario.host, _HOOK_PROGRAM) and _ALL in host_registry(scenario).devices:
        return (UseDevice(_ALL),) if engine_of(scenario).rules.cdi else ()
    return (UseRuntime(gpus=scenario.settings.gpus is not None),)


def new_spec(result: Result) -> tuple[Change, ...]:
    """The CDI spec generated anew, in place of the file that describes NVIDIA's GPUs now; () on a host without a toolkit."""
    if not _has_toolkit(result.scenario):
        return ()
    old = (s.path for s in host_registry(result.scenario).specs if f"{s.vendor}/{s.cls}" == DEVICE_KIND)
    path = next(old, None)
    return (GenerateSpec(path) if path is not None else GenerateSpec(),)


def _has_toolkit(scenario: Scenario) -> bool:
    return scenario.host.toolkit.version is not None or scenario.settings.toolkit_version is not None
