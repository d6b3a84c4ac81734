"""What known programs do once they run: which libraries they dlopen, in which order, and what they print when that fails.

The facts are data (``nvsim-program/1``, ``docs/formats-programs.md``); here they are read, matched with a process and played
against a loader session. A program whose image entry tells its behaviour needs no such file (`wishes_as_steps`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.loader.outcome import DlopenCall, DlopenResult, Outcome
from nvsim.rootfs.datafile import FilePath, names_in
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import derived

if TYPE_CHECKING:
    from nvsim.rootfs.behaviour import Behaviour

FORMAT = "nvsim-program/1"
NEEDS = ("kernel-driver", "gpu", "uvm")


class LoaderSession(Protocol):
    """A started process (`nvsim.loader.process.Session`)."""

    @property
    def outcome(self) -> Outcome: ...

    def dlopen(self, call: DlopenCall) -> DlopenResult: ...


@frozen
class Failure:
    """What a program does when a step fails."""

    stdout: str = ""
    stderr: str = ""
    exit: int | None = None


@frozen
class Step:
    """One thing that a program does: dlopen the first of `names` that loads, or use the driver (`needs`)."""

    what: str
    names: tuple[str, ...] = ()
    flags: int = 2
    caller: str = "main"
    needs: str | None = None
    required: bool = True
    failure: Failure = Failure()


@frozen
class Match:
    """How a program is recognised; empty conditions hold."""

    program: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    so_strings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


@frozen
class KnownProgram:
    """One ``nvsim-program/1`` file. `exit` and `stdout` are those of a run without a failure."""

    name: str
    title: str
    match: Match
    steps: tuple[Step, ...]
    exit: int | None = None
    sources: tuple[str, ...] = ()
    check: bool = False
    stdout: str = ""


@frozen
class StepResult:
    """What came of a step: every attempt in order; `ok` None = not made or undecidable; `note` says why in words."""

    step: Step
    ok: bool | None
    attempts: tuple[DlopenResult, ...] = ()
    note: str = ""


@frozen
class ProgramRun:
    """What a known program did. `program` None: its image entry told its behaviour. `exit_code` None = not known."""

    program: KnownProgram | None
    steps: tuple[StepResult, ...]
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    assumptions: tuple[str, ...] = ()

    @property
    def failed(self) -> StepResult | None:
        """The required step that failed, if one did."""
        return next((s for s in self.steps if s.ok is False and s.step.required), None)


def load_programs(folder: FilePath) -> tuple[KnownProgram, ...]:
    """Every known program of a data directory, by name. Raises `InputError` for a broken file."""
    return tuple(_program(os.path.join(folder, f"{name}.json")) for name in names_in(folder))


def _program(path: str) -> KnownProgram:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as e:
        raise InputError(f"cannot be read: {e}", source=path) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"is no {FORMAT} file", source=path)
    try:
        match = Match(**{k: tuple(v) for k, v in data["match"].items()})
        steps = tuple(_step(s) for s in data["steps"])
        title = str(data.get("title", data["name"]))
        sources, check = tuple(data.get("sources", ())), bool(data.get("check", False))
        return KnownProgram(data["name"], title, match, steps, data.get("exit"), sources, check, data.get("stdout", ""))
    except (KeyError, TypeError, AttributeError) as e:
        raise InputError(f"is not a valid {FORMAT} file: {e}", source=path) from None


def _step(data: dict[str, Any]) -> Step:
    needs = data.get("needs")
    if needs is not None and needs not in NEEDS:
        raise TypeError(f"needs must be one of {', '.join(NEEDS)}")
    return Step(
        data["what"],
        tuple(data.get("dlopen", ())),
        data.get("flags", 2),
        data.get("from", "main"),
        needs,
        data.get("required", True),
        Failure(**data.get("failure", {})),
    )


def recognise(
    programs: tuple[KnownProgram, ...], resolver: Resolver, argv: tuple[str, ...], program: str, cwd: str = "/"
) -> tuple[tuple[KnownProgram, str | None], ...]:
    """The known programs that a process is, each with the assumption that was needed to say so.

    `program` is the canonical path of the executed file.
    """
    node = resolver.tree.node(program)
    if not isinstance(node, File):
        return ()
    found = []
    for known in programs:
        assumption = _recognised(known, resolver, argv, program, node, cwd)
        if assumption is not None:
            found.append((known, assumption or None))
    return tuple(found)


def _recognised(
    known: KnownProgram, resolver: Resolver, argv: tuple[str, ...], program: str, node: File, cwd: str
) -> str | None:
    """None = not this program; else the assumption that was needed ("" = none)."""
    match = known.match
    names = {program.rpartition("/")[2], argv[0].rpartition("/")[2]}
    if match.program and not any(fnmatchcase(n, p) for n in names for p in match.program):
        return None
    elf = node.facts.elf
    if not set(match.needed) <= set(elf.needed if elf else ()):
        return None
    if elf and elf.so_strings and not set(match.so_strings) <= set(elf.so_strings):
        return None
    if match.files and not any(glob(resolver, pattern) for pattern in match.files):
        return None
    if not match.mentions:
        return ""
    mentioned = _mentioned(match.mentions, resolver, argv, cwd)
    if mentioned is None:
        return (
            f"{argv[0]} is assumed to use {known.title}: its files are in the image, the program's text cannot be seen"
        )
    return "" if mentioned else None


def _first_match(resolver: Resolver, pattern: str) -> tuple[str, ...]:
    """The first path that matches a pattern, or none; asked once a tree and user."""
    key = (pattern, resolver.uid, resolver.gid)
    return derived(resolver.tree, "glob", key, lambda: glob(resolver, pattern)[:1])


def _mentioned(words: tuple[str, ...], resolver: Resolver, argv: tuple[str, ...], cwd: str) -> bool | None:
    """Whether one of the words occurs in the arguments or in a script they name; None when no text can be seen."""
    if any(word in argument for argument in argv[1:] for word in words):
        return True
    seen = None
    for argument in argv[1:]:
        at = resolver.resolve(argument, cwd=cwd) if argument and not argument.startswith("-") else None
        if isinstance(at, Resolved) and isinstance(at.node, File) and at.node.facts.text is not None:
            if any(word in at.node.facts.text for word in words):
                return True
            seen = False
    if seen is None and "-c" in argv[1:]:
        return False
    return seen


def wishes_as_steps(behaviour: Behaviour) -> tuple[Step, ...]:
    """The steps of a program whose image entry tells its dlopens."""
    return tuple(
        Step(w.name, (w.name,), w.flags, w.caller, required=w.required, failure=Failure(stderr="{error}\n", exit=1))
        for w in behaviour.dlopen
    )


def play(
    program: KnownProgram | None,
    steps: tuple[Step, ...],
    session: LoaderSession,
    resolver: Resolver,
    met: Mapping[str, str | None],
    exit_code: int | None,
) -> ProgramRun:
    """Play `steps` in a started process.

    `met` tells for each of `NEEDS` why it is *not* met (None = it is). After a failed required step the rest is not made.
    """
    results: list[StepResult] = []
    loaded = [item.path for item in session.outcome.objects]
    out = Failure()
    for step in steps:
        if step.needs is not None:
            why = met.get(step.needs)
            result = StepResult(step, why is None, note=why or "")
        else:
            result = _load(step, session, resolver, loaded)
        results.append(result)
        if result.ok is False and step.required:
            out = _said(step.failure, result)
            exit_code = out.exit
            break
        if any(a.ended for a in result.attempts):
            exit_code = session.outcome.exit_code
            break
    else:
        out = Failure(_success(program, session, resolver) if program is not None else "")
    return ProgramRun(program, tuple(results), out.stdout, out.stderr, exit_code)


def _success(program: KnownProgram, session: LoaderSession, resolver: Resolver) -> str:
    """What the program prints when all went well; nothing where that takes a version that the file's entry does not tell."""
    node = resolver.tree.node(session.outcome.program or "/")
    version = node.facts.extra.get("version") if isinstance(node, File) else None
    if "{version}" in program.stdout and not isinstance(version, str):
        return ""
    return program.stdout.replace("{version}", str(version))


