"""The stages between a scenario and a prepared root: the request, the injection, and what a program can know of the driver then."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from nvsim.frozen import evolve, frozen
from nvsim.host.profile import HostProfile
from nvsim.inject.cdi.apply import prepare, run_hooks
from nvsim.inject.cdi.plan import merged, plan_of_config
from nvsim.inject.generate.host import CdiHost, host_of_profile
from nvsim.inject.generate.platform import Platform, platform_of
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import plan_legacy
from nvsim.inject.log import ToolFailure
from nvsim.inject.plan import Injected, InjectionPlan, bare
from nvsim.memo import Same
from nvsim.rootfs.node import File, Special
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.scenario.configuration import config_text
from nvsim.scenario.engine import Process, capabilities_of
from nvsim.scenario.engine_call import Call
from nvsim.scenario.engine_runtime import read_variables, run_on
from nvsim.scenario.engine_spec import oci_config
from nvsim.scenario.model import Scenario
from nvsim.toolkit.config import driver_root
from nvsim.toolkit.config_unread import unread_keys
from nvsim.toolkit.image import Caller
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import Because, ContainerRequest
from nvsim.toolkit.resolve import resolve_request

NEWEST = "1.20.0"
ENGINE, RUNTIME, HOOK, CREATE = "engine", "runtime", "hook", "create"


@frozen
class Prepared:
    """The root before the process starts. `stage`: who failed, where something did ("engine", "runtime": nvidia-container-runtime
    edits the spec, "hook": the prestart hook, "create": the low-level runtime); the text is ``injected.failure``.

    `process` has the environment and groups that the injection gave it; `edits` is the plan that they come from (`edited`).
    """

    process: Process
    injected: Injected
    plan: InjectionPlan | None = None
    stage: str | None = None
    edits: InjectionPlan | None = None


def edited(process: Process, prepared: Prepared) -> Process:
    """`process` with the environment and groups that the injection gives it, like ``prepared.process``."""
    return process if prepared.edits is None else _with_edits(process, prepared.edits)


def toolkit_version(scenario: Scenario) -> str:
    """The simulated toolkit release."""
    return scenario.settings.toolkit_version or scenario.host.toolkit.version or NEWEST


def host_assumptions(scenario: Scenario) -> tuple[str, ...]:
    """What the host's profile takes for granted, but for the toolkit's release where the user names one.

    That sentence begins "HOST: toolkit VERSION is assumed".
    """
    host = scenario.host
    if scenario.settings.toolkit_version is None:
        return host.assumptions
    head = f"{host.name}: toolkit {host.toolkit.version} is assumed"
    return tuple(a for a in host.assumptions if not a.startswith(head))


def decide(scenario: Scenario, process: Process, call: Call) -> ContainerRequest:
    """What the toolkit decides; route "none" when no NVIDIA program is called, "cdi" when only the engine injects."""
    if call.who == "cdi":
        why = Because("engine", call.because)
        return ContainerRequest("cdi", "cdi", call.cdi_devices, because=(("route", why),))
    if call.who not in ("runtime", "hook"):
        return ContainerRequest("none", "none", because=(("route", Because("engine", call.because)),))
    settings = scenario.settings
    env = process.env
    if call.cdi_devices and call.registry is not None:  # what the engine injected before is what the runtime sees
        env = merged_environment(env, call.registry.edits_for(call.cdi_devices)[0].env)
    config = config_text(scenario)
    asked = _Asked(
        "hook" if call.who == "hook" else "runtime",
        read_variables(env, config),
        config,
        toolkit_version(scenario),
        capabilities_of(settings),
        tuple((v.src, v.dst) for v in (*settings.volumes, *call.volumes)),
        (*settings.annotations, *call.annotations),
        settings.mode or scenario.host.mode,
    )
    return scenario.host.memo.get("request", asked, lambda: _request(scenario.host, asked))


@frozen
class _Asked:
    """All that the toolkit's decision follows from beside the host: who is called, the `env` that counts, and what settings and engine say."""

    caller: Caller
    env: tuple[str, ...]
    config: str | None
    version: str
    bounding: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]
    mode: str | None


