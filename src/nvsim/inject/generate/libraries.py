"""Discoverers of driver files: libraries and their links, IPC sockets, firmware, programs (toolkit: ``pkg/nvcdi/driver-nvml.go``)."""

from __future__ import annotations

import posixpath

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import Discoverer, Found, HookCreator, find, hook, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import go_match, join_path
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import File, Symlink
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.request import Because

# libraries without the version in their name, mounted only on request (feature flag enable-explicit-driver-libraries)
EXPLICIT_LIBRARIES = (
    "libEGL.so",
    "libGL.so",
    "libGLESv1_CM.so",
    "libGLESv2.so",
    "libGLX.so",
    "libGLdispatch.so",
    "libOpenCL.so",
    "libOpenGL.so",
    "libnvidia-api.so",
    "libnvidia-egl-xcb.so",
    "libnvidia-egl-xlib.so",
)
PROGRAMS = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
)
IPC_OPTIONS = ("nosuid", "nodev", "rbind", "rprivate", "noexec")
_ELF_IDENT = 16  # bytes that are read before anything is looked at
FIRMWARE_PATH_PARAMETER = "/sys/module/firmware_class/parameters/path"


def driver_files(driver: Driver, creator: HookCreator, features: frozenset[str]) -> Discoverer:
    """Everything of the driver that is common to all GPUs. Raises `ToolFailure` when its version or directories are unknown."""
    failure = None
    version = ""
    try:
        version = driver.version()
    except ToolFailure as e:
        failure = e.text
    if failure is not None or version in ("", "*.*"):
        raise ToolFailure(f"failed to determine driver version ({go_quote(version)}): {failure or '%!w(<nil>)'}")
    try:
        libraries = library_discoverer(driver, creator, version, features)
    except ToolFailure as e:
        raise e.within("failed to create discoverer for driver libraries") from None
    ipc = None if "disable-ipc-discoverer" in features else _ipc(driver)
    return merge(libraries, ipc, _firmware(driver, version), _programs(driver))


def library_discoverer(driver: Driver, creator: HookCreator, version: str, features: frozenset[str]) -> Discoverer:
    """The driver libraries of `version`, their links, and the hooks that make them usable. Raises `ToolFailure`."""
    parts = [_versioned(driver, version)]
    located = driver.driver_libraries()
    parts.append(mounts(driver.log, located, driver.root, ("libnvidia-nvvm70.so.*",), "NVVM library"))
    if "enable-explicit-driver-libraries" in features:
        parts.append(mounts(driver.log, located, driver.root, EXPLICIT_LIBRARIES, "explicitly enabled library"))
    libraries = merge(*parts)
    dirs = ":".join(driver.library_dirs())
    told = (Because("host driver.version", f"the driver of the host has version {version}"),)
    return merge(
        with_library_links(driver.host, driver.log, creator, libraries),
        hook(creator, "enable-cuda-compat", *_version_argument(version), because=told),
        ldcache_hook(creator, libraries),
        hook(creator, "disable-device-node-modification"),
        Discoverer(env=lambda: (f"NVIDIA_CTK_LIBCUDA_DIR={dirs}",) if "libcuda-dir" in driver.parts else ()),
    )


def _version_argument(version: str) -> tuple[str, ...]:
    return () if "*" in version else (f"--host-driver-version={version}",)


def _versioned(driver: Driver, version: str) -> Discoverer:
    """The libraries whose name ends in the driver version, located again as plain files below the root."""
    driver.log.info(f"Using driver version {version}")
    try:
        located = driver.driver_libraries("vdpau")(f"*.so.{version}")
    except ToolFailure as e:
        step = "failed to get driver library locator"
        if not e.text.startswith("failed to get libcuda.so"):
            step = f"failed to locate libraries for driver version {version}"
        raise e.within(step).within("failed to get libraries for driver version") from None
    wanted = [driver.relative(path) for path in located]
    return mounts(driver.log, driver.files(), driver.root, wanted, f"driver library of version {version}")


def with_library_links(host: CdiHost, log: ToolLog, creator: HookCreator, libraries: Discoverer) -> Discoverer:
    """`libraries` and a hook that makes the links which the host has beside them (soname, bare name, and three fixed ones)."""

    def hooks() -> tuple[CdiHook, ...]:
        links: dict[str, None] = {}
        by_path: dict[str, Found] = {}
        for mount in libraries.mounts():
            by_path.setdefault(mount.path, mount)
        for library in by_path.values():
            links.update(dict.fromkeys(_links_for(host.resolver, log, library)))
        because = (Because("host library links", "the host has these links beside its driver libraries"),)
        return (*libraries.hooks(), *(creator.create("create-symlinks", *links, because=because) if links else ()))

    return Discoverer(libraries.devices, libraries.env, libraries.mounts, hooks)


