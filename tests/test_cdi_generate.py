"""``nvidia-ctk cdi generate`` and ``cdi transform root`` against recorded runs, and what must hold of every generated spec."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cdi_vectors
from nvsim.inject.cdi.dump import dump_yaml
from nvsim.inject.cdi.inject import inject_spec
from nvsim.inject.cdi.load import parse_spec
from nvsim.inject.cdi.spec import CdiSpec, with_minimum_version
from nvsim.inject.cdi.transform import move_path, transform_root
from nvsim.inject.cdi.validate import spec_error
from nvsim.inject.device_ids import is_gpu_uuid, is_mig_uuid
from nvsim.inject.generate.command import run_generate
from nvsim.inject.generate.generate import common_edits
from nvsim.inject.generate.generator import MODES, GenerateOptions, new_generator
from nvsim.inject.generate.host import CdiHost, Nvml, NvmlGpu, NvmlMig
from nvsim.inject.log import ToolLog
from nvsim.queries import cdi
from nvsim.rootfs.node import Directory, File, Special
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import MemoryTree
from nvsim.rootfs.treefile import tree_from_json
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.releases import release_of

_NEWER = ("disable-device-node-modification", "update-application-profile")
Edit = Callable[[dict[str, Any]], None]
LIB = "/usr/lib/x86_64-linux-gnu"
STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_c1a085cc86772d3f"


def _text(content: str, mode: str = "0644") -> dict[str, Any]:
    return {"type": "file", "mode": mode, "size": len(content), "text": content}


def _empty_dev(host: dict[str, Any]) -> None:
    host["tree"] = {p: e for p, e in host["tree"].items() if not p.startswith("/dev/")}


def _no_mig_minors(host: dict[str, Any]) -> None:
    host["tree"] = {p: e for p, e in host["tree"].items() if not p.startswith("/proc/driver/nvidia-caps")}


def _odd_files(host: dict[str, Any]) -> None:
    host["tree"].update(
        {
            f"{LIB}/libfoo.so.535.309.01": _text("text\n"),
            f"{LIB}/foo.so.535.309.01": _text("text\n"),
            f"{LIB}/libalias.so.535.309.01": {"type": "symlink", "target": "libcuda.so.535.309.01"},
            f"{LIB}/libdangling.so.535.309.01": {"type": "symlink", "target": "/nonexistent"},
        }
    )


def _two_stores(host: dict[str, Any]) -> None:
    host["tree"]["/usr/lib/wsl/drivers/igfx"] = {"type": "dir"}
    host["dxcore_driver_store_paths"] = ["/usr/lib/wsl/drivers/igfx", STORE]


# what was altered on the host for a record, by the words in which the record tells it
CHANGES: dict[str, Edit] = {
    "/dev is empty": _empty_dev,
    "/usr/bin/nvidia-smi has mode 0644": lambda h: h["tree"]["/usr/bin/nvidia-smi"].update(mode="0644"),
    "/proc/driver/nvidia-caps is absent": _no_mig_minors,
    "DXCore reports no adapters": lambda h: h.update(dxcore_driver_store_paths=[]),
    "DXCore reports two adapters: /usr/lib/wsl/drivers/igfx (empty directory) and the NVIDIA store": _two_stores,
    "directory /tmp/nvidia-mps exists": lambda h: h["tree"].update({"/tmp/nvidia-mps": {"type": "dir"}}),
    "/tmp/nvidia-mps is a regular file": lambda h: h["tree"].update({"/tmp/nvidia-mps": _text("")}),
}


def _query(record: dict[str, Any]) -> dict[str, Any]:
    query = cdi_vectors.query(record)
    change = query.pop("change", None)
    if change:
        query["host"] = copy.deepcopy(query["host"])
        (_odd_files if change.startswith("added in ") else CHANGES[change])(query["host"])
    return query


@pytest.mark.parametrize("record", cdi_vectors.rows("generate"), ids=lambda r: r["id"])
def test_generate_writes_the_same_specs_and_says_the_same(record: dict[str, Any]) -> None:
    got = cdi.answer("tool", {"program": "nvidia-ctk", **_query(record)})
    want = record["expect"]
    assert cdi_vectors.normal(got["specs"]) == cdi_vectors.normal(want["specs"])
    assert got["rc"] == want["rc"]
    assert got["log"] == want["log"]


@pytest.mark.parametrize("record", cdi_vectors.rows("transform"), ids=lambda r: r["id"])
def test_transform_moves_the_same_paths(record: dict[str, Any]) -> None:
    got = cdi.answer("tool", {"program": "nvidia-ctk", **cdi_vectors.query(record)})
    assert cdi_vectors.normal(got["output"]) == cdi_vectors.normal(record["expect"]["output"])
    assert got["rc"] == record["expect"]["rc"]


def _host(name: str = "ubuntu2204-a100x2", **env: str) -> CdiHost:
    return cdi.host_of_query({"host": cdi_vectors.table("hosts")[name], "env": env})


def _generated(host: CdiHost, *args: str) -> CdiSpec:
    result = run_generate(host, ("--format=json", *args))
    assert result.rc == 0, result.log
    return result.specs[0]


HOSTS = ("ubuntu2204-a100x2", "amazonlinux2-lib64-t4", "rhel9-lib64-a100x4-mig", "wsl2-ubuntu2204", "jetson-orin-nvgpu")


@pytest.mark.parametrize("name", HOSTS)
def test_a_generated_spec_is_valid_survives_yaml_and_can_be_injected(name: str) -> None:
    host = _host(name)
    spec = _generated(host)
    assert spec_error(spec) is None
    assert parse_spec(dump_yaml(spec)) == spec
    config = inject_spec({"process": {"env": ["PATH=/bin"]}, "mounts": []}, spec, host.resolver)
    assert config["process"]["env"][-1] == "NVIDIA_VISIBLE_DEVICES=void"
    assert {m.container_path for e in spec.all_edits() for m in e.mounts} == {
        m["destination"] for m in config["mounts"]
    }


@pytest.mark.parametrize("name", HOSTS)
def test_every_source_exists_and_every_mount_says_why(name: str) -> None:
    host = _host(name)
    for edits in _generated(host).all_edits():
        for mount in edits.mounts:
            assert isinstance(host.resolver.resolve(mount.host_path), Resolved)
            assert [b.input for b in mount.because] == [f"host file {mount.host_path}"]
        for node in edits.nodes:
            assert node.because


def test_yaml_is_written_when_nothing_else_is_asked_for() -> None:
    result = run_generate(_host("no-nvidia-driver"), ("--mode=mofed",))
    assert result.rc == 1 and result.texts == ()
    text = run_generate(_host(), ("--output=/etc/cdi/nvidia.yml", "--mode=gds")).texts[0]
    assert text.startswith("---\ncdiVersion: 0.3.0\nkind: nvidia.com/gpu\ndevices:\n    - name: all\n")


def test_the_output_file_decides_the_format_unless_one_is_given() -> None:
    assert run_generate(_host(), ("--output=x.json",)).texts[0].startswith("{")
    forced = run_generate(_host(), ("--output=x.json", "--format=yaml"))
    assert forced.texts[0].startswith("---")
    assert any("does not match format implied" in message for _, message in forced.log)


def test_driver_capabilities_play_no_part() -> None:
    assert _generated(_host()) == _generated(_host(NVIDIA_DRIVER_CAPABILITIES="compute"))


def test_a_mig_device_with_graphics_gets_the_drm_nodes() -> None:
    host = _host("rhel9-lib64-a100x4-mig")
    assert host.nvml is not None
    gpus = list(host.nvml.gpus)
    mig = gpus[2].mig[0]
    for profile, expected in (("1g.5gb", False), ("1g.12gb+gfx", True)):
        gpus[2] = NvmlGpu(
            gpus[2].uuid,
            2,
            gpus[2].pci,
            gpus[2].name,
            True,
            (NvmlMig(mig.index, mig.uuid, mig.gi, mig.ci, profile),),
        )
        nvml = Nvml(host.nvml.driver_version, host.nvml.cuda_version, tuple(gpus))
        spec = _generated(CdiHost(host.resolver, nvml, env=host.env), "--device-id=2:0")
        nodes = {n.path for n in spec.devices[0].edits.nodes}
        assert any(p.startswith("/dev/dri/") for p in nodes) == expected


def test_without_soname_links_on_the_host_no_such_links_are_made() -> None:
    data = copy.deepcopy(cdi_vectors.table("hosts")["ubuntu2204-compute-only"])
    data["tree"] = {
        p: e
        for p, e in data["tree"].items()
        if not (e["type"] == "symlink" and p.startswith(f"{LIB}/lib") and not p.endswith("libnvidia-ml.so.1"))
    }
    spec = _generated(cdi.host_of_query({"host": data}))
    hook = next(h for h in spec.edits.hooks if "create-symlinks" in h.args)
    links = {a for a in hook.args if "::" in a}
    assert f"libcuda.so.1::{LIB}/libcuda.so" in links
    assert not any(a.endswith(f"::{LIB}/libcuda.so.1") for a in links)


def test_names_that_stand_for_devices() -> None:
    assert is_gpu_uuid("GPU-0a1b2c3d-0000-4e5f-8a9b-000000000000")
    assert not is_gpu_uuid("GPU-0a1b2c3d")
    assert is_mig_uuid("MIG-GPU-0a1b2c3d-0000-4e5f-8a9b-000000000000/1/0")


@pytest.mark.parametrize(
    ("path", "moved"),
    [("/driver/usr/lib", "/usr/lib"), ("/driver", "/"), ("/driver-old/x", "/driver-old/x"), ("driver", "driver")],
)
def test_a_root_is_moved_at_component_boundaries(path: str, moved: str) -> None:
    assert move_path(path, "/driver", "/") == moved
    assert move_path(path, "/driver/", "/") == moved


def test_moving_a_root_there_and_back_gives_the_spec_again() -> None:
    spec = _generated(_host("gpu-operator-driver-container"), "--driver-root=/run/nvidia/driver")
    away = transform_root(spec, "/run/nvidia/driver", "/other/place")
    assert away != spec
    back = transform_root(away, "/other/place", "/run/nvidia/driver")
    assert back.edits.mounts == spec.edits.mounts and back.edits.hooks == spec.edits.hooks


versions = st.sampled_from(["535.309.01", "550.90.07"])
library_dirs = st.sampled_from(["/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/lib64", "/opt/driver/lib"])
links = st.sampled_from(["libcuda.so.1", "libnvidia-ml.so.1", "libother.so"])


@given(
    st.dictionaries(
        st.tuples(library_dirs, st.sampled_from(["libcuda", "libnvidia-ml", "libx"]), versions), st.booleans()
    ),
    st.lists(st.tuples(library_dirs, links, versions), max_size=4),
    st.sampled_from(MODES),
    st.booleans(),
)
def test_any_host_gives_a_valid_spec_or_a_message(
    libraries: dict[tuple[str, str, str], bool], chosen: list[tuple[str, str, str]], mode: str, node: bool
) -> None:
    entries: dict[str, Any] = {"/etc/ld.so.cache": {"type": "file", "size": 1, "ldcache": []}}
    for (folder, stem, version), with_soname in libraries.items():
        elf = {"soname": f"{stem}.so.1"} if with_soname else {}
        entries[f"{folder}/{stem}.so.{version}"] = {"type": "file", "size": 1, "elf": elf}
    for folder, name, version in chosen:
        entries.setdefault(
            f"{folder}/{name}", {"type": "symlink", "target": f"{name.partition('.so')[0]}.so.{version}"}
        )
    if node:
        entries["/dev/nvidia0"] = {"type": "char", "rdev": "195:0", "mode": "0666"}
    tree = tree_from_json(entries, "host")
    gpu = NvmlGpu("GPU-0a1b2c3d-0000-4e5f-8a9b-000000000000", 0, "00000000:17:00.0", "GPU")
    host = CdiHost(Resolver(tree), Nvml("535.309.01", 12020, (gpu,)), env={"PATH": "/usr/bin"})
    result = run_generate(host, (f"--mode={mode}",))
    if result.rc:
        assert result.log[-1][0] == "error" and result.log[-1][1]
        return
    spec = result.specs[0]
    assert spec_error(spec) is None and with_minimum_version(spec) == spec
    for mount in spec.edits.mounts:
        found = host.resolver.resolve(mount.host_path)
        assert isinstance(found, Resolved) and isinstance(found.node, File)


def test_a_device_of_another_kind_is_no_gpu_node() -> None:
    nodes = {"/dev/nvidia0": Directory(), "/dev/nvidiactl": Special("block", (195, 255))}
    result = run_generate(CdiHost(Resolver(MemoryTree("host", nodes))), ("--mode=management",))
    assert result.log[-1] == (
        "error",
        "failed to generate CDI spec: failed to create device CDI specs: no NVIDIA device nodes found",
    )


@pytest.mark.parametrize("flag", ["--vendor=a", "--class=g"])
def test_a_one_letter_vendor_or_class_crashes_the_generator(flag: str) -> None:
    result = run_generate(_host(), ("--format=json", flag))
    assert (result.rc, result.specs) == (2, ())
    assert "slice bounds out of range" in result.log[-1][1]


@pytest.mark.parametrize(
    ("release", "hooks", "icd", "libcuda_dir"),
    [
        ("1.17.9", set(), False, False),
        ("1.19.1", {"disable-device-node-modification"}, False, True),
        ("1.20.0", {"disable-device-node-modification", "update-application-profile"}, True, True),
    ],
)
def test_a_release_generates_what_it_knows(release: str, hooks: set[str], icd: bool, libcuda_dir: bool) -> None:
    options = GenerateOptions("nvml", rules=generation_rules(release_of(release)))
    edits = common_edits(new_generator(_host(), ToolLog(), options))
    assert {a for h in edits.hooks for a in h.args} & set(_NEWER) == hooks
    assert ("/etc/OpenCL/vendors/nvidia.icd" in {m.container_path for m in edits.mounts}) is icd
    assert any(e.startswith("NVIDIA_CTK_LIBCUDA_DIR=") for e in edits.env) is libcuda_dir
