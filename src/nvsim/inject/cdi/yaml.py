"""YAML documents as Go's yaml.v2 reads them into untyped values, with its error texts.

PyYAML (a port of the same libyaml grammar) does the parsing; here stand the resolution of plain scalars, the strict handling of
duplicate keys and the wording of syntax errors.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nvsim.inject.cdi.go_numbers import format_number
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_text import go_quote

if TYPE_CHECKING:
    from yaml.nodes import Node

_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL_FLOATS = {".nan": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
_MAX_DEPTH = 500


def first_document(text: str) -> Any:
    """The first document of `text` as dicts (text keys), lists and scalars; None when there is none. Raises `ToolFailure`."""
    fast = _as_json(text)
    if fast is not _NOT_JSON:
        return fast
    node = _compose(text)
    if node is None:
        return None
    reading = _Reading(text)
    value = _construct(node, reading, 0)
    if reading.duplicates:
        raise ToolFailure("yaml: unmarshal errors:\n" + "\n".join(f"  {d}" for d in reading.duplicates))
    return value


_NOT_JSON = object()


class _DuplicateKeyError(ValueError):
    pass


def _as_json(text: str) -> Any:
    """`text` as JSON where that reads the same as YAML; else `_NOT_JSON`."""
    if not text.lstrip(" \n").startswith("{"):
        return _NOT_JSON
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_json_integer)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise _DuplicateKeyError
    return out


def _json_integer(text: str) -> int | float:
    """A number without fraction: one that fits no 64 bits is a float."""
    value = int(text)
    return value if -(2**63) <= value < 2**64 else float(text)


def _compose(text: str) -> Node | None:
    import yaml

    from nvsim.inject.cdi.yaml_scanner import GoLoader  # PyYAML takes long to load

    try:
        return next(iter(yaml.compose_all(text, Loader=GoLoader)), None)
    except yaml.MarkedYAMLError as e:
        raise ToolFailure(_syntax_error(e, text)) from None
    except yaml.reader.ReaderError:
        raise ToolFailure("yaml: control characters are not allowed") from None
    except RecursionError:
        raise ToolFailure("yaml: exceeded max depth of 10000") from None


def _syntax_error(error: Any, text: str) -> str:
    """The text of yaml.v2 for a scanner, parser or composer error of PyYAML."""
    problem = str(error.problem or "")
    message = next((go for py, go in _PROBLEMS if problem.startswith(py)), problem)
    if message == _NO_KEY and error.context == "while parsing a block collection":
        message = "did not find expected '-' indicator"
    mark = error.problem_mark
    line = 0
    if mark is not None:
        line = mark.line
        if mark.index >= len(text) and mark.column != 0 and message != _IN_QUOTES:
            line += 1  # libyaml starts a new line at the end of the stream
    if line == 0 and error.context_mark is not None:
        line = error.context_mark.line
    elif line and type(error).__name__ == "ScannerError":
        line += 1
    where = f"line {line}: " if line else ""
    return f"yaml: {where}{message}"


_IN_QUOTES = "found unexpected end of stream"  # told before the end of the stream is a token
_NO_KEY = "did not find expected key"
# what PyYAML says -> what libyaml (and its Go port) says; the first prefix that matches counts
_PROBLEMS = (
    ("expected the node content", "did not find expected node content"),
    ("expected ',' or '}'", "did not find expected ',' or '}'"),
    ("expected ',' or ']'", "did not find expected ',' or ']'"),
    ("expected <block end>", _NO_KEY),
    ("expected '<document start>'", "did not find expected <document start>"),
    ("mapping values are not allowed here", "mapping values are not allowed in this context"),
    ("could not find expected ':'", "could not find expected ':'"),
    ("sequence entries are not allowed here", "block sequence entries are not allowed in this context"),
    ("mapping keys are not allowed here", "mapping keys are not allowed in this context"),
    (_IN_QUOTES, _IN_QUOTES),
    ("found character '\\t'", "found character that cannot start any token"),
    ("found character", "found character that cannot start any token"),
    ("expected escape sequence of", "did not find expected hexdecimal number"),
    ("found unknown escape character", "found unknown escape character"),
    ("found undefined alias", "unknown anchor referenced"),
    ("expected alphabetic or numeric character", "did not find expected alphabetic or numeric character"),
)


class _Reading:
    """What is counted while a document becomes values: duplicate keys, and how much of it comes from aliases (yaml.v2 ``decode.go``)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.duplicates: list[str] = []
        self.met: set[int] = set()
        self.open: set[int] = set()
        self.values = self.aliased = self.alias_depth = 0

    def enter(self, node: Node) -> bool:
        """Count `node`, whose values follow. Whether it is an alias. Raises `ToolFailure` for a loop and for too many aliases."""
        if id(node) in self.open:
            anchor = re.compile(r"&([^\s,\[\]{}]+)").search(self.text, node.start_mark.index)
            raise ToolFailure(f"yaml: anchor '{anchor[1] if anchor else ''}' value contains itself")
        alias = self.alias_depth == 0 and id(node) in self.met
        self.met.add(id(node))
        self.open.add(id(node))
        self.alias_depth += alias
        self.values += 1
        self.aliased += self.alias_depth > 0
        if self.aliased > 100 and self.values > 1000 and self.aliased / self.values > _alias_ratio(self.values):
            raise ToolFailure("yaml: document contains excessive aliasing")
        return alias

    def leave(self, node: Node, alias: bool) -> None:
        self.open.discard(id(node))
        self.alias_depth -= alias


