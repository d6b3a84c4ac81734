"""Doing a CDI plan as the low-level runtime does it: bind mounts, device nodes, then the hooks (runc ``libcontainer/rootfs_linux.go``).

Failure texts are runc's, without what runc itself puts before them ("unable to start container process: ...").
"""

from __future__ import annotations

import posixpath

from nvsim.frozen import define, field
from nvsim.inject.cdi.plan import STAGES, is_nvidia_hook
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.log import ToolFailure
from nvsim.inject.plan import DeviceNode, Effect, HookRun, Injected, InjectionPlan, PlannedMount
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Special
from nvsim.rootfs.overlay import Editor, Mount, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import MemoryTree, join, parent_of
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release

ENGINE = "engine"
_BEFORE_START = ("prestart", "createRuntime", "createContainer")
_IN_ROOT = ("createContainer",)
_KINDS = {"c": "char", "u": "char", "b": "block", "p": "fifo"}


@define
class _Work:
    editor: Editor
    effects: list[Effect] = field(factory=list)


def prepare(plan: InjectionPlan, rootfs: RootFS, host: CdiHost, *, userns: bool = False) -> Injected:
    """The first half of doing `plan`: mounts and device nodes, on the root as the engine prepared it.

    `userns`: in a user namespace device nodes are bind-mounted, as mknod is not allowed. A step that fails leaves its predecessors in place.
    """
    if plan.failure is not None:
        return Injected(rootfs, (), plan.failure, 1)
    work = _Work(rootfs.edit())
    try:
        for mount in plan.mounts:
            _mount(work, host, mount)
        for node in plan.device_nodes:
            if userns:
                _bound_device(work, host, node)
            else:
                _device(work, node)
    except ToolFailure as e:
        return Injected(work.editor.freeze(), tuple(work.effects), e.text, 1)
    return Injected(work.editor.freeze(), tuple(work.effects))


def run_hooks(
    plan: InjectionPlan,
    prepared: Injected,
    host: CdiHost,
    *,
    readonly: bool = False,
    release: Release | None = None,
) -> Injected:
    """The second half: the hooks that run before the container starts, on a prepared root.

    `readonly`: the root is read-only while they run (it usually is not: the runtime makes it so after them); `release`: of the hook programs.
    """
    return _run_hooks(plan.hooks, prepared.rootfs, prepared.effects, host, readonly, release)


def _run_hooks(
    hooks: tuple[HookRun, ...],
    rootfs: RootFS,
    effects: tuple[Effect, ...],
    host: CdiHost,
    readonly: bool,
    release: Release | None,
) -> Injected:
    serial = 0
    for stage in STAGES:
        for index, hook in enumerate(h for h in hooks if h.stage == stage and stage in _BEFORE_START):
            step = f"error running hook #{index}"
            if not isinstance(host.resolver.resolve(hook.path), Resolved):
                return Injected(rootfs, effects, f"{step}: fork/exec {hook.path}: {ERRNO_TEXT['ENOENT']}", 1)
            if stage not in _IN_ROOT or not is_nvidia_hook(hook.path, hook.argv):
                continue
            from nvsim.inject.hooks.command import run_hook  # few containers have a hook that this is

            result = run_hook(hook.argv, rootfs, host, readonly=readonly, serial=serial, release=release)
            rootfs, serial = result.rootfs, result.serial
            effects += result.effects
            if result.rc:
                status = f"exit status {result.rc}"
                failure = f"{step}: error running hook: {status}, stdout: , stderr: {_printed(result.log)}"
                return Injected(rootfs, effects, failure, 1)
    return Injected(rootfs, effects)


def _printed(log: tuple[tuple[str, str], ...]) -> str:
    """Log lines as the hook prints them to a pipe; times are not known."""
    lines = (m if level == "raw" else f'time="<time>" level={level} msg={_logged(m)}' for level, m in log)
    return "".join(f"{line}\n" for line in lines)


def _logged(message: str) -> str:
    """A message as logrus writes it: quoted, unless it is one plain word."""
    plain = message and all(c.isascii() and (c.isalnum() or c in "-._/@^+") for c in message)
    return message if plain else go_quote(message)


