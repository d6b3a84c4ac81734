"""The texts that engines put around a low-level runtime's error, their exit statuses, and what Kubernetes reports: tables by engine and release.

Measured with Docker 20.10.5, 20.10.24, 26.1.5, 28.5.2 and 29.7.2, podman 3.0.1, 4.3.1, 5.4.2 and 5.8.6, containerd 1.4.13, 1.6.20, 1.7.24 and 2.1.9; read in
the sources: the releases in between (moby ``daemon/errors.go``, docker/cli ``cli/command/container/run.go``, podman ``libpod/oci_util.go``), the
CRI plugin of containerd, CRI-O ``internal/oci/runtime_oci.go``, kubelet ``pkg/kubelet/kuberuntime``. `docs/engines.md` says what was measured.
What the runtime itself says is `nvsim.scenario.messages_runtimes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nvsim.frozen import frozen
from nvsim.scenario.messages_runtimes import NEWEST, RuntimeTexts, Version, as_logrus

_DAEMON = "docker: Error response from daemon: "
_HELP = "\n\nRun 'docker run --help' for more information"
_SEE = ".\nSee 'docker run --help'."
_SHIM, _SHIM_TASK = "failed to create shim: ", "failed to create shim task: "
_OCI = "OCI runtime create failed: "
_TASK = f"failed to create task for container: {_SHIM_TASK}{_OCI}"
_VICE_VERSA = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"


@frozen
class EngineTexts:
    """How an engine speaks from the release `since` on.

    `before` and `after` stand around what the low-level runtime says of a container that it cannot create. `adds`: what the engine puts behind a text
    with certain words, the first that fits ("" = nothing). `end` ends every text, `end_early` one from before the container was created.
    `own` stands before what the engine says itself. `statuses`: the exit status by words in the text, the first that fits, else `status`.
    `not_found`: podman's kind of error for a program or file that is missing.
    """

    since: Version
    before: str
    after: str = ""
    adds: tuple[tuple[str, str], ...] = ()
    end: str = ""
    end_early: str = ""
    own: str = "Error: "
    statuses: tuple[tuple[str, int], ...] = ()
    status: int = 125
    not_found: str = ""

    def finished(self, text: str) -> str:
        """`text` with what the engine adds to it and with its end."""
        return text + next((more for words, more in self.adds if words in text.lower()), "") + self.end

    def status_of(self, text: str) -> int:
        """The exit status for a failure that is told as `text`."""
        return next((status for words, status in self.statuses if words in text), self.status)


_MISSING = tuple(
    (words, 127)
    for words in ("executable file not found", "no such file or directory", "system cannot find the file specified")
)
_DENIED = ("permission denied", 126)


def _docker(
    since: Version,
    before: str,
    *,
    unknown: bool = True,
    directory: bool = True,
    denied_first: bool = True,
    help: bool = False,
) -> EngineTexts:
    """`unknown`: the error class of containerd 1; `directory`: "is a directory" counts as a missing permission (Go 1.20 on);
    `denied_first`: what is refused is not taken for a wrong mount as well."""
    adds: list[tuple[str, str]] = [("permission denied", "")] if denied_first else []
    adds += [("is a directory", ": permission denied")] if directory else []
    return EngineTexts(
        since,
        _DAEMON + before,
        ": unknown" if unknown else "",
        (*adds, ("not a directory", _VICE_VERSA)),
        end=_HELP if help else ".",
        end_early=_HELP if help else _SEE,
        own=_DAEMON,
        statuses=(*_MISSING, _DENIED, *((("is a directory", 126),) if directory else ())),
    )


_NOT_FOUND = "OCI runtime attempted to invoke a command that was not found"
_PODMAN_STATUSES = (("not found", 127), ("no such file", 127), ("No such file", 127))
ENGINES: Mapping[str, tuple[EngineTexts, ...]] = {
    "docker": (
        _docker((0,), _OCI, directory=False, denied_first=False),
        _docker((20, 10, 14), _SHIM + _OCI, directory=False, denied_first=False),
        _docker((20, 10, 17), _SHIM_TASK + _OCI, directory=False, denied_first=False),
        _docker((23,), _TASK, directory=False, denied_first=False),
        _docker((23, 0, 2), _TASK, denied_first=False),
        _docker((24,), _TASK),
        _docker((28,), _TASK, help=True),
        _docker((29,), _TASK, help=True, unknown=False),
    ),
    # podman: see create_text
    "podman": (
        EngineTexts((0,), "Error: ", statuses=_PODMAN_STATUSES, status=126, not_found="OCI not found"),
        EngineTexts((3, 2), "Error: ", statuses=_PODMAN_STATUSES, status=126, not_found=_NOT_FOUND),
        EngineTexts((4,), "Error: {runtime}: ", statuses=_PODMAN_STATUSES, status=126, not_found=_NOT_FOUND),
    ),
    "containerd": (
        EngineTexts((0,), f"ctr: {_OCI}", ": unknown", status=1),
        EngineTexts((1, 5), f"ctr: {_SHIM}{_OCI}", ": unknown", status=1),
        EngineTexts((1, 6), f"ctr: {_SHIM_TASK}{_OCI}", ": unknown", status=1),
        EngineTexts((2, 0), f"ctr: {_SHIM_TASK}{_OCI}", status=1),
    ),
    "cri-o": (EngineTexts((0,), "container create failed: "),),
    # containerd's CRI plugin, as the kubelet reports it; releases are containerd's
    "kubernetes": (
        EngineTexts((0,), f"failed to create containerd task: {_OCI}", ": unknown", status=128),
        EngineTexts((1, 5), f"failed to create containerd task: {_SHIM}{_OCI}", ": unknown", status=128),
        EngineTexts((1, 6), f"failed to create containerd task: {_SHIM_TASK}{_OCI}", ": unknown", status=128),
        EngineTexts((2, 0), f"failed to create containerd task: {_SHIM_TASK}{_OCI}", status=128),
    ),
}
# podman tells kinds of errors apart by the line of the runtime's text that has these words.
_PODMAN_DENIED = r"(?i).*permission denied.*|.*operation not permitted.*"
_PODMAN_MISSING = r"(?i).*executable file not found in.*|.*no such file or directory.*"
_PODMAN_ERROR = "OCI runtime error"


def engine_texts(engine: str, version: Version) -> EngineTexts:
    """The texts of an engine in a release. Unknown engines speak as docker."""
    rows = ENGINES.get(engine, ENGINES["docker"])
    return [r for r in rows if version >= r.since or r is rows[0]][-1]


def create_text(engine: str, version: Version, said: str, runtime: str = "runc") -> str:
    """What `engine` shows when the low-level `runtime` says `said` and creates no container."""
    texts = engine_texts(engine, version)
    if engine == "podman":
        before = texts.before.format(runtime=runtime)
        for words, kind in ((_PODMAN_DENIED, "OCI permission denied"), (_PODMAN_MISSING, texts.not_found)):
            if found := re.search(words, said):
                return f"{before}{found[0].strip()}: {kind}"
        return f"Error: {_PODMAN_ERROR}: {before.removeprefix('Error: ')}{said.rstrip()}"
    return texts.finished(f"{texts.before}{said}{texts.after}")


def created_by(engine: str, texts: RuntimeTexts, reason: str) -> str:
    """What reaches the engine of a runtime's failed creation for `reason`. CRI-O reads the runtime's stderr, where runc writes a log line."""
    said = texts.reason(reason)
    return as_logrus(said) if engine == "cri-o" and texts.lower else said


@frozen
class PodStatus:
    """What ``kubectl describe pod`` shows of a container: the `reason` and `exit_code` of its last state, the `message` (the runtime's
    text, "" = none: then the log has it), and the `waiting` reason while the kubelet tries again (restartPolicy Always)."""

    reason: str
    exit_code: int | None
    message: str
    waiting: str


def pod_status(
    kind: str, said: str, status: int | None, engine: str = "containerd", version: Version = NEWEST
) -> PodStatus:
    """The status of a container that ended as `kind` ("start-error", "exec-error" or "exit") with `said` and `status`.

    `said` of a start error is what the low-level runtime says. CRI-O creates the container before it is started, so it never gets that far.
    """
    if kind == "start-error" and engine == "cri-o":
        return PodStatus("", None, create_text("cri-o", version, said), "CreateContainerError")
    if kind == "start-error":
        return PodStatus("StartError", 128, create_text("kubernetes", version, said), "RunContainerError")
    if status == 0:
        return PodStatus("Completed", 0, "", "CrashLoopBackOff")
    return PodStatus("Error", status, "", "CrashLoopBackOff")
