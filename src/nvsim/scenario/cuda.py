"""What the CUDA driver would answer to cuInit, and the CUDA runtime to its first call, as far as files and profile tell.

`CudaAnswer` is the result's ``cuda``. It rests on which libcuda the process would load, the kernel module of the profile, the device
nodes in the container and their permissions. Error numbers are CUresult of ``cuda.h`` and cudaError_t of ``driver_types.h`` (the same
numbers for the ones here); the rules of forward and minor-version compatibility are NVIDIA's "CUDA Compatibility" guide.
"""

from __future__ import annotations

import posixpath
import re

from nvsim.frozen import frozen
from nvsim.host.profile import Gpu, HostProfile
from nvsim.loader.outcome import DlopenCall, Machine, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.node import Directory, File, Special
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.scenario.engine import Process
from nvsim.toolkit.request import Because

Version = tuple[int, ...]
ERRORS = {
    0: ("CUDA_SUCCESS", "no error"),
    34: ("CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"),
    35: ("cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"),
    100: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    803: ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"),
    804: ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility was attempted on non supported HW"),
    999: ("CUDA_ERROR_UNKNOWN", "unknown error"),
}
# driver branch -> CUDA version that its libcuda reports (CUDA release notes, "CUDA Toolkit and Corresponding Driver Versions")
BRANCHES: dict[int, Version] = {
    340: (6, 5),
    352: (7, 5),
    375: (8, 0),
    384: (9, 0),
    390: (9, 1),
    396: (9, 2),
    410: (10, 0),
    418: (10, 1),
    440: (10, 2),
    450: (11, 0),
    455: (11, 1),
    460: (11, 2),
    465: (11, 3),
    470: (11, 4),
    495: (11, 5),
    510: (11, 6),
    515: (11, 7),
    520: (11, 8),
    525: (12, 0),
    530: (12, 1),
    535: (12, 2),
    545: (12, 3),
    550: (12, 4),
    555: (12, 5),
    560: (12, 6),
    565: (12, 7),
    570: (12, 8),
    575: (12, 9),
    580: (13, 0),
}
_STUB_SIZE = 1_000_000  # a real libcuda has tens of megabytes, a stub some tens of kilobytes
_MINOR_COMPATIBLE = 11  # from CUDA 11 on a runtime works with any driver of its major version
_NO_DEVICE_IS_UNKNOWN = 390  # up to this branch a missing kernel module gives 999, not 100
_FORWARD = {"tesla": True, "geforce": False, "titan": False}
_DATA_CENTRE = r"\b(?:[ABHLTV]\d{1,3}[A-Z]?|GB?\d{3}|PG\d+)\b"
_TEGRA_NODES = ("/dev/nvmap", "/dev/nvhost-ctrl-gpu")
_LIBCUDA = "libcuda.so.1"
_LIBCUDART = r"libcudart\.so\.(\d+)(?:\.(\d+))?"


@frozen
class CudaAnswer:
    """What CUDA would say.

    `code`: what cuInit returns; None when it cannot be called (libcuda does not load) or is not known (`unknown` says why).
    `runtime_code`: what a program that uses the CUDA runtime gets from its first call (None = not known). `libcuda` is the file that
    is loaded, `version` its driver version, `cuda` the CUDA version that it reports; `cudart` a CUDA runtime library that the image
    or the process has, with its version. `because` are the facts that decided, `assumptions` what was taken for granted.
    """

    code: int | None
    runtime_code: int | None
    because: tuple[Because, ...]
    unknown: str | None = None
    libcuda: str | None = None
    version: str | None = None
    cuda: str | None = None
    cudart: tuple[str, str] | None = None
    assumptions: tuple[str, ...] = ()


@frozen
class _Libcuda:
    path: str
    version: str | None
    stub: bool


