"""From a container and a host's settings to a `ContainerRequest`: what hook and runtime decide before any driver file is looked at.

It is made of the same functions that model the programs themselves: `nvsim.toolkit.hook_request.decide` for the hook,
`nvsim.toolkit.mode` and `nvsim.toolkit.cdi_request` for the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen

from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.cdi_request import CdiRequest, cdi_request, needs_graphics
from nvsim.toolkit.config import ConfigError, config_path, host_defaults, load_config
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.devices import imex_channels, visible_devices
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.hook import hook_view
from nvsim.toolkit.hook_cli import cli_arguments
from nvsim.toolkit.hook_input import HookFailure, HookSpec, HostFiles, read_config
from nvsim.toolkit.hook_request import HookDecision, decide
from nvsim.toolkit.image import GATED, BadEnvironment, Caller, ImageView, gated_features, is_privileged, runtime_view
from nvsim.toolkit.mode import Platform, resolve_runtime_mode
from nvsim.toolkit.mounts import ROOT, Mount
from nvsim.toolkit.releases import Release, release_of
from nvsim.toolkit.request import Because, ContainerRequest, Refusal
from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet
from nvsim.toolkit.requirements_env import requirements, requirements_disabled

HOOK = "nvidia-container-runtime-hook"
RUNTIME = "nvidia-container-runtime"


@frozen(slots=True)
class _Container:
    """What there is of a container: see the parameters of `resolve_request`."""

    env: tuple[str, ...]
    mounts: tuple[Mount, ...]
    annotations: Mapping[str, str]
    bounding: tuple[str, ...]


@frozen(slots=True)
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
    return _by_hook(container, site) if caller == "hook" else _by_runtime(container, site, config_toml)


def _by_hook(container: _Container, site: _Site, *, env_after: tuple[str, ...] = ()) -> ContainerRequest:
    """What the prestart hook decides; `env_after`: what was added to the environment before it runs."""
    release = site.release
    try:
        config = read_config("", {}, site.files, "/", release)
    except HookFailure as e:
        return _refused(HOOK, "auto", str(e), (("refused", Because("config.toml", "the hook refuses it")),), release)
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


def _by_runtime(container: _Container, site: _Site, config_toml: str | None) -> ContainerRequest:
    """What nvidia-container-runtime decides, and the hook that it adds in legacy mode."""
    release, files = site.release, site.files
    try:
        config = load_config(config_toml, release, host_defaults(files.exists, files.read("/etc/os-release")))
    except ConfigError as e:
        why = (("refused", Because("config.toml", "the runtime refuses it")),)
        return _refused(RUNTIME, "auto", f"error loading config: {e.text}", why, release)
    requested = site.mode or config.runtime.mode
    try:
        seen = runtime_view(
            container.env,
            config,
            release,
            mounts=container.mounts,
            annotations=container.annotations,
            bounding=container.bounding,
        )
        mode, view = resolve_runtime_mode(requested, seen, site.platform, release)
        if mode.name not in release.modes:
            raise _Refused(_invalid_mode(mode.name, release), mode.because, early=True)
        found = cdi_request(view, mode.name, config.runtime.modes.cdi.default_kind, release)
        return _modified(container, site, config, view, mode.name, (("mode", mode.because),), found)
    except BadEnvironment as e:
        refusal = _Refused(str(e), Because(f"env {e.entry}", "an entry without an equals sign"), early=True)
    except NamePanic as e:
        source = Because(_panic_source(container, config, release), "a CDI name of one letter crashes the library")
        refusal = _Refused(f"panic: {e}", source, panic=True)
    except _Refused as e:
        refusal = e
    text = refusal.text if refusal.panic else _phase(refusal, release) + refusal.text
    return _refused(RUNTIME, requested, text, (("refused", refusal.because),), release)


def _panic_source(container: _Container, config: ToolkitConfig, release: Release) -> str:
    """The input that holds the name on which the CDI library crashes."""
    view = runtime_view(container.env, config, release, annotations=container.annotations, bounding=container.bounding)
    mounted = evolve(view, mounts=container.mounts)
    try:
        return visible_devices(mounted, release, "runtime").because.input
    except NamePanic:
        return f"mount {ROOT}"


class _Refused(Exception):  # noqa: N818 - becomes a Refusal
    """The runtime ends with an error; `early`: before it has a modifier."""

    def __init__(self, text: str, because: Because, *, early: bool = False, panic: bool = False):
        super().__init__(text)
        self.text, self.because, self.early, self.panic = text, because, early, panic


def _invalid_mode(mode: str, release: Release) -> str:
    if release.runtime_steps_made == "at-start":
        return f"invalid runtime mode: {mode}"
    return f"invalid mode {go_quote(mode)}" if mode else "a mode must be specified"


def _phase(refusal: _Refused, release: Release) -> str:
    """What stands before the text of an error of the runtime."""
    if refusal.early or release.runtime_steps_made == "at-start":
        return "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: "
    return "could not apply required modification to OCI specification: error modifying OCI spec: "


def _modified(
    container: _Container,
    site: _Site,
    config: ToolkitConfig,
    view: ImageView,
    mode: str,
    because: tuple[tuple[str, Because], ...],
    found: CdiRequest,
) -> ContainerRequest:
    """What the steps of a mode add. Raises `_Refused` and `NamePanic`."""
    release = site.release
    requested = visible_devices(view, release, "runtime")
    warnings = tuple(text for level, text in (*requested.log, *found.log) if level == "warning")
    gated = _gated(view, config, release) if requested.ids is not None and mode != "cdi" else ()
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
    imex = channels.ids or () if found.route == "automatic" and mode != "csv" else ()
    if imex:
        because = (*because, ("imex_channels", channels.because))
    return evolve(
        base,
        devices=_ids(found, requested.ids),
        cdi_devices=found.devices if mode != "csv" else None,
        requirements=_csv_requirements(view, site) if mode == "csv" else (),
        imex_channels=imex,
        gated=gated if found.route == "automatic" else (),
        because=because,
    )


def _gated(view: ImageView, config: ToolkitConfig, release: Release) -> tuple[str, ...]:
    """The features that are on: by variable, in some releases also by config.toml."""
    by_flag = {f for f in release.gated_features if getattr(config.features, f)}
    by_variable = gated_features(view.env, release.gated_features)
    return tuple(f for f in release.gated_features if f in by_flag or f in by_variable)


def _ids(found: CdiRequest, visible: tuple[str, ...] | None) -> tuple[str, ...]:
    """The devices as they were asked for; where cdi mode looked them up by itself, their CDI names."""
    return visible if visible is not None else found.devices or ()


def _csv_requirements(view: ImageView, site: _Site) -> tuple[str, ...]:
    """The requirements that csv mode checks. Raises `_Refused` where they do not hold."""
    if requirements_disabled(view.env):
        return ()
    found, error = requirements(view.env, site.release)
    why = Because("env NVIDIA_REQUIRE_*", "csv mode checks the requirements itself")
    if error is not None:
        raise _Refused(f"requirements not met: failed to get image requirements: {error}", why)
    if site.properties is not None:
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
    program: str, mode: str, text: str, because: tuple[tuple[str, Because], ...], release: Release
) -> ContainerRequest:
    line = f"{text.removesuffix(chr(10))}\n" if text else ""
    refusal = Refusal(program, 2 if text.startswith("panic: ") else 1, line, tuple(b for _, b in because))
    return ContainerRequest("none", mode, refused=refusal, because=because, assumptions=release.assumptions)
