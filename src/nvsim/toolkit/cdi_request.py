"""What nvidia-container-runtime does to the OCI spec in each mode, and the CDI devices that it asks for.

Source: ``internal/modifier`` (``cdi.go``, ``csv.go``, ``gated.go``, ``graphics.go``) and ``internal/runtime/runtime_factory.go``. What a generated
spec contains, and what spec files there are, is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nvsim.frozen import evolve, frozen
from nvsim.toolkit.annotations import CDI_PREFIX, annotation_keys, checked_annotation_devices
from nvsim.toolkit.capabilities import VARIABLE as CAPABILITIES
from nvsim.toolkit.cdi_name import is_qualified
from nvsim.toolkit.devices import VISIBLE, Requested, env_list, imex_channels, visible_devices
from nvsim.toolkit.go_text import go_list
from nvsim.toolkit.image import UNPRIVILEGED_KEY, ImageView, gated_features
from nvsim.toolkit.mounts import ROOT, cdi_mount_devices
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because

AUTOMATIC_KIND = "runtime.nvidia.com/gpu"
FIXED_KIND = "nvidia.com/gpu"
CONFLICT = "requesting a CDI device with vendor 'runtime.nvidia.com' is not supported when requesting other CDI devices"
DEVICES_FAILED = "failed to get required devices from OCI specification: "
Route = Literal["none", "hook", "registry", "automatic", "conflict"]


@frozen
class Generated:
    """A CDI spec that is generated in memory: the generator's mode, the ids asked for (None = not said), the class of its kind."""

    mode: str
    ids: tuple[str, ...] | None = None
    cls: str | None = None


@frozen
class CdiRequest:
    """What the runtime applies.

    `route`: "none" nothing is asked for; "hook" the prestart hook does it (legacy); "registry" spec files are searched for `devices`;
    "automatic" the specs `generate` are generated; "conflict" both are asked for, which `error` refuses. `gated`: specs that the feature-gated
    step generates (None = the step is not taken). `error`: why the request is refused.
    """

    route: Route
    modifiers: tuple[str, ...]
    because: Because
    devices: tuple[str, ...] | None = None
    generate: tuple[Generated, ...] | None = None
    gated: tuple[Generated, ...] | None = None
    error: str | None = None
    log: tuple[tuple[str, str], ...] = ()


def cdi_request(view: ImageView, mode: str, default_kind: str, release: Release) -> CdiRequest:
    """The request of a container in a (valid) mode. Raises `NamePanic` where the real program crashes."""
    modifiers = steps_of(mode, release)
    gated, gated_log = _gated(view, release) if "feature-gated" in modifiers else (None, ())
    if mode == "legacy":
        why = Because("config.toml nvidia-container-runtime.mode", "legacy: the prestart hook decides itself")
        return CdiRequest("hook", modifiers, why, gated=gated, log=gated_log)
    if mode == "csv":
        return evolve(_csv(view, modifiers, release), gated=gated)
    return _cdi(view, mode, modifiers, default_kind, release)


def steps_of(mode: str, release: Release) -> tuple[str, ...]:
    """The steps that a mode takes on the OCI spec, in order."""
    steps = dict(release.runtime_steps)
    return steps.get(mode, steps[""])


def needs_graphics(view: ImageView, release: Release) -> bool:
    """Whether the graphics step of legacy mode adds something: the raw words count, untrimmed and whatever is supported."""
    if not release.graphics_step or visible_devices(view, release, "runtime").ids is None:
        return False
    return not {"graphics", "display", "all"}.isdisjoint(raw_capabilities(view))


def raw_capabilities(view: ImageView) -> tuple[str, ...]:
    """The items of NVIDIA_DRIVER_CAPABILITIES as the graphics step sees them: not trimmed, sorted, without duplicates."""
    return tuple(sorted(set(view.env.get(CAPABILITIES, "").split(","))))


def _gated(view: ImageView, release: Release) -> tuple[tuple[Generated, ...] | None, tuple[tuple[str, str], ...]]:
    requested = visible_devices(view, release, "runtime")
    if requested.ids is None:
        return None, requested.log
    return generated_for(f"mode={f}" for f in gated_features(view.env, release.gated_features)), requested.log


def _csv(view: ImageView, modifiers: tuple[str, ...], release: Release) -> CdiRequest:
    requested = visible_devices(view, release, "runtime")
    if requested.ids is None:
        return CdiRequest("none", modifiers, requested.because, log=requested.log)
    devices = tuple(dict.fromkeys(f"mode=csv,id={i}" for i in requested.ids))
    generate = generated_for(devices)
    return CdiRequest("automatic", modifiers, requested.because, devices, generate, log=requested.log)


