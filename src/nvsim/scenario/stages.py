"""The stages between a scenario and a prepared root: the request, the injection, and what a program can know of the driver then."""

from __future__ import annotations

import tomllib
from typing import Any

from attrs import evolve, frozen

from nvsim.errors import InputError
from nvsim.host.profile import HostProfile
from nvsim.inject.cdi.apply import apply_on
from nvsim.inject.cdi.inject import inject_devices
from nvsim.inject.cdi.plan import merged, plan_of_config, plan_on
from nvsim.inject.cdi_runtime import CdiSettings
from nvsim.inject.generate.host import CdiHost, host_of_profile
from nvsim.inject.generate.platform import platform_of
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import plan_legacy
from nvsim.inject.log import ToolFailure
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.rootfs.node import File, Special
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.scenario.configuration import config_text
from nvsim.scenario.engine import Process, capabilities_of
from nvsim.scenario.engine_call import Call
from nvsim.scenario.engine_spec import oci_config
from nvsim.scenario.engine_specs import host_specs
from nvsim.scenario.messages import create_failed, hook_failed, runtime_failed
from nvsim.scenario.model import Scenario
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import Because, ContainerRequest, Refusal
from nvsim.toolkit.resolve import resolve_request

NEWEST = "1.20.0"
ENGINE, RUNTIME, HOOK, CREATE = "engine", "runtime", "hook", "create"
_CDI_ROUTES = ("cdi", "jit-cdi", "csv")


@frozen(slots=True)
class Prepared:
    """The root before the process starts. `stage`: who failed, where something did ("engine", "runtime": nvidia-container-runtime
    edits the spec, "hook": the prestart hook, "create": the low-level runtime); the text is ``injected.failure``.

    `process` has the environment and groups that the injection gave it.
    """

    process: Process
    injected: Injected
    plan: InjectionPlan | None = None
    stage: str | None = None


def toolkit_version(scenario: Scenario) -> str:
    """The simulated toolkit release."""
    return scenario.settings.toolkit_version or scenario.host.toolkit.version or NEWEST


def decide(scenario: Scenario, process: Process, call: Call) -> ContainerRequest:
    """What the toolkit decides; route "none" when no NVIDIA program is called, "cdi" when only the engine injects."""
    if call.who == "cdi":
        why = Because("engine", call.because)
        return ContainerRequest("cdi", "cdi", call.cdi_devices, because=(("route", why),))
    if call.who not in ("runtime", "hook"):
        return ContainerRequest("none", "none", because=(("route", Because("engine", call.because)),))
    settings, host = scenario.settings, scenario.host
    config = config_text(scenario)
    platform = platform_of(host_of_profile(host), _driver_root(config))
    env = process.env
    if call.cdi_devices and call.registry is not None:  # what the engine injected before is what the runtime sees
        env = merged_environment(env, call.registry.edits_for(call.cdi_devices)[0].env)
    mounts = [(v.src, v.dst) for v in (*settings.volumes, *call.volumes)]
    release_text = resolve(host.tree, "/etc/os-release")
    return resolve_request(
        caller="hook" if call.who == "hook" else "runtime",
        env=env,
        config_toml=config,
        toolkit_version=toolkit_version(scenario),
        bounding=capabilities_of(settings),
        mounts=mounts,
        annotations=dict((*settings.annotations, *call.annotations)),
        tegra=platform.tegra,
        nvml=platform.nvml,
        dxcore=platform.dxcore,
        gpu_names=platform.gpu_names,
        exists=lambda path: isinstance(resolve(host.tree, path), Resolved),
        os_release=file_text(release_text),
        mode=settings.mode or host.mode,
        properties=_properties(host),
    )


def file_text(found: Resolved | PathError) -> str | None:
    """The text of a resolved file; None where there is none."""
    return found.node.facts.text if isinstance(found, Resolved) and isinstance(found.node, File) else None


