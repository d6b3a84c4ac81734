"""From findings to steps: what nvidia-container-cli mounts, links and writes, in its order, each with its reason.

Source: libnvidia-container ``src/nvc_mount.c``, ``src/cli/configure.c``. Doing the steps is `nvsim.inject.legacy.apply`.
"""

from __future__ import annotations

from collections.abc import Iterable

from nvsim.frozen import frozen
from nvsim.inject.host_view import PROC_DRIVER, busid8
from nvsim.inject.legacy.args import CliArgs
from nvsim.inject.legacy.container import ContainerFacts
from nvsim.inject.legacy.devices import SelectedGpu, SelectedMig, Selection
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.host import (
    DEVICE_MAJOR,
    FABRICMANAGER,
    MODESET_MINOR,
    PERSISTENCED,
    DriverInfo,
    Found,
    find_device,
)
from nvsim.inject.legacy.paths import EngineFailure, Root, failure, path_append
from nvsim.inject.plan import (
    DeviceNode,
    LdconfigRunPlan,
    PlannedDirectory,
    PlannedFile,
    PlannedLink,
    PlannedMount,
    PlannedStop,
    PlanStage,
    Skipped,
    Step,
)
from nvsim.rootfs.node import File
from nvsim.toolkit.request import Because

APP_PROFILE_DIR = "/etc/nvidia/nvidia-application-profiles-rc.d"
CAPS_PROC = f"{PROC_DRIVER}/capabilities"
CAPS_DEV = "/dev/nvidia-caps"
IMEX_DEV = "/dev/nvidia-caps-imex-channels"
_FILE_FLAGS = ("ro", "nosuid", "nodev")
_IPC_FLAGS = ("rw", "nosuid", "nodev", "noexec")
_DEVICE_FLAGS = ("ro", "nosuid", "noexec")
_PROC_FLAGS = ("ro", "nosuid", "nodev", "noexec")
_TMPFS_FLAGS = ("rw", "nosuid", "nodev", "noexec")
# Base name of a mounted library begins with -> (link, target; "" = the mounted file's own name).
_LINKS = (
    ("libcuda.so", "libcuda.so", "libcuda.so.1"),
    ("libGLX_nvidia.so", "libGLX_indirect.so.0", ""),
    ("libnvidia-opticalflow.so", "libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1"),
)
_DRIVER_KINDS = ("proc", "config", "binary", "library", "library32", "compat-library", "firmware", "ipc", "device")
_LIBRARY_KINDS = ("library", "library32")


@frozen
class Setting:
    """Everything the steps follow from. `caps_major` is the major number of nvidia-caps devices, None = there are none.

    `imex` are the channel ids asked for; `store` is the WSL driver store that is mounted (None: no WSL).
    """

    root: Root
    args: CliArgs
    engine: Engine
    info: DriverInfo
    container: ContainerFacts
    selected: Selection
    mig_config: Selection
    mig_monitor: Selection
    caps_major: int | None = None
    imex: tuple[int, ...] = ()
    store: str | None = None

    def because_flags(self, flags: tuple[str, ...]) -> tuple[str | None, tuple[Because, ...]]:
        """The first given flag of `flags`, and it as a reason."""
        for flag in flags:
            if self.args.has(flag):
                return flag, (Because(f"option --{flag}", f"driver capability {flag} asks for it"),)
        return None, ()


@frozen
class Steps:
    """The result: stages in order, device nodes with their cgroup rule, and what was found but is not injected."""

    stages: tuple[PlanStage, ...]
    device_nodes: tuple[DeviceNode, ...]
    skipped: tuple[Skipped, ...]


