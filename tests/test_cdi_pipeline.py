"""Image x host through plan and apply: what the hooks leave and what stays in the image's layer."""

from __future__ import annotations

import json
from typing import Any

import pytest

import cdi_vectors
from nvsim.frozen import evolve
from nvsim.inject.cdi.apply import prepare, run_hooks
from nvsim.inject.cdi.plan import plan_of_config, with_log
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.hooks.effects import random_parts
from nvsim.inject.plan import Injected, InjectionPlan
from nvsim.queries import runtime_tool
from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.tree import MemoryTree
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json
from nvsim.toolkit.oci_spec import decode_spec, encode_spec
from nvsim.toolkit.releases import NEWEST, release_of

RELEASE = release_of(NEWEST)
PARAMS = "/proc/driver/nvidia/params"
RUNTIME = {r["id"]: r for r in cdi_vectors.rows("runtime")}


def _host(name: str) -> dict[str, Any]:
    """A recorded host; whole containers were run on a machine without the kernel module's /proc files."""
    data: dict[str, Any] = cdi_vectors.table("hosts")[name]
    return {**data, "tree": {path: entry for path, entry in data["tree"].items() if path != PARAMS}}


def _image(name: str) -> MemoryTree:
    return tree_from_json(cdi_vectors.table("e2e_images")[name]["tree"], name)


def _config(record: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = RUNTIME[record["runtime_case"]]["config_in"]
    return config


def _planned(host: str, config: dict[str, Any]) -> tuple[InjectionPlan, CdiHost]:
    """What the runtime adds to an OCI config in jit-cdi mode, as a plan, and the host on which it ran."""
    argv = ["nvidia-container-runtime", "create", "--bundle", "/bundle", "c"]
    toml = '[nvidia-container-runtime]\nmode = "jit-cdi"\n'
    run, seen = runtime_tool.run_of({"host": _host(host), "config_in": config, "config_toml": toml, "argv": argv})
    if run.exit:
        return with_log(InjectionPlan("jit-cdi", failure=run.error), run.log), seen
    before = encode_spec(decode_spec(json.dumps(config), RELEASE.version, strict=False), RELEASE.version)
    return with_log(plan_of_config(seen, before, run.spec or before, run.edits, "jit-cdi"), run.log), seen


def _plan(record: dict[str, Any]) -> tuple[InjectionPlan, CdiHost]:
    """The plan of a record's runtime case; sockets and firmware were left out of the recorded containers."""
    plan, host = _planned(record["host"], _config(record))
    return evolve(plan, mounts=tuple(m for m in plan.mounts if m.kind not in ("ipc", "firmware"))), host


def _applied(plan: InjectionPlan, image: str, host: CdiHost) -> Injected:
    prepared = prepare(plan, RootFS(_image(image)), host)
    return prepared if prepared.failure is not None else run_hooks(plan, prepared, host)


def _injected(record: dict[str, Any]) -> Injected:
    plan, host = _plan(record)
    run = record.get("hooks_run", "all")
    hooks = [h for h in plan.hooks if run == "all" or (run == "no-ldcache" and "update-ldcache" not in h.argv)]
    return _applied(evolve(plan, hooks=tuple(hooks)), record["image"], host)


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
    plan, host = _plan(record)
    hooks = tuple(evolve(h, path="/nonexistent/nvidia-cdi-hook") for h in plan.hooks)
    failure = _applied(evolve(plan, hooks=hooks), record["image"], host).failure
    assert failure == "error running hook #0: fork/exec /nonexistent/nvidia-cdi-hook: no such file or directory"


def test_everything_planned_says_why() -> None:
    plan, _ = _plan(cdi_vectors.rows("e2e")[0])
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
    config = {"process": {"env": [f"NVIDIA_VISIBLE_DEVICES={','.join(devices)}"]}}
    plan, host = _planned("ubuntu2204-a100x2", config)
    assert plan.failure is not None and plan.failure.endswith(failure)
    injected = _applied(plan, "debian", host)
    assert injected.failure == plan.failure and not injected.effects
