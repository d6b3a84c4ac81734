"""What a WSL host answers where DXCore cannot be loaded, or refuses: both engines and the choice of a mode."""

from __future__ import annotations

from typing import Any

import pytest

from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.profile import HostProfile
from nvsim.host.read import host_from_json, host_to_json, read_profile
from nvsim.inject.generate.command import run_generate
from nvsim.inject.generate.host import host_of_profile
from nvsim.inject.generate.platform import platform_of
from nvsim.inject.legacy.run import plan_legacy
from nvsim.rootfs.tree import MemoryTree

NAME = "wsl2-ubuntu2204"
LIBRARY = "/usr/lib/wsl/lib/libdxcore.so"
NO_ADAPTERS = "nvidia-container-cli: initialization error: WSL environment detected but no adapters were found"
NO_STORES = "no driver store paths found"


def wsl(*removed: str, **keys: Any) -> HostProfile:
    """The shipped WSL host without some files or its one device, and with further keys of a profile."""
    profile, _ = read_profile(NAME, data_dir())
    overrides = {"devices": []} if removed == ("/dev/dxg",) else {"remove": list(removed)}
    return host_from_json({**profile, "overrides": overrides, **keys}, data_dir())


def generated(host: HostProfile, *argv: str) -> tuple[int, str]:
    """Status and last log line of ``nvidia-ctk cdi generate``."""
    result = run_generate(host_of_profile(host), ["--format", "json", *argv])
    return result.rc, result.log[-1][-1]


@pytest.mark.parametrize(
    ("host", "legacy", "cdi"),
    [
        (wsl(), None, None),
        (wsl("/dev/dxg"), NO_ADAPTERS, NO_STORES),
        (wsl(dxcore_driver_store_paths=[]), NO_ADAPTERS, NO_STORES),
        (wsl(LIBRARY), None, "failed to initialize dxcore: failed to initialize dxcore context"),
    ],
    ids=["whole", "no /dev/dxg", "refused", "no library"],
)
def test_engines_where_dxcore_fails(host: HostProfile, legacy: str | None, cdi: str | None) -> None:
    plan = plan_legacy(host, MemoryTree("root", {}), ("configure", "--device=all"), engine="1.17.8")
    rc, said = generated(host, "--mode", "wsl")
    if legacy is not None:
        assert plan.failure == legacy
    elif cdi is None:
        assert plan.failure is None
    else:  # no WSL then: NVML is loaded by its name, and there is no kernel module
        assert plan.failure == "nvidia-container-cli: initialization error: nvml error: driver not loaded"
    assert (rc, cdi or "") == (1 if cdi else 0, cdi or "")
    if cdi is not None:
        assert said.endswith(cdi)


def test_a_host_is_wsl_for_the_toolkit_when_the_library_loads_whatever_it_answers() -> None:
    assert platform_of(host_of_profile(wsl("/dev/dxg"))).dxcore
    assert platform_of(host_of_profile(wsl(dxcore_driver_store_paths=[]))).dxcore
    assert not platform_of(host_of_profile(wsl(LIBRARY))).dxcore
    assert generated(wsl("/dev/dxg"))[1].endswith(NO_STORES)


def test_a_profile_keeps_what_dxcore_answers() -> None:
    told = host_to_json(wsl(dxcore_driver_store_paths=["/a"]))
    assert told["dxcore_driver_store_paths"] == ["/a"]
    assert host_of_profile(host_from_json(told, data_dir())).driver_stores == ("/a",)
    with pytest.raises(InputError, match="dxcore_driver_store_paths"):
        wsl(dxcore_driver_store_paths="/a")
