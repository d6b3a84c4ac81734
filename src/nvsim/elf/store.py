"""Where the facts of real files are kept: for one process by file identity, and on disk for the next one.

A file is identified by device, inode, size, mtime and ctime, as ``make`` and ``ldconfig -i`` trust them, with one more rule: what was
changed less than `SETTLED` seconds before it was read is not kept, because a second change might not show in its times.
Facts are kept only for the code that read them: records carry a fingerprint of this package and of the modules that decide what is
read of a file, and another one starts anew. Which files are looked at, and when, is for the trees to say (`nvsim.rootfs.directory`,
`nvsim.image.layer`).
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nvsim.elf.facts import (
    ElfFacts,
    LdconfigFacts,
    LoaderFacts,
    VersionNeed,
    ldconfig_from_json,
    loader_from_json,
    program_facts_to_json,
)
from nvsim.elf.segments import SUFFIX, add_records, open_segments
from nvsim.errors import InputError
from nvsim.frozen import fields, frozen

SETTLED = 2.0  # seconds
LIMIT = 256 << 20  # bytes on disk
MOST_IN_MEMORY = 100_000  # files of which facts are kept for one process
_DEFAULTS = {name: getattr(ElfFacts(), name) for name in (a.name for a in fields(ElfFacts)) if name != "verneed"}
_LISTS = {name for name, value in _DEFAULTS.items() if isinstance(value, tuple)} | {"undef", "undef_lazy"}
_IDENTITY = struct.Struct(">QQQqqc")
_BLOB_PREFIX = "blob-"
_PARTS = ("ldcache.py", "rootfs/content.py", "rootfs/treefile.py", "image/layer.py")  # beside this package

Identity = tuple[int, int, int, int, int]


@frozen
class BinaryFacts:
    """What is kept of one binary file: its ELF facts and, when it was looked at as such, what is built into a loader or ldconfig."""

    elf: ElfFacts | None
    loader: LoaderFacts | None = None
    ldconfig: LdconfigFacts | None = None


def identity_of(st: os.stat_result) -> Identity:
    """The identity of a file: device, inode, size, mtime and ctime in ns."""
    return (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)


def is_program_name(name: str) -> bool:
    """Whether a binary of this name is asked if it is a loader or ldconfig, which takes all its bytes."""
    return name.startswith(("ld-", "ld.", "ld64", "libc.musl", "ldconfig")) or name == "libc.so"


class FactsStore:
    """Facts by file identity. Without a folder they live as long as the object; with one, `close` keeps them for later processes.

    Use it as a context manager, or call `close`. The folder need not exist and need not be writable.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, clock: Callable[[], float] = time.time):
        self.folder = None if folder is None else os.fspath(folder)
        self._facts: dict[bytes, BinaryFacts] = {}
        self._new: dict[bytes, bytes] = {}
        self._clock = clock
        self._version = "" if folder is None else fingerprint()
        self._disk = None if self.folder is None else open_segments(self.folder, family(self._version))

    def find(self, identity: Identity, *, program: bool = False) -> BinaryFacts | None:
        """The facts of the file with this identity, None when they are not known.

        With `program` the file was also asked whether it is a loader or ldconfig; the two kinds of answers are kept apart.
        """
        key = _IDENTITY.pack(*identity, b"p" if program else b"e")
        facts = self._facts.get(key)
        if facts is None and self._disk is not None:
            value = self._disk.get(key)
            if value is not None:
                facts = _decode(value)
                if facts is not None:
                    self._facts[key] = facts
        return facts

    def keep(self, identity: Identity, facts: BinaryFacts, *, program: bool = False) -> None:
        """Keep the facts that were read of the file with this identity, unless it changed just now."""
        if max(identity[3:]) / 1e9 + SETTLED >= self._clock():
            return
        key = _IDENTITY.pack(*identity, b"p" if program else b"e")
        if len(self._facts) >= MOST_IN_MEMORY:
            self._facts.clear()
        self._facts[key] = facts
        if self._disk is not None:
            self._new[key] = _encode(facts)

    def find_blob(self, key: str) -> bytes | None:
        """A larger piece of derived data, kept under a key that names what it was made of (a layer's digest); None if it is not there."""
        path = self._blob_path(key)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)  # the least used are dropped first
        return _checked(data)

    def keep_blob(self, key: str, data: bytes) -> None:
        """Keep data for later processes; does nothing without a writable folder."""
        path = self._blob_path(key)
        if path is None:
            return
        part = f"{path}.{os.getpid()}.part"
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(part, "wb") as file:
                file.write(struct.pack("<I", zlib.crc32(data)))
                file.write(data)
            os.replace(part, path)
        except OSError:
            return

    def _blob_path(self, key: str) -> str | None:
        if self.folder is None:
            return None
        assert key.replace("-", "").isalnum(), key
        return os.path.join(self.folder, f"{_BLOB_PREFIX}{self._version}-{key}{SUFFIX}")

    def close(self) -> None:
        """Write what is new to disk and bound what is there. Never raises for a folder that cannot be written."""
        if self._disk is not None and self._new:
            add_records(self._disk, self._new, LIMIT)
            _bound(self._disk.folder, LIMIT)
            self._new = {}

    def __enter__(self) -> FactsStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cache_folder(environ: Mapping[str, str]) -> str | None:
    """The folder of the cache on disk; None when ``NVSIM_NO_CACHE`` is set or there is no home (XDG base directory specification)."""
    if environ.get("NVSIM_NO_CACHE"):
        return None
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return os.path.join(base, "nvsim")


