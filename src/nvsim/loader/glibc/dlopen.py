"""One dlopen in a started process (``elf/dl-open.c``): new objects, or the text of dlerror() and everything as before."""

from __future__ import annotations

from attrs import evolve

from nvsim.loader.glibc import checks
from nvsim.loader.glibc.linkmap import dependencies, map_object
from nvsim.loader.glibc.state import LoadError, Object, Process
from nvsim.loader.outcome import DlopenCall, DlopenResult
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved

RTLD_LAZY, RTLD_NOW, RTLD_NOLOAD, RTLD_GLOBAL = 1, 2, 4, 0x100


class InconsistencyError(Exception):
    """The loader ends the process with `text` on stderr, status 127."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text


def dlopen(process: Process, call: DlopenCall) -> DlopenResult:
    """Make one call. Raises `InconsistencyError` where the loader itself gives up."""
    before, mark = list(process.map), len(process.searches)
    names = {id(o): set(o.names) for o in process.map}
    stack = process.stack_executable
    try:
        result = _dlopen(process, call)
    except LoadError as e:
        process.map = before
        for obj in before:
            obj.names = names[id(obj)]
        process.stack_executable = stack
        result = DlopenResult(call, False, e.dlerror())
    return evolve(result, searches=tuple(process.searches[mark:]))


def _dlopen(process: Process, call: DlopenCall) -> DlopenResult:
    caller = _caller(process, call.caller)
    if caller is None:
        return DlopenResult(call, None, f"{call.caller} is not loaded, so it cannot call dlopen")
    if call.flags & 3 == 0:
        raise LoadError(call.name, "invalid mode for dlopen()", "EINVAL")
    if not call.name:
        return DlopenResult(call, True, path="")
    before = list(process.map)
    obj = map_object(process, call.name, caller, None, dlopened=True, noload=bool(call.flags & RTLD_NOLOAD))
    if obj is None:
        return DlopenResult(call, False, None)
    scope = [obj]
    if not any(o is obj for o in before):
        scope = dependencies(process, [obj], dlopened=True)
        if process.rules.filter_assertion and scope[0] is not obj:
            raise InconsistencyError(
                "Inconsistency detected by ld.so: dl-deps.c: 553: _dl_map_object_deps: "
                "Assertion `map->l_searchlist.r_list[0] == map' failed!\n"
            )
        added = [o for o in scope if not any(o is b for b in before)]
        _check_new(process, added, scope, now=bool(call.flags & RTLD_NOW) or bool(process.env.get("LD_BIND_NOW")))
    if call.flags & RTLD_GLOBAL:
        process.scope += [o for o in scope if not any(o is g for g in process.scope)]
    new_objects = tuple(o.describe() for o in process.map if not any(o is b for b in before))
    return DlopenResult(call, True, None, obj.path, new_objects)


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


def _check_new(process: Process, added: list[Object], scope: list[Object], *, now: bool) -> None:
    """Versions, DT_RELR, ISA level and symbols of the objects that the call brought. Raises `LoadError`."""
    for obj in added:
        for fatal, text in checks.version_problems(process, obj):
            if fatal:
                first, _, rest = text.partition(": ")
                raise LoadError(first, rest)
    broken = checks.relr_problem(process, added)
    if broken is not None:
        raise LoadError(process.label(broken), "DT_RELR without GLIBC_ABI_DT_RELR dependency")
    weak = checks.isa_problem(process, added)
    if weak is not None:
        raise LoadError(process.label(weak), "CPU ISA level is lower than required")
    missing = checks.undefined(added, [*process.scope, *scope], now=now)
    if missing is not None:
        raise LoadError(process.label(missing[0]), missing[1])
