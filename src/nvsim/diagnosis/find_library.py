"""Findings about a library that did not load: not injected, not searched, broken, nowhere, or refused for its versions and symbols."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nvsim.diagnosis.find_start import ignored_request
from nvsim.diagnosis.make import ask_all_gpus, ask_capabilities, env_of, finding
from nvsim.diagnosis.places import considered, places_of
from nvsim.diagnosis.where import (
    Place,
    base_name,
    host_names,
    in_container,
    injected_paths,
    is_driver_library,
    on_host,
    sentences,
    skipped_because,
    versioned_in_container,
)
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import parent_of
from nvsim.scenario.changes import AddLink, RemoveFile, SetEnv, UnsetEnv

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.inject.plan import Skipped
    from nvsim.loader.outcome import LoadedObject, Search
    from nvsim.scenario.changes import Change
    from nvsim.simulate import ProcessResult, Result

_DEFAULT_WITHOUT_COMPUTE = (1, 4, 0)  # the first toolkit whose default has compute
_OPTION = r"--(compute|utility|video|graphics|display|ngx|compat32)\b"
_VERSION = r"(?P<provider>/\S+): version `(?P<version>[^']+)' not found \(required by (?P<needer>[^)]+)\)"
_STORES = ("/nix/store/", "/gnu/store/")
_STARTUP = (
    ("' not found (required by", "NVS501"),
    ("undefined symbol", "NVS502"),
    ("symbol not found", "NVS502"),
    ("ISA level", "NVS503"),
)


def find_library(result: Result, process: ProcessResult, search: Search) -> Finding:
    """Why one library did not load."""
    assert result.injected is not None
    name = base_name(search.name)
    fatal = [c for c in search.candidates if c.result.startswith("fatal")]
    if fatal:
        return _broken(result, name, fatal[0].path, fatal[0].result.removeprefix("fatal: "), search)
    if search.error and "wrong ELF class" in search.error:
        return finding("NVS404", name, search.error, considered(search))
    places = [p for p in in_container(result.injected.rootfs, name) if p.usable]
    if places:
        return _not_searched(result, process, search, places)
    versioned = versioned_in_container(result.injected.rootfs, name)
    if versioned:
        message = f"{versioned[0]} is in the container, but not the link {name}: ldconfig did not make it"
        link = AddLink(f"{parent_of(versioned[0])}/{name}", base_name(versioned[0]))
        return finding("NVS405", name, message, (*_ldconfig_run(result), *considered(search)), (link,))
    copy = on_host(result.scenario.host, search.name)
    if copy is not None and is_driver_library(name):
        return _not_injected(result, search.name, copy.path, skipped_because(result.plan, copy))
    needed_by = search.requester
    if needed_by and base_name(needed_by) != base_name(process.argv[0]):
        message = f"{name}, which {needed_by} needs, is nowhere in the container"
        return finding(
            "NVS407", name, message, considered(search), (), f"install the package that holds {name} in the image"
        )
    text = f"{name} is nowhere in the container{'' if copy is not None else ', nor on the host'}"
    return finding("NVS402", name, text, considered(search), (), near_names(result, name))


def near_names(result: Result, name: str) -> str:
    """Names of libraries of the host or the container that are nearly `name`, as advice."""
    assert result.injected is not None
    known = {*host_names(result.scenario.host), *(base_name(p) for p in result.injected.rootfs.changed_paths())}
    import difflib

    near = difflib.get_close_matches(name, sorted(n for n in known if ".so" in n and n != name), n=2, cutoff=0.8)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _broken(result: Result, name: str, path: str, why: str, search: Search) -> Finding:
    """A candidate that ended the search: a bad file, or another glibc's libc."""
    at = Resolver(result.scenario.image.tree).resolve(path)
    changes: tuple[Change, ...] = (
        (RemoveFile(at.path),) if isinstance(at, Resolved) and isinstance(at.node, File) else ()
    )
    code = "NVS403" if "version" not in why else "NVS501"
    return finding(code, name, f"{path}: {why}", considered(search), changes)


