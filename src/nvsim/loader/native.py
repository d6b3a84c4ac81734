"""The machine that nvsim runs on, as a `Machine`: for ``--cpu native`` and for comparisons with the machine's own loader.

Read from /proc/cpuinfo and uname; the ISA levels are those of the x86-64 psABI (glibc ``sysdeps/x86/get-isa-level.h``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from nvsim.loader.outcome import Cpu, Machine

# Names of /proc/cpuinfo that each level needs beyond the one below it (abm = LZCNT, pni = SSE3).
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"),
    ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"),
    ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
)
# What glibc's init_cpu_features asks for before it calls the platform "haswell" or "xeon_phi", and for the legacy hwcap avx512_1.
# It asks on Intel CPUs only: elsewhere the platform is the kernel's (x86_64), whatever the CPU can do.
_ASKED_VENDOR = "GenuineIntel"
_HASWELL = ("avx2", "bmi1", "bmi2", "abm", "movbe", "popcnt", "fma")
_AVX512_1 = ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")
_XEON_PHI = ("avx512f", "avx512cd", "avx512er", "avx512pf")


def x86_cpu(flags: Iterable[str], vendor: str = _ASKED_VENDOR) -> Cpu:
    """The CPU with these feature flags and this vendor_id, named as in /proc/cpuinfo."""
    have = set(flags)
    level = 1
    for needed in _LEVELS:
        if not have.issuperset(needed):
            break
        level += 1
    hwcaps = ["x86_64"]
    platform = "x86_64"
    if vendor == _ASKED_VENDOR:
        if have.issuperset(_XEON_PHI):
            platform = "xeon_phi"
        elif have.issuperset(_HASWELL):
            platform = "haswell"
        if have.issuperset(_AVX512_1):
            hwcaps.insert(0, "avx512_1")
    return Cpu(level, platform, tuple(hwcaps))


def native_machine(cpuinfo: str = "/proc/cpuinfo") -> Machine:
    """The machine that this process runs on. Where its CPU flags cannot be read, plain x86-64 is taken."""
    system = os.uname()
    if system.machine not in ("x86_64", "i686"):
        return Machine(Cpu(1, system.machine, (), system.machine), system.release)
    flags: list[str] = []
    vendor = _ASKED_VENDOR
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("vendor_id"):
                    vendor = line.partition(":")[2].strip()
                elif line.startswith("flags"):
                    flags = line.partition(":")[2].split()
                    break
    except OSError:
        pass
    return Machine(x86_cpu(flags, vendor), system.release)
