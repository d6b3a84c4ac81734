"""What a container engine makes of a scenario before NVIDIA code runs: process, environment, capabilities, mounts, and who is called.

Modelled on Docker (moby ``daemon/oci_linux.go``, ``daemon/nvidia_linux.go``, ``daemon/container.go``); other engines differ in texts,
not in these rules. Nothing here looks at driver files.
"""

from __future__ import annotations

import csv

from attrs import frozen

from nvsim.errors import InputError
from nvsim.image.model import ImageConfig
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Special, Symlink
from nvsim.rootfs.overlay import Editor, Mount, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.rootfs.tree import MemoryTree, Tree, join
from nvsim.scenario.model import Scenario, Settings, Volume

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
_GPU_CAPABILITIES = ("compute", "compat32", "graphics", "utility", "video", "display")
ENGINE = Origin("engine")


@frozen(slots=True)
class Process:
    """The process of the OCI spec: arguments, environment, working directory, user."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int
    gid: int


@frozen(slots=True)
class Call:
    """Who of the NVIDIA toolkit is called: "runtime" (nvidia-container-runtime), "hook" (Docker adds the prestart hook itself),
    "cdi" (the engine applies CDI devices itself) or "none". `because` says why."""

    who: str
    because: str


def process_of(scenario: Scenario) -> Process:
    """The container's process. Raises `InputError` when neither image nor command line names a program."""
    config, settings = scenario.image.config, scenario.settings
    argv = _argv(config, settings)
    if not argv:
        raise InputError(
            "no command: the image has neither Entrypoint nor Cmd",
            source=scenario.image.name,
            hint="add one after the image",
        )
    uid, gid = _user(settings.user if settings.user is not None else config.user, scenario.image.tree)
    return Process(argv, environment(config, settings), settings.workdir or config.working_dir or "/", uid, gid)


def _argv(config: ImageConfig, settings: Settings) -> tuple[str, ...]:
    if settings.entrypoint is not None:
        entrypoint = (settings.entrypoint,) if settings.entrypoint else ()
        return entrypoint + (settings.command or ())
    return config.entrypoint + (settings.command if settings.command is not None else config.cmd)


def environment(config: ImageConfig, settings: Settings) -> tuple[str, ...]:
    """The process environment: the engine's defaults, the image's, ``-e``, and what ``--gpus`` adds; one entry a name."""
    entries: dict[str, str] = {}
    given = [*config.env, *settings.env]
    if settings.gpus is not None:
        given += gpus_environment(settings.gpus)
    for item in given:
        name, eq, value = item.partition("=")
        if eq:
            entries[name] = value
    entries.setdefault("PATH", DEFAULT_PATH)
    entries.setdefault("HOME", "/root")
    return tuple(f"{k}={v}" for k, v in entries.items())


def gpus_environment(text: str) -> list[str]:
    """The variables that Docker (before 29.2) derives from ``--gpus`` (moby ``daemon/nvidia_linux.go``, docker/cli ``opts/gpus.go``).

    Raises `InputError` for a value that the docker command refuses.
    """
    count, ids, capabilities = "1", "", []
    fields = next(csv.reader([text]), [])
    if not fields:
        raise InputError("--gpus needs a value", hint="all, a number, or device=ID")
    seen = set()
    for item in fields:
        key, eq, value = item.partition("=")
        if not eq:
            key, value = "count", item
        if key in seen:
            raise InputError(f"--gpus: gpu request key '{key}' can be specified only once")
        seen.add(key)
        if key == "count":
            count = "-1" if value == "all" else value
            if not count.lstrip("-").isdigit():
                raise InputError(f"--gpus: count ({value!r}) must be an integer or all")
        elif key == "device":
            ids = value
        elif key == "capabilities":
            capabilities = value.split()
            capabilities = [c for part in capabilities for c in part.split(",")]
        elif key not in ("driver", "options"):
            raise InputError(f"--gpus: unexpected key '{key}' in '{item}'")
    if ids:
        visible = ids
    elif count == "-1":
        visible = "all"
    elif count == "0":
        visible = "void"
    else:
        visible = ",".join(str(i) for i in range(int(count)))
    out = [f"NVIDIA_VISIBLE_DEVICES={visible}"]
    known = [c for c in capabilities if c in _GPU_CAPABILITIES]
    if known:
        out.append(f"NVIDIA_DRIVER_CAPABILITIES={','.join(known)}")
    return out


