"""The seed story through the whole pipeline, and the README's session as the program really prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commands import nvsim
from nvsim.diagnosis.explain import diagnose
from nvsim.diagnosis.fix import find_fix
from nvsim.host.datadir import data_dir
from nvsim.host.read import load_host
from nvsim.image.read import load_image
from nvsim.programs import load_programs
from nvsim.scenario.changes import AddLink, SetEnv
from nvsim.scenario.model import Scenario, Settings
from nvsim.simulate import simulate

DATA = data_dir()
PROGRAMS = load_programs(DATA / "programs")
README = Path(__file__).parent.parent / "README.md"


def scenario(host: str, image: str = "example:nix-torch") -> Scenario:
    settings = Settings(env=("NVIDIA_VISIBLE_DEVICES=all",))
    return Scenario(load_host(host, DATA), load_image(image, DATA), settings)


@pytest.mark.parametrize(
    ("host", "codes"),
    [("eks-al2-2021", ["NVS101", "NVS301", "NVS401"]), ("eks-al2-535", ["NVS401", "NVS301"])],
)
def test_every_layer_of_the_failure_is_found_in_one_run(host: str, codes: list[str]) -> None:
    diagnosis = diagnose(simulate(scenario(host), PROGRAMS), PROGRAMS)
    causes = [f for f in diagnosis.findings if f.severity == "error"]
    assert [f.code for f in causes] == codes
    assert all(f.fixes[0].verified for f in causes)


def test_the_smallest_fix_works_on_both_hosts() -> None:
    fix = find_fix((scenario("eks-al2-2021"), scenario("eks-al2-535")), PROGRAMS)
    assert fix is not None
    kinds = sorted((type(c), getattr(c, "name", "")) for c in fix.changes if isinstance(c, SetEnv))
    assert [name for _, name in kinds] == ["LD_LIBRARY_PATH", "NVIDIA_DRIVER_CAPABILITIES"]
    assert [c.path for c in fix.changes if isinstance(c, AddLink)] == ["/lib64/ld-linux-x86-64.so.2"]


def test_the_linkers_symlink_alone_helps_nvidia_smi_but_not_cuda() -> None:
    link = AddLink(
        "/lib64/ld-linux-x86-64.so.2",
        "/nix/store/00000000000000000000000000000001-glibc-2.38/lib/ld-linux-x86-64.so.2",
    )
    result = simulate(link.apply(scenario("eks-al2-535")), PROGRAMS)
    assert [c.verdict for c in result.checks] == ["ok"]
    assert result.verdict == "fails"


def test_the_same_input_gives_the_same_bytes() -> None:
    arguments = [
        "run",
        "--format",
        "json",
        "--host",
        "eks-al2-535",
        "-e",
        "NVIDIA_VISIBLE_DEVICES=all",
        "example:nix-torch",
    ]
    first, second = nvsim(*arguments), nvsim(*arguments)
    assert first.status == second.status == 1
    assert first.out == second.out
    assert str(Path.cwd()) not in first.out


def test_the_readme_shows_what_the_program_prints() -> None:
    block = re.search(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    session = re.findall(r"\$ nvsim (.*?)\n(.*?)(?=\$ nvsim |\Z)", block[1], re.DOTALL)
    assert len(session) == 2
    for command, printed in session:
        assert nvsim(*command.split()).out == printed


def test_the_demo_tells_the_story_in_four_parts() -> None:
    story = nvsim("demo").out
    parts = re.split(r"^\(\d\) ", story, flags=re.MULTILINE)[1:]
    assert len(parts) == 4
    assert all(code in parts[0] for code in ("NVS101", "NVS301", "NVS401"))
    assert "Gone in B\n  - NVS101" in parts[1]
    assert "3 changes make everything work" in parts[2]
    assert "✓ nvidia-smi" in parts[3] and "✗ python3 (PyTorch)" in parts[3]
