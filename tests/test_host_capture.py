"""A machine's files as a profile: a root directory with a driver in it is captured, read back, and gives the same answers."""

from __future__ import annotations

import json
from pathlib import Path

from commands import nvsim
from elfwriter import write_elf
from nvsim.host.capture import capture
from nvsim.host.datadir import data_dir
from nvsim.host.read import host_from_json
from nvsim.ldcache import CacheEntry, LdCache, write_cache

VERSION = "535.309.01"
LIB = "usr/lib/x86_64-linux-gnu"


def machine(root: Path) -> None:
    """A root directory of a Debian-like host with a driver, as far as files show one."""
    texts = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
        "etc/debian_version": "12.1\n",
        "etc/nvidia-container-runtime/config.toml": "[nvidia-container-cli]\n",
        "etc/docker/daemon.json": '{"default-runtime": "nvidia"}',
        "var/lib/dpkg/status": "Package: other\nVersion: 9\n\nPackage: nvidia-container-toolkit\nStatus: ok\nVersion: 1.17.8-1\n",
        "proc/driver/nvidia/version": f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Thu\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t Tesla T4\nGPU UUID: \t GPU-0123\nBus Location: \t 0000:01:00.0\nDevice Minor: \t 0\n",
        "usr/bin/nvidia-container-cli": "x",
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / LIB).mkdir(parents=True)
    for name in ("libcuda", "libnvidia-ml"):
        (root / LIB / f"{name}.so.{VERSION}").write_bytes(write_elf(soname=f"{name}.so.1", needed=("libc.so.6",)))
        (root / LIB / f"{name}.so.1").symlink_to(f"{name}.so.{VERSION}")
    (root / LIB / "libcuda.so").symlink_to("libcuda.so.1")
    (root / "lib").symlink_to("usr/lib")
    entries = [
        CacheEntry(f"{n}.so.1", f"/lib/x86_64-linux-gnu/{n}.so.1", 0x0303)
        for n in ("libother", "libnvidia-ml", "libcuda")
    ]
    (root / "etc/ld.so.cache").write_bytes(write_cache(LdCache(tuple(entries))))


def test_a_captured_host_holds_what_its_files_tell(tmp_path: Path) -> None:
    machine(tmp_path)
    profile = capture(tmp_path, "mine")
    assert profile["driver"] == {"version": VERSION, "kernel_module": VERSION, "root": "/"}
    assert [(g["model"], g["uuid"], g["minor"], g["brand"]) for g in profile["gpus"]] == [
        ("Tesla T4", "GPU-0123", 0, "tesla")
    ]
    assert profile["toolkit"]["version"] == "1.17.8"
    assert profile["toolkit"]["runtime"] == "nvidia-container-runtime"
    assert [e["name"] for e in profile["ldcache"]] == ["libnvidia-ml.so.1", "libcuda.so.1"]
    assert profile["ldcache_total"] == 3
    tree = profile["tree"]
    assert tree["/lib"] == {"type": "symlink", "target": "usr/lib"}
    assert tree[f"/{LIB}/libcuda.so"]["target"] == "libcuda.so.1"
    assert tree[f"/{LIB}/libcuda.so.{VERSION}"]["elf"]["soname"] == "libcuda.so.1"
    assert "/var/lib/dpkg/status" not in tree
    assert str(tmp_path) not in json.dumps(profile)
    host = host_from_json(profile, data_dir(), "mine")
    assert host.driver.version == VERSION
    assert any("3 entries; 2 were captured" in a for a in host.assumptions)


def test_the_command_writes_a_profile_that_can_be_used(tmp_path: Path) -> None:
    machine(tmp_path / "root")
    file = tmp_path / "host.json"
    assert nvsim("host", "capture", "--root", str(tmp_path / "root"), "-o", str(file)).status == 0
    assert nvsim("host", "validate", str(file)).out == f"{file}: valid\n"
    assert "Tesla T4" in nvsim("host", "show", "--format", "text", str(file)).out
    assert nvsim("host", "capture", "--root", str(tmp_path / "none")).status == 2
    difference = nvsim("host", "diff", str(file), "debian12-535")
    assert difference.status == 1
    assert "Tesla T4" in difference.out
    assert nvsim("host", "diff", str(file), str(file)).status == 0


def test_the_same_machine_gives_the_same_bytes(tmp_path: Path) -> None:
    machine(tmp_path)
    first, second = (nvsim("host", "capture", "--root", str(tmp_path)).out for _ in range(2))
    assert first == second == json.dumps(json.loads(first), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
