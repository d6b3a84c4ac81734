"""Findings read off one result: what shows in the scenario as it is. Later layers are `nvsim.diagnosis.explain`."""

from __future__ import annotations

from collections.abc import Iterator

from nvsim.diagnosis.catalogue import entry
from nvsim.diagnosis.model import Finding, Proposal
from nvsim.diagnosis.where import (
    base_name,
    considered,
    in_container,
    on_host,
    sentences,
    skipped_because,
    versioned_in_container,
)
from nvsim.loader.outcome import Search
from nvsim.rootfs.glob import glob
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import parent_of
from nvsim.scenario.changes import AddLink, Change, SetEnv, UpgradeToolkit, UseRuntime
from nvsim.simulate import ProcessResult, Result

_ENGINE_ERRORS = (
    ("initialization error", "NVS201"),
    ("requirement error", "NVS105"),
    ("device error", "NVS107"),
    ("mount error", "NVS204"),
    ("ldcache error", "NVS205"),
    ("detection error", "NVS202"),
)
_EXEC_ERRORS = {"EACCES": "NVS304", "ENOEXEC": "NVS305"}
_LOADERS = (
    "/nix/store/*/lib/ld-linux-x86-64.so.2",
    "/gnu/store/*/lib/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/usr/lib64/ld-linux-x86-64.so.2",
    "/usr/lib/ld-linux-x86-64.so.2",
)


def _finding(
    code: str,
    subject: str,
    message: str,
    evidence: tuple[str, ...] = (),
    changes: tuple[Change, ...] = (),
    advice: str = "",
) -> Finding:
    kind = entry(code)
    return Finding(
        code, kind.slug, kind.severity, subject, message, evidence, tuple(Proposal(c) for c in changes), advice
    )


def find(result: Result) -> tuple[Finding, ...]:
    """Every finding of one result, each once."""
    found = list(_of_start(result))
    for process in (result.main, *result.checks):
        found += list(_of_process(result, process))
    unique = {(f.code, f.subject): f for f in reversed(found)}
    return tuple(reversed(unique.values()))


def _of_start(result: Result) -> Iterator[Finding]:
    refused = result.request.refused
    if refused is not None:
        why = sentences(tuple(b for _, b in result.request.because))
        yield _finding("NVS104", refused.program, refused.stderr.strip().splitlines()[-1], why)
    failure = result.injected.failure if result.injected is not None else None
    if failure:
        code = next((c for prefix, c in _ENGINE_ERRORS if prefix in failure), "NVS207")
        yield _finding(code, "nvidia-container-cli", failure.strip())
    if result.verdict == "unknown":
        yield _finding("NVS901", result.process.argv[0], result.main.reason)


def _of_process(result: Result, process: ProcessResult) -> Iterator[Finding]:
    if process.verdict != "fails" or result.injected is None or result.injected.failure is not None:
        return
    subject = base_name(process.argv[0])
    outcome = process.outcome
    if outcome is None:
        if process.lookup is not None:
            code = "NVS302" if "not found in $PATH" in (process.lookup.error or "") else "NVS303"
            yield _finding(code, subject, process.reason, tuple(f"{p}: {why}" for p, why in process.lookup.tried))
        return
    if outcome.outcome == "exec-error":
        yield _exec(result, process)
        return
    searches = [
        s
        for r in process.runs
        for step in r.steps
        if step.ok is False and step.step.required
        for a in step.attempts[:1]
        for s in a.searches
    ]
    searches += [s for d in process.dlopen if d.ok is False for s in d.searches]
    if not outcome.started:
        searches += list(outcome.searches)
    failed = [s for s in searches if s.result in ("not-found", "fatal")]
    for search in failed:
        yield _library(result, process, search)
    if not failed:
        for run in process.runs:
            if run.failed is not None and run.failed.step.needs is not None:
                yield _finding("NVS602", subject, f"{run.failed.step.what}: {run.failed.note}")
        if not outcome.started:
            yield _startup(process)


def _startup(process: ProcessResult) -> Finding:
    text = process.reason
    subject = base_name(process.argv[0])
    for part, code in (
        ("' not found (required by", "NVS501"),
        ("undefined symbol", "NVS502"),
        ("symbol not found", "NVS502"),
        ("ISA level", "NVS503"),
    ):
        if part in process.stderr:
            return _finding(code, subject, text, tuple(process.stderr.splitlines()))
    return _finding("NVS504", subject, text, tuple(process.stderr.splitlines()))


