"""Findings about a program that is not executed: not in PATH, or refused by execve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.diagnosis.make import ask_capabilities, env_of, finding
from nvsim.diagnosis.where import base_name, bin_directories, injected_paths, sentences
from nvsim.rootfs.glob import glob
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import parent_of
from nvsim.scenario.changes import AddLink, SetEnv

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.scenario.changes import Change
    from nvsim.simulate import ProcessResult, Result

_EXEC_ERRORS = {"EACCES": "NVS304", "ENOEXEC": "NVS305"}
# the interpreter that programs name -> where images keep such a loader
_LOADER_PLACES = (
    "/nix/store/*/lib/{name}",
    "/gnu/store/*/lib/{name}",
    "/lib/*-linux-gnu/{name}",
    "/usr/lib64/{name}",
    "/usr/lib/{name}",
    "/usr/glibc-compat/lib/{name}",
)


# runtimes' words for a file that is there and is no program; crun says "operation not permitted" of directories
_NO_PROGRAM = ("permission denied", "is a directory", "operation not permitted")


def find_lookup(result: Result, process: ProcessResult) -> Finding:
    """The runtime found no program to execute."""
    lookup = process.lookup
    assert lookup is not None and result.injected is not None
    name = process.argv[0]
    tried = tuple(f"{p}: {why}" for p, why in lookup.tried)
    if "not found in $PATH" not in (lookup.error or "") or "/" in name:
        if any(words in (lookup.error or "").lower() for words in _NO_PROGRAM):
            return finding("NVS304", base_name(name), process.reason, tried)
        return finding("NVS303", base_name(name), process.reason, tried)
    places = [d for d in bin_directories(result.injected.rootfs) if _exists(result, f"{d}/{name}")]
    evidence = tried
    changes: tuple[Change, ...] = ()
    if places:
        evidence = (f"{places[0]}/{name} exists", f"PATH is {env_of(result, 'PATH')}")
        changes = (SetEnv("PATH", f"{env_of(result, 'PATH')}:{places[0]}"),)
    else:
        evidence += _not_injected(result, name)
        capabilities = result.request.capabilities
        if name.startswith("nvidia-") and capabilities is not None and "utility" not in capabilities:
            changes = (ask_capabilities(result, (*capabilities, "utility")),)
    advice = "options of nvsim go before the image, as with docker run" if name.startswith("-") else _near(result, name)
    return finding("NVS302", base_name(name), process.reason, evidence, changes, advice)


def _near(result: Result, name: str) -> str:
    """A program of nearly that name in a directory of PATH."""
    assert result.injected is not None
    resolver = Resolver(result.injected.rootfs)
    names: set[str] = set()
    for directory in env_of(result, "PATH").split(":"):
        at = resolver.resolve(directory) if directory else None
        if isinstance(at, Resolved):
            names.update(resolver.tree.names(at.path))
    import difflib

    near = difflib.get_close_matches(name, sorted(names), n=2, cutoff=0.8)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _not_injected(result: Result, name: str) -> tuple[str, ...]:
    """Why a program of the driver was not injected, in the plan's words."""
    for item in result.plan.skipped if result.plan else ():
        if base_name(item.what.split()[-1]) == name:
            return (f"{item.what} was not injected", *sentences(item.because))
    if name.startswith("nvidia-") and not injected_paths(result.injected):
        return ("nothing was injected into this container",)
    return ()


def _exists(result: Result, path: str) -> bool:
    assert result.injected is not None
    return bool(glob(Resolver(result.injected.rootfs), path))


def find_exec(result: Result, process: ProcessResult) -> Finding:
    """execve failed."""
    outcome = process.outcome
    assert outcome is not None
    last = outcome.steps[-1]
    subject = base_name(process.argv[0])
    program = outcome.steps[0].path
    evidence = tuple(
        f"{s.role} {s.path}: {'it is there' if s.errno is None else s.errno} ({s.because})" for s in outcome.steps
    )
    if last.role == "interpreter" and outcome.errno == "ENOENT":
        loader = _own_loader(result, base_name(last.path))
        changes = (AddLink(last.path, loader),) if loader is not None else ()
        advice = "" if loader else "the image has no glibc loader: use a glibc-based image, or do not call this program"
        message = f"{program} is there, but the dynamic linker that it names, {last.path}, is not in the container"
        return finding("NVS301", subject, message, evidence, changes, advice)
    if last.role == "script-interpreter" and outcome.errno == "ENOENT":
        message = (
            f"{program} is a script, and the program that its first line names, {last.path}, is not in the container"
        )
        return finding("NVS307", subject, message, evidence)
    return finding(_EXEC_ERRORS.get(outcome.errno or "", "NVS306"), subject, process.reason, evidence)


def _own_loader(result: Result, name: str) -> str | None:
    """A glibc loader called `name` that is in the image: the command's own, else one of a store or a library directory."""
    main = result.main.outcome
    if main is not None and main.interpreter and base_name(main.interpreter) == name:
        return main.interpreter
    resolver = Resolver(result.scenario.image.tree)
    found = (p for pattern in _LOADER_PLACES for p in glob(resolver, pattern.format(name=name)))
    return next((p for p in found if parent_of(p) != "/"), None)
