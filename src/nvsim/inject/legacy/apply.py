"""Doing a plan: each step on the root as the steps before it left it, the clean-up of a stage that fails, and the ldconfig run.

Source: libnvidia-container ``src/nvc_mount.c``, ``src/utils.c`` (``file_create``, ``file_remove``), ``src/nvc_ldcache.c``.
"""

from __future__ import annotations

from nvsim.frozen import define, evolve, field
from nvsim.host.profile import HostProfile
from nvsim.inject.host_view import host_view
from nvsim.inject.legacy.args import PROGRAM
from nvsim.inject.legacy.engine import Engine, engine_named
from nvsim.inject.legacy.ldconfig import run_planned_ldconfig
from nvsim.inject.legacy.paths import EngineFailure, Root, failure, path_append, st_mode
from nvsim.inject.legacy.run import ROOTFS
from nvsim.inject.plan import (
    Effect,
    Injected,
    InjectionPlan,
    PlannedDirectory,
    PlannedFile,
    PlannedLink,
    PlannedMount,
    PlannedStop,
    PlanStage,
    Step,
)
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Special, Symlink
from nvsim.rootfs.overlay import Editor, Mount, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import MemoryTree, Tree, join, parent_of

ENGINE = "engine"
_ORIGIN = Origin("engine", PROGRAM)
_UMASK = 0o022
_FILE_KINDS = ("binary", "library", "library32", "compat-library", "firmware")


@define
class _Work:
    """The root being worked on and the journal of what was done to it."""

    editor: Editor
    host: Resolver
    engine: Engine
    numbers: dict[str, tuple[int, int] | None]  # device node -> what the engine expects it to be
    effects: list[Effect] = field(factory=list)
    landed: dict[str, str] = field(factory=dict)  # dst of a mount as planned -> where it is

    @property
    def root(self) -> Root:
        return Root(self.editor, ROOTFS)


def apply(plan: InjectionPlan, rootfs: RootFS, host: HostProfile) -> Injected:
    """Carry out a plan of the legacy engine on `rootfs`, the root as the runtime prepared it.

    A step that fails leaves its predecessors, except what its stage takes back. `failure` of the result is the program's stderr.
    """
    if plan.failure is not None:
        return Injected(rootfs, (), plan.failure, 1)
    engine = engine_named(plan.engine_version or "")
    view = host_view(host, plan.driver_root)
    work = _Work(rootfs.edit(), Resolver(view), engine, {d.path: d.rdev for d in plan.device_nodes})
    for stage in plan.stages:
        try:
            _do_stage(work, stage)
        except EngineFailure as e:
            text = f"{PROGRAM}: mount error: {e}"
            return Injected(work.editor.freeze(), tuple(work.effects), text, 1)
    if plan.ldconfig is None:
        return Injected(work.editor.freeze(), tuple(work.effects))
    done = run_planned_ldconfig(plan.ldconfig, work.editor.freeze(), host, engine)
    effects = (*work.effects, *done.effects)
    if done.failure is not None:
        return Injected(done.rootfs, effects, f"{PROGRAM}: ldcache error: {done.failure}", 1, done.log)
    return Injected(done.rootfs, effects, log=done.log)


def _do_stage(work: _Work, stage: PlanStage) -> None:
    before, effects = work.editor.freeze(), len(work.effects)
    undo: list[tuple[PlannedMount, str]] = []
    for step in stage.steps:
        try:
            _do(work, step, undo)
        except EngineFailure:
            if stage.undo:
                _take_back(work, stage, before, effects, undo)
            raise


def _do(work: _Work, step: Step, undo: list[tuple[PlannedMount, str]]) -> None:
    if isinstance(step, PlannedMount):
        _mount(work, step, undo)
    elif isinstance(step, PlannedDirectory):
        _create(work, work.root.resolve(step.path), 0o040000 | step.mode)
    elif isinstance(step, PlannedLink):
        _link(work, step)
    elif isinstance(step, PlannedStop):
        raise EngineFailure(step.text)
    else:
        _write(work, step)


