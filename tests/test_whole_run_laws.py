"""Laws of whole runs: they hold for every shipped host, image, mode and request."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsim.host.datadir import data_dir
from nvsim.host.profile import HostProfile
from nvsim.host.read import list_hosts, load_host
from nvsim.image.example import list_examples
from nvsim.image.model import Image
from nvsim.image.read import load_image
from nvsim.inject.cdi.inject import inject_devices
from nvsim.inject.cdi.registry import load_registry
from nvsim.inject.generate.command import run_generate
from nvsim.inject.generate.host import host_of_profile
from nvsim.inject.host_view import host_view
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.engines import ENGINES
from nvsim.scenario.model import Scenario, Settings
from nvsim.simulate import Result, simulate

DATA = data_dir()
CAPABILITIES = ("compute", "utility", "video", "graphics", "display", "ngx", "compat32")
MODES = ("legacy", "jit-cdi", "cdi", "csv", "auto")
INPUTS = (
    "host ",
    "image ",
    "option ",
    "env ",
    "engine",
    "device ",
    "CDI spec ",
    "config.toml ",
    "annotation ",
    "mount ",
    "toolkit release",
)
GPU_NODE = re.compile(r"/dev/nvidia\d+$")

hosts = st.sampled_from(list_hosts(DATA))
images = st.sampled_from(list_examples(DATA))
capabilities = st.frozensets(st.sampled_from(CAPABILITIES), min_size=1)
wishes = st.sampled_from(["all", "0", "none", "void", "GPU-00000000-0000-0000-0000-000000000001", "0,0", "7"])


@cache
def host(name: str) -> HostProfile:
    return load_host(name, DATA)


@cache
def image(name: str) -> Image:
    return load_image(f"example:{name}", DATA)


def go(host_name: str, image_name: str, visible: str, **more: Any) -> Result:
    """A run with the NVIDIA runtime in which the container asks for `visible` devices."""
    env = (f"NVIDIA_VISIBLE_DEVICES={visible}", "NVIDIA_DISABLE_REQUIRE=1", *more.pop("env", ()))
    asked = Settings(
        **{"command": ("true",), "runtime": "nvidia", "toolkit_version": "1.20.0", "privileged": True, **more}, env=env
    )
    return simulate(Scenario(host(host_name), image(image_name), asked))


def injected(result: Result) -> bool:
    return result.plan is not None and result.injected is not None and result.injected.failure is None


@settings(max_examples=60, deadline=None)
@given(hosts, images, wishes, st.sampled_from(MODES))
def test_every_mount_has_its_source_and_every_reason_names_an_input(
    host_name: str, image_name: str, visible: str, mode: str
) -> None:
    result = go(host_name, image_name, visible, mode=mode)
    for _, why in result.request.because:
        assert why.input.startswith(INPUTS), why
    if not injected(result) or result.plan is None:
        return
    seen = host_view(host(host_name), host(host_name).driver.root)
    for mount in result.plan.mounts:
        assert mount.because, mount.dst
        if mount.src_side == "host" and mount.fstype == "bind":
            assert isinstance(resolve(seen, mount.src), Resolved), mount.src
    things = (*result.plan.mounts, *result.plan.device_nodes, *result.plan.hooks, *result.plan.skipped)
    reasons = [why for thing in things for why in thing.because]
    assert all(why.input.startswith(INPUTS) for why in reasons), {w.input for w in reasons}


@settings(max_examples=40, deadline=None)
@given(hosts, images, capabilities, capabilities, st.sampled_from(MODES))
def test_more_capabilities_never_inject_less(
    host_name: str, image_name: str, some: frozenset[str], further: frozenset[str], mode: str
) -> None:
    def run(wanted: frozenset[str]) -> Result:
        named = ",".join(sorted(wanted))
        return go(host_name, image_name, "all", mode=mode, env=(f"NVIDIA_DRIVER_CAPABILITIES={named}",))

    few, many = run(some), run(some | further)
    if injected(few) and injected(many) and few.plan is not None and many.plan is not None:
        assert {m.src for m in few.plan.mounts} <= {m.src for m in many.plan.mounts}


WITH_WHOLE_GPUS = [n for n in list_hosts(DATA) if host(n).gpus and not any(g.mig_enabled for g in host(n).gpus)]


@pytest.mark.parametrize("name", WITH_WHOLE_GPUS)
@pytest.mark.parametrize("naming", ["index", "uuid", "all"])
def test_both_engines_inject_the_same_gpu_nodes(name: str, naming: str) -> None:
    gpus = host(name).gpus
    for number, gpu in enumerate(gpus):
        asked = {"index": str(number), "uuid": gpu.uuid, "all": "all"}[naming]
        legacy = go(name, "ubuntu2204", asked, mode="legacy")
        generated = go(name, "ubuntu2204", asked, mode="jit-cdi")
        if not injected(legacy) or not injected(generated):
            return  # a host that only one of them knows (no ld.so.cache, no NVML, WSL)
        nodes = [{n.path for n in r.plan.device_nodes if GPU_NODE.match(n.path)} for r in (legacy, generated) if r.plan]
        assert nodes[0] == nodes[1]
        assert nodes[0] or host(name).tree.node("/dev/dxg") is not None  # WSL has one node for all GPUs


@settings(max_examples=40, deadline=None)
@given(
    hosts,
    st.sampled_from(["yaml", "json"]),
    st.frozensets(st.sampled_from(["--device-name-strategy=uuid", "--no-all-device", "--disable-hook=all"])),
)
def test_what_is_generated_is_valid_and_can_be_injected(name: str, form: str, options: frozenset[str]) -> None:
    told = host_of_profile(host(name))
    root = host(name).driver.root
    made = run_generate(told, [f"--format={form}", *sorted(options)], "" if root == "/" else root)
    if made.rc:
        assert made.log[-1][0] == "error"
        return
    registry = load_registry({f"/etc/cdi/x.{form}": made.texts[0]}, ["/etc/cdi"])
    assert not registry.errors and len(registry.devices) == len(made.specs[0].devices)
    for device in registry.devices:
        after = inject_devices({"process": {"env": []}}, registry, [device], told.resolver)
        assert "NVIDIA_VISIBLE_DEVICES=void" in after["process"]["env"]


@settings(max_examples=60, deadline=None)
@given(
    hosts,
    images,
    st.sampled_from([None, "all", "1", "0", "device=0", '"device=0,1"']),
    st.sampled_from([None, *ENGINES, "docker-29.2", "podman-6.0"]),
    st.sampled_from([None, "envvar", "volume-mounts", "cdi-annotations", "cdi-cri", "bind-mount"]),
    st.sampled_from([None, "runc", "nvidia"]),
    st.booleans(),
)
def test_every_engine_gives_a_verdict_and_says_why(
    host_name: str,
    image_name: str,
    gpus: str | None,
    engine: str | None,
    plugin: str | None,
    runtime: str | None,
    rootless: bool,
) -> None:
    asked = Settings(("true",), gpus=gpus, engine=engine, device_plugin=plugin, runtime=runtime, rootless=rootless)
    result = simulate(Scenario(host(host_name), image(image_name), asked))
    assert result.verdict in ("ok", "fails", "unknown")
    assert result.call.because and result.main.reason
    again = simulate(Scenario(host(host_name), image(image_name), asked))
    assert (again.main.message, again.plan, again.assumptions) == (result.main.message, result.plan, result.assumptions)
