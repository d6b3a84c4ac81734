"""Every dynamic program of this machine: what nvsim loads against what the machine's own loader lists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nvsim.loader.native import native_machine, x86_cpu
from nvsim.loader.outcome import Machine, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import File

_LINE = re.compile(r"\t(?:\S+ => )?(\S+) \(0x")
ENV = (("PATH", "/usr/bin:/bin"),)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the loader of a Linux machine")


def programs() -> list[str]:
    """The real paths of every regular file of /usr/bin and /usr/sbin, each once."""
    found = set()
    for directory in ("/usr/bin", "/usr/sbin"):
        if os.path.isdir(directory):
            found.update(os.path.realpath(e.path) for e in os.scandir(directory))
    return sorted(p for p in found if os.path.isfile(p))


def listed(interpreter: str, program: str) -> tuple[bool, list[str]]:
    """Whether ``ld.so --list PROGRAM`` succeeds, and the paths that it lists, without the vdso."""
    done = subprocess.run(
        [interpreter, "--list", program], capture_output=True, text=True, env=dict(ENV), check=False, timeout=30
    )
    paths = [match[1] for match in map(_LINE.match, done.stdout.splitlines()) if match]
    return done.returncode == 0, [p for p in paths if "linux-vdso" not in p]


def differences(tree: DirectoryTree, machine: Machine) -> tuple[int, list[str]]:
    """How many programs were compared, and what differs, one line a program."""
    compared, differ = 0, []
    for path in programs():
        node = tree.node(path)
        if not isinstance(node, File) or node.facts.elf is None or node.facts.elf.interp is None:
            continue
        if not Path(node.facts.elf.interp).exists():
            continue
        outcome = run(tree, ProcessRequest(path, (path,), ENV), machine)
        ok, real = listed(node.facts.elf.interp, path)
        interp = node.facts.elf.interp  # run by name it is itself the first object: its place in the list differs
        ours = [o.path for o in outcome.objects]
        same = [p for p in ours if p != interp] == [p for p in real if p != interp] and (interp in ours) == (
            interp in real
        )
        compared += 1
        if ok != outcome.started or not same:
            differ.append(f"{path}: {outcome.stderr or ours} instead of {real}")
    return compared, differ


def test_every_program_of_this_machine_loads_what_the_loader_lists() -> None:
    tree = DirectoryTree("/")
    compared, differ = differences(tree, native_machine())
    assert not differ, "\n".join(differ[:20])
    assert compared > 50
    tree.verify()


def test_isa_level_from_cpu_flags() -> None:
    v2 = "cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2"
    v3 = v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe"
    assert x86_cpu([]).isa_level == 1
    assert (x86_cpu(v2.split()).isa_level, x86_cpu(v2.split()).platform) == (2, "x86_64")
    assert (x86_cpu(v3.split()).isa_level, x86_cpu(v3.split()).platform) == (3, "haswell")
    without_one = [f for f in (v3 + " avx512f avx512bw avx512cd avx512dq").split() if f != "fma"]
    assert (x86_cpu(without_one).isa_level, x86_cpu(without_one).platform) == (2, "x86_64")
    v4 = x86_cpu((v3 + " avx512f avx512bw avx512cd avx512dq avx512vl").split())
    assert (v4.isa_level, v4.hwcaps) == (4, ("avx512_1", "x86_64"))


def test_only_intel_cpus_have_a_platform_of_their_own() -> None:
    v4 = "cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2 avx avx2 bmi1 bmi2 f16c fma abm movbe avx512f avx512bw avx512cd avx512dq avx512vl"
    cpu = x86_cpu(v4.split(), "AuthenticAMD")
    assert (cpu.isa_level, cpu.platform, cpu.hwcaps) == (4, "x86_64", ("x86_64",))