def capabilities_of(settings: Settings) -> tuple[str, ...]:
    """The bounding capability set of the container, in a fixed order."""
    if settings.privileged:
        return (*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN")

    def full(name: str) -> str:
        name = name.upper()
        return name if name.startswith("CAP_") or name == "ALL" else f"CAP_{name}"

    add, drop = {full(c) for c in settings.cap_add}, {full(c) for c in settings.cap_drop}
    base = () if "ALL" in drop else tuple(c for c in DEFAULT_CAPABILITIES if c not in drop)
    extra = {"CAP_SYS_ADMIN"} if "ALL" in add else add
    return base + tuple(sorted(extra - set(base) - {"ALL"}))


def who_is_called(scenario: Scenario) -> Call:
    """Which NVIDIA program the engine calls (see ``docs/engines.md``)."""
    settings, default = scenario.settings, scenario.host.toolkit.runtime
    if settings.runtime in ("nvidia", "nvidia-container-runtime"):
        return Call("runtime", "--runtime=nvidia")
    if settings.runtime is None and default.startswith("nvidia"):
        return Call("runtime", f"{default} is the default runtime of host {scenario.host.name}")
    if settings.gpus is not None:
        return Call("hook", "--gpus: Docker adds the prestart hook nvidia-container-runtime-hook itself")
    if any("=" in d and "/" in d.partition("=")[0] and not d.startswith("/") for d in settings.devices):
        return Call("cdi", f"--device {settings.devices[0]}: the engine applies CDI devices itself")
    named = f"--runtime={settings.runtime}" if settings.runtime else f"the default runtime of host {scenario.host.name}"
    return Call("none", f"{named} is not NVIDIA's, and neither --gpus nor a CDI device was asked for")


def _user(text: str, tree: Tree) -> tuple[int, int]:
    """uid and gid of ``USER[:GROUP]``, names looked up in the image's /etc/passwd and /etc/group (runc ``libcontainer/user``)."""
    user, _, group = text.partition(":")
    uid = gid = 0
    if user.isdigit():
        uid = int(user)
        entry = _account(tree, "/etc/passwd", 2, user)
        gid = int(entry[3]) if entry else 0
    elif user:
        entry = _account(tree, "/etc/passwd", 0, user)
        if entry is None:
            raise InputError(f"unable to find user {user}: no matching entries in passwd file")
        uid, gid = int(entry[2]), int(entry[3])
    if group.isdigit():
        gid = int(group)
    elif group:
        entry = _account(tree, "/etc/group", 0, group)
        if entry is None:
            raise InputError(f"unable to find group {group}: no matching entries in group file")
        gid = int(entry[2])
    return uid, gid


def _account(tree: Tree, path: str, column: int, key: str) -> list[str] | None:
    found = resolve(tree, path)
    if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.text:
        for line in found.node.facts.text.splitlines():
            fields = line.split(":")
            if len(fields) > max(3 if column != 0 else 2, column) and fields[column] == key:
                return fields
    return None


def engine_root(scenario: Scenario) -> tuple[RootFS, tuple[str, ...]]:
    """The image's root with what the engine itself mounts and creates, and the assumptions that this rests on."""
    editor = RootFS(scenario.image.tree).edit()
    for directory in ("/proc", "/sys", "/dev", "/etc"):
        if editor.node(directory) is None:
            editor.put(directory, Directory(origin=ENGINE))
    proc = MemoryTree("proc", {"/driver/nvidia": Directory(origin=ENGINE), "/self": Symlink("1", origin=ENGINE)})
    dev = MemoryTree("dev", _standard_devices())
    for path, tree, kind in (("/proc", proc, "proc"), ("/sys", MemoryTree("sys", {}), "sysfs"), ("/dev", dev, "tmpfs")):
        if isinstance(editor.node(path), Directory):
            editor.mount_directory(Mount(path, kind, frozenset({"nosuid"}), kind), tree, "/", ENGINE)
    for name in ("hostname", "hosts", "resolv.conf"):
        target = resolve(editor, f"/etc/{name}")
        path = target.path if isinstance(target, Resolved) else f"/etc/{name}"
        if isinstance(editor.node("/etc"), Directory) and not isinstance(editor.node(path), Directory | Symlink):
            file = File(0, ("engine", name), FileFacts(text=""), mode=0o644, origin=ENGINE)
            editor.mount_node(Mount(path, f"engine:{name}"), file, ENGINE)
    assumptions = [a for v in scenario.settings.volumes if (a := _mount_volume(editor, v, scenario.host.tree))]
    return editor.freeze(), tuple(assumptions)


def _standard_devices() -> dict[str, Special | Directory | Symlink]:
    numbers = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
    nodes: dict[str, Special | Directory | Symlink] = {
        f"/{name}": Special("char", (1, minor), 0o666, origin=ENGINE) for name, minor in numbers.items()
    }
    nodes["/tty"] = Special("char", (5, 0), 0o666, origin=ENGINE)
    nodes["/fd"] = Symlink("/proc/self/fd", origin=ENGINE)
    nodes["/shm"] = Directory(0o1777, origin=ENGINE)
    nodes["/pts"] = Directory(origin=ENGINE)
    return nodes


def _mount_volume(editor: Editor, volume: Volume, host: Tree) -> str | None:
    """Mount one volume; the returned sentence is an assumption that was needed."""
    at = resolve(editor, volume.dst)
    dst = at.path if isinstance(at, Resolved) else _missing_target(at, volume.dst)
    flags = frozenset({"ro"} if volume.readonly else {"rw"})
    origin = Origin("user", f"-v {volume.src}:{volume.dst}")
    source = resolve(host, volume.src) if volume.kind == "bind" else None
    if isinstance(source, Resolved):
        mount = Mount(dst, volume.src, flags)
        if isinstance(source.node, Directory):
            editor.mount_directory(mount, host, source.path, origin)
        else:
            editor.mount_node(mount, source.node, origin)
        return None
    editor.mount_directory(
        Mount(dst, volume.src or volume.kind, flags), MemoryTree(f"volume:{volume.src}", {}), "/", origin
    )
    if volume.kind == "bind":
        return f"{volume.src} is not in the host profile: it was mounted as an empty directory"
    return f"volume {volume.src or volume.dst} was taken as empty"


def _missing_target(error: PathError, wanted: str) -> str:
    if error.errno != "ENOENT":
        raise InputError(f"{wanted} cannot be a mount point: {error.errno} at {error.path}")
    path = error.parent
    for part in error.rest.split("/"):
        path = join(path, part)
    return path
