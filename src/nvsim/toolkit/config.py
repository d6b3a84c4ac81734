"""config.toml: where it is looked for, and what a program of a release makes of its text (toolkit: ``api/config/v1``).

The keys are in `nvsim.toolkit.config_schema`. A file that the program refuses is a `ConfigError` with the program's own text:
it is a prediction, which callers turn into the exit status and stderr of their program. The hook of old releases reads with a
library of its own, see `nvsim.toolkit.config_hook`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from nvsim.frozen import evolve, frozen, has
from nvsim.toolkit.config_schema import Key, ToolkitConfig, Version, keys_of
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release
from nvsim.toolkit.toml_print import go_type, go_value
from nvsim.toolkit.toml_reader import read_toml
from nvsim.toolkit.toml_tree import Table, TomlError

OVERRIDE = "NVIDIA_CTK_CONFIG_FILE_PATH"
_RELATIVE = "nvidia-container-runtime/config.toml"
_SUSE = ("suse", "opensuse")
NO_STACK = "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n"


class ConfigError(Exception):
    """The program refuses the file; `text` is its message as the loading function returns it.

    `stage`: "load" (no TOML, or no file), "unmarshal" (a wrong type) or "invalid" (a value that is not allowed).
    `panic`: the program does not report but crashes with this text.
    """

    def __init__(self, stage: str, text: str, *, panic: bool = False):
        super().__init__(text)
        self.stage = stage
        self.text = text
        self.panic = panic


class ConfigCrash(Exception):  # noqa: N818 - a predicted crash of the real program
    """Reading the file kills the program (exit status 2); the argument is what stands on stderr, without the traces."""


@frozen
class HostDefaults:
    """Defaults that depend on the host: the value of ``ldconfig``, and the user of the legacy engine."""

    ldconfig: str = "@/sbin/ldconfig"
    user: str = ""


def host_defaults(exists: Callable[[str], bool], os_release: str | None) -> HostDefaults:
    """The defaults on a host, of which `exists` says whether a path can be stat'ed; `os_release`: text of /etc/os-release."""
    return HostDefaults(normalised_ldconfig("@/sbin/ldconfig", exists), "root:video" if _is_suse(os_release) else "")


def normalised_ldconfig(value: str, exists: Callable[[str], bool]) -> str:
    """A host path (``@...``) with ``.real`` exactly when that file exists on the host; a container path as it is."""
    if not value.startswith("@"):
        return value
    path = value.removeprefix("@").removesuffix(".real")
    return f"@{path}.real" if exists(f"{path}.real") else f"@{path}"


def _is_suse(os_release: str | None) -> bool:
    """Whether the first ID_LIKE line names SUSE; ID itself is not looked at."""
    for line in (os_release or "").split("\n"):
        line = line.removesuffix("\r")
        if line.startswith("ID_LIKE="):
            return any(word in _SUSE for word in line.removeprefix("ID_LIKE=").strip('"').split(" "))
    return False


PLAIN_HOST = HostDefaults()


def config_path(environ: Mapping[str, str], release: Release) -> str:
    """Where the runtime looks for the file (the hook too, since 1.18); `environ` is the program's own environment."""
    override = environ.get(OVERRIDE, "")
    if override and release.config_path_override:
        return override
    return posixpath.normpath(posixpath.join(environ.get("XDG_CONFIG_HOME") or "/etc", _RELATIVE))


def default_config(release: Release, host: HostDefaults = PLAIN_HOST) -> ToolkitConfig:
    """The configuration without a file."""
    config = ToolkitConfig()
    cli = evolve(
        config.cli,
        user=host.user if release.suse_user else "",
        ldconfig=host.ldconfig if release.default_ldconfig else "",
    )
    return evolve(config, cli=cli, runtime=evolve(config.runtime, runtimes=release.low_level_runtimes))


