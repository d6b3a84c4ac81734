"""The OCI image config (image-spec ``config.md``) as an `ImageConfig`: bare, in a config document, or as ``docker inspect`` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.image.model import ImageConfig
from nvsim.rootfs.datafile import FilePath, read_json


def read_config(path: FilePath) -> tuple[ImageConfig, str | None]:
    """The config in a JSON file and the platform it names. Raises `InputError` naming the file and the field."""
    return config_from_document(read_json(path), str(path))


def config_from_document(document: Any, source: str) -> tuple[ImageConfig, str | None]:
    """Config and platform ("linux/amd64", or None) of a document in any of three forms.

    An OCI config (fields below ``config``), the list or object of ``docker inspect`` or ``podman inspect`` (below ``Config``), or the
    fields themselves.
    """
    if isinstance(document, list):
        if len(document) != 1:
            raise InputError(f"holds {len(document)} images, expected one", source=source)
        document = document[0]
    if not isinstance(document, Mapping):
        raise InputError("must hold an image config (a JSON object)", source=source)
    fields = document
    for key in ("config", "Config", "container_config"):
        if isinstance(document.get(key), Mapping):
            fields = document[key]
            break
    return config_from_json(fields, source), _platform(document)


def config_from_json(fields: Mapping[str, Any], source: str) -> ImageConfig:
    """The config of an object with the OCI names: Env, Entrypoint, Cmd, WorkingDir, User, Labels. Unknown names are ignored."""
    if not isinstance(fields, Mapping):
        raise InputError("config must be an object", source=source)
    env = _strings(fields, "Env", source)
    for item in env:
        if "=" not in item:
            raise InputError(f"{item!r} is no NAME=value", source=source, position="Env")
    labels = fields.get("Labels")
    labels = {} if labels is None else labels
    if not isinstance(labels, Mapping):
        raise InputError("must be an object", source=source, position="Labels")
    return ImageConfig(
        env,
        _strings(fields, "Entrypoint", source),
        _strings(fields, "Cmd", source),
        _string(fields, "WorkingDir", source) or "/",
        _string(fields, "User", source),
        {str(k): str(v) for k, v in labels.items()},
    )


def config_to_json(config: ImageConfig) -> dict[str, Any]:
    """The object with the OCI names; empty fields are left out."""
    out: dict[str, Any] = {
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "WorkingDir": config.working_dir if config.working_dir != "/" else "",
        "User": config.user,
        "Labels": dict(config.labels),
    }
    return {key: value for key, value in out.items() if value}


def _strings(fields: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError("must be a list of strings", source=source, position=name)
    return tuple(value)


def _string(fields: Mapping[str, Any], name: str, source: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError("must be a string", source=source, position=name)
    return value


def _platform(document: Mapping[str, Any]) -> str | None:
    system, machine = (document.get(k) or document.get(k.capitalize()) for k in ("os", "architecture"))
    if not isinstance(system, str) or not isinstance(machine, str):
        return None
    variant = document.get("variant") or document.get("Variant")
    return f"{system}/{machine}/{variant}" if isinstance(variant, str) and variant else f"{system}/{machine}"
