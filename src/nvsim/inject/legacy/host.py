"""What libnvidia-container finds on the host: libraries by the ld.so.cache, programs by PATH, firmware, device nodes, sockets.

Source: libnvidia-container ``src/nvc_info.c``, ``src/ldcache.c``, ``src/elftool.c``. All paths are looked up inside the driver root
and named without it. Which of the findings are mounted is decided in `nvsim.inject.legacy.plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from nvsim.frozen import field, frozen
from nvsim.inject.legacy.args import CliArgs
from nvsim.inject.legacy.engine import BINARY_GROUPS, WSL_LIBRARIES, Engine
from nvsim.inject.legacy.paths import EngineFailure, Root, failure, path_append
from nvsim.inject.plan import Skipped
from nvsim.rootfs.node import Directory, File, Node, Special
from nvsim.toolkit.request import Because

DEVICE_MAJOR = 195
CTL_MINOR = 255
MODESET_MINOR = 254
PERSISTENCED = "/var/run/nvidia-persistenced/socket"
FABRICMANAGER = "/var/run/nvidia-fabricmanager/socket"
MPS_PIPE = "/tmp/nvidia-mps"
TLS_ABI = "Linux 2.3.99"
# flags & 0xff00 of ld.so.cache entries: native libraries, and those of the 32-bit variant (None: the machine has none).
_CACHE_ARCH: Mapping[str, tuple[int, int | None]] = {"x86_64": (0x0300, 0x0000), "aarch64": (0x0A00, None)}


@frozen
class HostFacts:
    """What discovery needs beside the files: `version` is what the kernel module reports, `machine` the architecture.

    `env` is the environment of the program (PATH, CUDA_MPS_PIPE_DIRECTORY). `stores` are WSL driver stores, () = no WSL.
    """

    version: str
    cuda: str | None
    machine: str
    env: Mapping[str, str] = field(hash=False)
    stores: tuple[str, ...] = ()


@frozen
class Found:
    """One finding: its path without the driver root, and why it was taken."""

    path: str
    because: tuple[Because, ...]


@frozen
class FoundDevice:
    """A device node that belongs to the driver; `rdev` is what the engine expects it to be."""

    path: str
    rdev: tuple[int, int]
    because: tuple[Because, ...]


@frozen
class DriverInfo:
    """Everything that was found, in the engine's order, and what was not or not taken."""

    libraries: tuple[Found, ...]
    libraries32: tuple[Found, ...]
    binaries: tuple[Found, ...]
    firmwares: tuple[Found, ...]
    devices: tuple[FoundDevice, ...]
    ipcs: tuple[Found, ...]
    skipped: tuple[Skipped, ...]


def discover(root: Root, args: CliArgs, engine: Engine, facts: HostFacts) -> DriverInfo:
    """Look for everything. Raises `EngineFailure` with the text behind "detection error: "."""
    skipped: list[Skipped] = []
    libraries, libraries32 = _libraries(root, args.ldcache, engine, facts, skipped)
    binaries = _binaries(root, facts, skipped)
    firmwares = () if "no-gsp-firmware" in args.driver_options else _firmwares(root, engine, facts, skipped)
    devices = _devices(root, engine, facts, skipped)
    ipcs = _ipcs(root, args, facts, skipped)
    return DriverInfo(libraries, libraries32, binaries, firmwares, devices, ipcs, tuple(skipped))


def _libraries(
    root: Root, ldcache: str, engine: Engine, facts: HostFacts, skipped: list[Skipped]
) -> tuple[tuple[Found, ...], tuple[Found, ...]]:
    names = [name for _, name in engine.libraries()]
    if facts.stores:
        names += WSL_LIBRARIES
    path = root.resolve(ldcache)
    shown = root.full(path)
    node = root.node(path) if path else None
    if node is None:
        raise failure(f"open failed: {shown}", "ENOENT")
    if not _readable(node):
        raise failure(f"open failed: {shown}", "EACCES")
    if not isinstance(node, File):
        raise failure(f"file mapping failed: {shown}", "ENODEV")
    if node.size == 0 and node.facts.ldcache is None:
        raise failure(f"file mapping failed: {shown}", "EINVAL")
    if node.facts.ldcache is None:
        raise EngineFailure(f"unsupported file format: {shown}")
    entries = [(e.name, e.path, e.flags) for e in node.facts.ldcache.entries]
    native, compat = _CACHE_ARCH.get(facts.machine, (0x0300, None))
    out = []
    for arch, what in ((native, "library"), (compat, "compat32 library")):
        chosen: list[Found | None] = [None] * len(names)
        if arch is not None:
            _choose(
                root, shown, [e for e in entries if e[2] & 1 and e[2] & 0xFF00 == arch], names, facts, chosen, skipped
            )
        for name, found in zip(names, chosen, strict=True):
            if found is None and arch is not None:
                why = Because(
                    f"host {shown}", f"no entry of the cache that is a {what} and begins with {name} qualifies"
                )
                skipped.append(Skipped(f"{what} {name}", (why,)))
        out.append(tuple(f for f in chosen if f is not None))
    return out[0], out[1]


