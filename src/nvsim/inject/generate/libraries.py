"""Discoverers of driver files: libraries and their links, IPC sockets, firmware, programs (toolkit: ``pkg/nvcdi/driver-nvml.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.discover import IPC_OPTIONS, Discoverer, Found, HookCreator, find, hook, merge, mounts
from nvsim.inject.generate.driver import Driver
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
_ELF_IDENT = 16  # bytes that are read before anything is looked at
FIRMWARE_PATH_PARAMETER = "/sys/module/firmware_class/parameters/path"


def driver_files(driver: Driver, creator: HookCreator, features: frozenset[str]) -> Discoverer:
    """Everything of the driver that is common to all GPUs. Raises `ToolFailure` when its version or directories are unknown."""
    version = driver.known_version if driver.rules.driver_version == "nvml" else _version(driver)
    try:
        libraries = library_discoverer(driver, creator, version, features)
    except ToolFailure as e:
        raise e.within("failed to create discoverer for driver libraries") from None
    ipc = None if "disable-ipc-discoverer" in features else sockets(driver)
    before = driver.rules.sockets == "var-run"
    parts = (libraries, None if before else ipc, _firmware(driver, version), _programs(driver))
    return merge(*parts)


def _version(driver: Driver) -> str:
    """The driver's version. Raises `ToolFailure` when it is not known."""
    failure = None
    version = ""
    try:
        version = driver.version()
    except ToolFailure as e:
        failure = e.text
    if failure is not None or version in ("", "*.*"):
        raise ToolFailure(f"failed to determine driver version ({go_quote(version)}): {failure or '%!w(<nil>)'}")
    if not driver.search.every_directory:
        try:
            driver.library_dirs()
        except ToolFailure as e:
            raise e.within("failed to get libcuda.so parent path") from None
    return version


def library_discoverer(driver: Driver, creator: HookCreator, version: str, features: frozenset[str]) -> Discoverer:
    """The driver libraries of `version`, their links, and the hooks that make them usable. Raises `ToolFailure`."""
    rules = driver.rules
    parts = [_versioned(driver, version)]
    if rules.driver_libraries == "driver-directories-and-nvvm70":
        parts.append(
            mounts(driver.log, driver.driver_libraries(), driver.root, ("libnvidia-nvvm70.so.*",), "NVVM library")
        )
    if "enable-explicit-driver-libraries" in features:
        located = driver.driver_libraries()
        parts.append(mounts(driver.log, located, driver.root, EXPLICIT_LIBRARIES, "explicitly enabled library"))
    libraries = merge(*parts)
    env = (f"NVIDIA_CTK_LIBCUDA_DIR={':'.join(driver.library_dirs())}",) if rules.libcuda_directory else ()
    return merge(
        with_library_links(driver, creator, libraries, version),
        _compat_hook(driver, creator, version),
        ldcache_hook(creator, libraries),
        hook(creator, "disable-device-node-modification"),
        Discoverer(env=lambda: env),
    )


def _compat_hook(driver: Driver, creator: HookCreator, version: str) -> Discoverer | None:
    how = driver.rules.compat_hook
    if how == "none" or "enable-cuda-compat" in creator.disabled:
        return None
    if how == "libcuda":
        version = libcuda_version(driver)[1]
    told = (Because("host driver.version", f"the driver of the host has version {version}"),)
    args = () if "*" in version else (f"--host-driver-version={version}",)
    return hook(creator, "enable-cuda-compat", *args, because=told)


def libcuda_version(driver: Driver) -> tuple[str, str]:
    """The directory of libcuda, the root cut off, and the suffix of its name; "" and ``*.*``, and a warning, when there is none."""
    try:
        path = driver.libraries()("libcuda.so.*.*")[0]
    except ToolFailure as e:
        driver.log.warning(f"failed to locate libcuda.so: {e.text}; using *.*")
        return "", "*.*"
    directory, name = posixpath.split(path)
    return driver.relative(directory), name.removeprefix("libcuda.so.")


def _versioned(driver: Driver, version: str) -> Discoverer:
    """The libraries whose name ends in the driver version, located again as plain files below the root."""
    driver.log.info(f"Using driver version {version}")
    try:
        located = _LISTS[driver.rules.driver_libraries](driver, version)
    except ToolFailure as e:
        raise e.within("failed to get libraries for driver version") from None
    wanted = [driver.relative(path) for path in located]
    return mounts(driver.log, driver.files(), driver.root, wanted, f"driver library of version {version}")


def _cached(driver: Driver, version: str) -> tuple[str, ...]:
    """The files of the ld.so.cache whose name ends in the version, 64-bit ones first."""
    resolver, root = driver.host.resolver, driver.root
    try:
        cache = lookup.ldcache(resolver, root)
    except ToolFailure as e:
        raise e.within("failed to load ldcache") from None
    out = []
    for bits, flags in (("64", driver.rules.ldcache_architectures), ("32", lookup.CACHE_ARCHITECTURES_32)):
        entries = lookup.cached_entries(cache, flags)
        for path in lookup.cached_targets(resolver, root, entries, driver.rules.ldcache_links):
            if path.endswith(version):
                driver.log.info(f"found {bits}-bit driver lib: {path}")
                out.append(path)
    return tuple(out)


