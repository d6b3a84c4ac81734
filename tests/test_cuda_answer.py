"""What CUDA would answer: each number of the answer from the smallest container that gives it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nvsim.diagnosis.model import Diagnosis
from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.profile import HostProfile
from nvsim.host.read import load_host
from nvsim.image.model import Image
from nvsim.image.read import load_image
from nvsim.report.json import result_json
from nvsim.rootfs.node import File, Origin, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.scenario.cuda import BRANCHES, ERRORS, CudaAnswer
from nvsim.scenario.model import Scenario, Settings
from nvsim.simulate import simulate

DATA = data_dir()
IMAGE = load_image("example:ubuntu2204", DATA)
CUDA_IMAGE = load_image("example:cuda-12.2-base-ubuntu2204", DATA)
HOST = load_host("ubuntu2404-550-cdi", DATA)
PASCAL = load_host("ubuntu2204-535", DATA)
REAL = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01"


def ask(host: HostProfile = HOST, image: Image = IMAGE, **settings: Any) -> CudaAnswer:
    asked = Settings(**{"command": ("cuda-probe",), "gpus": "all", **settings})
    answer = simulate(Scenario(host, image, asked)).cuda
    assert answer is not None
    return answer


def with_libcuda(version: str, directory: str = "/opt/driver", image: Image = IMAGE) -> Image:
    """The image with a libcuda of its own, of the host's content."""
    node = HOST.tree.node(REAL)
    assert isinstance(node, File)
    editor = RootFS(image.tree).edit()
    editor.put(f"{directory}/libcuda.so.{version}", evolve(node, inode=("image", version)))
    editor.put(f"{directory}/libcuda.so.1", Symlink(f"libcuda.so.{version}"))
    return evolve(image, tree=editor.freeze())


def of_brand(brand: str, model: str) -> HostProfile:
    return evolve(HOST, gpus=tuple(evolve(g, brand=brand, model=model) for g in HOST.gpus))


def test_all_is_well() -> None:
    answer = ask()
    assert (answer.code, answer.runtime_code, answer.version, answer.cuda) == (0, 0, "550.163.01", "12.4")
    assert any("in working order" in a for a in answer.assumptions)


def test_without_libcuda_cuinit_cannot_be_called() -> None:
    assert ask(gpus=None).code is None
    assert ask(gpus=None, image=CUDA_IMAGE).runtime_code == 35  # what the CUDA runtime says then


def test_a_stub_is_a_stub_by_its_directory_and_by_its_size() -> None:
    env = ("LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs",)
    assert ask(image=with_libcuda("1.1", "/usr/local/cuda/lib64/stubs"), env=env).code == 34
    node = HOST.tree.node(REAL)
    assert isinstance(node, File)
    editor = RootFS(IMAGE.tree).edit()
    editor.put("/opt/x/libcuda.so.1", evolve(node, size=40_000, inode=("image", "stub"), origin=Origin("image")))
    small = evolve(IMAGE, tree=editor.freeze())
    assert ask(image=small, env=("LD_LIBRARY_PATH=/opt/x",)).code == 34


@pytest.mark.parametrize(
    ("brand", "model", "version", "code"),
    [
        ("geforce", "NVIDIA GeForce RTX 3090", "560.28.03", 804),
        ("tesla", "Tesla T4", "560.28.03", 0),
        ("nvidia", "NVIDIA A100-SXM4-40GB", "560.28.03", 0),
        ("quadro", "NVIDIA RTX A6000", "560.28.03", None),
        ("nvidia", "NVIDIA RTX PRO 4000", "560.28.03", None),
        ("geforce", "NVIDIA GeForce RTX 3090", "535.104.05", 803),
        ("tesla", "Tesla T4", "550.54.15", 803),
    ],
)
def test_another_release_than_the_kernel_modules(brand: str, model: str, version: str, code: int | None) -> None:
    answer = ask(of_brand(brand, model), with_libcuda(version), env=("LD_LIBRARY_PATH=/opt/driver",))
    assert answer.code == code
    assert (answer.unknown is None) == (code is not None)
    assert any(version in b.text for b in answer.because)


def test_an_upgrade_without_a_reload_is_a_mismatch_on_the_host() -> None:
    spec = evolve(HOST, driver=evolve(HOST.driver, kernel_module="535.309.01"))
    answer = ask(spec, gpus=None, runtime="nvidia", mode="legacy", devices=())
    assert answer.code is None  # NVML does not answer, so nothing was injected
    newer = with_libcuda("550.163.01")
    answer = ask(of_brand("geforce", "x"), newer, gpus=None, privileged=True, env=("LD_LIBRARY_PATH=/opt/driver",))
    assert answer.code == 0
    old = evolve(of_brand("geforce", "x"), driver=evolve(HOST.driver, kernel_module="535.309.01"))
    answer = ask(old, newer, gpus=None, privileged=True, env=("LD_LIBRARY_PATH=/opt/driver",))
    assert answer.code == 804


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        (("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"), 0),
        (("/dev/nvidiactl", "/dev/nvidia0"), 999),
        (("/dev/nvidiactl", "/dev/nvidia-uvm"), 100),
        (("/dev/nvidia0", "/dev/nvidia-uvm"), 100),
    ],
)
def test_missing_device_nodes(nodes: tuple[str, ...], code: int) -> None:
    image = with_libcuda("550.163.01")
    answer = ask(image=image, gpus=None, devices=nodes, env=("LD_LIBRARY_PATH=/opt/driver",))
    assert answer.code == code


