"""What engines show around a runtime's error, by release; the look-up of the program; what Kubernetes reports."""

from __future__ import annotations

import pytest

from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.engine import Process
from nvsim.scenario.messages import create_failed, docker_status, exec_failed, hook_failed, look_up
from nvsim.scenario.messages_engines import CREATE, create_text, pod_status

NOT_FOUND = 'exec: "nvidia-smi": executable file not found in $PATH'
TREE = tree_from_json(
    {
        "/usr/bin/tool": {"type": "file", "size": 9},
        "/usr/bin/data": {"type": "file", "size": 9, "mode": "0644"},
        "/usr/bin/mine": {"type": "file", "size": 9, "mode": "0700"},
        "/usr/bin/dir": {"type": "dir"},
        "/opt/tool": {"type": "file", "size": 9, "mode": "0644"},
    },
    "t",
)


@pytest.mark.parametrize(
    ("engine", "version", "text"),
    [
        (
            "docker",
            (19, 3),
            "docker: Error response from daemon: OCI runtime create failed: container_linux.go:349: starting container process caused "
            r'"exec: \"nvidia-smi\": executable file not found in $PATH": unknown.',
        ),
        (
            "docker",
            (20, 10, 7),
            "docker: Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: "
            'exec: "nvidia-smi": executable file not found in $PATH: unknown.',
        ),
        (
            "docker",
            (24, 0, 7),
            "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: "
            'runc create failed: unable to start container process: exec: "nvidia-smi": executable file not found in $PATH: unknown.',
        ),
        (
            "containerd",
            (1, 7),
            "ctr: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
            'exec: "nvidia-smi": executable file not found in $PATH: unknown',
        ),
    ],
)
def test_engines_wrap_the_runtimes_reason(engine: str, version: tuple[int, ...], text: str) -> None:
    assert create_text(engine, version, NOT_FOUND) == text


def test_newer_releases_say_that_init_looked_the_program_up() -> None:
    shown = create_text("docker", (28, 5), NOT_FOUND)
    assert f"unable to start container process: error during container init: {NOT_FOUND}: unknown\n" in shown
    hook = hook_failed(1, "nvidia-container-cli: x", "docker", (28, 5))
    assert hook.count("error during container init") == 1


def test_podman_shows_crun() -> None:
    reason = "executable file `nvidia-smi` not found in $PATH: No such file or directory"
    assert create_failed(reason, "podman", (5,), "crun") == (
        f"Error: crun: {reason}: OCI runtime attempted to invoke a command that was not found"
    )


@pytest.mark.parametrize("engine", CREATE)
@pytest.mark.parametrize("version", [(0,), (1, 7), (20, 10), (23, 0, 1), (28, 5), (99,)])
def test_every_release_tells_the_reason(engine: str, version: tuple[int, ...]) -> None:
    assert "executable file not found" in create_text(engine, version, NOT_FOUND)


@pytest.mark.parametrize(
    ("argv0", "uid", "path", "error", "status"),
    [
        ("tool", 0, "/usr/bin/tool", None, 0),
        ("nvidia-smi", 0, None, NOT_FOUND, 127),
        ("/usr/bin/nosuch", 0, None, 'exec: "/usr/bin/nosuch": stat /usr/bin/nosuch: no such file or directory', 127),
        ("/usr/bin/data", 0, None, 'exec: "/usr/bin/data": permission denied', 126),
        ("/usr/bin/dir", 0, None, 'exec: "/usr/bin/dir": is a directory', 126),
        ("/usr/bin/tool/x", 0, None, 'exec: "/usr/bin/tool/x": stat /usr/bin/tool/x: not a directory', 125),
        ("/usr/bin/mine", 0, "/usr/bin/mine", None, 0),
        ("/usr/bin/mine", 1000, None, 'exec: "/usr/bin/mine": permission denied', 126),
        ("data", 0, None, 'exec: "data": executable file not found in $PATH', 127),
    ],
)
def test_the_runtime_looks_the_program_up(
    argv0: str, uid: int, path: str | None, error: str | None, status: int
) -> None:
    process = Process((argv0,), ("PATH=/opt:/usr/bin",), "/", uid, uid)
    found = look_up(Resolver(TREE, uid), process)
    assert (found.path, found.error, found.exit) == (path, error, status)


def test_what_was_tried_is_told() -> None:
    found = look_up(Resolver(TREE), Process(("tool",), ("PATH=/opt:/nosuch:/usr/bin",), "/", 0, 0))
    assert found.tried == (("/opt/tool", "permission denied"), ("/nosuch/tool", "no such file or directory"))


def test_a_failing_execve_is_the_containers_own_end() -> None:
    assert exec_failed("/usr/bin/x", "ENOENT") == ("exec /usr/bin/x: no such file or directory", 255)
    assert exec_failed("/usr/bin/x", "ENOEXEC", version=(1, 0)) == (
        "standard_init_linux.go:228: exec user process caused: exec format error",
        1,
    )
    assert exec_failed("/usr/bin/x", "ENOEXEC", "crun")[0] == "exec container process `/usr/bin/x`: Exec format error"


def test_docker_tells_the_kinds_of_errors_apart_by_their_words() -> None:
    shown = hook_failed(1, "nvidia-container-cli: initialization error: nvml error: driver not loaded\n")
    assert docker_status(shown) == 125
    missing = "load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory"
    assert docker_status(hook_failed(1, missing)) == 127


def test_kubernetes_reports_a_start_error_with_status_128() -> None:
    started = pod_status("start-error", NOT_FOUND, 127)
    assert (started.reason, started.exit_code, started.waiting) == ("StartError", 128, "RunContainerError")
    assert started.message.endswith(f"unable to start container process: {NOT_FOUND}: unknown")
    assert pod_status("exec-error", "exec /x: exec format error", 255).waiting == "CrashLoopBackOff"
    assert pod_status("exit", "", 0).reason == "Completed"
    assert pod_status("start-error", NOT_FOUND, 127, "cri-o").waiting == "CreateContainerError"
