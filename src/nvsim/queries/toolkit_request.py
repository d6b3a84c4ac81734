"""Answers about what a container asks for: the batch kinds ``image``, ``mode``, ``cdi-request``, ``capabilities`` and ``hook``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nvsim.errors import InputError
from nvsim.queries.toolkit_host import as_text, environ_of, host_files, platform_of
from nvsim.toolkit.capabilities import capabilities_of, has_any, intersection, is_superset, shown
from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.cdi_request import Generated, cdi_request, needs_graphics, raw_capabilities
from nvsim.toolkit.devices import imex_channels, visible_devices
from nvsim.toolkit.go_strings import items_of
from nvsim.toolkit.hook import run_hook
from nvsim.toolkit.image import BadEnvironment, ImageView, environment, is_privileged
from nvsim.toolkit.mode import Platform, only_cdi_devices, resolve_mode
from nvsim.toolkit.mounts import Mount
from nvsim.toolkit.releases import NEWEST, Release, release_of
from nvsim.toolkit.requirements_env import requirements, requirements_disabled

Answer = dict[str, Any]


def answer(kind: str, query: Answer) -> Answer:
    """The result of one query; an error of the real program is a result. Raises `InputError`."""
    version = query.get("toolkit", NEWEST)
    if not isinstance(version, str):
        raise InputError(f"{kind}.toolkit must be a string")
    try:
        return _KINDS[kind](query, release_of(version))
    except BadEnvironment as e:
        return {"error": str(e)}
    except NamePanic as e:
        return {"error": f"panic: {e}"}


def _image(query: Answer, release: Release) -> Answer:
    view = _view(query, release)
    found, error = requirements(view.env, release)
    out: Answer = {
        "visible_devices": visible_devices(view, release, "runtime").ids,
        "only_cdi": only_cdi_devices(view, release, "runtime"),
        "legacy_image": view.legacy_image,
        "privileged": view.privileged,
        "disable_require": requirements_disabled(view.env),
        "imex_channels": imex_channels(view, release).ids,
        "raw_capabilities": raw_capabilities(view),
        "graphics_modifier": needs_graphics(view, release),
    }
    return {**out, "requirements_error": error} if error is not None else {**out, "requirements": found or None}


def _mode(query: Answer, release: Release) -> Answer:
    view, caller = _view(query, release), query.get("caller", "runtime")
    if caller not in ("runtime", "hook"):
        raise InputError("mode.caller must be 'runtime' or 'hook'")
    flags = query.get("platform") or {}
    if not isinstance(flags, dict):
        raise InputError("mode.platform must be an object of flags")
    gpus = ("Orin (nvgpu)",) if flags.get("igpu") else ()
    platform = Platform(bool(flags.get("nvml")), bool(flags.get("dxcore")), bool(flags.get("tegra")), gpus)
    mode = resolve_mode(_text(query, "mode", "auto"), view, platform, release, caller)
    return {"mode": mode.name, "only_cdi": only_cdi_devices(view, release, caller)}


def _cdi_request(query: Answer, release: Release) -> Answer:
    view, mode = _view(query, release), _text(query, "mode", "")
    if mode not in release.modes:
        raise InputError(f"unknown mode {mode!r}", hint=f"one of {', '.join(release.modes)}")
    found = cdi_request(view, mode, _text(query, "default_kind", "") or "nvidia.com/gpu", release)
    return {
        "modifiers": found.modifiers,
        "route": found.route,
        "devices": found.devices,
        "generate": _generated(found.generate),
        "gated": _generated(found.gated),
    }


def _capabilities(query: Answer, release: Release) -> Answer:
    a, b = (capabilities_of(*_texts(query, name)) for name in ("a", "b"))
    return {
        "a": shown(a),
        "b": shown(b),
        "intersection": shown(intersection(a, b)),
        "superset": is_superset(a, b),
        "a_any_graphics_display": has_any(a, ("graphics", "display")),
    }


def _hook(query: Answer, release: Release) -> Answer:
    argv, state, files = query.get("argv"), query.get("state"), host_files(query)
    run = run_hook(
        ["prestart"] if argv is None else _texts(query, "argv"),
        state=as_text({"pid": 1234, "bundle": "/bundle"} if state is None else state),
        environ=environ_of(query),
        files=files,
        platform=platform_of(query, files),
        release=release,
        version=str(query.get("toolkit", NEWEST)),
    )
    out: Answer = {"exit": run.exit, "stderr": run.stderr, "stdout": run.stdout or None}
    return {**out, "argv": run.argv, "env": run.env} if run.argv is not None else out


_KINDS: dict[str, Callable[[Answer, Release], Answer]] = {
    "image": _image,
    "mode": _mode,
    "cdi-request": _cdi_request,
    "capabilities": _capabilities,
    "hook": _hook,
}


def _generated(specs: tuple[Generated, ...] | None) -> list[Answer] | None:
    if not specs:
        return None
    return [{k: v for k, v in (("mode", s.mode), ("ids", s.ids), ("class", s.cls)) if v is not None} for s in specs]


def _view(query: Answer, release: Release) -> ImageView:
    """The image view of a query. It takes ``swarm_resource`` as the image library does, which splits the text since 1.19."""
    options = query.get("opts") or {}
    mounts = query.get("mounts") or []
    annotations = query.get("annotations") or {}
    if not isinstance(options, dict) or not isinstance(mounts, list) or not isinstance(annotations, dict):
        raise InputError("opts and annotations must be objects, mounts a list")
    prefixes, swarm = options.get("annotation_prefixes"), _text(options, "swarm_resource", "")
    return ImageView(
        environment(_texts(query, "env"), disable_require=bool(options.get("disable_require", False))),
        tuple(Mount(str(m.get("source", "")), str(m.get("destination", ""))) for m in mounts if isinstance(m, dict)),
        {str(k): str(v) for k, v in annotations.items()},
        is_privileged(_texts(query, "bounding")),
        bool(options.get("accept_envvar_unprivileged", True)),
        bool(options.get("accept_volume_mounts", False)),
        items_of(swarm) if release.runtime_swarm_resource else (swarm,),
        ("cdi.k8s.io/",) if prefixes is None else tuple(_texts(options, "annotation_prefixes")),
        bool(options.get("ignore_imex", False)),
    )


def _text(query: Answer, name: str, default: str) -> str:
    value = query.get(name, default)
    if not isinstance(value, str):
        raise InputError(f"{name} must be a string")
    return value


def _texts(query: Answer, name: str) -> list[str]:
    value = query.get(name) or []
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{name} must be a list of strings")
    return value
