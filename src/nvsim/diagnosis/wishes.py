"""Which libraries a file may dlopen, as far as its bytes tell: ``.note.dlopen`` metadata, and names of libraries among its strings.

The metadata is that of systemd's ELF dlopen specification (a note of owner FDO, type 0x407c0c0a, JSON); a string is only a hint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from attrs import frozen

_OWNER = b"FDO\0"
_TYPE = 0x407C0C0A
_NAME = re.compile(rb"(?<![\w./+-])(lib[A-Za-z0-9_+.-]{1,60}?\.so(?:\.[0-9]{1,6}){0,4})(?=\0)")


@frozen(slots=True)
class Wish:
    """A library that a file may dlopen. `source`: note (metadata) or string; the rest is what the metadata tells."""

    name: str
    source: str
    priority: str = ""
    feature: str = ""
    description: str = ""


def wishes(data: bytes) -> tuple[Wish, ...]:
    """Every wish in the bytes of a file: first those of its metadata, then other names, sorted."""
    told = list(_of_notes(data))
    known = {w.name for w in told}
    names = {m.decode("ascii") for m in _NAME.findall(data)} - known
    return (*told, *(Wish(n, "string") for n in sorted(names)))


def _of_notes(data: bytes) -> Iterator[Wish]:
    """The notes, found by their owner and type wherever they stand in the file."""
    for order in ("little", "big"):
        kind = _TYPE.to_bytes(4, order)
        at = data.find(kind + _OWNER)
        while at >= 8:
            size = int.from_bytes(data[at - 4 : at], order)
            yield from _of_note(data[at + 8 : at + 8 + min(size, 1 << 16)])
            at = data.find(kind + _OWNER, at + 4)


def _of_note(text: bytes) -> Iterator[Wish]:
    try:
        entries = json.loads(text.rstrip(b"\0"))
    except ValueError:
        return
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("soname"), list):
            words = [str(entry.get(k, "")) for k in ("priority", "feature", "description")]
            for name in entry["soname"]:
                yield Wish(str(name), "note", *words)