def _request(host: HostProfile, asked: _Asked) -> ContainerRequest:
    """What the toolkit of `host` decides."""
    release = release_of(asked.version)
    platform = _platform(host, driver_root(asked.config, release))
    request = resolve_request(
        caller=asked.caller,
        env=asked.env,
        config_toml=asked.config,
        toolkit_version=asked.version,
        bounding=asked.bounding,
        mounts=asked.mounts,
        annotations=dict(asked.annotations),
        tegra=platform.tegra,
        nvml=platform.nvml,
        dxcore=platform.dxcore,
        gpu_names=platform.gpu_names,
        exists=lambda path: isinstance(resolve(host.tree, path), Resolved),
        os_release=file_text(resolve(host.tree, "/etc/os-release")),
        mode=asked.mode,
        properties=_properties(host),
    )
    ignored = unread_keys(asked.config or "", release)
    return evolve(request, assumptions=(*request.assumptions, *ignored)) if ignored else request


def _cdi_host(host: HostProfile) -> CdiHost:
    """The host as the CDI code sees it; made once."""
    return host.memo.get("cdi-host", None, lambda: host_of_profile(host))


def _platform(host: HostProfile, root: str) -> Platform:
    """What the toolkit finds out of the host whose driver lies below `root`; asked once."""
    return host.memo.get("platform", root, lambda: platform_of(_cdi_host(host), root))


def file_text(found: Resolved | PathError) -> str | None:
    """The text of a resolved file; None where there is none."""
    return found.node.facts.text if isinstance(found, Resolved) and isinstance(found.node, File) else None


def _properties(host: HostProfile) -> dict[str, str]:
    """What csv mode's requirement check knows of the host."""
    known = {"cuda": host.driver.cuda or "", "arch": host.gpus[0].compute if host.gpus else ""}
    return {k: v for k, v in known.items() if v}


def inject(scenario: Scenario, request: ContainerRequest, call: Call, process: Process, root: RootFS) -> Prepared:
    """Plan and do everything that puts the driver into the container, in the order in which it happens: the engine's own CDI devices and
    the runtime's edits, mounts and device nodes, the prestart hook with the legacy engine, the other hooks."""
    host = _cdi_host(scenario.host)
    oci = oci_config(scenario, process, call)
    plans: list[InjectionPlan] = []
    if call.cdi_devices and call.registry is not None:
        from nvsim.inject.cdi.inject import inject_devices  # few engines inject by themselves

        edits = call.registry.edits_for(call.cdi_devices)[0]
        try:
            after = inject_devices(oci, call.registry, call.cdi_devices, host.resolver)
        except ToolFailure as e:
            return Prepared(process, Injected(root, (), e.text, 1), InjectionPlan("cdi", failure=e.text), ENGINE)
        plans.append(plan_of_config(host, oci, after, [edits], "cdi"))
        oci = after
    release = release_of(toolkit_version(scenario))
    if call.who == "runtime":
        platform = _platform(scenario.host, driver_root(config_text(scenario), release))
        added = run_on(scenario, oci, host, platform, release, request.route)
        plans.append(added)
        if added.failure is not None:
            return Prepared(process, Injected(root, (), added.failure, 1), _whole(plans), RUNTIME)
    plan = _known_whole(scenario.host, plans)
    process = _with_edits(process, plan)
    legacy = (request.cli_args, request.cli_env) if request.route == "legacy" else None
    key = (Same(scenario.host), Same(plan), legacy, toolkit_version(scenario), scenario.settings.rootless)
    done = root.memo.get("done", key, lambda: _done(scenario, plan, legacy, root))
    if done.legacy is not None:
        return Prepared(process, done.injected, merged(plan, done.legacy), done.stage, plan)
    nothing = not plans or (request.route == "none" and plan == InjectionPlan(plan.engine))
    given = done.injected.failure is not None and not done.by_hooks
    return Prepared(process, done.injected, plan if given or not nothing else None, done.stage, plan)


@frozen
class _Done:
    """The root with a plan done: `legacy` is the legacy engine's own plan, where it came to that; `by_hooks`: it came to the other hooks."""

    injected: Injected
    legacy: InjectionPlan | None = None
    stage: str | None = None
    by_hooks: bool = False


