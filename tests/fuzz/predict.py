"""What happened, as a value: observed from a real run, or predicted by nvsim; and how the two differ."""

from __future__ import annotations

import errno
import re
from collections import Counter
from typing import Any

from attrs import evolve, frozen

from fuzz.jail import Ran
from fuzz.scenario import Scenario
from nvsim.loader.outcome import DlopenCall, Machine, Outcome, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.tree import Tree

_DEBUG = re.compile(r"^ *\d+:\t(.*)$", re.MULTILINE)
_RUNNING = re.compile(r"calling (pre)?init: |initialize program: |transferring control: |calling fini: ")
VDSO = ("linux-vdso.so.1", "linux-gate.so.1")  # of x86_64 and of i386
_ADDRESS = re.compile(r" \((?:0x)?(?:[0-9a-f]+|\.\.\.)\)$")


@frozen(slots=True)
class Call:
    """One dlopen: `ok` None = not made; `error` dlerror's text; `path` of the object; `new` objects in link map order."""

    ok: bool | None
    error: str | None = None
    path: str | None = None
    new: tuple[str, ...] = ()


@frozen(slots=True)
class Observation:
    """What happened. `end`: "exit N", "signal N" or an errno name; `objects`: the link map without program and vdso; `listing`: the
    lines of ``--list`` without addresses; `debug`: the lines of LD_DEBUG=libs, where they were asked for."""

    end: str
    started: bool
    stderr: str
    objects: tuple[str, ...]
    calls: tuple[Call, ...]
    listing: tuple[str, ...] = ()
    debug: tuple[str, ...] = ()


def silenced(seen: Observation) -> Observation:
    """What a program shows that tells nothing: its end, and what the loader writes."""
    return evolve(seen, started=False, objects=(), calls=())


def observed(ran: Ran) -> Observation:
    """What a real run shows."""
    if ran.errno is not None:
        return Observation(errno.errorcode[ran.errno], False, "", (), ())
    end = f"exit {ran.status}" if ran.status >= 0 else f"signal {-ran.status}"
    lines = ran.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]
    maps: list[list[str]] = []
    marks: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] == "\t":
            continue
        if line[:1] == "M":
            if maps:
                maps[-1].append(line[2:])
        else:
            marks.append((line[:1], line[2:]))
            maps.append([])
    stderr = ran.stderr.decode("utf-8", "surrogateescape")
    if not marks:
        return Observation(end, False, stderr, (), (), _listed(lines))
    calls = []
    before = maps[0]
    for (mark, text), after in zip(marks[1:], maps[1:], strict=True):
        if mark == "S":
            calls.append(Call(None))
            continue
        new = tuple(_added(before, after))
        calls.append(Call(mark == "O", text if mark == "E" else None, text if mark == "O" else None, new))
        before = after
    return Observation(end, True, stderr, _without_program(maps[0]), tuple(calls))


def _listed(lines: list[str]) -> tuple[str, ...]:
    """The lines of a listing without addresses and without the vdso. A line without a name, for the program itself, is left out too:
    in a direct run glibc leaves it to chance (``mode_trace_program`` is not initialised)."""
    kept = (_ADDRESS.sub("", line[1:]) for line in lines if line[:1] == "\t" and not line[1:].startswith(VDSO))
    return tuple(line for line in kept if line)


def debug_output(ran: Ran) -> tuple[str, ...]:
    """What LD_DEBUG=libs prints, without process ids, constructors and destructors."""
    lines = _DEBUG.findall(ran.stderr.decode("utf-8", "surrogateescape"))
    out: list[str] = []
    at = 0
    while at < len(lines):
        if lines[at : at + 1] == lines[at + 2 : at + 3] == [""] and _RUNNING.match(lines[at + 1]):
            at += 3
        else:
            out.append(lines[at])
            at += 1
    return tuple(out)


def _without_program(paths: list[str]) -> tuple[str, ...]:
    return tuple(p for p in paths[1:] if p not in ("", *VDSO))


def _added(before: list[str], after: list[str]) -> list[str]:
    left = Counter(before)
    out = []
    for path in after:
        if left[path]:
            left[path] -= 1
        else:
            out.append(path)
    return out