@lru_cache(maxsize=64)
def load_config(text: str | None, release: Release, host: HostDefaults = PLAIN_HOST) -> ToolkitConfig:
    """The configuration that the runtime (and the hook, where it shares the code) takes from a file's text.

    None = there is no file. Raises `ConfigError` and `ConfigCrash`.
    """
    base = default_config(release, host)
    if release.runtime_config == "sections":
        return base if text is None else _sections(text, release, base)
    if text is not None:
        try:
            tree = read_toml(text, unsigned=release.toml_unsigned)
        except TomlError as e:
            raise load_error(str(e), release) from None
        if release.config_keys_noted and "" in tree.values:
            raise ConfigCrash(NO_STACK)  # the tables below the empty key are looked for in the whole tree, for ever
        try:
            base = _filled(base, tree, release.version)
        except _Mismatch as e:
            raise ConfigError("unmarshal", f"failed to unmarshal config: {e}") from None
    return validated(base, release)


def driver_root(text: str | None, release: Release) -> str:
    """``nvidia-container-cli.root`` of a file's text; "" where it is not told, or the file is one that the programs refuse."""
    try:
        return load_config(text, release).cli.root
    except (ConfigError, ConfigCrash):
        return ""


def load_error(text: str, release: Release) -> ConfigError:
    """The error for a file that cannot be read, by what the reading says."""
    if release.runtime_config == "sections":
        return ConfigError("load", f"failed to read config values: {text}")
    prefix = "failed to load specified config file: " if release.config_load_error_told else ""
    return ConfigError("load", f"{prefix}{text}")


def validated(config: ToolkitConfig, release: Release) -> ToolkitConfig:
    """`config` itself. Raises `ConfigError` when a value is not allowed."""
    ldconfig = config.cli.ldconfig
    if (
        not release.ldconfig_must_be_on_host
        or ldconfig.startswith("@")
        or config.features.allow_ldconfig_from_container
    ):
        return config
    text = f"nvidia-container-cli.ldconfig value {go_quote(ldconfig)} is not host-relative (does not start with a '@')"
    raise ConfigError("invalid", f"{text}\ninvalid config value")


# ---- filling the classes


class _Mismatch(Exception):  # noqa: N818 - becomes a ConfigError
    """A value of another type; the argument is the library's text, with the position once it is known."""


def _filled(base: ToolkitConfig, tree: Table, version: Version, only: frozenset[str] | None = None) -> ToolkitConfig:
    """`base` with what a file says; `only`: the names of the top-level keys that are looked at. Raises `_Mismatch`."""
    config, given = _fill(base, tree, version, "", only)
    filled: ToolkitConfig = evolve(config, given=frozenset(given))
    return filled


def _fill(
    section: Any, table: Table, version: Version, path: str, only: frozenset[str] | None = None
) -> tuple[Any, set[str]]:
    """A section with the keys of a table put in, and the dotted names of these keys; unknown keys are passed over."""
    changes: dict[str, Any] = {}
    given: set[str] = set()
    for attribute, key in keys_of(type(section), version):
        name = _spelling(table, key.name)
        if name is None or (only is not None and key.name not in only):
            continue
        dotted = f"{path}{key.name}"
        try:
            changes[attribute], names = _value(getattr(section, attribute), table.get(name), key, version, dotted)
        except _Mismatch as e:
            text = str(e)
            raise _Mismatch(text if text.startswith("(") else f"{table.position_of(name)}: {text}") from None
        given |= names
    return evolve(section, **changes), given


def _value(old: Any, found: Any, key: Key, version: Version, dotted: str) -> tuple[Any, set[str]]:
    if not has(type(old)):
        return _converted(found, key.go_type), {dotted}
    if not isinstance(found, Table):
        raise _mismatch(found, key.go_type)
    return _fill(old, found, version, f"{dotted}.")


def _spelling(table: Table, name: str) -> str | None:
    """How the table spells a key: as it is written here, or all in capitals; None when it has neither."""
    return next((s for s in (name, name.upper()) if table.get(s) is not None), None)