def _alias_ratio(values: int) -> float:
    """The part of a document's values that may come from aliases: 99 % of small ones, 10 % of large ones."""
    low, high = 400_000, 4_000_000
    return 0.99 - 0.89 * (min(max(values, low), high) - low) / (high - low)


def _construct(node: Node, reading: _Reading, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ToolFailure("yaml: exceeded max depth of 10000")
    alias = reading.enter(node)
    value = _value(node, reading, depth)
    reading.leave(node, alias)
    return value


def _value(node: Node, reading: _Reading, depth: int) -> Any:
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode

    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, SequenceNode):
        return [_construct(item, reading, depth + 1) for item in node.value]
    assert isinstance(node, MappingNode)
    out: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if isinstance(key_node, ScalarNode) and key_node.value == "<<" and key_node.style is None:
            below = _construct(value_node, reading, depth + 1)
            for source in below if isinstance(below, list) else [below]:
                if not isinstance(source, dict):
                    raise ToolFailure("yaml: map merge requires map or sequence of maps as the value")
                for k, v in source.items():
                    merged.setdefault(k, v)
            continue
        key = _construct(key_node, reading, depth + 1)
        value = _construct(value_node, reading, depth + 1)
        name = _key_text(key)
        if name in out:
            shown = go_quote(key) if isinstance(key, str) else name
            reading.duplicates.append(f"line {key_node.start_mark.line + 1}: key {shown} already set in map")
        else:
            out[name] = value
    return {**{k: v for k, v in merged.items() if k not in out}, **out}


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return format_number(key)
    if key is None:
        raise ToolFailure("unsupported map key of type: %!s(<nil>)")
    raise ToolFailure(f"yaml: invalid map key: {_go_syntax(key)}")


def _go_syntax(value: Any) -> str:
    """A value as Go prints it with ``%#v``."""
    if isinstance(value, dict):
        items = (f"{go_quote(k)}:{_go_syntax(value[k])}" for k in sorted(value))
        return f"map[interface {{}}]interface {{}}{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "interface {}(nil)" if value is None else format_number(value)


def _scalar(node: Any) -> Any:
    """The value of a scalar: yaml.v2's resolve.go."""
    text: str = node.value
    if node.style is not None:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text.lower() in _SPECIAL_FLOATS and (text[-3:].islower() or text[-3:].isupper() or text[-3:].istitle()):
        return float(_SPECIAL_FLOATS[text.lower()])
    if text[0] not in "+-.0123456789":
        return text
    plain = text.replace("_", "")
    number = _integer(plain)
    if number is not None:
        return number
    return float(plain) if _FLOAT.match(plain) else text


def _integer(text: str) -> int | None:
    """An integer in Go's ``strconv.ParseInt(text, 0, 64)`` notation, or with the YAML 1.1 prefix 0b."""
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in "+-" else text
    value: int | None
    try:
        if digits[:2].lower() in ("0x", "0b", "0o"):
            value = int(digits, 0)
        elif len(digits) > 1 and digits.startswith("0"):
            value = int(digits, 8)
        else:
            value = int(digits) if digits.isascii() and digits.isdigit() else None
    except ValueError:
        return None
    if value is None or not -(2**63) <= sign * value < 2**64:
        return None
    return sign * value
