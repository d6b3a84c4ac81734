"""The ldconfig run that ends the legacy engine's work: which program is executed where, and what its failure means.

Source: libnvidia-container ``src/nvc_ldcache.c``. What ldconfig does to a root is `nvsim.loader.ldconfig`; execve is
`nvsim.loader.execve`.
"""

from __future__ import annotations

import re

from nvsim.errors import UnsupportedError
from nvsim.frozen import evolve, frozen
from nvsim.host.profile import HostProfile
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.paths import EngineFailure, failure
from nvsim.inject.plan import Effect, LdconfigRunPlan
from nvsim.loader.execve import ExecCrash, ExecFailure, ExecImage, execve
from nvsim.loader.ldconfig.run import LdconfigRun, run_ldconfig
from nvsim.loader.outcome import Machine, ProcessRequest
from nvsim.rootfs.node import Directory, File, FileFacts, Origin
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver, resolve

BY = "ldconfig"
_FD = "/memfd:ldconfig"  # stands for the file descriptor through which a program of the host is executed
_CACHE = "/etc/ld.so.cache"
_SIGXFSZ = 25
_WRAPPER = r'(?m)^exec[ \t]+(/\S+)[ \t]+"\$@"\s*\Z'  # the last command of a script
_MAX_WRAPPERS = 5


@frozen
class LdconfigDone:
    """The root after the run. `failure` is the text behind "ldcache error: ", None = success, which includes a program that could
    not be found: then `log` alone says so. `log` are the lines that only the engine's debug log shows."""

    rootfs: RootFS
    effects: tuple[Effect, ...] = ()
    failure: str | None = None
    log: tuple[str, ...] = ()


def run_planned_ldconfig(plan: LdconfigRunPlan, rootfs: RootFS, host: HostProfile, engine: Engine) -> LdconfigDone:
    """Run ldconfig inside `rootfs`. Raises `UnsupportedError` when nobody knows what the program does."""
    try:
        program = _host_program(plan, host, engine) if plan.side == "host" else None
    except EngineFailure as e:
        return LdconfigDone(rootfs, failure=str(e))
    for directory in ("/proc", "/sys", "/dev"):
        found = resolve(rootfs, directory)
        if isinstance(found, PathError) or not isinstance(found.node, Directory):
            return _not_started(
                plan, rootfs, f"mount operation failed: {directory}", getattr(found, "errno", "ENOTDIR")
            )
    started = _execute(plan, rootfs, program, Machine(host.cpu, host.kernel))
    if isinstance(started, ExecFailure):
        return _not_started(plan, rootfs, "process execution failed", started.errno)
    if isinstance(started, ExecCrash):
        raise UnsupportedError(f"ldconfig ({plan.path}) is killed by {started.signal} when it starts")
    facts = started.file.facts
    if facts.ldconfig is None:
        status = _script_status(rootfs, plan.path) if plan.side == "container" else None
        if status is None and facts.behaviour is not None:
            status = facts.behaviour.exit
        if status is None:
            raise UnsupportedError(f"what {started.path} of the {plan.side} does as ldconfig is not known")
        text = f"process {plan.path} failed with error code: {status}" if status else None
        return LdconfigDone(rootfs, failure=text)
    mount = rootfs.mount_at("/etc")
    run = run_ldconfig(
        rootfs,
        facts.ldconfig,
        plan.argv[1:],
        origin=Origin("hook", BY),
        program=plan.path,
        readonly=mount is not None and "ro" in mount.flags,
        # only a program of the host keeps CAP_DAC_OVERRIDE (``adjust_capabilities``)
        powerless=plan.side == "container",
    )
    return _judge(plan, rootfs, run, engine.cache_limit)


