"""Stage 1 of the engine: a service process goes into the driver root, loads NVML there and initialises it.

Source: libnvidia-container ``src/nvc.c``, ``src/rpc.c``, ``src/driver.c``, ``src/dxcore.c``. How a library is found is the loader's
alone (`nvsim.loader.process`).
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.host.profile import HostProfile
from nvsim.inject.legacy_engine import Engine
from nvsim.inject.legacy_paths import EngineFailure, Root, failure, lower_last
from nvsim.rootfs.node import Directory, Special
from nvsim.rootfs.tree import Tree

NVML = "libnvidia-ml.so.1"
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


def wsl_stores(host: HostProfile, view: Tree, engine: Engine) -> tuple[str, ...]:
    """The driver stores of the WDDM adapters (DXCore); () when the host is not WSL.

    A profile may name them (``dxcore_driver_store_paths``); else every directory of the drivers' place that holds a file of the
    driver store stands for one adapter.
    """
    if not isinstance(view.node("/dev/dxg"), Special):
        return ()
    named = host.data.get("dxcore_driver_store_paths")
    if isinstance(named, list):
        return tuple(str(p) for p in named)
    stores = [f"{_DRIVER_STORES}/{name}" for name in view.names(_DRIVER_STORES)]
    return tuple(s for s in stores if any(view.node(f"{s}/{f}") is not None for f in engine.driver_store()))


def start_nvml(host: HostProfile, root: Root, env: Mapping[str, str], stores: tuple[str, ...]) -> None:
    """Load and initialise NVML. Raises `EngineFailure` with the text behind "initialization error: "."""
    start = root.node("/")
    if not isinstance(start, Directory):
        raise failure("change root failed", "ENOENT" if start is None else "ENOTDIR")
    name = f"{stores[0]}/{NVML}" if stores else NVML
    error = dlopen_in_root(host, root, name, env)
    if error is not None:
        raise EngineFailure(lower_last(f"load library failed: {error}"))
    code = host.driver.nvml_init
    if code == 0 and host.driver.kernel_module is None and not stores:
        code = _NOT_LOADED
    if code != 0:
        raise EngineFailure(lower_last(f"nvml error: {_NVML_TEXT.get(code, 'unknown error')}"))


def dlopen_in_root(host: HostProfile, root: Root, name: str, env: Mapping[str, str]) -> str | None:
    """dlopen `name` in a process of the host that has gone into `root`; dlerror's text, None when it loads."""
    cache = root.node(root.resolve("/etc/ld.so.cache"))
    paths = [name] if "/" in name else []
    facts = getattr(cache, "facts", None)
    if facts is not None and facts.ldcache is not None and not paths:
        paths = [e.path for e in facts.ldcache.entries if e.name == name]
    paths += [f"{d}/{name}" for d in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib")]
    if any(root.exists(root.resolve(p)) for p in paths):
        return None
    return f"{name}: cannot open shared object file: No such file or directory"