def _not_searched(result: Result, process: ProcessResult, search: Search, places: list[Place]) -> Finding:
    """The library is there; who put it there, who chose the directory, and where the loader looked instead."""
    place, name, who = places[0], base_name(search.name), base_name(process.argv[0])
    directory = parent_of(place.path)
    old = env_of(result, "LD_LIBRARY_PATH")
    message = f"{name} is in the container at {place.path}, where the loader of {who} does not look"
    evidence = (
        f"{place.path} was put there by: {place.by}",
        *_who_chose(result, directory),
        *considered(search),
        *_no_cache(result, process),
    )
    value = f"{old}:{directory}" if old else directory
    # a directory that the program already names and that does not exist may be made a link to the driver's
    farms = [
        AddLink(p.path, directory) for p in places_of(search) if p.absent and p.set_by.startswith(("RUNPATH", "RPATH"))
    ]
    return finding("NVS401", name, message, evidence, (SetEnv("LD_LIBRARY_PATH", value), *farms[:1]))


def _who_chose(result: Result, directory: str) -> tuple[str, ...]:
    """Why the toolkit mounts libraries into this directory, in the plan's words."""
    for mount in result.plan.mounts if result.plan else ():
        if parent_of(mount.dst) == directory and mount.kind.startswith("library"):
            return sentences(tuple(b for b in mount.because if b.input.startswith(("image", "engine", "CDI"))))
    return ()


def _no_cache(result: Result, process: ProcessResult) -> tuple[str, ...]:
    """That the loader reads no /etc/ld.so.cache, where it is so."""
    assert result.injected is not None
    interpreter = process.outcome.interpreter if process.outcome else None
    at = Resolver(result.injected.rootfs).resolve(interpreter) if interpreter else None
    if isinstance(at, Resolved) and isinstance(at.node, File) and at.node.facts.loader is not None:
        facts = at.node.facts.loader
        if facts.libc == "musl":
            return ("musl reads no ld.so.cache",)
        if facts.cache != "/etc/ld.so.cache":
            return (f"its loader {at.path} does not read /etc/ld.so.cache (built to read {facts.cache or 'none'})",)
    return ()


def _ldconfig_run(result: Result) -> tuple[str, ...]:
    """What is known of the ldconfig run that should have made a link."""
    log = result.injected.log if result.injected is not None else ()
    run = result.plan.ldconfig if result.plan is not None else None
    if run is None:
        return ("no ldconfig was run in this container",)
    return (f"{run.path} (of the {run.side}) was run as {' '.join(run.argv)}", *log)


def _not_injected(result: Result, name: str, path: str, skipped: Skipped | None) -> Finding:
    request = result.request
    why = dict(request.because)
    if request.route == "none":
        return _nothing_asked(result, name, path)
    reasons = skipped.because if skipped is not None else ()
    evidence = (
        f"{path} is on the host",
        *sentences((why["capabilities"],) if "capabilities" in why else ()),
        *sentences(reasons),
    )
    have = request.capabilities or ()
    wanted = [c for b in reasons for c in re.findall(_OPTION, b.input) if c not in have]
    if wanted:
        changes: tuple[Change, ...] = (ask_capabilities(result, (*have, wanted[0])),)
        if wanted[0] == "compute" and not env_of(result, "NVIDIA_DRIVER_CAPABILITIES"):
            from nvsim.scenario.changes_host import UpgradeToolkit

            changes += (UpgradeToolkit(".".join(map(str, _DEFAULT_WITHOUT_COMPUTE))),)
        asked = ",".join(have) or "none"
        text = (
            f"{name} was not injected: it belongs to the driver capability {wanted[0]}, and only {asked} was requested"
        )
        return finding("NVS101", name, text, evidence, changes)
    driver = result.scenario.host.driver
    if driver.kernel_module is not None and driver.kernel_module != driver.version:
        text = f"{name} is on the host in version {driver.version}, and the kernel module is of {driver.kernel_module}: only files of that version are injected"
        return finding("NVS203", "driver", text, evidence, (), "reboot the host, or reload the kernel modules")
    if request.route == "legacy" and base_name(name) not in host_names(result.scenario.host):
        text = f"{name} is on the host ({path}), but not in its ld.so.cache, and the toolkit looks nowhere else"
        return finding("NVS210", "ld.so.cache", text, evidence, (), "run ldconfig on the host")
    return finding("NVS402", name, f"{name} is on the host ({path}) and was not injected", evidence)


