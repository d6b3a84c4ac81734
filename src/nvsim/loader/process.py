"""The way through: execve, then the loader that the program names, then its dlopens. One `Outcome` for all of it."""

from __future__ import annotations

from typing import Protocol

from attrs import evolve

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.loader.execve import ExecCrash, ExecFailure, ExecImage, execve
from nvsim.loader.glibc import session as glibc
from nvsim.loader.musl import direct as musl_direct
from nvsim.loader.musl import session as musl
from nvsim.loader.outcome import DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.rootfs.node import File, FileFacts
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

_GLIBC_DIRS = {
    "debian": ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"),
    "redhat": ("/lib64", "/usr/lib64"),
}


class Session(Protocol):
    """A process that was started, or failed to: ask `outcome`, make dlopens, `finish`."""

    outcome: Outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult: ...

    def finish(self) -> Outcome: ...


class EndedSession:
    """A process that never ran its own code, or that has no loader: every dlopen is "not made"."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        return DlopenResult(call, None, "the process is not running")

    def finish(self) -> Outcome:
        return self.outcome


def run(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Outcome:
    """Execute `request` in `tree` and make its dlopens."""
    session = start(tree, request, machine or Machine())
    results = []
    for call in () if isinstance(session, EndedSession) or not session.outcome.started else request.dlopen:
        result = session.dlopen(call)
        results.append(result)
        if result.ended:
            break
    return evolve(session.finish(), dlopen=tuple(results))


def start(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Session:
    """Execute `request` up to the point where the program's own code runs."""
    machine = machine or Machine()
    image = execve(Resolver(tree, request.uid, request.gid), request, machine)
    if isinstance(image, ExecFailure):
        return EndedSession(Outcome("exec-error", errno=image.errno, steps=image.steps))
    if isinstance(image, ExecCrash):
        return EndedSession(Outcome("signal", steps=image.steps, unknown=f"{image.signal}: {image.reason}"))
    if image.interp is None:
        own = image.file.facts.loader
        if own is not None and own.libc == "musl":
            return musl_direct.start(tree, image, own, request, machine)
        if own is not None and own.libc == "glibc":
            return glibc.start_directly(tree, image, own, request, machine)
        return EndedSession(_static(image))
    facts = loader_facts(tree, image)
    if isinstance(facts, str):
        return EndedSession(
            Outcome("unknown", steps=image.steps, program=image.path, interpreter=image.interp, unknown=facts)
        )
    loader = musl if facts.libc == "musl" else glibc
    session: Session = loader.start(tree, image, facts, request, machine)
    behaviour = image.file.facts.behaviour
    if session.outcome.started and behaviour is not None and behaviour.exit is not None:
        session.outcome = evolve(session.outcome, exit_code=behaviour.exit)
    return session


def listing(tree: Tree, request: ProcessRequest, machine: Machine | None = None) -> Outcome:
    """Ask the program's loader for a list of objects instead of running it, as ldd does: see ``Outcome.trace_*``.

    glibc is asked with LD_TRACE_LOADED_OBJECTS=1, musl as ``LOADER --list PROGRAM``.
    """
    machine = machine or Machine()
    image = execve(Resolver(tree, request.uid, request.gid), request, machine)
    if isinstance(image, ExecImage) and image.interp is not None:
        facts = loader_facts(tree, image)
        if isinstance(facts, LoaderFacts) and facts.libc == "musl":
            asked = evolve(request, exec=image.interp, argv=(image.interp, "--list", image.execfn, *image.argv[1:]))
            return start(tree, asked, machine).finish()
    asked = evolve(request, env=(*request.env, ("LD_TRACE_LOADED_OBJECTS", "1")))
    outcome = start(tree, asked, machine).finish()
    static = isinstance(image, ExecImage) and image.interp is None
    return evolve(outcome, trace_rc=outcome.exit_code) if static else outcome


def _static(image: ExecImage) -> Outcome:
    """A program without PT_INTERP: nobody looks at its dynamic entries."""
    behaviour = image.file.facts.behaviour
    code = behaviour.exit if behaviour is not None else None
    return Outcome("exit", exit_code=code, started=True, steps=image.steps, program=image.path)


def host_session(
    tree: Tree, loader: LoaderFacts, env: tuple[tuple[str, str], ...] = (), machine: Machine | None = None
) -> Session:
    """A process of `tree` that is already running, without a file or DT_NEEDED of its own: to ask what dlopen answers there."""
    machine = machine or Machine()
    elf = ElfFacts(machine=machine.cpu.machine, type="EXEC")
    file = File(4096, ("synthetic", "program"), FileFacts(elf=elf))
    image = ExecImage("/proc/self/exe", "/proc/self/exe", file, elf, ("program",), "/", 0, 0, False)
    request = ProcessRequest("/proc/self/exe", ("program",), env)
    return glibc.start(tree, image, loader, request, machine)


def loader_facts(tree: Tree, image: ExecImage) -> LoaderFacts | str:
    """What is built into the program's loader: as its file says, else derived and marked as assumed; a string = why unknown."""
    assert image.interp_file is not None and image.interp is not None
    facts = image.interp_file.facts
    if facts.loader is not None:
        return facts.loader
    name = (image.interp_path or image.interp).rpartition("/")[2]
    if "musl" in name:
        return LoaderFacts("musl", "1.2.3", assumed=(f"{image.interp} is taken for musl 1.2.3",))
    if facts.elf is None or not name.startswith(("ld-linux", "ld-2", "ld64", "ld.so")):
        return f"{image.interp} is no dynamic loader that nvsim knows, and its facts are not given"
    resolver = Resolver(tree)
    debian = isinstance(resolver.resolve("/etc/debian_version"), Resolved)
    version = _libc_version(resolver, image)
    dirs = _GLIBC_DIRS["debian" if debian else "redhat"]
    kind = "Debian" if debian else "Red Hat"
    text = f"{image.interp} is taken for glibc {version} with {kind}'s built-in directories"
    return LoaderFacts("glibc", version, dirs, "lib/x86_64-linux-gnu" if debian else "lib64", assumed=(text,))


def _libc_version(resolver: Resolver, image: ExecImage) -> str:
    """The highest GLIBC_x.y that the libc beside the loader defines."""
    best = (2, 17)
    directory = (image.interp_path or "/").rpartition("/")[0]
    for path in (f"{directory}/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"):
        found = resolver.resolve(path)
        if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.elf is not None:
            for name in found.node.facts.elf.verdef:
                parts = name.removeprefix("GLIBC_").split(".")
                if name.startswith("GLIBC_") and len(parts) >= 2 and all(p.isdigit() for p in parts):
                    best = max(best, (int(parts[0]), int(parts[1])))
            break
    return f"{best[0]}.{best[1]}"
