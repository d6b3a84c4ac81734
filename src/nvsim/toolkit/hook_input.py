"""What nvidia-container-runtime-hook reads: config.toml, the container's state (standard input), and the OCI spec of the bundle.

Each reader gives a value or raises `HookFailure` with the hook's own text. Source: ``cmd/nvidia-container-runtime-hook``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvsim.frozen import evolve, field, frozen
from nvsim.toolkit.capabilities import CONFIG_KEY, supported_capabilities
from nvsim.toolkit.config import (
    OVERRIDE,
    ConfigError,
    config_path,
    default_config,
    host_defaults,
    load_config,
    load_error,
)
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.go_json import (
    INT,
    STRING,
    GoType,
    JsonError,
    ListOf,
    Raw,
    RawValue,
    Scalar,
    Struct,
    decode,
    decode_value,
)
from nvsim.toolkit.go_strings import clean, join
from nvsim.toolkit.mounts import Mount
from nvsim.toolkit.releases import Release

CONFIG_FILE = "/etc/nvidia-container-runtime/config.toml"
DRIVER_ROOT = "/run/nvidia/driver"

_LIST = ListOf(STRING)
_STATE = Struct("main.HookState", {"pid": INT, "bundle": STRING, "bundlePath": STRING})
_PROCESS = Struct("main.Process", {"env": _LIST, "capabilities": Raw()})
_ROOT = Struct("main.Root", {"path": STRING})
_MOUNT: dict[str, GoType] = {"destination": STRING, "type": STRING, "source": STRING, "options": _LIST}
_ID = Scalar("uint32", 0, 2**32 - 1)
_MAPPINGS = ListOf(Struct("specs.LinuxIDMapping", {"containerID": _ID, "hostID": _ID, "size": _ID}))
_SETS: dict[str, GoType] = dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), _LIST)


class HookFailure(Exception):  # noqa: N818 - a predicted failure of the real program
    """The hook ends with status 1; the argument is what it prints ("" = nothing)."""


@frozen
class HostFiles:
    """The host's files as the hook sees them, each asked by absolute path.

    `read`: the text of a regular file, None when there is none. `exists`: whether a path can be stat'ed. `is_executable`: whether it is a
    regular file that can be executed. `is_directory`: whether it is a directory.
    """

    read: Callable[[str], str | None]
    exists: Callable[[str], bool]
    is_executable: Callable[[str], bool]
    is_directory: Callable[[str], bool] = lambda _: False


@frozen
class HookSpec:
    """What the hook takes from state and spec. `capabilities`: undecoded, None when the spec has none."""

    oci_version: str
    env: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    root: str = ""
    pid: int = 0
    capabilities: RawValue | None = field(default=None, eq=False)


def read_config(flag: str, environ: Mapping[str, str], files: HostFiles, cwd: str, release: Release) -> ToolkitConfig:
    """The configuration in force; `flag`: the value of ``-config`` ("" = not given). Raises `HookFailure`."""
    defaults = host_defaults(files.exists, files.read("/etc/os-release"))
    own = release.hook_config == "own"
    for path, required in _config_paths(flag, environ, release):
        absolute = path if path.startswith("/") else join(cwd, path)
        text = files.read(absolute)
        absent = text is None and not files.is_directory(absolute)
        if absent and required and not release.missing_hook_config_ends_search:
            if own:
                raise HookFailure(f"couldn't open configuration file: open {path}: no such file or directory")
            raise HookFailure(_shared_error("load", "file does not exist"))
        if absent and not release.missing_hook_config_ends_search:
            continue
        try:
            if text is None and not absent:
                told = f"read {path}: is a directory"
                raise ConfigError("load", told) if own else load_error(told, release)
            config = _own_config(text or "", release) if own else load_config(text, release, defaults)
        except ConfigError as e:
            if own:
                raise HookFailure(
                    f"couldn't open {'' if required else 'default '}configuration file: {e.text}"
                ) from None
            raise HookFailure(_shared_error(e.stage, e.text)) from None
        return _checked(config, release)
    return _checked(default_config(release, defaults), release)


def _own_config(text: str, release: Release) -> ToolkitConfig:
    """The configuration as releases up to 1.13 read it, with a library of the hook's own. Raises `ConfigError`."""
    from nvsim.toolkit.config_hook import load_hook_config

    return load_hook_config(text, release)


