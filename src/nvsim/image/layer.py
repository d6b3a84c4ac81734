"""One layer of an image: a tar stream to an index of what is in it, which is read once per content and then comes from the cache.

The index is JSON: ``tree`` with entries as in ``nvsim-tree/1`` whose paths are as the layer names them (their directories may be links in
lower layers), ``whiteouts`` and ``opaque`` (OCI image-spec ``layer.md``). Laying layers over each other is `nvsim.image.stack`.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from typing import IO, Any

from nvsim.elf.facts import ElfFacts
from nvsim.elf.reader import read_elf
from nvsim.elf.store import FactsStore, is_program_name
from nvsim.elf.terms import HEAD, MAGIC
from nvsim.errors import InputError
from nvsim.image.stream import ForwardStream, members, open_stream, sound
from nvsim.rootfs.content import TEXT_LIMIT, content_of, read_content
from nvsim.rootfs.node import FileFacts
from nvsim.rootfs.treefile import facts_to_json

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
_IN_MEMORY = 16 << 20  # a larger binary is read from a temporary file
_INDEXED_TEXT = 64 << 10  # longer texts are read when they are asked for
_MOST = 10_000_000  # members of one layer
_SPECIAL = {tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}
_VERSION = 1

Index = dict[str, Any]


def layer_index(
    diff_id: str | None, open_layer: Callable[[], IO[bytes]], source: str, store: FactsStore
) -> tuple[Index, str]:
    """The index of a layer and its diff id (``sha256:`` of the uncompressed stream), from the cache or read now.

    Raises `InputError` for a broken layer, or one whose content is not what `diff_id` says.
    """
    if diff_id is not None:
        known = _from_cache(store, diff_id)
        if known is not None:
            return known, diff_id
    with open_layer() as raw, sound(source):
        stream = open_stream(raw, source)
        index = _read(stream, source)
        found = f"sha256:{stream.drain()}"
    if diff_id is not None and found != diff_id:
        raise InputError(f"is damaged: its content is {found}, the image config says {diff_id}", source=source)
    store.keep_blob(_key(found), zlib.compress(json.dumps(index).encode(), 1))
    # what is read now and what comes from the cache later are the same values
    again: Index = json.loads(json.dumps(index))
    return again, found


def _key(diff_id: str) -> str:
    return f"layer{_VERSION}-{diff_id.removeprefix('sha256:')}"


def _from_cache(store: FactsStore, diff_id: str) -> Index | None:
    data = store.find_blob(_key(diff_id))
    if data is None:
        return None
    try:
        index: Index = json.loads(zlib.decompress(data))
    except (ValueError, zlib.error):
        return None
    return index


def read_member(open_layer: Callable[[], IO[bytes]], number: int, source: str, *, symbols: bool = False) -> FileFacts:
    """What the index does not hold of the file that is member `number` of a layer: its text, or with `symbols` the facts of a binary with
    its symbols. Reads the layer up to there."""
    with open_layer() as raw, sound(source):
        for at, (member, content) in enumerate(members(open_stream(raw, source), source)):
            if at == number and content is not None:
                if symbols:
                    return FileFacts(elf=_with_symbols(content, member.size))
                return content_of(content.read(min(member.size, TEXT_LIMIT)), False)
    return FileFacts()


def _with_symbols(content: IO[bytes], size: int) -> ElfFacts | None:
    if size <= _IN_MEMORY:
        return read_elf(content.read(size))
    with tempfile.TemporaryFile() as file:
        _copy(content, file)
        return read_elf(file.fileno())


def member_path(name: str, source: str) -> str:
    """The canonical path of a member. Raises `InputError` for one that leads out of the image, as container engines refuse it."""
    path = posixpath.normpath("/" + name.lstrip("/"))
    depth = 0
    for part in name.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            raise InputError("names a path outside of the image", source=source, position=name)
    return path


def _read(stream: ForwardStream, source: str) -> Index:
    tree: dict[str, dict[str, Any]] = {}
    whiteouts: list[str] = []
    opaque: list[str] = []
    for number, (member, content) in enumerate(members(stream, source)):
        if number >= _MOST:
            raise InputError(f"has more than {_MOST} members", source=source)
        path = member_path(member.name, source)
        directory, name = posixpath.split(path)
        tree.pop(path, None)  # of several members with one name the last one counts, in its place
        if name == OPAQUE:
            opaque.append(directory)
        elif name.startswith(WHITEOUT + WHITEOUT):
            continue  # what aufs keeps for itself
        elif name.startswith(WHITEOUT):
            whiteouts.append(posixpath.join(directory, name.removeprefix(WHITEOUT)))
        elif member.islnk():
            of = member_path(member.linkname, source)
            tree[path] = tree[of] if tree.get(of, {}).get("type") == "file" else {"type": "hardlink", "of": of}
        else:
            entry = _entry(member, content, name, path)
            if entry is not None:
                tree[path] = {**entry, "ino": number} if entry["type"] == "file" else entry
    return {"tree": tree, "whiteouts": whiteouts, "opaque": opaque}


def _entry(member: tarfile.TarInfo, content: IO[bytes] | None, name: str, path: str) -> dict[str, Any] | None:
    out: dict[str, Any] = {"type": "file", "size": member.size, "mode": f"{member.mode & 0o7777:04o}"}
    if member.uid:
        out["uid"] = member.uid
    if member.gid:
        out["gid"] = member.gid
    if content is not None:
        _content(member, content, name, path, out)
        return out
    del out["size"]
    if member.isdir():
        return {**out, "type": "dir"}
    if member.issym():
        return {**out, "type": "symlink", "target": member.linkname}
    kind = _SPECIAL.get(member.type)
    if kind is None:
        return None  # a kind of member that no file system has
    if kind != "fifo":
        out["rdev"] = f"{member.devmajor}:{member.devminor}"
    return {**out, "type": kind}


def _content(member: tarfile.TarInfo, content: IO[bytes], name: str, path: str, out: dict[str, Any]) -> None:
    """What the index holds of a file: facts of binaries, texts that decide something; ``later`` for what may be asked for later."""
    if member.issparse() and member.size > _IN_MEMORY:
        return
    head = content.read(min(member.size, HEAD))
    if head.startswith(MAGIC):
        program = is_program_name(name)
        if member.size <= _IN_MEMORY:
            facts = content_of(head + content.read(member.size - len(head)), program)
        else:
            facts = _spooled(head, content, member.size, program)
        facts_to_json(facts, out)
    elif path == "/etc/ld.so.cache" or (b"\0" not in head and member.size <= _INDEXED_TEXT and _decides(head, path)):
        if member.size <= _IN_MEMORY:
            facts_to_json(content_of(head + content.read(member.size - len(head)), False), out)
    elif b"\0" not in head and member.size <= TEXT_LIMIT:
        out["later"] = True


def _decides(head: bytes, path: str) -> bool:
    """Whether a text is of those that loaders, hooks and programs read: scripts, configuration, and what is named like a library (linker
    scripts), which every ldconfig opens."""
    named = path.endswith((".conf", ".path")) or ".so" in posixpath.basename(path)
    return named or head.startswith(b"#!") or path.startswith("/etc/")


def _spooled(head: bytes, content: IO[bytes], size: int, program: bool) -> FileFacts:
    with tempfile.TemporaryFile() as file:
        file.write(head)
        _copy(content, file)
        return read_content(file.fileno(), size, program)


def _copy(content: IO[bytes], file: IO[bytes]) -> None:
    while part := content.read(1 << 20):
        file.write(part)
    file.flush()