def cuda_answer(
    host: HostProfile,
    rootfs: RootFS,
    process: Process,
    program: str,
    machine: Machine,
    loaded: tuple[str, ...] = (),
) -> CudaAnswer:
    """The answer to a process of `program` that would dlopen libcuda.so.1. `loaded`: paths of libraries that it has loaded already."""
    resolver = Resolver(rootfs, process.uid, process.gid)
    env = tuple((k, v) for k, _, v in (e.partition("=") for e in process.env))
    call = DlopenCall(_LIBCUDA)
    request = ProcessRequest(program, process.argv, env, process.cwd, process.uid, process.gid, dlopen=(call,))
    tried = run(rootfs, request, machine).dlopen
    cudart = _cudart(resolver, env, loaded)
    if not tried or tried[0].ok is None:
        why = (tried[0].error if tried else None) or "the process does not start, so nothing is loaded"
        return CudaAnswer(None, None, (), why, cudart=cudart)
    if not tried[0].ok or tried[0].path is None:
        reason = Because("loader", tried[0].error or f"{_LIBCUDA} does not load")
        return CudaAnswer(None, 35 if cudart else None, (reason,), cudart=cudart)
    library = _library(host, resolver, tried[0].path)
    if library.stub:
        why34 = Because(f"file {library.path}", "it is a stub, made for linking without a driver")
        return CudaAnswer(34, 34, (why34,), libcuda=library.path, cudart=cudart)
    code, because, unknown, assumptions = _init(host, rootfs, process, library)
    cuda = _cuda_version(host, library.version)
    shown = ".".join(map(str, cuda)) if cuda else None
    runtime = code
    if code == 0 and cudart is not None and cuda is not None:
        runtime, more = _runtime(cuda, cudart)
        because += more
    return CudaAnswer(code, runtime, because, unknown, library.path, library.version, shown, cudart, assumptions)


def _library(host: HostProfile, resolver: Resolver, path: str) -> _Libcuda:
    """The libcuda behind `path`: stubs are known by their directory, or by being far too small; the host's own files are none.

    The files of Tegra's driver do not bear its release in their names: those of the host are of the host's release.
    """
    found = resolver.resolve(path)
    real = found.path if isinstance(found, Resolved) else path
    name = posixpath.basename(real)
    version = name.partition(".so.")[2]
    node = found.node if isinstance(found, Resolved) and isinstance(found.node, File) else None
    of_image = node is not None and node.origin is not None and node.origin.kind == "image"
    small = node is not None and of_image and 0 < node.size < _STUB_SIZE and not version.count(".")
    stub = "stubs" in real.split("/") or small
    if _is_tegra(host):
        return _Libcuda(path, None if of_image else host.driver.version, stub)
    return _Libcuda(path, version if version.count(".") else None, stub)


def _init(
    host: HostProfile, rootfs: RootFS, process: Process, library: _Libcuda
) -> tuple[int | None, tuple[Because, ...], str | None, tuple[str, ...]]:
    """(code, reasons, why it is not known, assumptions) of cuInit in a real libcuda."""
    if isinstance(host.tree.node("/dev/dxg"), Special):  # WSL: there is no kernel module of NVIDIA's
        problem = _closed(rootfs, "/dev/dxg", process)
        if problem is not None:
            return 100, (Because("device /dev/dxg", problem),), None, ()
        return 0, (Because("device /dev/dxg", "the driver of Windows answers through it"),), None, (_WORKS,)
    module = host.driver.kernel_module
    if module is None:
        branch = _branch(library.version)
        code = 999 if branch is not None and branch <= _NO_DEVICE_IS_UNKNOWN else 100
        return code, (Because("host driver.kernel_module", "the kernel module is not loaded"),), None, ()
    if library.version is not None and library.version != module and not _is_tegra(host):
        return _mismatch(host, library, module)
    return _devices(host, rootfs, process)


_WORKS = "cuda: the GPUs and their driver are taken to be in working order"


def _mismatch(
    host: HostProfile, library: _Libcuda, module: str
) -> tuple[int | None, tuple[Because, ...], str | None, tuple[str, ...]]:
    """libcuda of another release than the kernel module: an older one never works, a newer one by forward compatibility."""
    versions = f"{library.path} is of driver {library.version}, the kernel module of {module}"
    why = Because(f"file {library.path}", versions)
    if _numbers(library.version or "") < _numbers(module):
        return 803, (why,), None, ()
    allowed = [_forward_compatible(g) for g in host.gpus]
    if not allowed:
        return None, (why,), "forward compatibility depends on the GPU, and the profile names none", ()
    if False in allowed:
        model = next(g.model for g in host.gpus if _forward_compatible(g) is False)
        return 804, (why, Because("host gpus", f"{model} is no data-centre GPU")), None, ()
    if None in allowed:
        model = next(g.model for g in host.gpus if _forward_compatible(g) is None)
        return None, (why,), f"whether {model} allows forward compatibility is not known", ()
    pair = f"cuda: libcuda {library.version} on kernel module {module} is taken to be a pair that NVIDIA supports"
    return 0, (why, Because("host gpus", "data-centre GPUs allow forward compatibility")), None, (pair, _WORKS)


def _forward_compatible(gpu: Gpu) -> bool | None:
    """Whether the GPU's class allows forward compatibility; None = it is not known for this brand."""
    brand = gpu.brand.lower()
    if brand in _FORWARD:
        return _FORWARD[brand]
    return True if brand == "nvidia" and re.search(_DATA_CENTRE, gpu.model) else None


