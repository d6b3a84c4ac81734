"""From a container and a host's settings to a `ContainerRequest`: what hook and runtime decide before any driver file is looked at.

It is made of the same functions that model the programs themselves: `nvsim.toolkit.hook_request.decide` for the hook,
`nvsim.toolkit.runtime` and `nvsim.toolkit.cdi_request` for the runtime. What the runtime then makes of the spec is in `nvsim.inject`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nvsim.frozen import evolve, frozen
from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.cdi_request import cdi_request, needs_graphics
from nvsim.toolkit.config import ConfigCrash, config_path
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.devices import imex_channels, visible_devices
from nvsim.toolkit.hook_cli import cli_arguments
from nvsim.toolkit.hook_input import HookFailure, HookSpec, HostFiles, read_config
from nvsim.toolkit.hook_request import HookDecision, decide, hook_view
from nvsim.toolkit.image import GATED, BadEnvironment, Caller, ImageView, gated_features, is_privileged
from nvsim.toolkit.mode import MODE_KEY, Platform
from nvsim.toolkit.mounts import ROOT, Mount
from nvsim.toolkit.releases import Release, release_of
from nvsim.toolkit.request import Because, ContainerRequest, Refusal
from nvsim.toolkit.requirements_env import requirements, requirements_disabled
from nvsim.toolkit.runtime import (
    CONSTRUCT,
    MODIFY,
    RuntimeFailure,
    RuntimeProcess,
    RuntimeView,
    check_mode,
    read_runtime_config,
    resolve_runtime_mode,
    spec_view,
)

HOOK = "nvidia-container-runtime-hook"
RUNTIME = "nvidia-container-runtime"


@frozen
class _Container:
    """What there is of a container: see the parameters of `resolve_request`."""

    env: tuple[str, ...]
    mounts: tuple[Mount, ...]
    annotations: Mapping[str, str]
    bounding: tuple[str, ...]


@frozen
class _Site:
    """Where it is to run: the host and its settings."""

    release: Release
    platform: Platform
    files: HostFiles
    mode: str | None
    properties: Mapping[str, str] | None


def resolve_request(
    *,
    caller: Caller,
    env: tuple[str, ...],
    config_toml: str | None,
    toolkit_version: str,
    bounding: tuple[str, ...] = (),
    nvml: bool = True,
    dxcore: bool = False,
    tegra: bool = False,
    gpu_names: tuple[str, ...] = (),
    ldconfig_real: bool = False,
    os_release: str | None = None,
    exists: Callable[[str], bool] | None = None,
    mounts: Sequence[tuple[str, str]] = (),
    annotations: Mapping[str, str] | None = None,
    mode: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> ContainerRequest:
    """What the toolkit decides about one container.

    `caller`: "hook" (``docker run --gpus``: the prestart hook alone) or "runtime" (nvidia-container-runtime, which in legacy mode adds the
    hook). `env`, `bounding`, `mounts` (source, destination) and `annotations`: of the OCI spec. `config_toml`: the text of config.toml, None =
    there is none. `mode`: as if config.toml said nvidia-container-runtime.mode (None or "auto" = what it says). The host: `nvml`, `dxcore`:
    can libnvidia-ml.so.1, libdxcore.so be dlopened; `tegra`: has it Tegra's files; `gpu_names`: as NVML tells them (they matter where one is
    integrated: "Orin (nvgpu)", "NVIDIA Thor"); `os_release`: text of /etc/os-release; `exists`: can a host path be stat'ed (asked for
    ``.real`` beside ldconfig; without it `ldconfig_real` answers for /sbin/ldconfig.real alone). `properties`: "cuda" and "arch" of the host,
    against which csv mode checks requirements (None = they are not checked).

    A refusal of the real programs is in `ContainerRequest.refused`, with their text. Raises `InputError` for what is no toolkit version.
    """
    release = release_of(toolkit_version)

    def there(path: str) -> bool:
        return exists(path) if exists is not None else ldconfig_real and path == "/sbin/ldconfig.real"

    texts = {"/etc/os-release": os_release, config_path({}, release): config_toml}
    files = HostFiles(texts.get, there, lambda _: True)
    platform = Platform(nvml, dxcore, tegra, gpu_names)
    site = _Site(release, platform, files, None if mode == "auto" else mode, properties)
    container = _Container(env, tuple(Mount(*m) for m in mounts), annotations or {}, bounding)
    return _by_hook(container, site) if caller == "hook" else _by_runtime(container, site)


def _by_hook(container: _Container, site: _Site, *, env_after: tuple[str, ...] = ()) -> ContainerRequest:
    """What the prestart hook decides; `env_after`: what was added to the environment before it runs."""
    release = site.release
    try:
        config = read_config("", {}, site.files, "/", release)
    except HookFailure as e:
        return _refused(HOOK, "auto", str(e), Because("config.toml", "the hook refuses it"), release)
    except ConfigCrash as e:
        return _refused(HOOK, "auto", str(e), _CRASHED, release, panic=True)
    if site.mode is not None:
        config = evolve(config, runtime=evolve(config.runtime, mode=site.mode))
    spec = HookSpec("1.0.2", (*container.env, *env_after), container.mounts)
    privileged = is_privileged(container.bounding)

    def view() -> ImageView:
        return evolve(hook_view(spec, config, release), privileged=privileged)

    decision = decide(view, config, site.platform, release)
    request = decision.request
    mode = decision.mode or (config.runtime.mode if config.runtime.mode != "auto" else "legacy")
    base = ContainerRequest(
        "none" if request is None else "legacy",
        mode,
        legacy_image=_is_legacy_image(container.env),
        privileged=privileged,
        refused=_hook_refusal(decision),
        because=decision.because,
        assumptions=release.assumptions,
        lines=decision.lines,
    )
    if request is None:
        return base
    environment = tuple((name, value) for name, _, value in (e.partition("=") for e in config.cli.environment))
    return evolve(
        base,
        devices=request.devices,
        capabilities=request.capabilities,
        requirements=request.requirements,
        cli_args=cli_arguments(request, config, site.files.exists, release),
        cli_env=environment,
        imex_channels=request.imex_channels,
        mig_config=request.mig_config,
        mig_monitor=request.mig_monitor,
    )


def _hook_refusal(decision: HookDecision) -> Refusal | None:
    error = decision.error if decision.crash is None else decision.crash
    if error is None:
        return None
    lines = [*decision.lines, *([error] if error else [])]
    text = "".join(f"{line}\n" for line in lines)
    return Refusal(HOOK, 1 if decision.crash is None else 2, text, tuple(b for _, b in decision.because[-1:]))


def _by_runtime(container: _Container, site: _Site) -> ContainerRequest:
    """What nvidia-container-runtime decides, and the hook that it adds in legacy mode."""
    release = site.release
    process = RuntimeProcess((RUNTIME,), {}, mode=site.mode)
    spec = {
        "process": {"env": container.env, "capabilities": {"bounding": container.bounding}},
        "mounts": [{"source": m.source, "destination": m.destination} for m in container.mounts],
        "annotations": container.annotations,
    }
    because = Because("config.toml", "the runtime refuses it")
    mode = site.mode or "auto"
    try:
        config = read_runtime_config(process, site.files, release)
        mode, because = config.runtime.mode, Because(MODE_KEY, f"{config.runtime.mode} is no mode of the release")
        found = resolve_runtime_mode(spec, config, site.platform, release)
        check_mode(found.mode.name, release)
        mode = found.mode.name
        return _modified(container, site, config, found)
    except RuntimeFailure as e:
        return _refused(RUNTIME, mode, f"panic: {e.text}" if e.panic else e.text, because, release, panic=e.panic)
    except ConfigCrash as e:
        return _refused(RUNTIME, mode, str(e), _CRASHED, release, panic=True)
    except _Refused as e:
        failed = CONSTRUCT if release.runtime_steps_made == "at-start" else f"{MODIFY}error modifying OCI spec: "
        return _refused(RUNTIME, mode, f"{failed}{e}", e.because, release)
    except BadEnvironment as e:
        because = Because(f"env {e.entry}", "an entry without an equals sign")
        return _refused(RUNTIME, mode, f"{CONSTRUCT}{e}", because, release)
    except NamePanic as e:
        because = Because(_panic_source(spec, config, release), "a CDI name of one letter crashes the CDI library")
        return _refused(RUNTIME, mode, f"panic: {e}", because, release, panic=True)


_CRASHED = Because("config.toml", "a key without a name makes the program run out of stack")


class _Refused(Exception):  # noqa: N818 - becomes a Refusal
    """A step of the mode ends with an error, the text."""

    def __init__(self, text: str, because: Because):
        super().__init__(text)
        self.because = because


def _panic_source(spec: Mapping[str, Any], config: ToolkitConfig, release: Release) -> str:
    """The input that holds the name on which the CDI library crashes."""
    try:
        view = spec_view(dict(spec), config, release, config.runtime.modes.cdi.annotation_prefixes)
        return visible_devices(view, release, "runtime").because.input
    except NamePanic:
        return f"mount {ROOT}"


def _modified(container: _Container, site: _Site, config: ToolkitConfig, seen: RuntimeView) -> ContainerRequest:
    """What the steps of a mode add. Raises `_Refused` and `NamePanic`."""
    release, view, mode = site.release, seen.view, seen.mode.name
    because: tuple[tuple[str, Because], ...] = (("mode", seen.mode.because),)
    found = cdi_request(view, mode, config.runtime.modes.cdi.default_kind, release)
    requested = visible_devices(view, release, "runtime")
    warnings = tuple(dict.fromkeys(t for level, t in (*requested.log, *found.log) if level == "warning"))
    gated = _gated(view, config, release) if requested.ids is not None else ()
    if mode == "legacy":
        void = ("NVIDIA_VISIBLE_DEVICES=void",) if gated and release.gated_by_generated_cdi else ()
        request = _by_hook(container, site, env_after=void)
        reasons = dict((*request.because, *because))
        if void and request.route == "none":
            text = "the edits for it append NVIDIA_VISIBLE_DEVICES=void: the prestart hook does nothing"
            reasons["devices"] = Because(f"env {GATED[gated[0]]}", text)
        graphics = needs_graphics(view, release)
        reasons_in_order = tuple(reasons.items())
        return evolve(request, mode=mode, gated=gated, graphics=graphics, warnings=warnings, because=reasons_in_order)
    if found.route == "conflict":
        raise _Refused(found.error or "", found.because)
    because = (("devices", found.because), *because)
    channels = imex_channels(view, release)
    base = ContainerRequest(
        "none" if found.route == "none" else mode,
        mode,
        legacy_image=view.legacy_image,
        privileged=view.privileged,
        warnings=warnings,
        because=because,
        assumptions=release.assumptions,
    )
    if found.route == "none":
        return base
    generated = found.route == "automatic" and release.automatic_devices == "required"
    imex = channels.ids or () if generated and mode != "csv" else ()
    if imex:
        because = (*because, ("imex_channels", channels.because))
    return evolve(
        base,
        devices=requested.ids if mode == "csv" or release.annotations == "image" else found.devices,
        cdi_devices=found.devices if mode != "csv" else None,
        requirements=_csv_requirements(view, site) if mode == "csv" else (),
        imex_channels=imex,
        gated=gated if generated or mode == "csv" else (),
        because=because,
    )


def _gated(view: ImageView, config: ToolkitConfig, release: Release) -> tuple[str, ...]:
    """The features that are on: by variable, in some releases also by config.toml."""
    by_flag = {f for f in release.gated_features if getattr(config.features, f)}
    by_variable = gated_features(view.env, release.gated_features)
    return tuple(f for f in release.gated_features if f in by_flag or f in by_variable)


def _csv_requirements(view: ImageView, site: _Site) -> tuple[str, ...]:
    """The requirements that csv mode checks. Raises `_Refused` where they do not hold."""
    if requirements_disabled(view.env):
        return ()
    found, error = requirements(view.env, site.release)
    why = Because("env NVIDIA_REQUIRE_*", "csv mode checks the requirements itself")
    if error is not None:
        raise _Refused(f"requirements not met: failed to get image requirements: {error}", why)
    if site.properties is not None:
        from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet

        try:
            text = unmet(parse_requirements(found, site.release.semver), site.properties, site.release.semver)
        except RequirementError as e:
            text = str(e)
        if text is not None:
            raise _Refused(f"requirements not met: {text}", why)
    return found


def _is_legacy_image(env: tuple[str, ...]) -> bool:
    """The same as `ImageView.legacy_image`, for an environment that may hold what is no assignment."""
    return ImageView(dict(e.split("=", 1) for e in env if "=" in e)).legacy_image


def _refused(
    program: str, mode: str, text: str, because: Because, release: Release, *, panic: bool = False
) -> ContainerRequest:
    line = f"{text.removesuffix(chr(10))}\n" if text else ""
    refusal = Refusal(program, 2 if panic else 1, line, (because,))
    reasons = (("refused", because),)
    return ContainerRequest("none", mode, refused=refusal, because=reasons, assumptions=release.assumptions)
