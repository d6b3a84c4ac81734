"""Findings about a process that does load its libraries: which copy of the driver it got, and whether that fits kernel, GPU and user.

Also what is worth knowing although nothing fails: GPUs that nobody named, an image that lost its CUDA variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from nvsim.diagnosis.find_library import loaded_by
from nvsim.diagnosis.make import env_of, finding
from nvsim.diagnosis.model import Finding
from nvsim.diagnosis.where import base_name
from nvsim.loader.outcome import LoadedObject
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import Special
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import parent_of
from nvsim.scenario.changes import Change, RemoveFile, SetEnv, UnsetEnv
from nvsim.simulate import ProcessResult, Result

_DRIVER_LIBRARIES = (
    "libcuda.so",
    "libnvidia-ml.so",
    "libnvidia-ptxjitcompiler.so",
    "libnvidia-nvvm.so",
    "libnvcuvid.so",
    "libnvidia-encode.so",
    "libnvidia-opticalflow.so",
    "libnvidia-cfg.so",
)
_VERSIONED = re.compile(r"\.so\.(\d{3}\.\d+(?:\.\d+)?)$")
_CUDART = re.compile(r"libcudart\.so\.(\d+)(?:\.(\d+))?")
_CONSUMER = ("geforce", "titan")  # forward compatibility is for data-centre and some workstation cards
# the capability whose libraries need a JSON file of the driver, and where libglvnd and the Vulkan loader look for one
_VENDOR_FILES = (
    ("libEGL_nvidia.so.0", "EGL", ("/usr/share/glvnd/egl_vendor.d/*nvidia*.json", "/etc/glvnd/egl_vendor.d/*nvidia*.json")),
    ("libGLX_nvidia.so.0", "Vulkan", ("/usr/share/vulkan/icd.d/*nvidia*.json", "/etc/vulkan/icd.d/*nvidia*.json")),
)  # fmt: skip
_CUDA_FILES = (
    "/usr/local/cuda/lib64/libcudart.so.*",
    "/usr/local/cuda-*/lib64/libcudart.so.*",
    "/usr/local/cuda/compat",
)


def find_driver(result: Result) -> Iterator[Finding]:
    """What is to be said of the driver in the container, and of the request."""
    yield from _of_request(result)
    if result.injected is None or result.injected.failure is not None:
        return
    for process in (result.main, *result.checks):
        yield from _shadowed(result, process)
        yield from _permissions(result, process)
        yield from _runtime_version(result, process)
    yield from _proves_nothing(result)
    yield from _vendor_files(result)
    yield from _links_for_systemd(result)


@frozen(slots=True)
class _Copy:
    """A driver library that a process loaded although it is not the injected one."""

    item: LoadedObject
    file: str
    version: str | None
    stub: bool
    compat: bool


def _shadowed(result: Result, process: ProcessResult) -> Iterator[Finding]:
    """Another copy of a driver library than the host's is loaded."""
    for item in loaded_by(process):
        copy = _copy_of(item)
        if copy is None:
            continue
        kernel = result.scenario.host.driver.kernel_module
        evidence = (
            f"{item.name} is {copy.file} ({item.origin}), found by {item.stage}",
            f"the host's kernel module is {kernel or 'not loaded'}",
        )
        changes = _ways_around(result, item, copy)
        if copy.stub:
            text = f"{item.path} is a stub for linking: every CUDA call answers 34 (CUDA driver is a stub library)"
            yield finding("NVS606", base_name(item.path), text, evidence, changes)
        elif copy.compat and copy.version is not None and copy.version != kernel:
            yield from _compat(result, item, copy, evidence, changes)
        elif copy.version is not None and kernel is not None and copy.version != kernel:
            answer = "Driver/library version mismatch" if "nvidia-ml" in copy.file else "error 803"
            text = (
                f"{item.path} is of driver {copy.version}, the kernel module of {kernel}: the answer will be {answer}"
            )
            yield finding("NVS604", base_name(item.path), text, evidence, changes)
        else:
            text = f"{item.path} comes from the image, not from the host's driver"
            yield finding("NVS406", base_name(item.path), text, evidence, changes)


def _copy_of(item: LoadedObject) -> _Copy | None:
    file = item.file or item.path
    if item.origin is None or item.origin.kind != "image" or not base_name(item.path).startswith(_DRIVER_LIBRARIES):
        return None
    match = _VERSIONED.search(file)
    parts = file.split("/")
    return _Copy(item, file, match[1] if match else None, "stubs" in parts, "compat" in parts)


def _ways_around(result: Result, item: LoadedObject, copy: _Copy) -> tuple[Change, ...]:
    """Take its directory out of LD_LIBRARY_PATH when it came from there, else remove it from the image."""
    if item.stage == "ld_library_path":
        directory = parent_of(item.path)
        rest = [d for d in env_of(result, "LD_LIBRARY_PATH").split(":") if d.rstrip("/") != directory]
        return (SetEnv("LD_LIBRARY_PATH", ":".join(rest)) if rest else UnsetEnv("LD_LIBRARY_PATH"),)
    return (RemoveFile(copy.file),)


def _compat(
    result: Result, item: LoadedObject, copy: _Copy, evidence: tuple[str, ...], changes: tuple[Change, ...]
) -> Iterator[Finding]:
    """CUDA forward compatibility: allowed for data-centre cards, and only from an older kernel module to a newer libcuda."""
    gpus = result.scenario.host.gpus
    kernel = result.scenario.host.driver.kernel_module or "0"
    consumer = [g for g in gpus if g.brand.lower().startswith(_CONSUMER)]
    older = _numbers(copy.version or "0") < _numbers(kernel)
    if older:
        text = f"{item.path} is a compat library of {copy.version}, older than the kernel module {kernel}: cuInit answers 803"
        yield finding("NVS604", base_name(item.path), text, evidence, changes)
    elif consumer:
        text = f"{item.path} is a CUDA compat library, and {consumer[0].model} may not use forward compatibility: cuInit answers 804"
        yield finding("NVS605", base_name(item.path), text, (*evidence, f"its brand is {consumer[0].brand}"), changes)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(p) for p in version.split(".") if p.isdigit())


