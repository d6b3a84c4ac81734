"""``nvidia-container-runtime-hook`` as a pure function: what it prints, how it ends, and the nvidia-container-cli that it executes.

Source: ``cmd/nvidia-container-runtime-hook/main.go`` (up to 1.10 ``cmd/nvidia-container-toolkit``). What that program then does is
`nvsim.inject.legacy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from nvsim.frozen import frozen
from nvsim.toolkit.config import ConfigCrash
from nvsim.toolkit.hook_cli import cli_arguments, exec_error, find_cli
from nvsim.toolkit.hook_flags import HookFlags, read_flags, usage
from nvsim.toolkit.hook_input import (
    HookFailure,
    HostFiles,
    read_config,
    read_container,
    rootfs_path,
)
from nvsim.toolkit.hook_request import HookDecision, decide, hook_view
from nvsim.toolkit.mode import Platform
from nvsim.toolkit.releases import Release

TRACE = "[goroutine trace removed]"


@frozen
class HookRun:
    """How a run of the hook ends.

    `argv`, `env` (in order): of the nvidia-container-cli that replaces it, None when it ends by itself. `decision`: what it decided, None
    when it did not come to that.
    """

    exit: int
    stderr: str
    stdout: str = ""
    argv: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    decision: HookDecision | None = None


def run_hook(
    argv: Sequence[str],
    *,
    state: str,
    environ: Mapping[str, str],
    files: HostFiles,
    platform: Platform,
    release: Release,
    version: str = "unknown",
    argv0: str = "/usr/bin/nvidia-container-runtime-hook",
    cwd: str = "/",
) -> HookRun:
    """What the hook does.

    `argv`: its arguments without the name `argv0`; `state`: the text on its standard input; `environ`, `cwd`: its own environment and
    working directory; `files`: the host's files, among them config.toml and the bundle that the state names; `version`: the text for
    ``-version``. Go's stack traces are replaced by a mark.
    """
    flags = read_flags(argv)
    if flags.error is not None:
        return HookRun(2 if flags.error else 0, flags.error + usage(argv0, release))
    if flags.version:
        return HookRun(0, "", f"NVIDIA Container Runtime Hook version {version}\n")
    command = flags.arguments[0] if flags.arguments else ""
    if command in ("poststart", "poststop"):
        return HookRun(0, "")
    if command != "prestart":
        return HookRun(2, usage(argv0, release))
    return _prestart(flags, state, environ, files, platform, release, cwd)


def _prestart(
    flags: HookFlags,
    state: str,
    environ: Mapping[str, str],
    files: HostFiles,
    platform: Platform,
    release: Release,
    cwd: str,
) -> HookRun:
    lines: tuple[str, ...] = ()
    decision: HookDecision | None = None
    container = cache(lambda: read_container(state, files, cwd, release))
    try:
        config = read_config(flags.config, environ, files, cwd, release)
        decision = decide(lambda: hook_view(container(), config, release), config, platform, release)
        lines = decision.lines
        if decision.crash is not None:
            return HookRun(2, f"{_text(lines)}{decision.crash}\n{TRACE}", decision=decision)
        if decision.error is not None:
            raise HookFailure(decision.error)
        if decision.request is None:
            return HookRun(0, _text(lines), decision=decision)
        program, env = find_cli(config, environ, files, cwd, release)
        args = cli_arguments(decision.request, config, files.exists, release, debug=flags.debug)
        error = exec_error(program, files, cwd)
        if error is not None:
            raise HookFailure(f"exec failed: {error}")
    except ConfigCrash as e:
        return HookRun(2, f"{e}\n{TRACE}")
    except HookFailure as e:
        printed = f"{str(e).removesuffix(chr(10))}\n" if str(e) else ""
        trace = TRACE if flags.debug else ""
        return HookRun(1, f"{_text(lines)}{printed}{trace}", decision=decision)
    spec = container()
    target = (f"--pid={spec.pid % 2**64}", rootfs_path(spec.root, cwd))
    entries = (*(f"{k}={v}" for k, v in env.items()), *config.cli.environment)
    return HookRun(0, _text(lines), "", (program, *args, *target), entries, decision)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
