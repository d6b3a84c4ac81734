"""CPUs by name: levels of the x86-64 psABI, the machine that nvsim runs on, and what cloud instances with GPUs have.

A `Cpu` is what loaders ask of it: the ISA level decides on glibc-hwcaps and on CPU checks, platform and hwcaps on ``$PLATFORM`` and on legacy
subdirectories. glibc names a platform "haswell" on Intel CPUs alone (``sysdeps/x86/cpu-features.c``), so an AMD machine with AVX2 has level 3
and platform "x86_64". Which CPU an instance has is from the providers' pages of instance types; a family with several is taken at its lowest.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.errors import InputError, did_you_mean
from nvsim.loader.outcome import Cpu

_INTEL_V3 = Cpu(3, "haswell", ("x86_64",))
_INTEL_V4 = Cpu(4, "haswell", ("avx512_1", "x86_64"))
_AMD_V3 = Cpu(3, "x86_64", ("x86_64",))
_ARM = Cpu(1, "aarch64", (), "aarch64")
LEVELS: Mapping[str, Cpu] = {
    "x86-64": Cpu(1, "x86_64", ("x86_64",)),
    "x86-64-v1": Cpu(1, "x86_64", ("x86_64",)),
    "x86-64-v2": Cpu(2, "x86_64", ("x86_64",)),
    "x86-64-v3": _INTEL_V3,
    "x86-64-v4": _INTEL_V4,
    "aarch64": _ARM,
    "arm64": _ARM,
}
INSTANCES: Mapping[str, Cpu] = {
    **dict.fromkeys(("p2", "p3", "g3", "g3s"), _INTEL_V3),  # Broadwell
    **dict.fromkeys(("p3dn", "g4dn", "p4d", "p4de", "p5en", "p6-b200"), _INTEL_V4),  # Skylake to Emerald Rapids
    **dict.fromkeys(
        ("g4ad", "g5", "p5", "p5e", "g6", "g6e", "gr6"), _AMD_V3
    ),  # AMD EPYC of the second and third generation
    "g5g": _ARM,  # Graviton 2
    "n1": _INTEL_V3,  # Haswell to Skylake
    **dict.fromkeys(("a2-highgpu", "a2-ultragpu", "g2-standard", "a3-highgpu", "a3-megagpu", "a3-ultragpu"), _INTEL_V4),
    **dict.fromkeys(("nc_t4_v3", "nc_a100_v4", "nv_a10_v5", "nd_a100_v4"), _AMD_V3),
    "nc_v3": _INTEL_V3,
    **dict.fromkeys(("nd_v2", "nd_h100_v5"), _INTEL_V4),
}


def parse_cpu(text: str) -> Cpu:
    """The CPU that `text` names: a level ("x86-64-v3"), "aarch64", an instance type ("g5", "g5.xlarge"), or "native".

    Raises `InputError` for anything else.
    """
    name = text.lower()
    if name == "native":
        from nvsim.loader.native import native_machine

        return native_machine().cpu
    known = LEVELS.get(name) or INSTANCES.get(name) or INSTANCES.get(name.partition(".")[0])
    if known is not None:
        return known
    family = next((i for i in sorted(INSTANCES, key=len, reverse=True) if "-" in i and name.startswith(f"{i}-")), None)
    if family is not None:
        return INSTANCES[family]
    hint = did_you_mean(text, [*LEVELS, "native", *INSTANCES])
    raise InputError(f"unknown CPU {text!r}", source="--cpu", hint=hint)
