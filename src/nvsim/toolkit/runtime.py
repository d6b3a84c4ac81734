"""What nvidia-container-runtime decides before it edits a container's spec (toolkit: ``internal/runtime``, ``internal/oci``).

Configuration, the low-level runtime, the spec, the mode and the steps that follow from it, each a function of what the program sees. What
the steps put into the spec is in `nvsim.inject.runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nvsim.frozen import evolve, frozen
from nvsim.toolkit.config import ConfigError, config_path, host_defaults, load_config, load_error
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.go_json import JsonError
from nvsim.toolkit.go_strings import join
from nvsim.toolkit.go_text import go_list, go_quote
from nvsim.toolkit.hook_cli import search_path
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.image import ImageView, environment, is_privileged, preferred_variables
from nvsim.toolkit.mode import Mode, Platform, resolve_mode
from nvsim.toolkit.mounts import Mount
from nvsim.toolkit.oci_spec import Spec, decode_spec
from nvsim.toolkit.releases import Release
from nvsim.toolkit.runtime_args import BundleError, bundle_of, spec_path

CREATE = "failed to create NVIDIA Container Runtime: "
CONSTRUCT = f"{CREATE}failed to construct OCI spec modifier: "
MODIFY = "could not apply required modification to OCI specification: "
DEFAULT_HOOK = "/usr/bin/nvidia-container-runtime-hook"
DEFAULT_CTK = "/usr/bin/nvidia-ctk"
HOOK_NAMES = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


class RuntimeFailure(Exception):  # noqa: N818 - a predicted failure of the real program
    """The runtime ends with status 1; the argument is its message. `panic`: it crashes with it, status 2."""

    def __init__(self, text: str, *, panic: bool = False):
        super().__init__(text)
        self.text = text
        self.panic = panic


@frozen
class RuntimeProcess:
    """The program as it is called.

    `argv`: with its own name; `environ`, `cwd`: its own; `mode`: what the binary ``.cdi`` or ``.legacy`` puts in place of the configured mode.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: str = "/"
    mode: str | None = None


@frozen
class RuntimeView:
    """What the runtime takes from a container: its image view and the mode in force, with its log lines (level, text)."""

    view: ImageView
    mode: Mode
    log: tuple[tuple[str, str], ...] = ()


def read_runtime_config(process: RuntimeProcess, files: HostFiles, release: Release) -> ToolkitConfig:
    """The configuration in force; the mode of the binary stands in it. Raises `RuntimeFailure`."""
    path = config_path(process.environ, release)
    absolute = path if path.startswith("/") else join(process.cwd, path)
    text = files.read(absolute)
    defaults = host_defaults(files.exists, files.read("/etc/os-release"))
    try:
        if text is None and files.is_directory(absolute):
            raise load_error(f"read {path}: is a directory", release)
        config = load_config(text, release, defaults)
    except ConfigError as e:
        raise RuntimeFailure(e.text if e.panic else f"error loading config: {e.text}", panic=e.panic) from None
    if process.mode is None:
        return config
    return evolve(config, runtime=evolve(config.runtime, mode=process.mode))


def find_program(name: str, process: RuntimeProcess, files: HostFiles, root: str = "") -> str | None:
    """Where the toolkit's own search finds a program: a name with a slash as it stands, else on the PATH and in the usual directories.

    `root`: what the directories are joined to; without one, a relative entry of PATH gives a relative path.
    """

    def executable(path: str) -> bool:
        return files.is_executable(path if path.startswith("/") else join(process.cwd, path))

    if "/" in name:
        return name if executable(name) else None
    candidates = (join(root, directory, name) for directory in search_path(process.environ.get("PATH"), ""))
    return next(filter(executable, candidates), None)


def low_level_runtime(config: ToolkitConfig, process: RuntimeProcess, files: HostFiles) -> str:
    """The path of the runtime that does the work. Raises `RuntimeFailure`."""
    candidates = config.runtime.runtimes
    step = f"{CREATE}error constructing low-level runtime: error locating runtime: "
    if not candidates:
        raise RuntimeFailure(f"{step}at least one runtime candidate must be specified")
    for name in candidates:
        found = find_program(name, process, files, "/")
        if found is not None:
            return found
    raise RuntimeFailure(f"{step}no runtime binary found from candidate list: {go_list(candidates)}")


def named_program(path: str, default: str, process: RuntimeProcess, files: HostFiles) -> str:
    """A program that injected hooks name: an absolute path unchecked, else what the search finds, else `default`."""
    if path.startswith("/"):
        return path
    name = path or default.rpartition("/")[2]
    return find_program(name, process, files) or default


