"""Writing the text of CDI specs as the library does: JSON (``encoding/json``) and YAML (``yaml.v3``)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nvsim.inject.cdi.spec import CdiSpec, spec_to_json


def dump_json(spec: CdiSpec, *, in_order: bool = True) -> str:
    """The text that the library writes to a ``.json`` file; keys in the order of the specification, or sorted."""
    text = json.dumps(spec_to_json(spec), ensure_ascii=False, separators=(",", ":"), sort_keys=not in_order)
    for char in "<>&\u2028\u2029":  # encoding/json escapes these
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def dump_yaml(spec: CdiSpec) -> str:
    """The text that the library writes to a ``.yaml`` file."""
    data = spec_to_json(spec)
    if not data["containerEdits"]:
        del data["containerEdits"]
    lines = ["---"]
    _yaml_mapping(data, 0, lines)
    return "\n".join(lines) + "\n"


def dump_sorted_yaml(spec: CdiSpec) -> str:
    """The text of older libraries: keys sorted, two blanks, lists not indented (``sigs.k8s.io/yaml``)."""
    data = spec_to_json(spec)
    lines = ["---"]
    _sorted_mapping(data, "", lines)
    return "\n".join(lines) + "\n"


def _sorted_mapping(data: Mapping[str, Any], pad: str, lines: list[str]) -> None:
    for key in sorted(data):
        value = data[key]
        if isinstance(value, dict) and value:
            lines.append(f"{pad}{_yaml_scalar(key)}:")
            _sorted_mapping(value, f"{pad}  ", lines)
        elif isinstance(value, list) and value:
            lines.append(f"{pad}{_yaml_scalar(key)}:")
            for item in value:
                inner: list[str] = []
                if isinstance(item, dict) and item:
                    _sorted_mapping(item, f"{pad}  ", inner)
                else:
                    inner.append(f"{pad}  {_yaml_scalar(item)}")
                lines.append(f"{pad}- {inner[0][len(pad) + 2 :]}")
                lines.extend(inner[1:])
        else:
            lines.append(f"{pad}{_yaml_scalar(key)}: {_yaml_scalar(value)}")


def _yaml_mapping(data: Mapping[str, Any], indent: int, lines: list[str]) -> None:
    """The lines of a mapping; what is nested in it stands at the next multiple of four (yaml.v3 ``increase_indent``)."""
    pad = " " * indent
    inner = 4 * ((indent + 4) // 4)
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines.append(f"{pad}{_yaml_scalar(key)}:")
            _yaml_mapping(value, inner, lines)
        elif isinstance(value, list) and value:
            lines.append(f"{pad}{_yaml_scalar(key)}:")
            for item in value:
                _yaml_item(item, inner, lines)
        else:
            lines.append(f"{pad}{_yaml_scalar(key)}: {_yaml_scalar(value)}")


def _yaml_item(item: Any, indent: int, lines: list[str]) -> None:
    pad = " " * indent
    if isinstance(item, dict) and item:
        inner: list[str] = []
        _yaml_mapping(item, indent + 2, inner)
        lines.append(f"{pad}- {inner[0][indent + 2 :]}")
        lines.extend(inner[1:])
    else:
        lines.append(f"{pad}- {_yaml_scalar(item)}")


_YAML_WORDS = re.compile(r"(?i:|~|null|true|false|yes|no|on|off|y|n|\.nan|[-+]?\.inf|<<|=)\Z")
_YAML_NUMBERS = re.compile(
    r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*|[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?)\Z"
)
_YAML_BASE60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")
_YAML_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?\Z")


def _yaml_scalar(value: Any) -> str:
    """A scalar as Go's yaml.v3 writes it: plain where that reads back as the same value, else double quoted (single where it can)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | dict):
        return "[]" if isinstance(value, list) else "{}"
    text = str(value)
    if any(p.match(text) for p in (_YAML_WORDS, _YAML_NUMBERS, _YAML_BASE60, _YAML_DATE)):
        return _double_quoted(text)
    if not text.isprintable():
        return _double_quoted(text)
    special = text[0] in "-?:,[]{}#&*!|>'\"%@` " and not (text[0] in "-?:" and len(text) > 1 and text[1] != " ")
    if special or text[-1] in " :" or ": " in text or " #" in text:
        return "'" + text.replace("'", "''") + "'"
    return text


_YAML_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _double_quoted(text: str) -> str:
    out = []
    for c in text:
        code = ord(c)
        if c in _YAML_ESCAPES:
            out.append(_YAML_ESCAPES[c])
        elif c.isprintable():
            out.append(c)
        else:
            out.append(f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}")
    return f'"{"".join(out)}"'
