"""The stages between a scenario and a prepared root: the request, the injection, and how their failures are shown."""

from __future__ import annotations

from nvsim.errors import UnsupportedError
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import plan_legacy
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.rootfs.node import Special
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.configuration import config_text
from nvsim.scenario.engine import Call, Process, capabilities_of
from nvsim.scenario.messages import hook_failed, runtime_failed
from nvsim.scenario.model import Scenario
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import Because, ContainerRequest, Refusal
from nvsim.toolkit.resolve import resolve_request

NEWEST = "1.20.0"


def toolkit_version(scenario: Scenario) -> str:
    """The simulated toolkit release."""
    return scenario.settings.toolkit_version or scenario.host.toolkit.version or NEWEST


def decide(scenario: Scenario, process: Process, call: Call) -> ContainerRequest:
    """What the toolkit decides; route "none" when no NVIDIA program is called."""
    if call.who == "none":
        return ContainerRequest("none", "none", because=(("route", Because("runtime", call.because)),))
    if call.who == "cdi":
        return ContainerRequest(
            "cdi", "cdi", scenario.settings.devices, because=(("route", Because("--device", call.because)),)
        )
    settings, host = scenario.settings, scenario.host
    return resolve_request(
        caller=call.who,
        env=process.env,
        config_toml=config_text(scenario),
        toolkit_version=toolkit_version(scenario),
        bounding=capabilities_of(settings),
        tegra=isinstance(resolve(host.tree, "/etc/nv_tegra_release"), Resolved),
        nvml=host.driver.version is not None,
        ldconfig_real=isinstance(resolve(host.tree, "/sbin/ldconfig.real"), Resolved),
        mode=settings.mode or host.mode,
    )


def inject(scenario: Scenario, request: ContainerRequest, root: RootFS) -> tuple[InjectionPlan | None, Injected]:
    """Plan and do it. Raises `UnsupportedError` for a mode that is not modelled."""
    if request.route == "none":
        return None, Injected(root)
    if request.route != "legacy":
        raise UnsupportedError(
            f"mode {request.route} is not modelled yet in whole runs (--mode legacy chooses the legacy path)"
        )
    engine = release_of(toolkit_version(scenario)).engine
    plan = plan_legacy(scenario.host, root, request.cli_args, engine=engine)
    return plan, apply(plan, root, scenario.host)


def refusal_message(refused: Refusal) -> str:
    """What the engine shows when the toolkit refuses."""
    return hook_failed(refused.exit, refused.stderr) if "hook" in refused.program else runtime_failed(refused.stderr)


def failure_message(request: ContainerRequest, failure: str, status: int) -> str:
    """What the engine shows when the injection fails."""
    return hook_failed(status or 1, f"Auto-detected mode as '{request.mode}'\n{failure}")


def driver_facts(scenario: Scenario, rootfs: RootFS) -> dict[str, str | None]:
    """Why each of the things that a program may need of the driver is not there (None = it is)."""

    def device(path: str) -> str | None:
        found = resolve(rootfs, path)
        there = isinstance(found, Resolved) and isinstance(found.node, Special)
        return None if there else f"{path} is not in the container"

    module = None if scenario.host.driver.kernel_module is not None else "the NVIDIA kernel module is not loaded"
    gpus = [g for g in scenario.host.gpus if device(f"/dev/nvidia{g.minor}") is None]
    return {
        "kernel-driver": module or device("/dev/nvidiactl"),
        "gpu": None if gpus else "no GPU's device node is in the container",
        "uvm": device("/dev/nvidia-uvm"),
    }