def plan_steps(setting: Setting) -> Steps:
    """All stages. What is already known to fail is a `PlannedStop` at its place, with the text behind "mount error: "."""
    skipped: list[Skipped] = []
    nodes: list[DeviceNode] = []
    stages = [PlanStage("driver", _until_failure(_driver(setting, nodes, skipped)), _DRIVER_KINDS)]
    mask = 0
    for selected in setting.selected.gpus:
        mask |= 1 << selected.gpu.minor
        steps = _store_files(setting) if setting.store else _gpu(setting, selected, mask, nodes)
        stages.append(PlanStage(f"GPU {selected.index}", _until_failure(steps), ("device", "gpu-proc")))
    if setting.mig_config.all or setting.mig_monitor.all:
        for what, selection in (("config", setting.mig_config), ("monitor", setting.mig_monitor)):
            if selection.gpus:
                stages.append(PlanStage(f"MIG {what}", _until_failure(_mig_admin(setting, what)), ("mig",)))
    else:
        for mig in setting.selected.migs:
            steps = _mig(setting, mig, nodes)
            stages.append(PlanStage(f"MIG device {mig.device.uuid}", _until_failure(steps), ("mig",)))
    for channel in setting.imex:
        stages.append(PlanStage(f"IMEX channel {channel}", _until_failure(_imex(setting, channel, nodes)), ("device",)))
    return Steps(tuple(stages), tuple(nodes), tuple(skipped))


