"""The loader run as a program: ``ld-musl-x86_64.so.1 [--list] [--library-path P] [--preload L] [--argv0 A] [--] PROGRAM``, and ``ldd``
(``ldso/dynlink.c``: ``__dls3``)."""

from __future__ import annotations

from nvsim.elf.facts import LoaderFacts
from nvsim.frozen import evolve, frozen
from nvsim.loader.execve import ExecImage
from nvsim.loader.musl.search import open_library
from nvsim.loader.musl.session import MuslSession, new_process, run_startup
from nvsim.loader.musl.state import ERRNO_TEXT, CrashError
from nvsim.loader.outcome import Machine, Outcome, ProcessRequest
from nvsim.rootfs.tree import Tree


@frozen
class CommandLine:
    """What the arguments of the loader say. `arguments` are the program and its own arguments; empty: the usage is shown."""

    name: str
    listing: bool
    library_path: str | None
    preload: str | None
    argv0: str | None
    arguments: tuple[str, ...]


def parse_command_line(argv: tuple[str, ...]) -> CommandLine:
    """The loader's own way to read its arguments."""
    name = argv[0] if argv else ""
    rest = list(argv[1:])
    listing = name.endswith("ldd")
    given: dict[str, str] = {}
    while rest and rest[0].startswith("--"):
        option = rest.pop(0)[2:]
        if not option:
            break
        if option == "list":
            listing = True
            continue
        known = next((o for o in ("library-path", "preload", "argv0") if option.startswith(o)), None)
        after = option[len(known) :] if known is not None else ""
        if known is None or (after and not after.startswith("=")):
            rest = []
        elif after:
            given[known] = after[1:]
        elif rest:
            given[known] = rest.pop(0)
    return CommandLine(name, listing, given.get("library-path"), given.get("preload"), given.get("argv0"), tuple(rest))


def start(tree: Tree, loader: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine) -> MuslSession:
    """Run the musl loader `loader` (a program without PT_INTERP that is a loader) with its arguments."""
    line = parse_command_line(loader.argv)
    env: dict[str, str] = {}
    for name, value in request.env:
        env.setdefault(name, value)
    own = evolve(loader, interp=line.name, interp_path=loader.path, interp_file=loader.file)
    process = new_process(tree, own, facts, request)
    outcome = Outcome("exit", steps=loader.steps, program=loader.path, libc=f"musl {facts.version}")
    if not line.arguments:
        return MuslSession(process, _failed(outcome, _usage(line, facts)))
    program = line.arguments[0]
    try:
        opened = open_library(process, program)
    except CrashError as e:
        return MuslSession(process, evolve(outcome, outcome="signal", unknown=f"SIGBUS: {e}"))
    if opened is None:
        text = f"{line.name}: cannot load {program}: {ERRNO_TEXT.get(process.errno, str(process.errno))}\n"
        return MuslSession(process, _failed(outcome, text))
    if isinstance(opened, str):
        return MuslSession(process, _failed(outcome, f"{line.name}: {program}: Not a valid dynamic program\n"))
    node, where, elf = opened
    main = process.main
    main.path, main.elf, main.node, main.file, main.kernel_mapped = program, elf, node, where, False
    process.image = evolve(own, file=node, elf=elf, path=where)
    process.libc.path = elf.interp if line.listing and elf.interp is not None else line.name
    process.listing = line.listing
    if not loader.secure:
        process.library_path, process.preload = env.get("LD_LIBRARY_PATH", ""), env.get("LD_PRELOAD", "")
    process.library_path = process.library_path if line.library_path is None else line.library_path
    process.preload = process.preload if line.preload is None else line.preload
    ran = run_startup(process, evolve(outcome, program=where))
    if line.listing:
        ran = _as_listing(ran, process.libc.path, tuple(process.listed))
    return MuslSession(process, ran)


def _as_listing(outcome: Outcome, interp: str, listed: tuple[tuple[str, str], ...]) -> Outcome:
    code = outcome.exit_code or 0
    lines = [interp, *(f"{name} => {path}" for name, path in listed)]
    return evolve(
        outcome,
        exit_code=code,
        stdout="".join(f"\t{line} (0x...)\n" for line in lines),
        trace_rc=code,
        trace_objects=((interp, interp), *listed),
        trace_stderr=outcome.stderr,
    )


def _failed(outcome: Outcome, text: str) -> Outcome:
    return evolve(outcome, exit_code=1, stderr=text)


def _usage(line: CommandLine, facts: LoaderFacts) -> str:
    machine = facts.path_file.rpartition("ld-musl-")[2].removesuffix(".path")
    arguments = "" if line.listing else " [args]"
    return (
        f"musl libc ({machine})\nVersion {facts.version}\nDynamic Program Loader\n"
        f"Usage: {line.name} [options] [--] pathname{arguments}\n"
    )