def _judge(plan: LdconfigRunPlan, before: RootFS, run: LdconfigRun, limit: int) -> LdconfigDone:
    effects = [Effect("symlink", path, target, BY) for path, target in run.links]
    effects += [Effect("removed", path, "a stale link", BY) for path in run.removed]
    log = tuple(run.stderr.splitlines())
    if run.rc != 0:
        text = f"process {plan.path} failed with error code: {run.rc}"
        return LdconfigDone(run.rootfs, tuple(effects), text, log)
    if run.cache is None:
        return LdconfigDone(run.rootfs, tuple(effects), None, log)
    written = resolve(run.rootfs, _CACHE)
    if isinstance(written, Resolved) and isinstance(written.node, File) and written.node.size > limit:
        editor = run.rootfs.edit()
        old = before.node(written.path)
        if old is None:
            editor.remove(written.path)
        else:
            editor.put(written.path, old)
        text = f"process {plan.path} terminated with signal {_SIGXFSZ}"
        return LdconfigDone(editor.freeze(), tuple(effects), text, log)
    effects.append(Effect("ldcache", _CACHE, f"{len(run.cache.entries)} entries", BY))
    return LdconfigDone(run.rootfs, tuple(effects), None, log)


def _not_started(plan: LdconfigRunPlan, rootfs: RootFS, what: str, errno: str) -> LdconfigDone:
    """The child process ends before ldconfig runs: silently when something is missing, else with status 1."""
    log = (f"could not start {plan.path}: {failure(what, errno)}",)
    if errno == "ENOENT":
        return LdconfigDone(rootfs, log=log)
    return LdconfigDone(rootfs, failure=f"process {plan.path} failed with error code: 1", log=log)


def _host_program(plan: LdconfigRunPlan, host: HostProfile, engine: Engine) -> File:
    """The host's program as it is executed. Raises `EngineFailure` when it cannot be opened."""
    found = Resolver(host.tree).resolve(plan.path)
    if isinstance(found, PathError):
        raise failure(f"open failed: {plan.path}", found.errno)
    if isinstance(found.node, Directory) and not engine.has("ldconfig is copied to memory"):
        return File(0, (BY, plan.path), FileFacts(), 0o644)  # it can be opened, and cannot be executed
    if not isinstance(found.node, File):
        raise failure(f"open failed: {plan.path}", "EISDIR" if isinstance(found.node, Directory) else "ENXIO")
    if engine.has("ldconfig is copied to memory"):
        return evolve(found.node, mode=0o777)
    return found.node


def _execute(
    plan: LdconfigRunPlan, rootfs: RootFS, program: File | None, machine: Machine
) -> ExecImage | ExecFailure | ExecCrash:
    """execve inside the container root; wrapper scripts that only call another ldconfig are followed."""
    root, path = rootfs, plan.path
    if program is not None:
        if program.facts.elf is None and (program.facts.text or "").startswith("#!"):
            # the descriptor is closed on exec, so an interpreter could not read the script
            return ExecFailure("ENOENT", ())
        editor = rootfs.edit()
        editor.put(_FD, program)
        root, path = editor.freeze(), _FD
    resolver = Resolver(root)
    for _ in range(_MAX_WRAPPERS):
        started = execve(resolver, ProcessRequest(path, plan.argv), machine)
        if not isinstance(started, ExecImage) or started.file.facts.ldconfig is not None:
            return started
        called = re.search(_WRAPPER, _script(resolver, path))
        if called is None:
            return started
        path = called[1]
    return ExecFailure("ELOOP", ())


def _script(resolver: Resolver, path: str) -> str:
    """The text of the script at `path`; "" when it is no script."""
    found = resolver.resolve(path)
    text = found.node.facts.text if isinstance(found, Resolved) and isinstance(found.node, File) else None
    return text if text is not None and text.startswith("#!") else ""


def _script_status(rootfs: RootFS, path: str) -> int | None:
    """The exit status of an ldconfig script that changes nothing; None when that is not known.

    Two kinds are understood: a lone ``exit N``, and musl's, which hands the directories to ``scanelf`` (package pax-utils) and ends
    with status 0 when there is no such program.
    """
    resolver = Resolver(rootfs)
    text = _script(resolver, path)
    commands = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    lone = re.fullmatch(r"exit\s+(\d+)", commands[0]) if len(commands) == 1 else None
    if lone is not None:
        return int(lone[1]) & 0xFF
    places = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
    if "scanelf -qS" in text and not any(isinstance(resolver.resolve(f"{p}/scanelf"), Resolved) for p in places):
        return 0
    return None
