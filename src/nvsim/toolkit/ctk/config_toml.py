"""config.toml as ``nvidia-ctk config`` reads, changes and writes it (toolkit: ``internal/config/toml.go``, ``cmd/nvidia-ctk/config/config.go``).

What the configuration means to the other programs is in `nvsim.toolkit.config`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nvsim.frozen import frozen, has
from nvsim.toolkit.config import NO_STACK, ConfigCrash, HostDefaults, default_config, load_error
from nvsim.toolkit.config_schema import Key, ToolkitConfig, Version, keys_of
from nvsim.toolkit.ctk.model import bad_boolean
from nvsim.toolkit.go_strings import parse_bool
from nvsim.toolkit.go_text import go_list, go_quote
from nvsim.toolkit.releases import Release
from nvsim.toolkit.toml_print import go_value, table_text
from nvsim.toolkit.toml_reader import read_toml
from nvsim.toolkit.toml_tree import Table, TomlError, delete_path, get_path, set_path

_EXAMPLES: dict[str, str | bool] = {
    "swarm-resource": "DOCKER_RESOURCE_GPU",
    "accept-nvidia-visible-devices-envvar-when-unprivileged": True,
    "accept-nvidia-visible-devices-as-volume-mounts": False,
    "nvidia-container-cli.root": "/run/nvidia/driver",
    "nvidia-container-cli.path": "/usr/bin/nvidia-container-cli",
    "nvidia-container-cli.debug": "/var/log/nvidia-container-toolkit.log",
    "nvidia-container-cli.ldcache": "/etc/ld.so.cache",
    "nvidia-container-cli.no-cgroups": False,
    "nvidia-container-cli.user": "root:video",
    "nvidia-container-runtime.debug": "/var/log/nvidia-container-runtime.log",
}
_SPACE = r"\t\n\f\r "
_COMMENT = re.compile(rf"(\n*)[{_SPACE}]*?#[{_SPACE}]*([^{_SPACE}][^\n]*)")


class SetError(Exception):
    """A ``--set`` that the program refuses; the argument is its reason."""


@frozen
class Settings:
    """A configuration as a tree. `told`: the keys (dotted) that count as set on purpose, which are never written as comments."""

    tree: Table
    told: set[str]


def read_settings(text: str, release: Release) -> Settings:
    """The settings of a file. Raises `nvsim.toolkit.config.ConfigError` and `ConfigCrash`."""
    try:
        tree = read_toml(text, unsigned=release.toml_unsigned)
    except TomlError as e:
        raise load_error(str(e), release) from None
    told: set[str] = set()
    if release.config_keys_noted:
        if "" in tree.values:
            raise ConfigCrash(NO_STACK)
        for key in tree.values:
            _note(tree, key, told)
    return Settings(tree, told)


def _note(tree: Table, dotted: str, told: set[str]) -> None:
    """Note a key and, where that is a table, all below; a key with dots in it is looked up as a path."""
    told.add(dotted)
    found = get_path(tree, dotted.split("."))
    if isinstance(found, Table):
        for name in found.values:
            _note(tree, f"{dotted}.{name}", told)


def default_settings(release: Release, host: HostDefaults) -> Settings:
    """The settings without a file."""
    tree = Table()
    _add(tree, default_config(release, host), release.version, ())
    return Settings(tree, set())


def _add(tree: Table, section: Any, version: Version, path: tuple[str, ...]) -> None:
    for attribute, key in keys_of(type(section), version):
        value = getattr(section, attribute)
        if key.omit_empty and _empty(value):
            continue
        if has(type(value)):
            set_path(tree, (*path, key.name), Table())
            _add(tree, value, version, (*path, key.name))
        else:
            set_path(tree, (*path, key.name), list(value) if isinstance(value, tuple) else value)


def _empty(value: Any) -> bool:
    return value == type(value)() if has(type(value)) else not value


# ---- --set


def apply_set(settings: Settings, text: str, separator: str, release: Release) -> None:
    """One ``--set``: `text` is ``KEY=VALUE`` or ``KEY``. Raises `SetError` and, where the program crashes, `ConfigCrash`."""
    name, equals, value = text.partition("=")
    path = name.split(".")
    if release.config_set == "value":
        new = _by_value(settings.tree, text, name, value if equals else None)
    else:
        new = _by_type(text, path, value if equals else None, separator, release)
    if new is None:
        delete_path(settings.tree, path)
        settings.told.discard(name)
    else:
        set_path(settings.tree, path, new)
        if release.config_comments in ("values-not-set", "values-not-told"):
            settings.told.add(name)


def _by_value(tree: Table, text: str, name: str, value: str | None) -> Any:
    old = get_path(tree, name.split(".")) if name else tree
    if old is None:
        raise SetError("invalid config option")
    if value is None:
        if isinstance(old, bool):
            return True
        raise SetError(f"invalid format: expected key=value; got {text}")
    if isinstance(old, bool):
        return _boolean(value)
    if isinstance(old, str):
        return value
    raise SetError(f"unsupported type for {go_list((name, value))} ({go_value(old)})")


def _by_type(text: str, path: Sequence[str], value: str | None, separator: str, release: Release) -> Any:
    kind = _kind_of(path, release)
    if value is None:
        if kind in ("bool", "pointer"):
            return True
        raise SetError(f"invalid format: expected key=value; got {text}")
    if kind == "pointer" and value == "nil":
        return None
    if kind in ("bool", "pointer"):
        return _boolean(value)
    if kind == "string":
        return value
    if kind == "slice":
        return _items(value, separator, release)
    raise SetError(f"unsupported type for {go_list((text.partition('=')[0], value))} ({kind})")


def _items(value: str, separator: str, release: Release) -> list[str]:
    if release.config_lists == "comma":
        return value.split(",")
    if release.config_lists == "option-or-comma" and separator not in value:
        return value.split(",")
    return value.split(separator)


def _boolean(value: str) -> bool:
    read = parse_bool(value)
    if read is None:
        raise SetError(f"invalid format: {bad_boolean(value)}")
    return read


def _kind_of(path: Sequence[str], release: Release) -> str:
    """The Go kind of the field that a dotted key names. Raises `SetError`, `ConfigCrash`."""
    section: Any = ToolkitConfig()
    kind, go_type = "struct", "config.Config"
    for name in path:
        if kind != "struct":
            raise ConfigCrash(f"panic: reflect: NumField of non-struct type {go_type}\n")
        found = next((item for item in keys_of(type(section), release.version) if _tag(item[1], release) == name), None)
        if found is None:
            raise SetError(f"invalid config option: undefined field: {go_quote(name)}")
        attribute, key = found
        section = getattr(section, attribute)
        kind, go_type = _kind(section, key), key.go_type if key.go_type != "config.feature" else "*config.feature"
    return kind


def _tag(key: Key, release: Release) -> str:
    """The word by which a field is found: its name, at first with what else its tag says."""
    return f"{key.name},omitempty" if key.omit_empty and release.config_set == "type-exact" else key.name


def _kind(value: Any, key: Key) -> str:
    if has(type(value)):
        return "struct"
    if key.go_type == "config.feature":
        return "pointer"
    return "bool" if key.go_type == "bool" else "slice" if key.go_type.startswith("[]") else "string"


# ---- writing


def settings_text(settings: Settings, release: Release, *, suse: bool) -> str:
    """The text that is written: settings in the order of their names, those that have an example and are not in use as comments.

    `suse`: the host is a SUSE distribution. The settings are changed on the way, as the program does.
    """
    for name, example in _EXAMPLES.items():
        path = name.split(".")
        if name not in settings.told and _is_commented(name, example, get_path(settings.tree, path), release, suse):
            set_path(settings.tree, path, example, commented=True)
    return _COMMENT.sub(r"\1#\2", table_text(settings.tree, step=""))


def _is_commented(name: str, example: str | bool, value: Any, release: Release, suse: bool) -> bool:
    same = type(value) is type(example) and value == example
    if name == "nvidia-container-cli.user" and suse and (release.config_comments == "values-not-suse" or same):
        return False
    if name == "nvidia-container-runtime.debug" and value == "/dev/null":
        return True
    return value is None or same or value == ""
