"""What is shown when a container does not start, in the words of the engine that was asked: its refusals, the toolkit's, and failures.

The texts themselves are tables (`nvsim.scenario.messages`, `nvsim.scenario.messages_engines`); here is which of them speaks, and the
exit status that the user sees.
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.inject.plan import HookRun
from nvsim.scenario.engine_call import Call
from nvsim.scenario.messages import exec_failed
from nvsim.scenario.messages_runtimes import NEWEST, RuntimeTexts, Version, runtime_named, runtime_texts, setup_failed
from nvsim.scenario.stages import ENGINE, HOOK, RUNTIME, Prepared
from nvsim.toolkit.request import ContainerRequest, Refusal

POD = "kubernetes"
_PRESTART = "/usr/bin/nvidia-container-runtime-hook"
# docker's words for options that it looks at before it creates the container
_EARLY = ("unknown or invalid runtime name", "Unknown runtime specified")
_CRI_SPEC = 'failed to generate container "<id>" spec: failed to generate spec: '


@frozen
class Shown:
    """What is printed and the exit status; None = there is none to see, because the container never existed."""

    text: str
    status: int | None


@frozen
class Speaker:
    """Who tells of failures: an engine in one release with its low-level runtime. containerd and CRI-O are told by the kubelet.

    `configured`: the name under which the engine has the runtime, which podman shows ("" = the low-level runtime's own).
    """

    engine: str
    version: Version
    low_level: str
    low_level_version: Version
    configured: str = ""

    @property
    def _texts(self) -> RuntimeTexts:
        return runtime_texts(self.low_level, self.low_level_version)

    def start_failed(self, error: str) -> Shown:
        """The low-level runtime finds no program, for `error`."""
        return self._created(self._texts.in_look_up + error)

    def exec_failed(self, path: str, errno: str) -> Shown:
        """execve fails in the container that was created: its init says so."""
        text, status = exec_failed(path, errno, self.low_level, self.low_level_version, json=self.engine != "cri-o")
        return Shown(text, status)

    def exec_reason(self, path: str, errno: str) -> str:
        """The same as one plain sentence."""
        return exec_failed(path, errno, self.low_level, self.low_level_version, json=False)[0]

    def hook_failed(self, status: int, stderr: str) -> Shown:
        """The NVIDIA prestart hook fails."""
        failure = f"error running hook #0: error running hook: exit status {status}, stdout: , stderr: {stderr}"
        return self.create_failed(failure, "prestart", _PRESTART)

    def runtime_failed(self, stderr: str) -> Shown:
        """nvidia-container-runtime itself fails, before any low-level runtime is started."""
        return self._said(stderr.rstrip())

    def create_failed(self, failure: str, kind: str = "createContainer", hook: str = "") -> Shown:
        """A mount, a device node or a hook (of the stage `kind`, its program `hook`) fails; `failure` is in runc 1.1's words."""
        return self._created(setup_failed(self._texts, failure, kind, hook))

    def workdir_failed(self, path: str) -> Shown:
        """The working directory is a file."""
        texts = self._texts
        return self._created(texts.in_init + texts.no_workdir.format(path=path))

    def _created(self, reason: str) -> Shown:
        """The low-level runtime creates no container, for `reason`."""
        from nvsim.scenario.messages_engines import created_by

        return self._said(created_by(self.engine, self._texts, reason))

    def _said(self, said: str) -> Shown:
        from nvsim.scenario.messages_engines import create_text, engine_texts, pod_status

        if self.engine in (POD, "cri-o"):
            engine = "containerd" if self.engine == POD else "cri-o"
            pod = pod_status("start-error", said, None, engine, self.version)
            return Shown(pod.message, pod.exit_code)
        text = create_text(self.engine, self.version, said, self.configured or self.low_level)
        return Shown(text, engine_texts(self.engine, self.version).status_of(text))


DOCKER = Speaker("docker", (27,), "runc", (1, 1, 7))


def speaker_of(call: Call, runtime: str | None = None) -> Speaker:
    """Who tells of failures. nvidia-container-runtime starts runc whatever the engine would have started; `runtime` (``--runtime``) may name
    another low-level runtime or release."""
    engine = call.engine
    low_level, version = engine.low_level
    if call.who == "runtime" and low_level != "runc":
        low_level, version = "runc", NEWEST
    named = runtime_named(runtime or "")
    if named is not None:
        low_level, version = named if named[1] != NEWEST or named[0] != low_level else (low_level, version)
    configured = (runtime or "nvidia") if call.who == "runtime" else ""
    return Speaker(POD if engine.name == "containerd" else engine.name, engine.version, low_level, version, configured)


def engine_refused(call: Call, text: str) -> Shown:
    """The engine itself refuses the container, or the scheduler does not give it the pod."""
    if call.refused_by == "scheduler":
        return Shown(text, None)
    from nvsim.scenario.messages_engines import engine_texts

    name, version = call.engine.name, call.engine.version
    if call.refused_by == "client":  # docker's own command, before it asks the daemon
        return Shown(f"docker: {text}{engine_texts(name, version).end_early}", 125)
    texts = engine_texts(name, version)
    if name in ("containerd", "cri-o"):
        spec = _CRI_SPEC if name == "containerd" and text.startswith("CDI device injection failed") else ""
        return Shown(f"{texts.own}{spec}{text}", None)
    end = texts.end_early if text.startswith(_EARLY) else texts.end
    # podman looks at the options before it has a container: 125; at CDI devices when it starts it
    early = name == "podman" and not text.startswith("setting up CDI devices: ")
    return Shown(texts.own + text + end, 125 if early else texts.status_of(text))


def toolkit_refused(speaker: Speaker, refused: Refusal) -> Shown:
    """A program of the toolkit refuses the request."""
    if "hook" in refused.program:
        return speaker.hook_failed(refused.exit, refused.stderr)
    return speaker.runtime_failed(refused.stderr)


def injection_failed(call: Call, request: ContainerRequest, prepared: Prepared, speaker: Speaker) -> Shown:
    """The injection fails: everything that `Prepared` tells of it."""
    stage, failure, status = prepared.stage, prepared.injected.failure or "", prepared.injected.exit
    if stage == ENGINE:
        before = {"podman": "setting up CDI devices: "}.get(call.engine.name, "CDI device injection failed: ")
        return engine_refused(call, before + failure)
    if stage == RUNTIME:
        return speaker.runtime_failed(failure)
    if stage == HOOK:
        return speaker.hook_failed(status or 1, "".join(f"{line}\n" for line in request.lines) + failure)
    hooks = prepared.plan.hooks if prepared.plan is not None else ()
    failed = _failed_hook(failure, hooks)
    if failed is not None:
        return speaker.create_failed(failure, failed.stage, failed.path)
    return speaker.create_failed(failure)


def _failed_hook(failure: str, hooks: tuple[HookRun, ...]) -> HookRun | None:
    """The hook that `failure` is of: the program that could not be started, or the one of that number among those that run in the container."""
    numbered = failure.removeprefix("error running hook #")
    if numbered == failure:
        return None
    number, _, what = numbered.partition(": ")
    if what.startswith("fork/exec "):
        return next((h for h in hooks if what.startswith(f"fork/exec {h.path}:")), None)
    inside = [h for h in hooks if h.stage == "createContainer"]
    return inside[int(number)] if int(number) < len(inside) else None
