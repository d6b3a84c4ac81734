"""config.json of a bundle as nvidia-container-runtime reads and writes it (toolkit: ``internal/oci/spec_file.go``).

The program decodes the file into the library's structures and encodes these again, so the file loses what the structures do not know and
what is empty, and gains what they always write. In between the spec is a plain dict that holds what the file gave.
"""

from __future__ import annotations

from typing import Any

from nvsim.toolkit.go_json import RawValue, decode, plain_value
from nvsim.toolkit.oci_schema import Members, members_at, spec_type
from nvsim.toolkit.releases import Version

Spec = dict[str, Any]


def decode_spec(text: str, version: Version, *, strict: bool) -> Spec:
    """The spec that a file's text holds; `strict`: unknown fields are errors. Raises `JsonError` with Go's text."""
    spec: Spec | None = decode(text, spec_type(version), strict=strict)
    return spec or {}


def encode_spec(spec: Spec, version: Version) -> Spec:
    """What is written for a spec."""
    encoded: Spec = _encoded(spec, "Spec", members_at(version))
    return encoded


def _encoded(value: Any, go_type: str, members: Members) -> Any:
    base = go_type.removeprefix("*")
    if base.startswith("[]"):
        item = base.removeprefix("[]")
        return None if value is None else [_encoded(v, item, members) for v in value]
    if base.startswith("map[string]"):
        item = base.removeprefix("map[string]")
        return None if value is None else {k: _encoded(v, item, members) for k, v in value.items()}
    if base in members:
        return _structure(value or {}, base, members)
    if isinstance(value, RawValue):
        return plain_value(value)
    return _ZEROS.get(base, "") if value is None and base == go_type else value


def _structure(value: dict[str, Any], name: str, members: Members) -> dict[str, Any]:
    out = {}
    for member in members[name]:
        have = value.get(member.name)
        pointer = member.type.startswith("*")
        embedded = not pointer and member.type in members
        if member.always or embedded or (have is not None if pointer else have not in _EMPTY):
            out[member.name] = _encoded(have, member.type, members)
    return out


_ZEROS = {
    "bool": False,
    "any": None,
    **dict.fromkeys(("int", "int32", "int64", "uint", "uint16", "uint32", "uint64"), 0),
}
_EMPTY: tuple[Any, ...] = (None, "", 0, [], {})
