"""The seed story through the whole pipeline, and the README's session as the program really prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from nvsim.cli.main import cli
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
    assert [f.code for f in diagnosis.findings] == codes
    assert all(f.fixes[0].verified for f in diagnosis.findings)


def test_the_smallest_fix_works_on_both_hosts() -> None:
    fix = find_fix((scenario("eks-al2-2021"), scenario("eks-al2-535")), PROGRAMS)
    assert fix is not None
    kinds = sorted((type(c), getattr(c, "name", "")) for c in fix.changes if isinstance(c, SetEnv))
    assert [name for _, name in kinds] == ["LD_LIBRARY_PATH", "NVIDIA_DRIVER_CAPABILITIES"]
    assert [c.path for c in fix.changes if isinstance(c, AddLink)] == ["/lib64/ld-linux-x86-64.so.2"]


def test_the_linkers_symlink_alone_helps_nvidia_smi_but_not_cuda() -> None:
    from nvsim.scenario.changes import apply_change

    link = AddLink(
        "/lib64/ld-linux-x86-64.so.2",
        "/nix/store/00000000000000000000000000000001-glibc-2.38/lib/ld-linux-x86-64.so.2",
    )
    result = simulate(apply_change(scenario("eks-al2-535"), link), PROGRAMS)
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
    first, second = (CliRunner().invoke(cli, arguments) for _ in range(2))
    assert first.exit_code == second.exit_code == 1
    assert first.output == second.output


def test_the_readme_shows_what_the_program_prints() -> None:
    block = re.search(r"```console\n\$ nvsim (.*?)\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    result = CliRunner().invoke(cli, block[1].split())
    assert result.output == block[2]


def test_an_unknown_host_is_one_line_and_status_2(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "nvsim", "run", "--host", "eks-al2-536", "example:nix-torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "eks-al2-535" in done.stderr
