"""config.toml as the hook of old releases reads it, with BurntSushi/toml (toolkit: ``hook_config.go`` up to 1.13).

That library takes keys in any letter case and has messages of its own. It conforms to TOML, so `tomllib` reads the text; of its syntax
errors the usual ones are worded as it words them, the others keep the words of `tomllib`.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from nvsim.frozen import evolve, fields
from nvsim.toolkit.config import ConfigError, default_config
from nvsim.toolkit.config_schema import ToolkitConfig, Version, keys_of
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release
from nvsim.toolkit.toml_reader import read_toml
from nvsim.toolkit.toml_tree import Position, Table, TomlError

_KEY_IN_MESSAGE_SINCE = (1, 13, 0)  # BurntSushi/toml 1.2; 1.0 before
_TYPES = {"string": str, "bool": bool}
_NAMES = {"string": "string", "bool": "boolean"}
_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map[string]interface {}"}
_AT = re.compile(r"\(at line (\d+), column (\d+)\)")


def load_hook_config(text: str, release: Release) -> ToolkitConfig:
    """The configuration that the hook takes from a file's text; "" stays distinct from unset by `ToolkitConfig.given`.

    Raises `ConfigError`, whose text is the library's.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise ConfigError("load", _syntax_error(text, str(e))) from None
    try:
        places = read_toml(text)
    except TomlError:
        places = Table()
    data.pop("nvidia-ctk", None)  # not a section of the hook
    config, given = _fill(default_config(release), data, places, release.version, ())
    filled: ToolkitConfig = evolve(config, given=frozenset(given))
    return filled


def _fill(
    section: Any, data: dict[str, Any], places: Table, version: Version, path: tuple[str, ...]
) -> tuple[Any, set[str]]:
    """A section with the keys of a table put in, in the order of the file, and the names of these keys."""
    known = {key.name.casefold(): (attribute, key) for attribute, key in keys_of(type(section), version)}
    known |= {key.name: (attribute, key) for attribute, key in keys_of(type(section), version)}
    changes: dict[str, Any] = {}
    given: set[str] = set()
    for name, value in data.items():
        if name not in known and (name.casefold() not in known or name.casefold() in data):
            continue
        attribute, key = known.get(name) or known[name.casefold()]
        here = (*path, name)
        old = getattr(section, attribute)
        if not fields(type(old)):
            changes[attribute] = _converted(value, key.go_type, here, places.position_of(name), version)
            given.add(".".join((*path, key.name)))
        elif isinstance(value, dict):
            inner = places.get(name)
            inner = inner if isinstance(inner, Table) else Table()
            changes[attribute], names = _fill(old, value, inner, version, (*path, key.name))
            given |= names
        else:
            text = f"type mismatch for {key.go_type}: expected table but found {_go_type(value)}"
            raise ConfigError("unmarshal", _located(text, here, places.position_of(name), version))
    return evolve(section, **changes), given


def _converted(value: Any, target: str, path: tuple[str, ...], place: Position, version: Version) -> Any:
    if target.startswith("[]"):
        if not isinstance(value, list):
            raise _wrong_type(value, "slice", path, place, version)
        return tuple(_converted(item, target.removeprefix("[]"), path, place, version) for item in value)
    kind = "bool" if target == "bool" else "string"
    if not isinstance(value, _TYPES[kind]):
        raise _wrong_type(value, _NAMES[kind], path, place, version)
    return value


def _wrong_type(value: Any, wanted: str, path: tuple[str, ...], place: Position, version: Version) -> ConfigError:
    what = "TOML value" if version >= _KEY_IN_MESSAGE_SINCE else f"TOML key {go_quote('.'.join(path))}"
    text = f"incompatible types: {what} has type {_go_type(value)}; destination has type {wanted}"
    return ConfigError("unmarshal", _located(text, path, place, version))


def _located(text: str, path: tuple[str, ...], place: Position, version: Version) -> str:
    if version < _KEY_IN_MESSAGE_SINCE:
        return f"toml: {text}"
    line = f"line {place.line} " if place.line else ""
    return f"toml: {line}(last key {go_quote('.'.join(path))}): {text}"


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "[]interface {}" if isinstance(value, list) else "time.Time")


def _syntax_error(text: str, message: str) -> str:
    """The library's text for what `tomllib` says; only the first line that is wrong is certain to be the same."""
    match = _AT.search(message)
    lines = text.split("\n")
    line, column = (int(n) for n in match.groups()) if match else (len(lines), 1)
    rest = lines[line - 1][column - 1 :].lstrip(" \t") if line <= len(lines) else ""
    found = f"'{rest[0]}'" if rest else "'\\n'"
    if message.startswith("Expected '='"):
        what = f"expected '.' or '=', but got {found} instead"
    elif message.startswith("Invalid value"):
        word = re.match(r"\w+", rest)
        what = f"expected value but found {go_quote(word.group()) if word else found} instead"
    elif message.startswith("Expected newline or end of document"):
        what = f"expected a top-level item to end with a newline, comment, or EOF, but got {found} instead"
    elif message.startswith("Expected ']' at the end of a table declaration"):
        what = f"expected '.' or ']' to end table name, but got {found} instead"
    else:
        what = _AT.sub("", message).strip()
    return f"toml: line {line}: {what}"
