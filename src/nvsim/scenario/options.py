"""The options of a scenario, in one table, and the way from their values to `Settings`.

The command line and batch queries read the same table: an option ``--cap-add`` is the key ``cap_add`` of a query. A value is what
the user gave: a string, a list of strings, or true. How single values are checked is `nvsim.scenario.options_docker`; hosts and
images are read by `nvsim.scenario.read`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import frozen
from nvsim.loader.cpu import parse_cpu
from nvsim.scenario import options_docker as docker
from nvsim.scenario.model import Settings, Volume
from nvsim.scenario.options_ignored import IGNORED_NAMES

MODES = ("auto", "legacy", "cdi", "jit-cdi", "csv")
ENGINES = ("docker", "podman", "containerd", "cri-o")
PLUGINS = ("envvar", "volume-mounts", "cdi-annotations", "cdi-cri", "bind-mount")


@frozen
class Option:
    """One option. `name` is its key in queries, `flags` as typed, `kind` "text", "texts" (may be repeated) or "flag"; `section` is
    "docker" for what ``docker run`` has too, "nvidia" for the rest."""

    name: str
    flags: tuple[str, ...]
    kind: str
    metavar: str
    help: str
    section: str = "docker"


OPTIONS = (
    Option("env", ("-e", "--env"), "texts", "NAME[=VALUE]", "Set an environment variable, or remove the image's."),
    Option("env_file", ("--env-file",), "texts", "FILE", "Read environment variables from a file."),
    Option("gpus", ("--gpus",), "text", "REQUEST", "GPUs to add: all, a number, device=ID, capabilities=..."),
    Option("device", ("--device",), "texts", "DEVICE", "Add a host device, or a CDI device (nvidia.com/gpu=0)."),
    Option("privileged", ("--privileged",), "flag", "", "Give the container every capability and device."),
    Option("cap_add", ("--cap-add",), "texts", "CAP", "Add a Linux capability."),
    Option("cap_drop", ("--cap-drop",), "texts", "CAP", "Drop a Linux capability."),
    Option("volume", ("-v", "--volume"), "texts", "SRC:DST[:MODE]", "Bind-mount a host path, or mount a volume."),
    Option("mount", ("--mount",), "texts", "KEY=VALUE,...", "Mount a bind, volume or tmpfs."),
    Option("tmpfs", ("--tmpfs",), "texts", "PATH[:OPTIONS]", "Mount a tmpfs."),
    Option("entrypoint", ("--entrypoint",), "text", "PROGRAM", "Replace the image's entrypoint ('' for none)."),
    Option("workdir", ("-w", "--workdir"), "text", "DIR", "Working directory in the container."),
    Option("user", ("-u", "--user"), "text", "USER[:GROUP]", "User name or id."),
    Option("group_add", ("--group-add",), "texts", "GROUP", "Add a supplementary group."),
    Option(
        "runtime",
        ("--runtime",),
        "text",
        "NAME",
        "nvidia, or runc or crun for no NVIDIA runtime (runc-1.1: in that release).",
    ),
    Option("annotation", ("--annotation",), "texts", "KEY=VALUE", "An OCI annotation."),
    Option("read_only", ("--read-only",), "flag", "", "Mount the root file system read-only."),
    Option("security_opt", ("--security-opt",), "texts", "OPTION", "A security option (label=disable, ...)."),
    Option("platform", ("--platform",), "text", "OS/ARCH", "The platform that the image must be for."),
    Option("toolkit_version", ("--toolkit-version",), "text", "X.Y.Z", "Simulate this toolkit release.", "nvidia"),
    Option("mode", ("--mode",), "text", "MODE", f"Mode of the runtime: {', '.join(MODES)}.", "nvidia"),
    Option("config", ("--config",), "text", "FILE", "The toolkit's config.toml instead of the host's.", "nvidia"),
    Option("config_set", ("--config-set",), "texts", "KEY=VALUE", "Set one key of config.toml.", "nvidia"),
    Option("cdi_spec", ("--cdi-spec",), "texts", "FILE", "A CDI specification that lies on the host.", "nvidia"),
    Option("engine", ("--engine",), "text", "NAME[-VERSION]", "Container engine: docker-29.2, podman, ...", "nvidia"),
    Option("device_plugin", ("--device-plugin",), "text", "WAY", "How the device plugin hands GPUs over.", "nvidia"),
    Option("gpu_limit", ("--gpu-limit",), "text", "N", "GPUs that the pod asks the device plugin for.", "nvidia"),
    Option("rootless", ("--rootless",), "flag", "", "The engine runs without root, in a user namespace.", "nvidia"),
    Option("cpu", ("--cpu",), "text", "LEVEL", "CPU: x86-64 to x86-64-v4, or native (this machine's).", "nvidia"),
    Option(
        "image_config", ("--image-config",), "text", "FILE", "The image's config (OCI or docker inspect).", "nvidia"
    ),
    Option("dlopen", ("--dlopen",), "texts", "NAME", "Also dlopen this library when the program runs.", "nvidia"),
    Option(
        "dlopen_from",
        ("--from",),
        "text",
        "PATH",
        "The program or loaded library that calls dlopen: a path, file name or SONAME.",
        "nvidia",
    ),
)
BY_NAME = {option.name: option for option in OPTIONS}


def read_file(path: str) -> str:
    """The text of a file that an option names. Raises `InputError`."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=path) from None
    except UnicodeDecodeError:
        raise InputError("is no text file", source=path) from None