def _cdi(view: ImageView, mode: str, modifiers: tuple[str, ...], default_kind: str, release: Release) -> CdiRequest:
    if release.annotations == "image":
        requested, whole = visible_devices(view, release, "runtime"), False
    else:
        requested, whole, error = _cdi_devices_before_1_18(view, release)
        if error is not None:
            return CdiRequest("conflict", modifiers, requested.because, error=error)
    if not requested.ids:
        return CdiRequest("none", modifiers, requested.because, log=requested.log)
    kind = {"jit-cdi": AUTOMATIC_KIND}.get(mode, default_kind) if release.cdi_default_kind == "config" else FIXED_KIND
    names = [i or release.cdi_none_name for i in requested.ids]
    qualified = [n if whole or is_qualified(n, digits=release.cdi_digit_names) else f"{kind}={n}" for n in names]
    if requested.because.input == UNPRIVILEGED_KEY:  # only before 1.18: the look-up of 1.18 has told it already
        text = f"Ignoring devices specified in {VISIBLE}: {go_list(qualified)}"
        return CdiRequest("none", modifiers, requested.because, log=(("warning", text),))
    devices = tuple(dict.fromkeys(qualified)) if release.cdi_unique_devices else tuple(qualified)
    automatic = [d for d in devices if d.startswith(f"{AUTOMATIC_KIND}=")]
    base = CdiRequest("registry", modifiers, requested.because, devices, log=requested.log)
    if not automatic or release.automatic_devices == "none":
        return base
    if len(automatic) < len(devices):
        return evolve(base, route="conflict", error=CONFLICT)
    extra: list[str] = []
    if release.automatic_devices == "required":
        channels = imex_channels(view, release)
        extra = [f"mode={f}" for f in gated_features(view.env, release.gated_features)]
        extra += dict.fromkeys(f"mode=imex,id={c}" for c in channels.ids or ())
        base = evolve(base, log=(*base.log, *channels.log))
    return evolve(base, route="automatic", generate=generated_for((*automatic, *extra)))


def _cdi_devices_before_1_18(view: ImageView, release: Release) -> tuple[Requested, bool, str | None]:
    """The devices of CDI mode when it looked them up itself: annotations, mounts, environment; whether they are taken as they are, with no
    kind put before a name that is not qualified; and the error text.
    """
    prefixes = (CDI_PREFIX,) if release.annotations == "cdi-library" else view.annotation_prefixes
    annotated, error = checked_annotation_devices(view.annotations, prefixes, release)
    keys = annotation_keys(view.annotations, prefixes) or (CDI_PREFIX,)
    why = Because(f"annotation {keys[0]}", "annotations ask for devices")
    if error is not None:
        return Requested(None, why), False, f"{DEVICES_FAILED}failed to parse container annotations: {error}"
    found = env_list(view, (VISIBLE,), release)
    if release.annotations == "cdi-library":
        both = sorted({*(found.ids or ()), *annotated})
        return Requested(tuple(both) or None, why if annotated else found.because), False, None
    if annotated:
        return Requested(annotated, why), False, None
    if release.cdi_mount_devices and view.accept_volume_mounts:
        mounted = cdi_mount_devices(view.mounts)
        if mounted:
            why = Because(f"mount {ROOT}", f"volume mounts ask for {','.join(mounted)}")
            return Requested(mounted, why), True, None
    if found.ids is None or view.privileged or view.accept_envvar_unprivileged:
        return found, False, None
    return (
        evolve(found, because=Because(UNPRIVILEGED_KEY, "only privileged containers may ask by environment")),
        False,
        None,
    )


def generated_for(devices: Iterable[str]) -> tuple[Generated, ...]:
    """The specs to generate for device requests: one for each mode, in the order of their first request."""
    ids: dict[str, list[str]] = {}
    for device in devices:
        mode, ident = "auto", device.removeprefix(f"{AUTOMATIC_KIND}=")
        if device.startswith("mode="):
            head, _, tail = device.partition(",")
            mode, ident = head.removeprefix("mode="), tail.removeprefix("id=")
        ids.setdefault(mode, []).extend([ident] if ident else [])
    return tuple(Generated(m, tuple(i) or None, "gpu" if m == "auto" else None) for m, i in ids.items())
