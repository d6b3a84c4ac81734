"""The host as a CDI generator sees it: files, environment, and what NVML and DXCore answer there.

NVML's answers come from a table; whether the library can be loaded at all is decided by the loader on the host's files.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Literal, TypeVar

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import field, frozen
from nvsim.host.profile import HostProfile
from nvsim.inject.dxcore import reported_stores
from nvsim.inject.log import ToolFailure
from nvsim.loader.outcome import Cpu, DlopenCall, Machine, ProcessRequest
from nvsim.loader.process import host_session, start
from nvsim.memo import Same
from nvsim.rootfs.node import File, FileFacts
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree, derived

T = TypeVar("T")
NVML_SUCCESS = 0
_NVML_TEXT = {  # nvmlErrorString
    1: "Uninitialized",
    2: "Invalid Argument",
    3: "Not Supported",
    4: "Insufficient Permissions",
    6: "Not Found",
    8: "Insufficient External Power",
    9: "Driver Not Loaded",
    12: "Function Not Found",
    15: "GPU is lost",
    17: "GPU access blocked by the operating system",
    18: "Driver/library version mismatch",
    20: "Insufficient Memory",
    999: "Unknown Error",
}
LIBRARY_NOT_FOUND = "ERROR_LIBRARY_NOT_FOUND"
_RTLD_LAZY = 1
_GENERATOR = "/proc/nvsim/generator"  # a place that no host has
_INTERPRETERS = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}


_NVML_NAMES = {  # nvmlReturn_t, as go-nvlib names it
    1: "UNINITIALIZED",
    2: "INVALID_ARGUMENT",
    3: "NOT_SUPPORTED",
    4: "NO_PERMISSION",
    6: "NOT_FOUND",
    8: "INSUFFICIENT_POWER",
    9: "DRIVER_NOT_LOADED",
    12: "LIBRARY_NOT_FOUND",
    15: "GPU_IS_LOST",
    17: "OPERATING_SYSTEM",
    18: "LIB_RM_VERSION_MISMATCH",
    20: "MEMORY",
}


def nvml_text(code: int, how: Literal["text", "name"] = "text") -> str:
    """What NVML says for a return code, or its name."""
    if how == "name":
        return f"ERROR_{_NVML_NAMES.get(code, 'UNKNOWN')}"
    return _NVML_TEXT.get(code, "Unknown Error")


def is_integrated(name: str) -> bool:
    """Whether a GPU of this name is an integrated one."""
    return "(nvgpu)" in name or "NVIDIA Thor" in name


@frozen
class NvmlMig:
    """A MIG device: its index on the GPU, UUID, GPU instance, compute instance and profile name ("1g.10gb+gfx")."""

    index: int
    uuid: str
    gi: int
    ci: int
    profile: str = ""


@frozen
class NvmlGpu:
    """A GPU. `pci` None: NVML does not tell its bus id (integrated GPUs)."""

    uuid: str
    minor: int
    pci: str | None
    name: str
    mig_enabled: bool = False
    mig: tuple[NvmlMig, ...] = ()
    coherent: bool = False

    @property
    def bus_id(self) -> str | None:
        """The bus id as sysfs spells it ("0000:17:00.0")."""
        if self.pci is None:
            return None
        bus = self.pci.lower()
        domain = bus.partition(":")[0]
        if len(domain) == 8 and domain.startswith("0000"):
            return bus[4:]
        return bus

    @property
    def integrated(self) -> bool:
        """Whether its name is that of an integrated GPU."""
        return is_integrated(self.name)


@frozen
class Nvml:
    """What NVML answers: the return code of nvmlInit, the driver version, 1000 * major + 10 * minor of CUDA, and the GPUs by index."""

    driver_version: str
    cuda_version: int
    gpus: tuple[NvmlGpu, ...] = ()
    init: int = NVML_SUCCESS

    def visited(self) -> tuple[NvmlGpu, ...]:
        """The GPUs without those that only drive the display of a DGX Station."""
        return tuple(g for g in self.gpus if g.name not in ("DGX Display", "NVIDIA DGX Display"))


@frozen
class CdiHost:
    """A host. `resolver` resolves its real root; `env` is the generating process's environment; `kernel` the release.

    `nvml` None: there is no NVML library whose answers are known. `driver_stores`: what DXCore reports, in order. `interpreter`: the
    loader of the host's own programs, "" = the usual one of its architecture.
    """

    resolver: Resolver
    nvml: Nvml | None = None
    driver_stores: tuple[str, ...] = ()
    env: Mapping[str, str] = field(factory=dict, hash=False)
    kernel: str = "6.1"
    arch: str = "amd64"
    interpreter: str = ""

    @property
    def tree(self) -> Tree:
        return self.resolver.tree

    def known(self, stage: str, key: Hashable, make: Callable[[], T]) -> T:
        """What follows from this host and `key` alone: kept with its tree, if that is immutable."""
        rest = (Same(self.nvml), self.driver_stores, tuple(self.env.items()), self.kernel, self.arch, self.interpreter)
        return derived(self.tree, stage, (key, rest), make)

    @property
    def path_env(self) -> str:
        return self.env.get("PATH", "")

    def text(self, path: str) -> str | None:
        """The text of the file at `path`, None when there is none."""
        found = self.resolver.resolve(path)
        if not isinstance(found, Resolved) or not isinstance(found.node, File):
            return None
        return found.node.facts.text or ""


_ROOT_LIBRARY_DIRS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
)


def host_library(host: CdiHost, root: str, name: str) -> str:
    """What the platform detection dlopens for a library: its file below a driver root, else the bare name."""
    if root not in ("", "/"):
        for directory in _ROOT_LIBRARY_DIRS:
            found = host.resolver.resolve(f"/{root.strip('/')}{directory}/{name}")
            if isinstance(found, Resolved):
                return found.path
    return name


def can_load(host: CdiHost, name: str) -> bool:
    """Whether a process of the host can dlopen `name` (a path, or a name that is searched for).

    The process is the generating program: linked against the host's libc and started by the host's loader. Found out once.
    """
    return host.known("can-load", name, lambda: _can_load(host, name))


def _can_load(host: CdiHost, name: str) -> bool:
    interpreter = host.interpreter or _INTERPRETERS[host.arch]
    arm = host.arch == "arm64"
    cpu = Cpu(platform="aarch64", hwcaps=(), machine="aarch64") if arm else Cpu()
    machine = Machine(cpu, host.kernel)
    program = ElfFacts(machine=cpu.machine, type="EXEC", interp=interpreter, needed=("libc.so.6",))
    editor = RootFS(host.tree).edit()
    editor.put(_GENERATOR, File(4096, ("synthetic", _GENERATOR), FileFacts(elf=program)))
    env = tuple(host.env.items())
    session = start(editor.freeze(), ProcessRequest(_GENERATOR, (_GENERATOR,), env), machine)
    if not session.outcome.started:  # a host that is described without its libc
        session = host_session(host.tree, _loader(host), env, machine)
    return session.dlopen(DlopenCall(name, _RTLD_LAZY)).ok is True


def _loader(host: CdiHost) -> LoaderFacts:
    """The loader that the host's distribution builds, for a host that is described without one."""
    debian = isinstance(host.resolver.resolve("/etc/debian_version"), Resolved)
    multiarch = "aarch64-linux-gnu" if host.arch == "arm64" else "x86_64-linux-gnu"
    dirs = (f"/lib/{multiarch}", f"/usr/lib/{multiarch}", "/lib", "/usr/lib") if debian else ("/lib64", "/usr/lib64")
    return LoaderFacts("glibc", "2.36", dirs, f"lib/{multiarch}" if debian else "lib64")