def _permissions(result: Result, process: ProcessResult) -> Iterator[Finding]:
    """Device nodes that the process's user may not open."""
    assert result.injected is not None
    user = result.process
    if user.uid == 0 or process is not result.main:
        return
    for path in ("/dev/nvidiactl", "/dev/nvidia-uvm", *(f"/dev/nvidia{g.minor}" for g in result.scenario.host.gpus)):
        node = result.injected.rootfs.node(path)
        if not isinstance(node, Special):
            continue
        bits = node.mode >> 6 if node.uid == user.uid else node.mode >> 3 if node.gid == user.gid else node.mode
        if bits & 0o6 != 0o6:
            text = f"user {user.uid} may not open {path} (mode {node.mode:04o}, owner {node.uid}:{node.gid})"
            advice = "NVreg_DeviceFileMode=0666 on the host, or give the process the node's group"
            yield finding("NVS603", path, text, (), (), advice)


def _runtime_version(result: Result, process: ProcessResult) -> Iterator[Finding]:
    """A CUDA runtime of a newer major release than the driver serves."""
    told = result.scenario.host.driver.cuda
    if told is None or not told.partition(".")[0].isdigit():
        return
    if any(_copy_of(o) is not None for o in loaded_by(process)):
        return  # not the host's libcuda
    for item in loaded_by(process):
        match = _CUDART.match(base_name(item.file or item.path)) or _CUDART.match(base_name(item.path))
        if match and int(match[1]) > int(told.partition(".")[0]):
            text = f"{base_name(item.path)} needs a driver for CUDA {match[1]}; the host's serves CUDA {told}: error 35"
            yield finding("NVS607", base_name(item.path), text, (f"it is {item.file} ({item.origin})",))
            return


def _proves_nothing(result: Result) -> Iterator[Finding]:
    working = [c for c in result.checks if c.verdict == "ok" and base_name(c.argv[0]) == "nvidia-smi"]
    if working and result.verdict == "fails":
        yield finding(
            "NVS601",
            "nvidia-smi",
            "nvidia-smi works in this container all the same: it needs NVML alone, and not libcuda",
        )


def _vendor_files(result: Result) -> Iterator[Finding]:
    """A graphics library of the driver is there, and the file that tells its loader about it is not."""
    assert result.injected is not None
    if "graphics" not in (result.request.capabilities or ()):
        return
    resolver = Resolver(result.injected.rootfs)
    there = {base_name(p) for p in result.injected.rootfs.changed_paths()}
    for library, loader, patterns in _VENDOR_FILES:
        if library in there and not any(glob(resolver, p) for p in patterns):
            text = f"{library} is in the container, but no JSON file that tells {loader} of it"
            yield finding("NVS208", loader, text, tuple(f"there is no {p}" for p in patterns))


def _links_for_systemd(result: Result) -> Iterator[Finding]:
    """The hook's device rules are lost at a systemd reload unless /dev/char has the links (runc resolves devices through them)."""
    host = result.scenario.host.tree
    if result.request.route != "legacy" or not host.names("/dev/char"):
        return
    gpus = [n for n in result.plan.device_nodes if n.rdev] if result.plan else []
    gone = [f"/dev/char/{n.rdev[0]}:{n.rdev[1]}" for n in gpus if n.rdev]
    gone = [p for p in gone if host.node(p) is None]
    if gone:
        advice = "nvidia-ctk system create-dev-char-symlinks --create-all, or CDI"
        text = "the device nodes are added outside the OCI spec: a systemd reload takes them from the running container"
        yield finding("NVS218", "devices", text, tuple(f"the host lacks {p}" for p in gone[:3]), (), advice)


def _of_request(result: Result) -> Iterator[Finding]:
    """GPUs that nobody asked for in so many words, and an image whose variables were lost."""
    request, image, settings = result.request, result.scenario.image, result.scenario.settings
    gpus = len(result.scenario.host.gpus)
    baked = any(e.startswith("NVIDIA_VISIBLE_DEVICES=") for e in image.config.env)
    named = any(e.startswith("NVIDIA_VISIBLE_DEVICES=") for e in settings.env) or settings.gpus or settings.devices
    if request.devices == ("all",) and gpus > 1 and not named and (baked or request.legacy_image):
        text = f"the image asks for all {gpus} GPUs of the host by itself; nobody chose any"
        why = "NVIDIA_VISIBLE_DEVICES=all is in its config" if baked else "it is a legacy image (CUDA_VERSION)"
        yield finding("NVS111", "NVIDIA_VISIBLE_DEVICES", text, (why,), (SetEnv("NVIDIA_VISIBLE_DEVICES", "0"),))
    if request.devices is None and result.verdict == "fails" and not env_of(result, "NVIDIA_VISIBLE_DEVICES"):
        resolver = Resolver(image.tree)
        files = [p for pattern in _CUDA_FILES for p in glob(resolver, pattern)]
        lost = not any(e.startswith(("CUDA_VERSION=", "NV_CUDA", "NVIDIA_")) for e in image.config.env)
        if files and lost:
            text = "the image holds CUDA, but none of the variables of NVIDIA's images: they were lost on the way (export and import, a new config)"
            yield finding("NVS112", "image config", text, (f"{files[0]} is in the image",))
