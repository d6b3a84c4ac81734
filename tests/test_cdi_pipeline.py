"""Image x host through plan and apply: what the hooks leave and what stays in the image's layer."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

import cdi_vectors
from nvsim.inject.cdi.apply import apply_on
from nvsim.inject.cdi.plan import plan_on
from nvsim.inject.cdi_runtime import CdiSettings
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.hooks.effects import random_parts
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.queries import cdi
from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.tree import MemoryTree
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json

PARAMS = "/proc/driver/nvidia/params"
RUNTIME = {r["id"]: r for r in cdi_vectors.rows("runtime")}


def _host(name: str) -> CdiHost:
    """A recorded host; whole containers were run on a machine without the kernel module's /proc files."""
    data = cdi_vectors.table("hosts")[name]
    tree = {path: entry for path, entry in data["tree"].items() if path != PARAMS}
    return cdi.host_of_query({"host": {**data, "tree": tree}})


def _image(name: str) -> MemoryTree:
    return tree_from_json(cdi_vectors.table("e2e_images")[name]["tree"], name)


def _config(record: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = RUNTIME[record["runtime_case"]]["config_in"]
    return config


def _plan(record: dict[str, Any], host: CdiHost) -> InjectionPlan:
    """The plan of a record's runtime case; sockets and firmware were left out of the recorded containers."""
    config = _config(record)
    wanted = next(e for e in config["process"]["env"] if e.startswith("NVIDIA_VISIBLE_DEVICES="))
    plan = plan_on(host, CdiSettings("jit-cdi", tuple(wanted.partition("=")[2].split(","))), config)
    return evolve(plan, mounts=tuple(m for m in plan.mounts if m.kind not in ("ipc", "firmware")))


def _injected(record: dict[str, Any]) -> Injected:
    host = _host(record["host"])
    plan = _plan(record, host)
    run = record.get("hooks_run", "all")
    hooks = [h for h in plan.hooks if run == "all" or (run == "no-ldcache" and "update-ldcache" not in h.argv)]
    return apply_on(evolve(plan, hooks=tuple(hooks)), RootFS(_image(record["image"])), host)


@pytest.mark.parametrize("record", cdi_vectors.rows("e2e"), ids=lambda r: r["id"])
def test_the_hooks_leave_the_same_cache(record: dict[str, Any]) -> None:
    injected = _injected(record)
    assert injected.failure is None
    cache = injected.rootfs.node("/etc/ld.so.cache")
    entries = ldcache_to_json(cache.facts.ldcache) if isinstance(cache, File) and cache.facts.ldcache else None
    assert cdi_vectors.normal(entries) == cdi_vectors.normal(record["ld_so_cache_after"])


# records whose OCI config was changed by hand: the changes are told in words
BY_HAND = ("stale-spec-host-file", "etc-ro-mount")
WHOLE = [r for r in cdi_vectors.rows("runc") if not r["id"].endswith(BY_HAND)]


@pytest.mark.parametrize("record", WHOLE, ids=lambda r: r["id"])
def test_the_same_paths_stay_in_the_image_layer(record: dict[str, Any]) -> None:
    base, rootfs = _image(record["image"]), _injected(record).rootfs
    engine = {m["destination"] for m in _config(record)["mounts"]} | {"/proc", "/sys", "/dev"}
    made = {
        random_parts(p)
        for p in rootfs.changed_paths()
        if base.node(p) is None and rootfs.node(p) is not None and not p.startswith(("/dev", "/proc"))
    }
    assert made == {p["path"] for p in record["expect"]["new_paths_in_image_layer"]} - engine


def test_a_missing_hook_program_stops_the_start() -> None:
    record = cdi_vectors.rows("e2e")[0]
    host = _host(record["host"])
    plan = _plan(record, host)
    hooks = tuple(evolve(h, path="/nonexistent/nvidia-cdi-hook") for h in plan.hooks)
    failure = apply_on(evolve(plan, hooks=hooks), RootFS(_image(record["image"])), host).failure
    assert failure == "error running hook #0: fork/exec /nonexistent/nvidia-cdi-hook: no such file or directory"


def test_everything_planned_says_why() -> None:
    plan = _plan(cdi_vectors.rows("e2e")[0], _host("ubuntu2204-a100x2"))
    assert all(m.because for m in plan.mounts) and all(d.because for d in plan.device_nodes)
    assert {s.what for s in plan.skipped} >= {"nvidia-imex", "/tmp/nvidia-mps"}
    assert ("NVIDIA_VISIBLE_DEVICES", "void") in plan.env


@pytest.mark.parametrize(
    ("devices", "failure"),
    [
        (("7",), "failed to get device handle from index: Invalid Argument"),
        (("GPU-00000000-0000-0000-0000-000000000000",), "failed to get device handle from UUID: Not Found"),
        (("nonsense",), 'identifier is not a valid UUID or index: "nonsense"'),
    ],
)
def test_an_unknown_gpu_fails_the_plan(devices: tuple[str, ...], failure: str) -> None:
    plan = plan_on(_host("ubuntu2204-a100x2"), CdiSettings("jit-cdi", devices), {})
    assert plan.failure is not None and plan.failure.endswith(failure)
    injected = apply_on(plan, RootFS(_image("debian")), _host("ubuntu2204-a100x2"))
    assert injected.failure == plan.failure and not injected.effects