def request_of(scenario: Scenario) -> ProcessRequest:
    """The process that the scenario asks for."""
    calls = tuple(DlopenCall(c["name"] or "", c.get("flags", 2), c.get("from", "main")) for c in scenario["dlopen"])
    uid = scenario.get("uid", 0)
    return ProcessRequest(
        scenario["exec"], tuple(scenario["argv"]), tuple(scenario["env"].items()), scenario.get("cwd", "/"), uid, uid,
        scenario.get("secure", False), scenario.get("proc", True), calls,
    )  # fmt: skip


def outcome_of(scenario: Scenario, tree: Tree, machine: Machine) -> Outcome:
    """nvsim's answer."""
    return run(tree, request_of(scenario), machine)


def predicted(outcome: Outcome) -> Observation | None:
    """nvsim's answer in the form of an observation; None: it says that it does not know."""
    if outcome.outcome == "unknown":
        return None
    if outcome.outcome == "exec-error":
        return Observation(str(outcome.errno), False, "", (), ())
    calls = tuple(
        Call(d.ok, d.error if d.ok is False else None, d.path if d.ok else None, tuple(o.path for o in d.new_objects))
        if d.ok is not None
        else Call(None)
        for d in outcome.dlopen
        if not d.ended
    )
    paths = tuple(o.path for o in outcome.objects)
    return Observation(
        "signal 11" if outcome.outcome == "signal" else f"exit {outcome.exit_code or 0}",
        outcome.started,
        outcome.stderr,
        paths if outcome.started else (),
        calls,
        _listed(outcome.stdout.split("\n")) if not outcome.started else (),
    )


def difference(real: Observation, ours: Observation | None) -> str | None:
    """What differs, one line; None when nothing does. "Unknown" is no difference: the caller counts it."""
    if ours is None:
        return None
    for name in ("end", "started", "stderr", "objects", "listing", "debug"):
        a, b = getattr(real, name), getattr(ours, name)
        if a != b and name == "debug":
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            return f"debug: line {at}: the loader {a[at : at + 1]!r}, nvsim {b[at : at + 1]!r}"
        if a != b:
            return f"{name}: the loader {a!r}, nvsim {b!r}"
    for i, (a, b) in enumerate(zip(real.calls, ours.calls, strict=False)):
        if a != b and not (a.ok is None and b.ok is None):
            return f"dlopen {i}: the loader {a}, nvsim {b}"
    if len(real.calls) != len(ours.calls):
        return f"dlopen: the loader made {len(real.calls)} calls, nvsim {len(ours.calls)}"
    return None


def signature(real: Observation, ours: Observation | None) -> tuple[str, ...]:
    """What kind of difference it is, so that a shrunk one is of the same kind: the field, and the names of files at the first
    place where two lists part."""
    if ours is None:
        return ()
    for name in ("end", "started", "stderr", "objects", "listing", "debug"):
        a, b = getattr(real, name), getattr(ours, name)
        if a != b and isinstance(a, tuple):
            return (name, *_parting(a, b))
        if a != b:
            return (name, a.partition(" ")[0] if name == "end" else "")
    for a, b in zip(real.calls, ours.calls, strict=False):
        if a != b:
            return ("dlopen", str(a.ok), str(b.ok), *_parting(a.new, b.new))
    return ("dlopen",)


def _parting(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, str]:
    for x, y in zip((*a, ""), (*b, ""), strict=False):
        if x != y:
            return x.rpartition("/")[2], y.rpartition("/")[2]
    return "", ""


def expectation(real: Observation) -> dict[str, Any]:
    """What really happened, in the form of ``expect`` of ``vectors/loader``."""
    kind, _, number = real.end.partition(" ")
    out: dict[str, Any] = {
        "outcome": kind if number else "exec-error",
        "stderr": real.stderr,
        "started": real.started,
        "objects": [{"path": p} for p in real.objects],
        "dlopen": [{"ok": c.ok, "new_objects": list(c.new), "error": c.error} for c in real.calls],
    }
    if kind == "exit":
        out["exit_code"] = int(number)
    elif not number:
        out["errno"] = kind
    return out