def _properties(host: HostProfile) -> dict[str, str]:
    """What csv mode's requirement check knows of the host."""
    known = {"cuda": host.driver.cuda or "", "arch": host.gpus[0].compute if host.gpus else ""}
    return {k: v for k, v in known.items() if v}


def _config(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"bad TOML: {e}", source="config.toml") from None


def _driver_root(config: str | None) -> str:
    cli = _config(config).get("nvidia-container-cli")
    return str(cli.get("root") or "") if isinstance(cli, dict) else ""


def inject(scenario: Scenario, request: ContainerRequest, call: Call, process: Process, root: RootFS) -> Prepared:
    """Plan and do everything that puts the driver into the container: the engine's own CDI devices, then the toolkit's."""
    host = host_of_profile(scenario.host)
    oci = oci_config(scenario, process, call)
    plan: InjectionPlan | None = None
    if call.cdi_devices and call.registry is not None:
        edits = call.registry.edits_for(call.cdi_devices)[0]
        try:
            after = inject_devices(oci, call.registry, call.cdi_devices, host.resolver)
        except ToolFailure as e:
            plan = InjectionPlan("cdi", failure=e.text)
            return Prepared(process, Injected(root, (), e.text, 1), plan, ENGINE)
        plan = plan_of_config(host, oci, after, [edits], "cdi")
        oci = after
    if call.who == "runtime" and request.route in _CDI_ROUTES:
        added = plan_on(host, _cdi_settings(scenario, request, process), oci)
        plan = added if plan is None else merged(plan, added)
        if added.failure is not None:
            return Prepared(process, Injected(root, (), added.failure, 1), plan, RUNTIME)
    process = _with_edits(process, plan)
    injected, stage = Injected(root), None
    if plan is not None:
        injected = apply_on(plan, root, host, userns=scenario.settings.rootless)
        stage = CREATE
    if injected.failure is None and request.route == "legacy":
        engine = release_of(toolkit_version(scenario)).engine
        legacy = plan_legacy(scenario.host, injected.rootfs, request.cli_args, engine=engine)
        legacy = _rootless_checked(scenario, request, legacy)
        plan = legacy if plan is None else merged(plan, legacy)
        done = apply(legacy, injected.rootfs, scenario.host)
        injected = evolve(done, effects=(*injected.effects, *done.effects))
        stage = HOOK
    return Prepared(process, injected, plan, stage if injected.failure is not None else None)


_NO_DEVICE_RULES = (
    "nvidia-container-cli: mount error: failed to add device rules: unable to find any existing device filters attached to the "
    "cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted\n"
)


def _rootless_checked(scenario: Scenario, request: ContainerRequest, plan: InjectionPlan) -> InjectionPlan:
    """Without privileges the device cgroup cannot be changed: ``no-cgroups`` is needed then (cgroup v2)."""
    if not scenario.settings.rootless or plan.failure is not None or "--no-cgroups" in request.cli_args:
        return plan
    return evolve(plan, failure=_NO_DEVICE_RULES)


def _with_edits(process: Process, plan: InjectionPlan | None) -> Process:
    if plan is None:
        return process
    env = merged_environment(process.env, tuple(f"{k}={v}" for k, v in plan.env))
    return evolve(process, env=env, groups=(*process.groups, *plan.gids))


