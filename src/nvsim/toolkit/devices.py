"""Which devices a container asks for: the lists in environment variables, and what has precedence over what.

Source: ``internal/config/image`` (``VisibleDevices``, ``devicesFromEnvvars``, ``NewVisibleDevices``); before 1.18 the hook had its own
``getDevices``, and the runtime looked at NVIDIA_VISIBLE_DEVICES alone. Nothing is said here about whether a device exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvsim.frozen import frozen
from nvsim.toolkit.annotations import annotation_devices, annotation_keys
from nvsim.toolkit.go_strings import items_of
from nvsim.toolkit.image import UNPRIVILEGED_KEY, Caller, ImageView
from nvsim.toolkit.mounts import ROOT, mount_devices, mount_imex_channels
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because

VISIBLE = "NVIDIA_VISIBLE_DEVICES"
IMEX = "NVIDIA_IMEX_CHANNELS"


@frozen
class Requested:
    """What is asked for. `ids`: None = nothing (no GPU container), ("",) = driver files without a device. `log`: lines (level, text)."""

    ids: tuple[str, ...] | None
    because: Because
    log: tuple[tuple[str, str], ...] = ()


def visible_devices(view: ImageView, release: Release, caller: Caller) -> Requested:
    """The devices that a container asks for, as `caller` sees them. Raises `NamePanic` where the real program crashes."""
    if caller == "runtime" and release.runtime_image == "env":
        return env_list(view, (VISIBLE,), release)
    keys = annotation_keys(view.annotations, view.annotation_prefixes)
    annotated = annotation_devices(view.annotations, view.annotation_prefixes)
    if annotated:
        return Requested(annotated, Because(f"annotation {keys[0]}", f"annotations ask for {','.join(annotated)}"))
    log: tuple[tuple[str, str], ...] = ()
    if view.accept_volume_mounts:
        mounted, warnings = mount_devices(view.mounts, release)
        log = tuple(("warning", w) for w in warnings)
        if mounted:
            why = Because(f"mount {ROOT}", f"volume mounts ask for {','.join(mounted)}")
            return Requested(mounted, why, log)
    names = device_variables(view)
    found = env_list(view, names, release)
    if found.ids is None or view.privileged or view.accept_envvar_unprivileged:
        return Requested(found.ids, found.because, log)
    text = "only privileged containers may ask for GPUs by environment"
    return Requested(None, Because(UNPRIVILEGED_KEY, text), (*log, _ignored_devices(names, release)))


def device_variables(view: ImageView) -> tuple[str, ...]:
    """The variables that hold the device list: the preferred ones that are set, else NVIDIA_VISIBLE_DEVICES."""
    return tuple(n for n in view.preferred_variables if n in view.env) or (VISIBLE,)


def env_list(view: ImageView, names: Sequence[str], release: Release) -> Requested:
    """The device list that the variables `names` hold, by the rules of the release."""
    present = [n for n in names if n in view.env]
    if not present:
        if view.legacy_image:
            text = f"CUDA_VERSION without NVIDIA_REQUIRE_CUDA: a legacy image without {names[0]} asks for all"
            return Requested(("all",), Because("env CUDA_VERSION", text))
        return Requested(None, Because(f"env {names[0]}", f"{names[0]} is unset: nothing is asked for"))
    read = _whole if release.device_list == "whole" else _items
    return read(view.env, present)


def _whole(env: Mapping[str, str], names: Sequence[str]) -> Requested:
    """Up to 1.11: one variable, verbatim."""
    text, source = env[names[0]], f"env {names[0]}"
    if text in ("", "void"):
        return Requested(None, Because(source, f"{text or 'empty'}: nothing is asked for"))
    if text == "none":
        return Requested(("",), Because(source, "none: driver files without a GPU"))
    return Requested(tuple(text.split(",")), Because(source, f"it asks for {text}"))


def _items(env: Mapping[str, str], names: Sequence[str]) -> Requested:
    """Since 1.12: trimmed items; ``void`` anywhere, or the first of ``all`` and ``none``, decides for all."""
    items = [item for name in names for item in items_of(env[name])]
    source = f"env {names[0]}"
    if not items or "void" in items:
        text = "void" if items else "empty"
        return Requested(None, Because(source, f"{text}: nothing is asked for"))
    keyword = next((i for i in items if i in ("all", "none")), None)
    if keyword == "all":
        return Requested(("all",), Because(source, f"{','.join(items)} asks for all GPUs"))
    if keyword == "none":
        return Requested(("",), Because(source, "none: driver files without a GPU"))
    last = {item: i for i, item in enumerate(items)}
    ids = tuple(item if last[item] == i else "" for i, item in enumerate(items))
    text = f"it asks for {','.join(items)}"
    if "" in ids:
        text += "; an id that comes again leaves an empty one in its place"
    return Requested(ids, Because(source, text))


def _ignored_devices(names: Sequence[str], release: Release) -> tuple[str, str]:
    if release.ignored_env == "printed":
        key = UNPRIVILEGED_KEY.removeprefix("config.toml ")
        return "print", f"Ignoring devices specified in {VISIBLE} (privileged=false, {key}=false) "
    text = f"Ignoring devices requested by environment variable(s) in unprivileged container: [{' '.join(names)}]"
    return "warning", text


def imex_channels(view: ImageView, release: Release) -> Requested:
    """The IMEX channels that a container asks for."""
    nothing = Because(f"env {IMEX}", "no IMEX channel is asked for")
    if release.imex_channels == "ignored":
        return Requested(None, nothing)
    if release.imex_channels == "verbatim":
        text = view.env.get(IMEX, "")
        return Requested((text,), Because(f"env {IMEX}", f"it asks for {text}")) if text else Requested(None, nothing)
    if view.ignore_imex:
        key = "config.toml features.ignore-imex-channel-requests"
        return Requested(None, Because(key, "IMEX requests are ignored"))
    if view.accept_volume_mounts:
        mounted = mount_imex_channels(view.mounts)
        if mounted:
            return Requested(mounted, Because(f"mount {ROOT}", f"volume mounts ask for channels {','.join(mounted)}"))
    found = env_list(view, (IMEX,), release)
    if found.ids is None:
        return Requested(None, nothing)
    if found.ids == ("all",) and release.imex_channels == "list-not-all":
        return Requested(None, Because(found.because.input, "all: counts as no request for IMEX channels"))
    if view.privileged or view.accept_envvar_unprivileged:
        return found
    text = f"Ignoring request by environment variable(s) in unprivileged container: [{IMEX}]"
    log = (("warning", text),) if release.ignored_env == "logged" else ()
    return Requested(None, Because(UNPRIVILEGED_KEY, "only privileged containers may ask for IMEX channels"), log)
