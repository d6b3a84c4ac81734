"""Programs of a real driver really executed in small roots: errno, exit status and text come out through the machinery of ``run``.

The records tell names, links and texts; what is in the files is known from the shipped data (drivers, libcs) and a captured host.
"""

from __future__ import annotations

import gzip
import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nvsim.host.datadir import data_dir
from nvsim.loader.ldconfig.run import run_ldconfig
from nvsim.loader.outcome import Machine
from nvsim.programs import load_programs
from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json
from nvsim.scenario.engine import Process
from nvsim.simulate import run_process

VECTORS = Path(__file__).parent / "vectors" / "hosts"
DATA = data_dir()
PROGRAMS = load_programs(DATA / "programs")
LIBCS = {
    "glibc-debian11": "glibc-2.31-debian",
    "glibc-debian12": "glibc-2.36-debian",
    "distroless": "glibc-2.36-debian",
    "nix-like": "glibc-2.36-debian",
    "glibc-debian13": "glibc-2.41-debian",
    "musl": "musl-1.2.3-alpine",
    "empty": "glibc-2.36-debian",
}
NOTHING_OF_THE_DRIVER = {
    "kernel-driver": "the NVIDIA kernel module is not loaded",
    "gpu": "no GPU's device node is in the container",
    "uvm": "/dev/nvidia-uvm is not in the container",
}


def packed(name: str) -> Any:
    return json.loads(gzip.decompress((VECTORS / name).read_bytes()))


CASES = {case["name"]: case for case in packed("real-driver-outcomes.json.gz")["cases"]}


@cache
def driver_files() -> dict[str, Any]:
    """File name -> entry, of the driver and of the programs that Debian builds for it."""
    driver = json.loads((DATA / "drivers" / "535.309.01.json").read_text())
    files = {f["name"]: {"type": "file", **f} for f in driver["files"] if f["arch"] == "64"}
    captured = packed("captured-debian12-535.261.03.json.gz")["tree"]
    for name in ("nvidia-modprobe", "nvidia-persistenced"):
        files[name] = {**captured[f"/usr/bin/{name}"], "mode": "0755"}  # placed by hand, without the set-uid bit
    files["nvidia-modprobe"]["version"] = "535.161.07"  # Debian's build has a version of its own
    return files


@cache
def libc_files(name: str) -> dict[str, Any]:
    tree = json.loads((DATA / "libcs" / f"{name}.json").read_text())["tree"]
    out = {path.rpartition("/")[2]: entry for path, entry in tree.items() if entry["type"] == "file"}
    if "ld-musl-x86_64.so.1" in out:
        out["libc.so"] = out["ld-musl-x86_64.so.1"]
    return out


def entry(path: str, told: str, libc: str) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    if told.startswith("-> "):
        return {"type": "symlink", "target": told[3:]}
    if told.startswith("text: "):
        return {"type": "file", "mode": "0644", "size": len(told) - 6, "text": told[6:]}
    known = driver_files().get(name) or libc_files(libc).get(name)
    return dict(known) if known else {"type": "file", "size": 1}


def root_of(case: dict[str, Any]) -> RootFS:
    """The root of a case. Its cache was made after the driver's files were placed, or before: then it has the libc alone."""
    libc = LIBCS[case["image"]]
    entries = {path: entry(path, told, libc) for path, told in case["files"].items() if path != "/etc/ld.so.cache"}
    tree = tree_from_json(entries, case["name"])
    if "/etc/ld.so.cache" not in case["files"]:
        return RootFS(tree)
    facts = tree_from_json({"/l": libc_files(libc)["ldconfig"]}, "libc").node("/l")
    assert isinstance(facts, File) and facts.facts.ldconfig is not None
    if case["inject"].get("cache"):
        run = run_ldconfig(tree, facts.facts.ldconfig)
        assert run.stderr == case["ldconfig_stderr"].replace("/sbin/ldconfig:", "ldconfig:")
        assert {path for path, _ in run.links} <= set(case["files"])
        return run.rootfs
    before = {
        path: e for path, e in entries.items() if not path.rpartition("/")[2].startswith(("libnvidia", "libcuda"))
    }
    cache = run_ldconfig(tree_from_json(before, "base"), facts.facts.ldconfig).cache
    assert cache is not None
    made = {"type": "file", "mode": "0644", "ldcache": ldcache_to_json(cache)}
    return RootFS(tree_from_json({**entries, "/etc/ld.so.cache": made}, case["name"]))


@pytest.mark.parametrize(("case", "command"), [(n, c) for n, case in CASES.items() for c in case["results"]])
def test_a_real_run_comes_out_the_same(case: str, command: str) -> None:
    record = CASES[case]
    want = record["results"][command]
    env = tuple(f"{name}={value}" for name, value in record["env"].items())
    process = Process(tuple(shlex.split(command)), env, "/", 0, 0)
    got = run_process(root_of(record), process, Machine(), PROGRAMS, NOTHING_OF_THE_DRIVER)
    assert got.outcome is not None
    assert got.outcome.errno == want["execve_errno"]
    if want["execve_errno"] is None:
        assert (got.exit_code, got.stderr) == (want["exit"], want["stderr"])
        assert got.stdout == want["stdout"]
    assert got.verdict == ("ok" if want["exit"] == 0 else "fails")


def test_the_records_are_all_asked() -> None:
    assert len(CASES) == 22
    assert sum(len(case["results"]) for case in CASES.values()) == 85
