"""The loader run as a command: ``ld.so [OPTION]... PROGRAM [ARGUMENT]...`` (``elf/rtld.c``, ``dl_main``; ``elf/dl-usage.c``).

The options themselves are `nvsim.loader.glibc.options`.
"""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc import options
from nvsim.loader.glibc.linkmap import PROGRAM, map_object
from nvsim.loader.glibc.options import Options, UsageError
from nvsim.loader.glibc.session import GlibcSession
from nvsim.loader.glibc.setup import add_loader, new_outcome, new_process, rules_for
from nvsim.loader.glibc.startup import refuse_static, run_startup
from nvsim.loader.glibc.state import EndError, LoadError, Object, Process
from nvsim.loader.outcome import Machine, Outcome, ProcessRequest
from nvsim.rootfs.tree import Tree


def start_directly(
    tree: Tree, loader: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcSession | ProcessRequest:
    """Run the loader `loader`, a program without PT_INTERP, with its arguments; a request: it executes that instead."""
    outcome = new_outcome(loader, facts)
    wishes = options.from_environment(request.env, rules_for(loader, facts), secure=loader.secure)
    process = new_process(tree, loader, facts, wishes, machine)
    try:
        wishes, argv = options.from_arguments(wishes, loader.argv, facts.version, facts.cache or "/etc/ld.so.cache")
    except UsageError as e:
        return GlibcSession(process, evolve(outcome, exit_code=e.code, stderr=e.text))
    if wishes.mode == options.PRINT:
        return GlibcSession(process, _tell(new_process(tree, loader, facts, wishes, machine), wishes, argv, outcome))
    process = new_process(tree, evolve(loader, argv=argv), facts, wishes, machine)
    process.stack_executable = loader.elf.stack == "rwx"
    ran = _run_program(process, loader, argv[0], wishes, outcome)
    if ran is None:
        own = argv[0] if wishes.argv0 is None else wishes.argv0
        return evolve(request, exec=argv[0], argv=(own, *argv[1:]), uid=loader.uid, gid=loader.gid)
    return GlibcSession(process, ran)


def _tell(process: Process, wishes: Options, argv: tuple[str, ...], outcome: Outcome) -> Outcome:
    """What ``--help`` (with the lists of a program, if `argv` names one) and ``--version`` print."""
    from nvsim.loader.glibc import help as texts  # few processes ask

    if wishes.prints == "--version":
        return evolve(outcome, exit_code=0, stdout=texts.version_text(process.facts))
    if wishes.prints != "--help":
        assumption = f"what {wishes.prints} prints is not modelled"
        return evolve(outcome, exit_code=0, assumptions=(*outcome.assumptions, assumption))
    name = process.argv0
    try:
        main = map_object(process, argv[0], None, PROGRAM) if argv else None
    except LoadError:
        main = None
    if main is None:
        process.enter(Object("", ElfFacts(machine=process.image.elf.machine), None, None))
    try:
        refuse_static(process)
    except EndError as e:
        return evolve(outcome, outcome=e.outcome, unknown=e.text)
    text, assumed = texts.help_text(process, wishes, name)
    return evolve(outcome, exit_code=0, stdout=text, assumptions=(*outcome.assumptions, *assumed))


def _run_program(process: Process, loader: ExecImage, name: str, wishes: Options, outcome: Outcome) -> Outcome | None:
    """Map the program `name`, make it the process's own, and start it; None: it is to be executed (``rtld_chain_load``)."""
    try:
        main = map_object(process, name, None, PROGRAM)
    except LoadError as e:
        verify = wishes.mode == options.VERIFY
        text = "" if verify else f"{name}: error while loading shared libraries: {e.early()}\n"
        searches = tuple(process.searches)
        return evolve(outcome, exit_code=1 if verify else 127, stderr=text, searches=searches)
    assert main is not None
    if main.node is None or main.file is None:  # a faked object: in a listing a missing program is no error
        return evolve(outcome, exit_code=0, stdout="\tstatically linked\n")
    if wishes.mode == options.VERIFY:
        return evolve(outcome, exit_code=1 if main.elf.nodyn else 2 if main.elf.interp is None else 0)
    soname = loader.elf.soname
    if wishes.mode == options.NORMAL and soname is not None and main.elf.soname == soname:
        prefix = f"{soname}: " if process.rules.chain_load else ""
        return evolve(outcome, exit_code=127, stderr=f"{prefix}loader cannot load itself\n")
    if process.rules.chain_load and wishes.mode == options.NORMAL and not main.elf.needed and main.elf.interp is None:
        return None
    process.image = evolve(process.image, path=main.file, file=main.node, elf=main.elf)
    _become_main(process, main)
    process.argv0 = name if wishes.argv0 is None else wishes.argv0
    path = loader.argv[0] if loader.argv else ""
    add_loader(process, path, main.elf.interp or path, loader.file, loader.path)
    outcome = run_startup(process, wishes, evolve(outcome, program=main.file, interpreter=path))
    behaviour = main.node.facts.behaviour
    return evolve(outcome, exit_code=behaviour.exit) if outcome.started and behaviour is not None else outcome


def _become_main(process: Process, main: Object) -> None:
    """The program that was mapped by name is the main program now, which has the empty name."""
    for name in ("", main.path):
        process.call(main, name)
    main.path, main.name = "", None
