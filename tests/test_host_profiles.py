"""Shipped hosts: they load, expand, go to JSON and back, and show what a GPU host shows."""

from __future__ import annotations

import json
import tomllib

import pytest

from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.devices import bus_id, mig_minor
from nvsim.host.profile import HostProfile
from nvsim.host.read import host_from_json, host_to_json, list_hosts, load_host
from nvsim.loader.cpu import parse_cpu
from nvsim.rootfs.node import File, Special, Symlink
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import MemoryTree, Tree, walk

DATA = data_dir()
HOSTS = list_hosts(DATA)


@pytest.mark.parametrize("name", HOSTS)
def test_a_shipped_host_tells_where_its_facts_come_from(name: str) -> None:
    host = load_host(name, DATA)
    assert host.name == name
    assert host.sources
    version = host.toolkit.version
    if version is not None and "amazon-eks-ami: templates/al2/" not in " ".join(host.sources):
        assert any(version in a and "assumed" in a for a in host.assumptions)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("aks-ubuntu2204-550", "nv_a10_v5"),
        ("amazonlinux2023-550", "g4dn"),
        ("bottlerocket-2026-550", "g6"),
        ("bottlerocket-535", "g4dn"),
        ("eks-al2-2021", "g4dn"),
        ("eks-al2-535", "g4dn"),
        ("eks-al2023-550", "g4dn"),
        ("gke-cos-535", "g2-standard"),
    ],
)
def test_a_cloud_host_has_the_cpu_of_the_instances_with_its_gpu(name: str, instance: str) -> None:
    assert load_host(name, DATA).cpu == parse_cpu(instance)


@pytest.mark.parametrize("name", HOSTS)
def test_the_expanded_form_is_read_back_to_the_same_host(name: str) -> None:
    host = load_host(name, DATA)
    once = host_to_json(host)
    again = host_to_json(host_from_json(json.loads(json.dumps(once)), DATA, name))
    assert again == once


@pytest.mark.parametrize("name", HOSTS)
def test_the_composed_form_is_kept(name: str) -> None:
    assert "layout" in host_to_json(load_host(name, DATA), expanded=False)


@pytest.mark.parametrize("name", HOSTS)
def test_every_driver_link_of_a_host_leads_to_a_file(name: str) -> None:
    host = load_host(name, DATA)
    tree = driver_root(host)
    links = [p for p, node in walk(tree) if isinstance(node, Symlink) and ("nvidia" in p or "cuda" in p)]
    assert links or host.tree.node("/dev/dxg") is not None  # on WSL the names are copies
    assert [p for p in links if not isinstance(resolve(tree, p), Resolved)] == []


def driver_root(host: HostProfile) -> Tree:
    """The tree below the driver root, as programs in it see it."""
    root = host.driver.root.rstrip("/")
    nodes = {path.removeprefix(root): node for path, node in walk(host.tree) if path.startswith(f"{root}/")}
    return MemoryTree(host.name, nodes)


@pytest.mark.parametrize("name", [n for n in HOSTS if not n.startswith(("gke", "wsl", "jetson"))])
def test_a_loaded_driver_has_its_devices_and_proc_files(name: str) -> None:
    host = load_host(name, DATA)
    for root in {"", host.driver.root.rstrip("/")}:
        control = host.tree.node(f"{root}/dev/nvidiactl")
        assert isinstance(control, Special) and control.rdev == (195, 255) and control.mode == 0o666
        for gpu in host.gpus:
            node = host.tree.node(f"{root}/dev/nvidia{gpu.minor}")
            assert isinstance(node, Special) and node.rdev == (195, gpu.minor)
            information = host.tree.node(f"{root}/proc/driver/nvidia/gpus/{bus_id(gpu.pci)}/information")
            assert isinstance(information, File) and gpu.uuid in (information.facts.text or "")
        params = host.tree.node(f"{root}/proc/driver/nvidia/params")
        assert isinstance(params, File) and "ModifyDeviceFiles: 1\n" in (params.facts.text or "")


def test_a_host_without_a_loaded_module_has_no_nvidia_proc_files() -> None:
    profile = {
        "format": "nvsim-host/1",
        "name": "unloaded",
        "layout": "rhel9",
        "driver": {"set": "550.163.01", "kernel_module": None},
    }
    host = host_from_json(profile, DATA)
    assert host.tree.node("/proc/driver/nvidia") is None
    assert host.tree.node("/dev/nvidiactl") is None
    assert isinstance(host.tree.node("/usr/lib64/libcuda.so.550.163.01"), File)