def _mount(work: _Work, host: CdiHost, mount: PlannedMount) -> None:
    if mount.fstype not in ("bind", ""):
        _special_mount(work, mount)
        return
    found = host.resolver.resolve(mount.src)
    if isinstance(found, PathError):
        raise _mount_failed(mount, f"stat {mount.src}: {ERRNO_TEXT.get(found.errno, found.errno)}")
    path = _place(work, mount, isinstance(found.node, Directory))
    origin = Origin("host", mount.src)
    made = Mount(path, mount.src, frozenset(mount.flags))
    if isinstance(found.node, Directory):
        work.editor.mount_directory(made, host.tree, found.path, origin)
    else:
        work.editor.mount_node(made, found.node, origin)
    work.effects.append(Effect("mount", path, f"host {mount.src}", ENGINE))


def _special_mount(work: _Work, mount: PlannedMount) -> None:
    """A mount that is no bind mount: an empty file system."""
    path = _place(work, mount, True)
    made = Mount(path, mount.src, frozenset(mount.flags), mount.fstype)
    empty = MemoryTree(f"{mount.fstype} {path}", {})
    work.editor.mount_directory(made, empty, "/", Origin(ENGINE, mount.fstype))
    work.effects.append(Effect("mount", path, mount.fstype, ENGINE))


def _mount_failed(mount: PlannedMount, why: str) -> ToolFailure:
    return ToolFailure(f"error mounting {go_quote(mount.src)} to rootfs at {go_quote(mount.dst)}: {why}")


def _place(work: _Work, mount: PlannedMount, directory: bool) -> str:
    """The canonical path of a mount point, links followed inside the root; a missing one is made. Raises `ToolFailure`."""
    path, error = mount_point(work.editor, mount.dst)
    if error is not None:
        raise _mount_failed(mount, f"mkdir {path}: {error}")
    node = work.editor.node(path)
    if node is None:
        over = work.editor.mount_at(parent_of(path))
        if over is not None and "ro" in over.flags:
            raise _mount_failed(mount, f"open {path}: {ERRNO_TEXT['EROFS']}")
        origin = Origin(ENGINE, "mount point")
        made: Directory | File = Directory(origin=origin)
        if not directory:
            made = File(0, ("mount point", path), FileFacts(text=""), origin=origin)
        work.editor.put(path, made)
        work.effects.append(Effect("directory" if directory else "file", path, "mount point", ENGINE))
    elif isinstance(node, Directory) != directory:
        raise _mount_failed(mount, "not a directory")
    return path


def mount_point(editor: Editor | RootFS, dst: str) -> tuple[str, str | None]:
    """Where a mount at `dst` lands (filepath-securejoin's SecureJoin): links stay inside the root, missing parts are taken as they are.

    The second value is the error of what is in the way.
    """
    found = Resolver(editor).resolve("/" + dst.strip("/"))
    if isinstance(found, Resolved):
        return found.path, None
    if found.errno != "ENOENT":
        return dst, ERRNO_TEXT.get(found.errno, found.errno)
    path = found.parent
    for part in found.rest.split("/"):
        path = parent_of(path) if part == ".." else path if part in ("", ".") else join(path, part)
    return path, None


def _bound_device(work: _Work, host: CdiHost, node: DeviceNode) -> None:
    """Bind the host's node where one would be made (runc ``bindMountDeviceNode``): it keeps the host's owner and mode."""
    found = host.resolver.resolve(node.path)
    if isinstance(found, PathError):
        raise ToolFailure(f"error creating device nodes: open {node.path}: {ERRNO_TEXT.get(found.errno, found.errno)}")
    path, error = mount_point(work.editor, node.path)
    if error is not None:
        raise ToolFailure(f"error creating device nodes: mkdir {posixpath.dirname(node.path)}: {error}")
    work.editor.mount_node(Mount(path, node.path), found.node, Origin("host", node.path))
    work.effects.append(Effect("mount", path, f"host {node.path}", ENGINE))


def _device(work: _Work, node: DeviceNode) -> None:
    """Make a device node; one that is there already stays (mknod says EEXIST, which the runtime ignores)."""
    path, error = mount_point(work.editor, node.path)
    if error is not None:
        raise ToolFailure(f"error creating device nodes: mkdir {posixpath.dirname(node.path)}: {error}")
    if work.editor.node(path) is not None:
        return
    mode = 0o666 if node.mode is None else node.mode
    special = Special(
        _KINDS.get(node.type, "char"), node.rdev, mode, node.uid, node.gid, Origin("host", node.host_path)
    )
    work.editor.put(path, special)
    work.effects.append(Effect("device", path, f"host {node.host_path}", ENGINE))
