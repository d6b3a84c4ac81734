"""The shipped known programs: recognised by their files on shipped hosts and images, and nowhere else."""

from __future__ import annotations

import pytest

from nvsim.host.datadir import data_dir
from nvsim.host.read import load_host
from nvsim.image.read import load_image
from nvsim.programs import load_programs, recognise
from nvsim.rootfs.glob import glob
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

DATA = data_dir()
PROGRAMS = load_programs(DATA / "programs")


def recognised(tree: Tree, *argv: str) -> list[str]:
    resolver = Resolver(tree)
    found = resolver.resolve(argv[0])
    assert isinstance(found, Resolved)
    return [program.name for program, _ in recognise(PROGRAMS, resolver, argv, found.path)]


def test_every_program_tells_its_sources() -> None:
    assert {p.name for p in PROGRAMS if not p.sources} == set()


@pytest.mark.parametrize("host", ["eks-al2-2021", "ubuntu2204-470", "ubuntu2204-535", "debian12-535", "rhel9-550"])
def test_the_drivers_programs_are_recognised_on_every_branch(host: str) -> None:
    tree = load_host(host, DATA).tree
    assert recognised(tree, "/usr/bin/nvidia-smi") == ["nvidia-smi"]
    assert recognised(tree, "/usr/bin/nvidia-debugdump", "--list") == ["nvidia-debugdump"]


def test_nvidia_smi_tries_the_paths_that_stand_in_it() -> None:
    program = next(p for p in PROGRAMS if p.name == "nvidia-smi")
    names = program.steps[0].names
    assert names[0] == "libnvidia-ml.so.1"
    for host in ("eks-al2-2021", "ubuntu2404-550"):
        found = Resolver(load_host(host, DATA).tree).resolve("/usr/bin/nvidia-smi")
        assert isinstance(found, Resolved)
        elf = found.node.facts.elf  # type: ignore[union-attr]
        assert elf is not None
        assert set(names[1:]) <= set(elf.so_strings)


@pytest.mark.parametrize("image", ["nix-torch", "nix-torch-fixed"])
def test_pytorch_is_recognised_by_its_library(image: str) -> None:
    loaded = load_image(f"example:{image}", DATA)
    python = loaded.config.entrypoint[0]
    assert recognised(loaded.tree, python, *loaded.config.cmd) == ["pytorch"]
    assert recognised(loaded.tree, python, "train.py") == ["pytorch"]
    assert recognised(loaded.tree, python, "-c", "print(1)") == []


def test_the_patterns_of_pytorch_find_each_library_once() -> None:
    resolver = Resolver(load_image("example:nix-torch", DATA).tree)
    program = next(p for p in PROGRAMS if p.name == "pytorch")
    for step in program.steps[:2]:
        found = {path for name in step.names for path in glob(resolver, name.removeprefix("glob:"))}
        real = {r.path for p in found if isinstance(r := resolver.resolve(p), Resolved)}
        assert len(real) == 1


def test_a_python_without_pytorch_is_no_known_program() -> None:
    tree = load_image("example:debian12", DATA).tree
    assert recognised(tree, "/usr/bin/bash", "-c", "import torch") == []