def _config_paths(flag: str, environ: Mapping[str, str], release: Release) -> tuple[tuple[str, bool], ...]:
    """The files that are tried in turn, each with whether it has to exist."""
    if flag:
        return ((flag, True),)
    if release.hook_config_paths == "driver-root":
        return ((DRIVER_ROOT + CONFIG_FILE, False), (CONFIG_FILE, False))
    return ((config_path(environ, release), bool(environ.get(OVERRIDE))),)


def _shared_error(stage: str, text: str) -> str:
    opened = "couldn't open required configuration file: " if stage == "load" else ""
    return f"error getting hook config: failed to load config: {opened}{text}"


def _checked(config: ToolkitConfig, release: Release) -> ToolkitConfig:
    configured = config.supported_driver_capabilities if CONFIG_KEY in config.given else None
    supported, error = supported_capabilities(configured, release)
    if error is not None:
        raise HookFailure(error)
    return evolve(config, supported_driver_capabilities=supported)


def read_container(state: str, files: HostFiles, cwd: str, release: Release) -> HookSpec:
    """The container that the state names. Raises `HookFailure`."""
    try:
        found: dict[str, Any] = decode(state, _STATE) or {}
    except JsonError as e:
        raise HookFailure(f"could not decode container state: {e}") from None
    path = join(found.get("bundle") or found.get("bundlePath") or "", "config.json")
    absolute = path if path.startswith("/") else join(cwd, path)
    text = files.read(absolute)
    if text is None and files.is_directory(absolute):
        raise HookFailure(f"could not decode OCI spec: read {path}: is a directory")
    if text is None:
        why = "invalid argument" if "\0" in path else "no such file or directory"
        raise HookFailure(f"could not open OCI spec: open {path}: {why}")
    mount = Struct("specs.Mount", {**_MOUNT, "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS})
    mounts = ListOf(mount if release.mounts_with_mappings else Struct("main.Mount", _MOUNT))
    fields: dict[str, GoType] = {"ociVersion": STRING, "process": _PROCESS, "root": _ROOT, "mounts": mounts}
    try:
        spec: dict[str, Any] | None = decode(text, Struct("main.Spec", fields))
    except JsonError as e:
        raise HookFailure(f"could not decode OCI spec: {e}") from None
    if spec is None:
        raise HookFailure("runtime error: invalid memory address or nil pointer dereference")
    for name, key in (("Version", "ociVersion"), ("Process", "process"), ("Root", "root")):
        if key not in spec:
            raise HookFailure(f"{name} is empty in OCI spec")
    process = spec["process"]
    raw = process.get("capabilities")
    return HookSpec(
        spec["ociVersion"],
        tuple(e or "" for e in process.get("env", ())),
        tuple(Mount(m.get("source", ""), m.get("destination", "")) for m in (x or {} for x in spec.get("mounts", ()))),
        spec["root"].get("path", ""),
        found.get("pid", 0),
        raw if raw is not None and raw.tree is not None else None,
    )


def bounding_capabilities(spec: HookSpec, release: Release) -> tuple[str, ...]:
    """The container's bounding set; up to OCI 1.0.0-rc4 its only set. Raises `HookFailure`."""
    if spec.capabilities is None:
        return ()
    sets = Struct("main.LinuxCapabilities" if release.own_capabilities_type else "specs.LinuxCapabilities", _SETS)
    try:
        if _lists_capabilities(spec.oci_version, release):
            found = decode_value(spec.capabilities, _LIST) or ()
        else:
            found = (decode_value(spec.capabilities, sets) or {}).get("bounding", ())
    except JsonError as e:
        raise HookFailure(f"could not decode Process.Capabilities in OCI spec: {e}") from None
    return tuple(c or "" for c in found)


def _lists_capabilities(oci_version: str, release: Release) -> bool:
    """Whether process.capabilities is a plain list in this version of the OCI specification."""
    from nvsim.toolkit.versions import VersionError, compare_texts, compare_versions, parse_version

    first, end = "v1.0.0-rc1", "v1.0.0-rc5"
    if release.semver == "x-mod":
        text = f"v{oci_version}"
        return compare_texts(text, first) >= 0 and compare_texts(text, end) < 0
    try:
        version = parse_version(oci_version, "masterminds")
    except VersionError:
        return False
    low, high = parse_version(first, "masterminds"), parse_version(end, "masterminds")
    return compare_versions(version, low) >= 0 and compare_versions(version, high) < 0


def rootfs_path(root: str, cwd: str) -> str:
    """The absolute path of the rootfs: a relative one counts from the hook's working directory."""
    return clean(root) if root.startswith("/") else join(cwd, root) or "/"
