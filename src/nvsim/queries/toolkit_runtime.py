"""Answers about configuration, versions, requirements and the container runtime (see ``vectors/toolkit``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.toolkit.config import ConfigError, config_json, default_config, load_config
from nvsim.toolkit.releases import NEWEST, Release, release_of

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


def _release(query: Query) -> Release:
    return release_of(str(query.get("toolkit", NEWEST)))


def _text(query: Query, key: str) -> str:
    value = query.get(key)
    if not isinstance(value, str):
        raise InputError(f"a toolkit query needs {key!r} as a JSON string")
    return value


_KINDS: Mapping[str, Callable[[Query], dict[str, Any]]] = {"config": _config}