def open_nvml(host: CdiHost, library: str, how: Literal["text", "name"] = "text") -> Nvml:
    """NVML after nvmlInit, loaded from `library`. Raises `ToolFailure` with NVML's text, or the name of what it returned."""
    if host.nvml is None or not can_load(host, library):
        raise ToolFailure(LIBRARY_NOT_FOUND)
    if host.nvml.init != NVML_SUCCESS:
        raise ToolFailure(nvml_text(host.nvml.init, how))
    return host.nvml


def host_of_profile(profile: HostProfile, env: Mapping[str, str] | None = None) -> CdiHost:
    """The generator's view of a host profile; `env` replaces variables of the generating process."""
    driver = profile.driver
    resolver = Resolver(profile.tree)
    told = reported_stores(profile)
    stores = _driver_stores(resolver) if told is None else told
    nvml = None
    if driver.version is not None:
        major, _, minor = (driver.cuda or "0.0").partition(".")
        gpus = tuple(
            NvmlGpu(
                g.uuid,
                g.minor,
                g.pci or None,
                g.model,
                g.mig_enabled,
                tuple(NvmlMig(i, m.uuid, m.gi, m.ci, m.profile) for i, m in enumerate(g.mig)),
            )
            for g in profile.gpus
        )
        nvml = Nvml(driver.version, 1000 * int(major or 0) + 10 * int(minor or 0), gpus, _init_status(profile, stores))
    variables = {"PATH": profile.toolkit.path or "", **dict(profile.toolkit.env), **(env or {})}
    arch = "arm64" if profile.os.get("arch") in ("aarch64", "arm64") else "amd64"
    libc = profile.os.get("libc")
    interpreter = libc.get("interp") if isinstance(libc, Mapping) else None
    return CdiHost(resolver, nvml, stores, variables, profile.kernel, arch, str(interpreter or ""))


def _init_status(profile: HostProfile, stores: tuple[str, ...]) -> int:
    """What nvmlInit returns: as the profile tells, else by the kernel module (WSL2 has none)."""
    driver = profile.driver
    if driver.nvml_init or stores:
        return driver.nvml_init
    if driver.kernel_module is None:
        return 9
    return NVML_SUCCESS if driver.kernel_module == driver.version else 18


def _driver_stores(resolver: Resolver) -> tuple[str, ...]:
    """The directories that DXCore reports: those of the WSL driver store that hold NVIDIA's libcuda."""
    from nvsim.inject.generate.lookup import go_glob

    found = go_glob(resolver, "/usr/lib/wsl/drivers/*/libcuda.so.1.1")
    return tuple(path.rpartition("/")[0] for path in found)
