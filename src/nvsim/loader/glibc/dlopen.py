"""One dlopen in a started process (``dlfcn/dlopen.c``, ``elf/dl-open.c``): new objects, or the text of dlerror()."""

from __future__ import annotations

from nvsim.loader.glibc import checks
from nvsim.loader.glibc.linkmap import DLOPEN, dependencies, map_object
from nvsim.loader.glibc.state import LoadError, Object, Process
from nvsim.loader.outcome import DlopenCall, DlopenResult
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved

RTLD_LAZY, RTLD_NOW, RTLD_NOLOAD, RTLD_DEEPBIND, RTLD_GLOBAL, RTLD_NODELETE = 1, 2, 4, 8, 0x100, 0x1000
_KNOWN_FLAGS = RTLD_LAZY | RTLD_NOW | RTLD_NOLOAD | RTLD_DEEPBIND | RTLD_GLOBAL | RTLD_NODELETE


def dlopen(process: Process, call: DlopenCall) -> DlopenResult:
    """Make one call. Raises `EndError` where it ends the process, or where that cannot be told."""
    before, mark = process.entered, len(process.searches)
    try:
        result = _dlopen(process, call)
    except LoadError as e:
        process.unmap([o for o in process.map if o.number >= before])
        result = DlopenResult(call, False, e.dlerror())
    searches = tuple(process.searches[mark:])
    return DlopenResult(call, result.ok, result.error, result.path, result.new_objects, searches, result.ended)


def _dlopen(process: Process, call: DlopenCall) -> DlopenResult:
    caller = _caller(process, call.caller)
    if caller is None:
        return DlopenResult(call, None, f"{call.caller} is not loaded, so it cannot call dlopen")
    if call.namespace != "base":
        return DlopenResult(call, None, "dlmopen: what a namespace of its own holds is not modelled")
    if call.flags & ~_KNOWN_FLAGS:
        raise LoadError("", "invalid mode parameter")
    if call.flags & (RTLD_LAZY | RTLD_NOW) == 0:
        raise LoadError(call.name, "invalid mode for dlopen()", "EINVAL")
    if not call.name:
        return DlopenResult(call, True, path="")
    before = process.entered
    asking = caller if "/" not in call.name or "$" in call.name else None
    obj = map_object(process, call.name, asking, DLOPEN, dlopened=True, noload=bool(call.flags & RTLD_NOLOAD))
    if obj is None:
        return DlopenResult(call, False, None)
    if obj.search_list is None:
        lazy = bool(call.flags & RTLD_LAZY) and not process.bind_now
        _open(process, obj, before, lazy=lazy)
    if call.flags & RTLD_GLOBAL:
        process.scope += [o for o in obj.search_list or () if not any(o is g for g in process.scope)]
    new = [o for o in process.map if o.number >= before] if process.entered > before else []
    new_objects = tuple([process.describe(o) for o in new])
    return DlopenResult(call, True, None, obj.path, new_objects)


def _open(process: Process, obj: Object, before: int, *, lazy: bool) -> None:
    """What follows the mapping of an object that was not opened itself before: dependencies, versions, ISA level, symbols. Objects from
    number `before` on are new.

    Raises `LoadError`.
    """
    dependencies(process, obj, [], dlopened=True)
    assert obj.search_list is not None and obj.order is not None
    added = [o for o in obj.search_list if o.number >= before]
    for new in added:
        problems, end = checks.version_problems(process, new)
        for problem in problems:
            if problem.fatal:
                raise LoadError(problem.provider, problem.message)
        if end is not None:
            raise end
    order = [o for o in reversed(obj.order) if o.number >= before]
    weak = checks.isa_problem(process, order)
    if weak is not None:
        raise LoadError(process.label(weak), "CPU ISA level is lower than required")
    missing = next(checks.undefined(order, [*process.scope, *obj.search_list], now=not lazy), None)
    if missing is not None:
        raise LoadError(process.label(missing[0]), missing[1])


def _caller(process: Process, caller: str) -> Object | None:
    """The loaded object that a call comes from."""
    if caller == "main":
        return process.main
    known = next((o for o in process.map if caller in (o.path, o.file)), None)
    if known is not None:
        return known
    found = process.resolver.resolve(caller)
    if not isinstance(found, Resolved) or not isinstance(found.node, File):
        return None
    inode = found.node.inode
    return next((o for o in process.map if o.node is not None and o.node.inode == inode), None)
