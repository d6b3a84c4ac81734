"""Finding the file for a name: the sections of a search and the candidates of each list (``elf/dl-load.c``, ``_dl_map_object``,
``open_path``, ``open_verify``).

Path lists as text are `nvsim.loader.glibc.paths`, the checks of an opened file `nvsim.loader.glibc.verify`. What becomes of the file is
`nvsim.loader.glibc.linkmap`.
"""

from __future__ import annotations

from attrs import define, field

from nvsim.loader.access import may_read
from nvsim.loader.glibc import cache_lookup, verify
from nvsim.loader.glibc.paths import directory_prefix, expand, has_token, normalise, split_path
from nvsim.loader.glibc.state import ERRNO_TEXT, LoadError, Object, Process
from nvsim.loader.outcome import Candidate
from nvsim.rootfs.node import Directory, File, Node
from nvsim.rootfs.resolve import PathError

Found = tuple[File, str, str]
"""A file that may be the library, its canonical path, and the path it was opened by."""


@define(eq=False)
class Hunt:
    """One search for `name`: what was considered (`seen`) and the texts of files of the other class (`other`).

    `need_setuid`: only set-uid files count, as for preloads with AT_SECURE.
    """

    name: str
    need_setuid: bool = False
    seen: list[Candidate] = field(factory=list)
    other: list[str] = field(factory=list)


def expand_for(process: Process, text: str, obj: Object) -> str | None:
    """`text` with its tokens replaced for `obj`; None when the element is dropped."""
    out = expand(text, obj.origin, process.facts.lib_token, process.platform, secure=process.secure)
    if out is not None and process.secure and obj is process.main and "ORIGIN" in text and has_token(text):
        normal = normalise(out)
        if not any(normal == d or normal.startswith(d + "/") for d in process.facts.system_dirs):
            return None
    return out


def find(process: Process, hunt: Hunt, requester: Object | None, *, preload: bool = False) -> Found:
    """Section by section as ``_dl_map_object`` does. Raises `LoadError` when nothing acceptable is found."""
    hunt.need_setuid = restricted = preload and process.secure
    main = process.map[0] if process.map else None
    hit = None
    process.errno = None
    if requester is None or requester.elf.runpath is None:
        obj, did_main = requester, False
        while obj is not None and hit is None:
            hit = _rpath(process, hunt, obj)
            did_main = did_main or obj is main
            obj = obj.loader
        if hit is None and not did_main and main is not None:
            hit = _rpath(process, hunt, main)
    library_path = None if process.secure else process.env.get("LD_LIBRARY_PATH")
    if hit is None and library_path and main is not None:
        dirs = _directories(process, "env", library_path, ":;", main)
        hit = _walk_list(process, hunt, "env", dirs, "ld_library_path", "env LD_LIBRARY_PATH")
    if hit is None and requester is not None and requester.elf.runpath:
        key = f"runpath:{id(requester)}"
        dirs = _directories(process, key, requester.elf.runpath, ":", requester)
        hit = _walk_list(process, hunt, key, dirs, "runpath", f"RUNPATH of {process.label(requester)}")
    asking = requester or main
    nodeflib = bool(asking is not None and asking.elf.flags_1 & verify.DF_1_NODEFLIB)
    if hit is None and not restricted:
        hit = _from_cache(process, hunt, nodeflib)
    if hit is None and not nodeflib:
        dirs = [(directory_prefix(d), d) for d in process.facts.system_dirs]
        by = f"built into the loader (glibc {process.facts.version})"
        hit = _walk_list(process, hunt, "system", dirs, "default", by)
    if hit is not None:
        return hit
    raise _nothing(process, hunt)


def open_by_path(process: Process, hunt: Hunt, requester: Object | None) -> Found:
    """A name with a slash: that file or none. Raises `LoadError`."""
    path: str | None = hunt.name
    if has_token(hunt.name):
        path = expand_for(process, hunt.name, requester or process.main)
    if not path:
        raise LoadError(hunt.name, "empty dynamic string token substitution")
    process.errno = None
    hit = _candidate(process, hunt, "name", path, "the name itself")
    if hit is None:
        raise _nothing(process, hunt)
    return hit


def _nothing(process: Process, hunt: Hunt) -> LoadError:
    if hunt.other:
        return LoadError(hunt.name, hunt.other[-1])
    return LoadError(hunt.name, "cannot open shared object file", process.errno)


def _rpath(process: Process, hunt: Hunt, obj: Object) -> Found | None:
    if not obj.elf.rpath or obj.elf.runpath is not None:
        return None
    key = f"rpath:{id(obj)}"
    dirs = _directories(process, key, obj.elf.rpath, ":", obj)
    return _walk_list(process, hunt, key, dirs, "rpath", f"RPATH of {process.label(obj)}")