def _converted(found: Any, target: str) -> Any:
    """A value of the tree as the Go type `target`; lists become tuples. Raises `_Mismatch` (go-toml v1, ``marshal.go``)."""
    if target.startswith("[]"):
        if not isinstance(found, list) or go_type(found) != "[]interface {}":
            raise _mismatch(found, target, "(slice)")
        return tuple(_converted(item, target.removeprefix("[]")) for item in found)
    if target in ("bool", "config.feature"):
        if not isinstance(found, bool):
            raise _mismatch(found, target)
        return found
    if go_type(found) == "uint64":
        return "\ufffd"  # a number above 2**63 - 1 counts as the code of a character, which there is not
    if not isinstance(found, str):
        raise _mismatch(found, target)
    return found


def _mismatch(found: Any, target: str, kind: str = "") -> _Mismatch:
    """The error for a value of the wrong type; tables and lists are named by what they are."""
    have = go_type(found)
    to = {"*toml.Tree": "a tree", "[]*toml.Tree": "trees", "[]interface {}": "a slice"}.get(have, f"{target}{kind}")
    return _Mismatch(f"Can't convert {go_value(found)}({have}) to {to}")


# ---- releases before 1.14


def _sections(text: str, release: Release, base: ToolkitConfig) -> ToolkitConfig:
    """What the runtime of a release before 1.14 reads: a few keys by themselves, then its own sections.

    A wrong type among the former crashes it.
    """
    try:
        tree = read_toml(text, unsigned=release.toml_unsigned)
    except TomlError as e:
        raise load_error(str(e), release) from None
    config, version = base, release.version
    given: set[str] = set()
    for dotted, go, since in _SINGLE_KEYS:
        *sections, name = dotted.split(".")
        table: Any = tree
        for section in sections:
            table = table.get(section) if isinstance(table, Table) else None
        found = table.get(name) if isinstance(table, Table) else None
        if found is None or version < since:
            continue
        if go_type(found) != go:
            have = go_type(found)
            raise ConfigError("unmarshal", f"interface conversion: interface {{}} is {have}, not {go}", panic=True)
        given.add(dotted)
        config = _with(config, dotted, found)
    for section, since in _SECTIONS_BEFORE_1_14:
        if version < since:
            continue
        try:
            config = _filled(config, tree, version, only=frozenset((section,)))
        except _Mismatch as e:
            step = f"failed to read config values: failed to load {section} config: failed to unmarshal runtime config"
            raise ConfigError("unmarshal", f"{step}: {e}") from None
        given |= config.given
    return evolve(config, given=frozenset(given))


def _with(config: ToolkitConfig, dotted: str, value: Any) -> ToolkitConfig:
    if dotted == "nvidia-container-cli.root":
        return evolve(config, cli=evolve(config.cli, root=value))
    if dotted == "nvidia-ctk.path":
        return evolve(config, ctk=evolve(config.ctk, path=value))
    return evolve(config, accept_envvar_unprivileged=value)


_SINGLE_KEYS: tuple[tuple[str, str, Version], ...] = (
    ("accept-nvidia-visible-devices-envvar-when-unprivileged", "bool", (1, 13, 0)),
    ("nvidia-container-cli.root", "string", ()),
    ("nvidia-ctk.path", "string", ()),
)
_SECTIONS_BEFORE_1_14: tuple[tuple[str, Version], ...] = (
    ("nvidia-container-runtime", ()),
    ("nvidia-container-runtime-hook", (1, 13, 0)),
)


# ---- the configuration as plain data


def config_json(config: object, version: Version) -> dict[str, Any]:
    """The configuration (or one section) as nested dicts with the file's names; features that are not set are left out."""
    out: dict[str, Any] = {}
    for attribute, key in keys_of(type(config), version):
        value = getattr(config, attribute)
        if has(type(value)):
            out[key.name] = config_json(value, version)
        elif value is not None:
            out[key.name] = list(value) if isinstance(value, tuple) else value
    return out
