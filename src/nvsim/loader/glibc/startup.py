"""Start-up: preloads, dependencies, checks, and the end of a process that cannot start (``elf/rtld.c``, ``dl_main``)."""

from __future__ import annotations

from attrs import evolve

from nvsim.loader.access import may_read
from nvsim.loader.glibc import checks
from nvsim.loader.glibc.linkmap import dependencies, map_object
from nvsim.loader.glibc.preload import preload_file_names, preload_names
from nvsim.loader.glibc.state import LoadError, Object, Process
from nvsim.loader.outcome import Outcome
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved


def run_startup(process: Process, loader: Object | None, outcome: Outcome) -> Outcome:
    """`outcome` with what start-up adds: it started, or the text and status with which it ended. `loader` is ld.so's own object."""
    said: list[str] = []
    code = _startup(process, loader, said)
    objects = tuple(o.describe() for o in process.map[1:]) if code is None else ()
    return evolve(
        outcome,
        started=code is None,
        exit_code=code,
        stderr="".join(said),
        objects=objects,
        searches=tuple(process.searches),
    )


def _startup(process: Process, loader: Object | None, said: list[str]) -> int | None:
    """What is printed goes to `said`; the exit status when the process ends here."""
    failed = f"{process.argv0}: error while loading shared libraries: "
    try:
        queue = dependencies(process, [process.main, *_preload(process, said)], dlopened=False)
    except LoadError as e:
        said.append(f"{failed}{e.early()}\n")
        return 127
    if loader is not None:
        _place_loader(process, loader, queue)
    process.scope = list(queue)
    broken = checks.relr_problem(process, process.map)
    fatal = False
    for obj in process.map:
        for bad, text in checks.version_problems(process, obj):
            said.append(f"{process.argv0}: {text}\n")
            fatal = fatal or bad
    if broken is not None:
        said.append(f"{failed}{process.label(broken)}: DT_RELR without GLIBC_ABI_DT_RELR dependency\n")
        return 127
    if fatal:
        return 1
    weak = checks.isa_problem(process, queue)
    if weak is not None:
        said.append(f"{process.label(weak)}: CPU ISA level is lower than required\n")
        return 127
    missing = checks.undefined(queue, queue, now=bool(process.env.get("LD_BIND_NOW")))
    if missing is not None:
        obj, text = missing
        said.append(f"{process.argv0}: symbol lookup error: {process.label(obj)}: {text}\n")
        return 127
    return None


def _place_loader(process: Process, loader: Object, queue: list[Object]) -> None:
    """ld.so stands in the map after the object that precedes it in the search list; last when nobody needs it."""
    process.map.remove(loader)
    at = next((i for i, o in enumerate(queue) if o is loader), None)
    if at is None:
        process.map.append(loader)
    else:
        before = queue[at - 1]
        process.map.insert(next(i for i, o in enumerate(process.map) if o is before) + 1, loader)


def _preload(process: Process, said: list[str]) -> list[Object]:
    """The objects that preloading adds; what cannot be preloaded is said and ignored."""
    wanted = [(n, "LD_PRELOAD") for n in preload_names(process.env.get("LD_PRELOAD", ""), secure=process.secure)]
    if process.facts.preload is not None:
        found = process.resolver.resolve(process.facts.preload)
        image = process.image
        if isinstance(found, Resolved) and isinstance(found.node, File) and may_read(found.node, image.uid, image.gid):
            text = found.node.facts.text or ""
            wanted += [(n, process.facts.preload) for n in preload_file_names(text)]
    out: list[Object] = []
    for name, source in wanted:
        before = len(process.map)
        try:
            obj = map_object(process, name, process.main, process.main, dlopened=False, preload=True)
        except LoadError as e:
            reason = f" ({e.text})" if process.rules.preload_reason else ""
            said.append(f"ERROR: ld.so: object '{name}' from {source} cannot be preloaded{reason}: ignored.\n")
            continue
        if obj is not None and len(process.map) > before:
            out.append(obj)
    return out