def cache_files(folder: str) -> list[tuple[str, int, float]]:
    """(path, size, time of last use) of every file of the cache, of any version."""
    out = []
    try:
        for entry in os.scandir(folder):
            if entry.name.startswith(("elf-", _BLOB_PREFIX)) and entry.is_file(follow_symlinks=False):
                st = entry.stat(follow_symlinks=False)
                out.append((entry.path, st.st_size, st.st_mtime))
    except OSError:
        pass
    return out


def _bound(folder: str, limit: int) -> None:
    """Remove the files that were used least recently until `limit` bytes are left."""
    files = sorted(cache_files(folder), key=lambda f: -f[2])
    total = 0
    for path, size, _ in files:
        total += size
        if total > limit:
            try:
                os.unlink(path)
            except OSError:
                return


def family(version: str) -> str:
    return f"elf-{version}-"


def fingerprint() -> str:
    """Eight hex digits that change whenever a module does that has a part in the facts."""
    here = os.path.dirname(__file__)
    others = [os.path.join(os.path.dirname(here), name) for name in _PARTS]
    try:
        paths = sorted(e.path for e in os.scandir(here) if e.name.endswith(".py"))
        rows = [(p[len(here) :], st.st_size, st.st_mtime_ns) for p in (*paths, *others) if (st := os.stat(p))]
    except OSError:  # read from a zip archive: what is kept is for nobody else
        return os.urandom(4).hex()
    return f"{zlib.crc32(repr(rows).encode()):08x}"


def _checked(data: bytes) -> bytes | None:
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != zlib.crc32(data[4:]):
        return None
    return data[4:]


def _encode(facts: BinaryFacts) -> bytes:
    out: dict[str, Any] = {}
    if facts.elf is not None:
        out["elf"] = _elf_fields(facts.elf)
    if facts.loader is not None:
        out["loader"] = program_facts_to_json(facts.loader)
    if facts.ldconfig is not None:
        out["ldconfig"] = program_facts_to_json(facts.ldconfig)
    return json.dumps(out, separators=(",", ":")).encode()


def _elf_fields(elf: ElfFacts) -> dict[str, Any]:
    """The fields that have not their default. (``nvsim-tree/1`` joins two needs of one file, so its form will not do here.)"""
    out: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(elf, name)
        if value != default:
            out[name] = sorted(value) if isinstance(value, frozenset) else value
    if elf.verneed:
        out["verneed"] = [(n.file, n.versions, sorted(n.weak)) for n in elf.verneed]
    return out


def _decode(value: bytes) -> BinaryFacts | None:
    """What `_encode` wrote; None for anything else."""
    try:
        data = json.loads(value)
        return BinaryFacts(
            _elf_of_fields(data["elf"]) if "elf" in data else None,
            loader_from_json(data["loader"]) if "loader" in data else None,
            ldconfig_from_json(data["ldconfig"]) if "ldconfig" in data else None,
        )
    except (InputError, ValueError, TypeError, KeyError):
        return None


def _elf_of_fields(given: dict[str, Any]) -> ElfFacts:
    for name in _LISTS & given.keys():
        given[name] = tuple(given[name])
    if "verneed" in given:
        given["verneed"] = tuple([VersionNeed(f, tuple(v), frozenset(w)) for f, v, w in given["verneed"]])
    if "defs" in given:
        given["defs"] = frozenset(given["defs"])
    return ElfFacts(**given)
