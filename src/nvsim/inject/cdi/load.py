"""Reading the text of CDI specs, with the error texts of the library.

The library turns YAML (of which JSON is a part) into JSON and decodes that strictly into Go structs (``pkg/cdi/spec.go`` ParseSpec,
``sigs.k8s.io/yaml``, ``encoding/json``). Only the first YAML document counts. What a *valid* spec is says `nvsim.inject.cdi.validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.inject.cdi.go_numbers import format_number, json_number
from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.spec import CdiSpec, Reasons, spec_from_json
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_text import go_quote

# Go struct name -> JSON field -> Go type. "*" = pointer; a name from this table = nested struct.
_STRUCTS: Mapping[str, Mapping[str, str]] = {
    "Spec": {
        "cdiVersion": "string",
        "kind": "string",
        "annotations": "map[string]string",
        "devices": "[]specs.Device",
        "containerEdits": "specs.ContainerEdits",
    },
    "Device": {"name": "string", "annotations": "map[string]string", "containerEdits": "specs.ContainerEdits"},
    "ContainerEdits": {
        "env": "[]string",
        "deviceNodes": "[]*specs.DeviceNode",
        "netDevices": "[]*specs.LinuxNetDevice",
        "hooks": "[]*specs.Hook",
        "mounts": "[]*specs.Mount",
        "intelRdt": "*specs.IntelRdt",
        "additionalGids": "[]uint32",
    },
    "DeviceNode": {
        "path": "string",
        "hostPath": "string",
        "type": "string",
        "major": "int64",
        "minor": "int64",
        "fileMode": "*fs.FileMode",
        "permissions": "string",
        "uid": "*uint32",
        "gid": "*uint32",
    },
    "Mount": {"hostPath": "string", "containerPath": "string", "options": "[]string", "type": "string"},
    "Hook": {"hookName": "string", "path": "string", "args": "[]string", "env": "[]string", "timeout": "*int"},
    "IntelRdt": {
        "closID": "string",
        "l3CacheSchema": "string",
        "memBwSchema": "string",
        "schemata": "[]string",
        "enableMonitoring": "bool",
        "enableCMT": "bool",
        "enableMBM": "bool",
    },
    "LinuxNetDevice": {"hostInterfaceName": "string", "name": "string"},
}
# The versions of the specification, [since, until), in which a field exists that is not in all of them.
_EXISTS: Mapping[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("DeviceNode", "hostPath"): ((0, 5), (9,)),
    ("Spec", "annotations"): ((0, 6), (9,)),
    ("Device", "annotations"): ((0, 6), (9,)),
    ("ContainerEdits", "intelRdt"): ((0, 7), (9,)),
    ("ContainerEdits", "additionalGids"): ((0, 7), (9,)),
    ("ContainerEdits", "netDevices"): ((1, 1), (9,)),
    ("IntelRdt", "schemata"): ((1, 1), (9,)),
    ("IntelRdt", "enableMonitoring"): ((1, 1), (9,)),
    ("IntelRdt", "enableCMT"): ((0, 7), (1, 1)),
    ("IntelRdt", "enableMBM"): ((0, 7), (1, 1)),
}
_EXPONENT_FROM = 1e21  # JSON numbers from here on have an exponent
_RANGES = {"int64": (-(2**63), 2**63 - 1), "int": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1)}
_RANGES["fs.FileMode"] = _RANGES["uint32"]


def parse_spec(text: str, because: Reasons = (), library: CdiLibrary = NEWEST_LIBRARY) -> CdiSpec | None:
    """The spec in `text`, or None for an empty or null document. Raises `ToolFailure` with the library's text."""
    try:
        plain = _to_plain(text)
    except ToolFailure as e:
        raise e.within("failed to unmarshal CDI Spec: error converting YAML to JSON") from None
    if plain is None:
        return None
    try:
        data = _Decoder(library).decode(plain)
    except ToolFailure as e:
        raise e.within("failed to unmarshal CDI Spec: error unmarshaling JSON: while decoding JSON") from None
    return spec_from_json(data, because)


