"""config.toml as the hook of old releases reads it, with BurntSushi/toml (toolkit: ``hook_config.go`` up to 1.13).

That library takes keys in any letter case and has messages of its own; how it reads a text is in `nvsim.toolkit.toml_strict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.frozen import evolve, has
from nvsim.toolkit.config import ConfigError, default_config
from nvsim.toolkit.config_schema import ToolkitConfig, Version, keys_of
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release
from nvsim.toolkit.toml_strict import Key, key_text, read_strict
from nvsim.toolkit.toml_strict_text import StrictError

_KEY_IN_MESSAGE_SINCE = (1, 13, 0)  # BurntSushi/toml 1.2; 1.0 before
_TYPES = {"string": str, "bool": bool}
_NAMES = {"string": "string", "bool": "boolean"}
_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map[string]interface {}"}


def load_hook_config(text: str, release: Release) -> ToolkitConfig:
    """The configuration that the hook takes from a file's text; "" stays distinct from unset by `ToolkitConfig.given`.

    Raises `ConfigError`, whose text is the library's.
    """
    try:
        document = read_strict(text, newest=release.version >= _KEY_IN_MESSAGE_SINCE)
    except StrictError as e:
        raise ConfigError("load", str(e)) from None
    document.values.pop("nvidia-ctk", None)  # not a section of the hook
    config, given = _fill(default_config(release), document.values, document.lines, release.version, ((), ()))
    filled: ToolkitConfig = evolve(config, given=frozenset(given))
    return filled


def _fill(
    section: Any, data: dict[str, Any], lines: Mapping[str, int], version: Version, path: tuple[Key, Key]
) -> tuple[Any, set[str]]:
    """A section with the keys of a table put in, in the order of the file, and the names of these keys.

    `path`: of the section, as it is called and as the file spells it.
    """
    known = {key.name.casefold(): (attribute, key) for attribute, key in keys_of(type(section), version)}
    known |= {key.name: (attribute, key) for attribute, key in keys_of(type(section), version)}
    changes: dict[str, Any] = {}
    given: set[str] = set()
    for name, value in data.items():
        if name not in known and (name.casefold() not in known or name.casefold() in data):
            continue
        attribute, key = known.get(name) or known[name.casefold()]
        called, spelled = (*path[0], key.name), (*path[1], name)
        old = getattr(section, attribute)
        if not has(type(old)):
            changes[attribute] = _converted(value, key.go_type, spelled, lines, version)
            given.add(".".join(called))
        elif isinstance(value, dict):
            changes[attribute], names = _fill(old, value, lines, version, (called, spelled))
            given |= names
        else:
            text = f"type mismatch for {key.go_type}: expected table but found {_go_type(value)}"
            raise ConfigError("unmarshal", _located(text, spelled, lines, version))
    return evolve(section, **changes), given


def _converted(value: Any, target: str, path: Key, lines: Mapping[str, int], version: Version) -> Any:
    if target.startswith("[]"):
        if not isinstance(value, list):
            raise _wrong_type(value, "slice", path, lines, version)
        return tuple(_converted(item, target.removeprefix("[]"), path, lines, version) for item in value)
    kind = "bool" if target == "bool" else "string"
    if not isinstance(value, _TYPES[kind]):
        raise _wrong_type(value, _NAMES[kind], path, lines, version)
    return value


def _wrong_type(value: Any, wanted: str, path: Key, lines: Mapping[str, int], version: Version) -> ConfigError:
    what = "TOML value" if version >= _KEY_IN_MESSAGE_SINCE else f"TOML key {go_quote(key_text(path))}"
    text = f"incompatible types: {what} has type {_go_type(value)}; destination has type {wanted}"
    return ConfigError("unmarshal", _located(text, path, lines, version))


def _located(text: str, path: Key, lines: Mapping[str, int], version: Version) -> str:
    if version < _KEY_IN_MESSAGE_SINCE:
        return f"toml: {text}"
    name = key_text(path)
    line = f"line {lines[name]} " if lines.get(name) else ""
    return f"toml: {line}(last key {go_quote(name)}): {text}"


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "[]interface {}" if isinstance(value, list) else "time.Time")
