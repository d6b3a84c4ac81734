"""Findings about a process that does load its libraries: which copy of the driver it got, and whether that fits kernel, GPU and user.

Also what is worth knowing although nothing fails: GPUs that nobody named, an image that lost its CUDA variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nvsim.diagnosis.find_library import loaded_by
from nvsim.diagnosis.make import env_of, finding
from nvsim.diagnosis.where import base_name, in_container, sentences
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import File, Special
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import parent_of
from nvsim.scenario.changes import RemoveFile, SetEnv, UnsetEnv
from nvsim.scenario.cuda import ERRORS

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.loader.outcome import LoadedObject
    from nvsim.scenario.changes import Change
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
# what CUDA answers -> the finding
_ANSWERS = {34: "NVS606", 35: "NVS607", 100: "NVS609", 803: "NVS604", 804: "NVS605", 999: "NVS608"}
_VERSIONED = re.compile(r"\.so\.(\d{3}\.\d+(?:\.\d+)?)$")
# the capability whose libraries need a JSON file of the driver, and where libglvnd and the Vulkan loader look for one
_VENDOR_FILES = (
    ("libEGL_nvidia.so.0", "EGL", ("/usr/share/glvnd/egl_vendor.d/*nvidia*.json", "/etc/glvnd/egl_vendor.d/*nvidia*.json")),
    ("libGLX_nvidia.so.0", "Vulkan", ("/usr/share/vulkan/icd.d/*nvidia*.json", "/etc/vulkan/icd.d/*nvidia*.json")),
)  # fmt: skip
_TRITON = tuple(
    f"{prefix}/lib/python3*/{packages}/triton"
    for prefix in ("/usr", "/usr/local", "/opt/conda", "/opt/venv", "/nix/store/*")
    for packages in ("site-packages", "dist-packages")
)
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
    yield from _cuda(result)
    yield from _permissions(result)
    yield from _proves_nothing(result)
    yield from _vendor_files(result)
    yield from _links_for_systemd(result)
    yield from _no_ldconfig(result)
    yield from _asks_ldconfig(result)


def _cuda(result: Result) -> Iterator[Finding]:
    """What CUDA would answer to a program that uses it (`nvsim.scenario.cuda`), where that is an error."""
    answer = result.cuda
    if answer is None or not uses_cuda(result.main):
        return
    code = answer.runtime_code if answer.code == 0 else answer.code
    found = _ANSWERS.get(code or 0)
    if found is None or (code == 35 and answer.libcuda is None):
        return  # without libcuda the search tells the cause
    name, text = ERRORS[code or 0]
    item = next((o for o in loaded_by(result.main) if o.path == answer.libcuda), None)
    copy = _copy_of(item) if item is not None else None
    changes = _ways_around(result, item, copy[0]) if item is not None and copy is not None else ()
    who = answer.libcuda if code != 35 or answer.cudart is None else answer.cudart[0]
    message = f"CUDA will answer {code} ({name}): {text}"
    yield finding(found, base_name(who or "libcuda.so.1"), message, sentences(answer.because), changes)


def uses_cuda(process: ProcessResult) -> bool:
    """Whether the process loads, or tries to load, the driver or the runtime of CUDA."""
    if any(base_name(o.path).startswith(("libcuda.so", "libcudart.so")) for o in loaded_by(process)):
        return True
    tried = (a.call.name for r in process.runs for s in r.steps for a in s.attempts)
    return any(base_name(n).startswith("libcuda.so") for n in (*tried, *(d.call.name for d in process.dlopen)))


def _shadowed(result: Result, process: ProcessResult) -> Iterator[Finding]:
    """Another copy of a driver library than the host's is loaded. What a libcuda of another version does is told by `_cuda`."""
    kernel = result.scenario.host.driver.kernel_module
    for item in loaded_by(process):
        copy = _copy_of(item)
        if copy is None or (result.cuda is not None and result.cuda.code and item.path == result.cuda.libcuda):
            continue
        file, version = copy
        evidence = (
            f"{item.name} is {file} ({item.origin}), found by {item.stage}",
            f"the host's kernel module is {kernel or 'not loaded'}",
        )
        changes = _ways_around(result, item, file)
        nvml = base_name(item.path).startswith("libnvidia-ml.so")
        if nvml and version is not None and kernel is not None and version != kernel:
            text = f"{item.path} is of driver {version}, the kernel module of {kernel}: NVML will answer Driver/library version mismatch"
            yield finding("NVS604", base_name(item.path), text, evidence, changes)
        else:
            text = f"{item.path} comes from the image, not from the host's driver"
            yield finding("NVS406", base_name(item.path), text, evidence, changes)


