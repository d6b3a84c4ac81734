"""Where a library is: in the container (injected or from the image), or only on the host. Pure look-ups, no judgement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsim.frozen import frozen
from nvsim.rootfs.node import Directory, File, Symlink
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import parent_of

if TYPE_CHECKING:
    from nvsim.host.profile import HostProfile
    from nvsim.inject.plan import Injected, InjectionPlan, Skipped
    from nvsim.rootfs.overlay import RootFS
    from nvsim.toolkit.request import Because

# where images keep libraries; a library elsewhere is found only when it was injected or lies beside a loaded object
LIBRARY_DIRS = (
    "/lib",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib32",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/nvidia/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/compat",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
)

# where hosts whose libraries are in no cache keep the driver's
HOST_DIRS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib/aarch64-linux-gnu",
    "/home/kubernetes/bin/nvidia/lib64",
    "/var/lib/nvidia/lib64",
    "/usr/local/glibc/usr/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
    "/usr/lib/wsl/lib",
)

_DRIVER = re.compile(
    r"lib(nvidia-|cuda\.so|cudadebugger|nvcuvid|nvoptix|vdpau_nvidia|GLX_nvidia|GLX_indirect|EGL_nvidia|GLESv[12]\w*_nvidia|dxcore|nvrm|nvdla)"
)


@frozen
class Place:
    """A file in the container that bears a library's name. `by`: who put it there; `usable`: 64-bit ELF of some size."""

    path: str
    by: str
    usable: bool


@frozen
class HostCopy:
    """A library of the host: its cache entry's path, and the file that the path leads to."""

    path: str
    real: str


def base_name(path: str) -> str:
    """The last component of a path."""
    return path.rpartition("/")[2]


def in_container(rootfs: RootFS, name: str, beside: tuple[tuple[str, str], ...] = ()) -> tuple[Place, ...]:
    """The places where a file `name` exists and leads to a regular file, injected ones first; also beside the files of `beside`."""
    resolver = Resolver(rootfs)
    paths = [p for p in rootfs.changed_paths() if base_name(p) == name]
    directories = dict.fromkeys([*_injected_directories(rootfs), *LIBRARY_DIRS, *(parent_of(p) for p, _ in beside)])
    paths += [f"{d}/{name}" for d in directories]
    places: dict[str, Place] = {}
    for path in paths:
        at = resolver.resolve(path)
        directory = resolver.resolve(parent_of(path))
        if isinstance(at, Resolved) and isinstance(at.node, File) and isinstance(directory, Resolved):
            key = f"{directory.path}/{name}"
            node = rootfs.node(key)
            origin = node.origin if isinstance(node, File | Symlink) else at.node.origin
            elf = at.node.facts.elf
            places.setdefault(
                key, Place(path, str(origin), elf is not None and elf.elf_class == 64 and at.node.size > 0)
            )
    return tuple(places.values())


def _injected_directories(rootfs: RootFS) -> list[str]:
    return [m.dst for m in rootfs.mounts if m.fstype == "bind" and isinstance(rootfs.node(m.dst), Directory)]


def versioned_in_container(rootfs: RootFS, name: str) -> tuple[str, ...]:
    """Injected files whose name begins with the library's name up to ``.so`` and a dot, such as libcuda.so.535.309.01."""
    stem = name.partition(".so")[0] + ".so."
    resolver = Resolver(rootfs)
    found = []
    for path in rootfs.changed_paths():
        if base_name(path).startswith(stem) and base_name(path) != name:
            at = resolver.resolve(path)
            if isinstance(at, Resolved) and isinstance(at.node, File) and at.node.size > 0:
                found.append(path)
    return tuple(found)


def on_host(host: HostProfile, name: str) -> HostCopy | None:
    """The host's own copy of a library: by the driver root's ld.so.cache, else in the usual directories below that root."""
    root = host.driver.root.rstrip("/")
    resolver = Resolver(host.tree)
    paths = [*_cached_paths(resolver, root, base_name(name)), *(f"{root}{d}/{base_name(name)}" for d in HOST_DIRS)]
    for path in paths:
        at = resolver.resolve(path)
        if isinstance(at, Resolved):
            return HostCopy(path, at.path)
    return None


def _cached_paths(resolver: Resolver, root: str, name: str) -> list[str]:
    """What the host's ld.so.cache says of a 64-bit library."""
    at = resolver.resolve(f"{root}/etc/ld.so.cache")
    if not isinstance(at, Resolved) or not isinstance(at.node, File) or at.node.facts.ldcache is None:
        return []
    entries = at.node.facts.ldcache.entries
    return [root + e.path for e in entries if e.name == name and e.flags & 0xFF00 in (0x0300, 0x0A00)]


def is_driver_library(name: str) -> bool:
    """Whether a library is one of the driver's by its name, and so the toolkit's to bring."""
    return _DRIVER.match(name) is not None


def host_names(host: HostProfile) -> frozenset[str]:
    """The names of the libraries in the driver root's ld.so.cache."""
    at = Resolver(host.tree).resolve(f"{host.driver.root.rstrip('/')}/etc/ld.so.cache")
    if not isinstance(at, Resolved) or not isinstance(at.node, File) or at.node.facts.ldcache is None:
        return frozenset()
    return frozenset(e.name for e in at.node.facts.ldcache.entries)


def skipped_because(plan: InjectionPlan | None, copy: HostCopy) -> Skipped | None:
    """The plan's word on why the host's file was left out: on that very file, else on one of its name."""
    skipped = plan.skipped if plan else ()
    exact = next((item for item in skipped if item.what in (copy.real, copy.path)), None)
    return exact or next((item for item in skipped if base_name(item.what) == base_name(copy.real)), None)


def sentences(because: tuple[Because, ...]) -> tuple[str, ...]:
    """The reasons as lines of evidence: the input, and what it decided."""
    return tuple(
        b.text if not b.input or b.text.startswith(b.input.split()[-1]) else f"{b.input}: {b.text}" for b in because
    )


def injected_paths(injected: Injected | None, *kinds: str) -> frozenset[str]:
    """Paths of the effects of some `kinds` (default: everything that was mounted or linked)."""
    return (
        frozenset(e.path for e in injected.effects if e.kind in (kinds or ("mount", "symlink")))
        if injected
        else frozenset()
    )


def bin_directories(rootfs: RootFS) -> tuple[str, ...]:
    """Where programs lie: directories of injected programs, and the usual ones."""
    injected = (parent_of(p) for p in rootfs.changed_paths() if parent_of(p).endswith("/bin"))
    mounted = (d for d in _injected_directories(rootfs) if d.endswith("/bin"))
    below = (f"{d}/bin" for d in _injected_directories(rootfs) if isinstance(rootfs.node(f"{d}/bin"), Directory))
    return tuple(
        dict.fromkeys(
            [*injected, *mounted, *below, "/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin", "/bin", "/usr/sbin"]
        )
    )