def _load(step: Step, session: LoaderSession, resolver: Resolver, loaded: list[str]) -> StepResult:
    """Make the attempts of one step; the paths of new objects are appended to `loaded`."""
    attempts: list[DlopenResult] = []
    caller = _caller(step.caller, loaded)
    for name in step.names:
        names = _first_match(resolver, name.removeprefix("glob:")) if name.startswith("glob:") else (name,)
        for real in names:
            attempt = session.dlopen(DlopenCall(real, step.flags, caller))
            attempts.append(attempt)
            loaded.extend(item.path for item in attempt.new_objects)
            if attempt.ok or attempt.ended:
                return StepResult(step, attempt.ok, tuple(attempts))
    if any(a.ok is None for a in attempts):
        return StepResult(step, None, tuple(attempts), "whether it loads cannot be decided")
    return StepResult(step, False, tuple(attempts), "" if attempts else "no such file in the container")


def _caller(patterns: str, loaded: list[str]) -> str:
    """The first loaded object whose base name fits one of the comma-separated patterns; "main" when none does."""
    if patterns == "main" or "/" in patterns:
        return patterns
    fits = (path for p in patterns.split(",") for path in loaded if fnmatchcase(path.rpartition("/")[2], p.strip()))
    return next(fits, "main")


def _said(failure: Failure, result: StepResult) -> Failure:
    last = result.attempts[-1] if result.attempts else None
    words = {
        "error": (last.error if last else None) or result.note,
        "name": last.call.name if last else result.step.what,
    }
    return Failure(failure.stdout.format_map(words), failure.stderr.format_map(words), failure.exit)