def _beside_libcuda(driver: Driver, version: str, *subdirs: str) -> tuple[str, ...]:
    """The files of the version in the directory of libcuda and in these below it, links as they are."""
    try:
        directory = posixpath.dirname(driver.libcuda(f".{version}")[0])
    except ToolFailure as e:
        raise e.within(f"failed to locate libcuda.so.{version}") from None
    search = (directory, *(join_path(directory, sub) for sub in subdirs))
    return lookup.optional(driver.files_at(search, root=""))(f"*.so.{version}")


def _in_driver_directories(driver: Driver, version: str) -> tuple[str, ...]:
    try:
        return driver.driver_libraries("vdpau")(f"*.so.{version}")
    except ToolFailure as e:
        step = "failed to get driver library locator"
        if not e.text.startswith("failed to get libcuda.so"):
            step = f"failed to locate libraries for driver version {version}"
        raise e.within(step) from None


_LISTS: Mapping[str, Callable[[Driver, str], tuple[str, ...]]] = {
    "ldcache": _cached,
    "libcuda-directory": _beside_libcuda,
    "libcuda-and-vdpau": lambda driver, version: _beside_libcuda(driver, version, "vdpau"),
    "driver-directories": _in_driver_directories,
    "driver-directories-and-nvvm70": _in_driver_directories,
}


def with_library_links(driver: Driver, creator: HookCreator, libraries: Discoverer, version: str = "*.*") -> Discoverer:
    """`libraries` and a hook that makes links to them: three fixed ones for libraries whose name ends in `version` (a pattern), and those
    that the host has beside them (soname, bare name), as far as the release knows them."""
    how = driver.rules.library_links
    if how == "none":
        return libraries

    def hooks() -> tuple[CdiHook, ...]:
        links: dict[str, None] = {}
        by_path: dict[str, Found] = {}
        for mount in libraries.mounts():
            by_path.setdefault(mount.path, mount)
        for library in by_path.values():
            links.update(dict.fromkeys(_fixed_links(library.path, version if how == "fixed" else "*.*")))
            if how == "soname":
                links.update(dict.fromkeys(_host_links(driver.host.resolver, driver.log, library)))
        because = (Because("host library links", "the host has these links beside its driver libraries"),)
        return (*libraries.hooks(), *(creator.create("create-symlinks", *links, because=because) if links else ()))

    return Discoverer(libraries.devices, libraries.env, libraries.mounts, hooks)


def _fixed_links(path: str, version: str) -> list[str]:
    directory, name = posixpath.split(path)
    if go_match(f"libcuda.so.{version}", name):
        return [f"libcuda.so.1::{join_path(directory, 'libcuda.so')}"]
    if go_match(f"libGLX_nvidia.so.{version}", name):
        return [f"{name}::{join_path(directory, 'libGLX_indirect.so.0')}"]
    if go_match(f"libnvidia-opticalflow.so.{version}", name):
        return [f"libnvidia-opticalflow.so.1::{join_path(directory, 'libnvidia-opticalflow.so')}"]
    return []


def _host_links(resolver: Resolver, log: ToolLog, library: Found) -> list[str]:
    directory, name = posixpath.split(library.path)
    links: list[str] = []
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


def sockets(driver: Driver) -> Discoverer:
    """Sockets of the persistence daemon and the fabric manager, and the MPS pipe where it is no directory (it usually is one)."""
    names = ("/nvidia-persistenced/socket", "/nvidia-fabricmanager/socket")
    if driver.rules.sockets == "var-run":
        wanted = (*(f"/var/run{name}" for name in names), "/tmp/nvidia-mps")
        locate = driver.files()
        return Discoverer(mounts=lambda: find(driver.log, locate, driver.root, wanted, "daemon socket", IPC_OPTIONS))
    searched = driver.files_at(("/run", "/var/run"), count=1)
    pipes = driver.files_at(count=1)

    def found() -> tuple[Found, ...]:
        return find(driver.log, searched, driver.root, names, "daemon socket", IPC_OPTIONS) + find(
            driver.log, pipes, driver.root, ("/tmp/nvidia-mps",), "MPS pipe", IPC_OPTIONS
        )

    return Discoverer(mounts=found)


def _firmware(driver: Driver, version: str) -> Discoverer:
    """GSP firmware in the kernel's firmware directories."""
    host = driver.host
    if driver.rules.firmware == "fixed":
        wanted = join_path("/lib/firmware/nvidia", version, "gsp*.bin")
        return mounts(driver.log, driver.files(), driver.root, (wanted,), "GSP firmware")
    search = []
    custom = host.text(FIRMWARE_PATH_PARAMETER)
    if custom is None:
        path = FIRMWARE_PATH_PARAMETER
        driver.log.warning(f"failed to get custom firmware class path: open {path}: no such file or directory")
    elif custom.strip():
        search.append(custom.strip())
    for base in ("/lib/firmware/updates", "/lib/firmware"):
        search += [join_path(base, host.kernel), base]
    wanted = join_path("nvidia", version, "gsp*.bin")
    return mounts(driver.log, driver.files_at(search), driver.root, (wanted,), "GSP firmware")


def _programs(driver: Driver) -> Discoverer:
    wanted = driver.rules.programs
    return mounts(driver.log, driver.executables(), driver.root, wanted, "driver program on the PATH")
