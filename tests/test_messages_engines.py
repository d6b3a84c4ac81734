"""What engines show around a runtime's error, and their exit statuses, by release; what Kubernetes reports.

The texts are those of Docker 20.10.24, 26.1.5, 28.5.2 and 29.7.2, podman 3.0.1, 4.3.1, 5.4.2 and 5.8.6 and containerd 1.4, 1.6, 1.7 and 2.1 (``ctr``);
Docker 19.3 and 20.10.7 and the kubelet's are read in their sources and public reports.
"""

from __future__ import annotations

import pytest

from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.engine import Process
from nvsim.scenario.engine_words import Speaker
from nvsim.scenario.messages import look_up
from nvsim.scenario.messages_engines import ENGINES, create_text, engine_texts, pod_status
from nvsim.scenario.messages_runtimes import RUNC_RC10, RUNC_RC93, Version

NOT_FOUND = 'exec: "nvidia-smi": executable file not found in $PATH'
UNABLE = "runc create failed: unable to start container process: "
DAEMON = "docker: Error response from daemon: "
TASK = f"{DAEMON}failed to create task for container: failed to create shim task: OCI runtime create failed: "
HELP = "\n\nRun 'docker run --help' for more information"
VICE_VERSA = "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
PODMAN_NOT_FOUND = "OCI runtime attempted to invoke a command that was not found"
DOCKER_19, DOCKER_20 = Speaker("docker", (19, 3), "runc", RUNC_RC10), Speaker("docker", (20, 10, 7), "runc", RUNC_RC93)
DOCKER_20_24 = Speaker("docker", (20, 10, 24), "runc", (1, 1, 5))
DOCKER_26, DOCKER_28 = (
    Speaker("docker", (26, 1, 5), "runc", (1, 1, 15)),
    Speaker("docker", (28, 5, 2), "runc", (1, 3, 6)),
)
DOCKER_29, DOCKER_CRUN = Speaker("docker", (29,), "runc", (1, 3, 3)), Speaker("docker", (26, 1, 5), "crun", (1, 21))
PODMAN_3, PODMAN_4 = Speaker("podman", (3, 0, 1), "crun", (0, 17)), Speaker("podman", (4, 3, 1), "crun", (1, 8, 1))
PODMAN_5, PODMAN_RUNC = Speaker("podman", (5, 4, 2), "crun", (1, 21)), Speaker("podman", (4, 3, 1), "runc", (1, 1, 5))
CRUN_NO_PATH = "executable file `nvidia-smi` not found in $PATH: No such file or directory"


@pytest.mark.parametrize(
    ("speaker", "error", "text", "status"),
    [
        (
            DOCKER_19,
            NOT_FOUND,
            f"{DAEMON}OCI runtime create failed: container_linux.go:349: starting container process caused "
            r'"exec: \"nvidia-smi\": executable file not found in $PATH": unknown.',
            127,
        ),
        (
            DOCKER_20,
            NOT_FOUND,
            f"{DAEMON}OCI runtime create failed: container_linux.go:380: starting container process caused: {NOT_FOUND}: unknown.",
            127,
        ),
        (
            DOCKER_20_24,
            NOT_FOUND,
            f"{DAEMON}failed to create shim task: OCI runtime create failed: {UNABLE}{NOT_FOUND}: unknown.",
            127,
        ),
        (DOCKER_26, NOT_FOUND, f"{TASK}{UNABLE}{NOT_FOUND}: unknown.", 127),
        (DOCKER_28, NOT_FOUND, f"{TASK}{UNABLE}error during container init: {NOT_FOUND}: unknown{HELP}", 127),
        (DOCKER_29, NOT_FOUND, f"{TASK}{UNABLE}error during container init: {NOT_FOUND}{HELP}", 127),
        (DOCKER_26, 'exec: "/d": is a directory', f'{TASK}{UNABLE}exec: "/d": is a directory: unknown: permission denied.', 126),
        (
            DOCKER_26,
            'exec: "/f/x": stat /f/x: not a directory',
            f'{TASK}{UNABLE}exec: "/f/x": stat /f/x: not a directory: unknown: {VICE_VERSA}.',
            125,
        ),
        (DOCKER_26, 'exec: "/f": permission denied', f'{TASK}{UNABLE}exec: "/f": permission denied: unknown.', 126),
        (DOCKER_CRUN, CRUN_NO_PATH, f"{TASK}{CRUN_NO_PATH}: unknown.", 125),
        (PODMAN_3, CRUN_NO_PATH, f"Error: {CRUN_NO_PATH}: OCI not found", 127),
        (PODMAN_3, "open executable: Not a directory", "Error: OCI runtime error: open executable: Not a directory", 126),
        (PODMAN_5, CRUN_NO_PATH, f"Error: crun: {CRUN_NO_PATH}: {PODMAN_NOT_FOUND}", 127),
        (
            PODMAN_4,
            "open executable: Permission denied",
            "Error: crun: open executable: Permission denied: OCI permission denied",
            126,
        ),
        (
            PODMAN_5,
            "cannot open `/f/x`: Not a directory",
            "Error: OCI runtime error: crun: cannot open `/f/x`: Not a directory",
            126,
        ),
        (PODMAN_RUNC, NOT_FOUND, f"Error: runc: {UNABLE}{NOT_FOUND}: {PODMAN_NOT_FOUND}", 127),
        (
            Speaker("cri-o", (1, 30), "runc", (1, 1, 15)),
            NOT_FOUND,
            f'container create failed: time="<time>" level=error msg="{UNABLE}' + NOT_FOUND.replace('"', r'\"') + '"',
            None,
        ),
        (Speaker("cri-o", (1, 33), "crun", (1, 21)), CRUN_NO_PATH, f"container create failed: {CRUN_NO_PATH}", None),
    ],
)  # fmt: skip
def test_engines_tell_of_a_program_that_is_not_found(
    speaker: Speaker, error: str, text: str, status: int | None
) -> None:
    shown = speaker.start_failed(error)
    assert (shown.text, shown.status) == (text, status)


