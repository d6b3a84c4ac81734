"""The request of whole runs against recorded chains: nvidia-container-runtime first, then the hook that the spec has after it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nvsim.queries.toolkit_host import host_files, platform_of
from nvsim.toolkit.config import config_path
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import ContainerRequest
from nvsim.toolkit.resolve import resolve_request
from toolkitvectors import cases


def requested(query: dict[str, Any]) -> ContainerRequest:
    """What a whole run asks for, for the container and host of a recorded chain."""
    files = host_files({k: v for k, v in query.items() if k != "cdi_specs"})
    platform, spec = platform_of(query, files), query["spec"]
    process = spec.get("process") or {}
    return resolve_request(
        caller="runtime",
        env=tuple(process.get("env") or ()),
        config_toml=files.read(config_path({}, release_of(query["toolkit"]))),
        toolkit_version=query["toolkit"],
        bounding=tuple((process.get("capabilities") or {}).get("bounding") or ()),
        nvml=platform.nvml,
        dxcore=platform.dxcore,
        tegra=platform.tegra,
        gpu_names=platform.gpu_names,
        exists=files.exists,
        os_release=files.read("/etc/os-release"),
        mounts=[(m.get("source", ""), m.get("destination", "")) for m in spec.get("mounts") or ()],
        annotations=spec.get("annotations"),
    )


def test_the_hook_is_called_as_it_was_and_refusals_have_their_words() -> None:
    compared: Counter[str] = Counter()
    for case, query, recorded in cases("chain"):
        told_otherwise = any(query.get(k) for k in ("binary", "argv", "environ"))
        if "error" in recorded or told_otherwise or not isinstance(query.get("spec"), dict):
            continue
        request = requested(query)
        by_runtime = request.refused is not None and request.refused.program == "nvidia-container-runtime"
        if recorded["runtime_exit"]:
            if by_runtime and request.refused is not None:
                text = request.refused.stderr.strip().replace('"', '\\"')
                assert text in recorded["runtime_stderr"], case
                compared["refused by the runtime"] += 1
            continue
        assert not by_runtime, case
        runs = recorded.get("hook_runs") or ()
        if request.mode != "legacy" or not runs:
            assert request.mode != "legacy", case
            continue
        argv = runs[0].get("argv")
        assert (list(request.cli_args) if request.route == "legacy" and not request.refused else None) == (
            argv[1:-2] if argv else None
        ), case
        assert (request.refused.stderr if request.refused else None) == (
            runs[0]["stderr"] if runs[0]["exit"] else None
        ), case
        compared["by the hook"] += 1
    assert compared["by the hook"] > 200 and compared["refused by the runtime"]
