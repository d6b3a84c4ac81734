"""What nvidia-container-runtime-hook decides about a container, in the order in which it decides (``container_config.go``, ``hook_config.go``)."""

from __future__ import annotations

from collections.abc import Callable

from nvsim.frozen import frozen
from nvsim.toolkit.capabilities import grant
from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.devices import imex_channels, visible_devices
from nvsim.toolkit.go_strings import log_line
from nvsim.toolkit.hook_input import HookFailure, HookSpec, bounding_capabilities
from nvsim.toolkit.image import BadEnvironment, ImageView, environment, is_privileged, preferred_variables
from nvsim.toolkit.mode import NvmlCrash, Platform, resolve_mode
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because
from nvsim.toolkit.requirements_env import requirement_variables, requirements, requirements_disabled

MIG_CONFIG = "NVIDIA_MIG_CONFIG_DEVICES"
MIG_MONITOR = "NVIDIA_MIG_MONITOR_DEVICES"


@frozen
class HookRequest:
    """What the hook asks nvidia-container-cli for."""

    devices: tuple[str, ...]
    mig_config: str = ""
    mig_monitor: str = ""
    imex_channels: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


@frozen
class HookDecision:
    """`request` is None when no GPU is wanted or the hook fails: then `error` is its text, or `crash` what a killed program leaves on stderr.

    `lines`: what it prints before. `mode`: "" while it was not looked at. `because`: the reasons, by what they are reasons for.
    """

    request: HookRequest | None
    lines: tuple[str, ...]
    error: str | None = None
    crash: str | None = None
    mode: str = ""
    because: tuple[tuple[str, Because], ...] = ()


def hook_view(spec: HookSpec, config: ToolkitConfig, release: Release) -> ImageView:
    """What the hook sees of a container. Raises `HookFailure`."""
    privileged = False
    if release.privileges_first:
        privileged = is_privileged(bounding_capabilities(spec, release))
    try:
        env = environment(spec.env, disable_require=config.disable_require)
    except BadEnvironment as e:
        raise HookFailure(str(e)) from None
    if not release.privileges_first:
        privileged = is_privileged(bounding_capabilities(spec, release))
    own = release.hook_config == "own"
    swarm = None if own and "swarm-resource" not in config.given else config.swarm_resource
    return ImageView(
        env,
        spec.mounts,
        privileged=privileged,
        accept_envvar_unprivileged=config.accept_envvar_unprivileged,
        accept_volume_mounts=config.accept_volume_mounts,
        preferred_variables=preferred_variables(swarm, release, "hook"),
        ignore_imex=bool(config.features.ignore_imex_channel_requests),
    )


def decide(view: Callable[[], ImageView], config: ToolkitConfig, platform: Platform, release: Release) -> HookDecision:
    """What the hook decides; `view` reads the container, when it is its turn, and may raise `HookFailure`."""
    course = _Course(config, platform, release)
    request, error, crash = None, None, None
    try:
        if release.hook_mode_check == "first":
            course.check_mode(ImageView())
        seen = view()
        wanted = course.request(seen)
        if wanted is not None and release.hook_mode_check == "after-request":
            course.check_mode(seen)
        request = wanted
    except (HookFailure, NamePanic) as e:
        error = str(e)
    except NvmlCrash as e:
        crash = str(e)
    return HookDecision(request, tuple(course.lines), error, crash, course.mode, tuple(course.because))


class _Course:
    """The steps of one decision, and what they leave behind."""

    def __init__(self, config: ToolkitConfig, platform: Platform, release: Release) -> None:
        self.config, self.platform, self.release = config, platform, release
        self.lines: list[str] = []
        self.because: list[tuple[str, Because]] = []
        self.mode = ""

    def tell(self, log: tuple[tuple[str, str], ...]) -> None:
        self.lines += [log_line(level, text) if level == "warning" else text for level, text in log]

    def request(self, view: ImageView) -> HookRequest | None:
        """Devices, capabilities and requirements; None = no GPU container."""
        requested = visible_devices(view, self.release, "hook")
        self.tell(requested.log)
        self.because.append(("devices", requested.because))
        if requested.ids is None:
            return None
        mig_config, mig_monitor = (self.mig(view, name) for name in (MIG_CONFIG, MIG_MONITOR))
        granted = grant(view.env, self.config.supported_driver_capabilities, view.legacy_image, self.release)
        self.because.append(("capabilities", granted.because))
        if granted.refused is not None:
            raise HookFailure(granted.refused)
        found, error = requirements(view.env, self.release)
        self.because.append(("requirements", _requirements_because(view, self.config, found)))
        if error is not None:
            raise HookFailure(f"failed to get requirements {error}")
        channels = imex_channels(view, self.release)
        self.tell(channels.log)
        if channels.ids is not None:
            self.because.append(("imex_channels", channels.because))
        return HookRequest(requested.ids, mig_config, mig_monitor, channels.ids or (), granted.words, found)

    def mig(self, view: ImageView, name: str) -> str:
        """The value of a MIG variable, which only privileged containers may set."""
        value = view.env.get(name, "")
        if value:
            self.because.append((name.removeprefix("NVIDIA_").lower(), Because(f"env {name}", f"it asks for {value}")))
            if not view.privileged:
                raise HookFailure(f"cannot set {name.removeprefix('NVIDIA_')} in non privileged container")
        return value

    def check_mode(self, view: ImageView) -> None:
        """The hook works in legacy mode alone."""
        if self.config.hook.skip_mode_detection:
            why = Because("config.toml nvidia-container-runtime-hook.skip-mode-detection", "the mode is not checked")
            self.because.append(("mode", why))
            return
        try:
            mode = resolve_mode(self.config.runtime.mode, view, self.platform, self.release, "hook")
        except NamePanic as e:
            self.tell((*e.log, ("info", "Auto-detected mode as ''")))
            raise
        except NvmlCrash as e:
            self.tell(e.log)
            raise
        self.tell(mode.log)
        self.mode = mode.name
        self.because.append(("mode", mode.because))
        if mode.name != "legacy":
            raise HookFailure(self.release.wrong_mode_message)


def _requirements_because(view: ImageView, config: ToolkitConfig, found: tuple[str, ...]) -> Because:
    if config.disable_require:
        return Because("config.toml disable-require", "requirements are not checked")
    if requirements_disabled(view.env):
        return Because("env NVIDIA_DISABLE_REQUIRE", "requirements are not checked")
    names = requirement_variables(view.env) or ("CUDA_VERSION" if view.legacy_image else "NVIDIA_REQUIRE_CUDA",)
    return Because(f"env {', '.join(names)}", "requirements are checked" if found else "no requirement is set")