def _take_back(
    work: _Work, stage: PlanStage, before: RootFS, effects: int, undo: list[tuple[PlannedMount, str]]
) -> None:
    """Unmount what the stage mounted and remove the empty places; directories made on the way and links stay."""
    taken = {path for step, path in undo if step.kind in stage.undo}
    kept = [e for e in work.effects[effects:] if e.path not in taken and not _below(e.path, taken)]
    after, editor = work.editor.freeze(), before.edit()
    for _, path in undo:
        if path not in taken:
            _remount(editor, path, after)
    for effect in kept:
        node = after.node(effect.path)
        if effect.kind in ("directory", "symlink", "file") and node is not None:
            editor.put(effect.path, node)
    for path in sorted(taken, key=len, reverse=True):
        node = editor.node(path)
        empty = node.size == 0 if isinstance(node, File) else isinstance(node, Directory) and not editor.names(path)
        if empty and not path.startswith("/proc/"):
            editor.remove(path)
    work.editor = editor
    work.effects[effects:] = [*kept, *(Effect("unmount", p, "the stage failed", ENGINE) for p in sorted(taken))]


def _below(path: str, tops: set[str]) -> bool:
    return any(path.startswith(f"{top}/") for top in tops)


def _remount(editor: Editor, path: str, after: RootFS) -> None:
    """Mount again, on the root as it was before the stage, what stays of it. (Only device nodes do.)"""
    node, mount = after.node(path), after.mount_at(path)
    if node is not None and mount is not None and not isinstance(node, Directory):
        editor.mount_node(mount, node, node.origin)


def _mount(work: _Work, step: PlannedMount, undo: list[tuple[PlannedMount, str]]) -> None:
    root = work.root
    if step.fstype == "tmpfs":
        path = root.resolve(step.dst)
        if step.create:
            _create(work, path, 0o040000 | step.mode)
        if not isinstance(root.node(path), Directory):
            raise failure(
                f"mount operation failed: {root.full(path)}", "ENOENT" if root.node(path) is None else "ENOTDIR"
            )
        top = Directory(step.mode, origin=_ORIGIN)
        mount = Mount(path, "tmpfs", frozenset(step.flags), "tmpfs")
        undo.append((step, path))
        work.editor.mount_directory(mount, MemoryTree("tmpfs", {"/": top}), "/", _ORIGIN)
        work.effects.append(Effect("mount", path, "tmpfs", ENGINE))
        return
    source = _source(work, step)
    path = _target(work, step, st_mode(source.node))
    literal = step.kind == "firmware" and not step.follow
    _create(work, path, st_mode(source.node), shown=step.dst if literal else path)
    if isinstance(source.node, Directory) != isinstance(work.editor.node(path), Directory):
        raise failure(f"mount operation failed: {step.src}", "ENOTDIR")
    undo.append((step, path))
    mount = Mount(path, source.path, frozenset(step.flags), "bind")
    origin = Origin("host" if step.src_side == "host" else "image", step.src)
    if isinstance(source.node, Directory):
        tree: Tree = work.host.tree if step.src_side == "host" else work.editor.freeze()
        work.editor.mount_directory(mount, tree, source.path, origin)
    else:
        work.editor.mount_node(mount, source.node, origin)
    work.landed[step.dst] = path
    work.effects.append(Effect("mount", path, f"{step.src_side} {step.src}", ENGINE))


def _source(work: _Work, step: PlannedMount) -> Resolved:
    """What is mounted. Files are checked more strictly by newer engines, devices by their numbers."""
    host = step.src_side == "host"
    resolver = work.host if host else Resolver(work.editor)
    strict = work.engine.has("checks the type of sources") and step.kind in _FILE_KINDS
    found = resolver.resolve(step.src, follow=not strict)
    if isinstance(found, PathError):
        raise failure(f"stat failed: {step.src if host else path_append(ROOTFS, step.src)}", found.errno)
    if strict and isinstance(found.node, Directory | Symlink):
        raise EngineFailure(f"unexpected source file mode {st_mode(found.node):o} for {step.src}")
    if step.kind == "device":
        numbers = found.node.rdev if isinstance(found.node, Special) else None
        if (numbers or (0, 0)) != work.numbers.get(step.dst):
            raise EngineFailure(f"invalid device node: {step.src}")
    return found


def _target(work: _Work, step: PlannedMount, mode: int) -> str:
    """Where the mount point lies: fully resolved, or (old engines, files) only its directory.

    An old engine follows a link after all when it leads to a file of exactly the source's `mode`: then nothing is created and
    mount(2) follows it. An absolute link leads out of the container there and counts as one that leads nowhere.
    """
    if step.follow:
        return work.root.resolve(step.dst)
    directory = _unresolved(work, step.dst) if step.kind == "firmware" else work.root.resolve(parent_of(step.dst))
    path = join(directory or "/", step.dst.rpartition("/")[2])
    node = work.editor.node(path)
    if isinstance(node, Symlink) and not node.target.startswith("/"):
        found = Resolver(work.editor).resolve(path)
        if isinstance(found, Resolved) and st_mode(found.node) == mode:
            return found.path
    return path


