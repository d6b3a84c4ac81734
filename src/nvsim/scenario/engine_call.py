"""Who of the NVIDIA toolkit is called, and with what: ``--gpus``, ``--runtime``, CDI devices, a Kubernetes device plugin, or nobody.

Sources: moby ``daemon/nvidia_linux.go`` and ``daemon/devices_nvidia_linux.go`` (from 29.2), docker/cli ``opts/gpus.go``, podman
``--gpus``, k8s-device-plugin ``internal/plugin``, container-engine-accelerators ``pkg/gpu/nvidia/manager.go``. Nothing is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.errors import InputError
from nvsim.frozen import evolve, field, frozen
from nvsim.rootfs.node import Directory, File, Special
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.engine_specs import PLUGIN_KIND, host_registry
from nvsim.scenario.engines import CDI, HOOK, Engine, EngineRules, engine_of
from nvsim.scenario.model import Scenario, Settings, Volume
from nvsim.toolkit.cdi_name import NamePanic, is_qualified

if TYPE_CHECKING:
    from nvsim.host.profile import Gpu, HostProfile
    from nvsim.inject.cdi.registry import Registry

DEVICE_KIND = "nvidia.com/gpu"
REQUEST_ROOT = "/var/run/nvidia-container-devices"
GPU_CAPABILITIES = ("compute", "compat32", "graphics", "utility", "video", "display")
_OTHER_RUNTIMES = ("runc", "crun", "youki", "kata", "runsc", "sysbox", "spin", "wasm", "io.containerd.", "/")
_ANNOTATION_PREFIX = "cdi.k8s.io/"


@frozen
class Call:
    """Who is called.

    `who`: "runtime" (nvidia-container-runtime), "hook" (the engine adds the prestart hook itself), "cdi" (only the engine, which
    injects CDI devices), "mounts" (a device plugin hands over plain mounts and nodes), "refused" (the engine says no: `refusal` is its
    text; `refused_by` is "scheduler" where a pod is not even given to the engine, "client" where docker's command asks no daemon) or "none". `because` says why. `cdi_devices` are
    injected by the engine before anything else. `env`, `annotations`, `volumes`, `nodes` (host paths) are what engine or device plugin
    add to the container; `hook`: the engine adds the prestart hook, whoever else is called.
    """

    who: str
    because: str
    engine: Engine
    env: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    volumes: tuple[Volume, ...] = ()
    nodes: tuple[str, ...] = ()
    hook: bool = False
    refusal: str | None = None
    refused_by: str = "engine"
    assumptions: tuple[str, ...] = ()
    registry: Registry | None = field(default=None, eq=False, repr=False)


@frozen
class GpusRequest:
    """``--gpus``: `ids` that are named, and `count` GPUs (-1 = all, 0 = no count); `capabilities` and `driver` that were asked for."""

    count: int
    ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    driver: str = ""

    def devices(self) -> tuple[str, ...]:
        """The ids that an engine makes of it: () = none."""
        if self.ids:
            return self.ids
        return ("all",) if self.count < 0 else tuple(str(i) for i in range(self.count))


def gpus_request(text: str) -> GpusRequest:
    """``--gpus`` as the docker command reads it. Raises `InputError` for a value that it refuses."""
    import csv

    count, ids, capabilities, driver = "", "", "", ""
    fields = next(csv.reader([text]), [])
    if not fields:
        raise InputError("--gpus needs a value", hint="all, a number, or device=ID")
    seen = set()
    for item in fields:
        key, eq, value = item.partition("=")
        if not eq:
            key, value = "count", item
        if key in seen:
            raise InputError(f"--gpus: gpu request key '{key}' can be specified only once")
        seen.add(key)
        if key == "count":
            count = "-1" if value == "all" else value
            if not count.lstrip("+-").isdigit():
                raise InputError(f"--gpus: count ({value!r}) must be an integer or all")
        elif key == "device":
            ids = value
        elif key == "capabilities":
            capabilities = value
        elif key == "driver":
            driver = value
        elif key != "options":
            raise InputError(f"--gpus: unexpected key '{key}' in '{item}'")
    words = tuple(w for part in capabilities.split() for w in part.split(","))
    number = int(count) if count else 0 if ids else 1
    return GpusRequest(number, tuple(ids.split(",")) if ids else (), words, driver)


def who_is_called(scenario: Scenario) -> Call:
    """Which NVIDIA program the engine calls. Raises `InputError` for options that no engine accepts."""
    settings, engine = scenario.settings, engine_of(scenario)
    named = tuple(d for d in settings.devices if is_cdi_name(d))
    base = Call("none", "", engine)
    if named:
        base = _engine_cdi(scenario, base, named, f"--device {named[0]}")
    if settings.gpus is not None:
        base = _gpus(scenario, base, gpus_request(settings.gpus))
    elif settings.gpu_limit is not None:
        base = _plugin(scenario, base, settings.gpu_limit, f"nvidia.com/gpu: {settings.gpu_limit} in the pod's limits")
    if base.who in ("refused", "mounts"):
        return base
    return _with_runtime(scenario, base)


def _with_runtime(scenario: Scenario, call: Call) -> Call:
    """`call`, the NVIDIA runtime taken into account: it runs beside whatever the engine does itself."""
    settings, toolkit = scenario.settings, scenario.host.toolkit
    default, named = toolkit.runtime, settings.runtime or ""
    if named.startswith("nvidia") and toolkit.version is None and settings.toolkit_version is None:
        why = f"host {scenario.host.name} has no NVIDIA toolkit"
        return evolve(call, who="refused", because=why, refusal=_unknown_runtime(call.engine, named))
    if named.startswith("nvidia"):
        return evolve(call, who="runtime", because=_joined(f"--runtime={named}", call.because))
    if settings.runtime is None and default.startswith("nvidia"):
        why = f"{default} is the default runtime of host {scenario.host.name}"
        return evolve(call, who="runtime", because=_joined(why, call.because))
    known = (*_OTHER_RUNTIMES, default, "nvidia")
    if call.engine.name in ("docker", "podman") and named and not named.startswith(known):
        why = f"host {scenario.host.name} has no runtime of that name"
        return evolve(call, who="refused", because=why, refusal=_unknown_runtime(call.engine, named))
    if call.who != "none":
        return call
    used = f"--runtime={settings.runtime}" if settings.runtime else f"the default runtime of host {scenario.host.name}"
    why = call.because or "neither --gpus nor a CDI device was asked for"
    return evolve(call, because=f"{used} is not NVIDIA's; {why}")


def _unknown_runtime(engine: Engine, name: str) -> str:
    """The words for a runtime that the engine has not configured (moby ``daemon/runtime_unix.go``, podman ``libpod/runtime.go``, CRI)."""
    if engine.name == "podman":
        return f'default OCI runtime "{name}" not found: invalid argument'
    if engine.name == "docker":
        return (
            f"Unknown runtime specified {name}"
            if engine.version < (23,)
            else f"unknown or invalid runtime name: {name}"
        )
    return f'no runtime for "{name}" is configured'


def _joined(*parts: str) -> str:
    return "; ".join(p for p in parts if p)


# -- --gpus ------------------------------------------------------------------------------------------------------------------------


def _gpus(scenario: Scenario, call: Call, request: GpusRequest) -> Call:
    """``--gpus``: what the engine tries, in its order (before Docker 29.2 the hook, then CDI, then the hook)."""
    rules, engine = call.engine.rules, call.engine
    call = _assuming(call)
    if engine.name not in ("docker", "podman"):
        return _plugin(
            scenario, call, request.count if not request.ids else len(request.ids), "--gpus, as the pod's limit"
        )
    if not rules.gpus:
        return evolve(call, because=f"{engine.title} ignores --gpus")
    programs = {HOOK: rules.hook_program, CDI: rules.cdi_program}
    usable = [way for way in rules.gpus if programs[way] is None or has_program(scenario.host, programs[way] or "")]
    if not usable:
        return evolve(
            call,
            who="refused",
            because=f"none of the toolkit's programs is in {engine.name}'s PATH",
            refusal=_without_nvidia(scenario, rules, request),
        )
    if engine.name == "docker" and (refused := _docker_refuses(request, usable)):
        return evolve(call, who="refused", because="--gpus", refusal=refused)
    devices = request.devices()
    failures: list[str] = []
    for way in usable:
        if way == HOOK:
            return _hook_call(call, request, failures)
        tried = _engine_cdi(scenario, call, tuple(_kind_in_front(d) for d in devices), "--gpus")
        if tried.who != "refused":
            return tried
        failures.append(tried.refusal or "")
    return evolve(call, who="refused", because="--gpus", refusal="\n".join(failures))


def _docker_refuses(request: GpusRequest, usable: list[str]) -> str:
    """Why the daemon refuses a request before any program of the toolkit is called, or "" (moby ``daemon/devices.go``)."""
    if request.driver not in ("", "nvidia"):
        return _no_driver(request)
    if not request.driver and not set(request.capabilities) <= {"gpu", "nvidia", *GPU_CAPABILITIES}:
        return _no_driver(request)
    if request.ids and request.count:  # device=0,1 without quotes is the device 0 and the count 1
        return "\n".join("cannot set both Count and DeviceIDs on device request" for _ in usable)
    return ""


def _without_nvidia(scenario: Scenario, rules: EngineRules, request: GpusRequest) -> str:
    """What is said where no driver for NVIDIA is registered: Docker 29.3 and later then take the driver for AMD's GPUs (moby
    ``daemon/devices_amd_linux.go``), which knows them by CDI specs."""
    if not rules.amd or not rules.cdi or request.driver or not set(request.capabilities) <= {"gpu", "amd"}:
        return _no_driver(request)
    if "nvidia.com" in host_registry(scenario).vendors:
        return "AMD CDI spec not found"
    return "failed to discover GPU vendor from CDI: no known GPU vendor found"


def _no_driver(request: GpusRequest) -> str:
    words = " ".join((*request.capabilities, "gpu"))
    return f'could not select device driver "{request.driver}" with capabilities: [[{words}]]'


def _hook_call(call: Call, request: GpusRequest, failures: list[str]) -> Call:
    devices = request.devices()
    env = [f"NVIDIA_VISIBLE_DEVICES={','.join(devices) if devices else 'void'}"]
    known = [c for c in request.capabilities if c in GPU_CAPABILITIES]
    if known:
        env.append(f"NVIDIA_DRIVER_CAPABILITIES={','.join(known)}")
    why = f"--gpus: {call.engine.title} adds the prestart hook nvidia-container-runtime-hook itself"
    why += "".join(f" (CDI was tried first: {f})" for f in failures)
    return evolve(call, who="hook", because=_joined(call.because, why), env=(*call.env, *env), hook=True)


def _kind_in_front(device: str) -> str:
    return device if "=" in device else f"{DEVICE_KIND}={device}"


def _engine_cdi(scenario: Scenario, call: Call, devices: tuple[str, ...], asked: str) -> Call:
    """The engine injects CDI devices itself, or refuses."""
    call = _assuming(call)
    engine = call.engine
    if not engine.rules.cdi and not engine.rules.cdi_option:
        why = f"{engine.title} takes no names of CDI devices"
        text = f"{devices[0]} is not an absolute path"
        return evolve(call, who="refused", because=why, refusal=text, refused_by="client")
    if not engine.rules.cdi:
        refusal = 'could not select device driver "cdi" with capabilities: []'
        if engine.name == "podman":
            refusal = f"stat {devices[0]}: no such file or directory"
        why = f"{engine.title} injects no CDI devices without being configured to"
        return evolve(call, who="refused", because=why, refusal=refusal)
    registry = call.registry or host_registry(scenario)
    unresolved = registry.edits_for(devices)[1]
    if unresolved:
        text = f"unresolvable CDI devices {', '.join(unresolved)}"
        words = {"podman": "setting up CDI devices: "}.get(engine.name, "CDI device injection failed: ")
        return evolve(call, who="refused", because=asked, refusal=words + text, registry=registry)
    why = f"{asked}: {engine.title} injects CDI devices itself"
    every = (*call.cdi_devices, *devices)
    return evolve(call, who="cdi", because=_joined(call.because, why), cdi_devices=every, registry=registry)


def _assuming(call: Call) -> Call:
    told = call.engine.assumption
    return call if told is None or told in call.assumptions else evolve(call, assumptions=(*call.assumptions, told))


def has_program(host: HostProfile, name: str) -> bool:
    """Whether a program is in the PATH of the host's engine."""
    for directory in (host.toolkit.path or "").split(":"):
        found = resolve(host.tree, f"{directory}/{name}") if directory.startswith("/") else None
        if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.mode & 0o111:
            return True
    return False