def _choose(
    root: Root,
    cache: str,
    entries: list[tuple[str, str, int]],
    names: list[str],
    facts: HostFacts,
    chosen: list[Found | None],
    skipped: list[Skipped],
) -> None:
    """Fill `chosen` (one place for each of `names`) from the cache entries; a later entry that qualifies replaces an earlier one."""
    wanted = tuple(dict.fromkeys(names))
    for key, value, _ in entries:
        if not key.startswith(wanted):
            continue
        for i, name in enumerate(names):
            if not key.startswith(name):
                continue
            path = root.resolve(value)
            before = chosen[i]
            if before is not None and before.path == path:
                continue
            entry = Because(
                f"host {cache}", f"entry {key} => {value}" + (f", which is {path}" if path != value else "")
            )
            refused = _refused(root, path, before, facts)
            if refused is not None:
                skipped.append(Skipped(path, (entry, refused)))
            else:
                if before is not None:
                    later = Because(f"host {cache}", f"{path} comes later in the cache, and the last entry wins")
                    skipped.append(Skipped(before.path, (*before.because, later)))
                chosen[i] = Found(path, (entry,))
            break


def _refused(root: Root, path: str, before: Found | None, facts: HostFacts) -> Because | None:
    """Why a library of the cache is not taken; None = it is (``select_libraries``, ``select_wsl_libraries``)."""
    if facts.stores:
        if before is not None and "/wsl/lib/" in before.path:
            return Because(f"host {before.path}", "a library of the WSL directory was chosen before and is kept")
        return None
    node = root.node(path or "/")
    if node is None:
        raise failure(f"open failed: {root.full(path)}", "ENOENT")
    if isinstance(node, Special) and node.kind == "socket":
        raise failure(f"open failed: {root.full(path)}", "ENXIO")
    if not _readable(node):
        raise failure(f"open failed: {root.full(path)}", "EACCES")
    if isinstance(node, Directory):
        raise EngineFailure(f"elf file read error: {root.full(path or '/')}")
    name = path.rpartition("/")[2]
    if name.startswith("libnvidia-tls.so"):
        abi = _abi_tag(node, root.full(path))
        if abi != TLS_ABI:
            return Because(f"host {path}", f"its ABI note is {abi}, and only {TLS_ABI} is taken")
    if not name.endswith(facts.version):
        return Because(
            "host driver version", f"the name does not end with {facts.version}, the kernel module's version"
        )
    return None


def _readable(node: Node) -> bool:
    """Whether root may open a file for reading; CAP_DAC_OVERRIDE is not in effect while the engine looks around."""
    shift = 6 if node.uid == 0 else 3 if node.gid == 0 else 0
    return bool(node.mode >> shift & 0o4)


def _abi_tag(node: Node, shown: str) -> str:
    """What the section ".note.ABI-tag" says. Raises `EngineFailure` when there is none (``elftool_has_abi``)."""
    elf = node.facts.elf if isinstance(node, File) else None
    if elf is None:
        raise EngineFailure(f"elf section read error: {shown}: invalid `elf' handle")
    if elf.abi_tag is None:
        raise EngineFailure(f"elf section 0x7 missing: {shown}")
    return elf.abi_tag