def _until_failure(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, up to the one whose preparation fails."""
    out: list[Step] = []
    try:
        for step in steps:
            out.append(step)
    except EngineFailure as e:
        out.append(PlannedStop(str(e)))
    return tuple(out)


def ldconfig_plan(container: ContainerFacts) -> LdconfigRunPlan:
    """The ldconfig run that ends the work."""
    host = container.ldconfig.startswith("@")
    program = container.ldconfig[1:] if host else container.ldconfig
    directories = [container.compat_dir] if container.compat_dir else []
    argv = (
        program,
        "-f",
        "/etc/ld.so.conf",
        "-C",
        "/etc/ld.so.cache",
        *directories,
        container.libs_dir,
        container.libs32_dir,
    )
    return LdconfigRunPlan(program, "host" if host else "container", argv, container.because_ldconfig)


def _driver(setting: Setting, nodes: list[DeviceNode], skipped: list[Skipped]) -> Iterable[Step]:
    """The stage that every container gets (``nvc_driver_mount``)."""
    info, args = setting.info, setting.args
    if setting.store is None:
        yield from _procfs(setting, skipped)
        flag, why = setting.because_flags(("graphics", "display"))
        if flag:
            yield PlannedMount("tmpfs", APP_PROFILE_DIR, "config", _TMPFS_FLAGS, "tmpfs", "none", flag, why, 0o555)
    groups: list[tuple[str, str, tuple[Found, ...]]] = [
        ("binary", setting.container.bins_dir, info.binaries),
        ("library", setting.container.libs_dir, info.libraries),
    ]
    if args.has("compat32"):
        groups.append(("library32", setting.container.libs32_dir, info.libraries32))
    else:
        why32 = (Because("option --compat32", "it is not given"),)
        skipped += [Skipped(f.path, (*f.because, *why32)) for f in info.libraries32]
    made: list[PlannedMount] = []
    for kind, directory, files in groups:
        steps = _files(setting, kind, directory, files, skipped)
        made += [s for s in steps if isinstance(s, PlannedMount)]
        yield from steps
    yield from _links(made)
    yield from _compat(setting, skipped)
    follow = setting.engine.has("follows links at targets")
    for found in info.firmwares:
        source = setting.root.full(setting.root.resolve(found.path))
        yield PlannedMount(source, found.path, "firmware", _FILE_FLAGS, because=found.because, follow=follow)
    yield from _ipcs(setting, skipped)
    yield from _driver_devices(setting, nodes, skipped)


def _procfs(setting: Setting, skipped: list[Skipped]) -> Iterable[Step]:
    why = (Because(f"host {PROC_DRIVER}", "every container sees a copy of the driver's parameters"),)
    yield PlannedMount("tmpfs", PROC_DRIVER, "proc", _TMPFS_FLAGS, "tmpfs", "none", None, why, 0o555, create=False)
    for name in ("params", "version", "registry"):
        path = f"{PROC_DRIVER}/{name}"
        node = setting.root.node(path)
        if not isinstance(node, File):
            skipped.append(Skipped(path, (Because(f"host {setting.root.full(path)}", "it does not exist"),)))
            continue
        text = node.facts.text or ""
        if name == "params":
            text = text.replace("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0", 1)
        yield PlannedFile(
            path, text, node.mode & 0o777 & ~0o022, (Because(f"host {setting.root.full(path)}", "copied"),)
        )


def _files(setting: Setting, kind: str, directory: str, files: tuple[Found, ...], skipped: list[Skipped]) -> list[Step]:
    """The target directory, which is made even when nothing follows, and the files that a flag asks for (``mount_files``)."""
    if not files:
        return []
    where = setting.container.because
    steps: list[Step] = [PlannedDirectory(directory, because=where)]
    follow = setting.engine.has("follows links at targets")
    for found in files:
        name = found.path.rpartition("/")[2]
        flags = setting.engine.wanting_flags(name)
        flag, why = setting.because_flags(flags or ())
        if flags is None or (flags and flag is None):
            skipped.append(Skipped(found.path, (*found.because, _not_asked(flags))))
            continue
        placed = where if kind != "binary" else ()
        steps.append(
            PlannedMount(
                setting.root.full(found.path),
                path_append(directory, name),
                kind,
                _FILE_FLAGS,
                capability=flag,
                because=(*why, *found.because, *placed),
                follow=follow,
            )
        )
    return steps


def _not_asked(flags: tuple[str, ...] | None) -> Because:
    if not flags:
        return Because("engine", "its name is not one that this engine mounts")
    names = " or ".join(f"--{f}" for f in flags)
    return Because(f"option {names}", "it is not given")


def _links(mounts: list[PlannedMount]) -> Iterable[Step]:
    """The links that the engine makes beside what it mounted (``symlink_libraries``)."""
    for mount in mounts:
        directory, _, name = mount.dst.rpartition("/")
        for prefix, link, target in _LINKS:
            if name.startswith(prefix) and mount.kind in _LIBRARY_KINDS:
                why = (Because(f"host {mount.src}", f"applications expect {link} beside {name}"),)
                yield PlannedLink(f"{directory}/{link}", target or name, why, mount.dst, prefix)
                break


def _compat(setting: Setting, skipped: list[Skipped]) -> Iterable[Step]:
    container = setting.container
    if container.compat_mode != "mount" or not container.compat:
        return
    yield PlannedDirectory(container.libs_dir, because=container.because)
    follow = setting.engine.has("follows links at targets")
    for path in container.compat:
        name = path.rpartition("/")[2]
        flags = setting.engine.wanting_flags(name)
        flag, why = setting.because_flags(flags or ())
        because = (Because(f"image {path}", "a CUDA compatibility library of the image (--cuda-compat-mode=mount)"),)
        if flags is None or (flags and flag is None):
            skipped.append(Skipped(path, (*because, _not_asked(flags))))
            continue
        target = path_append(container.libs_dir, name)
        yield PlannedMount(
            path, target, "compat-library", _FILE_FLAGS, "bind", "container", flag, (*why, *because), follow=follow
        )


def _ipcs(setting: Setting, skipped: list[Skipped]) -> Iterable[Step]:
    for found in setting.info.ipcs:
        # A suffix test: /run/nvidia-persistenced/socket ends the unresolved /var/run/... name.
        utility = PERSISTENCED.endswith(found.path) or FABRICMANAGER.endswith(found.path)
        flags = ("utility",) if utility else ("compute", "video")
        flag, why = setting.because_flags(flags)
        if flag is None:
            skipped.append(Skipped(found.path, (*found.because, _not_asked(flags))))
            continue
        source = setting.root.full(found.path)
        yield PlannedMount(source, found.path, "ipc", _IPC_FLAGS, capability=flag, because=(*why, *found.because))


def _driver_devices(setting: Setting, nodes: list[DeviceNode], skipped: list[Skipped]) -> Iterable[Step]:
    for device in setting.info.devices:
        flag: str | None = None
        why: tuple[Because, ...] = ()
        flags: tuple[str, ...] = ()
        if setting.store is None:
            if device.rdev[0] != DEVICE_MAJOR:
                flags = ("compute", "video")
            elif device.rdev[1] == MODESET_MINOR:
                flags = ("display",)
            flag, why = setting.because_flags(flags)
            if flags and flag is None:
                skipped.append(Skipped(device.path, (*device.because, _not_asked(flags))))
                continue
        yield from _device(setting, device.path, device.rdev, flag, (*why, *device.because), nodes)


def _device(
    setting: Setting,
    path: str,
    rdev: tuple[int, int] | None,
    flag: str | None,
    because: tuple[Because, ...],
    nodes: list[DeviceNode],
) -> Iterable[Step]:
    source = setting.root.full(path)
    nodes.append(DeviceNode(path, source, rdev, "" if setting.args.has("no-cgroups") else "rw", because))
    if not setting.args.has("no-devbind"):
        yield PlannedMount(source, path, "device", _DEVICE_FLAGS, capability=flag, because=because)


def _gpu(setting: Setting, selected: SelectedGpu, mask: int, nodes: list[DeviceNode]) -> Iterable[Step]:
    """One GPU (``device_mount_native``): its node, its /proc directory, its bit in the application profile."""
    gpu, because = selected.gpu, selected.because
    yield from _device(setting, f"/dev/nvidia{gpu.minor}", (DEVICE_MAJOR, gpu.minor), None, because, nodes)
    wide, short = (f"{PROC_DRIVER}/gpus/{bus}" for bus in (busid8(gpu.pci), busid8(gpu.pci)[4:]))
    path = wide if setting.root.node(wide) is not None else short
    yield PlannedMount(setting.root.full(path), path, "gpu-proc", _PROC_FLAGS, because=because)
    flag, why = setting.because_flags(("graphics", "display"))
    if flag:
        yield PlannedFile(f"{APP_PROFILE_DIR}/10-container.conf", _profile(mask), 0o555, (*why, *because))


def _profile(mask: int) -> str:
    return (
        f'{{ "profiles": [{{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", 0x{mask:x}]}}],'
        ' "rules": [{"pattern": [], "profile": "_container_"}]}'
    )


def _store_files(setting: Setting) -> Iterable[Step]:
    """The driver store of adapter 0, once a GPU (``device_mount_dxcore``)."""
    assert setting.store is not None
    why = (Because(f"host {setting.store}", "a file of the WSL driver store"),)
    yield PlannedDirectory(setting.store, because=why)
    for name in setting.engine.driver_store():
        path = path_append(setting.store, name)
        if setting.root.node(path) is not None:
            yield PlannedMount(setting.root.full(path), path, "library", _FILE_FLAGS, because=why)


def _mig(setting: Setting, mig: SelectedMig, nodes: list[DeviceNode]) -> Iterable[Step]:
    """One MIG device: the access files of its GPU instance and compute instance (``nvc_mig_device_access_caps_mount``)."""
    top = f"{CAPS_PROC}/gpu{mig.parent.gpu.minor}/mig/gi{mig.device.gi}"
    for path in (f"{top}/access", f"{top}/ci{mig.device.ci}/access"):
        yield PlannedMount(setting.root.full(path), path, "mig", _PROC_FLAGS, because=mig.because)
        if setting.caps_major is not None:
            minor = _cap_minor(setting.root, path)
            yield from _device(
                setting, f"{CAPS_DEV}/nvidia-cap{minor}", (setting.caps_major, minor), None, mig.because, nodes
            )


def _mig_admin(setting: Setting, what: str) -> Iterable[Step]:
    given = setting.args.mig_config if what == "config" else setting.args.mig_monitor
    why = (Because(f"option --mig-{what}={given}", "all capability files"),)
    yield PlannedMount(setting.root.full(CAPS_PROC), CAPS_PROC, "mig", _PROC_FLAGS, because=why)
    if setting.caps_major is not None:
        yield PlannedMount(setting.root.full(CAPS_DEV), CAPS_DEV, "mig", ("rw", "nosuid", "noexec"), because=why)
        _cap_minor(setting.root, f"{CAPS_PROC}/mig/{what}")


def _imex(setting: Setting, channel: int, nodes: list[DeviceNode]) -> Iterable[Step]:
    path = f"{IMEX_DEV}/channel{channel}"
    why = (Because(f"option --imex-channel={setting.args.imex_channels}", f"channel {channel}"),)
    yield from _device(setting, path, find_device(setting.root, path), None, why, nodes)


def _cap_minor(root: Root, path: str) -> int:
    """The minor number of a capability's device node. Raises `EngineFailure`."""
    minor = cap_minor(root, path)
    if minor is None:
        raise failure(f"unable to get cap device attributes: {path}", "ENOENT")
    return minor


def cap_minor(root: Root, path: str) -> int | None:
    """The minor number that a capability file tells (nvidia-modprobe ``nvidia_cap_get_device_file_attrs``)."""
    node = root.node(path)
    for line in (node.facts.text or "").splitlines() if isinstance(node, File) else ():
        key, _, value = line.partition(":")
        if key == "DeviceFileMinor" and value.strip().isdigit():
            return int(value)
    return None
