"""Start-up: preloads, dependencies, checks, and the end of a process that cannot start or was only to be listed
(``elf/rtld.c``, ``dl_main``).
"""

from __future__ import annotations

from nvsim.frozen import evolve
from nvsim.loader.access import may_read
from nvsim.loader.execve import no_entry
from nvsim.loader.glibc import checks, options
from nvsim.loader.glibc.linkmap import PRELOAD, dependencies, map_object
from nvsim.loader.glibc.listing import listing
from nvsim.loader.glibc.lists import init_lists
from nvsim.loader.glibc.options import Options
from nvsim.loader.glibc.state import EndError, LoadError, Object, Process
from nvsim.loader.outcome import Outcome
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import PathError


def run_startup(process: Process, wishes: Options, outcome: Outcome) -> Outcome:
    """`outcome` with what start-up adds: the program runs, or the text and status with which the process ended."""
    tags = [f"DT_{tag.upper()} of {process.argv0}" for tag in ("audit", "depaudit") if tag in process.main.elf.extra]
    if wishes.audit or tags:
        unknown = f"{wishes.audit or tags[0]}: what audit modules do is not in files"
        return evolve(outcome, outcome="unknown", unknown=unknown)
    said = [f"warning: debug option `{word}' unknown; try LD_DEBUG=help\n" for word in wishes.unknown_debug]
    why, end = None, "exit"
    stdout = ""
    try:
        code = _startup(process, wishes, said)
        if code is None and wishes.mode != options.NORMAL:
            code, stdout = 0, listing(process, wishes)
    except LoadError as e:
        said.append(f"{process.argv0}: error while loading shared libraries: {e.early()}\n")
        code = 127
    except EndError as e:
        end = e.outcome
        code, why = (127, None) if end == "exit" else (None, e.text)
        said.append(e.text if end == "exit" else "")
    started = code is None and end == "exit"
    traced = wishes.mode != options.NORMAL
    return evolve(
        outcome,
        outcome=end,
        unknown=why,
        started=started,
        exit_code=code,
        stderr="".join(said),
        stdout=stdout,
        objects=tuple([process.describe(o) for o in process.map[1:]]) if started else (),
        searches=tuple(process.searches),
        version_problems=tuple(process.problems),
        undefined=process.undefined,
        trace_rc=code if traced else None,
        trace_objects=tuple((o.name or "", None if o.faked else o.path) for o in process.map[1:])
        if traced and code == 0
        else (),
        trace_stderr="".join(said) if traced else "",
    )


def _startup(process: Process, wishes: Options, said: list[str]) -> int | None:
    """What is printed goes to `said`; the exit status when the process ends here.

    Raises `LoadError` and `EndError` for the other ends.
    """
    level = checks.loader_level(process)
    if level is not None:
        said.append(f"Fatal glibc error: CPU does not support x86-64-v{level}\n")
        return 127
    if process.rules.no_exec_stack and process.execstack == 0 and process.stack_executable:
        said.append("Fatal glibc error: executable stack is not allowed\n")
        return 127
    process.stack_executable = process.stack_executable or (process.rules.no_exec_stack and process.execstack == 2)
    refuse_static(process)
    init_lists(process)
    queue = dependencies(process, process.main, _preload(process, wishes, said))
    _place_loader(process, queue)
    main = process.main
    assert main.search_list is not None and main.order is not None
    process.scope = list(main.search_list)
    for obj in process.map:
        problems, end = checks.version_problems(process, obj) if not obj.faked else ([], None)
        process.problems += problems
        said += [f"{process.argv0}: {problem.text}\n" for problem in problems]
        if end is not None:
            raise end
    order = list(reversed(main.order))
    if wishes.mode != options.NORMAL:
        if wishes.warn and wishes.mode == options.TRACE:
            listed = [o for o in order if o is not process.loader]
            for obj, text in checks.undefined(listed, main.search_list, now=process.bind_now):
                said.append(f"{text}\t({process.label(obj)})\n")
        return None
    if any(p.fatal for p in process.problems):
        return 1
    _refuse_second_loader(process)
    weak = checks.isa_problem(process, order)
    if weak is not None:
        said.append(f"{process.label(weak)}: CPU ISA level is lower than required\n")
        return 127
    missing = next(checks.undefined(order, main.search_list, now=process.bind_now), None)
    if missing is not None:
        obj, text = missing
        process.undefined = (process.label(obj), text)
        said.append(f"{process.argv0}: symbol lookup error: {process.label(obj)}: {text}\n")
        return 127
    if not process.main.elf.entry:
        raise EndError("signal", no_entry(process.argv0))
    return None


def refuse_static(process: Process) -> None:
    """Raises `EndError` when the program has no dynamic section and the loader looks for DT_AUDIT there."""
    if process.main.elf.nodyn and process.rules.static_crashes:
        raise EndError(
            "signal", f"SIGSEGV: the loader looks into the dynamic section of {process.argv0}, which has none"
        )


def _refuse_second_loader(process: Process) -> None:
    """Raises `EndError` when ld.so was loaded again, by a name that the loader did not know for its own: such processes crash."""
    own = process.loader.node if process.loader is not None else None
    if own is None or process.inodes[own.inode] is process.loader:
        return
    for obj in process.map:
        if obj is not process.loader and obj.node is not None and obj.node.inode == own.inode:
            raise EndError("unknown", f"{obj.path} is the running loader, loaded a second time: the process crashes")


def _place_loader(process: Process, queue: list[Object]) -> None:
    """ld.so stands in the map after the object that precedes it in the search list; when nobody needs it, it stands after the last of
    that list, or is not in the map (up to 2.40)."""
    loader = process.loader
    if loader is None:
        return
    process.map.remove(loader)
    found = [o for o in queue if not o.faked]
    at = next((i for i, o in enumerate(found) if o is loader), len(found) if process.rules.loader_stays else None)
    loader.mapped = at is not None
    if at is not None:
        before = found[at - 1]
        process.map.insert(next(i for i, o in enumerate(process.map) if o is before) + 1, loader)
    process.reorder(left=at is None)


def _preload(process: Process, wishes: Options, said: list[str]) -> list[Object]:
    """The objects that preloading adds; what cannot be preloaded is said and ignored."""
    out: list[Object] = []
    for name, source in wishes.preload:
        out += _preload_one(process, name, source, said)
    source = process.facts.preload or ""
    for name in options.preload_file_names(_preload_file(process, source)) if source else ():
        out += _preload_one(process, name, source, said)
    return out


def _preload_file(process: Process, path: str) -> str:
    """The text of ld.so.preload; "" when it cannot be read (access(2) leaves its errno)."""
    found = process.resolver.resolve(path)
    if isinstance(found, PathError):
        process.errno = found.errno
        return ""
    if not isinstance(found.node, File):
        return ""
    if not may_read(found.node, process.image.uid, process.image.gid):
        process.errno = "EACCES"
        return ""
    return found.node.facts.text or ""


def _preload_one(process: Process, name: str, source: str, said: list[str]) -> list[Object]:
    before = len(process.map)
    try:
        obj = map_object(process, name, process.main, PRELOAD)
    except LoadError as e:
        reason = f" ({e.text})" if process.rules.preload_reason else ""
        said.append(f"ERROR: ld.so: object '{name}' from {source} cannot be preloaded{reason}: ignored.\n")
        return []
    return [obj] if obj is not None and len(process.map) > before else []
