"""The keys of config.toml as frozen classes: name, type and the releases that know each (toolkit: ``api/config/v1``).

The order of the attributes is the order in which the real program fills its structures, so it decides which of two errors is
reported. How a file fills these classes is in `nvsim.toolkit.config`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from nvsim.frozen import evolve, field, fields, frozen

Version = tuple[int, ...]

_KEY = "config-key"
T = TypeVar("T")


@frozen
class Key:
    """A key or table: its name in the file, its Go type as error texts print it, the releases [since, until) that know it.

    `omit_empty`: it is left out of a default configuration when it is empty. `typed`: the release from which a text has the type
    `go_type`; before, it is a string.
    """

    name: str
    go_type: str
    since: Version = ()
    until: Version | None = None
    omit_empty: bool = False
    typed: Version = ()

    def known_to(self, version: Version) -> bool:
        return self.since <= version and (self.until is None or version < self.until)


def _key(
    name: str,
    go_type: str,
    default: Any,
    since: Version = (),
    until: Version | None = None,
    omit_empty: bool = False,
    typed: Version = (),
) -> Any:
    return field(default=default, metadata={_KEY: Key(name, go_type, since, until, omit_empty, typed)})


def _table(name: str, go_type: str, cls: type[T], since: Version = (), omit_empty: bool = False) -> T:
    made: T = field(factory=cls, metadata={_KEY: Key(name, go_type, since, None, omit_empty)})
    return made


@frozen
class CliSection:
    """``[nvidia-container-cli]``: how the legacy engine is called; `root` is the driver root of every mode."""

    root: str = _key("root", "string", "")
    path: str = _key("path", "string", "")
    environment: tuple[str, ...] = _key("environment", "[]string", ())
    debug: str = _key("debug", "string", "")
    ldcache: str = _key("ldcache", "string", "")
    load_kmods: bool = _key("load-kmods", "bool", True)
    no_pivot: bool = _key("no-pivot", "bool", False, omit_empty=True)
    no_cgroups: bool = _key("no-cgroups", "bool", False)
    user: str = _key("user", "string", "")
    ldconfig: str = _key("ldconfig", "config.ldconfigPath", "@/sbin/ldconfig", typed=(1, 17, 3))


@frozen
class CtkSection:
    """``[nvidia-ctk]``: the program that injected createContainer hooks name."""

    path: str = _key("path", "string", "nvidia-ctk")


@frozen
class CsvMode:
    mount_spec_path: str = _key("mount-spec-path", "string", "/etc/nvidia-container-runtime/host-files-for-container.d")
    compat_container_root: str = _key("compat-container-root", "string", "", since=(1, 19, 0), omit_empty=True)


@frozen
class CdiMode:
    spec_dirs: tuple[str, ...] = _key("spec-dirs", "[]string", ("/etc/cdi", "/var/run/cdi"), since=(1, 11, 0))
    default_kind: str = _key("default-kind", "string", "nvidia.com/gpu", since=(1, 13, 0))
    annotation_prefixes: tuple[str, ...] = _key("annotation-prefixes", "[]string", ("cdi.k8s.io/",), since=(1, 13, 0))


@frozen
class JitCdiMode:
    feature_flags: tuple[str, ...] = _key("nvcdi-feature-flags", "[]nvcdi.FeatureFlag", (), omit_empty=True)
    disable_hooks: tuple[str, ...] = _key(
        "nvcdi-disable-hooks", "[]discover.HookName", (), since=(1, 20, 0), omit_empty=True
    )


@frozen
class LegacyMode:
    cuda_compat_mode: str = _key("cuda-compat-mode", "config.cudaCompatMode", "ldconfig", omit_empty=True)


@frozen
class Modes:
    """``[nvidia-container-runtime.modes]``: what one mode needs to know."""

    csv: CsvMode = _table("csv", "config.csvModeConfig", CsvMode)
    cdi: CdiMode = _table("cdi", "config.cdiModeConfig", CdiMode, since=(1, 11, 0))
    jit_cdi: JitCdiMode = _table("jit-cdi", "config.jitCDIModeConfig", JitCdiMode, since=(1, 18, 1), omit_empty=True)
    legacy: LegacyMode = _table("legacy", "config.legacyModeConfig", LegacyMode, since=(1, 17, 7))


@frozen
class RuntimeSection:
    """``[nvidia-container-runtime]``."""

    debug: str = _key("debug", "string", "/dev/null")
    log_level: str = _key("log-level", "string", "info")
    runtimes: tuple[str, ...] = _key("runtimes", "[]string", ("runc", "crun"))
    mode: str = _key("mode", "string", "auto")
    modes: Modes = _table("modes", "config.modesConfig", Modes)


@frozen
class HookSection:
    """``[nvidia-container-runtime-hook]``."""

    path: str = _key("path", "string", "nvidia-container-runtime-hook", since=(1, 13, 0))
    skip_mode_detection: bool = _key("skip-mode-detection", "bool", False, since=(1, 13, 0))


def _feature(name: str, since: Version, until: Version | None = None) -> bool | None:
    made: bool | None = _key(name, "config.feature", None, since, until, omit_empty=True)
    return made


@frozen
class Features:
    """``[features]``: None = not in the file, which means off."""

    gds: bool | None = _feature("gds", (1, 15, 0), (1, 17, 0))
    mofed: bool | None = _feature("mofed", (1, 15, 0), (1, 17, 0))
    nvswitch: bool | None = _feature("nvswitch", (1, 15, 0), (1, 17, 0))
    gdrcopy: bool | None = _feature("gdrcopy", (1, 15, 0), (1, 17, 0))
    allow_cuda_compat_libs_from_container: bool | None = _feature("allow-cuda-compat-libs-from-container", (1, 17, 4))
    allow_ldconfig_from_container: bool | None = _feature("allow-ldconfig-from-container", (1, 17, 3))
    allow_unknown_oci_spec_fields: bool | None = _feature("allow-unknown-oci-spec-fields", (1, 19, 0))
    disable_cuda_compat_lib_hook: bool | None = _feature("disable-cuda-compat-lib-hook", (1, 17, 5))
    disable_imex_channel_creation: bool | None = _feature("disable-imex-channel-creation", (1, 17, 0))
    ignore_imex_channel_requests: bool | None = _feature("ignore-imex-channel-requests", (1, 17, 5))
    no_additional_gids_for_device_nodes: bool | None = _feature("no-additional-gids-for-device-nodes", (1, 19, 0))


@frozen
class ToolkitConfig:
    """The configuration in force. `given` names the keys that the file set (dotted, as spelled in the documentation)."""

    disable_require: bool = _key("disable-require", "bool", False)
    swarm_resource: str = _key("swarm-resource", "string", "")
    accept_envvar_unprivileged: bool = _key("accept-nvidia-visible-devices-envvar-when-unprivileged", "bool", True)
    accept_volume_mounts: bool = _key("accept-nvidia-visible-devices-as-volume-mounts", "bool", False)
    supported_driver_capabilities: str = _key(
        "supported-driver-capabilities", "string", "compat32,compute,display,graphics,ngx,utility,video"
    )
    cli: CliSection = _table("nvidia-container-cli", "config.ContainerCLIConfig", CliSection)
    ctk: CtkSection = _table("nvidia-ctk", "config.CTKConfig", CtkSection)
    runtime: RuntimeSection = _table("nvidia-container-runtime", "config.RuntimeConfig", RuntimeSection)
    hook: HookSection = _table("nvidia-container-runtime-hook", "config.RuntimeHookConfig", HookSection)
    features: Features = _table("features", "config.features", Features, since=(1, 15, 0), omit_empty=True)
    given: frozenset[str] = frozenset()


def keys_of(cls: type, version: Version) -> list[tuple[str, Key]]:
    """(attribute, key) of a section's keys and tables that a release knows, in the order in which it fills them."""
    return [(name, _at(key, version)) for name, key in all_keys(cls) if key.known_to(version)]


def _at(key: Key, version: Version) -> Key:
    return evolve(key, go_type="string") if version < key.typed else key


def all_keys(cls: type) -> list[tuple[str, Key]]:
    """(attribute, key) of a section's keys and tables, whichever release knows them."""
    found = ((a.name, a.metadata.get(_KEY)) for a in fields(cls))
    return [(name, key) for name, key in found if key is not None]