def _nothing_asked(result: Result, name: str, path: str) -> Finding:
    why = dict(result.request.because)
    if "route" in why:
        text = f"{name} is on the host ({path}), but no NVIDIA runtime is called"
        from nvsim.diagnosis.ways import ways_to_ask

        return finding("NVS103", name, text, sentences((why["route"],)), ways_to_ask(result))
    text = f"{name} is on the host ({path}), but the container asks for no GPU"
    ignored = ignored_request(result)
    if ignored is not None:
        return ignored
    devices = (why["devices"],) if "devices" in why else ()
    return finding("NVS102", name, text, sentences(devices), (ask_all_gpus(result),))


def find_startup(result: Result, process: ProcessResult) -> Iterator[Finding]:
    """No search failed: a version, a symbol, a device or the kernel driver did."""
    subject = base_name(process.argv[0])
    outcome = process.outcome
    assert outcome is not None
    for run in process.runs:
        if run.failed is not None and run.failed.step.needs is not None:
            yield finding("NVS602", subject, f"{run.failed.step.what}: {run.failed.note}")
        elif run.failed is not None:
            errors = [a.error for a in run.failed.attempts if a.error]
            yield _refused(result, process, errors[-1] if errors else run.failed.step.what)
    for call in process.dlopen:
        if call.ok is False:
            yield _refused(result, process, call.error or call.call.name)
    if not outcome.started:
        yield _refused(result, process, process.stderr or process.reason)


def _refused(result: Result, process: ProcessResult, text: str) -> Finding:
    """A library was found, and the loader refused it."""
    subject = base_name(process.argv[0])
    lines = tuple(text.splitlines())
    message = lines[0] if lines else process.reason
    private = "GLIBC_PRIVATE" in text
    libcs = two_libcs(result, process, sure=private)
    if private or libcs:
        return _two_glibcs(result, subject, message, (*lines[1:], *libcs))
    code = next((code for part, code in _STARTUP if part in text), "NVS504")
    musl = text.startswith("Error relocating")
    shadow = _shadowing(result, process, text) if code in ("NVS501", "NVS502") and not musl else None
    if shadow is not None:
        return shadow
    return finding(code, subject, message, (*lines[1:], *_versions(result, message)))


def _versions(result: Result, message: str) -> tuple[str, ...]:
    """What the two files of a missing version are: what the provider defines, and where the one that needs it comes from."""
    match = re.search(_VERSION, message)
    if match is None:
        return ()
    assert result.injected is not None
    resolver = Resolver(result.injected.rootfs)
    provider, needer = resolver.resolve(match["provider"]), resolver.resolve(match["needer"])
    facts = []
    if isinstance(provider, Resolved) and isinstance(provider.node, File) and provider.node.facts.elf is not None:
        family = match["version"].partition("_")[0]
        defined = [v for v in provider.node.facts.elf.verdef if v.partition("_")[0] == family and v[-1:].isdigit()]
        newest = max(
            defined, key=lambda v: [int(n) for n in v.partition("_")[2].split(".") if n.isdigit()], default=None
        )
        told = f"defines up to {newest}" if newest else f"defines no {family}"
        facts.append(f"{provider.path} ({provider.node.origin}) {told}")
    if isinstance(needer, Resolved):
        facts.append(f"{needer.path} comes from: {needer.node.origin}")
    return tuple(facts)