def _done(
    scenario: Scenario,
    plan: InjectionPlan,
    legacy: tuple[tuple[str, ...], tuple[tuple[str, str], ...]] | None,
    root: RootFS,
) -> _Done:
    """Do `plan` on the engine's root, with the legacy engine in between, where the hook calls it with these arguments and variables. Of
    the settings only the toolkit's release and `rootless` are read."""
    profile, userns = scenario.host, scenario.settings.rootless
    host, release = _cdi_host(profile), release_of(toolkit_version(scenario))
    by = Same(profile)
    work = _bare(profile, plan)
    injected = root.memo.get("prepared", (by, Same(work), userns), lambda: prepare(work, root, host, userns=userns))
    if injected.failure is not None:
        return _Done(injected, stage=CREATE)
    own: InjectionPlan | None = None
    if legacy is not None:
        own = _legacy_plan(scenario, *legacy, injected.rootfs)
        injected = _after(injected, by, _bare(profile, own), lambda start, what: apply(what, start.rootfs, profile))
        if injected.failure is not None:
            return _Done(injected, own, HOOK)
    injected = Injected(injected.rootfs, injected.effects)  # the legacy engine's log is told where it fails
    if work.hooks:
        key = (by, release.version)
        injected = _after(injected, key, work, lambda start, what: run_hooks(what, start, host, release=release))
    return _Done(injected, own, CREATE if injected.failure is not None else None, by_hooks=True)


def _after(
    before: Injected, key: Hashable, work: InjectionPlan, make: Callable[[Injected, InjectionPlan], Injected]
) -> Injected:
    """`before` with the next piece of `work` done, which is kept with the root that it starts from."""
    rootfs = before.rootfs
    done = rootfs.memo.get("worked", (key, Same(work)), lambda: make(Injected(rootfs), work))
    return evolve(done, effects=(*before.effects, *done.effects))


def _bare(host: HostProfile, plan: InjectionPlan) -> InjectionPlan:
    """What there is to do of a plan; one value for all plans that come to the same."""

    def known() -> InjectionPlan:
        work = bare(plan)
        return host.memo.get("work", work, lambda: work)

    return host.memo.get("bare", Same(plan), known)


def _known_whole(host: HostProfile, plans: list[InjectionPlan]) -> InjectionPlan:
    """The plans as one. Equal ones are one value, which then stands for itself in keys: the values of a plan are many to compare."""

    def known() -> InjectionPlan:
        plan = _whole(plans)
        return host.memo.get("plan", plan, lambda: plan)

    return host.memo.get("whole-plan", tuple(Same(plan) for plan in plans), known)


def _whole(plans: list[InjectionPlan]) -> InjectionPlan:
    whole = InjectionPlan("none")
    for plan in plans:
        whole = merged(whole, plan)
    return whole


def _legacy_plan(
    scenario: Scenario, cli_args: tuple[str, ...], cli_env: tuple[tuple[str, str], ...], rootfs: RootFS
) -> InjectionPlan:
    engine = release_of(toolkit_version(scenario)).engine
    env = {**dict(scenario.host.toolkit.env), **dict(cli_env)}
    if scenario.host.toolkit.path is not None:
        env["PATH"] = scenario.host.toolkit.path
    plan = plan_legacy(scenario.host, rootfs, cli_args, env=env, engine=engine)
    if scenario.settings.rootless and plan.failure is None and "--no-cgroups" not in cli_args:
        return evolve(
            plan, failure=_NO_DEVICE_RULES
        )  # the device cgroup cannot be changed without privileges (cgroup v2)
    return plan


_NO_DEVICE_RULES = (
    "nvidia-container-cli: mount error: failed to add device rules: unable to find any existing device filters attached to the "
    "cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted\n"
)


def _with_edits(process: Process, plan: InjectionPlan) -> Process:
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


def driver_facts(scenario: Scenario, rootfs: RootFS) -> dict[str, str | None]:
    """Why each of the things that a program may need of the driver is not there (None = it is)."""

    def device(path: str) -> str | None:
        found = resolve(rootfs, path)
        there = isinstance(found, Resolved) and isinstance(found.node, Special)
        return None if there else f"{path} is not in the container"

    if scenario.host.driver.version is not None and _is_wsl(_cdi_host(scenario.host)):
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
