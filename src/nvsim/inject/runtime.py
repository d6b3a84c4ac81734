"""``nvidia-container-runtime`` as a pure function: how it ends, what it executes, and the config.json that it leaves behind.

What it decides is in `nvsim.toolkit.runtime`; here the steps of the mode become edits of the spec (toolkit: ``internal/modifier``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nvsim.frozen import define, evolve, field, frozen
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.inject.runtime_steps import Editing, prepared_steps
from nvsim.toolkit.annotations import annotation_devices
from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.cdi_request import DEVICES_FAILED, steps_of
from nvsim.toolkit.config import ConfigCrash
from nvsim.toolkit.devices import VISIBLE
from nvsim.toolkit.go_strings import log_line
from nvsim.toolkit.image import BadEnvironment, ImageView
from nvsim.toolkit.mode import NvmlCrash, Platform, resolve_mode
from nvsim.toolkit.oci_spec import Spec, encode_spec
from nvsim.toolkit.runtime import (
    CONSTRUCT,
    MODIFY,
    RuntimeFailure,
    RuntimeProcess,
    bundle_spec_path,
    check_mode,
    low_level_runtime,
    read_runtime_config,
    read_spec,
    resolve_runtime_mode,
    spec_view,
)
from nvsim.toolkit.runtime_args import asks_version, is_create
from nvsim.toolkit.runtime_log import runtime_log

if TYPE_CHECKING:
    from nvsim.inject.cdi.spec import Edits
    from nvsim.inject.generate.host import CdiHost
    from nvsim.toolkit.config_schema import ToolkitConfig
    from nvsim.toolkit.hook_input import HostFiles
    from nvsim.toolkit.releases import Release

TRACE = "[goroutine trace removed]"


@frozen
class RuntimeRun:
    """How a run of the runtime ends.

    `argv`: of the low-level runtime that replaces it, None when it ends by itself. `spec`: what config.json holds afterwards, None when it was
    not written. `log`: its log (level, text) as far as it shows what was decided; `log_level`: what of it is written to a file, None when
    there is none (`nvsim.toolkit.runtime_log.shown`). `mode`: the mode in force, "" when it did not come to that. `error`: the text of the
    failure alone; `edits`: the container edits that were made, with their reasons; `given`: the spec as it was read.
    """

    exit: int
    stderr: str = ""
    stdout: str = ""
    argv: tuple[str, ...] | None = None
    spec: Spec | None = None
    log: tuple[tuple[str, str], ...] = ()
    log_level: str | None = None
    mode: str = ""
    error: str | None = None
    edits: tuple[Edits, ...] = ()
    given: Spec | None = None


@define
class _Run:
    """One run while it goes on."""

    process: RuntimeProcess
    host: CdiHost
    files: HostFiles
    platform: Platform
    release: Release
    log: ToolLog = field(factory=ToolLog)
    log_level: str | None = None
    mode: str = ""
    edits: list[Edits] = field(factory=list)
    given: Spec | None = None


def run_runtime(
    process: RuntimeProcess,
    *,
    host: CdiHost,
    files: HostFiles,
    platform: Platform,
    release: Release,
    version: str = "unknown",
) -> RuntimeRun:
    """What the runtime does.

    `files`: the host's files, among them config.toml and the bundle; `host`: the same host as the CDI generator sees it; `version`: the text
    for ``--version``. Go's stack traces are replaced by a mark.
    """
    run = _Run(process, host, files, platform, release)
    asked = asks_version(process.argv)
    stdout = f"NVIDIA Container Runtime version {version}\nspec: {release.runtime_spec_version}\n" if asked else ""
    try:
        path, spec = _run(run)
    except RuntimeFailure as e:
        if asked and e.text.startswith(MODIFY):
            stdout += "\n"
        if e.panic:
            return _ended(run, 2, f"panic: {e.text}\n\n{TRACE}", stdout, e.text)
        return _ended(run, 1, f"{log_line('error', e.text)}\n", stdout, e.text)
    except NamePanic as e:
        return _ended(run, 2, f"panic: {e}\n\n{TRACE}", stdout)
    except (NvmlCrash, ConfigCrash) as e:
        return _ended(run, 2, f"{e}\n{TRACE}", stdout)
    done = _ended(run, 0, "", stdout + ("\n" if asked else ""))
    return evolve(done, argv=(path, *process.argv[1:]), spec=spec, edits=tuple(run.edits), given=run.given)


def _ended(run: _Run, status: int, stderr: str, stdout: str, error: str | None = None) -> RuntimeRun:
    """A run that has not been handed on."""
    return RuntimeRun(
        status, stderr, stdout, log=tuple(run.log.lines), log_level=run.log_level, mode=run.mode, error=error
    )


def _run(run: _Run) -> tuple[str, Spec | None]:
    """The low-level runtime, and the spec to write (None = it stays as it is). Raises what ends the run."""
    config = read_runtime_config(run.process, run.files, run.release)
    run.log_level, lines = runtime_log(config, run.process, run.files, run.release)
    _tell(run, lines)
    low_level = low_level_runtime(config, run.process, run.files)
    if not is_create(run.process.argv):
        return low_level, None
    spec_file = bundle_spec_path(run.process)

    def load() -> Spec:
        return read_spec(spec_file, run.process, run.files, config, run.release)

    spec, editing = _editing(run, config, load)
    run.given = spec  # the steps work on copies
    release = run.release
    try:
        steps = prepared_steps(editing, steps_of(editing.mode, release))
    except ToolFailure as e:
        at_start = release.runtime_steps_made == "at-start"
        raise RuntimeFailure(f"{CONSTRUCT if at_start else f'{MODIFY}error modifying OCI spec: '}{e.text}") from None
    if steps is None:
        return low_level, None
    try:
        for step in steps:
            spec = step(spec)
    except ToolFailure as e:
        raise RuntimeFailure(f"{MODIFY}error modifying OCI spec: {e.text}") from None
    run.edits = editing.applied
    return low_level, encode_spec(spec, release.version)


def _editing(run: _Run, config: ToolkitConfig, load: Callable[[], Spec]) -> tuple[Spec, Editing]:
    """The spec, and what its edits need to know; in the order in which the release looks. Raises `RuntimeFailure`."""
    release = run.release
    if release.runtime_spec_read == "first":
        spec = _loaded(load, f"{CONSTRUCT}failed to load OCI spec: ")
        try:
            found = resolve_runtime_mode(spec, config, run.platform, release)
        except BadEnvironment as e:
            raise RuntimeFailure(f"{CONSTRUCT}{e}") from None
        except NamePanic as e:  # the line is written when the function is left, however that happens
            _tell(run, [*e.log, ("info", "Auto-detected mode as ''")])
            raise
        except NvmlCrash as e:
            _tell(run, e.log)
            raise
        mode, view = found.mode, found.view
        _tell(run, found.log)
        run.mode = mode.name
        check_mode(mode.name, release)
    else:
        mode = resolve_mode(config.runtime.mode, ImageView(), run.platform, release, "runtime")
        _tell(run, mode.log)
        run.mode = mode.name
        check_mode(mode.name, release)
        step = f"{CONSTRUCT}{DEVICES_FAILED if mode.name == 'cdi' else ''}"
        if release.runtime_spec_read == "by-mode" and mode.name == "legacy":
            return _loaded(load, f"{MODIFY}error loading OCI specification for modification: "), _edits(
                run, config, ImageView()
            )
        spec = _loaded(load, f"{step}failed to load OCI spec: ")
        view = _old_view(spec, config, release, mode.name, step)
    return spec, _edits(run, config, view)


def _edits(run: _Run, config: ToolkitConfig, view: ImageView) -> Editing:
    return Editing(run.process, run.host, run.files, config, run.release, run.log, view, run.mode)


def _first_entries(env: Sequence[str]) -> dict[str, str]:
    """What csv mode looks up in the list itself; "" where it is not there or no assignment."""
    first: dict[str, str] = {}
    for entry in env:
        name, _, value = entry.partition("=")
        first.setdefault(name, value)
    return {name: first.get(name, "") for name in (VISIBLE, "NVIDIA_REQUIRE_JETPACK")}


def _old_view(spec: Spec, config: ToolkitConfig, release: Release, mode: str, step: str) -> ImageView:
    """The view up to 1.13, where an environment that is no map matters only once it is looked at. Raises `RuntimeFailure`."""
    prefixes = config.runtime.modes.cdi.annotation_prefixes
    process: dict[str, Any] = spec.get("process") or {}
    asked = _first_entries(process.get("env") or ()) if mode == "csv" and release.csv_environment == "first" else {}
    try:
        view = spec_view(spec, config, release, prefixes)
        return evolve(view, env={**view.env, **asked})
    except BadEnvironment as e:
        without = {k: v for k, v in process.items() if k != "env"}
        view = spec_view({**spec, "process": without}, config, release, prefixes)
        if asked and asked[VISIBLE] in ("", "void"):
            return evolve(view, env=asked)
        first = mode == "cdi" and release.annotations == "strict"
        if first and (annotation_devices(view.annotations, prefixes)):
            return view
        raise RuntimeFailure(f"{step}{e}") from None


def _loaded(load: Callable[[], Spec], step: str) -> Spec:
    try:
        return load()
    except RuntimeFailure as e:
        raise RuntimeFailure(f"{step}{e.text}") from None


def _tell(run: _Run, lines: Iterable[tuple[str, str]]) -> None:
    for level, text in lines:
        run.log.add(level, text)