def _exec(result: Result, process: ProcessResult) -> Finding:
    outcome = process.outcome
    assert outcome is not None and result.injected is not None
    last = outcome.steps[-1]
    subject = base_name(process.argv[0])
    evidence = tuple(
        f"{s.role} {s.path}: {'it is there' if s.errno is None else s.errno} ({s.because})" for s in outcome.steps
    )
    if last.role == "interpreter" and outcome.errno == "ENOENT":
        loader = _own_loader(result)
        changes = (AddLink(last.path, loader),) if loader is not None else ()
        advice = "" if loader else "the image has no glibc loader: use a glibc-based image, or do not call this program"
        message = f"{process.argv[0]} is there, but the dynamic linker that it names, {last.path}, does not exist in the image"
        return _finding("NVS301", subject, message, evidence, changes, advice)
    code = _EXEC_ERRORS.get(outcome.errno or "", "NVS306")
    return _finding(code, subject, process.reason, evidence)


def _own_loader(result: Result) -> str | None:
    """A glibc loader that is in the image: the command's own, else one of a store or a library directory."""
    main = result.main.outcome
    if main is not None and main.interpreter and "ld-linux" in main.interpreter:
        return main.interpreter
    resolver = Resolver(result.scenario.image.tree)
    return next((path for pattern in _LOADERS for path in glob(resolver, pattern)), None)


def _library(result: Result, process: ProcessResult, search: Search) -> Finding:
    """Why one library did not load: not injected, not searched, broken, or nowhere."""
    assert result.injected is not None
    name, host = search.name, result.scenario.host
    fatal = [c for c in search.candidates if c.result.startswith("fatal")]
    if fatal:
        return _finding(
            "NVS403", name, f"{fatal[0].path}: {fatal[0].result.removeprefix('fatal: ')}", considered(search)
        )
    if search.error and "wrong ELF class" in search.error:
        return _finding("NVS404", name, search.error, considered(search))
    places = [p for p in in_container(result.injected.rootfs, base_name(name)) if p.usable]
    if places:
        directory = parent_of(places[0].path)
        old = _env(result, "LD_LIBRARY_PATH")
        value = f"{old}:{directory}" if old else directory
        message = f"{name} is in the container at {places[0].path} ({places[0].by}), where the loader of {base_name(process.argv[0])} does not look"
        return _finding("NVS401", name, message, considered(search), (SetEnv("LD_LIBRARY_PATH", value),))
    versioned = versioned_in_container(result.injected.rootfs, base_name(name))
    if versioned:
        message = f"{versioned[0]} is in the container, but not the link {name}: ldconfig did not make it"
        return _finding(
            "NVS405",
            name,
            message,
            considered(search),
            (AddLink(f"{parent_of(versioned[0])}/{name}", base_name(versioned[0])),),
        )
    copy = on_host(host, name)
    if copy is None:
        code = (
            "NVS407"
            if search.requester
            and search.requester != process.argv[0]
            and process.outcome
            and not process.outcome.started
            else "NVS402"
        )
        return _finding(code, name, f"{name} is nowhere in the container", considered(search))
    return _not_injected(result, name, copy.path, skipped_because(result.plan, copy))


def _not_injected(result: Result, name: str, path: str, skipped: object) -> Finding:
    request = result.request
    why = dict(request.because)
    if request.route == "none":
        if "route" in why:
            text = f"{name} is on the host ({path}), but no NVIDIA runtime is called"
            return _finding("NVS103", name, text, sentences((why["route"],)), (UseRuntime(),))
        text = f"{name} is on the host ({path}), but the container asks for no GPU"
        return _finding("NVS102", name, text, sentences((why["devices"],)), (SetEnv("NVIDIA_VISIBLE_DEVICES", "all"),))
    reasons = getattr(skipped, "because", ())
    evidence = (
        f"{path} is on the host",
        *sentences((why["capabilities"],) if "capabilities" in why else ()),
        *sentences(reasons),
    )
    have = request.capabilities or ()
    if "compute" not in have or "utility" not in have:
        wanted = "utility" if name.startswith(("libnvidia-ml", "libnvidia-cfg")) else "compute"
        value = ",".join(sorted({*have, wanted}))
        changes: tuple[Change, ...] = (SetEnv("NVIDIA_DRIVER_CAPABILITIES", value),)
        if result.scenario.host.toolkit.version and not _env(result, "NVIDIA_DRIVER_CAPABILITIES"):
            changes += (UpgradeToolkit("1.4.0"),)
        text = f"{name} was not injected: the driver capability {wanted} was not requested (requested: {','.join(have) or 'none'})"
        return _finding("NVS101", name, text, evidence, changes)
    return _finding("NVS402", name, f"{name} is on the host ({path}) and was not injected", evidence)


def _env(result: Result, name: str) -> str:
    return next((e.partition("=")[2] for e in result.process.env if e.startswith(f"{name}=")), "")
