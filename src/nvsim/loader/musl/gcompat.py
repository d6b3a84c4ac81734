"""gcompat: the file at glibc's PT_INTERP path on musl systems. It executes musl's loader on the program, with libgcompat preloaded
(gcompat 1.1, ``loader/loader.c``)."""

from __future__ import annotations

from nvsim.elf.facts import LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage
from nvsim.loader.musl import direct
from nvsim.loader.musl.session import MuslSession
from nvsim.loader.outcome import Machine, Outcome, ProcessRequest
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

LIBRARY = "/lib/libgcompat.so.0"


def start(
    tree: Tree, image: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> MuslSession | Outcome:
    """Start the program of `image`, whose interpreter is gcompat's; an `Outcome` where no loader comes to run."""
    assert image.interp is not None
    plain = Outcome("exit", steps=image.steps, program=image.path, interpreter=image.interp)
    linker = f"/lib/ld-musl-{image.elf.machine}.so.1"
    found = Resolver(tree, image.uid, image.gid).resolve(linker)
    if not isinstance(found, Resolved):
        return evolve(plain, exit_code=1, stderr="execve: No such file or directory\n")
    node = found.node
    own = node.facts.loader if isinstance(node, File) else None
    if not isinstance(node, File) or node.facts.elf is None or own is None or own.libc != "musl":
        return evolve(plain, outcome="unknown", unknown=f"{image.interp} is gcompat's, and {linker} is no musl loader")
    named = facts.preload or ""
    library = named if "libgcompat" in named else LIBRARY  # not the preload file that facts of glibc's loader name
    preload = f"{library} {dict(request.env).get('LD_PRELOAD', '')}"
    argv = (
        image.interp.rpartition("/")[2],
        "--argv0",
        image.argv[0] if image.argv else "",
        "--preload",
        preload,
        image.path,
    )
    loader = evolve(
        image,
        execfn=linker,
        path=found.path,
        file=node,
        elf=node.facts.elf,
        argv=(*argv, *image.argv[1:]),
        secure=False,
        interp=None,
        interp_path=None,
        interp_file=None,
    )
    session = direct.start(tree, loader, own, request, machine)
    session.outcome = _honest(tree, session.outcome, library)
    return session


def _honest(tree: Tree, outcome: Outcome, library: str) -> Outcome:
    """Missing symbols prove nothing where it is not known what libgcompat defines."""
    if outcome.started or "symbol not found" not in outcome.stderr:
        return outcome
    found = Resolver(tree).resolve(library)
    facts = found.node.facts if isinstance(found, Resolved) and isinstance(found.node, File) else None
    if facts is None or facts.elf is None or facts.elf.defs is not None or facts.symbols is not None:
        return outcome
    return evolve(outcome, outcome="unknown", exit_code=None, unknown=f"which symbols {library} defines is not known")