def settings_from(
    values: Mapping[str, Any], command: tuple[str, ...] | None = None, *, read: Callable[[str], str] = read_file
) -> Settings:
    """`Settings` from option values by name; None, () and False count as not given.

    `config` is the text, or ``{"path": FILE}``; each `cdi_spec` is such an object, or one with ``text`` and ``name``. Raises `InputError` with
    Docker's words where Docker refuses the value.
    """
    unknown = [name for name in values if name not in BY_NAME]
    if unknown:
        name = unknown[0]
        hint = did_you_mean(name, BY_NAME)
        if name in IGNORED_NAMES:
            hint = "it changes nothing that nvsim predicts: leave it out"
        raise InputError(f"unknown option {name!r}", hint=hint)
    get = _Values(values)
    items = [i for path in get.texts("env_file") for i in docker.env_file(read(path), path)]
    items += [docker.env_item(i) for i in get.pairs("env")]
    request, where = get.text("gpus"), get.text("workdir")
    wanted, version, cpu = get.text("platform"), get.text("toolkit_version"), get.text("cpu")
    return Settings(
        command=command,
        entrypoint=get.text("entrypoint", empty=True),
        env=tuple(items),
        gpus=docker.gpus(request) if request is not None else None,
        devices=tuple(docker.device(d) for d in get.texts("device")),
        runtime=get.text("runtime"),
        privileged=get.flag("privileged"),
        cap_add=tuple(docker.capability(c, "--cap-add") for c in get.texts("cap_add")),
        cap_drop=tuple(docker.capability(c, "--cap-drop") for c in get.texts("cap_drop")),
        volumes=_volumes(get),
        workdir=docker.workdir(where) if where is not None else None,
        user=get.text("user"),
        group_add=get.texts("group_add"),
        annotations=tuple((k, v) for k, _, v in (a.partition("=") for a in get.pairs("annotation"))),
        read_only=get.flag("read_only"),
        security_opt=tuple(docker.security_opt(o) for o in get.texts("security_opt")),
        platform=docker.platform(wanted) if wanted is not None else None,
        toolkit_version=_release(version) if version is not None else None,
        mode=_one_of(get.text("mode"), MODES, "--mode"),
        config=_config(values.get("config"), read),
        config_set=tuple(_config_item(i) for i in get.pairs("config_set")),
        cdi_specs=tuple(_text_of(s, "cdi_spec", read) for s in get.listed("cdi_spec")),
        engine=_engine(get.text("engine")),
        device_plugin=_one_of(get.text("device_plugin"), PLUGINS, "--device-plugin"),
        gpu_limit=_gpu_limit(values.get("gpu_limit")),
        rootless=get.flag("rootless"),
        cpu=parse_cpu(cpu) if cpu is not None else None,
        dlopen=get.texts("dlopen"),
        dlopen_from=get.text("dlopen_from") or "main",
    )