class _Decoder:
    """Decodes a plain value into the structs above as ``encoding/json`` with DisallowUnknownFields does.

    Every error but the first is forgotten, and decoding goes on after it; keys are visited in sorted order, because the YAML
    step has written the JSON.
    """

    def __init__(self, library: CdiLibrary) -> None:
        self.order = library.order
        self.error: str | None = None
        self.fields: list[str] = []
        self.struct = ""

    def decode(self, value: Any) -> dict[str, Any]:
        out: dict[str, Any] = self._value(value, "specs.Spec", {})
        if self.error is not None:
            raise ToolFailure(f"json: {self.error}")
        return out

    def _fail(self, text: str) -> None:
        if self.error is None:
            self.error = text

    def _mismatch(self, what: str, go_type: str) -> None:
        where = "value"
        if self.struct:
            where = f"struct field {self.struct}.{'.'.join(self.fields)}"
        self._fail(f"cannot unmarshal {what} into Go {where} of type {go_type}")

    def _value(self, value: Any, go_type: str, before: Any) -> Any:
        """What a field holds that held `before`: a key can come twice, in another case, and is then decoded over what is there."""
        base = go_type.lstrip("*")
        if value is None:
            return None if base != go_type or base.startswith(("[]", "map[")) else before
        if base.startswith("[]"):
            return self._list(value, base, before or [])
        if base.startswith("map["):
            return self._map(value, base, before or {})
        struct = base.removeprefix("specs.")
        if struct in _STRUCTS:
            return self._struct(value, struct, base, before or {})
        return self._scalar(value, base, before)

    def _list(self, value: Any, go_type: str, before: list[Any]) -> Any:
        if not isinstance(value, list):
            self._mismatch(_json_kind(value), go_type)
            return None
        element = go_type[2:]
        zero = {} if element.startswith("specs.") else None if element.startswith("*") else _zero(element)
        older = [*before, *(zero for _ in value)]
        items = [self._value(item, element, old) for item, old in zip(value, older, strict=False)]
        return [item for item in items if item is not None]

    def _map(self, value: Any, go_type: str, before: dict[str, Any]) -> Any:
        if not isinstance(value, dict):
            self._mismatch(_json_kind(value), go_type)
            return None
        return {**before, **{k: self._value(value[k], go_type.rpartition("]")[2], "") for k in sorted(value)}}

    def _struct(self, value: Any, struct: str, go_type: str, before: dict[str, Any]) -> Any:
        if not isinstance(value, dict):
            self._mismatch(_json_kind(value), go_type)
            return None
        out = dict(before)
        outer = (self.struct, list(self.fields))
        for key in sorted(value):
            name = field_name(_STRUCTS[struct], key)
            if name is None or not self._exists(struct, name):
                self._fail(f"unknown field {go_quote(key)}")
                continue
            self.struct, self.fields = struct, [*outer[1], name]
            out[name] = self._value(value[key], _STRUCTS[struct][name], out.get(name))
            self.struct, self.fields = outer[0], list(outer[1])
        return out

    def _exists(self, struct: str, name: str) -> bool:
        since, until = _EXISTS.get((struct, name), ((0,), (9,)))
        return since <= self.order < until

    def _scalar(self, value: Any, go_type: str, zero: Any) -> Any:
        if go_type == "string":
            if isinstance(value, str):
                return value
        elif go_type == "bool":
            if isinstance(value, bool):
                return value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = _RANGES[go_type]
            if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM:
                value = int(value)  # the YAML step writes it to JSON without a fraction
            if isinstance(value, int) and low <= value <= high:
                return value
            self._mismatch(f"number {json_number(value)}", go_type)
            return zero
        self._mismatch(_json_kind(value), go_type)
        return zero


def field_name(fields: Mapping[str, str], key: str) -> str | None:
    """The field that Go's JSON decoder takes for `key`: the same name, else the first that is equal when case is ignored."""
    if key in fields:
        return key
    folded = key.casefold()
    return next((name for name in fields if name.casefold() == folded), None)


def _zero(go_type: str) -> Any:
    return {"string": "", "bool": False}.get(go_type, 0)


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _to_plain(text: str) -> Any:
    """The first document of `text` as dicts, lists and scalars, numbers and booleans turned to text where a string is wanted."""
    from nvsim.inject.cdi.yaml import first_document

    return _coerce(first_document(text), "specs.Spec")


def _coerce(value: Any, go_type: str | None) -> Any:
    base = (go_type or "").lstrip("*")
    if isinstance(value, dict):
        fields = _STRUCTS.get(base.removeprefix("specs."))
        out = {}
        for key, item in value.items():
            inner = None
            if fields is not None:
                name = field_name(fields, key)
                inner = None if name is None else fields[name]
            elif base.startswith("map["):
                inner = base.rpartition("]")[2]
            out[key] = _coerce(item, inner)
        return out
    if isinstance(value, list):
        element = base[2:] if base.startswith("[]") else None
        return [_coerce(item, element) for item in value]
    if base == "string":
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return format_number(value)
    return value
