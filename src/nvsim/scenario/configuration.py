"""The toolkit configuration in force: the host's config.toml, or the user's, with single keys set on top of it."""

from __future__ import annotations

import json
from typing import Any

from nvsim.errors import InputError
from nvsim.scenario.model import Scenario


def config_text(scenario: Scenario) -> str | None:
    """The text of config.toml that the simulated toolkit reads; None = there is no such file. Raises `InputError`."""
    settings = scenario.settings
    text = settings.config if settings.config is not None else scenario.host.toolkit.config
    for key, value in settings.config_set:
        text = set_toml(text or "", key, toml_value(value))
    return text


def toml_value(text: str) -> Any:
    """The value that ``KEY=TEXT`` gives: TOML where it is TOML, else the text itself."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def set_toml(text: str, key: str, value: Any) -> str:
    """`text` (TOML) with the dotted `key` set. Comments are lost. Raises `InputError` for text that is no TOML."""
    import tomllib  # a configuration as it is needs no reader

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"bad TOML: {e}", source="config.toml") from None
    table = data
    *tables, last = key.split(".")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise InputError(f"{name} is no table", source="config.toml")
    table[last] = value
    return "\n".join(_toml_lines(data, ())) + "\n"


def _toml_lines(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"[{'.'.join(map(_toml, path))}]"] if path else []
    lines += [f"{_toml(k)} = {_toml(v)}" for k, v in table.items() if not isinstance(v, dict)]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += _toml_lines(value, (*path, name))
    return lines


def _toml(value: Any) -> str:
    """A string, number, boolean or list of them as TOML: as JSON writes it, but for DEL and with characters instead of surrogates."""
    try:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    except TypeError:  # a date
        return str(value)
