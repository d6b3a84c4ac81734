"""A tree and its values as text: as Go's ``fmt`` prints them, and as TOML (pelletier/go-toml v1, ``tomltree_write.go``)."""

from __future__ import annotations

import struct
from math import isnan, trunc
from typing import Any

from nvsim.toolkit.go_text import go_digits, go_float, go_quote
from nvsim.toolkit.toml_tree import Moment, Table, Value, is_tables

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


# ---- Go


def go_type(value: Any) -> str:
    """The Go type of a value of the tree, as ``%T`` prints it."""
    if isinstance(value, Moment):
        return value.go_type
    if isinstance(value, Table):
        return "*toml.Tree"
    if isinstance(value, list):
        return "[]*toml.Tree" if is_tables(value) else "[]interface {}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "int64" if value < 2**63 else "uint64"
    return {bool: "bool", str: "string", float: "float64"}[type(value)]


def go_value(value: Any) -> str:
    """A value of the tree as ``%v`` prints it; a table prints as TOML text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, list):
        return f"[{' '.join(go_value(v) for v in value)}]"
    if isinstance(value, Table):
        return table_text(value)
    return value.text if isinstance(value, Moment) else str(value)


def go_syntax(value: Any) -> str:
    """A `Value` of the tree, or what it holds, as ``%#v`` prints it; a table inside a list prints as a pointer, which is not told."""
    if isinstance(value, Value):
        place = f"toml.Position{{Line:{value.position.line}, Col:{value.position.column}}}"
        flags = 'comment:"", commented:false, multiline:false, literal:false'
        return f"&toml.tomlValue{{value:{go_syntax(value.value)}, {flags}, position:{place}}}"
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(go_syntax(v) for v in value)}}}" if value else "[]interface {}(nil)"
    if isinstance(value, Moment):
        return value.syntax
    if isinstance(value, int) and value >= 2**63:
        return f"{value:#x}"
    return go_value(value)


# ---- TOML


def table_text(table: Table, path: str = "", indent: str = "", step: str = "  ") -> str:
    """The text of a table whose dotted name is `path`: plain values by name first, then tables, each level deeper by `step`."""
    out = []
    for key in sorted(k for k, v in table.values.items() if isinstance(v, Value)):
        node = table.values[key]
        mark = "# " if isinstance(node, Value) and node.commented else ""
        out.append(f"{indent}{mark}{key_text(key)} = {value_text(table.get(key))}\n")
    for key in sorted(k for k, v in table.values.items() if not isinstance(v, Value)):
        node = table.values[key]
        name = f"{path}.{key_text(key)}" if path else key_text(key)
        left, right = ("[[", "]]") if isinstance(node, list) else ("[", "]")
        for child in node if isinstance(node, list) else [node]:
            assert isinstance(child, Table)
            out.append(f"\n{indent}{left}{name}{right}\n{table_text(child, name, indent + step, step)}")
    return "".join(out)


def value_text(value: Any) -> str:
    """A bare value of the tree as it stands behind ``=``; a table inside a list is written on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Moment):
        return value.toml
    if isinstance(value, Table):
        keys = sorted(value.values, key=lambda k: (not isinstance(value.values[k], Value), k))
        return f"{{ {', '.join(f'{key_text(k)} = {value_text(value.get(k))}' for k in keys)} }}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(v) for v in value)}]"
    return str(value)


def key_text(key: str) -> str:
    """A key, in quotes unless it is bare."""
    if set(key) <= _BARE or (len(key) >= 2 and key[0] == key[-1] == '"'):
        return key
    return f'"{_escaped(key)}"'


def _escaped(text: str) -> str:
    """The library looks at the lower 16 bits of a character only, and lets U+001F through."""
    return "".join(_ESCAPES.get(c) or (f"\\u{ord(c) & 0xFFFF:04X}" if ord(c) & 0xFFFF < 0x1F else c) for c in text)


def _float(value: float) -> str:
    """Never with an exponent; as few digits as a float32 needs where that holds the value exactly."""
    if isnan(value):
        return "nan"
    if value in (float("inf"), float("-inf")):
        return "+inf" if value > 0 else "-inf"
    if trunc(value) == value:
        return f"{value:.1f}"
    sign, digits, point = go_digits(value, single=_is_single(value))
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _is_single(value: float) -> bool:
    try:
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except OverflowError:
        return False