def _unresolved(work: _Work, path: str) -> str:
    """The directory of `path` where an old engine makes the place of a firmware file: links on the way are the kernel's to follow.

    An absolute link leads out of the container there; one whose target the container lacks counts as one that leads nowhere.
    """
    shown = f"file creation failed: {path_append(ROOTFS, path)}"
    resolver, directory = Resolver(work.editor), "/"
    names = parent_of(path).strip("/").split("/")
    for i, name in enumerate(names):
        found = resolver.resolve(join(directory, name))
        if isinstance(found, Resolved):
            if not isinstance(found.node, Directory):
                raise failure(shown, "ENOTDIR")
            directory = found.path
        elif found.errno != "ENOENT":
            raise failure(shown, found.errno)
        elif work.editor.node(join(directory, name)) is not None:
            raise failure(shown, "EEXIST")
        else:
            return join(directory, "/".join(names[i:]))
    return directory


def _create(work: _Work, path: str, mode: int, *, shown: str | None = None) -> None:
    """Make the mount point `path` of the type of `mode` (``file_create`` without data); messages name it `shown`."""
    editor = work.editor
    node = editor.node(path)
    if node is not None and st_mode(node) == mode and work.engine.has("keeps fitting targets"):
        return
    shown = f"file creation failed: {path_append(ROOTFS, shown or path)}"
    _ancestors(work, parent_of(path), shown)
    if mode & 0o170000 == 0o040000:
        if node is None:
            _writable(work, path, shown)
            _make_directory(work, path, 0o777 & ~_UMASK & mode)
        return
    if isinstance(node, Directory):
        raise failure(shown, "EISDIR")
    if isinstance(node, Symlink):
        raise failure(shown, "EEXIST")
    if isinstance(node, Special) and node.kind == "socket":
        raise failure(shown, "ENXIO")
    if node is None:
        _writable(work, path, shown)
        placeholder = File(0, (ENGINE, path), FileFacts(text=""), 0o777 & ~_UMASK & mode, origin=_ORIGIN)
        work.editor.put(path, placeholder)


def _ancestors(work: _Work, directory: str, shown: str) -> None:
    """``make_ancestors``: `directory` and what is missing above it."""
    node = work.editor.node(directory)
    if isinstance(node, Directory):
        return
    if node is not None:
        raise failure(shown, "ENOTDIR")
    _ancestors(work, parent_of(directory), shown)
    _writable(work, directory, shown)
    _make_directory(work, directory, 0o777 & ~_UMASK)


def _writable(work: _Work, path: str, shown: str) -> None:
    """A new name cannot be made on a mount that is read-only."""
    mount = work.editor.mount_at(parent_of(path))
    if mount is not None and "ro" in mount.flags:
        raise failure(shown, "EROFS")


def _make_directory(work: _Work, path: str, mode: int) -> None:
    work.editor.put(path, Directory(mode, origin=_ORIGIN))
    work.effects.append(Effect("directory", path, "made for a mount", ENGINE))


def _link(work: _Work, step: PlannedLink) -> None:
    path, target = step.path, step.target
    if step.beside is not None:
        where = work.landed.get(step.beside)
        if where is None:
            return
        name = where.rpartition("/")[2]
        if not name.startswith(step.prefix):
            return
        path = join(parent_of(where), path.rpartition("/")[2])
        target = name if target == step.beside.rpartition("/")[2] else target
    if work.editor.node(path) is not None:
        return
    shown = f"file creation failed: {path_append(ROOTFS, path)}"
    _ancestors(work, parent_of(path), shown)
    _writable(work, path, shown)
    work.editor.put(path, Symlink(target, origin=_ORIGIN))
    work.effects.append(Effect("symlink", path, target, ENGINE))


def _write(work: _Work, step: PlannedFile) -> None:
    path = work.root.resolve(step.path)
    shown = f"file creation failed: {path_append(ROOTFS, path)}"
    _ancestors(work, parent_of(path), shown)
    before = work.editor.node(path)
    if isinstance(before, Directory):
        raise failure(shown, "EISDIR")
    if before is None:
        _writable(work, path, shown)
    size = len(step.text.encode("utf-8", "surrogateescape"))
    node = File(size, (ENGINE, path), FileFacts(text=step.text), step.mode, origin=_ORIGIN)
    if isinstance(before, File):
        node = evolve(before, size=size, content=node.content)
    work.editor.put(path, node)
    work.effects.append(Effect("file", path, "written", ENGINE))
