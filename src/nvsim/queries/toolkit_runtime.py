"""Answers about configuration, versions, requirements and the container runtime (see ``vectors/toolkit``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.queries.toolkit_machine import hooks_after, mode_log, runtime_run, warnings
from nvsim.toolkit.cdi_name import NamePanic, parse_name
from nvsim.toolkit.config import ConfigCrash, ConfigError, config_json, default_config, load_config
from nvsim.toolkit.releases import NEWEST, Release, release_of
from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet
from nvsim.toolkit.runtime_args import BundleError, bundle_of, is_create, spec_path
from nvsim.toolkit.versions import SemVer, VersionError, compare_texts, compare_versions, parse_version

Query = Mapping[str, Any]


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one query. Raises `InputError`."""
    return _KINDS[kind](query)


def _config(query: Query) -> dict[str, Any]:
    """All values of a config.toml, or those that differ from the defaults; the host has no ldconfig.real and no os-release."""
    release = _release(query)
    version = release.version
    try:
        config = config_json(load_config(_text(query, "toml"), release), version)
    except ConfigError as e:
        return {"error": e.text}
    except ConfigCrash as e:
        return {"error": str(e)}
    if query.get("full"):
        return {"config": config}
    return {"changed": dict(_changed(config_json(default_config(release), version), config))}


def _changed(default: dict[str, Any], config: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, dict):
            out += _changed(default.get(key, {}), value, f"{path}{key}.")
        elif default.get(key) != value:
            out.append((f"{path}{key}", value))
    return out


def _cdi_name(query: Query) -> dict[str, Any]:
    """The parts of a fully-qualified CDI device name, or why it is none."""
    try:
        parsed = parse_name(_text(query, "name"))
    except NamePanic as e:
        return {"error": f"panic: {e}"}
    if parsed.error is not None:
        return {"error": parsed.error}
    return {"vendor": parsed.vendor, "class": parsed.cls, "device": parsed.name}


def _version(query: Query) -> dict[str, Any]:
    """Two versions: whether each is one, which comes first, and the first without its patch level."""
    library = _release(query).semver
    texts = {name: _text(query, name) for name in ("a", "b")}
    found: dict[str, SemVer] = {}
    out: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            found[name] = parse_version(text, library)
        except VersionError as e:
            if name == "a" and library == "masterminds":
                out["a_error"] = str(e)
        out[f"{name}_valid"] = name in found
    if "a" in found:
        out["a_major_minor"] = found["a"].major_minor
    if library == "x-mod":
        out["compare"] = compare_texts(texts["a"], texts["b"])
    elif len(found) == 2:
        out["compare"] = compare_versions(found["a"], found["b"])
    return out


def _requirements(query: Query) -> dict[str, Any]:
    """Whether requirements in the toolkit's own language hold for some properties."""
    library = _release(query).semver
    requirements, properties = query.get("requirements"), query.get("properties")
    if not isinstance(requirements, list) or not isinstance(properties, dict):
        raise InputError("a requirements query needs 'requirements' (a list of strings) and 'properties' (an object)")
    try:
        constraint = parse_requirements([str(r) for r in requirements], library)
    except RequirementError as e:
        return {"met": False, "message": str(e)}
    message = unmet(constraint, {k: str(v) for k, v in properties.items()}, library)
    out: dict[str, Any] = {"constraint": str(constraint), "met": message is None}
    return out if message is None else {**out, "message": message}


def _runtime_args(query: Query) -> dict[str, Any]:
    """What the runtime reads out of its arguments."""
    argv = _argv(query)
    out: dict[str, Any] = {"create": is_create(argv)}
    try:
        bundle = bundle_of(argv)
    except BundleError as e:
        return {**out, "bundle_error": str(e)}
    return {**out, "bundle": bundle, "spec_path": spec_path(bundle)}


def _runtime(query: Query) -> dict[str, Any]:
    """A run of nvidia-container-runtime on the minimal host of the query."""
    run = runtime_run(dict(query), _release(query))
    if isinstance(run, str):
        return {"error": run}
    out: dict[str, Any] = {"exit": run.exit, "stderr": run.stderr or None, "stdout": run.stdout or None}
    if run.argv is not None:
        out["argv"] = list(run.argv)
    told = mode_log(run)
    if told is not None:
        out["mode_log"] = told
    ignored = warnings(run)
    if ignored:
        out["warnings"] = ignored
    if run.spec is not None:
        return {**out, "spec": run.spec}
    return {**out, "spec_untouched": True} if query.get("spec") is not None else out


def _chain(query: Query) -> dict[str, Any]:
    """The runtime, then each prestart hook of NVIDIA that the container's spec has after it."""
    release = _release(query)
    run = runtime_run(dict(query), release)
    if isinstance(run, str):
        return {"error": run}
    out: dict[str, Any] = {
        "runtime_exit": run.exit,
        "runtime_stderr": run.stderr or None,
        "runtime_mode_log": mode_log(run),
    }
    if run.exit:
        return out
    spec, hooks = hooks_after(dict(query), run, release)
    runs = [{"exit": h.exit, "stderr": h.stderr, "stdout": h.stdout or None, "argv": h.argv} for h in hooks]
    return {**out, "env": (spec.get("process") or {}).get("env"), "hook_runs": runs}


def _argv(query: Query) -> list[str]:
    argv = query.get("argv")
    if not isinstance(argv, list) or not all(isinstance(a, str) for a in argv):
        raise InputError("a toolkit query needs 'argv' as a JSON list of strings")
    return argv


def _release(query: Query) -> Release:
    return release_of(str(query.get("toolkit", NEWEST)))


def _text(query: Query, key: str) -> str:
    value = query.get(key)
    if not isinstance(value, str):
        raise InputError(f"a toolkit query needs {key!r} as a JSON string")
    return value


_KINDS: Mapping[str, Callable[[Query], dict[str, Any]]] = {
    "config": _config,
    "version": _version,
    "cdi-name": _cdi_name,
    "requirements": _requirements,
    "runtime-args": _runtime_args,
    "runtime": _runtime,
    "chain": _chain,
}