@pytest.mark.parametrize(
    ("version", "said", "text"),
    [
        ((1, 4), "container_linux.go:380: x", "ctr: OCI runtime create failed: container_linux.go:380: x: unknown"),
        ((1, 6), UNABLE + "x", f"ctr: failed to create shim task: OCI runtime create failed: {UNABLE}x: unknown"),
        ((2, 1), UNABLE + "x", f"ctr: failed to create shim task: OCI runtime create failed: {UNABLE}x"),
    ],
)
def test_containerd_names_its_shim_from_1_5_on_and_no_class_from_2_on(version: Version, said: str, text: str) -> None:
    assert create_text("containerd", version, said) == text


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [(0,), (1, 7), (20, 10), (23, 0, 1), (28, 5), (99,)])
def test_every_release_tells_the_reason(engine: str, version: Version) -> None:
    assert "executable file not found" in create_text(engine, version, NOT_FOUND)


def test_docker_tells_the_kinds_of_errors_apart_by_their_words() -> None:
    hook = "nvidia-container-cli: initialization error: nvml error: driver not loaded\n"
    for speaker in (DOCKER_20_24, DOCKER_26, DOCKER_28):
        shown = speaker.hook_failed(1, hook)
        assert hook.rstrip() in shown.text and shown.status == 125
    missing = "load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory"
    assert DOCKER_26.hook_failed(1, missing).status == 127
    assert engine_texts("docker", (20, 10)).status_of("x: is a directory") == 125
    assert engine_texts("docker", (23, 0, 2)).status_of("x: is a directory") == 126


def test_a_prestart_hook_is_told_by_the_runtimes_release() -> None:
    ran = "error running hook #0: error running hook: exit status 1, stdout: , stderr: no GPU"
    assert DOCKER_26.hook_failed(1, "no GPU\n").text == f"{TASK}{UNABLE}error during container init: {ran}: unknown."
    ran = "error running prestart hook #0: exit status 1, stdout: , stderr: no GPU"
    shown = DOCKER_29.hook_failed(1, "no GPU\n").text
    assert shown == f"{TASK}{UNABLE}error during container init: {ran}{HELP}"
    old = "Running hook #0:: error running hook: exit status 1, stdout: , stderr: no GPU: unknown."
    assert DOCKER_20.hook_failed(1, "no GPU\n").text.endswith(f"process_linux.go:545: container init caused: {old}")


def test_what_was_tried_is_told() -> None:
    tree = tree_from_json({"/opt/tool": {"type": "file", "size": 9, "mode": "0644"}}, "t")
    found = look_up(Resolver(tree), Process(("tool",), ("PATH=/opt:/nosuch",), "/", 0, 0))
    assert found.tried == (("/opt/tool", "permission denied"), ("/nosuch/tool", "no such file or directory"))


def test_kubernetes_reports_a_start_error_with_status_128() -> None:
    started = pod_status("start-error", UNABLE + NOT_FOUND, 127, version=(1, 7))
    assert (started.reason, started.exit_code, started.waiting) == ("StartError", 128, "RunContainerError")
    assert started.message == (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
        f"{UNABLE}{NOT_FOUND}: unknown"
    )
    assert pod_status("start-error", UNABLE + NOT_FOUND, 127).message.endswith("not found in $PATH")
    assert pod_status("exec-error", "exec /x: exec format error", 255).waiting == "CrashLoopBackOff"
    assert pod_status("exit", "", 0).reason == "Completed"
    assert pod_status("start-error", NOT_FOUND, 127, "cri-o").waiting == "CreateContainerError"
