"""Stage 1 of the engine: a service process goes into the driver root, loads NVML there and initialises it.

Source: libnvidia-container ``src/nvc.c``, ``src/rpc.c``, ``src/driver.c``, ``src/dxcore.c``. How a library is found is the loader's
alone (`nvsim.loader.process`).
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.host.profile import HostProfile
from nvsim.inject.dxcore import reported_stores
from nvsim.inject.host_view import host_view
from nvsim.inject.legacy.accounts import UNPRIVILEGED
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.paths import EngineFailure, Root, failure, lower_last
from nvsim.loader.execve import ExecImage
from nvsim.loader.identify import loader_facts
from nvsim.loader.outcome import DlopenCall, Machine
from nvsim.loader.process import host_session
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver, resolve
from nvsim.rootfs.tree import Tree, parent_of

NVML = "libnvidia-ml.so.1"
DXCORE = "libdxcore.so"
_DRIVER_STORES = "/usr/lib/wsl/drivers"
# nvmlErrorString
_NVML_TEXT = {
    1: "Uninitialized",
    2: "Invalid Argument",
    3: "Not Supported",
    4: "Insufficient Permissions",
    5: "Already Initialized",
    6: "Not Found",
    7: "Insufficient Size",
    8: "Insufficient External Power",
    9: "Driver Not Loaded",
    10: "Timeout",
    11: "Interrupt Request Issue",
    12: "NVML Shared Library Not Found",
    13: "Function Not Found",
    14: "Corrupted infoROM",
    15: "GPU is lost",
    16: "GPU requires reset",
    17: "GPU access blocked by the operating system",
    18: "Driver/library version mismatch",
    19: "In use by another client",
    20: "Insufficient Memory",
    21: "No data",
    999: "Unknown Error",
}
_NOT_LOADED = 9
_INTERP = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
_DIRECTORIES = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_BROUGHT = "/outside"  # stands for the files of the outer system that the process has mapped already
_PRELOADED = (
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "libm.so.6",
    "librt.so.1",
)


def wsl_stores(host: HostProfile, engine: Engine, env: Mapping[str, str]) -> tuple[str, ...]:
    """The driver stores of the WDDM adapters (DXCore); () when the host is not WSL, which is: libdxcore.so cannot be loaded there.

    An adapter counts when its store holds a file of NVIDIA's driver. Raises `EngineFailure` when none does.
    """
    root = Root(host_view(host), "/")
    if dlopen_in_root(host, root, DXCORE, env, (0, 0)) is not None:
        return ()
    told = reported_stores(host)
    if told is None:
        told = tuple(f"{_DRIVER_STORES}/{name}" for name in root.tree.names(_DRIVER_STORES))
    resolver = Resolver(root.tree)

    def counts(store: str) -> bool:
        return any(isinstance(resolver.resolve(f"{store}/{file}"), Resolved) for file in engine.driver_store())

    stores = tuple(store for store in told if counts(store))
    if not stores:
        raise EngineFailure("WSL environment detected but no adapters were found")
    return stores


def start_nvml(
    host: HostProfile, root: Root, env: Mapping[str, str], stores: tuple[str, ...], user: tuple[int, int] = UNPRIVILEGED
) -> None:
    """Load and initialise NVML as `user` (uid, gid). Raises `EngineFailure` with the text behind "initialization error: "."""
    if not isinstance(root.node("/"), Directory):
        found = resolve(root.tree, root.shown)
        raise failure("change root failed", found.errno if isinstance(found, PathError) else "ENOTDIR")
    name = f"{stores[0]}/{NVML}" if stores else NVML
    error = dlopen_in_root(host, root, name, env, user)
    if error is not None:
        raise EngineFailure(lower_last(f"load library failed: {error}"))
    code = host.driver.nvml_init
    if code == 0 and host.driver.kernel_module is None and not stores:
        code = _NOT_LOADED
    if code != 0:
        raise EngineFailure(lower_last(f"nvml error: {_NVML_TEXT.get(code, 'unknown error')}"))


def dlopen_in_root(
    host: HostProfile, root: Root, name: str, env: Mapping[str, str], user: tuple[int, int]
) -> str | None:
    """dlopen `name` in a process of the host that has gone into `root` as `user`; dlerror's text, None when it loads.

    The C library of the outer system came along: its libraries are in the process before the change of root.
    """
    view = root.tree
    loader, directory = process_loader(host, view)
    editor = RootFS(root).edit()
    resolver = Resolver(view)
    brought = []
    for soname in _PRELOADED:
        found = next((f for d in directory if isinstance(f := resolver.resolve(f"{d}/{soname}"), Resolved)), None)
        if found is not None and isinstance(found.node, File):
            editor.put(f"{_BROUGHT}/{soname}", found.node)
            brought.append(f"{_BROUGHT}/{soname}")
    machine = Machine(host.cpu, host.kernel)
    session = host_session(editor.freeze(), loader, tuple(env.items()), machine, uid=user[0], gid=user[1])
    for path in brought:
        session.dlopen(DlopenCall(path))
    result = session.dlopen(DlopenCall(name))
    return None if result.ok else result.error


def process_loader(host: HostProfile, view: Tree) -> tuple[LoaderFacts, tuple[str, ...]]:
    """The dynamic loader that the engine's own process runs with, and where the C library that belongs to it may lie."""
    libc = host.os.get("libc")
    told = libc.get("interp") if isinstance(libc, Mapping) else None
    interp = str(told or _INTERP.get(host.cpu.machine, _INTERP["x86_64"]))
    found = Resolver(view).resolve(interp)
    if isinstance(found, Resolved) and isinstance(found.node, File):
        image = ExecImage("", "", found.node, ElfFacts(), (), "/", 0, 0, False, interp, found.path, found.node)
        facts = loader_facts(view, image)
        if isinstance(facts, LoaderFacts) and facts.libc == "glibc":
            return facts, (parent_of(found.path), *facts.system_dirs)
    assumed = f"no dynamic loader was found at {interp}: nvidia-container-cli is taken to run with glibc 2.36"
    return LoaderFacts("glibc", "2.36", _DIRECTORIES, assumed=(assumed,)), _DIRECTORIES