def test_the_story_hosts_are_what_the_story_says() -> None:
    old, new = load_host("eks-al2-2021", DATA), load_host("eks-al2-535", DATA)
    assert (old.driver.version, new.driver.version) == ("460.106.00", "535.309.01")
    assert (old.toolkit.version, new.toolkit.version) == ("1.3.0", "1.17.8")
    assert not new.assumptions
    for host in (old, new):
        assert [g.model for g in host.gpus] == ["Tesla T4"]
        assert isinstance(host.tree.node(f"/usr/lib64/libcuda.so.{host.driver.version}"), File)
        loader = resolve(host.tree, "/lib64/ld-linux-x86-64.so.2")
        assert isinstance(loader, Resolved) and isinstance(loader.node, File)
        assert loader.node.facts.loader is not None and loader.node.facts.loader.version == "2.26"


def test_a_driver_root_holds_the_driver_and_the_host_root_does_not() -> None:
    host = load_host("gpu-operator-ubuntu2204-535", DATA)
    assert host.driver.root == "/run/nvidia/driver"
    library = "/usr/lib/x86_64-linux-gnu/libcuda.so.535.309.01"
    assert isinstance(host.tree.node(f"/run/nvidia/driver{library}"), File)
    assert host.tree.node(library) is None
    config = tomllib.loads(host.toolkit.config or "")
    assert config["nvidia-container-cli"]["root"] == "/run/nvidia/driver"
    ldconfig = resolve(host.tree, config["nvidia-container-cli"]["ldconfig"].removeprefix("@"))
    assert isinstance(ldconfig, Resolved) and isinstance(ldconfig.node, File)
    assert ldconfig.node.facts.ldconfig is not None


def test_ubuntu_has_a_script_before_its_ldconfig() -> None:
    tree = load_host("ubuntu2204-535", DATA).tree
    script, program = tree.node("/usr/sbin/ldconfig"), tree.node("/usr/sbin/ldconfig.real")
    assert isinstance(script, File) and (script.facts.text or "").startswith("#!/bin/sh")
    assert isinstance(program, File) and program.facts.ldconfig is not None


def test_what_a_layout_tells_of_its_engine_does_not_hold_for_another() -> None:
    document = json.loads((DATA / "host_profiles" / "eks-al2023-550.json").read_text())
    own = load_host("eks-al2023-550", DATA).toolkit
    assert (own.engine, own.engine_version, own.engine_cdi) == ("containerd", "1.7", True)
    for engine, kept in (("docker", False), ("containerd", True)):
        document["toolkit"] = {**(document.get("toolkit") or {}), "engine": engine}
        told = host_from_json(document, DATA, "x").toolkit
        assert told.engine == engine
        assert (told.engine_version, told.engine_cdi) == ((own.engine_version, True) if kept else (None, None))


def test_unknown_hosts_are_answered_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"did you mean .*eks-al2-535"):
        load_host("eks-al2-536", DATA)
    with pytest.raises(InputError, match="no such file"):
        load_host("./nowhere.json", DATA)


def test_bus_ids_are_written_as_the_kernel_writes_them() -> None:
    assert bus_id("00000000:0A:1E.0") == "0000:0a:1e.0"
    assert bus_id("0000:0a:1e.0") == "0000:0a:1e.0"


def test_mig_capabilities_are_numbered_as_the_kernel_module_numbers_them() -> None:
    assert (mig_minor(0, 0), mig_minor(0, 0, 0), mig_minor(0, 1), mig_minor(1, 0)) == (3, 4, 12, 138)


