"""Finding the file for a name: the sections of a search and the candidates of each list (``elf/dl-load.c``, ``_dl_map_object``,
``open_path``, ``open_verify``).

The lists are `nvsim.loader.glibc.lists`, the checks of an opened file `nvsim.loader.glibc.verify`. What becomes of the file is
`nvsim.loader.glibc.linkmap`.
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.frozen import define, field
from nvsim.ldcache import LdCache
from nvsim.loader.access import may_read, mount_flags
from nvsim.loader.glibc import cache_lookup, verify
from nvsim.loader.glibc.cache_source import cache_source
from nvsim.loader.glibc.lists import expand_for, rpath_list, runpath_list
from nvsim.loader.glibc.paths import directory_prefix
from nvsim.loader.glibc.state import ERRNO_TEXT, EndError, Found, LoadError, Object, Process, SearchList, keep
from nvsim.loader.outcome import Candidate, SearchedPath
from nvsim.rootfs.node import Directory, File, Node, Special
from nvsim.rootfs.resolve import PathError

_path_value = lru_cache(1 << 12)(SearchedPath)  # equal values of many traces are one object


@define(eq=False)
class Hunt:
    """One search for `name`: the places and files that were considered, and whether a file of the other ELF class was among them.

    `open_exec`: the program itself is wanted. `need_setuid`: only set-uid files count, as for preloads with AT_SECURE.
    """

    name: str
    open_exec: bool = False
    need_setuid: bool = False
    seen: list[Candidate] = field(factory=list)
    paths: list[SearchedPath] = field(factory=list)
    other_class: bool = False


def find(process: Process, hunt: Hunt, requester: Object | None, *, preload: bool = False) -> Found:
    """Section by section as ``_dl_map_object`` does. Raises `LoadError` when nothing acceptable is found."""
    hunt.need_setuid = restricted = preload and process.secure
    hit = _rpaths(process, hunt, requester) if requester is None or requester.elf.runpath is None else None
    if hit is None and process.library_list is not None:
        hit = _walk(process, hunt, process.library_list)
    if hit is None and requester is not None and requester.runpath is not None:
        runpath = runpath_list(process, requester)
        if runpath is not None:
            hit = _walk(process, hunt, runpath)
            if hit is None and _all_absent(runpath):
                requester.runpath = None
    asking = requester or (process.map[0] if process.map else None)
    nodeflib = asking is not None and bool(asking.elf.flags_1 & verify.DF_1_NODEFLIB)
    if hit is None and process.use_cache and not restricted:
        hit = _from_cache(process, hunt, nodeflib)
    if hit is None and not nodeflib and process.system_list is not None:
        hit = _walk(process, hunt, process.system_list)
    if hit is None:
        raise _nothing(process, hunt)
    return hit


def open_by_path(process: Process, hunt: Hunt, requester: Object | None) -> Found:
    """A name with a slash: that file or none. Raises `LoadError`."""
    path = expand_for(process, hunt.name, requester) if requester is not None else hunt.name
    hit = _candidate(process, hunt, "name", path or "", "the name itself")
    if hit is None:
        raise _nothing(process, hunt)
    return hit


def _nothing(process: Process, hunt: Hunt) -> LoadError:
    if hunt.other_class:
        other = 96 - process.image.elf.elf_class
        return LoadError(hunt.name, f"wrong ELF class: ELFCLASS{other}", missing=True)
    return LoadError(hunt.name, "cannot open shared object file", process.errno, missing=True)


def _rpaths(process: Process, hunt: Hunt, requester: Object | None) -> Found | None:
    """DT_RPATH of the requester, of what loaded it, and so on; then that of the main program, if it was not among them."""
    main = process.map[0] if process.map else None
    owner = first = requester or main
    did_main, bare = main is None, True
    while owner is not None and not owner.bare:
        did_main = did_main or owner is main
        rpath = rpath_list(process, owner) if owner.rpath is not None else None
        if rpath is not None:
            hit = _walk(process, hunt, rpath)
            if hit is not None:
                return hit
            if _all_absent(rpath):
                owner.rpath = None
        bare = bare and owner.rpath is None
        owner = owner.loader or (None if did_main else main)
    if first is not None:
        first.bare = bare
    return None


def _all_absent(path_list: SearchList) -> bool:
    """None of its directories exists: the list is forgotten."""
    return not any(directory.left for directory in path_list.directories)


def _walk(process: Process, hunt: Hunt, path_list: SearchList) -> Found | None:
    """One path list (``open_path``). None: go on with the next section. Raises `LoadError` at a fatal candidate."""
    stage, set_by = path_list.stage, path_list.set_by
    passed = ("ENOENT", "EACCES", "ENOTDIR") if process.rules.enotdir_continues else ("ENOENT", "EACCES")
    what: str | None = None
    for at, directory in enumerate(path_list.directories):
        if directory.what != what:
            what = directory.what
            hunt.paths.append(_searched(process, hunt, path_list, at))
        here, unknown, absent = False, directory.unknown, []
        hit: Found | None = None
        for i in directory.left:
            prefix = directory.prefixes[i]
            hit = _candidate(process, hunt, stage, prefix + hunt.name, set_by)
            tried = i not in unknown
            if not tried:
                unknown.discard(i)
            if hit is not None:
                break
            if tried or _exists(process, prefix):
                here = True
            else:
                absent.append(i)
        if absent:
            directory.lack(absent)
            process.learned += 1
        if hit is not None:
            return hit
        if here and process.errno not in passed:
            return None
    return None


def _searched(process: Process, hunt: Hunt, path_list: SearchList, at: int) -> SearchedPath:
    """The directories from number `at` on that one source brought up; made once as long as nothing more is learned of directories."""
    key = at, process.learned, len(hunt.seen)
    known = path_list.searched.get(key)
    if known is None:
        first = path_list.directories[at]
        tried: list[str] = []
        absent: list[str] = []
        for directory in path_list.directories[at:]:
            if directory.what != first.what:
                break
            tried += [directory.shown[n] for n in directory.left]
            absent += directory.absent
        where, set_by = first.where, path_list.set_by
        known = _path_value(len(hunt.seen), first.what, where, set_by, tuple(tried), tuple(absent))
        path_list.searched[key] = known
    return known


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
    hunt.paths.append(_cache_searched(len(hunt.seen), process.facts.cache))
    if not process.cache_read:
        process.cache, process.cache_read = _read_cache(process), True
    if process.cache is None:
        return None
    if process.rules.nohwcap:
        looked = process.resolver.resolve("/etc/ld.so.nohwcap")
        process.errno = looked.errno if isinstance(looked, PathError) else process.errno
    cached = process.shared.cached
    if hunt.name not in cached:
        entry = cache_lookup.lookup(process.cache, hunt.name, process.rules, process.view)
        keep(cached, hunt.name, None if entry is None else (entry.path, cache_source(process, entry.path)))
    taken = cached[hunt.name]
    if taken is None:
        return None
    path, set_by = taken
    if nodeflib and any(path.startswith(directory_prefix(d)) for d in process.facts.system_dirs):
        why = "skipped: a default directory, and DF_1_NODEFLIB is set"
        hunt.seen.append(Candidate("cache", path, set_by, why))
        return None
    return _candidate(process, hunt, "cache", path, set_by)


@lru_cache(1 << 8)
def _cache_searched(at: int, cache: str | None) -> SearchedPath:
    return SearchedPath(at, "cache", None, "the loader", (str(cache),))


def _read_cache(process: Process) -> LdCache | None:
    """The cache file; None when it cannot be used."""
    if process.facts.cache is None:
        process.errno = "ENOENT"
        return None
    opened = _open(process, process.facts.cache)
    if opened is None or not isinstance(opened[0], File):
        if opened is not None and isinstance(opened[0], Directory):
            process.errno = "ENODEV"  # it opens, but cannot be mapped
        return None
    return opened[0].facts.ldcache


def _candidate(process: Process, hunt: Hunt, stage: str, path: str, set_by: str) -> Found | None:
    """Open and verify one candidate and record what came of it. Raises `LoadError` when it ends the search."""
    key = stage, path, set_by
    known = process.shared.judged.get(key)
    if known is not None and not hunt.need_setuid and not hunt.open_exec:
        record, found, process.errno = known
        hunt.seen.append(record)
        return found
    opened = _open(process, path)
    lasting = path.startswith("/") and not hunt.open_exec
    if opened is None:
        errno = process.errno or ""
        missing = errno in ("ENOENT", "ENOTDIR")
        result = "missing" if missing else f"skipped: {ERRNO_TEXT.get(errno, errno)}"
        record = Candidate(stage, path, set_by, result, process.errno)
        if lasting:
            keep(process.shared.judged, key, (record, None, process.errno))
        hunt.seen.append(record)
        return None
    node, where = opened
    program = process.image.elf
    verdict, text, errno_name = verify.verify(node, program, process.rules, process.kernel, open_exec=hunt.open_exec)
    if verdict == verify.FATAL:
        process.errno = errno_name
        hunt.seen.append(Candidate(stage, path, set_by, f"fatal: {text}", errno_name))
        raise LoadError(path, text, errno_name)
    if verdict == verify.ACCEPT:
        assert isinstance(node, File)
        if not hunt.need_setuid or node.mode & 0o4000:
            process.errno = None
            plain = verify.always_mapped(node.facts.elf) and "noexec" not in mount_flags(process.resolver.tree, where)
            record, found = (
                Candidate(stage, path, set_by, "hit"),
                (node, where, path, node.facts.elf if plain else None),
            )
            if lasting:
                keep(process.shared.judged, key, (record, found, None))
            hunt.seen.append(record)
            return found
        text = "no set-uid bit"
    elif verdict == verify.OTHER_CLASS:
        hunt.other_class = True
    process.errno = "ENOENT"
    hunt.seen.append(Candidate(stage, path, set_by, f"skipped: {text}", process.errno))
    return None


def _open(process: Process, path: str) -> tuple[Node, str] | None:
    """The node at `path`, opened for reading; None with the process's `errno` set."""
    found = process.resolver.resolve(path, cwd=process.image.cwd)
    if isinstance(found, PathError):
        process.errno = found.errno
        return None
    if isinstance(found.node, Special) and found.node.kind == "socket":
        process.errno = "ENXIO"
        return None
    if isinstance(found.node, Special) and found.node.kind == "fifo":
        raise EndError("unknown", f"{path} is a fifo: opening it waits for a writer")
    if isinstance(found.node, File) and not may_read(found.node, process.image.uid, process.image.gid):
        process.errno = "EACCES"
        return None
    return found.node, found.path