def _directories(process: Process, key: str, text: str, separators: str, obj: Object) -> list[tuple[str, str]]:
    """(prefix, element as written) of a path list, equal prefixes once; memoised under `key`."""
    known = process.lists.get(key)
    if known is None:
        known = []
        prefixes: set[str] = set()
        for element in split_path(text, separators):
            expanded = expand_for(process, element, obj) if element else ""
            if expanded is None:
                continue
            prefix = directory_prefix(expanded)
            if prefix not in prefixes:
                prefixes.add(prefix)
                known.append((prefix, element))
        process.lists[key] = known
    return known


def _walk_list(
    process: Process, hunt: Hunt, key: str, directories: list[tuple[str, str]], stage: str, set_by: str
) -> Found | None:
    """One path list (``open_path``). None: go on with the next section. Raises `LoadError` at a fatal candidate."""
    if key in process.dead_lists:
        return None
    any_exists = False
    for prefix, _element in directories:
        here = False
        for cap in process.caps:
            directory = prefix + cap
            exists = process.known.get(directory) if directory.startswith("/") else True
            if exists is False:
                continue
            hit = _candidate(process, hunt, stage, directory + hunt.name, set_by)
            if hit is not None:
                process.known[directory] = True
                return hit
            if exists is None:
                exists = process.known[directory] = _exists(process, directory)
            here = here or exists
        passed = ("ENOENT", "EACCES", "ENOTDIR") if process.rules.enotdir_continues else ("ENOENT", "EACCES")
        if here and process.errno not in passed:
            return None
        any_exists = any_exists or here
    if not any_exists and key != "system":
        process.dead_lists.add(key)
    return None


def _exists(process: Process, directory: str) -> bool:
    """stat of a search directory, as ``open_path`` makes it after a first miss."""
    if directory == "/" and not process.rules.root_searched:
        process.errno = "ENOENT"
        return False
    found = process.resolver.resolve(directory.rstrip("/") or "/", cwd=process.image.cwd)
    if isinstance(found, PathError):
        process.errno = found.errno
        return False
    return isinstance(found.node, Directory)


def _from_cache(process: Process, hunt: Hunt, nodeflib: bool) -> Found | None:
    if not process.cache_read:
        _read_cache(process)
    entry = cache_lookup.lookup(process.cache, hunt.name, process.rules, process.view) if process.cache else None
    if entry is None:
        return None
    by = str(process.facts.cache)
    if nodeflib and any(entry.path.startswith(directory_prefix(d)) for d in process.facts.system_dirs):
        why = "skipped: a default directory, and DF_1_NODEFLIB is set"
        hunt.seen.append(Candidate("cache", entry.path, by, why))
        return None
    return _candidate(process, hunt, "cache", entry.path, by)


def _read_cache(process: Process) -> None:
    process.cache_read = True
    if process.facts.cache is None:
        process.errno = "ENOENT"
        return
    opened = _open(process, process.facts.cache)
    if opened is not None and isinstance(opened[0], File):
        process.cache = opened[0].facts.ldcache


def _candidate(process: Process, hunt: Hunt, stage: str, path: str, set_by: str) -> Found | None:
    """Open and verify one candidate and record what came of it. Raises `LoadError` when it ends the search."""
    opened = _open(process, path)
    if opened is None:
        errno = process.errno or ""
        missing = errno in ("ENOENT", "ENOTDIR")
        result = "missing" if missing else f"skipped: {ERRNO_TEXT.get(errno, errno)}"
        hunt.seen.append(Candidate(stage, path, set_by, result, process.errno))
        return None
    node, where = opened
    verdict, text, errno_name = verify.verify(node, process.image.elf, process.rules, process.kernel)
    if verdict == verify.FATAL:
        hunt.seen.append(Candidate(stage, path, set_by, f"fatal: {text}", errno_name))
        raise LoadError(path, text, errno_name)
    if verdict == verify.ACCEPT:
        assert isinstance(node, File)
        if not hunt.need_setuid or node.mode & 0o4000:
            process.errno = None
            hunt.seen.append(Candidate(stage, path, set_by, "hit"))
            return node, where, path
        text = "no set-uid bit"
    elif verdict == verify.OTHER_CLASS:
        hunt.other.append(text)
    process.errno = "ENOENT"
    hunt.seen.append(Candidate(stage, path, set_by, f"skipped: {text}", process.errno))
    return None


def _open(process: Process, path: str) -> tuple[Node, str] | None:
    """The node at `path`, opened for reading; None with the process's `errno` set."""
    found = process.resolver.resolve(path, cwd=process.image.cwd)
    if isinstance(found, PathError):
        process.errno = found.errno
        return None
    if isinstance(found.node, File) and not may_read(found.node, process.image.uid, process.image.gid):
        process.errno = "EACCES"
        return None
    return found.node, found.path