def _links_for(resolver: Resolver, log: ToolLog, library: Found) -> list[str]:
    directory, name = posixpath.split(library.path)
    links = []
    if go_match("libcuda.so.*.*", name):
        links.append(f"libcuda.so.1::{join_path(directory, 'libcuda.so')}")
    elif go_match("libGLX_nvidia.so.*.*", name):
        links.append(f"{name}::{join_path(directory, 'libGLX_indirect.so.0')}")
    elif go_match("libnvidia-opticalflow.so.*.*", name):
        links.append(f"libnvidia-opticalflow.so.1::{join_path(directory, 'libnvidia-opticalflow.so')}")
    if not go_match("*.*.*", name):
        return links
    try:
        soname = _soname(resolver, library.host_path)
    except ToolFailure as e:
        shown = f"{{HostPath:{library.host_path} Path:{library.path} Options:[{' '.join(library.options)}]}}"
        log.warning(f"Failed to get soname symlinks for {shown}: {e.text}")
        return links
    host_dir = posixpath.dirname(library.host_path)
    if soname not in ("", name) and _is_link(resolver, join_path(host_dir, soname)):
        links.append(f"{name}::{join_path(directory, soname)}")
    target = soname or name
    bare = _bare_name(target)
    if bare not in ("", target) and _is_link(resolver, join_path(host_dir, bare)):
        links.append(f"{target}::{join_path(directory, bare)}")
    return links


def _soname(resolver: Resolver, path: str) -> str:
    found = resolver.resolve(path)
    if not isinstance(found, Resolved) or not isinstance(found.node, File):
        raise ToolFailure(f"open {path}: no such file or directory")
    facts = found.node.facts
    if facts.elf is None:
        if found.node.size < _ELF_IDENT:
            raise ToolFailure("cannot read ELF identifier 'EOF' in record at byte 0x0")
        head = (facts.text or "").encode("utf-8", "surrogateescape")[:4] or (facts.head or b"")[:4]
        raise ToolFailure(f"bad magic number '[{' '.join(map(str, head))}]' in record at byte 0x0")
    return facts.elf.soname if facts.elf.soname is not None else posixpath.basename(path)


def _bare_name(soname: str) -> str:
    """`soname` cut back to what ends in ``.so``; "" when nothing does."""
    while True:
        dot = soname.rfind(".")
        if dot < 0:
            return ""
        if soname[dot:] == ".so":
            return soname
        soname = soname[:dot]


def _is_link(resolver: Resolver, path: str) -> bool:
    found = resolver.resolve(path, follow=False)
    return isinstance(found, Resolved) and isinstance(found.node, Symlink)


def ldcache_hook(creator: HookCreator, libraries: Discoverer) -> Discoverer:
    """A hook that adds the directories of mounted libraries to the container's library cache; none without such directories.

    Before toolkit 1.20 (`HookCreator.empty_ldcache`) the hook is there in any case.
    """

    def hooks() -> tuple[CdiHook, ...]:
        found = [m.path for m in libraries.mounts() if is_library_name(posixpath.basename(m.path))]
        folders = tuple(dict.fromkeys(posixpath.dirname(p) for p in found))
        because = (Because("host driver libraries", f"libraries are mounted in {', '.join(folders)}"),)
        return creator.create("update-ldcache", *folders, because=because) if folders or creator.empty_ldcache else ()

    return Discoverer(hooks=hooks)


def is_library_name(name: str) -> bool:
    """``lib?*.so*`` with nothing, or a dot, after the last ``.so``."""
    if not go_match("lib?*.so*", name):
        return False
    rest = name.rpartition(".so")[2]
    return not rest or rest.startswith(".")


def _ipc(driver: Driver) -> Discoverer:
    """Sockets of the persistence daemon and the fabric manager, and the MPS pipe where it is no directory (it usually is one)."""
    resolver = driver.host.resolver
    sockets = lookup.files(resolver, driver.root, ("/run", "/var/run"), count=1)
    pipes = lookup.files(resolver, driver.root, count=1)

    def found() -> tuple[Found, ...]:
        names = ("/nvidia-persistenced/socket", "/nvidia-fabricmanager/socket")
        return find(driver.log, sockets, driver.root, names, "daemon socket", IPC_OPTIONS) + find(
            driver.log, pipes, driver.root, ("/tmp/nvidia-mps",), "MPS pipe", IPC_OPTIONS
        )

    return Discoverer(mounts=found)


def _firmware(driver: Driver, version: str) -> Discoverer:
    """GSP firmware in the kernel's firmware directories."""
    host = driver.host
    search = []
    custom = host.text(FIRMWARE_PATH_PARAMETER)
    if custom is None:
        path = FIRMWARE_PATH_PARAMETER
        driver.log.warning(f"failed to get custom firmware class path: open {path}: no such file or directory")
    elif custom.strip():
        search.append(custom.strip())
    for base in ("/lib/firmware/updates", "/lib/firmware"):
        search += [join_path(base, host.kernel), base]
    locate = lookup.files(host.resolver, driver.root, search)
    return mounts(driver.log, locate, driver.root, (join_path("nvidia", version, "gsp*.bin"),), "GSP firmware")


def _programs(driver: Driver) -> Discoverer:
    return mounts(driver.log, driver.executables(), driver.root, PROGRAMS, "driver program on the PATH")