def loaded_by(process: ProcessResult) -> tuple[LoadedObject, ...]:
    """Every object that a process loads, at its start or by dlopen, in order."""
    outcome = process.outcome
    attempts = (a for r in process.runs for s in r.steps for a in s.attempts)
    later = (o for a in (*attempts, *process.dlopen) for o in a.new_objects)
    return (*(outcome.objects if outcome else ()), *later)


def mapped_by(process: ProcessResult) -> tuple[tuple[str, str], ...]:
    """(path, stage) of every file that a search of the process found, also of a start that then failed."""
    outcome = process.outcome
    attempts = (a for r in process.runs for s in r.steps for a in s.attempts)
    searches = (*(outcome.searches if outcome else ()), *(s for a in (*attempts, *process.dlopen) for s in a.searches))
    hits = ((s.path, next((c.stage for c in reversed(s.candidates) if c.result == "hit"), "")) for s in searches)
    return tuple((path, stage) for path, stage in hits if path is not None and stage)


def two_libcs(result: Result, process: ProcessResult, *, sure: bool) -> tuple[str, ...]:
    """The loader and the libc.so.6 of one process, when they lie in different directories and thus may be of different glibcs.

    `sure`: an error says that they are. Else two files of one image outside a store are taken to belong together, unless the loader has a
    libc.so.6 of its own beside it.
    """
    assert result.injected is not None
    interpreter = process.outcome.interpreter if process.outcome else None
    libc = next(((p, stage) for p, stage in mapped_by(process) if base_name(p) == "libc.so.6"), None)
    if interpreter is None or libc is None:
        return ()
    resolver = Resolver(result.injected.rootfs)
    loader, file = resolver.resolve(interpreter), resolver.resolve(libc[0])
    if not isinstance(loader, Resolved) or not isinstance(file, Resolved):
        return ()
    if parent_of(loader.path) == parent_of(file.path):
        return ()
    own = resolver.resolve(f"{parent_of(loader.path)}/libc.so.6")
    apart = loader.node.origin != file.node.origin or any(p.path.startswith(_STORES) for p in (loader, file))
    if not (sure or apart or (isinstance(own, Resolved) and own.path != file.path)):
        return ()
    return (
        f"the loader is {loader.path} ({loader.node.origin})",
        f"libc is {file.path} ({file.node.origin}), found by {libc[1]}",
    )


def _two_glibcs(result: Result, subject: str, message: str, evidence: tuple[str, ...]) -> Finding:
    """Loader of one glibc, libc of another: the cache that was made for the container, or LD_LIBRARY_PATH, brought it."""
    by_cache = any("found by cache" in line for line in evidence)
    made = {"/etc/ld.so.cache"} & injected_paths(result.injected, "ldcache")
    if by_cache and made:
        return finding("NVS209", subject, message, (*evidence, *_ldconfig_run(result)))
    value = env_of(result, "LD_LIBRARY_PATH")
    changes: tuple[Change, ...] = (UnsetEnv("LD_LIBRARY_PATH"),) if value else ()
    return finding("NVS505", subject, message, evidence, changes)


def _shadowing(result: Result, process: ProcessResult, text: str) -> Finding | None:
    """A library found by LD_LIBRARY_PATH lacks what is needed, and the needing object's own RUNPATH has another copy."""
    assert result.injected is not None
    for path, stage in mapped_by(process):
        if stage != "ld_library_path" or path not in text:
            continue
        others = [
            p.path for p in in_container(result.injected.rootfs, base_name(path), mapped_by(process)) if p.path != path
        ]
        if not others:
            continue
        directory = parent_of(path)
        rest = [d for d in env_of(result, "LD_LIBRARY_PATH").split(":") if d.rstrip("/") != directory]
        change: Change = SetEnv("LD_LIBRARY_PATH", ":".join(rest)) if rest else UnsetEnv("LD_LIBRARY_PATH")
        message = f"{path}, found by LD_LIBRARY_PATH, stands in front of the copy that fits"
        evidence = (text.splitlines()[0], *(f"{p} is another copy" for p in others))
        return finding("NVS506", base_name(path), message, evidence, (change,))
    return None
