"""CPUs by name."""

from __future__ import annotations

import pytest

from nvsim.errors import InputError
from nvsim.loader.cpu import INSTANCES, parse_cpu
from nvsim.loader.native import native_machine


@pytest.mark.parametrize(
    ("text", "level", "platform"),
    [
        ("x86-64", 1, "x86_64"),
        ("x86-64-v2", 2, "x86_64"),
        ("x86-64-v3", 3, "haswell"),
        ("X86-64-V4", 4, "haswell"),
        ("arm64", 1, "aarch64"),
        ("p3.2xlarge", 3, "haswell"),
        ("g5.xlarge", 3, "x86_64"),
        ("g4dn", 4, "haswell"),
        ("g5g.xlarge", 1, "aarch64"),
        ("a2-highgpu-1g", 4, "haswell"),
        ("p6-b200.48xlarge", 4, "haswell"),
        ("nc_t4_v3", 3, "x86_64"),
    ],
)
def test_a_cpu_by_name(text: str, level: int, platform: str) -> None:
    cpu = parse_cpu(text)
    assert (cpu.isa_level, cpu.platform) == (level, platform)


def test_native_is_this_machine() -> None:
    assert parse_cpu("native") == native_machine().cpu


def test_avx512_names_go_with_level_four() -> None:
    assert {("avx512_1" in cpu.hwcaps) for cpu in INSTANCES.values() if cpu.isa_level == 4} == {True}
    assert not any("avx512_1" in cpu.hwcaps for cpu in INSTANCES.values() if cpu.isa_level < 4)


@pytest.mark.parametrize("text", ["x86-64-v5", "", "skylake", "x86"])
def test_an_unknown_cpu_is_one_clear_line(text: str) -> None:
    with pytest.raises(InputError, match="unknown CPU"):
        parse_cpu(text)
