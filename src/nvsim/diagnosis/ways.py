"""How GPUs can be asked for on a host: the changes that hosts of its kind can make. Whether one helps is told by simulating again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.scenario.changes_host import GenerateSpec, LimitGpus, UseDevice, UseRuntime
from nvsim.scenario.engine_call import DEVICE_KIND, has_program
from nvsim.scenario.engine_specs import host_registry
from nvsim.scenario.engines import engine_of

if TYPE_CHECKING:
    from nvsim.scenario.changes import Change
    from nvsim.scenario.model import Scenario
    from nvsim.simulate import Result

_HOOK_PROGRAM = "nvidia-container-runtime-hook"
_ALL = f"{DEVICE_KIND}=all"


def ways_to_ask(result: Result) -> tuple[Change, ...]:
    """What calls NVIDIA's programs where nobody did, the best way first.

    On a host without a toolkit that is the pod's limit, where there is a device plugin. Else the engine's CDI devices, where the host has
    a spec that something keeps up to date or has no hook, and the runtime, where it has the hook.
    """
    scenario = result.scenario
    toolkit, settings = scenario.host.toolkit, scenario.settings
    if not _has_toolkit(scenario):
        return (LimitGpus(without_runtime=settings.runtime is not None),) if toolkit.device_plugin is not None else ()
    hook, devices = has_program(scenario.host, _HOOK_PROGRAM), host_registry(scenario).devices
    known = _ALL in devices and engine_of(scenario).rules.cdi
    ways: list[Change] = [UseDevice(_ALL)] if known and (toolkit.cdi_specs or not hook) else []
    return (*ways, UseRuntime(gpus=settings.gpus is not None)) if hook or _ALL not in devices else tuple(ways)


def new_spec(result: Result) -> tuple[Change, ...]:
    """The CDI spec generated anew, in place of the file that describes NVIDIA's GPUs now; () on a host without a toolkit."""
    if not _has_toolkit(result.scenario):
        return ()
    old = (s.path for s in host_registry(result.scenario).specs if f"{s.vendor}/{s.cls}" == DEVICE_KIND)
    path = next(old, None)
    return (GenerateSpec(path) if path is not None else GenerateSpec(),)


def _has_toolkit(scenario: Scenario) -> bool:
    return scenario.host.toolkit.version is not None or scenario.settings.toolkit_version is not None
