"""The texts that engines put around a low-level runtime's error, and what Kubernetes reports of a container: tables by engine and version.

Sources: runc ``libcontainer`` (1.0 and 1.1), crun ``src/libcrun/container.c``, containerd ``runtime/v2``, moby and docker/cli,
podman ``libpod/define/errors``, kubelet ``pkg/kubelet/kuberuntime``; texts of public reports. Line numbers of Go sources in older
texts are those of the release named. What the runtime itself says is `nvsim.scenario.messages`.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import frozen

NEWEST = (99,)
_UNABLE = "OCI runtime create failed: runc create failed: unable to start container process: "
_DAEMON = "docker: Error response from daemon: "


@frozen
class CreateText:
    """How an engine shows from the version `since` on that a container could not be created: `before` and `after` the reason.

    `in_init`: the usual runc of that release (1.2 and later) looks the program up in the container's init, and says so.
    """

    since: tuple[int, ...]
    before: str
    after: str
    in_init: bool = False


@frozen
class RuntimeTexts:
    """How a low-level runtime speaks from `since` on.

    `not_in_path`, `missing`, `refused`: templates of the look-up's errors ({name}, {error}: the C library's words in the runtime's
    spelling). `exec_failed` ({path}, {error}) with `exec_status`: execve fails after the container was created. `lower`: Go's spelling.
    """

    since: tuple[int, ...]
    not_in_path: str
    missing: str
    refused: str
    exec_failed: str
    exec_status: int
    lower: bool


CREATE: Mapping[str, tuple[CreateText, ...]] = {
    "docker": (
        CreateText(
            (0,),
            _DAEMON + 'OCI runtime create failed: container_linux.go:349: starting container process caused "',
            '": unknown.',
        ),
        CreateText(
            (20, 10),
            _DAEMON + "OCI runtime create failed: container_linux.go:380: starting container process caused: ",
            ": unknown.",
        ),
        CreateText((20, 10, 14), f"{_DAEMON}failed to create shim: {_UNABLE}", ": unknown."),
        CreateText((20, 10, 17), f"{_DAEMON}failed to create shim task: {_UNABLE}", ": unknown."),
        CreateText(
            (23,), f"{_DAEMON}failed to create task for container: failed to create shim task: {_UNABLE}", ": unknown."
        ),
        CreateText(
            (28,),
            f"{_DAEMON}failed to create task for container: failed to create shim task: {_UNABLE}",
            ": unknown\n\nRun 'docker run --help' for more information",
            in_init=True,
        ),
    ),
    "podman": (CreateText((0,), "Error: {runtime}: ", ": {podman}"),),
    "containerd": (
        CreateText((0,), "ctr: failed to create shim: " + _UNABLE, ": unknown"),
        CreateText((1, 6), "ctr: failed to create shim task: " + _UNABLE, ": unknown"),
        CreateText((2, 0), "ctr: failed to create shim task: " + _UNABLE, ": unknown", in_init=True),
    ),
    "cri-o": (CreateText((0,), "container create failed: ", ""),),
    "kubernetes": (
        CreateText((0,), "failed to create containerd task: failed to create shim task: " + _UNABLE, ": unknown"),
    ),
}
RUNTIMES: Mapping[str, tuple[RuntimeTexts, ...]] = {
    "runc": (
        RuntimeTexts(
            (0,),
            'exec: "{name}": executable file not found in $PATH',
            'exec: "{name}": stat {name}: {error}',
            'exec: "{name}": {error}',
            "standard_init_linux.go:228: exec user process caused: {error}",
            1,
            True,
        ),
        RuntimeTexts(
            (1, 1),
            'exec: "{name}": executable file not found in $PATH',
            'exec: "{name}": stat {name}: {error}',
            'exec: "{name}": {error}',
            "exec {path}: {error}",
            255,
            True,
        ),
    ),
    "crun": (
        RuntimeTexts(
            (0,),
            "executable file `{name}` not found in $PATH: No such file or directory",
            "executable file `{name}` not found: {error}",
            "open executable: {error}",
            "exec container process `{path}`: {error}",
            1,
            False,
        ),
    ),
}
_PODMAN = {127: "OCI runtime attempted to invoke a command that was not found", 126: "OCI permission denied"}


def create_text(engine: str, version: tuple[int, ...], reason: str, runtime: str = "runc", status: int = 127) -> str:
    """What `engine` shows when the low-level `runtime` refuses to create the container for `reason`. Unknown engines speak as docker."""
    rows = CREATE.get(engine, CREATE["docker"])
    row = [r for r in rows if version >= r.since or r is rows[0]][-1]
    if engine == "docker" and row is rows[0]:
        reason = reason.replace('"', '\\"')  # the reason is quoted as a whole
    if engine == "podman" and runtime == "runc":
        reason = f"runc create failed: unable to start container process: {reason}"
    if engine == "podman" and status not in _PODMAN:
        return f"Error: OCI runtime error: {runtime}: {reason}"
    if row.in_init and reason.startswith("exec: "):
        reason = f"error during container init: {reason}"
    words = {"runtime": runtime, "podman": _PODMAN.get(status, "")}
    before, after = (text.format_map(words) if engine == "podman" else text for text in (row.before, row.after))
    return f"{before}{reason}{after}"


def runtime_texts(runtime: str, version: tuple[int, ...] = NEWEST) -> RuntimeTexts:
    """The texts of a low-level runtime; one without a table speaks as runc."""
    rows = RUNTIMES.get(runtime, RUNTIMES["runc"])
    return [r for r in rows if version >= r.since or r is rows[0]][-1]


@frozen
class PodStatus:
    """What ``kubectl describe pod`` shows of a container: the `reason` and `exit_code` of its last state, the `message` (the runtime's
    text, "" = none: then the log has it), and the `waiting` reason while the kubelet tries again (restartPolicy Always)."""

    reason: str
    exit_code: int | None
    message: str
    waiting: str


def pod_status(kind: str, text: str, status: int | None, engine: str = "containerd") -> PodStatus:
    """The status of a container that ended as `kind` ("start-error", "exec-error" or "exit") with `text` and `status`.

    `text` of a start error is the low-level runtime's reason. CRI-O creates the container before it is started, so it never gets that far.
    """
    if kind == "start-error" and engine == "cri-o":
        return PodStatus("", None, create_text("cri-o", NEWEST, text), "CreateContainerError")
    if kind == "start-error":
        return PodStatus("StartError", 128, create_text("kubernetes", NEWEST, text), "RunContainerError")
    if status == 0:
        return PodStatus("Completed", 0, "", "CrashLoopBackOff")
    return PodStatus("Error", status, "", "CrashLoopBackOff")