def _binaries(root: Root, facts: HostFacts, skipped: list[Skipped]) -> tuple[Found, ...]:
    search = facts.env.get("PATH")
    if search is None:
        raise EngineFailure("environment variable PATH not found")
    names = [name for _, names in BINARY_GROUPS for name in names]
    found: dict[str, Found] = {}
    for name in names:
        for store in facts.stores:
            path = _existing(root, path_append(store, name))
            if path is not None:
                found[name] = Found(path, (Because(f"host {store}", f"{name} lies in the driver store"),))
    for directory in search.split(":"):
        for name in names:
            if name not in found:
                path = _existing(root, path_append(directory or ".", name))
                if path is not None:
                    found[name] = Found(path, (Because("env PATH", f"{name} is in its directory {directory or '.'}"),))
    for name in names:
        if name not in found:
            skipped.append(Skipped(f"binary {name}", (Because("env PATH", f"no directory of {search} has it"),)))
    return tuple(found[name] for name in names if name in found)


def _existing(root: Root, wanted: str) -> str | None:
    """The resolved path of `wanted` if it exists; errors of the resolution count as absence."""
    try:
        path = root.resolve(wanted)
    except EngineFailure:
        return None
    return path if root.exists(path) else None


def _firmwares(root: Root, engine: Engine, facts: HostFacts, skipped: list[Skipped]) -> tuple[Found, ...]:
    if facts.stores:
        return ()
    wanted = f"/lib/firmware/nvidia/{facts.version}"
    pattern = "gsp*.bin" if engine.has("every gsp*.bin") else "gsp.bin"
    directory = root.resolve(wanted)
    names = [n for n in root.names(directory) if fnmatchcase(n, pattern)] if directory else []
    if not names:
        why = Because(f"host {root.full(directory or wanted)}", f"there is no {pattern}")
        skipped.append(Skipped(f"firmware {wanted}/{pattern}", (why,)))
    reason = Because("host driver version", f"firmware of {facts.version}, the kernel module's version")
    return tuple(Found(f"{wanted}/{n}", (reason,)) for n in sorted(names))


def find_device(root: Root, path: str) -> tuple[int, int] | None:
    """The numbers of the device node at `path`, None when it is missing. Raises `EngineFailure`."""
    node = root.node(root.resolve(path) or "/")
    if node is None:
        return None
    return node.rdev if isinstance(node, Special) and node.rdev is not None else (0, 0)


def _devices(root: Root, engine: Engine, facts: HostFacts, skipped: list[Skipped]) -> tuple[FoundDevice, ...]:
    if facts.stores:
        # /dev/dxg is looked up outside of the driver root.
        rdev = find_device(Root(root.tree), "/dev/dxg")
        if rdev is None:
            raise failure("stat failed: /dev/dxg", "ENOENT")
        return (FoundDevice("/dev/dxg", rdev, (Because("host /dev/dxg", "the one device of WSL"),)),)
    why = Because("host driver", "every container gets the control device")
    out = [FoundDevice("/dev/nvidiactl", (DEVICE_MAJOR, CTL_MINOR), (why,))]
    for path in ("/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"):
        rdev = find_device(root, path)
        if path == "/dev/nvidia-modeset" and not engine.has("modeset node is optional"):
            rdev = (DEVICE_MAJOR, MODESET_MINOR)
        if rdev is None:
            skipped.append(Skipped(f"device {path}", (Because(f"host {root.full(path)}", "the node is missing"),)))
        else:
            out.append(FoundDevice(path, rdev, (Because(f"host {root.full(path)}", "a device of the driver"),)))
    return tuple(out)


def _ipcs(root: Root, args: CliArgs, facts: HostFacts, skipped: list[Skipped]) -> tuple[Found, ...]:
    wanted = []
    if "no-persistenced" not in args.driver_options:
        wanted.append((PERSISTENCED, "the socket of nvidia-persistenced"))
    if "no-fabricmanager" not in args.driver_options:
        wanted.append((FABRICMANAGER, "the socket of nv-fabricmanager"))
    wanted.append((facts.env.get("CUDA_MPS_PIPE_DIRECTORY", MPS_PIPE), "the pipe directory of CUDA MPS"))
    out = []
    for path, what in wanted:
        resolved = root.resolve(path)
        if root.exists(resolved):
            out.append(Found(resolved, (Because(f"host {root.full(resolved)}", what),)))
        else:
            skipped.append(Skipped(f"ipc {path}", (Because(f"host {root.full(path)}", f"{what} is missing"),)))
    return tuple(out)
