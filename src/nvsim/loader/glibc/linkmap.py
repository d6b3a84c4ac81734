"""From a name to a loaded object: the link map and the breadth-first list (``elf/dl-load.c``, ``_dl_map_object``;
``elf/dl-deps.c``, ``_dl_map_object_deps``).

Where a file is looked for is `nvsim.loader.glibc.walk`; what is checked once all objects are there is `nvsim.loader.glibc.checks`.
"""

from __future__ import annotations

from nvsim.loader.access import mount_flags
from nvsim.loader.glibc import verify
from nvsim.loader.glibc.paths import has_token
from nvsim.loader.glibc.state import LoadError, Object, Process
from nvsim.loader.glibc.walk import Found, Hunt, expand_for, find, open_by_path
from nvsim.loader.outcome import Search


def map_object(
    process: Process, name: str, requester: Object | None, loader: Object | None, *, dlopened: bool,
    preload: bool = False, noload: bool = False,
) -> Object | None:  # fmt: skip
    """The object for `name`, new or already there. None only with `noload`. Raises `LoadError`."""
    asked_by = process.label(requester) if requester is not None else ""
    known = process.loaded(name)
    if known is not None:
        known.names.add(name)
        process.searches.append(Search(name, asked_by, (), "already", known.path))
        return known
    hunt = Hunt(name)
    try:
        if "/" in name:
            found = open_by_path(process, hunt, requester)
        else:
            found = find(process, hunt, requester, preload=preload)
        accepted = _accept(process, name, found, loader, dlopened, noload)
    except LoadError as e:
        ended = any(c.result.startswith("fatal") for c in hunt.seen) or not e.text.startswith("cannot open")
        result = "fatal" if ended else "not-found"
        process.searches.append(Search(name, asked_by, tuple(hunt.seen), result, error=e.dlerror()))
        raise
    if accepted is None:
        return None
    new, obj = accepted
    if new:
        obj.name, obj.requester = name, asked_by
        obj.stage = hunt.seen[-1].stage if hunt.seen else None
    process.searches.append(Search(name, asked_by, tuple(hunt.seen), "loaded" if new else "already", obj.path))
    return obj


def _accept(
    process: Process, name: str, found: Found, loader: Object | None, dlopened: bool, noload: bool
) -> tuple[bool, Object] | None:
    """``_dl_map_object_from_fd``: (whether it is new, the object); None: `noload`, and it is not loaded yet."""
    node, where, path = found
    for obj in process.map[1:]:  # the kernel mapped the main program: its inode is not known to the loader
        if obj.node is not None and obj.node.inode == node.inode:
            obj.names.add(name)
            return False, obj
    if noload:
        return None
    elf = node.facts.elf
    assert elf is not None
    if "noexec" in mount_flags(process.resolver.tree, where):
        raise LoadError(name, "failed to map segment from shared object")
    why = verify.refused(elf, process.rules, dlopened=dlopened, stack_executable=process.stack_executable)
    if why is not None:
        raise LoadError(name, *why)
    if elf.stack != "rw":
        process.stack_executable = True
    full = path if path.startswith("/") else f"{process.image.cwd.rstrip('/')}/{path}"
    obj = Object(path, elf, node, where, loader, origin=full.rpartition("/")[0] or "/", names={path, name})
    process.map.append(obj)
    return True, obj


def dependencies(process: Process, start: list[Object], *, dlopened: bool) -> list[Object]:
    """The search list, breadth first from `start`; new objects enter the map. Raises `LoadError` at the first failure."""
    queue = list(start)
    done: set[int] = set()
    while True:
        obj = next((o for o in queue if id(o) not in done), None)
        if obj is None:
            return queue
        done.add(id(obj))
        for wanted in obj.elf.needed:
            name: str | None = wanted
            if has_token(wanted):
                if process.secure:
                    raise LoadError(wanted, "DST not allowed in SUID/SGID programs")
                name = expand_for(process, wanted, obj)
                if name is None:
                    continue
            found = map_object(process, name or "", obj, obj, dlopened=dlopened)
            if not any(o is found for o in queue):
                assert found is not None
                queue.append(found)
        for wanted, optional in [(n, False) for n in obj.elf.filter] + [(n, True) for n in obj.elf.auxiliary]:
            _filtee(process, obj, wanted, optional, queue, dlopened)


def _filtee(process: Process, obj: Object, wanted: str, optional: bool, queue: list[Object], dlopened: bool) -> None:
    """DT_AUXILIARY and DT_FILTER: the object goes directly before the one that names it."""
    name = expand_for(process, wanted, obj) if has_token(wanted) else wanted
    if name is None:
        return
    try:
        found = map_object(process, name, obj, obj, dlopened=dlopened)
    except LoadError:
        if optional:
            return
        raise
    assert found is not None
    here = next(i for i, o in enumerate(queue) if o is obj)
    there = next((i for i, o in enumerate(queue) if o is found), None)
    if there is not None and there <= here:
        return
    if there is not None:
        del queue[there]
    queue.insert(here, found)
    process.map.remove(found)
    process.map.insert(process.map.index(obj), found)