def bundle_spec_path(process: RuntimeProcess) -> str:
    """The spec file that the arguments name. Raises `RuntimeFailure`."""
    try:
        return spec_path(bundle_of(process.argv))
    except BundleError as e:
        step = "error constructing OCI specification: error getting bundle directory: "
        raise RuntimeFailure(f"{CREATE}{step}error getting bundle dir from args: {e}") from None


def read_spec(path: str, process: RuntimeProcess, files: HostFiles, config: ToolkitConfig, release: Release) -> Spec:
    """The spec of a file. Raises `RuntimeFailure` with the message without the prefix of the phase."""
    absolute = path if path.startswith("/") else join(process.cwd, path)
    text = files.read(absolute)
    step = "error loading OCI specification from file: error reading OCI specification: "
    if text is None and files.is_directory(absolute):
        raise RuntimeFailure(f"{step}read {path}: is a directory")
    if text is None:
        raise RuntimeFailure(f"error opening OCI specification file: open {path}: no such file or directory")
    strict = release.strict_oci_spec and not config.features.allow_unknown_oci_spec_fields
    try:
        return decode_spec(text, release.version, strict=strict)
    except JsonError as e:
        raise RuntimeFailure(f"{step}{e}") from None


def spec_view(spec: Spec, config: ToolkitConfig, release: Release, prefixes: Sequence[str]) -> ImageView:
    """The image view of a container; `prefixes`: of the annotations that count. Raises `BadEnvironment`."""
    process: dict[str, Any] = spec.get("process") or {}
    capabilities: dict[str, Any] = process.get("capabilities") or {}
    return ImageView(
        environment(process.get("env") or ()),
        tuple(Mount(m.get("source", ""), m.get("destination", "")) for m in spec.get("mounts") or ()),
        spec.get("annotations") or {},
        is_privileged(capabilities.get("bounding") or ()),
        config.accept_envvar_unprivileged,
        config.accept_volume_mounts,
        preferred_variables(config.swarm_resource, release, "runtime"),
        tuple(prefixes),
        bool(config.features.ignore_imex_channel_requests),
    )


def resolve_runtime_mode(spec: Spec, config: ToolkitConfig, platform: Platform, release: Release) -> RuntimeView:
    """The mode of a container, and the view with which it is edited.

    Where annotations take part in it, they count for the view only if the mode comes out as cdi. Raises `BadEnvironment`, `NamePanic`, `NvmlCrash`.
    """
    prefixes = config.runtime.modes.cdi.annotation_prefixes
    view = spec_view(spec, config, release, prefixes)
    mode = resolve_mode(config.runtime.mode, view, platform, release, "runtime")
    if release.annotations != "image" or mode.name == "cdi" or not prefixes:
        return RuntimeView(view, mode, mode.log)
    again = resolve_mode(mode.name, evolve(view, annotation_prefixes=()), platform, release, "runtime")
    return RuntimeView(evolve(view, annotation_prefixes=()), mode, (*mode.log, *again.log))


def check_mode(mode: str, release: Release) -> None:
    """Raises `RuntimeFailure` for a mode that the release does not have."""
    if mode in release.modes:
        return
    if release.runtime_steps_made == "at-start":
        raise RuntimeFailure(f"{CONSTRUCT}invalid runtime mode: {mode}")
    raise RuntimeFailure(f"{CONSTRUCT}{f'invalid mode {go_quote(mode)}' if mode else 'a mode must be specified'}")


def prestart_hook_path(
    config: ToolkitConfig, process: RuntimeProcess, files: HostFiles, release: Release
) -> Callable[[], str]:
    """How the path of the prestart hook is found when it is needed. The function raises `RuntimeFailure` (without a prefix)."""
    path = process.environ.get("PATH")

    def configured() -> str:
        return named_program(config.hook.path, DEFAULT_HOOK, process, files)

    def searched() -> str:
        found = find_program(HOOK_NAMES[0], process, files)
        if found is None:
            name = HOOK_NAMES[0]
            raise RuntimeFailure(f"failed to locate NVIDIA Container Runtime Hook: pattern {name} not found")
        return found

    def on_path_or_default() -> str:
        for directory in path.split(":") if path else ():
            candidate = join(directory or ".", HOOK_NAMES[0])
            if candidate.startswith("/") and files.is_executable(candidate):
                return candidate
        if not files.exists(DEFAULT_HOOK):
            raise RuntimeFailure(f"stat {DEFAULT_HOOK}: no such file or directory")
        return DEFAULT_HOOK

    ways = {"config": configured, "search": searched, "path-or-default": on_path_or_default}
    return ways[release.prestart_hook_path]
