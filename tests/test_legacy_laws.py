"""Laws of the legacy engine that hold for every host, image and command line."""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from legacyvectors import cases, load, query
from nvsim.errors import NvsimError
from nvsim.host.profile import HostProfile
from nvsim.inject.host_view import host_view
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.paths import EngineFailure, Root
from nvsim.inject.legacy.requirements import compare_versions
from nvsim.inject.legacy.run import plan_legacy
from nvsim.inject.plan import InjectionPlan
from nvsim.queries.legacy import container_of_query, host_of_query
from nvsim.queries.tool import answer
from nvsim.rootfs.node import Directory, File, FileFacts, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import MemoryTree, is_canonical, walk

FLAGS = ("--compute", "--utility", "--video", "--graphics", "--display", "--ngx", "--compat32")
MODES = ("", "--cuda-compat-mode=mount", "--cuda-compat-mode=ldconfig", "--cuda-compat-mode=disabled")
ENGINES = ("1.17.7-equivalent", "1.17.8", "1.14.6", "1.12.1")
INPUTS = ("host ", "image ", "option ", "env ", "engine")

names = st.sampled_from(sorted(load("trees")["hosts"]))
images = st.sampled_from(sorted(load("trees")["containers"]))
flags = st.sets(st.sampled_from(FLAGS))
devices = st.sampled_from(["", "--device=all", "--device=0", "--device=1,0"])


@cache
def host(name: str) -> HostProfile:
    case = next(iter(cases().values()))
    root = "/run/nvidia/driver" if name == "driver-container" else "/"
    nvml = {**case["nvml"], "gpus": 2, "mig_devices_per_gpu": 1}
    profile = host_of_query(query(case, host=name, nvml=nvml))
    return evolve(profile, driver=evolve(profile.driver, root=root))


@cache
def image(name: str) -> RootFS:
    return container_of_query(query(next(iter(cases().values())), container=name))


def plan(host_name: str, image_name: str, options: set[str], extra: tuple[str, ...], engine: str) -> InjectionPlan:
    root = host(host_name).driver.root
    argv = (f"--root={root}", "configure", *sorted(options), *(e for e in extra if e), "--no-cgroups")
    return plan_legacy(host(host_name), image(image_name), argv, engine=engine)


@settings(deadline=None, max_examples=120)
@given(names, images, flags, flags, devices, st.sampled_from(MODES), st.sampled_from(("1.17.7-equivalent", "1.17.8")))
def test_more_capabilities_never_inject_less(
    host_name: str, image_name: str, fewer: set[str], more: set[str], device: str, mode: str, engine: str
) -> None:
    small = plan(host_name, image_name, fewer, (device, mode), engine)
    large = plan(host_name, image_name, fewer | more, (device, mode), engine)
    if small.failure is None and large.failure is None:
        assert {(m.src, m.dst) for m in small.mounts} <= {(m.src, m.dst) for m in large.mounts}
        assert {(s.path, s.target) for s in small.symlinks} <= {(s.path, s.target) for s in large.symlinks}


@settings(deadline=None, max_examples=120)
@given(names, images, flags, devices, st.sampled_from(ENGINES))
def test_every_source_exists_and_every_reason_names_an_input(
    host_name: str, image_name: str, options: set[str], device: str, engine: str
) -> None:
    made = plan(host_name, image_name, options, (device,), engine)
    view = host_view(host(host_name), made.driver_root)
    done = apply(made, image(image_name), host(host_name))
    if done.failure is None:
        for mount in made.mounts:
            if mount.fstype == "bind":
                tree = view if mount.src_side == "host" else image(image_name)
                assert isinstance(resolve(tree, mount.src), Resolved), mount.src
    for item in chain(made.mounts, made.symlinks, made.skipped, made.device_nodes):
        assert item.because
        for reason in item.because:
            assert reason.text
            assert reason.input.startswith(INPUTS), reason.input


@settings(deadline=None, max_examples=60)
@given(names, images, flags, devices, st.sampled_from(ENGINES))
def test_the_same_question_has_the_same_answer(
    host_name: str, image_name: str, options: set[str], device: str, engine: str
) -> None:
    first, second = (plan(host_name, image_name, options, (device,), engine) for _ in range(2))
    assert first == second
    a, b = (apply(first, image(image_name), host(host_name)) for _ in range(2))
    assert (a.effects, a.failure, a.exit) == (b.effects, b.failure, b.exit)
    assert a.rootfs.mounts == b.rootfs.mounts


