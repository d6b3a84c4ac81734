"""From a name to a loaded object: the link map and the breadth-first list (``elf/dl-load.c``, ``_dl_map_object``;
``elf/dl-deps.c``, ``_dl_map_object_deps``).

Where a file is looked for is `nvsim.loader.glibc.walk`; what is checked once all objects are there is `nvsim.loader.glibc.checks`.
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.elf.facts import ElfFacts
from nvsim.loader.access import mount_flags
from nvsim.loader.glibc import verify
from nvsim.loader.glibc.lists import expand_for
from nvsim.loader.glibc.order import relocation_order
from nvsim.loader.glibc.paths import has_token
from nvsim.loader.glibc.state import EndError, Found, LoadError, Object, Process, failed_assertion
from nvsim.loader.glibc.walk import Hunt, find, open_by_path
from nvsim.loader.outcome import Search

ASKED_BEFORE = "asked for by this name before"
EMPTY_TOKEN = "empty dynamic string token substitution"
# Why an object is asked for (`Search.because`).
NEEDED, PRELOAD, DLOPEN, AUXILIARY, FILTER, PROGRAM = "needed", "preload", "dlopen", "auxiliary", "filter", "program"


@lru_cache(1 << 14)  # equal values of many traces are one object
def _already(name: str, asked_by: str, path: str, note: str, because: str) -> Search:
    return Search(name, asked_by, (), "already", path, None, note, because)


class _TokenError(LoadError):
    """A name whose tokens cannot be replaced: nothing was looked for."""


def map_object(
    process: Process,
    name: str,
    requester: Object | None,
    because: str,
    *,
    dlopened: bool = False,
    noload: bool = False,
) -> Object | None:
    """The object for `name`, new or already there. None only with `noload`. Raises `LoadError`.

    `requester` is the object whose lists are searched; it stays the new object's `loader` unless it only called dlopen.
    """
    asked_by = requester.path or process.argv0 if requester is not None else ""
    known = process.answers.get(name)
    if known is not None:
        note = ASKED_BEFORE if name in known.names else "this is its DT_SONAME"
        process.call(known, name)
        process.searches.append(_already(name, asked_by, known.path, note, because))
        return known
    hunt = Hunt(name, open_exec=because == PROGRAM)
    loader = None if because == DLOPEN else requester
    try:
        if "/" in name:
            found = open_by_path(process, hunt, requester)
        else:
            found = find(process, hunt, requester, preload=because == PRELOAD)
        accepted = _accept(process, hunt, found, loader, dlopened, noload)
    except LoadError as e:
        _record(process, hunt, asked_by, because, "not-found" if e.missing else "fatal", error=e.dlerror())
        if process.tracing and e.missing and because not in (PRELOAD, PROGRAM):
            return _fake(process, name, loader)
        raise
    if accepted is None:
        _record(process, hunt, asked_by, because, "ignored")
        return None
    new, obj = accepted
    if new:
        obj.name, obj.requester = name, asked_by
        obj.stage = hunt.seen[-1].stage if hunt.seen else None
    note = "" if new else "the file that was found is loaded already"
    _record(process, hunt, asked_by, because, "loaded" if new else "already", path=obj.path, note=note)
    return obj


def _record(
    process: Process,
    hunt: Hunt,
    asked_by: str,
    because: str,
    result: str,
    *,
    path: str | None = None,
    error: str | None = None,
    note: str = "",
) -> None:
    seen, paths = tuple(hunt.seen), tuple(hunt.paths)
    process.searches.append(Search(hunt.name, asked_by, seen, result, path, error, note, because, paths))


def _fake(process: Process, name: str, loader: Object | None) -> Object:
    """In a listing, what stands for a missing library."""
    obj = Object(name, ElfFacts(), loader=loader, name=name, names={name}, faked=True)
    process.enter(obj)
    return obj


def _accept(
    process: Process, hunt: Hunt, found: Found, loader: Object | None, dlopened: bool, noload: bool
) -> tuple[bool, Object] | None:
    """``_dl_map_object_from_fd``: (whether it is new, the object); None: `noload`, and it is not loaded yet."""
    node, where, path, elf = found
    name = hunt.name
    known = process.inodes.get(node.inode)
    # the kernel mapped the main program, and so ld.so itself: their inodes are not known to the loader
    if known is not None and known.mapped and known is not process.loader and known is not process.map[0]:
        process.call(known, name)
        return False, known
    if noload:
        return None
    if elf is None:
        elf = _mapped(process, hunt, found, dlopened)
    full = path if path.startswith("/") else f"{process.image.cwd.rstrip('/')}/{path}"
    obj = Object(path, elf, node, where, loader, full.rpartition("/")[0] or "/", names={path, name})
    process.enter(obj)
    return True, obj


def _mapped(process: Process, hunt: Hunt, found: Found, dlopened: bool) -> ElfFacts:
    """What is mapped of a file about which something is special. Raises `LoadError` and `EndError`."""
    node, where, path, _ = found
    whole = node.facts.elf
    assert whole is not None
    elf = verify.as_mapped(whole)
    if "noexec" in mount_flags(process.resolver.tree, where):
        raise LoadError(hunt.name, "failed to map segment from shared object")
    why = verify.refused(
        elf or whole,
        process.rules,
        dlopened=dlopened,
        stack_refused=process.stack_refused(dlopened=dlopened),
        open_exec=hunt.open_exec,
    )
    if why is not None:
        raise LoadError(hunt.name, *why)
    if elf is None:
        cut = f"{path} is cut off after {whole.truncate} bytes"
        raise EndError("unknown", f"{cut}: touching what is missing ends the process with SIGBUS")
    process.stack_executable = process.stack_executable or elf.stack != "rw"
    return elf


def dependencies(process: Process, root: Object, preloads: list[Object], *, dlopened: bool = False) -> list[Object]:
    """Load what `root` and the `preloads` need: the search list of `root`, breadth first; new objects enter the map.

    Raises `LoadError` at the first failure. An errno from before comes back when this leaves none of its own.
    """
    queue = [root, *preloads]
    errno_before, process.errno = process.errno, None
    try:
        _load_all(process, root, queue, dlopened)
    except _TokenError:
        raise
    except LoadError:
        _assert_first(process, root, queue)
        raise
    finally:
        process.errno = process.errno or errno_before
    _assert_first(process, root, queue)
    root.search_list = [o for o in queue if not o.faked]
    root.order = relocation_order(root, root.search_list, process.rules.sort)
    root.dependencies = root.order[1:]
    return queue


def _assert_first(process: Process, root: Object, queue: list[Object]) -> None:
    """Releases up to 2.31 insist that no filtee stands before the root, also when its dependencies are not complete."""
    if process.rules.first_assert is not None and next(o for o in queue if not o.faked) is not root:
        place = f"dl-deps.c: {process.rules.first_assert}: _dl_map_object_deps"
        raise failed_assertion(place, "map->l_searchlist.r_list[0] == map")


def _load_all(process: Process, root: Object, queue: list[Object], dlopened: bool) -> None:
    """Go through `queue`, which grows at its end, and before objects that name filtees."""
    queued = set(queue)
    done: set[Object] = set()
    at = 0
    while at < len(queue):
        obj = queue[at]
        at += 1
        if obj in done:
            continue
        done.add(obj)
        direct = _needed(process, obj, dlopened)
        for found in direct:
            if found not in queued:
                queued.add(found)
                queue.append(found)
        filtees = [(n, FILTER) for n in obj.elf.filter] if obj.elf.filter else []
        if obj.elf.auxiliary:
            filtees += [(n, AUXILIARY) for n in obj.elf.auxiliary]
        for wanted, because in filtees:
            filtee = _filtee(process, obj, wanted, because, queue, done, dlopened)
            if filtee is not None:
                direct.append(filtee)
                queued.add(filtee)
                at = 0  # it may stand before this object now
        if obj.dependencies is None and obj is not root:
            obj.dependencies = direct


def _needed(process: Process, obj: Object, dlopened: bool) -> list[Object]:
    """The objects for all DT_NEEDED of `obj`, new or already there: what was settled once stays so until the map is reordered."""
    known = obj.settled
    if known is not None and known[0] == process.reordered:
        process.searches += known[1]
        return known[2][:]
    direct: list[Object] = []
    asked_by = obj.path or process.argv0
    searches, answers, settled, first = process.searches, process.answers, True, len(process.searches)
    for wanted in obj.elf.needed:
        name = _name(process, obj, wanted, fatal=False) if "$" in wanted else wanted
        if name is None:
            settled = False
            continue
        found = answers.get(name)
        if found is not None and name in found.names:  # as `map_object` has it: by far the most of what is asked for
            searches.append(_already(name, asked_by, found.path, ASKED_BEFORE, NEEDED))
        else:
            found = map_object(process, name, obj, NEEDED, dlopened=dlopened)
            settled = False
        assert found is not None
        direct.append(found)
    if settled:
        obj.settled = process.reordered, searches[first:], direct[:]
    return direct


def _name(process: Process, obj: Object, wanted: str, *, fatal: bool) -> str | None:
    """A DT_NEEDED, DT_FILTER or (`fatal`) DT_AUXILIARY with its tokens replaced; None: skip it (``expand_dst``)."""
    if not has_token(wanted, loose=not process.rules.loose_tokens):
        return wanted
    if process.secure:
        raise _TokenError(wanted, "DST not allowed in SUID/SGID programs")
    name = expand_for(process, wanted, obj)
    if name is None:
        if fatal:
            raise _TokenError(wanted, EMPTY_TOKEN)
        process.searches.append(Search(wanted, process.label(obj), (), "ignored", note=EMPTY_TOKEN))
    return name


def _filtee(
    process: Process, obj: Object, wanted: str, because: str, queue: list[Object], done: set[Object], dlopened: bool
) -> Object | None:
    """DT_AUXILIARY and DT_FILTER: the object goes directly before the one that names it. None: it is not available.

    Raises `EndError` when it was gone through already and still stands behind: the loader moves the two until its stack is used up.
    """
    name = _name(process, obj, wanted, fatal=because == AUXILIARY)
    if name is None:
        return None
    try:
        found = map_object(process, name, obj, because, dlopened=dlopened)
    except LoadError:
        if because == AUXILIARY:
            return None
        raise
    assert found is not None
    here = next(i for i, o in enumerate(queue) if o is obj)
    there = next((i for i, o in enumerate(queue) if o is found), None)
    if there is not None and there <= here:
        return found
    if there is not None:
        if found in done:
            both = f"{process.label(obj)} and {process.label(found)} are filtees of each other"
            raise EndError("signal", f"SIGSEGV: {both}, and the loader moves them without end")
        del queue[there]
    queue.insert(here, found)
    process.map.remove(found)
    found.mapped = obj is not process.main  # before the head of the map no walk through it comes
    if found.mapped:
        process.map.insert(process.map.index(obj), found)
    process.reorder(left=not found.mapped)
    return found
