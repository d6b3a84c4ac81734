"""JSON data files: read with errors that say file and line, found by name in a folder, and the parts that data files share.

Shared parts are the base sets of C library files (``nvsim-libc/1``, ``data/libcs``) and tree entries whose paths lead through
links of the same tree. What a host profile or an image file means is told by `nvsim.host` and `nvsim.image`.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError, did_you_mean
from nvsim.rootfs.resolve import MAX_LINKS

LIBC_FORMAT = "nvsim-libc/1"
FilePath = str | os.PathLike[str]  # pathlib takes as long to load as ten modules of these


def read_json(path: FilePath, *, unique: bool = False) -> Any:
    """The content of a JSON file, plain or gzip-compressed. Raises `InputError` with file, line and column.

    `unique`: a key that stands twice in an object is refused too, for files that people write.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=str(path)) from None
    if raw.startswith(b"\x1f\x8b"):
        import gzip

        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as e:
            raise InputError(f"is a broken gzip file: {e}", source=str(path)) from None
    return parse_json(raw, str(path), unique=unique)


def parse_json(raw: bytes, source: str, *, unique: bool = False) -> Any:
    """The value of JSON text. Raises `InputError` naming `source`, line and column."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for at, name in enumerate(names) if name in names[:at])
            raise InputError(f"bad JSON: the key {twice!r} stands twice in one object", source=source)
        return made

    try:
        return json.loads(raw, object_pairs_hook=once if unique else None)
    except json.JSONDecodeError as e:
        raise InputError(f"bad JSON: {e.msg}", source=source, position=f"{e.lineno}:{e.colno}") from None
    except UnicodeDecodeError:
        raise InputError("is no text file", source=source) from None
    except RecursionError:
        raise InputError("bad JSON: nested too deeply", source=source) from None


def read_object(path: FilePath, *formats: str, unique: bool = False) -> dict[str, Any]:
    """The object in a JSON file whose ``format`` is one of `formats`. Raises `InputError`; `unique` as with `read_json`."""
    data = read_json(path, unique=unique)
    if not isinstance(data, dict):
        raise InputError("must hold a JSON object", source=str(path))
    if data.get("format") not in formats:
        hint = f"expected {' or '.join(formats)}"
        raise InputError(f"format is {data.get('format')!r}", source=str(path), position="format", hint=hint)
    return data


def names_in(folder: FilePath) -> tuple[str, ...]:
    """The names of the data files in a folder, sorted."""
    return tuple(sorted(name.removesuffix(".json") for name in os.listdir(folder) if name.endswith(".json")))


def find_named(folder: FilePath, name: str, kind: str) -> str:
    """The data file NAME.json of a folder. Raises `InputError` with near names."""
    known = names_in(folder)
    if name not in known:
        raise InputError(f"unknown {kind} {name!r}", hint=did_you_mean(name, known))
    return os.path.join(folder, f"{name}.json")


def read_libc(name: str, data: FilePath) -> dict[str, Any]:
    """The ``nvsim-libc/1`` file `name`: keys ``libc`` (flavour, version, interp), ``tree``, ``sources``, ``uncertain``."""
    return read_object(find_named(os.path.join(data, "libcs"), name, "libc"), LIBC_FORMAT)


def canonical_entries(entries: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The same tree entries with every path's directory part resolved through the symlink entries among them.

    ``/lib/x`` becomes ``/usr/lib/x`` when ``/lib`` is a symlink to ``usr/lib``. Of two entries for one place the later one wins, but a
    directory entry never replaces a link. Raises `InputError` for a loop of links and for a path that is not absolute.
    """
    links = {p: e.get("target") for p, e in entries.items() if isinstance(e, Mapping) and e.get("type") == "symlink"}
    known: dict[str, str] = {"": ""}
    out: dict[str, Any] = {}
    for path, entry in entries.items():
        if not path.startswith("/"):
            raise InputError(f"{path!r} is not a canonical absolute path", source=source)
        head, _, last = path.rpartition("/")
        real = f"{_real_directory(head, links, known, source)}/{last}"
        if real in out and isinstance(entry, Mapping) and entry.get("type") == "dir":
            continue
        out[real] = entry
    return out


def _real_directory(path: str, links: Mapping[str, Any], known: dict[str, str], source: str) -> str:
    """`path` (no trailing slash, "" = root) with all its components resolved through `links`."""
    done = known.get(path)
    if done is not None:
        return done
    todo, at, followed = path.split("/")[1:][::-1], "", 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            at = at.rpartition("/")[0]
            continue
        step = f"{at}/{part}"
        target = links.get(step)
        if not isinstance(target, str):
            at = step
            continue
        followed += 1
        if followed > MAX_LINKS:
            raise InputError("too many levels of symbolic links", source=source, position=path)
        if target.startswith("/"):
            at = ""
        todo.extend(target.split("/")[::-1])
    known[path] = at
    return at
