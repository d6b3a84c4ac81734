"""A musl process as callers see it: `start` makes it, then it answers dlopens, `finish` gives the outcome
(``ldso/dynlink.c``: ``__dls3``, ``load_deps``, ``dlopen``).

At start-up every problem is printed and loading goes on, then the process ends with 127. At run time the first problem ends the call.
"""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage, no_entry
from nvsim.loader.musl.search import load_library, resolved_file
from nvsim.loader.musl.state import CrashError, Object, Process
from nvsim.loader.musl.symbols import unknown_needs, unresolved
from nvsim.loader.musl.tables import exports, musl_rules
from nvsim.loader.outcome import DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import Tree

RTLD_LAZY, RTLD_NOLOAD, RTLD_GLOBAL = 1, 4, 0x100


class MuslSession:
    """A started process (or one that failed to start: see `outcome`)."""

    def __init__(self, process: Process, outcome: Outcome):
        self._process = process
        self._dlopens: list[DlopenResult] = []
        self.outcome = outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        """Make one dlopen call: whoever calls, the search is on behalf of the main program."""
        if not self.outcome.started or any(d.ended for d in self._dlopens):
            return DlopenResult(call, None, "the process is not running")
        process = self._process
        if call.caller != "main" and not _is_loaded(process, call.caller):
            return DlopenResult(call, None, f"{call.caller} is not loaded, so it cannot call dlopen")
        before, mark = list(process.objects), len(process.searches)
        try:
            got = _dlopen(process, call)
        except CrashError as e:
            self.outcome = evolve(self.outcome, outcome="signal", unknown=f"SIGBUS: {e}")
            result = DlopenResult(call, False, None, ended=True)
        else:
            if isinstance(got, str):
                process.objects = before
                result = DlopenResult(call, False, got)
            else:
                assumed = unknown_needs(process, process.objects[len(before) :])
                self.outcome = evolve(self.outcome, assumptions=(*self.outcome.assumptions, *assumed))
                new = tuple(o.describe() for o in process.objects[len(before) :])
                result = DlopenResult(call, True, None, got.path, new)
        result = evolve(result, searches=tuple(process.searches[mark:]))
        self._dlopens.append(result)
        return result

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens))


def start(tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine) -> MuslSession:
    """Start `program` under the loader that execve put in front of it."""
    env: dict[str, str] = {}
    for name, value in request.env:
        env.setdefault(name, value)
    process = new_process(tree, program, facts, request)
    if not program.secure:
        process.library_path, process.preload = env.get("LD_LIBRARY_PATH", ""), env.get("LD_PRELOAD", "")
    outcome = Outcome(
        "exit", steps=program.steps, program=program.path, interpreter=program.interp, libc=f"musl {facts.version}"
    )
    return MuslSession(process, run_startup(process, outcome))


def new_process(tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest) -> Process:
    """A process with nothing loaded but the main program. A missing symbol list of libc is assumed (see `run_startup`)."""
    elf = program.interp_file.facts.elf if program.interp_file is not None else None
    libc = Object(program.interp or "", elf or ElfFacts(), program.interp_file, program.interp_path)
    libc.kernel_mapped, libc.deps, libc.short = True, [], "libc.so"
    libc.name, libc.stage = program.interp, "interpreter"
    main = Object(program.execfn, program.elf, program.file, program.path, kernel_mapped=True)
    if program.execfn.startswith("/proc/"):
        main.path = program.argv[0] if program.argv else ""
    return Process(
        image=program,
        facts=facts,
        rules=musl_rules(facts.version),
        resolver=Resolver(tree, program.uid, program.gid),
        exports=libc.symbols().defs or exports(facts.version)[0],
        main=main,
        libc=libc,
        origin=program.path.rpartition("/")[0] if request.proc else None,
        library_path="",
        preload="",
        objects=[main],
    )


def run_startup(process: Process, outcome: Outcome) -> Outcome:
    """`outcome` with what start-up adds: it started, or the lines with which it ended."""
    assumed = process.facts.assumed
    if not process.libc.symbols().defs:
        assumption = exports(process.facts.version)[1]
        assumed += (assumption,) if assumption else ()
    outcome = evolve(outcome, assumptions=(*outcome.assumptions, *assumed))
    try:
        lines = _startup(process)
    except CrashError as e:
        return evolve(outcome, outcome="signal", unknown=f"SIGBUS: {e}", searches=tuple(process.searches))
    outcome = evolve(outcome, assumptions=(*outcome.assumptions, *unknown_needs(process, process.objects)))
    if not lines and not process.listing and not process.main.elf.entry:
        crash = no_entry(process.main.path)
        return evolve(outcome, outcome="signal", unknown=crash, searches=tuple(process.searches))
    process.errno = None  # set to 0 before the program is entered
    return evolve(
        outcome,
        started=not lines and not process.listing,
        exit_code=127 if lines else None,
        stderr="".join(f"{line}\n" for line in lines),
        objects=tuple(o.describe() for o in process.objects[1:]) if not lines else (),
        searches=tuple(process.searches),
    )


def _startup(process: Process) -> list[str]:
    """Preloads, dependencies, relocation: the lines that are printed."""
    for name in process.preload.replace(":", " ").split():
        load_library(process, name, None, because="preload")
    lines = _load_deps(process, process.main)
    process.chain = list(process.objects)
    order = [*process.objects[1:], process.main]
    return [*lines, *unresolved(process, order, process.chain, lazy=False)]


def _load_deps(process: Process, first: Object, *, stop: bool = False) -> list[str]:
    """Load what `first` and everything behind it in the list need; the problems, only the first one with `stop`."""
    problems: list[str] = []
    if first.deps is not None:
        return problems
    at = process.objects.index(first)
    while at < len(process.objects):
        obj = process.objects[at]
        at += 1
        if obj.deps is not None:
            continue
        obj.deps = list(process.objects[1:]) if obj is process.main else []
        for name in obj.elf.needed:
            got = load_library(process, name, obj)
            if got is not None:
                obj.deps.append(got)
                continue
            text = f"Error loading shared library {name}: {process.strerror()} (needed by {obj.path})"
            problems.append(text)
            if stop:
                return problems
    return problems


def _dlopen(process: Process, call: DlopenCall) -> Object | str:
    """The object, or dlerror's text."""
    if call.name is None:
        return process.main
    noload = bool(call.flags & RTLD_NOLOAD)
    before = list(process.objects)
    obj = load_library(process, call.name, process.main, because="dlopen", noload=noload)
    if obj is None:
        if noload:
            return f"Library {call.name} is not already loaded"
        return f"Error loading shared library {call.name}: {process.strerror()}"
    problems = _load_deps(process, obj, stop=True)
    if problems:
        return problems[0]
    scope = _with_dependencies(obj)
    new = [o for o in process.objects if o not in before]
    if new:
        broken = unresolved(process, new, [*process.chain, *scope], lazy=bool(call.flags & RTLD_LAZY))
        error = next(broken, None)
        if error is not None:
            return error
    if call.flags & RTLD_GLOBAL:
        process.chain += [o for o in scope if o not in process.chain]
    return obj


def _with_dependencies(obj: Object) -> list[Object]:
    """The object and all that it depends on, breadth first."""
    out = [obj]
    for each in out:
        out += [d for d in each.deps or () if d not in out]
    return out


def _is_loaded(process: Process, path: str) -> bool:
    """Whether the file at `path` is among the objects."""
    if any(path in (o.path, o.file) for o in process.objects):
        return True
    file = resolved_file(process, path)
    return file is not None and any(o.node is not None and o.node.inode == file.inode for o in process.objects)
