"""Recorded containers through the whole way: engine, request, plan, apply, execve, dlopen (the same call that ``nvsim run`` makes).

The recorded hosts had real driver files and an NVML that answers from a table; the containers lacked firmware and sockets.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from attrs import evolve

import cdi_vectors
import nvsim
from nvsim.host.datadir import data_dir
from nvsim.host.profile import Driver, Gpu, HostProfile, MigDevice, Toolkit
from nvsim.image.model import Image, ImageConfig
from nvsim.inject.generate.command import run_generate
from nvsim.inject.generate.host import host_of_profile
from nvsim.loader.outcome import DlopenCall, ProcessRequest
from nvsim.loader.process import run
from nvsim.programs import load_programs
from nvsim.report.text import run_text
from nvsim.rootfs.node import Origin
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.model import Scenario, Settings, Volume
from nvsim.simulate import Result, simulate

PROGRAMS = load_programs(data_dir() / "programs")
RUNTIME = {r["id"]: r for r in cdi_vectors.rows("runtime")}
DISABLED = {"all": "", "none": '"all"', "no-ldcache": '"update-ldcache"'}
LEFT_OUT = ("/lib/firmware", "/usr/lib/firmware", "/run/nvidia-", "/sys/module/firmware_class")


@cache
def host(name: str) -> HostProfile:
    """A recorded host as a profile."""
    data = cdi_vectors.table("hosts")[name]
    entries = {path: entry for path, entry in data["tree"].items() if not path.startswith(LEFT_OUT)}
    tree = tree_from_json(cdi_vectors.with_symbols(entries), name, Origin("host", name))
    nvml = data["nvml"]
    cuda = nvml["cuda_driver_version"]
    version = nvml["driver_version"]
    driver = Driver(version, version, f"{cuda // 1000}.{cuda % 1000 // 10}")
    return HostProfile(name, name, tree, driver, _gpus(nvml), Toolkit("1.20.0", engine_version="28.5"))


def _gpus(nvml: dict[str, Any]) -> tuple[Gpu, ...]:
    migs = nvml["mig_devices"]
    return tuple(
        Gpu(
            g["minor"],
            g["uuid"],
            g["pci_bus_id"],
            g["name"],
            "nvidia",
            "8.0",
            tuple(
                MigDevice(m["uuid"], m["gpu_instance"], m["compute_instance"])
                for m in migs
                if m["parent_index"] == g["index"]
            ),
            g["mig_mode"] == "enabled",
        )
        for g in nvml["gpus"]
    )


@cache
def image(name: str) -> Image:
    tree = tree_from_json(cdi_vectors.table("e2e_images")[name]["tree"], name, Origin("image", name))
    return Image(name, tree, ImageConfig(env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)))


def scenario(record: dict[str, Any], command: list[str], env: dict[str, str] | None = None) -> Scenario:
    """The scenario of a record: its host, image and request, with the hooks that were run."""
    runtime = RUNTIME[record["runtime_case"]]
    asked = [e for e in runtime["config_in"]["process"]["env"] if e.startswith("NVIDIA_")]
    off = DISABLED[record.get("hooks_run", "all")]
    config = runtime["config_toml"] or ""
    if off:
        config += f"[nvidia-container-runtime.modes.jit-cdi]\nnvcdi-disable-hooks = [{off}]\n"
    variables = (*asked, *(f"{k}={v}" for k, v in (env or {}).items()))
    settings = Settings(command=tuple(command), env=variables, runtime="nvidia", config=config or None)
    return Scenario(host(record["host"]), image(record["image"]), settings)


def answers(result: Result, names: list[str], uid: int = 0) -> list[list[str | None]]:
    """What dlopen answers for each library; the recorded probe closes each before it opens the next."""
    assert result.injected is not None
    process = result.process
    env = tuple((k, v) for k, _, v in (e.partition("=") for e in process.env))
    request = ProcessRequest(process.argv[0], process.argv, env, uid=uid, gid=uid)
    calls = [run(result.injected.rootfs, evolve(request, dlopen=(DlopenCall(name),))).dlopen[0] for name in names]
    return [[c.call.name, "OK", c.path] if c.ok else [c.call.name, "ERR", c.error] for c in calls]


NVML_STATUS = {9: "ok", 12: "fails"}  # nvidia-smi: no kernel driver (so NVML was loaded), no NVML


@pytest.mark.parametrize("record", cdi_vectors.rows("e2e"), ids=lambda r: r["id"])
def test_programs_in_the_container_meet_what_was_recorded(record: dict[str, Any]) -> None:
    for test in record["tests"]:
        argv, recorded = test["argv"], test["result"]
        result = simulate(scenario(record, argv, test.get("env")), PROGRAMS)
        assert result.injected is not None and result.injected.failure is None
        if "exec_errno" in recorded:
            shown = "no such file or directory"
            assert result.main.kind in ("exec-error", "start-error") and shown in result.main.message
        elif recorded["rc"] == 127:
            assert (result.main.exit_code, result.main.stderr) == (127, recorded["stderr"])
        elif argv[0] == "/probe":
            assert answers(result, argv[1:]) == recorded["dlopen"]
        else:
            assert result.main.verdict == NVML_STATUS[recorded["rc"]], result.main.reason
            if recorded["rc"] == 12:
                assert (result.main.exit_code, result.main.stdout) == (12, recorded["stdout"])


BY_HAND = ("stale-spec-host-file", "etc-ro-mount")
WHOLE = [r for r in cdi_vectors.rows("runc") if not r["id"].endswith(BY_HAND)]


@pytest.mark.parametrize("record", WHOLE, ids=lambda r: r["id"])
def test_whole_containers_end_as_recorded(record: dict[str, Any]) -> None:
    asked = scenario(record, record["process_args"])
    uid = 1000 if record["id"].endswith("non-root") else 0
    asked = asked.with_settings(read_only=record["root_readonly"], user=str(uid))
    result = simulate(asked, PROGRAMS)
    expect = record["expect"]
    if record["process_args"][0] == "/probe":
        assert answers(result, record["process_args"][1:], uid) == expect["dlopen"]
    elif expect["stderr"]:
        assert result.main.verdict == "fails"
        assert core(expect["stderr"]) in result.main.message
    else:
        assert result.main.verdict == "ok"


def core(stderr: str) -> str:
    """What runc says, without what stands around it."""
    text = stderr.strip().replace('\\"', '"')
    if "msg=" in text:
        text = text.partition("unable to start container process: ")[2].rstrip('"')
    return text.replace("\\n", "\n").rstrip()


def record_named(name: str) -> dict[str, Any]:
    return next(r for r in cdi_vectors.rows("runc") if r["id"].endswith(name))


def test_a_spec_that_names_a_missing_host_file_stops_the_start() -> None:
    record = record_named("stale-spec-host-file")
    asked = scenario(record, record["process_args"])
    spec = json.loads(run_generate(host_of_profile(asked.host), ["--format", "json"]).texts[0])
    stale = {"hostPath": "/nonexistent/libfoo.so", "containerPath": "/usr/lib/x", "options": ["ro"]}
    spec["containerEdits"]["mounts"].append(stale)
    settings = {"cdi_specs": (("/etc/cdi/nvidia.json", json.dumps(spec)),), "runtime": "runc-1.1.5"}
    result = simulate(asked.with_settings(devices=("nvidia.com/gpu=0",), **settings), PROGRAMS)
    assert core(record["expect"]["stderr"]) in result.main.message


def test_a_read_only_etc_stops_the_start() -> None:
    record = record_named("etc-ro-mount")
    asked = scenario(record, record["process_args"])
    editor = RootFS(asked.host.tree).edit()
    editor.remove("/etc/OpenCL")  # in the recorded container /etc was mounted after all else
    asked = evolve(asked, host=evolve(asked.host, tree=editor.freeze()))
    settings = {"engine": "docker-20.10.24", "volumes": (Volume("/srv/etc", "/etc", readonly=True),)}  # with runc 1.1
    result = simulate(asked.with_settings(**settings), PROGRAMS)
    assert core(record["expect"]["stderr"]) in result.main.message


def test_a_toolkit_release_that_the_user_names_is_not_assumed() -> None:
    for at in nvsim.list_hosts():
        told = nvsim.simulate(nvsim.new_scenario(at, "example:debian12", toolkit_version="1.16.1")).assumptions
        assert not [a for a in told if "toolkit" in a and " is assumed" in a]
    assert (
        "toolkit 1.17.8 is assumed"
        in nvsim.simulate(nvsim.new_scenario("rhel9-550", "example:debian12")).assumptions[0]
    )


def test_a_preload_that_fails_is_shown_although_the_program_works() -> None:
    scenario = nvsim.new_scenario(
        "debian12-535", "example:debian12", ["cuda-probe"], gpus="all", env=["LD_PRELOAD=/nope.so"]
    )
    diagnosis = nvsim.diagnose(scenario)
    assert diagnosis.result.verdict == "ok"
    said = (
        "ERROR: ld.so: object '/nope.so' from LD_PRELOAD cannot be preloaded (cannot open shared object file): ignored."
    )
    text = run_text(diagnosis)
    assert f"What is shown\n  | {said}\n" in text and "exit status" not in text
