"""Each nvidia-cdi-hook on a container root: recorded runs, behaviours by name, laws."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cdi_vectors
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.hooks.command import ContainerState, HookResult, run_hook
from nvsim.inject.hooks.compat import parse_version
from nvsim.inject.hooks.device import modified_params
from nvsim.inject.hooks.effects import random_parts, tree_changes
from nvsim.queries import cdi
from nvsim.rootfs.node import Directory, File, FileFacts, Node, Origin, Special, Symlink
from nvsim.rootfs.overlay import Mount, RootFS
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import MemoryTree
from nvsim.rootfs.treefile import tree_from_json

NO_MOUNT_POINT = "ldcache/not-a-mountpoint"  # told in words only
RECORDS = [r for r in cdi_vectors.rows("hooks") if "setup" not in r and r["id"] != NO_MOUNT_POINT]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r["id"])
def test_a_hook_does_and_says_the_same(record: dict[str, Any]) -> None:
    got = cdi.answer("tool", {"program": "nvidia-cdi-hook", **cdi_vectors.query(record)})
    assert [s["rc"] for s in got["steps"]] == [s["rc"] for s in record["steps"]]
    assert got["effect"] == record["effect"]
    assert [s["log"] for s in got["steps"]] == [s["log"] for s in record["steps"]]
    assert cdi_vectors.normal(got["ld_so_cache_after"]) == cdi_vectors.normal(record["ld_so_cache_after"])


def test_ldconfig_needs_a_root_that_is_a_mount_point() -> None:
    record = next(r for r in cdi_vectors.rows("hooks") if r["id"] == NO_MOUNT_POINT)
    tree = tree_from_json(record["tree"], "container")
    argv = record["steps"][0]["argv"]
    result = run_hook(argv, RootFS(tree), cdi.debian_host(), mount_point=False)
    assert (result.rc, [list(line) for line in result.log]) == (record["steps"][0]["rc"], record["steps"][0]["log"])
    assert tree_changes(tree, result.rootfs) == record["effect"]


def _text(content: str, mode: int = 0o644) -> File:
    return File(len(content), ("test", content), FileFacts(text=content), mode)


def _root(nodes: dict[str, Node] | None = None) -> RootFS:
    return RootFS(MemoryTree("image", {"/etc": Directory(), "/run": Directory(), **(nodes or {})}))


def _host(nodes: dict[str, Node] | None = None) -> CdiHost:
    return CdiHost(Resolver(MemoryTree("host", nodes or {})))


def _run(root: RootFS, *argv: str, host: CdiHost | None = None, **options: Any) -> HookResult:
    return run_hook(("nvidia-cdi-hook", *argv), root, host or _host(), **options)


def test_a_link_replaces_a_file_but_not_a_directory() -> None:
    root = _root({"/l": _text("x"), "/d": Directory()})
    assert _run(root, "create-symlinks", "--link", "a::/l").rootfs.node("/l") == Symlink(
        "a", origin=Origin("hook", "create-symlinks")
    )
    result = _run(root, "create-symlinks", "--link", "a::/d")
    assert result.rc == 1 and result.log[-1][1].endswith("failed to create symlink: is a directory")


def test_the_links_before_a_failing_one_stay() -> None:
    result = _run(_root({"/d": Directory()}), "create-symlinks", "--link", "a::/one,b::/d,c::/two")
    assert result.rc == 1
    assert result.rootfs.node("/one") is not None and result.rootfs.node("/two") is None


def test_links_stay_in_the_root_whatever_the_image_says() -> None:
    root = _root({"/usr/lib": Directory(), "/lib": Symlink("/usr/lib"), "/up": Symlink("../../../..")})
    result = _run(root, "create-symlinks", "--link", "a::/lib/x", "--link", "b::/up/y")
    assert result.rc == 0
    assert result.rootfs.node("/usr/lib/x") is not None and result.rootfs.node("/y") is not None


def test_a_link_that_the_host_has_behind_an_absolute_link_of_the_image_is_not_made() -> None:
    root = _root({"/usr/lib": Directory(), "/lib": Symlink("/usr/lib")})
    host = _host({"/usr/lib/libcuda.so": Symlink("libcuda.so.1")})
    result = _run(root, "create-symlinks", "--link", "libcuda.so.1::/lib/libcuda.so", host=host)
    assert result.rc == 0 and result.rootfs.node("/usr/lib/libcuda.so") is None


def test_an_existing_link_is_fine_on_a_read_only_root_and_a_new_one_is_not() -> None:
    root = _root({"/l": Symlink("a")})
    assert _run(root, "create-symlinks", "--link", "a::/l", readonly=True).rc == 0
    result = _run(root, "create-symlinks", "--link", "b::/l", readonly=True)
    assert result.rc == 1 and "read-only file system" in result.stderr


def test_a_bind_mounted_file_is_not_replaced() -> None:
    editor = _root().edit()
    editor.mount_node(Mount("/lib.so", "/host/lib.so"), _text("x"), Origin("host"))
    result = _run(editor.freeze(), "create-symlinks", "--link", "a::/lib.so")
    assert result.rc == 1 and "device or resource busy" in result.stderr


def test_chmod_changes_what_exists_and_passes_over_the_rest() -> None:
    result = _run(
        _root({"/dev/dri": Directory(0o700)}), "chmod", "--mode", "755", "--path", "/dev/dri", "--path", "/no"
    )
    node = result.rootfs.node("/dev/dri")
    assert result.rc == 0 and node is not None and node.mode == 0o755
    readonly = _run(_root({"/d": Directory(0o700)}), "chmod", "--mode", "755", "--path", "/d", readonly=True)
    assert readonly.rc == 1 and readonly.stderr == "chmod <rootfs>/d: read-only file system"


PARAMS = "/proc/driver/nvidia/params"


def test_the_driver_is_told_not_to_make_device_nodes() -> None:
    text = "ResmanDebugLevel: 1\nModifyDeviceFiles: 1\nDeviceFileUID: 0\n"
    host = _host({PARAMS: _text(text)})
    result = _run(_root({PARAMS: _text(text)}), "disable-device-node-modification", host=host)
    node = result.rootfs.node(PARAMS)
    assert isinstance(node, File) and node.facts.text == text.replace("Files: 1", "Files: 0")
    missing = _run(_root(), "disable-device-node-modification", host=host)
    assert missing.rc == 1
    assert missing.stderr == (
        "failed to mount modified params file: open o_path procfd: open <rootfs>/proc/driver/nvidia/params: "
        "no such file or directory"
    )


@pytest.mark.parametrize("text", [None, "", "ModifyDeviceFiles: 0\n", "ModifyDeviceFiles: 1 \n", "x\n"])
def test_other_driver_parameters_are_left_alone(text: str | None) -> None:
    assert modified_params(text) is None


def test_a_gpu_behind_an_absolute_etc_link_gets_no_profile() -> None:
    gpu = Special("char", (195, 0), 0o666)
    root = RootFS(MemoryTree("image", {"/dev/nvidia0": gpu, "/usr/etc": Directory(), "/etc": Symlink("/usr/etc")}))
    result = _run(root, "update-application-profile")
    assert result.rc == 1 and "path escapes from parent" in result.stderr


def test_what_a_dangling_etc_link_leads_to_is_made_for_the_profile() -> None:
    gpu = Special("char", (195, 0), 0o666)
    root = RootFS(MemoryTree("image", {"/dev/nvidia0": gpu, "/etc": Directory(), "/etc/nvidia": Symlink("../opt/nv")}))
    result = _run(root, "update-application-profile")
    assert result.rc == 0
    assert result.rootfs.node("/opt/nv/nvidia-application-profiles-rc.d/10-container.conf") is not None


def test_a_missing_directory_of_a_link_on_a_read_only_root_is_told_by_its_canonical_path() -> None:
    root = RootFS(MemoryTree("image", {"/usr/sbin": Directory(), "/sbin": Symlink("usr/sbin")}))
    result = _run(root, "create-symlinks", "--link", "a::/sbin/x/l", readonly=True)
    assert result.rc == 1 and "link in root: mkdirat <rootfs>/usr/sbin/x: read-only file system" in result.stderr


@pytest.mark.parametrize(
    ("argv", "rc", "said"),
    [
        ((), 0, "No CDI hook specified"),
        (("--nonsense",), 0, "No CDI hook specified"),
        (("other", "--flag"), 0, "Unsupported CDI hook: other"),
        (("create-symlinks", "--link"), 1, "flag needs an argument: --link"),
        (("--nonsense", "noop"), 1, "flag provided but not defined: -nonsense"),
        (("--quiet", "other"), 0, ""),
    ],
)
def test_the_command_line(argv: tuple[str, ...], rc: int, said: str) -> None:
    result = _run(_root(), *argv)
    assert result.rc == rc and said in result.stderr and bool(said) == bool(result.stderr)


@pytest.mark.parametrize(
    ("state", "config", "said"),
    [
        ("", None, "failed to load container state: failed to decode container state: EOF"),
        ("nonsense", None, "failed to load container state: failed to decode container state: invalid character 'n'"),
        (
            '{"bundle": "/none"}',
            None,
            "failed to open OCI spec file: open /none/config.json: no such file or directory",
        ),
        ('{"root": "/elsewhere"}', None, "failed to open container root: open /elsewhere: no such file or directory"),
    ],
)
def test_the_state_names_the_root(state: str, config: str | None, said: str) -> None:
    result = _run(_root(), "create-symlinks", "--link", "a::/l", state=ContainerState(state, config))
    assert result.rc == 1 and said in result.stderr


def test_crun_gives_the_root_in_the_state_itself() -> None:
    result = _run(_root(), "create-symlinks", "--link", "a::/l", state=ContainerState('{"root": "<rootfs>"}', None))
    assert result.rc == 0 and result.rootfs.node("/l") is not None


@pytest.mark.parametrize(
    ("lower", "higher"), [("535.309.01", "550"), ("12.4", "12.10"), ("v1.2.3-rc.1", "1.2.3"), ("1.2.3-2", "1.2.3-10")]
)
def test_versions_compare_as_numbers(lower: str, higher: str) -> None:
    low, high = parse_version(lower), parse_version(higher)
    assert low is not None and high is not None and low < high


names = st.sampled_from(["a", "b", "lib", "etc", "x.so", ".."])
some_paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
clean_paths = st.lists(st.sampled_from(["a", "b", "lib"]), min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))
trees = st.dictionaries(
    st.sampled_from(["/a", "/b", "/lib"]),
    st.just({"type": "dir"})
    | st.just({"type": "file", "size": 1, "text": "x"})
    | some_paths.map(lambda p: {"type": "symlink", "target": p}),
)


@given(trees, st.lists(st.tuples(some_paths, some_paths), max_size=4))
def test_making_links_twice_is_making_them_once(tree: dict[str, Any], links: list[tuple[str, str]]) -> None:
    argv = ["create-symlinks", *(x for target, path in links for x in ("--link", f"{target}::{path}"))]
    places = [path for _, path in links]
    once = _run(RootFS(tree_from_json(tree, "image")), *argv)
    twice = _run(once.rootfs, *argv)
    if once.rc == 0 and len(set(places)) == len(places) == len({_landed(once.rootfs, p) for p in places}):
        assert twice.rc == 0
        assert tree_changes(once.rootfs, twice.rootfs) == {"added": [], "removed": [], "changed": []}


def _landed(root: RootFS, path: str) -> str:
    found = Resolver(root).resolve(path, follow=False)
    return getattr(found, "path", path)


@given(trees, st.lists(clean_paths, min_size=1, max_size=3), st.sampled_from(["update-ldcache", "chmod"]))
def test_hostile_roots_never_crash_a_hook(tree: dict[str, Any], folders: list[str], name: str) -> None:
    flags = [x for f in folders for x in (("--folder", f) if name == "update-ldcache" else ("--path", f))]
    result = _run(RootFS(tree_from_json(tree, "image")), name, *flags, *(("--mode", "755") if name == "chmod" else ()))
    assert result.rc in (0, 1) and all(random_parts(m) for _, m in result.log)


def test_the_configuration_of_a_bundle_decides_the_root() -> None:
    state = ContainerState('{"bundle": "/bundle"}', json.dumps({"root": {"path": "rootfs"}}))
    assert _run(_root(), "create-symlinks", "--link", "a::/l", state=state).rc == 0


IMAGES = tuple(cdi_vectors.table("e2e_images"))
FOLDERS = ("/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/lib64", "/opt/driver/lib", "/none")
DRIVER = {
    "/usr/lib64/libcuda.so.535.309.01": "libcuda.so.1",
    "/opt/driver/lib/libcuda.so.550.90.07": "libcuda.so.1",
    "/usr/lib64/libnvidia-ml.so.535.309.01": "libnvidia-ml.so.1",
}


@given(
    st.sampled_from(IMAGES),
    st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=3),
    st.sets(st.sampled_from(sorted(DRIVER))),
)
def test_updating_the_cache_twice_is_updating_it_once(image: str, folders: list[str], files: set[str]) -> None:
    entries = dict(cdi_vectors.table("e2e_images")[image]["tree"])
    for path in files:
        if not any(p == "/usr/lib64" and e["type"] == "symlink" for p, e in entries.items()):
            entries[path] = {"type": "file", "size": 4096, "elf": {"soname": DRIVER[path], "needed": []}}
    argv = ["update-ldcache", *(x for f in folders for x in ("--folder", f))]
    host = cdi.debian_host()
    once = _run(RootFS(tree_from_json(entries, "image")), *argv, host=host)
    twice = _run(once.rootfs, *argv, host=host, serial=once.serial)
    assert once.rc == twice.rc
    changes = tree_changes(once.rootfs, twice.rootfs)
    # a second drop-in for the folders is made where the configuration does not include the first one
    drop_ins = {f"/etc/ld.so.conf.d/{n}-nvcr-<n>.conf" for n in ("00", "zz")} | {"/run/nvidia-ctk-hook/<uuid>"}
    musl = {"/etc/ld-musl-x86_64.path"} if once.rootfs.node("/etc/alpine-release") else set()
    assert {e["path"] for e in changes["added"]} <= drop_ins
    assert {c["after"]["path"] for c in changes["changed"]} <= musl and not changes["removed"]
    if once.rc == 0:
        first, second = (r.rootfs.node("/etc/ld.so.cache") for r in (once, twice))
        assert isinstance(first, File) and isinstance(second, File)
        assert first.facts.ldcache == second.facts.ldcache


def test_a_read_only_etc_stops_the_cache_from_being_updated() -> None:
    editor = _root().edit()
    editor.mount_directory(Mount("/etc", "/host/etc", frozenset({"ro"})), MemoryTree("etc", {}), "/", Origin("host"))
    result = _run(editor.freeze(), "update-ldcache", "--folder", "/usr/lib64", host=cdi.debian_host())
    assert result.rc == 1 and "open /etc/ld.so.conf: read-only file system" in result.stderr


def test_alpine_without_a_final_newline_in_its_path_file_glues_two_directories() -> None:
    root = _root({"/etc/alpine-release": _text("3.20"), "/etc/ld-musl-x86_64.path": _text("/lib:/usr/lib")})
    result = _run(root, "update-ldcache", "--folder", "/usr/lib64", host=cdi.debian_host())
    node = result.rootfs.node("/etc/ld-musl-x86_64.path")
    assert isinstance(node, File) and (node.facts.text or "").startswith("/lib:/usr/lib/lib\n")