def _devices(
    host: HostProfile, rootfs: RootFS, process: Process
) -> tuple[int | None, tuple[Because, ...], str | None, tuple[str, ...]]:
    """Versions fit: the device nodes decide."""
    if _is_tegra(host):
        return _tegra_devices(rootfs, process)
    for path, code in (("/dev/nvidiactl", 100), ("/dev/nvidia-uvm", 999)):
        problem = _closed(rootfs, path, process)
        if problem is not None:
            return code, (Because(f"device {path}", problem),), None, ()
    usable = [g for g in host.gpus if _closed(rootfs, f"/dev/nvidia{g.minor}", process) is None]
    if not usable:
        return 100, (Because("device nodes", "no GPU's device node can be opened in the container"),), None, ()
    names = ", ".join(f"/dev/nvidia{g.minor}" for g in usable)
    return 0, (Because("device nodes", f"{names} can be opened, and the versions fit"),), None, (_WORKS,)


def _tegra_devices(
    rootfs: RootFS, process: Process
) -> tuple[int | None, tuple[Because, ...], str | None, tuple[str, ...]]:
    """An integrated GPU is reached by nodes of its own."""
    for path in _TEGRA_NODES:
        problem = _closed(rootfs, path, process)
        if problem is not None:
            unknown = "which error libcuda of Tegra gives without its device nodes is not known"
            return None, (Because(f"device {path}", problem),), unknown, ()
    names = ", ".join(_TEGRA_NODES)
    return 0, (Because("device nodes", f"{names} can be opened"),), None, (_WORKS,)


def _closed(rootfs: RootFS, path: str, process: Process) -> str | None:
    """Why the process cannot open the device node; None = it can."""
    node = rootfs.node(path)
    if not isinstance(node, Special):
        return f"{path} is not in the container"
    if process.uid == 0:
        return None
    shift = 6 if process.uid == node.uid else 3 if node.gid in (process.gid, *process.groups) else 0
    if (node.mode >> shift) & 0o6 == 0o6:
        return None
    return f"{path} has mode {node.mode:04o} and belongs to {node.uid}:{node.gid}: user {process.uid} may not open it"


def _is_tegra(host: HostProfile) -> bool:
    return isinstance(host.tree.node("/etc/nv_tegra_release"), File)


def _branch(version: str | None) -> int | None:
    head = (version or "").partition(".")[0]
    return int(head) if head.isdigit() else None


def _numbers(version: str) -> Version:
    return tuple(int(p) for p in version.split(".") if p.isdigit())


def _cuda_version(host: HostProfile, version: str | None) -> Version | None:
    """The CUDA version that libcuda of this driver release reports."""
    if version is None or version == host.driver.version:
        return _numbers(host.driver.cuda)[:2] if host.driver.cuda else None
    return BRANCHES.get(_branch(version) or 0)


def _runtime(cuda: Version, cudart: tuple[str, str]) -> tuple[int, tuple[Because, ...]]:
    """What the CUDA runtime says on a driver of this CUDA version."""
    path, text = cudart
    wanted = _numbers(text)[:2]
    driver = ".".join(map(str, cuda))
    if wanted[0] > cuda[0] or (wanted > cuda and wanted[0] < _MINOR_COMPATIBLE):
        return 35, (Because(f"file {path}", f"CUDA runtime {text}, and the driver is of CUDA {driver}"),)
    if wanted > cuda:
        note = f"CUDA runtime {text} on a driver of CUDA {driver}: minor-version compatibility, without what is compiled from PTX"
        return 0, (Because(f"file {path}", note),)
    return 0, ()


def _cudart(resolver: Resolver, env: tuple[tuple[str, str], ...], loaded: tuple[str, ...]) -> tuple[str, str] | None:
    """A CUDA runtime library and its version: one that is loaded, else one of a toolkit below /usr/local; None = none is seen."""
    for path in loaded:
        found = resolver.resolve(path)
        match = re.search(_LIBCUDART, posixpath.basename(found.path if isinstance(found, Resolved) else path))
        if match:
            return path, _dotted(match)
    top = resolver.resolve("/usr/local")
    names = resolver.tree.names(top.path) if isinstance(top, Resolved) and isinstance(top.node, Directory) else ()
    for name in (n for n in names if n == "cuda" or n.startswith("cuda-")):
        at = resolver.resolve(f"/usr/local/{name}/lib64")
        if not isinstance(at, Resolved):
            continue
        files = [(m, f) for f in resolver.tree.names(at.path) if (m := re.match(_LIBCUDART, f)) and m[2]]
        if files:
            return f"{at.path}/{files[0][1]}", _dotted(files[0][0])
    return None


def _dotted(match: re.Match[str]) -> str:
    return match[1] if match[2] is None else f"{match[1]}.{match[2]}"