def _volumes(get: _Values) -> tuple[Volume, ...]:
    """Every mount, a path only once (moby: ``Duplicate mount point``)."""
    found = [docker.volume(v) for v in get.texts("volume")]
    found += [docker.mount(m) for m in get.texts("mount")]
    found += [docker.tmpfs(t) for t in get.texts("tmpfs")]
    seen = set()
    for item in found:
        if item.dst in seen:
            raise InputError(f"docker: Error response from daemon: Duplicate mount point: {item.dst}")
        seen.add(item.dst)
    return tuple(found)


def _one_of(text: str | None, known: tuple[str, ...], flag: str) -> str | None:
    if text is not None and text not in known:
        raise InputError(f"unknown value {text!r}", source=flag, hint=did_you_mean(text, known))
    return text


def _engine(text: str | None) -> str | None:
    name = re.sub(r"-[0-9][0-9A-Za-z.]*$", "", text) if text is not None else None
    _one_of(name, ENGINES, "--engine")
    return text


def _gpu_limit(value: Any) -> int | None:
    """A number, or all (-1)."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= -1):
        return value
    if isinstance(value, str) and (value == "all" or value.isdigit()):
        return -1 if value == "all" else int(value)
    raise InputError(f"{value!r} is no number of GPUs", source="--gpu-limit", hint="a number or all")


def _release(text: str) -> str:
    if not re.fullmatch(r"v?[0-9]+\.[0-9]+(\.[0-9]+)?([-~+][0-9A-Za-z.+~-]*)?", text):
        raise InputError(f"{text!r} is no version", source="--toolkit-version", hint="such as 1.17.8")
    return text.removeprefix("v")


def _config(value: Any, read: Callable[[str], str]) -> str | None:
    """The text of config.toml: a string is the text itself."""
    return value if value is None or isinstance(value, str) else _text_of(value, "config", read)[1]


def _config_item(text: str) -> tuple[str, str]:
    key, eq, value = text.partition("=")
    if not eq or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise InputError(
            f"{text!r} is no KEY=VALUE", source="--config-set", hint="nvidia-container-cli.no-cgroups=true"
        )
    return key, value


def _text_of(value: Any, name: str, read: Callable[[str], str]) -> tuple[str, str]:
    """A file's path on the host and its text, from an object with ``text`` (and ``name``, that path) or ``path`` (a file here)."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return str(value.get("name", "/etc/cdi/nvidia.yaml")), value["text"]
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return f"/etc/cdi/{posixpath.basename(value['path'])}", read(value["path"])
    raise InputError(f"{name} must be an object with 'path' or 'text'")


class _Values:
    """Typed access to option values, with errors that name the option."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = values

    def text(self, name: str, empty: bool = False) -> str | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InputError(f"{name} must be a string")
        return value if value or empty else None

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise InputError(f"{name} must be true or false")
        return bool(value)

    def listed(self, name: str) -> tuple[Any, ...]:
        value = self._values.get(name)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.listed(name)
        if not all(isinstance(v, str) for v in value):
            raise InputError(f"{name} must be a list of strings")
        return value

    def pairs(self, name: str) -> tuple[str, ...]:
        """A list of NAME=VALUE, also given as an object; a null value there gives NAME alone."""
        value = self._values.get(name)
        if not isinstance(value, Mapping):
            return self.texts(name)
        for item in value.values():
            if item is not None and not isinstance(item, str):
                raise InputError(f"{name} must map names to strings")
        return tuple(k if v is None else f"{k}={v}" for k, v in value.items())