@settings(deadline=None, max_examples=60)
@given(names, images, st.sampled_from(ENGINES))
def test_an_empty_plan_leaves_the_image_as_it_is(host_name: str, image_name: str, engine: str) -> None:
    start = image(image_name)
    done = apply(InjectionPlan("legacy", engine_version=engine), start, host(host_name))
    assert (done.effects, done.failure, done.rootfs.mounts) == ((), None, start.mounts)
    assert list(walk(done.rootfs)) == list(walk(start))


scalars = st.none() | st.booleans() | st.integers(-5, 10**12) | st.text(max_size=8)
values = st.recursive(scalars, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3))
edits = st.lists(
    st.lists(
        st.sampled_from(["rm", "mkdir", "write", "chmod", "/etc", "/etc/ld.so.cache", "/dev/../x", "0644", "/"]),
        max_size=3,
    )
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "engine": values,
        "nvml": st.dictionaries(
            st.sampled_from(["gpus", "driver_version", "init_result", "mig_devices_per_gpu"]), values
        ),
        "path": values,
        "env": values,
        "argv": st.lists(
            st.sampled_from(["list", "configure", "--device=all", "-c", "--", "-", "--root=/x", "é\0"]), max_size=4
        ),
        "host_changes": values | edits,
        "rootfs_readonly": values,
        "container": values,
    },
)


@settings(deadline=None, max_examples=200)
@given(fields)
def test_a_strange_query_gets_an_answer_or_one_clear_line(strange: dict[str, Any]) -> None:
    try:
        answered = answer("tool", {**query(cases()["caps-compute"]), **strange})
    except NvsimError as e:
        assert "\n" not in str(e).strip()
        return
    json.dumps(answered)
    assert answered["rc"] in (0, 1)


part = st.sampled_from(["a", "b", "c", "..", "."])
path = st.lists(part, min_size=1, max_size=6).map("/".join)
links = st.dictionaries(st.sampled_from(["/a", "/b", "/c", "/d/a", "/d/b"]), st.tuples(st.booleans(), path), max_size=5)


@settings(deadline=None)
@given(links, path)
def test_no_path_resolution_leaves_the_root(link_targets: dict[str, tuple[bool, str]], wanted: str) -> None:
    nodes = {p: Symlink(("/" if absolute else "") + target) for p, (absolute, target) in link_targets.items()}
    tree = MemoryTree(
        "host", {"/root" + p: n for p, n in nodes.items()} | {"/root": Directory(), "/secret": Directory()}
    )
    root = Root(tree, "<root>", "/root")
    try:
        found = root.resolve("/" + wanted)
    except EngineFailure as e:
        assert "path error" in str(e) or "open failed" in str(e)
        return
    assert found == "" or is_canonical(found)
    assert not isinstance(root.node(found), Symlink)


def test_a_resolved_path_below_a_file_is_an_error_naming_root_and_path() -> None:
    tree = MemoryTree("image", {"/usr/lib64": File(1, ("image", 1), FileFacts())})
    try:
        Root(tree, "<rootfs>").resolve("/usr/lib64/libcuda.so.1")
    except EngineFailure as e:
        assert str(e) == "path error: <rootfs>//usr/lib64/libcuda.so.1: not a directory"
    else:
        raise AssertionError("a path below a file was resolved")


version = st.lists(st.integers(0, 600).map(str), min_size=1, max_size=4).map(".".join)


@given(version, version)
def test_versions_are_ordered(one: str, two: str) -> None:
    assert compare_versions(one, "<", two) == compare_versions(two, ">", one)
    assert compare_versions(one, "<", two) != compare_versions(one, ">=", two)
    assert compare_versions(one, "=", two) != compare_versions(one, "!=", two)
    assert compare_versions(one, "<=", two) == (compare_versions(one, "<", two) or compare_versions(one, "=", two))
    assert compare_versions(f"{one}.0", "=", one)
