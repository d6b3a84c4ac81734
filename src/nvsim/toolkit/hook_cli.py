"""The command line of nvidia-container-cli that the hook builds, and where it finds that program (``cmd/nvidia-container-runtime-hook/main.go``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nvsim.toolkit.config import normalised_ldconfig
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.go_strings import join
from nvsim.toolkit.hook_input import HookFailure, HostFiles
from nvsim.toolkit.hook_request import HookRequest
from nvsim.toolkit.releases import Release

CLI = "nvidia-container-cli"
_DEFAULT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_COMPAT = {"ldconfig": "ldconfig", "mount": "mount", "disabled": "disabled", "hook": "disabled"}


def cli_arguments(
    request: HookRequest, config: ToolkitConfig, exists: Callable[[str], bool], release: Release, *, debug: bool = False
) -> tuple[str, ...]:
    """The arguments after the program's name, without ``--pid`` and the rootfs; `exists` says whether a host path can be stat'ed."""
    cli, features = config.cli, config.features

    def option(flag: str, key: str, value: str) -> list[str]:
        """The option where it has a value; up to 1.13 also where the file sets it to the empty text."""
        given = release.hook_config == "own" and f"nvidia-container-cli.{key}" in config.given
        return [f"--{flag}={value}"] if value or given else []

    args = option("root", "root", cli.root)
    args += ["--load-kmods"] if cli.load_kmods else []
    args += ["--no-create-imex-channels"] if features.disable_imex_channel_creation else []
    args += ["--no-pivot"] if cli.no_pivot else []
    args += ["--debug=/dev/stderr"] if debug else option("debug", "debug", cli.debug)
    args += option("ldcache", "ldcache", cli.ldcache)
    args += option("user", "user", cli.user)
    args += ["configure", *_compat_flag(config, release)]
    ldconfig = normalised_ldconfig(cli.ldconfig, exists) if release.ldconfig_normalised else cli.ldconfig
    args += option("ldconfig", "ldconfig", ldconfig)
    args += ["--no-cgroups"] if cli.no_cgroups else []
    for flag, value in (
        ("device", ",".join(request.devices)),
        ("mig-config", request.mig_config),
        ("mig-monitor", request.mig_monitor),
        ("imex-channel", ",".join(request.imex_channels)),
    ):
        args += [f"--{flag}={value}"] if value else []
    args += [f"--{c}" for c in request.capabilities]
    args += [f"--require={r}" for r in request.requirements]
    return tuple(args)


def _compat_flag(config: ToolkitConfig, release: Release) -> list[str]:
    """What the CLI is told about CUDA compatibility libraries that the container brings."""
    allowed = bool(config.features.allow_cuda_compat_libs_from_container)
    if release.compat_flag == "none":
        return []
    if release.compat_flag == "no-cntlibs":
        return [] if allowed else ["--no-cntlibs"]
    mode = _COMPAT.get(config.runtime.modes.legacy.cuda_compat_mode, None if allowed else "disabled")
    return [f"--cuda-compat-mode={mode}"] if mode else []


def search_path(path: str | None, root: str) -> tuple[str, ...]:
    """The directories in which programs are searched: those of PATH, then the usual ones; first all of them below the driver root."""
    dirs = path.split(":") if path else []
    dirs += [d for d in _DEFAULT_PATH if d not in dirs]
    if root in ("", "/"):
        return tuple(dirs)
    return (*(join(root, d) for d in dirs), *dirs)


def find_cli(
    config: ToolkitConfig, environ: Mapping[str, str], files: HostFiles, cwd: str, release: Release
) -> tuple[str, dict[str, str]]:
    """The program, and the environment in which it is called. Raises `HookFailure`."""
    cli = config.cli
    if cli.path or (release.hook_config == "own" and "nvidia-container-cli.path" in config.given):
        return cli.path, dict(environ)
    dirs = search_path(environ.get("PATH"), cli.root)
    path = ":".join(dirs)
    for directory in dirs:
        found = f"{directory.rstrip('/')}/{CLI}" if directory else CLI
        if files.is_executable(found if found.startswith("/") else join(cwd, found)):
            if found.startswith("/"):
                return join(found), {**environ, "PATH": path}
            raise HookFailure(_not_found("cannot run executable found relative to current directory", path, release))
    raise HookFailure(_not_found("executable file not found in $PATH", path, release))


def _not_found(why: str, path: str, release: Release) -> str:
    place = f"{path} :" if release.missing_cli_message_has_path else "PATH:"
    return f'couldn\'t find binary {CLI} in {place} exec: "{CLI}": {why}'


def exec_error(path: str, files: HostFiles, cwd: str) -> str | None:
    """Why the program cannot be executed."""
    absolute = path if path.startswith("/") else join(cwd, path)
    if path and files.is_executable(absolute):
        return None
    return "permission denied" if path and files.exists(absolute) else "no such file or directory"
