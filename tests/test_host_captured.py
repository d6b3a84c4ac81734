"""The composed debian12-535 against a Debian 12 on which the driver packages were really installed (driver 535.261.03).

The version is replaced; what then still differs is listed here with the reason, and nothing else may.
"""

from __future__ import annotations

import gzip
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from nvsim.host.datadir import data_dir
from nvsim.host.profile import HostProfile
from nvsim.host.read import host_from_json, load_host
from nvsim.rootfs.node import Directory, File, Node, Symlink
from nvsim.rootfs.resolve import resolve
from nvsim.rootfs.tree import walk

RECORDED, COMPOSED = "535.261.03", "535.309.01"
VECTOR = Path(__file__).parent / "vectors/hosts/captured-debian12-535.261.03.json.gz"

# paths of the composed host that the capture does not have
ONLY_COMPOSED = {
    "/dev/*": "the capture was made without a GPU",
    "/proc/*": "the capture was made without a GPU",
    "/run/nvidia-persistenced*": "no daemon ran in the capture",
    "/etc/os-release": "not captured",
    "/etc/debian_version": "not captured",
    "/var/run": "not captured",
    "/usr/bin/nvidia-container-*": "the capture was made without the NVIDIA toolkit",
    "/usr/bin/nvidia-ctk": "the capture was made without the NVIDIA toolkit",
    "/usr/bin/nvidia-cdi-hook": "the capture was made without the NVIDIA toolkit",
}


def load_capture() -> HostProfile:
    text = gzip.decompress(VECTOR.read_bytes()).decode().replace(RECORDED, COMPOSED)
    return host_from_json(json.loads(text), data_dir(), "capture")


@pytest.fixture(scope="module")
def captured() -> HostProfile:
    return load_capture()


@pytest.fixture(scope="module")
def composed() -> HostProfile:
    return load_host("debian12-535", data_dir())


def relevant(host: HostProfile) -> dict[str, Node]:
    return {path: node for path, node in walk(host.tree) if not isinstance(node, Directory)}


def libc_paths() -> set[str]:
    """The capture holds the loader, but not the other libraries of the C library."""
    libc = json.loads((data_dir() / "libcs/glibc-2.36-debian.json").read_text())
    return {path.replace("/lib", "/usr/lib", 1) for path in libc["tree"] if path.startswith("/lib")}


def test_what_was_captured_is_composed(captured: HostProfile, composed: HostProfile) -> None:
    missing = set(relevant(captured)) - set(relevant(composed))
    assert missing == set()


def test_what_is_composed_beyond_the_capture_is_known(captured: HostProfile, composed: HostProfile) -> None:
    extra = set(relevant(composed)) - set(relevant(captured)) - libc_paths()
    unknown = {path for path in extra if not any(fnmatchcase(path, pattern) for pattern in ONLY_COMPOSED)}
    assert unknown == set()
    unused = {pattern for pattern in ONLY_COMPOSED if not any(fnmatchcase(path, pattern) for path in extra)}
    assert unused == set()


def test_links_lead_where_they_led(captured: HostProfile, composed: HostProfile) -> None:
    ours = relevant(composed)
    for path, node in relevant(captured).items():
        if isinstance(node, Symlink):
            mine = ours[path]
            assert isinstance(mine, Symlink) and mine.target == node.target, path


def test_files_have_the_same_facts(captured: HostProfile, composed: HostProfile) -> None:
    """Sizes differ with the release, and the capture tells no strings of the files."""
    ours = relevant(composed)
    for path, node in relevant(captured).items():
        if not isinstance(node, File):
            continue
        mine = ours[path]
        assert isinstance(mine, File) and mine.mode == node.mode, path
        theirs, elf = node.facts.elf, mine.facts.elf
        if theirs is None or elf is None:
            assert theirs is None and elf is None, path
            continue
        for key in (
            "elf_class",
            "machine",
            "type",
            "interp",
            "soname",
            "needed",
            "rpath",
            "runpath",
            "verneed",
            "abi_tag",
        ):
            assert getattr(elf, key) == getattr(theirs, key), (path, key)


def cache_rows(host: HostProfile) -> list[tuple[str, str, int]]:
    found: Any = resolve(host.tree, "/etc/ld.so.cache")
    return [(e.name, e.path, e.flags) for e in found.node.facts.ldcache.entries]


# names that the capture's cache has and the composed host's has not
ONLY_IN_CAPTURED_CACHE = {
    "libvdpau.so.1": "from Debian's libvdpau, not of the driver",
    "libGLX_mesa.so.0": "Mesa's",
    "libEGL_mesa.so.0": "Mesa's",
    "libOpenCL.so.1": "from Debian's ocl-icd, not of the driver",
}


def test_the_cache_lists_the_same_libraries_in_the_same_order(captured: HostProfile, composed: HostProfile) -> None:
    theirs = [row for row in cache_rows(captured) if row[0] not in ONLY_IN_CAPTURED_CACHE]
    names = {row[0] for row in theirs}
    ours = [row for row in cache_rows(composed) if row[0] in names]
    assert ours == theirs


def test_the_capture_says_what_it_does_not_know(captured: HostProfile) -> None:
    text = " ".join(captured.assumptions)
    assert "190 entries" in text
    assert "kernel module" in text
    assert captured.toolkit.version is None