# -- the Kubernetes device plugin --------------------------------------------------------------------------------------------------


def _plugin(scenario: Scenario, call: Call, count: int, asked: str) -> Call:
    """What a device plugin adds for `count` GPUs (-1 = all), by its strategy."""
    host, settings = scenario.host, scenario.settings
    strategy = settings.device_plugin or host.toolkit.device_plugin or "envvar"
    gpus = host.gpus if count < 0 else host.gpus[:count]
    if count > len(host.gpus):
        text = f"0/1 nodes are available: 1 Insufficient nvidia.com/gpu ({len(host.gpus)} on host {host.name})"
        return evolve(call, who="refused", because=asked, refusal=text, refused_by="scheduler")
    if not gpus:
        return evolve(call, because=f"{asked}: no GPU")
    why = f"{asked}: the device plugin's strategy is {strategy}"
    call = evolve(call, because=_joined(call.because, why))
    uuids = tuple(g.uuid for g in gpus)
    if strategy == "envvar":
        return evolve(call, env=(*call.env, f"NVIDIA_VISIBLE_DEVICES={','.join(uuids)}"))
    if strategy == "volume-mounts":
        volumes = tuple(Volume("/dev/null", f"{REQUEST_ROOT}/{uuid}") for uuid in uuids)
        env = (*call.env, f"NVIDIA_VISIBLE_DEVICES={REQUEST_ROOT}")
        return evolve(call, env=env, volumes=(*call.volumes, *volumes))
    if strategy == "bind-mount":
        return _bind_mounts(host, call, gpus)
    names = tuple(f"{PLUGIN_KIND}={uuid}" for uuid in uuids)
    if strategy == "cdi-annotations":
        key = f"{_ANNOTATION_PREFIX}nvidia-device-plugin_{uuids[0]}"
        call = evolve(call, annotations=(*call.annotations, (key, ",".join(names))))
        return _engine_cdi(scenario, call, names, key) if call.engine.rules.cdi_annotations else _assuming(call)
    return _engine_cdi(scenario, call, names, "the CRI request's CDI devices")