def merged_environment(env: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    """The environment that the process gets: the last entry of a name counts (runc removes the earlier ones)."""
    entries: dict[str, str] = {}
    for item in (*env, *added):
        name, _, value = item.partition("=")
        entries.pop(name, None)
        entries[name] = value
    return tuple(f"{k}={v}" for k, v in entries.items())


def _cdi_settings(scenario: Scenario, request: ContainerRequest, process: Process) -> CdiSettings:
    """What nvidia-container-runtime knows when it starts to edit the spec."""
    config = _config(config_text(scenario))
    runtime = config.get("nvidia-container-runtime", {})
    modes = runtime.get("modes", {})
    cdi, jit = modes.get("cdi", {}), modes.get("jit-cdi", {})
    dirs = tuple(cdi.get("spec-dirs", ("/etc/cdi", "/var/run/cdi")))
    csv = modes.get("csv", {})
    return CdiSettings(
        request.route,
        request.devices or (),
        request.gated,
        request.imex_channels,
        default_kind=cdi.get("default-kind") or "nvidia.com/gpu",
        spec_dirs=dirs,
        driver_root=config.get("nvidia-container-cli", {}).get("root") or "",
        hook_path=_ctk_path(scenario, config),
        features=tuple(jit.get("nvcdi-feature-flags", ())),
        disabled_hooks=tuple(jit.get("nvcdi-disable-hooks", ())),
        csv_dir=csv.get("mount-spec-path") or "/etc/nvidia-container-runtime/host-files-for-container.d",
        every_csv="NVIDIA_REQUIRE_JETPACK=csv-mounts=all" in process.env,
        csv_compat_root=csv.get("compat-container-root") or "",
        specs=tuple(host_specs(scenario).items()) if request.route == "cdi" else (),
    )


def _ctk_path(scenario: Scenario, config: dict[str, Any]) -> str:
    path = str(config.get("nvidia-ctk", {}).get("path") or "nvidia-ctk")
    if path.startswith("/"):
        return path
    for directory in (scenario.host.toolkit.path or "").split(":"):
        found = resolve(scenario.host.tree, f"{directory}/{path}") if directory.startswith("/") else None
        if isinstance(found, Resolved):
            return f"{directory}/{path}"
    return "/usr/bin/nvidia-ctk"


def engine_refusal_message(call: Call) -> str:
    """What the engine prints when it refuses the container itself."""
    text = call.refusal or ""
    return f"Error: {text}" if call.engine.name == "podman" else f"docker: Error response from daemon: {text}"


def refusal_message(refused: Refusal) -> str:
    """What the engine shows when the toolkit refuses."""
    return hook_failed(refused.exit, refused.stderr) if "hook" in refused.program else runtime_failed(refused.stderr)


def failure_message(request: ContainerRequest, prepared: Prepared) -> str:
    """What the engine shows when the injection fails."""
    failure = prepared.injected.failure or ""
    if prepared.stage == ENGINE:
        return f"docker: Error response from daemon: CDI device injection failed: {failure}"
    if prepared.stage == RUNTIME:
        return runtime_failed(
            f"could not apply required modification to OCI specification: error modifying OCI spec: {failure}"
        )
    if prepared.stage == HOOK:
        lines = "".join(f"{line}\n" for line in request.lines)
        return hook_failed(prepared.injected.exit or 1, lines + failure)
    return create_failed(f"error during container init: {failure}")


def driver_facts(scenario: Scenario, rootfs: RootFS) -> dict[str, str | None]:
    """Why each of the things that a program may need of the driver is not there (None = it is)."""

    def device(path: str) -> str | None:
        found = resolve(rootfs, path)
        there = isinstance(found, Resolved) and isinstance(found.node, Special)
        return None if there else f"{path} is not in the container"

    if scenario.host.driver.version is not None and _is_wsl(host_of_profile(scenario.host)):
        dxg = device("/dev/dxg")
        return {"kernel-driver": dxg, "gpu": dxg, "uvm": dxg}
    module = None if scenario.host.driver.kernel_module is not None else "the NVIDIA kernel module is not loaded"
    gpus = [g for g in scenario.host.gpus if device(f"/dev/nvidia{g.minor}") is None]
    return {
        "kernel-driver": module or device("/dev/nvidiactl"),
        "gpu": None if gpus else "no GPU's device node is in the container",
        "uvm": device("/dev/nvidia-uvm"),
    }


def _is_wsl(host: CdiHost) -> bool:
    return bool(host.driver_stores)
