"""Invalid profiles: all faults at once, each with its place, and what was probably meant."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.read import host_from_json, load_host
from nvsim.host.validate import faults_of_layout, faults_of_profile
from nvsim.rootfs.datafile import canonical_entries, names_in

DATA = data_dir()
GOOD: dict[str, Any] = {
    "format": "nvsim-host/1",
    "name": "mine",
    "layout": "rhel9",
    "driver": {"set": "550.163.01"},
    "gpus": [{"minor": 0, "uuid": "GPU-1", "pci": "0000:00:1e.0", "model": "M", "brand": "b", "compute": "8.0"}],
}


def faults(**changes: Any) -> dict[str, str]:
    return {f.path: f.message for f in faults_of_profile({**GOOD, **changes}, DATA, "mine.json")}


def test_a_good_profile_has_no_faults() -> None:
    assert faults() == {}


@pytest.mark.parametrize("name", names_in(DATA / "layouts"))
def test_shipped_layouts_have_no_faults(name: str) -> None:
    assert faults_of_layout(name, DATA) == ()


def test_all_faults_are_told_at_once() -> None:
    bad_gpu = {"minor": "0", "uuid": "GPU-1", "pci": "1e.0", "model": "M", "brand": "b"}
    found = faults(layout="rhel8", driver={"set": "550.163.1", "rot": "/"}, gpus=[bad_gpu], kernel=6, extra=1)
    assert set(found) == {
        "layout",
        "driver.set",
        "driver.rot",
        "gpus[0]",
        "gpus[0].minor",
        "gpus[0].pci",
        "kernel",
        "extra",
    }
    assert "did you mean rhel9?" in found["layout"]
    assert "did you mean 550.163.01" in found["driver.set"]
    assert "did you mean root?" in found["driver.rot"]
    assert found["gpus[0]"] == "lacks 'compute'"


def test_the_error_names_file_and_every_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**GOOD, "kernel": 6, "toolkit": {"versoin": "1.17.8"}}))
    with pytest.raises(InputError) as caught:
        load_host(str(path), DATA)
    text = str(caught.value)
    assert text.startswith(f"{path}: 2 faults: ")
    assert "kernel: must be a string, not 6" in text
    assert "toolkit.versoin: unknown key (did you mean version" in text
    assert "\n" not in text


def test_overrides_are_checked_like_layouts() -> None:
    assert set(
        faults(overrides={"remove": "x", "tree": {"usr/x": {"type": "dir"}}, "ldcache": {"content": "old"}})
    ) == {
        "overrides.remove",
        "overrides.tree['usr/x']",
        "overrides.ldcache.content",
    }


def test_a_profile_needs_a_layout_or_a_tree() -> None:
    found = faults_of_profile({"format": "nvsim-host/1", "name": "x"}, DATA, "x.json")
    assert [f.message for f in found] == ["a profile needs 'layout' (composed) or 'tree' (expanded)"]


def test_broken_files_are_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"format": "nvsim-host/1",\n "name": }')
    with pytest.raises(InputError, match=r"mine\.json:2:10: bad JSON"):
        load_host(str(path), DATA)
    path.write_text('{"format": "nvsim-tree/1"}')
    with pytest.raises(InputError, match="expected nvsim-host/1"):
        load_host(str(path), DATA)
    path.write_bytes(gzip.compress(b'{"format"')[:-6])
    with pytest.raises(InputError, match="broken gzip"):
        load_host(str(path), DATA)


def test_a_profile_from_a_file_equals_the_shipped_one(tmp_path: Path) -> None:
    shipped = (DATA / "host_profiles/rhel9-550.json").read_bytes()
    path = tmp_path / "copy.json.gz"
    path.write_bytes(gzip.compress(shipped))
    assert load_host(str(path), DATA).data == load_host("rhel9-550", DATA).data


KEYS = [
    "format",
    "name",
    "layout",
    "driver",
    "set",
    "gpus",
    "pci",
    "minor",
    "toolkit",
    "config",
    "overrides",
    "tree",
    "/x",
    "type",
    "ldcache",
    "content",
    "devices",
    "cpu",
    "hwcaps",
    "remove",
    "root",
    "ld_so_conf",
    "alternatives",
    "extra",
    "sockets",
    "place",
    "dirs",
    "lib",
    "64",
    "os",
    "cpu",
    "kernel",
    "mode",
]


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    ),
    st.sampled_from(["layout", "tree", "none"]),
)
def test_any_json_is_a_host_or_an_input_error(value: Any, kind: str) -> None:
    profile = value if isinstance(value, dict) else {"name": value}
    if kind == "layout":
        profile = {**profile, "format": "nvsim-host/1", "name": "h", "layout": "rhel9"}
    elif kind == "tree":
        profile = {"tree": {}, **profile}
    try:
        host_from_json(profile, DATA, "any")
    except InputError as e:
        assert "\n" not in str(e)


def test_paths_are_led_through_links_of_the_same_tree() -> None:
    link = {"type": "symlink", "target": "usr/lib"}
    entries = {
        "/lib": link,
        "/lib/a": 1,
        "/usr/lib/b": 2,
        "/x": {"type": "symlink", "target": "/lib/../lib"},
        "/x/c": 3,
    }
    real = canonical_entries(entries, "t")
    assert {p: e for p, e in real.items() if isinstance(e, int)} == {"/usr/lib/a": 1, "/usr/lib/b": 2, "/usr/lib/c": 3}
    loop = {"/a": {"type": "symlink", "target": "b"}, "/b": {"type": "symlink", "target": "/a"}, "/a/x": 1}
    with pytest.raises(InputError, match="too many levels"):
        canonical_entries(loop, "t")


FULL: dict[str, Any] = {
    **GOOD,
    "gpus": [{**GOOD["gpus"][0], "mig": [{"uuid": "MIG-1", "gi": 1, "ci": 0, "profile": "3g"}]}],
    "cpu": {"isa_level": 3, "platform": "haswell", "hwcaps": ["x86_64"]},
    "toolkit": {"version": "1.17.8", "config": {"nvidia-container-cli.root": "/"}, "env": {"A": "b"}, "path": "/bin"},
    "overrides": {
        "root_links": {"/lib": "usr/lib"},
        "dirs": {"lib": {"64": [["libcuda*", "/opt"], ["*", "/usr/lib64"]], "32": "/usr/lib"}, "vdpau": "{lib}/vdpau"},
        "place": {"libnvoptix*": None},
        "patch": {"*": {"runpath": "/x"}},
        "alternatives": {"a": ["/usr/bin/a", "/usr/bin/nvidia-smi"]},
        "tree": {"/x": {"type": "file", "text": "t"}},
        "ldcache": {"content": "stale", "missing": ["libcuda*"], "extra": [["a", "0x0303", "/a"]], "path": "/etc/c"},
        "devices": [["/dev/a", "char", 1, 2, "0666", 0, 0]],
        "ldconfig": {"path": "/sbin/ldconfig", "kind": "script"},
        "sockets": ["/run/s"],
        "ld_so_conf": {"/etc/ld.so.conf": ["/a"]},
        "mode": {"lib": "0755"},
        "remove": ["/y*"],
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, item in inner for p in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {k: replaced(v, path[1:], new) if k == path[0] else v for k, v in value.items()}
    return [replaced(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(places(FULL)[1:]),
    st.sampled_from(
        [None, True, -1, 10**30, "", "/", "..", "x", "a\0b", "/a/../b", [], ["x"], [[]], {}, {"x": 1}, {"/x": {}}]
    ),
)
def test_a_profile_with_one_odd_value_is_a_host_or_an_input_error(path: tuple[Any, ...], new: Any) -> None:
    assert faults_of_profile(FULL, DATA, "full") == ()
    try:
        host_from_json(replaced(FULL, path, new), DATA, "odd")
    except InputError as e:
        assert "\n" not in str(e)