def test_mig_devices_show_in_dev_and_proc() -> None:
    gpu = {
        "minor": 0,
        "uuid": "GPU-0",
        "pci": "0000:17:00.0",
        "model": "NVIDIA A100-SXM4-40GB",
        "brand": "nvidia",
        "compute": "8.0",
        "mig": [{"uuid": "MIG-1", "gi": 1, "ci": 0, "profile": "3g.20gb"}],
    }
    profile = {"format": "nvsim-host/1", "name": "m", "layout": "rhel9", "driver": {"set": "550.163.01"}, "gpus": [gpu]}
    tree = host_from_json(profile, DATA).tree
    assert isinstance(tree.node("/dev/nvidia-caps/nvidia-cap12"), Special)
    assert isinstance(tree.node("/dev/nvidia-caps/nvidia-cap13"), Special)
    access = tree.node("/proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access")
    assert isinstance(access, File) and "DeviceFileMinor: 13\n" in (access.facts.text or "")
    minors = tree.node("/proc/driver/nvidia-caps/mig-minors")
    assert isinstance(minors, File)
    assert (minors.facts.text or "").splitlines() == [
        "config 1",
        "monitor 2",
        "gpu0/gi1/access 12",
        "gpu0/gi1/ci0/access 13",
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("eks-al2-535", "/lib64/libcuda.so.1"),
        ("ubuntu2204-535", "/lib/x86_64-linux-gnu/libcuda.so.1"),
        ("bottlerocket-535", "/x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia/tesla/libcuda.so.1"),
        ("talos-550", "/usr/local/lib/libcuda.so.1"),
        ("eks-al2023-550", None),
        ("nixos-550", None),
        ("gke-cos-535", None),
    ],
)
def test_the_cache_names_the_driver_where_the_hosts_loader_finds_it(name: str, path: str | None) -> None:
    found = resolve(load_host(name, DATA).tree, "/etc/ld.so.cache")
    cache = found.node.facts.ldcache if isinstance(found, Resolved) and isinstance(found.node, File) else None
    entries = cache.entries if cache is not None else ()
    assert [e.path for e in entries if e.name == "libcuda.so.1"] == ([] if path is None else [path])


def test_nixos_patches_programs_and_leads_to_the_driver_by_one_link() -> None:
    tree = load_host("nixos-550", DATA).tree
    program = resolve(tree, "/run/opengl-driver/lib/../bin/nvidia-smi")
    library = resolve(tree, "/run/opengl-driver/lib/libcuda.so.1")
    assert isinstance(program, Resolved) and isinstance(program.node, File)
    assert isinstance(library, Resolved) and isinstance(library.node, File)
    elf, of_library = program.node.facts.elf, library.node.facts.elf
    assert elf is not None and (elf.interp or "").startswith("/nix/store/")
    assert of_library is not None and of_library.interp is None
    assert "nvidia-x11-550.163.01" in (of_library.runpath or "")


def test_one_override_of_each_kind() -> None:
    profile = {
        "format": "nvsim-host/1",
        "name": "odd",
        "layout": "ubuntu2204",
        "driver": {"set": "535.309.01", "kernel_module": "535.274.02"},
        "overrides": {
            "place": {"libcuda.so*": "/opt/{branch}/lib"},
            "tree": {"/usr/bin/extra": {"type": "file", "exit": 3}},
            "remove": ["*/libnvoptix.so*"],
            "ldcache": {"content": [["libcuda.so.1", "0x0303", "/opt/535/lib/libcuda.so.1"]]},
            "devices": {"uvm_major": 511, "missing": ["/dev/nvidia-modeset"]},
            "ldconfig": {"path": "/usr/sbin/ldconfig", "kind": "elf"},
        },
    }
    host = host_from_json(profile, DATA)
    tree = host.tree
    assert host.driver.kernel_module == "535.274.02"
    assert isinstance(tree.node("/opt/535/lib/libcuda.so.535.309.01"), File)
    assert tree.node("/usr/lib/x86_64-linux-gnu/libnvoptix.so.1") is None
    assert tree.node("/dev/nvidia-modeset") is None
    uvm = tree.node("/dev/nvidia-uvm")
    assert isinstance(uvm, Special) and uvm.rdev == (511, 0)
    ldconfig, cache = tree.node("/usr/sbin/ldconfig"), tree.node("/etc/ld.so.cache")
    assert isinstance(ldconfig, File) and ldconfig.facts.ldconfig is not None
    assert isinstance(cache, File) and cache.facts.ldcache is not None and len(cache.facts.ldcache.entries) == 1
    assert isinstance(tree.node("/usr/bin/extra"), File)
    version = tree.node("/proc/driver/nvidia/version")
    assert isinstance(version, File) and "535.274.02" in (version.facts.text or "")
