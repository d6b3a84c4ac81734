"""What is shown when a container does not start, in the words of the engine that was asked: its refusals, the toolkit's, and failures.

The texts themselves are tables (`nvsim.scenario.messages`, `nvsim.scenario.messages_engines`); here is which of them speaks, and the
exit status that the user sees.
"""

from __future__ import annotations

import re

from nvsim.frozen import frozen
from nvsim.scenario.engine_call import Call
from nvsim.scenario.messages import create_failed, docker_status, exec_failed, hook_failed, runtime_failed
from nvsim.scenario.messages_engines import NEWEST, pod_status
from nvsim.scenario.stages import ENGINE, HOOK, RUNTIME, Prepared
from nvsim.toolkit.request import ContainerRequest, Refusal

POD = "kubernetes"
_PRESTART = "/usr/bin/nvidia-container-runtime-hook"
_RUNC_HOOK = re.compile(
    r"error running hook #\d+: error running hook: exit status (\d+), stdout: , stderr: (.*)", re.DOTALL
)
_RUNC_STAT = re.compile(r"error mounting .* to rootfs at .*: stat (.*): no such file or directory")
_PLAIN = {"containerd": "Error: ", "cri-o": "Error: ", "podman": "Error: "}  # before what an engine says itself


@frozen
class Shown:
    """What is printed and the exit status; None = there is none to see, because the container never existed."""

    text: str
    status: int | None


@frozen
class Speaker:
    """Who tells of failures: an engine in one release with its low-level runtime. containerd and CRI-O are told by the kubelet."""

    engine: str
    version: tuple[int, ...]
    low_level: str
    low_level_version: tuple[int, ...]

    def start_failed(self, error: str) -> Shown:
        """The low-level runtime cannot start the process, for `error`."""
        if self.engine in (POD, "cri-o"):
            engine = "containerd" if self.engine == POD else "cri-o"
            status = pod_status("start-error", error, docker_status(error), engine)
            return Shown(status.message, status.exit_code)
        return Shown(create_failed(error, self.engine, self.version, self.low_level), docker_status(error))

    def exec_failed(self, path: str, errno: str) -> Shown:
        """execve fails in the container that was created: its init says so."""
        return Shown(*exec_failed(path, errno, self.low_level, self.low_level_version))

    def hook_failed(self, status: int, stderr: str) -> Shown:
        """The NVIDIA prestart hook fails."""
        if self.low_level == "crun":
            return self._crun_hook(_PRESTART, status, stderr)
        return self._created(hook_failed(status, stderr, self.engine, self.version), stderr)

    def runtime_failed(self, stderr: str) -> Shown:
        """nvidia-container-runtime itself fails, before any low-level runtime is started."""
        return self._created(runtime_failed(stderr, self.engine, self.version), stderr)

    def create_failed(self, failure: str, hook: str) -> Shown:
        """A mount, a device node or a createContainer hook (`hook`: its program) fails; `failure` is in runc's words."""
        reason = f"error during container init: {failure}"
        if self.low_level == "crun":
            failed = _RUNC_HOOK.fullmatch(failure)
            if failed is not None:
                return self._crun_hook(hook, int(failed[1]), failed[2])
            missing = _RUNC_STAT.fullmatch(failure)
            reason = failure if missing is None else f"cannot stat `{missing[1]}`: No such file or directory"
        return self._created(create_failed(reason, self.engine, self.version, self.low_level), failure)

    def _crun_hook(self, hook: str, status: int, stderr: str) -> Shown:
        """crun leaves the hook's output where it is and says only which program failed."""
        reason = f"error executing hook `{hook}` (exit code: {status})"
        return self._created(stderr + create_failed(reason, self.engine, self.version, self.low_level), reason)

    def _created(self, text: str, reason: str) -> Shown:
        status = None if self.engine == "cri-o" else 128 if self.engine == POD else docker_status(reason)
        return Shown(text, status)


DOCKER = Speaker("docker", (27,), "runc", NEWEST)


def speaker_of(call: Call) -> Speaker:
    """Who tells of failures. nvidia-container-runtime starts runc whatever the engine would have started."""
    engine, rules = call.engine, call.engine.rules
    name = POD if engine.name == "containerd" else engine.name
    low_level = "runc" if call.who == "runtime" else rules.low_level
    return Speaker(name, engine.version, low_level, rules.low_level_version)


def engine_refused(call: Call, text: str) -> Shown:
    """The engine itself refuses the container, or the scheduler does not give it the pod."""
    if call.refused_by == "scheduler":
        return Shown(text, None)
    before = _PLAIN.get(call.engine.name, "docker: Error response from daemon: ")
    return Shown(before + text, None if call.engine.name in ("containerd", "cri-o") else 125)


def toolkit_refused(speaker: Speaker, refused: Refusal) -> Shown:
    """A program of the toolkit refuses the request."""
    if "hook" in refused.program:
        return speaker.hook_failed(refused.exit, refused.stderr)
    return speaker.runtime_failed(refused.stderr)


def injection_failed(call: Call, request: ContainerRequest, prepared: Prepared) -> Shown:
    """The injection fails: everything that `Prepared` tells of it."""
    stage, failure, status = prepared.stage, prepared.injected.failure or "", prepared.injected.exit
    speaker = speaker_of(call)
    if stage == ENGINE:
        before = {"podman": "setting up CDI devices: "}.get(call.engine.name, "CDI device injection failed: ")
        return engine_refused(call, before + failure)
    if stage == RUNTIME:
        return speaker.runtime_failed(failure)
    if stage == HOOK:
        return speaker.hook_failed(status or 1, "".join(f"{line}\n" for line in request.lines) + failure)
    hooks = prepared.plan.hooks if prepared.plan is not None else ()
    return speaker.create_failed(failure, hooks[0].path if hooks else "")