@frozen
class _Place:
    """A directory that GKE's device plugin mounts: candidates on the host, and where it goes."""

    sources: tuple[str, ...]
    dst: str


_GKE_MOUNTS = (
    _Place(("/home/kubernetes/bin/nvidia",), "/usr/local/nvidia"),
    _Place(("/home/kubernetes/bin/nvidia/vulkan/icd.d",), "/etc/vulkan/icd.d"),
)
_GKE_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


def _bind_mounts(host: HostProfile, call: Call, gpus: tuple[Gpu, ...]) -> Call:
    """Plain mounts and device nodes, as on GKE: no program of the toolkit takes part."""
    volumes = []
    for place in _GKE_MOUNTS:
        for source in place.sources:
            found = resolve(host.tree, source)
            if isinstance(found, Resolved) and isinstance(found.node, Directory):
                volumes.append(Volume(source, place.dst, readonly=True))
                break
    wanted = (*(f"/dev/nvidia{g.minor}" for g in gpus), *_GKE_NODES)
    nodes = tuple(path for path in wanted if isinstance(host.tree.node(path), Special))
    return evolve(call, who="mounts", volumes=(*call.volumes, *volumes), nodes=(*call.nodes, *nodes))


def is_cdi_name(device: str) -> bool:
    """Whether ``--device`` names a CDI device. Raises `InputError` for a name on which the engine's CDI library crashes."""
    try:
        return is_qualified(device)
    except NamePanic as e:
        raise InputError(f"--device {device}: the CDI library of the engine crashes on it ({e})") from None


def device_paths(settings: Settings) -> tuple[tuple[str, str], ...]:
    """``--device HOST[:CONTAINER[:PERMISSIONS]]`` as (host path, container path)."""
    out = []
    for text in settings.devices:
        if is_cdi_name(text):
            continue
        parts = text.split(":")
        inside = parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]
        out.append((parts[0], inside))
    return tuple(out)