def test_a_user_who_may_not_open_the_nodes() -> None:
    editor = RootFS(HOST.tree).edit()
    for name in ("nvidiactl", "nvidia0", "nvidia-uvm"):
        node = HOST.tree.node(f"/dev/{name}")
        assert node is not None
        editor.put(f"/dev/{name}", evolve(node, mode=0o660, gid=44))
    closed = evolve(HOST, tree=editor.freeze())
    nodes = {"gpus": None, "devices": ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm")}
    image, env = with_libcuda("550.163.01"), ("LD_LIBRARY_PATH=/opt/driver",)
    assert ask(closed, image, env=env, **nodes).code == 0
    assert ask(closed, image, env=env, user="1000", **nodes).code == 100
    assert ask(closed, image, env=env, user="1000:44", **nodes).code == 0
    assert ask(closed, image, env=env, user="1000", group_add=("44",), **nodes).code == 0
    assert (
        ask(closed, image, env=env, user="1000", group_add=("video",), **nodes).code == 0
    )  # of the image's /etc/group
    with pytest.raises(InputError, match="unable to find group gpu: no matching entries in group file"):
        ask(closed, image, env=env, group_add=("gpu",), **nodes)
    # CDI gives the process the group of nodes that not everybody may use
    assert ask(closed, user="1000").code == 0


@pytest.mark.parametrize(("version", "code"), [("550.163.01", 100), ("390.157", 999)])
def test_no_kernel_module(version: str, code: int) -> None:
    bare = evolve(HOST, driver=evolve(HOST.driver, kernel_module=None))
    image = with_libcuda(version)
    assert ask(bare, image, gpus=None, env=("LD_LIBRARY_PATH=/opt/driver",)).code == code


@pytest.mark.parametrize(("cuda", "code"), [("11.8", 35), ("12.0", 0), ("12.4", 0), ("13.0", 0)], ids=str)
def test_the_images_cuda_runtime_against_the_drivers(cuda: str, code: int) -> None:
    old = evolve(HOST, driver=evolve(HOST.driver, cuda=cuda))
    answer = ask(old, CUDA_IMAGE, env=("NVIDIA_VISIBLE_DEVICES=all",), config="")
    assert answer.cudart is not None and answer.cudart[1] == "12.2"
    assert (answer.code, answer.runtime_code) == (0, code)


def test_before_cuda_11_every_minor_version_counts() -> None:
    editor = RootFS(IMAGE.tree).edit()
    library = CUDA_IMAGE.tree.node("/usr/local/cuda-12.2/targets/x86_64-linux/lib/libcudart.so.12.2.140")
    assert library is not None
    editor.put("/usr/local/cuda-10.2/lib64/libcudart.so.10.2.89", library)
    image = evolve(IMAGE, tree=editor.freeze())
    at = {
        c: ask(evolve(HOST, driver=evolve(HOST.driver, cuda=c)), image).runtime_code for c in ("10.1", "10.2", "11.0")
    }
    assert at == {"10.1": 35, "10.2": 0, "11.0": 0}


def test_a_command_that_does_not_start_is_not_asked() -> None:
    assert simulate(Scenario(HOST, IMAGE, Settings(command=("/none",), gpus="all"))).cuda is None


def test_the_json_shape() -> None:
    asked = Settings(command=("cuda-probe",), gpus="all")
    shown = result_json(Diagnosis(simulate(Scenario(HOST, IMAGE, asked)), ()))["cuda"]
    assert shown["cuInit"] == {"code": 0, "name": "CUDA_SUCCESS", "text": "no error"}
    assert shown["libcuda"]["driver"] == "550.163.01" and shown["unknown"] is None and shown["because"]


def test_the_tables_fit_each_other() -> None:
    assert list(BRANCHES) == sorted(BRANCHES) and list(BRANCHES.values()) == sorted(BRANCHES.values())
    assert all(name.startswith(("CUDA_", "cuda")) for name, _ in ERRORS.values())


@pytest.mark.parametrize("name", ["jetson-orin-r35", "jetson-orin-r36"])
def test_the_driver_of_tegra_is_of_the_hosts_release_whatever_its_files_are_called(name: str) -> None:
    host = load_host(name, DATA)
    answer = ask(host, load_image("example:l4t-base-r36", DATA))
    assert answer.code == 0
    assert (answer.version, answer.cuda) == (host.driver.version, host.driver.cuda)
