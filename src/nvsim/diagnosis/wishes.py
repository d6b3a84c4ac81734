"""Which libraries a file may dlopen, as far as its bytes tell: ``.note.dlopen`` metadata, and names of libraries among its strings.

The metadata is that of systemd's ELF dlopen specification (a note of owner FDO, type 0x407c0c0a, JSON); a string is only a hint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from nvsim.diagnosis.linkage import Linkage
from nvsim.frozen import evolve, frozen
from nvsim.loader.outcome import Cpu, DlopenCall, Machine, ProcessRequest
from nvsim.loader.process import start
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

_OWNER = b"FDO\0"
_TYPE = 0x407C0C0A
_NAME = re.compile(rb"(?<![\w./+-])(lib[A-Za-z0-9_+.-]{1,60}?\.so(?:\.[0-9]{1,6}){0,4})(?=\0)")


@frozen
class Wish:
    """A library that a file may dlopen. `source`: note (metadata) or string; then what the metadata tells. `path`: where a dlopen by
    the file would find it (None: nowhere, or not asked)."""

    name: str
    source: str
    priority: str = ""
    feature: str = ""
    description: str = ""
    path: str | None = None


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


def wishes_of(
    tree: Tree, found: Linkage, env: Mapping[str, str], cpu: Cpu | None, read: Callable[[str], bytes] | None = None
) -> dict[str, tuple[Wish, ...]]:
    """What each file that a program loads may dlopen beside what it needs, by file, and where a dlopen by that file would find it.

    `read` gives the bytes of a file by its canonical path; without it, the tree's own word (``so_strings``) counts.
    """
    resolver = Resolver(tree)
    out: dict[str, tuple[Wish, ...]] = {}
    for path in dict.fromkeys([found.path, *(i.path for i in found.linked if i.path is not None)]):
        at = resolver.resolve(path)
        if not isinstance(at, Resolved) or not isinstance(at.node, File) or at.node.facts.elf is None:
            continue
        elf = at.node.facts.elf
        told = wishes(read(at.path)) if read is not None else tuple(Wish(n, "string") for n in elf.so_strings)
        told = tuple(w for w in told if w.name not in (*elf.needed, elf.soname))
        if told:
            out[path] = tuple(evolve(w, path=_where(tree, found.path, path, w.name, env, cpu)) for w in told)
    return out


def _where(tree: Tree, program: str, file: str, name: str, env: Mapping[str, str], cpu: Cpu | None) -> str | None:
    """Where a dlopen of `name` by `file` finds it in a process of its own, where no other dlopen was made before."""
    machine = Machine(cpu) if cpu is not None else Machine()
    session = start(tree, ProcessRequest(program, (program,), tuple(env.items())), machine)
    if not session.outcome.started:
        return None
    result = session.dlopen(DlopenCall(name, 1, "main" if file == program else file))
    return result.path if result.ok else None
