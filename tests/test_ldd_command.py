"""``nvsim ldd``: what is listed, why each file was found, every place of a miss, versions, dlopen candidates, whole images, traces."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from commands import nvsim
from machine_root import LOADER, copied_root
from nvsim.diagnosis.wishes import Wish, wishes

GLIBC = {"libc": "glibc", "version": "2.36", "system_dirs": ["/lib"], "cache": "/etc/ld.so.cache"}


def library(*needed: str, **more: object) -> dict:
    return {"type": "file", "size": 4096, "elf": {"needed": list(needed), **more}}


def image(tmp_path: Path, **entries: dict) -> str:
    """A tree file with a loader, a libc and other entries; ``__`` in a keyword stands for a slash."""
    tree = {
        "/lib64/ld.so": {"type": "file", "size": 4096, "elf": {"soname": "ld.so", "needed": []}, "loader": GLIBC},
        "/lib/libc.so.6": library(soname="libc.so.6", verdef=["GLIBC_2.2.5", "GLIBC_2.30"]),
        "/etc/ld.so.conf": {"type": "file", "size": 9, "text": "# own\n/opt/b\n"},
        **entries,
    }
    file = tmp_path / "image.json"
    file.write_text(
        json.dumps({"format": "nvsim-tree/1", "tree": tree, "config": {"Env": ["LD_LIBRARY_PATH=/opt/none:/opt/a"]}})
    )
    return str(file)


def program(*needed: str, **more: object) -> dict:
    return library(*needed, interp="/lib64/ld.so", **more)


def test_each_hit_is_listed_with_its_rule(tmp_path: Path) -> None:
    spec = image(
        tmp_path,
        **{
            "/bin/x": program("liba.so", "libb.so", "libr.so", "libc.so.6", runpath="$ORIGIN/../own"),
            "/opt/a/liba.so": library(soname="liba.so"),
            "/opt/b/libb.so": library(soname="libb.so"),
            "/own/libr.so": library(soname="libr.so"),
            "/etc/ld.so.cache": {
                "type": "file",
                "ldcache": [{"name": "libb.so", "path": "/opt/b/libb.so", "flags": 0x0303}],
            },
        },
    )
    lines = nvsim("ldd", spec, "/bin/x").out.splitlines()
    assert lines[0] == "/bin/x: program for x86_64, loads 4 objects"
    rules = {line.split()[0]: line.partition("(")[2].rstrip(")") for line in lines[1:5]}
    assert rules["liba.so"] == "LD_LIBRARY_PATH of the image's config"
    assert rules["libb.so"] == "cache, by /etc/ld.so.conf:2"
    assert rules["libr.so"] == "RUNPATH of /bin/x"
    assert rules["libc.so.6"].startswith("built into the loader")


def test_a_miss_names_every_place_in_order_and_who_set_it(tmp_path: Path) -> None:
    spec = image(
        tmp_path,
        **{"/bin/x": program("liba.so", "libgone.so"), "/opt/a/liba.so": library("libdeep.so", soname="liba.so")},
    )
    done = nvsim("ldd", spec, "/bin/x")
    assert done.status == 1
    found = json.loads(nvsim("ldd", "--format", "json", spec, "/bin/x").out)["programs"][0]
    assert {(m["name"], m["needed_by"]) for m in found["missing"]} == {
        ("libgone.so", "/bin/x"),
        ("libdeep.so", "/opt/a/liba.so"),
    }
    places = next(m["places"] for m in found["missing"] if m["name"] == "libgone.so")
    assert places[0] == "/opt/none (LD_LIBRARY_PATH of the image's config): the directory does not exist"
    assert places[1] == "/opt/a (LD_LIBRARY_PATH of the image's config): missing"
    assert places[2] == "/etc/ld.so.cache: no entry of that name"
    assert places[3].startswith("/lib (built into the loader")
    for place in places:
        assert place in done.out


def test_a_tree_opens_each_object_once(tmp_path: Path) -> None:
    spec = image(
        tmp_path,
        **{
            "/bin/x": program("liba.so", "libb.so"),
            "/opt/a/liba.so": library("libb.so", soname="liba.so"),
            "/opt/a/libb.so": library("libc.so.6", soname="libb.so"),
        },
    )
    lines = nvsim("ldd", "--tree", spec, "/bin/x").out.splitlines()
    assert lines[1].startswith("  ├─ liba.so => /opt/a/liba.so")
    assert lines[2] == "  │  └─ loaded already: libb.so"
    assert lines[3].startswith("  └─ libb.so => /opt/a/libb.so")
    assert lines[4].startswith("     └─ libc.so.6 => /lib/libc.so.6")


def test_a_listing_is_as_the_loader_prints_it(tmp_path: Path) -> None:
    spec = image(tmp_path, **{"/bin/x": program("liba.so", "libgone.so"), "/opt/a/liba.so": library(soname="liba.so")})
    done = nvsim("ldd", "--list", spec, "/bin/x")
    assert done.status == 1
    assert done.out.splitlines()[:3] == ["/bin/x:", "\tliba.so => /opt/a/liba.so (0x...)", "\tlibgone.so => not found"]


def test_a_version_that_the_libc_lacks_is_told(tmp_path: Path) -> None:
    spec = image(tmp_path, **{"/bin/x": program("libc.so.6", verneed={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34"]})})
    done = nvsim("ldd", spec, "/bin/x")
    assert done.status == 1
    assert "version `GLIBC_2.34' not found (required by /bin/x)" in done.out
    assert "needs GLIBC_2.34  of libc.so.6  there: GLIBC_2.30  (for /bin/x)" in done.out


def test_variables_come_from_the_image_and_the_options(tmp_path: Path) -> None:
    spec = image(tmp_path, **{"/bin/x": program("libz.so"), "/opt/z/libz.so": library(soname="libz.so")})
    assert nvsim("ldd", spec, "/bin/x").status == 1
    assert "(LD_LIBRARY_PATH of --library-path)" in nvsim("ldd", "--library-path", "/opt/z", spec, "/bin/x").out
    assert "(LD_LIBRARY_PATH of --env)" in nvsim("ldd", "-e", "LD_LIBRARY_PATH=/opt/z", spec, "/bin/x").out


def test_programs_of_other_machines_and_libraries_are_answered(tmp_path: Path) -> None:
    arm = {"machine": "aarch64"}
    spec = image(
        tmp_path,
        **{
            "/arm/ld.so": {
                "type": "file",
                "size": 4096,
                "elf": {"needed": [], **arm},
                "loader": {**GLIBC, "system_dirs": ["/arm"]},
            },
            "/arm/libc.so.6": library(soname="libc.so.6", **arm),
            "/bin/x": library("libc.so.6", interp="/arm/ld.so", **arm),
            "/opt/libonly.so": library("libc.so.6"),
            "/bin/static": {"type": "file", "size": 4096, "elf": {"needed": [], "type": "EXEC", "nodyn": True}},
            "/bin/script": {"type": "file", "size": 9, "text": "#!/bin/sh\n"},
        },
    )
    assert "=> /arm/libc.so.6" in nvsim("ldd", spec, "/bin/x").out
    assert "no loader for x86_64" in nvsim("ldd", spec, "/opt/libonly.so").out
    assert "statically linked" in nvsim("ldd", spec, "/bin/static").out
    assert "a script" in nvsim("ldd", spec, "/bin/script").out


def test_a_whole_image_has_a_summary(tmp_path: Path) -> None:
    entries = {f"/bin/p{n}": program("libgone.so") for n in range(5)}
    spec = image(tmp_path, **entries, **{"/bin/good": program("libc.so.6", verneed={"libc.so.6": ["GLIBC_2.30"]})})
    done = nvsim("ldd", "--all", spec)
    assert done.status == 1
    assert "6 programs and 0 libraries, 5 with something missing" in done.out
    assert "libgone.so: needed by /bin/p0, /bin/p1, /bin/p2 and 2 more" in done.out
    assert "GLIBC_2.30  of libc.so.6  there: GLIBC_2.30  (for /bin/good)" in done.out
    assert nvsim("ldd", "--all", "example:debian12").status == 0


def note(entries: object) -> bytes:
    text = json.dumps(entries).encode() + b"\0"
    text += bytes(-len(text) % 4)
    return struct.pack("<III", 4, len(text), 0x407C0C0A) + b"FDO\0" + text


def test_an_example_of_a_whole_distribution_has_every_version_that_it_needs() -> None:
    for name in ("debian12", "ubuntu2204", "ubuntu2404", "l4t-base-r35", "l4t-base-r36", "cuda-12.2-base-ubuntu2204"):
        done = nvsim("ldd", "--all", f"example:{name}")
        assert done.status == 0, done.out
        assert done.out.startswith("COMPLETE")


def test_a_library_of_a_store_is_judged_by_the_loader_beside_it_or_the_only_one(tmp_path: Path) -> None:
    glibc, other = "/nix/store/a-glibc/lib", "/nix/store/b-lib/lib"
    loader = {"type": "file", "size": 4096, "elf": {"soname": "ld.so", "needed": []}, "loader": GLIBC}
    entries = {
        f"{glibc}/ld-linux-x86-64.so.2": loader,
        f"{glibc}/libc.so.6": library(soname="libc.so.6"),
        f"{glibc}/liba.so.1": library("libc.so.6", soname="liba.so.1", runpath="$ORIGIN"),
        f"{other}/libb.so.1": library("libc.so.6", soname="libb.so.1", runpath="$ORIGIN"),
    }
    alone = image(tmp_path, **entries)
    for file in (f"{glibc}/liba.so.1", f"{other}/libb.so.1"):
        assert "no loader" not in nvsim("ldd", alone, file).out
    two = image(tmp_path, **entries, **{"/nix/store/c-glibc/lib/ld-linux-x86-64.so.2": loader})
    assert "no loader" not in nvsim("ldd", two, f"{glibc}/liba.so.1").out
    assert "no loader" in nvsim("ldd", two, f"{other}/libb.so.1").out


def test_dlopen_metadata_is_told_apart_from_strings() -> None:
    told = [{"soname": ["libzstd.so.1"], "feature": "zstd", "description": "compression", "priority": "recommended"}]
    data = b"\x7fELF" + bytes(60) + note(told) + b"\0libfoo.so.2\0not a lib.so\0/path/libbar.so\0libzstd.so.1\0"
    assert wishes(data) == (
        Wish("libzstd.so.1", "note", "recommended", "zstd", "compression"),
        Wish("libfoo.so.2", "string"),
    )
    assert wishes(note("broken") + b"FDO\0") == ()


def test_candidates_are_listed_with_where_they_would_be_found(tmp_path: Path) -> None:
    spec = image(
        tmp_path,
        **{
            "/bin/x": program("libc.so.6", so_strings=["liba.so", "libnone.so", "libc.so.6"]),
            "/opt/a/liba.so": library(soname="liba.so"),
        },
    )
    done = nvsim("ldd", "--dlopen", spec, "/bin/x")
    assert done.status == 0
    assert "liba.so     => /opt/a/liba.so  (a string in the file)" in done.out
    assert "libnone.so  => not found" in done.out
    assert "may dlopen" not in nvsim("ldd", spec, "/bin/x").out


@pytest.mark.skipif(not LOADER.exists(), reason="needs glibc on x86-64")
def test_what_the_loader_says_stands_in_a_trace_where_the_machines_loader_says_it(tmp_path: Path) -> None:
    path = shutil.which("cat", path="/usr/bin:/bin")
    assert path is not None
    root = str(copied_root(tmp_path, path))
    preload = "LD_PRELOAD=/nope.so:nope2.so"
    env = {"LD_TRACE_LOADED_OBJECTS": "1", **dict([preload.split("=")]), "LD_DEBUG": "libs,bogus:x"}
    real = subprocess.run([path], env=env, capture_output=True, text=True, check=True)
    lines = [re.sub("^ *[0-9]+:\t", "", line).rstrip() for line in real.stderr.splitlines()]
    done = nvsim("ldd", "--cpu", "native", "--env", preload, "--env", "LD_DEBUG=libs,bogus:x", "--trace", root, path)
    ours = [line.rstrip() for line in done.out.splitlines()]
    assert ours == lines[: len(ours)]
    assert sum(line.startswith("warning: debug option") for line in ours) == 2
    assert sum(line.startswith("ERROR: ld.so: object") for line in ours) == 2


@pytest.mark.skipif(not LOADER.exists(), reason="needs glibc on x86-64")
@pytest.mark.parametrize("name", ["cat", "bash", "python3", "git"])
def test_a_trace_is_what_the_machines_loader_prints(name: str, tmp_path: Path) -> None:
    path = shutil.which(name, path="/usr/bin:/bin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    root = str(copied_root(tmp_path, path))
    env = {"LD_DEBUG": "libs", "LD_TRACE_LOADED_OBJECTS": "1"}
    real = subprocess.run([path], env=env, capture_output=True, text=True, check=True)
    lines = [line.partition("\t")[2].rstrip() for line in real.stderr.splitlines()]
    ours = [line.rstrip() for line in nvsim("ldd", "--cpu", "native", "--trace", root, path).out.splitlines()]
    assert ours == lines[: len(ours)]
    assert all("init" in line or not line for line in lines[len(ours) :])


def test_a_directory_that_may_not_be_read_is_left_out_of_a_whole_image(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    secret, closed = tmp_path / "secret", tmp_path / "libclosed.so"
    secret.mkdir()
    closed.write_bytes(b"\x7fELF" + bytes(100))
    shutil.copy("/bin/sh", tmp_path / "bin/sh")
    secret.chmod(0)
    closed.chmod(0)
    powerless = []
    if os.geteuid() == 0:  # root reads what it likes, unless these are taken away
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv to run as a root that may not read everything")
        powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*powerless, sys.executable, "-m", "nvsim", "ldd", "--no-cache", "--all", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    secret.chmod(0o755)
    if powerless and "setpriv" in done.stderr:
        pytest.skip("capabilities cannot be dropped here")
    assert (
        done.stderr
        == "nvsim: left out (made by the kernel, not readable, or gone before it was read): /libclosed.so, /secret\n"
    )
    assert done.returncode == 1 and "/bin/sh" in done.stdout
