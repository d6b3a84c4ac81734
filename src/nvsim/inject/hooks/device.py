"""The hooks disable-device-node-modification and update-application-profile (toolkit: ``cmd/nvidia-cdi-hook``)."""

from __future__ import annotations

import re

from nvsim.inject.hooks.root import ContainerRoot, PathFailure
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import Directory, File, FileFacts, Special
from nvsim.rootfs.overlay import Mount
from nvsim.rootfs.resolve import Resolved
from nvsim.rootfs.tree import MemoryTree, join

PARAMS = "/proc/driver/nvidia/params"
PROFILE_DIR = "/etc/nvidia/nvidia-application-profiles-rc.d"
PROFILE = "10-container.conf"
_GPU_NODE = re.compile(r"nvidia[0-9]+\Z")


def modified_params(text: str | None) -> str | None:
    """The driver's parameters with the creation of device nodes forbidden; None when it is not allowed anyway."""
    if text is None:
        return None
    lines = text.splitlines()
    if "ModifyDeviceFiles: 1" not in lines or "ModifyDeviceFiles: 0" in lines:
        return None
    changed = ("ModifyDeviceFiles: 0" if line == "ModifyDeviceFiles: 1" else line for line in lines)
    return "".join(f"{line}\n" for line in changed)


def disable_device_node_modification(root: ContainerRoot, host_params: str | None) -> None:
    """Mount a changed copy of the driver's parameters over the container's. Raises `ToolFailure`."""
    text = modified_params(host_params)
    if text is None:
        return
    try:
        scratch = root.make_directories("run/" + root.random_name("nvidia-ctk-hook*", uuid=True), 0o755, confined=True)
    except ToolFailure as e:
        raise e.within("error creating hook scratch folder") from None
    file = File(len(text.encode()), (f"hook {root.by}", f"nvct-params#{root.serial}"), FileFacts(text=text), 0o444)
    tmpfs = MemoryTree(f"tmpfs {root.by} {root.serial}", {"/": Directory(0o1777), "/nvct-params": file})
    root.editor.mount_directory(Mount(scratch, "tmpfs", frozenset(), "tmpfs"), tmpfs, "/", root.origin)
    params = root.resolver.resolve(PARAMS)
    mount = root.editor.mount_at(PARAMS)
    if isinstance(params, Resolved):
        at = params.path
    elif mount is not None and mount.fstype == "proc":
        at = PARAMS  # the kernel shows it in every proc file system
    else:
        missing = PathFailure("open o_path procfd: open", f"{root.shown}{PARAMS}", params.errno)
        raise missing.within("failed to mount modified params file")
    flags = frozenset(("ro", "nodev", "nosymfollow"))
    root.editor.mount_node(Mount(at, join(scratch, "nvct-params"), flags), file, root.origin)
    root.record("mount", at, "ModifyDeviceFiles: 0")


def update_application_profile(root: ContainerRoot, log: ToolLog) -> None:
    """Write which GPUs EGL may use, from the minor numbers of the container's GPU nodes. Raises `ToolFailure`."""
    found = root.resolver.resolve("/dev")
    if not isinstance(found, Resolved) or not isinstance(found.node, Directory):
        return
    mask = 0
    for name in root.editor.names(found.path):
        node = root.editor.node(join(found.path, name))
        if not _GPU_NODE.match(name) or not isinstance(node, Special) or node.kind != "char" or node.rdev is None:
            continue
        minor = node.rdev[1]
        if minor >= 64:
            log.warning(f"dropping invalid minor number {minor}: must be in range [0, 63]")
        else:
            mask |= 1 << minor
    if mask == 0:
        return
    try:
        folder = root.make_directories(PROFILE_DIR.lstrip("/"), 0o555, confined=True)
    except ToolFailure as e:
        raise e.within("failed to create application profiles directory") from None
    path = join(folder, PROFILE)
    try:
        root.check_writable(path, "openat", f"{PROFILE_DIR}/{PROFILE}".lstrip("/"))
        if isinstance(root.editor.node(path), Directory):
            raise PathFailure("openat", f"{PROFILE_DIR}/{PROFILE}".lstrip("/"), "EISDIR")
    except ToolFailure as e:
        raise e.within("failed to write application profile") from None
    settings = f'{{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x{mask:x}]}}'
    root.write(path, f'{{"profiles":[{settings}],"rules":[{{"pattern":[],"profile":"_container_"}}]}}', 0o444)