def _copy_of(item: LoadedObject) -> tuple[str, str | None] | None:
    """File and version of a driver library that a process loaded although it is not the injected one."""
    file = item.file or item.path
    if item.origin is None or item.origin.kind != "image" or not base_name(item.path).startswith(_DRIVER_LIBRARIES):
        return None
    match = _VERSIONED.search(file)
    return file, match[1] if match else None


def _ways_around(result: Result, item: LoadedObject, file: str) -> tuple[Change, ...]:
    """Take its directory out of LD_LIBRARY_PATH when it came from there, else remove it from the image."""
    if item.stage == "ld_library_path":
        directory = parent_of(item.path)
        rest = [d for d in env_of(result, "LD_LIBRARY_PATH").split(":") if d.rstrip("/") != directory]
        return (SetEnv("LD_LIBRARY_PATH", ":".join(rest)) if rest else UnsetEnv("LD_LIBRARY_PATH"),)
    return (RemoveFile(file),)


def _permissions(result: Result) -> Iterator[Finding]:
    """Device nodes that the process's user may not open."""
    assert result.injected is not None
    user = result.process
    if user.uid == 0:
        return
    for path in ("/dev/nvidiactl", "/dev/nvidia-uvm", *(f"/dev/nvidia{g.minor}" for g in result.scenario.host.gpus)):
        node = result.injected.rootfs.node(path)
        if not isinstance(node, Special):
            continue
        shift = 6 if node.uid == user.uid else 3 if node.gid in (user.gid, *user.groups) else 0
        bits = node.mode >> shift
        if bits & 0o6 != 0o6:
            text = f"user {user.uid} may not open {path} (mode {node.mode:04o}, owner {node.uid}:{node.gid})"
            advice = "NVreg_DeviceFileMode=0666 on the host, or give the process the node's group"
            yield finding("NVS603", path, text, (), (), advice)


def _proves_nothing(result: Result) -> Iterator[Finding]:
    working = [c for c in result.checks if c.verdict == "ok" and base_name(c.argv[0]) == "nvidia-smi"]
    if working and result.verdict == "fails" and _lacks_libcuda(result.main):
        yield finding(
            "NVS601",
            "nvidia-smi",
            "nvidia-smi works in this container all the same: it needs NVML alone, and not libcuda",
        )


def _lacks_libcuda(process: ProcessResult) -> bool:
    attempts = (*(a for r in process.runs for s in r.steps for a in s.attempts), *process.dlopen)
    return any(a.ok is False and base_name(a.call.name).startswith("libcuda.so") for a in attempts)


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


def _no_ldconfig(result: Result) -> Iterator[Finding]:
    """Libraries were mounted, and no ldconfig made their links and the cache."""
    plan, injected = result.plan, result.injected
    if plan is None or injected is None or result.request.route != "legacy":
        return
    if any(m.kind == "library" for m in plan.mounts) and not any(e.kind == "ldcache" for e in injected.effects):
        run = plan.ldconfig
        asked = f"{run.path} of the {run.side} was to run" if run is not None else "no ldconfig was asked for"
        text = "ldconfig did not run in this container: soname links of driver libraries and the cache are as the image has them"
        yield finding("NVS206", "ldconfig", text, (asked, *injected.log))


def _asks_ldconfig(result: Result) -> Iterator[Finding]:
    """Triton is in the image: it does not dlopen libcuda by name, it reads what ``ldconfig -p`` prints."""
    assert result.injected is not None
    python = base_name(result.process.argv[0]).startswith("python")
    if not python or env_of(result, "TRITON_LIBCUDA_PATH"):
        return
    rootfs = result.injected.rootfs
    resolver = Resolver(rootfs)
    triton = next((p for pattern in _TRITON for p in glob(resolver, pattern)), None)
    copies = [p for p in in_container(rootfs, "libcuda.so.1") if p.usable] if triton is not None else []
    if not copies:
        return
    program = any(glob(resolver, p) for p in ("/sbin/ldconfig", "/usr/sbin/ldconfig"))
    at = resolver.resolve("/etc/ld.so.cache")
    cache = at.node.facts.ldcache if isinstance(at, Resolved) and isinstance(at.node, File) else None
    known = cache is not None and any(e.name == "libcuda.so.1" for e in cache.entries)
    if not program or not known:
        facts = (
            f"{triton} is in the image",
            f"ldconfig is {'there' if program else 'not there'}",
            f"the cache {'names' if known else 'does not name'} libcuda.so.1",
        )
        text = "Triton asks `ldconfig -p` where libcuda is, and gets no answer in this container"
        change = SetEnv("TRITON_LIBCUDA_PATH", parent_of(copies[0].path))
        yield finding("NVS408", "triton", text, facts, (change,))


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
