"""Who calls the toolkit: docker before and after CDI, Podman, Kubernetes device plugins, plain mounts, nobody."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nvsim
from nvsim.diagnosis.find import find
from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.host.datadir import data_dir
from nvsim.host.profile import HostProfile
from nvsim.host.read import load_host
from nvsim.image.model import Image
from nvsim.image.read import load_image
from nvsim.programs import load_programs
from nvsim.rootfs.node import File, FileFacts, Special
from nvsim.rootfs.overlay import RootFS
from nvsim.scenario.changes_host import LimitGpus
from nvsim.scenario.engine_call import gpus_request
from nvsim.scenario.engine_words import Speaker
from nvsim.scenario.engines import ENGINES, engine_named, table_page
from nvsim.scenario.model import Scenario, Settings
from nvsim.simulate import Result, simulate

DATA = data_dir()
PROGRAMS = load_programs(DATA / "programs")


@cache
def host(name: str) -> HostProfile:
    return load_host(name, DATA)


@cache
def image(name: str) -> Image:
    return load_image(f"example:{name}", DATA)


def run(host_name: str, image_name: str = "ubuntu2204", **settings: Any) -> Result:
    asked = Settings(**{"command": ("nvidia-smi",), **settings})
    return simulate(Scenario(host(host_name), image(image_name), asked), PROGRAMS)


def gpu_nodes(result: Result) -> list[str]:
    assert result.injected is not None
    names = result.injected.rootfs.names("/dev")
    return [n for n in names if n.startswith("nvidia") and n[6:].isdigit()]


# -- docker ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "who", "route"),
    [("docker-27.5", "hook", "legacy"), ("docker-28.2", "hook", "legacy"), ("docker-29.2", "cdi", "cdi")],
)
def test_gpus_becomes_cdi_with_docker_29_2(engine: str, who: str, route: str) -> None:
    result = run("ubuntu2404-550-cdi", gpus="all", engine=engine)
    assert (result.call.who, result.request.route, result.verdict) == (who, route, "ok")
    assert gpu_nodes(result) == ["nvidia0", "nvidia1"]
    visible = {"hook": "all", "cdi": "void"}[who]
    assert f"NVIDIA_VISIBLE_DEVICES={visible}" in result.process.env


def test_docker_29_2_falls_back_to_the_hook_without_a_spec() -> None:
    result = run("ubuntu2204-535", gpus="1", engine="docker-29.2", runtime="runc")
    assert result.call.who == "hook" and "unresolvable CDI devices nvidia.com/gpu=0" in result.call.because
    assert gpu_nodes(result) == ["nvidia0"]


def test_gpus_without_the_toolkit_is_refused() -> None:
    result = run("gke-cos-535", gpus="all", engine="docker-28.5")
    refused = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]'
    assert result.main.message == f"{refused}\n\nRun 'docker run --help' for more information"
    assert run("gke-cos-535", gpus="all", engine="docker-26.1").main.message == f"{refused}."
    amd = "failed to discover GPU vendor from CDI: no known GPU vendor found\n"
    assert amd in run("gke-cos-535", gpus="all", engine="docker-29.7").main.message
    assert 'driver "foo" with' in run("gke-cos-535", gpus="driver=foo", engine="docker-29.7").main.message
    assert result.plan is None and result.verdict == "fails"


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("docker-20.10.24", "docker: nvidia.com/gpu=0 is not an absolute path.\nSee 'docker run --help'."),
        ("docker-27.5", 'could not select device driver "cdi" with capabilities: []'),
        ("docker-28.5", "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0"),
        ("podman-5.4", "setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=0"),
        ("podman-4.0", "stat nvidia.com/gpu=0: no such file or directory"),
    ],
)
def test_a_cdi_device_without_a_spec_is_refused_in_the_engines_words(engine: str, message: str) -> None:
    result = run("ubuntu2204-535", devices=("nvidia.com/gpu=0",), engine=engine, runtime="runc")
    assert result.call.who == "refused" and message in result.main.message


def test_a_spec_of_the_user_stands_in_place_of_the_hosts() -> None:
    spec = (
        '{"cdiVersion": "0.5.0", "kind": "acme.com/xx", "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]}'
    )
    specs = (("acme.json", spec),)
    result = run("ubuntu2404-550-cdi", devices=("acme.com/xx=a",), cdi_specs=specs, command=("true",))
    assert "A=1" in result.process.env
    refused = run("ubuntu2404-550-cdi", devices=("nvidia.com/gpu=0",), cdi_specs=specs)
    assert "unresolvable CDI devices nvidia.com/gpu=0" in refused.main.message


def test_a_spec_of_an_older_driver_names_files_that_are_gone() -> None:
    result = run("ubuntu2204-550-stale-cdi", devices=("nvidia.com/gpu=all",))
    assert result.verdict == "fails"
    assert "libEGL_nvidia.so.535.309.01: no such file or directory" in result.main.message


def test_nothing_asked_for_gives_nothing() -> None:
    result = run("ubuntu2404-550-cdi")
    assert (result.call.who, result.plan, gpu_nodes(result)) == ("none", None, [])
    assert "executable file not found" in result.main.message


def test_a_privileged_container_sees_every_node_of_the_host() -> None:
    result = run("ubuntu2404-550-cdi", privileged=True, command=("true",))
    assert result.plan is None and gpu_nodes(result) == ["nvidia0", "nvidia1"]


def test_a_device_node_alone_brings_no_driver() -> None:
    result = run("ubuntu2404-550-cdi", devices=("/dev/nvidia0:/dev/nvidia7", "/dev/nvidiactl"), command=("cuda-probe",))
    assert gpu_nodes(result) == ["nvidia7"]
    assert result.verdict == "fails" and "libcuda.so.1: cannot open shared object file" in result.main.reason
    with pytest.raises(InputError, match='custom device "/dev/none": no such file or directory'):
        run("ubuntu2404-550-cdi", devices=("/dev/none",))


def test_an_unknown_runtime_is_refused() -> None:
    assert (
        "unknown or invalid runtime name: nvidia" in run("gke-cos-535", runtime="nvidia", engine="docker").main.message
    )


# -- podman, rootless --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "who"), [("podman-4.9", "none"), ("podman-5.0", "cdi")])
def test_podman_knows_gpus_from_5_0_on(engine: str, who: str) -> None:
    assert run("rhel9-550-podman", gpus="all", engine=engine).call.who == who


def test_a_rootless_engine_binds_the_hosts_nodes() -> None:
    result = run("rhel9-550-podman", devices=("nvidia.com/gpu=all",), rootless=True)
    assert result.injected is not None and result.verdict == "ok"
    assert "/dev/nvidia0" in {m.dst for m in result.injected.rootfs.mounts}
    assert isinstance(result.injected.rootfs.node("/dev/nvidia0"), Special)


def test_the_legacy_engine_needs_no_cgroups_without_privileges() -> None:
    asked: dict[str, Any] = {
        "env": ("NVIDIA_VISIBLE_DEVICES=all",),
        "runtime": "nvidia",
        "mode": "legacy",
        "rootless": True,
    }
    assert "failed to add device rules" in run("ubuntu2204-535", **asked).main.message
    allowed = "[nvidia-container-cli]\nno-cgroups = true\n"
    assert run("ubuntu2204-535", **asked, config=allowed).verdict == "ok"


def test_a_read_only_root_is_still_prepared() -> None:
    result = run("ubuntu2404-550-cdi", gpus="all", read_only=True)
    assert result.verdict == "ok" and result.injected is not None
    assert any(e.kind == "ldcache" for e in result.injected.effects)


# -- Kubernetes --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"])
def test_every_strategy_of_the_device_plugin_hands_one_gpu_over(strategy: str) -> None:
    config = "accept-nvidia-visible-devices-as-volume-mounts = true\n"
    settings = {"gpu_limit": 1, "device_plugin": strategy, "config": config, "engine": "containerd-2.1"}
    result = run("ubuntu2204-535", **settings)
    assert result.verdict == "ok", result.main.message
    assert gpu_nodes(result) == ["nvidia0"]
    assert strategy in result.call.because


def test_annotations_reach_the_runtime_where_the_engine_knows_no_cdi() -> None:
    asked: dict[str, Any] = {"gpu_limit": 1, "device_plugin": "cdi-annotations", "engine": "containerd-1.7"}
    result = run("aks-ubuntu2204-550", **asked)
    assert (result.call.who, result.request.mode, result.request.route) == ("runtime", "cdi", "cdi")
    assert gpu_nodes(result) == ["nvidia0"]


def test_volume_mounts_count_where_the_host_accepts_them() -> None:
    assert gpu_nodes(run("bottlerocket-535", gpu_limit=1)) == ["nvidia0"]
    assert gpu_nodes(run("bottlerocket-535", env=("NVIDIA_VISIBLE_DEVICES=all",), command=("true",))) == []


def test_gke_mounts_a_directory_and_nothing_else() -> None:
    result = run("gke-cos-535", "cuda-12.2-base-ubuntu2204", gpu_limit=1)
    assert (result.call.who, result.plan, result.verdict) == ("mounts", None, "ok")
    assert result.cuda is not None and result.cuda.libcuda == "/usr/local/nvidia/lib64/libcuda.so.1"
    without = run("gke-cos-535", "ubuntu2204", gpu_limit=1, command=("cuda-probe",))
    assert without.verdict == "fails" and gpu_nodes(without) == ["nvidia0"]


def test_more_gpus_than_the_node_has_cannot_be_scheduled() -> None:
    for at in ("aks-ubuntu2204-550", "ubuntu2404-550"):
        result = run(at, gpu_limit=2)
        assert result.main.message == f"0/1 nodes are available: 1 Insufficient nvidia.com/gpu (1 on host {at})"
        assert (result.main.exit_code, result.call.refused_by) == (None, "scheduler")
        found = nvsim.diagnose(nvsim.new_scenario(at, "example:debian12", gpu_limit=2)).findings[0]
        assert [(p.change, p.verified) for p in found.fixes] == [(LimitGpus(1), True)]


def test_nixos_mounts_its_own_c_library_and_programs() -> None:
    result = run("nixos-550", devices=("nvidia.com/gpu=all",))
    assert result.verdict == "ok" and result.plan is not None
    mounted = {m.dst for m in result.plan.mounts}
    assert {"/run/opengl-driver", "/usr/bin/nvidia-smi", "/usr/local/nvidia/lib64"} <= mounted
    assert any(m.endswith("-glibc-2.38/lib") for m in mounted)


# -- words -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("all", ("all",)),
        ("2", ("0", "1")),
        ("0", ()),
        ("device=1", ("1",)),
        ('"device=0,2"', ("0", "2")),
        ("count=1", ("0",)),
    ],
)
def test_the_gpus_option(text: str, devices: tuple[str, ...]) -> None:
    assert gpus_request(text).devices() == devices


@pytest.mark.parametrize("text", ["", "x", "count=1,count=2", "colour=red"])
def test_a_bad_gpus_option_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        gpus_request(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device=0,1", "cannot set both Count and DeviceIDs on device request"),
        ("all,device=0", "cannot set both Count and DeviceIDs on device request"),
        ("all,driver=amd", 'could not select device driver "amd" with capabilities: [[gpu]]'),
        ('all,"capabilities=compute,tpu"', 'could not select device driver "" with capabilities: [[compute tpu gpu]]'),
    ],
)
def test_docker_refuses_requests_that_no_driver_of_devices_takes(text: str, said: str) -> None:
    result = run("ubuntu2204-535", gpus=text)
    assert result.verdict == "fails" and said in str(result.main.message)


def test_a_runtime_that_the_host_does_not_have_is_refused() -> None:
    result = run("ubuntu2204-535", runtime="nope")
    assert result.verdict == "fails" and "unknown or invalid runtime name: nope" in str(result.main.message)


def test_a_loader_that_is_asked_for_a_list_does_not_fail() -> None:
    result = run(
        "ubuntu2204-535", "debian12", command=("/lib64/ld-linux-x86-64.so.2", "--list", "/usr/local/bin/cuda-probe")
    )
    assert (result.verdict, result.main.exit_code) == ("ok", 0)


def test_the_page_shows_the_table() -> None:
    page = (Path(__file__).parent.parent / "docs/engines.md").read_text()
    assert table_page() in page, "write nvsim.scenario.engines.table_page() into docs/engines.md"
    assert all(name in page for name in ENGINES)


def test_engines_are_named_with_or_without_a_release() -> None:
    assert engine_named("docker-29.2.1").rules.gpus == ("cdi", "hook")
    assert engine_named("docker").assumed and not engine_named("docker-28").assumed
    assert engine_named("cri-o-1.33").name == "cri-o" and engine_named("cri-o").name == "cri-o"
    for bad in ("lxc", "docker-new", "docker-"):
        with pytest.raises(InputError):
            engine_named(bad)


# -- the words of engines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "text", "status"),
    [
        ("docker-19.3", 'starting container process caused "exec: \\"nosuch\\": executable file', 127),
        (
            "docker-28.5",
            'start container process: error during container init: exec: "nosuch": executable file not found in $PATH: unknown\n\nRun',
            127,
        ),
        (
            "podman-5.4",
            'Error: nvidia: runc create failed: unable to start container process: error during container init: exec: "nosuch"',
            127,
        ),
        ("containerd-2.1", "failed to create containerd task: failed to create shim task: OCI runtime create", 128),
        (
            "cri-o-1.30",
            'container create failed: time="<time>" level=error msg="runc create failed: unable to start container process: '
            'exec: \\"nosuch\\": executable file not found in $PATH"',
            None,
        ),
    ],
)
def test_each_engine_tells_of_a_missing_program_in_its_words(engine: str, text: str, status: int | None) -> None:
    result = run("ubuntu2204-535", command=("nosuch",), engine=engine)
    assert text in result.main.message and result.main.exit_code == status


def test_a_runtime_that_refuses_is_named_by_podman() -> None:
    asked = {"runtime": "nvidia", "mode": "cdi", "env": ("NVIDIA_VISIBLE_DEVICES=foo",)}
    told = "could not apply required modification to OCI specification: error modifying OCI spec: failed to inject CDI devices: "
    shown = run("ubuntu2204-535", engine="podman-5.4", **asked).main
    assert shown.message.startswith(f"Error: OCI runtime error: nvidia: {told}unresolvable CDI devices")
    shown = run("ubuntu2204-535", engine="containerd-2.1", **asked).main
    assert f"failed to create shim task: OCI runtime create failed: {told}" in shown.message and shown.exit_code == 128


def test_a_spec_of_an_older_driver_fails_in_the_runtimes_words() -> None:
    library = "/usr/lib/x86_64-linux-gnu/libEGL_nvidia.so.535.309.01"
    shown = run("ubuntu2204-550-stale-cdi", devices=("nvidia.com/gpu=all",), engine="podman-5.4").main
    not_found = "OCI runtime attempted to invoke a command that was not found"
    assert shown.message == f"Error: crun: cannot stat `{library}`: No such file or directory: {not_found}"
    shown = run("ubuntu2204-550-stale-cdi", devices=("nvidia.com/gpu=all",), runtime="runc-1.3").main
    assert f"init: failed to fulfil mount request: open {library}: no such file or directory" in shown.message
    shown = run("ubuntu2204-550-stale-cdi", devices=("nvidia.com/gpu=all",), runtime="runc-1.1").main
    assert f'error mounting "{library}" to rootfs at "{library}": stat {library}: no such file' in shown.message
    assert shown.exit_code == 127


def test_crun_names_the_hook_that_failed() -> None:
    speaker = Speaker("podman", (5, 4), "crun", (1,))
    failure = "error running hook #2: error running hook: exit status 1, stdout: , stderr: told\n"
    shown = speaker.create_failed(failure, "createContainer", "/usr/bin/nvidia-cdi-hook")
    said = "error executing hook `/usr/bin/nvidia-cdi-hook` (exit code: 1)"
    line = f'Error: OCI runtime error: crun: {{"msg":"{said}","level":"error","time":"<time>"}}'
    assert (shown.text, shown.status) == (line, 126)
    said = "error executing hook `/usr/bin/nvidia-container-runtime-hook` (exit code: 1)"
    assert speaker.hook_failed(1, "no GPU\n").text == f"Error: OCI runtime error: crun: {said}"


@pytest.mark.parametrize(
    ("engine", "workdir", "text", "status"),
    [
        (
            "docker-26.1",
            "/etc/passwd",
            "docker: Error response from daemon: Cannot mkdir: /etc/passwd is not a directory.\nSee 'docker run --help'.",
            125,
        ),
        ("podman-5.4", "/new/dir", 'Error: workdir "/new/dir" does not exist on container <id>', 126),
        (
            "podman-4.3",
            "/etc/passwd",
            'Error: workdir "/etc/passwd" exists on container <id>, but is not a directory',
            126,
        ),
        (
            "containerd-1.7",
            "/etc/passwd",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
            "unable to start container process: error during container init: mkdir /etc/passwd: not a directory: unknown",
            128,
        ),
    ],
)
def test_a_working_directory_that_is_none_stops_the_start(engine: str, workdir: str, text: str, status: int) -> None:
    result = run("ubuntu2204-535", engine=engine, workdir=workdir)
    shown = result.main
    assert [f.code for f in find(result)] == ["NVS308"]
    assert (shown.message, shown.exit_code, shown.kind) == (text, status, "start-error")
    made = run("ubuntu2204-535", gpus="all", engine="docker-26.1", workdir="/new/dir").main
    assert made.kind == "exit"


def test_an_ordinary_user_is_executed_with_capabilities_by_newer_docker() -> None:
    base = image("ubuntu2204")
    editor = RootFS(base.tree).edit()
    editor.put("/usr/bin/private", File(10, ("test", "private"), FileFacts(text="#!/bin/sh\n"), mode=0o700))
    changed = evolve(base, tree=editor.freeze())

    def shown(engine: str, **more: Any) -> Any:
        asked = Settings(command=("private",), user="1000", engine=engine, runtime="runc", **more)
        return simulate(Scenario(host("ubuntu2404-550-cdi"), changed, asked), PROGRAMS).main

    assert shown("docker-26.1").kind == "exit" and shown("docker-28.5").kind == "exit"
    assert shown("docker-20.10.24").exit_code == 126
    assert shown("docker-20.10.24").message.endswith("exec /usr/bin/private: permission denied: unknown.")
    assert shown("docker-26.1", cap_drop=("DAC_OVERRIDE",)).message.endswith("not found in $PATH: unknown.")


@pytest.mark.parametrize("runtime", ["runc-1.1", "runc-1.3", "crun-1.8", "crun-1.28"])
def test_findings_do_not_depend_on_the_words_of_a_runtime(runtime: str) -> None:
    def codes(command: str) -> list[str]:
        result = run("ubuntu2404-550-cdi", command=(command,), runtime=runtime)
        assert not result.main.reason.startswith("{")
        return [f.code for f in find(result)][:1]

    assert codes("nosuch") == ["NVS302"] and codes("/nosuch") == ["NVS303"]
    assert codes("/etc/passwd") == ["NVS304"] and codes("/etc") == ["NVS304"]
