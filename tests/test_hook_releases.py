"""What the hooks of CDI specs did in older releases of the toolkit (read in their sources, tags v1.10.0 to v1.20.0)."""

from __future__ import annotations

from typing import Any

import pytest

from nvsim.inject.hooks.command import HookResult, run_hook
from nvsim.inject.hooks.effects import random_parts, tree_changes
from nvsim.queries.cdi import debian_host
from nvsim.rootfs.node import File, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.treefile import tree_from_json
from nvsim.toolkit.releases import release_of

LIBRARY = {"class": 64, "machine": "x86_64", "type": "DYN", "soname": "libcuda.so.1", "needed": ["libc.so.6"]}
BASE: dict[str, Any] = {
    "/opt/nv/libcuda.so.535.1": {"type": "file", "size": 1000, "elf": LIBRARY},
    "/etc/ld.so.conf.d": {"type": "dir"},
    "/etc/ld.so.conf": {"type": "file", "size": 34, "text": "include /etc/ld.so.conf.d/*.conf\n"},
}
CACHE = {"/etc/ld.so.cache": {"type": "file", "ldcache": []}}
HOST = debian_host()


def hook(release: str, tree: dict[str, Any], *argv: str) -> HookResult:
    rootfs = RootFS(tree_from_json(tree, "container"))
    return run_hook(("nvidia-cdi-hook", *argv), rootfs, HOST, release=release_of(release))


def conf_files(result: HookResult) -> list[str]:
    return [random_parts(n) for n in result.rootfs.names("/etc/ld.so.conf.d")]


def has_cache(result: HookResult) -> bool:
    return isinstance(result.rootfs.node("/etc/ld.so.cache"), File)


@pytest.mark.parametrize(
    ("release", "without_cache", "files"),
    [
        ("1.12.1", True, 1),
        ("1.13.5", False, 0),
        ("1.14.6", False, 0),
        ("1.15.0", False, 1),
        ("1.17.8", False, 1),
        ("1.18.0", True, 1),
        ("1.18.1", True, 2),
        ("1.20.0", True, 2),
    ],
)
def test_an_image_without_a_cache_gets_one_or_not(release: str, without_cache: bool, files: int) -> None:
    result = hook(release, BASE, "update-ldcache", "--folder", "/opt/nv")
    assert result.rc == 0
    assert has_cache(result) == without_cache
    assert len(conf_files(result)) == files
    with_one = hook(release, {**BASE, **CACHE}, "update-ldcache", "--folder", "/opt/nv")
    cache = with_one.rootfs.node("/etc/ld.so.cache")
    assert isinstance(cache, File) and [
        e.name for e in (cache.facts.ldcache.entries if cache.facts.ldcache else ())
    ] == ["libcuda.so.1"]
    assert isinstance(with_one.rootfs.node("/opt/nv/libcuda.so.1"), Symlink)


def test_links_are_made_without_a_cache_from_1_15_on() -> None:
    made = {r: hook(r, BASE, "update-ldcache", "--folder", "/opt/nv").rootfs for r in ("1.14.6", "1.15.0", "1.17.8")}
    assert [isinstance(r.node("/opt/nv/libcuda.so.1"), Symlink) for r in made.values()] == [False, True, True]


def test_the_conf_file_sorts_first_from_1_16_on() -> None:
    named = {
        r: conf_files(hook(r, {**BASE, **CACHE}, "update-ldcache", "--folder", "/opt/nv"))[0]
        for r in ("1.15.0", "1.16.0")
    }
    assert named["1.15.0"].startswith("nvcr-") and named["1.16.0"] == "00-nvcr-<n>.conf"


def test_a_distroless_image_of_1_17_has_folders_as_arguments_and_links_only() -> None:
    tree = {k: v for k, v in BASE.items() if not k.startswith("/etc/")} | {"/etc/passwd": {"type": "file", "size": 0}}
    result = hook("1.17.5", tree, "update-ldcache", "--folder", "/opt/nv")
    added = {e["path"] for e in tree_changes(tree_from_json(tree, "c"), result.rootfs)["added"]}
    assert result.rc == 0 and added == {"/opt/nv/libcuda.so.1"}


def test_1_10_needs_the_directory_for_conf_files() -> None:
    tree = {k: v for k, v in BASE.items() if k != "/etc/ld.so.conf.d"}
    result = hook("1.10.0", tree, "update-ldcache", "--folder", "/opt/nv")
    assert result.rc == 1 and result.log[-1][1].startswith(
        "failed to update ld.so.conf: failed to create config file: "
    )


@pytest.mark.parametrize(
    ("release", "rc", "target", "said"),
    [
        ("1.16.2", 0, "other", "Failed to create link [libcuda.so.1 /l]: failed to create symlink: "),
        ("1.17.0", 1, "other", "failed to create link [libcuda.so.1 /l]: unexpected link target"),
        ("1.17.1", 0, "libcuda.so.1", "Symlinking <rootfs>/l to libcuda.so.1"),
    ],
)
def test_a_link_that_is_there_stays_stops_or_goes(release: str, rc: int, target: str, said: str) -> None:
    result = hook(
        release, {"/l": {"type": "symlink", "target": "other"}}, "create-symlinks", "--link", "libcuda.so.1::/l"
    )
    node = result.rootfs.node("/l")
    assert (result.rc, isinstance(node, Symlink) and node.target) == (rc, target)
    assert result.log[-1][1].startswith(said)


def test_links_were_told_with_one_colon_in_1_11() -> None:
    assert isinstance(hook("1.11.0", {}, "create-symlinks", "--link", "a:/l").rootfs.node("/l"), Symlink)
    refused = hook("1.11.0", {}, "create-symlinks", "--link", "a::/l")
    assert refused.rc == 0 and refused.log == (("warning", "Invalid link specification a::/l"),)


@pytest.mark.parametrize(
    ("release", "cache", "used"),
    [("1.17.8", True, True), ("1.17.8", False, False), ("1.18.1", False, True), ("1.20.0", False, True)],
)
def test_compat_libraries_need_a_cache_up_to_1_18_0(release: str, cache: bool, used: bool) -> None:
    tree = {
        **BASE,
        **(CACHE if cache else {}),
        "/usr/local/cuda/compat/libcuda.so.550.1": BASE["/opt/nv/libcuda.so.535.1"],
    }
    result = hook(release, tree, "enable-cuda-compat", "--host-driver-version=535.1")
    assert bool(conf_files(result)) == used


def test_a_driver_version_without_numbers_ends_the_old_hook() -> None:
    tree = {**BASE, **CACHE, "/usr/local/cuda/compat/libcuda.so.550.1": BASE["/opt/nv/libcuda.so.535.1"]}
    result = hook("1.17.8", tree, "enable-cuda-compat", "--host-driver-version=x")
    assert result.rc == 1 and 'strconv.Atoi: parsing "x": invalid syntax' in result.log[-1][1]
