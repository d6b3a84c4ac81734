"""Generations of libnvidia-container as data: which libraries and programs it knows, which options it has, how it creates targets.

One table says since which release a feature exists; everything else asks an `Engine`. What the features mean is in the modules that
use them. Source: libnvidia-container ``src/nvc_info.c``, ``src/options.h``, ``src/cli/*.c`` and its release notes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from nvsim.errors import InputError
from nvsim.frozen import frozen

# Feature -> the first release that has it, and the first that no longer has it (None: it stays).
_FEATURES: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
    "lib libnvidia-gpucomp.so": ((1, 14), None),
    "lib libnvidia-pkcs11-openssl3.so": ((1, 14), None),
    "lib libnvidia-tileiras.so": ((1, 19), None),
    "store libnvdxgdmal.so.1": ((1, 15), None),
    "store nvcubins.bin": ((1, 12), None),
    "every gsp*.bin": ((1, 12, 1), None),
    "keeps fitting targets": ((1, 12), None),
    "ldconfig is copied to memory": ((1, 17, 3), None),
    "option imex-channel": ((1, 16), None),
    "option no-create-imex-channels": ((1, 16), None),
    "option no-persistenced": ((1, 16, 2), None),
    "option no-fabricmanager": ((1, 16, 2), None),
    "option no-gsp-firmware": ((1, 16, 2), None),
    "option no-cntlibs": ((1, 17, 4), (1, 17, 7)),
    "option cuda-compat-mode": ((1, 17, 7), None),
    "follows links at targets": ((1, 16, 2), None),
    "checks the type of sources": ((1, 16, 2), None),
    "modeset node is optional": ((1, 16, 2), None),
    "cache limit 2 MiB": ((1, 17), None),
}

# The order of the groups is the order of the result; inside a group the order of the list.
LIBRARY_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("utility", ("libnvidia-ml.so", "libnvidia-cfg.so", "libnvidia-nscq.so")),
    (
        "compute",
        (
            "libcuda.so",
            "libcudadebugger.so",
            "libnvidia-opencl.so",
            "libnvidia-gpucomp.so",
            "libnvidia-ptxjitcompiler.so",
            "libnvidia-fatbinaryloader.so",
            "libnvidia-allocator.so",
            "libnvidia-compiler.so",
            "libnvidia-pkcs11.so",
            "libnvidia-pkcs11-openssl3.so",
            "libnvidia-nvvm.so",
            "libnvidia-gpucomp.so",
            "libnvidia-tileiras.so",
        ),
    ),
    ("ngx", ("libnvidia-ngx.so",)),
    ("video", ("libvdpau_nvidia.so", "libnvidia-encode.so", "libnvidia-opticalflow.so", "libnvcuvid.so")),
    (
        "graphics",
        (
            "libnvidia-eglcore.so",
            "libnvidia-glcore.so",
            "libnvidia-tls.so",
            "libnvidia-glsi.so",
            "libnvidia-fbc.so",
            "libnvidia-ifr.so",
            "libnvidia-rtcore.so",
            "libnvoptix.so",
            "libGLX_nvidia.so",
            "libEGL_nvidia.so",
            "libGLESv2_nvidia.so",
            "libGLESv1_CM_nvidia.so",
            "libnvidia-glvkspirv.so",
            "libnvidia-cbl.so",
        ),
    ),
)
# Allowed by --graphics although they are looked for only with a driver option that the command line does not have.
GLX_WITHOUT_GLVND = ("libGL.so", "libEGL.so", "libGLESv1_CM.so", "libGLESv2.so")
WSL_LIBRARIES = ("libdxcore.so",)
BINARY_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("utility", ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nv-fabricmanager")),
    ("compute", ("nvidia-cuda-mps-control", "nvidia-cuda-mps-server")),
)
# Which flags of the command line want the libraries (programs) of a group.
LIBRARY_FLAGS = {
    "utility": ("utility",),
    "compute": ("compute", "video"),
    "ngx": ("ngx",),
    "video": ("video",),
    "graphics": ("graphics", "display"),
}
BINARY_FLAGS = {"utility": ("utility",), "compute": ("compute",)}
DRIVER_STORE = (
    "libcuda.so.1.1",
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvdxgdmal.so.1",
    "nvidia-smi",
    "nvcubins.bin",
)


@frozen
class Engine:
    """One generation. `features` are the names of the table above that it has."""

    name: str
    features: frozenset[str]

    def has(self, feature: str) -> bool:
        """Whether the generation has a feature of the table."""
        assert feature in _FEATURES, feature
        return feature in self.features

    def has_option(self, name: str) -> bool:
        """Whether the command line knows the long option `name` (those that every release knows included)."""
        feature = f"option {name}"
        return feature not in _FEATURES or feature in self.features

    def libraries(self) -> tuple[tuple[str, str], ...]:
        """(group, name) of every library that is looked for, in order; a name may come twice."""
        return _libraries(self.features)

    def wanting_flags(self, name: str) -> tuple[str, ...] | None:
        """The flags of which one must be given for a file of this base name to be mounted; () = always, None = never."""
        return _wanting_flags(self.features, name)

    def driver_store(self) -> tuple[str, ...]:
        """The files of a WSL driver store that are mounted."""
        return tuple(n for n in DRIVER_STORE if f"store {n}" not in _FEATURES or f"store {n}" in self.features)

    @property
    def cache_limit(self) -> int:
        """The largest ld.so.cache in bytes that the ldconfig run may write (RLIMIT_FSIZE)."""
        return (2 if self.has("cache limit 2 MiB") else 1) * 1024 * 1024


@lru_cache(maxsize=64)
def _libraries(features: frozenset[str]) -> tuple[tuple[str, str], ...]:
    every = [(group, name) for group, names in LIBRARY_GROUPS for name in names]
    return tuple(x for x in every if f"lib {x[1]}" not in _FEATURES or f"lib {x[1]}" in features)


@lru_cache(maxsize=2048)
def _wanting_flags(features: frozenset[str], name: str) -> tuple[str, ...] | None:
    if name.startswith(WSL_LIBRARIES):
        return ()
    known = (*_libraries(features), *(("graphics", library) for library in GLX_WITHOUT_GLVND))
    flags: list[tuple[str, ...]] = [BINARY_FLAGS[group] for group, names in BINARY_GROUPS if name.startswith(names)]
    flags += [LIBRARY_FLAGS[group] for group, library in known if name.startswith(library)]
    return tuple(dict.fromkeys(f for some in flags for f in some)) or None


def engine_named(name: str) -> Engine:
    """The generation of a release ("1.12.1", "1.17.8"), or "1.17.7-equivalent": 1.17.7 with the library lists of 1.19.

    Raises `InputError` when `name` is no release.
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)(-equivalent)?", name)
    if match is None:
        raise InputError(f"{name!r} is no release of libnvidia-container", hint="such as 1.12.1 or 1.17.8")
    release = tuple(int(x) for x in match[1].split("."))
    names = (1, 19) if match[2] else release

    def known(feature: str) -> bool:
        since, until = _FEATURES[feature]
        at = names if feature.startswith(("lib ", "store ")) else release
        return at >= since and (until is None or at < until)

    return Engine(name, frozenset(f for f in _FEATURES if known(f)))
