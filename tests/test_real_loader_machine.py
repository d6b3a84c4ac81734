"""Every dynamic program of this machine: what nvsim loads against what the machine's own loader lists."""

from __future__ import annotations

import re
import sys

import pytest

from fuzz.corpus import ENV, Listing, listings
from nvsim.loader.native import native_machine, x86_cpu
from nvsim.loader.outcome import ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.directory import DirectoryTree

_LINE = re.compile(r"\t(?:\S+ => )?(\S+)")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the loader of a Linux machine")


def test_every_program_of_this_machine_loads_what_the_loader_lists() -> None:
    tree, machine = DirectoryTree("/"), native_machine()
    differ, compared = [], 0
    for each in listings("/", tree, ("/usr/bin", "/usr/sbin"), machine):
        compared += 1
        if each.ours != each.real:
            differ.append(f"{each.path}: {each.ours} instead of {each.real}")
        if not isinstance(each.ours, Listing) or each.ours.status:
            continue
        started = run(tree, ProcessRequest(each.path, (each.path,), ENV), machine)
        listed = [match[1] for match in map(_LINE.match, each.real.stdout.splitlines()) if match]
        if started.interpreter == each.loader and [o.path for o in started.objects] != listed:
            differ.append(f"{each.path}: started it loads {[o.path for o in started.objects]}, listed {listed}")
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
