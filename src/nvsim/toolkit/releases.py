"""What differs between toolkit releases, in one table (nvidia-container-toolkit CHANGELOG and sources, 1.0 to 1.20)."""

from __future__ import annotations

from attrs import frozen


@frozen(slots=True)
class Release:
    """The rules of one release.

    `default_capabilities`: when NVIDIA_DRIVER_CAPABILITIES is unset. `sorted_capabilities`: flags are sorted and blanks trimmed (1.14).
    `compat_flag`: the argument about CUDA compat libraries. `always_ldconfig`: --ldconfig is passed without configuration (1.14).
    `jit_cdi`: the runtime's automatic mode is jit-cdi (1.18). `engine`: the generation of libnvidia-container.
    """

    version: tuple[int, ...]
    default_capabilities: tuple[str, ...]
    sorted_capabilities: bool
    compat_flag: str | None
    always_ldconfig: bool
    jit_cdi: bool
    engine: str
    assumptions: tuple[str, ...] = ()


def release_of(text: str) -> Release:
    """The rules of a version such as "1.17.8"; what has no number counts as 0."""
    parts = [
        int("".join(c for c in p if c.isdigit()) or 0) for p in text.partition("+")[0].split("-")[0].split(".")[:3]
    ]
    v = (*parts, 0, 0, 0)[:3]
    compat = None
    if v >= (1, 17, 7):
        compat = "--cuda-compat-mode=ldconfig"
    elif v >= (1, 17, 4):
        compat = "--no-cntlibs"
    assumptions = []
    if v < (1, 10, 0):
        assumptions.append(f"toolkit {text} is modelled as 1.10 with its own default capabilities")
    return Release(
        v,
        ("utility",) if v < (1, 4, 0) else ("utility", "compute"),
        v >= (1, 14, 0),
        compat,
        v >= (1, 14, 1),
        v >= (1, 18, 0),
        "1.17.7-equivalent" if v >= (1, 16, 2) else "1.12.1",
        tuple(assumptions),
    )
