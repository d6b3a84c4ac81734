"""The container's root as the engine prepares it before any NVIDIA code runs: image, engine's own mounts, volumes, device nodes."""

from __future__ import annotations

from nvsim.errors import InputError
from nvsim.host.profile import HostProfile
from nvsim.inject.host_view import host_view
from nvsim.memo import Same
from nvsim.rootfs.node import Directory, File, FileFacts, Node, Origin, Special, Symlink
from nvsim.rootfs.overlay import Editor, Mount, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.rootfs.tree import MemoryTree, Tree, join, walk
from nvsim.scenario.engine_call import Call, device_paths
from nvsim.scenario.model import Scenario, Volume

ENGINE = Origin("engine")
_KERNEL = Origin("host", "kernel")


def engine_root(scenario: Scenario, call: Call) -> tuple[RootFS, tuple[str, ...]]:
    """The image's root with what the engine itself mounts and creates, and the assumptions that this rests on.

    Kept with the image. Raises `InputError` for a ``--device`` that the host does not have, in Docker's words.
    """
    settings = scenario.settings
    devices = (*device_paths(settings), *((path, path) for path in call.nodes))
    asked = (settings.privileged, settings.volumes, call.volumes, devices)
    key = (Same(scenario.host), *asked)
    return scenario.image.memo.get("root", key, lambda: _engine_root(scenario.image.tree, scenario.host, *asked))


def _engine_root(
    image: Tree,
    host: HostProfile,
    privileged: bool,
    volumes: tuple[Volume, ...],
    plugin: tuple[Volume, ...],
    devices: tuple[tuple[str, str], ...],
) -> tuple[RootFS, tuple[str, ...]]:
    """The root of `image` with the user's volumes, those of a device `plugin`, and device nodes (path on the host, path inside)."""
    editor = RootFS(image).edit()
    for directory in ("/proc", "/sys", "/dev", "/etc"):
        if editor.node(directory) is None:
            editor.put(directory, Directory(origin=ENGINE))
    proc = MemoryTree("proc", {"/self": Symlink("1", origin=ENGINE), **_module_files(host)})
    dev = MemoryTree("dev", {**(_host_devices(host.tree) if privileged else {}), **_standard_devices()})
    for path, tree, kind in (("/proc", proc, "proc"), ("/sys", MemoryTree("sys", {}), "sysfs"), ("/dev", dev, "tmpfs")):
        if isinstance(editor.node(path), Directory):
            editor.mount_directory(Mount(path, kind, frozenset({"nosuid"}), kind), tree, "/", ENGINE)
    for name in ("hostname", "hosts", "resolv.conf"):
        target = resolve(editor, f"/etc/{name}")
        path = target.path if isinstance(target, Resolved) else f"/etc/{name}"
        if isinstance(editor.node("/etc"), Directory) and not isinstance(editor.node(path), Directory | Symlink):
            file = File(0, ("engine", name), FileFacts(text=""), mode=0o644, origin=ENGINE)
            editor.mount_node(Mount(path, f"engine:{name}"), file, ENGINE)
    told = [_mount_volume(editor, v, host.tree, "user", "-v ") for v in volumes]
    told += [_mount_volume(editor, v, host.tree, "engine", "device plugin: ") for v in plugin]
    for host_path, inside in devices:
        _add_device(editor, host.tree, host_path, inside)
    return editor.freeze(), tuple(a for a in told if a)


def _module_files(host: HostProfile) -> dict[str, Node]:
    """What the kernel shows of its NVIDIA module below /proc; /proc is the same in every container."""
    top = "/proc/driver"
    seen = {path[len("/proc") :]: node for path, node in walk(host_view(host), top)}
    return seen if "/driver/nvidia" in seen else {**seen, "/driver": Directory(origin=ENGINE)}


def _standard_devices() -> dict[str, Node]:
    numbers = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
    nodes: dict[str, Node] = {
        f"/{name}": Special("char", (1, minor), 0o666, origin=ENGINE) for name, minor in numbers.items()
    }
    nodes["/tty"] = Special("char", (5, 0), 0o666, origin=ENGINE)
    nodes["/fd"] = Symlink("/proc/self/fd", origin=ENGINE)
    nodes["/shm"] = Directory(0o1777, origin=ENGINE)
    nodes["/pts"] = Directory(origin=ENGINE)
    return nodes


def _host_devices(host: Tree) -> dict[str, Node]:
    """Every device node of the host, which a privileged container sees."""
    found = ((p.removeprefix("/dev"), n) for p, n in walk(host, "/dev"))
    return {p: _as_given(n, f"/dev{p}", "--privileged") for p, n in found if isinstance(n, Special) and n.rdev}


def _as_given(node: Special, host_path: str, why: str) -> Special:
    return Special(node.kind, node.rdev, node.mode, node.uid, node.gid, Origin("host", f"{host_path} ({why})"))


def _add_device(editor: Editor, host: Tree, host_path: str, inside: str) -> None:
    found = resolve(host, host_path)
    if isinstance(found, PathError):
        raise InputError(
            f'error gathering device information while adding custom device "{host_path}": no such file or directory'
        )
    nodes = [(p, n) for p, n in walk(host, found.path) if isinstance(n, Special) and n.kind in ("char", "block")]
    if not nodes:
        raise InputError(
            f'error gathering device information while adding custom device "{host_path}": not a device node'
        )
    for path, node in nodes:
        at = inside.rstrip("/") + path[len(found.path) :]
        place = resolve(editor, at)
        target = place.path if isinstance(place, Resolved) else _missing_target(place, at)
        editor.put(target, _as_given(node, path, "--device"))


def _mount_volume(editor: Editor, volume: Volume, host: Tree, kind: str, words: str) -> str | None:
    """Mount one volume; the returned sentence is an assumption that was needed."""
    at = resolve(editor, volume.dst)
    dst = at.path if isinstance(at, Resolved) else _missing_target(at, volume.dst)
    flags = frozenset({"ro"} if volume.readonly else {"rw"})
    origin = Origin(kind, f"{words}{volume.src}:{volume.dst}")
    source = resolve(host, volume.src) if volume.kind == "bind" else None
    if isinstance(source, Resolved):
        mount = Mount(dst, volume.src, flags)
        if isinstance(source.node, Directory):
            editor.mount_directory(mount, host, source.path, origin)
        else:
            editor.mount_node(mount, source.node, origin)
        return None
    if volume.kind == "volume" and isinstance(editor.node(dst), Directory):
        name = volume.src or volume.dst
        return f"volume {name} was taken as new: Docker copies what the image has at {volume.dst} into it"
    if volume.kind == "bind" and volume.src == "/dev/null":
        editor.mount_node(Mount(dst, volume.src, flags), Special("char", (1, 3), 0o666, origin=origin), origin)
        return None
    editor.mount_directory(
        Mount(dst, volume.src or volume.kind, flags), MemoryTree(f"volume:{volume.src}", {}), "/", origin
    )
    if volume.kind == "bind":
        return f"{volume.src} is not in the host profile: it was mounted as an empty directory"
    return f"volume {volume.src or volume.dst} was taken as empty" if volume.kind == "volume" else None


def _missing_target(error: PathError, wanted: str) -> str:
    if error.errno != "ENOENT":
        raise InputError(f"{wanted} cannot be a mount point: {error.errno} at {error.path}")
    path = error.parent
    for part in error.rest.split("/"):
        path = join(path, part)
    return path
