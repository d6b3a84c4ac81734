"""What a container engine makes of a scenario's process: arguments, environment, user and capabilities.

Modelled on Docker (moby ``daemon/oci_linux.go``, ``daemon/container.go``); other engines differ in texts, not in these rules. Who of
the NVIDIA toolkit is called is `nvsim.scenario.engine_call`, the root is `nvsim.scenario.engine_root`. Nothing here looks at driver files.
"""

from __future__ import annotations

from nvsim.errors import InputError
from nvsim.frozen import frozen
from nvsim.image.model import ImageConfig
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import Tree
from nvsim.scenario.model import Scenario, Settings

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


@frozen
class Process:
    """The process of the OCI spec: arguments, environment, working directory, user and supplementary groups.

    `override`: the runtime executes the program with CAP_DAC_OVERRIDE, whoever the user is.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    override: bool = False


def process_of(scenario: Scenario, extra_env: tuple[str, ...] = ()) -> Process:
    """The container's process; `extra_env` is what the engine adds for the GPUs that were asked for.

    Raises `InputError` when neither image nor command line names a program.
    """
    config, settings = scenario.image.config, scenario.settings
    argv = _argv(config, settings)
    if not argv:
        raise InputError(
            "no command: the image has neither Entrypoint nor Cmd",
            source=scenario.image.name,
            hint="add one after the image",
        )
    uid, gid = _user(settings.user if settings.user is not None else config.user, scenario.image.tree)
    env = environment(config, settings, extra_env)
    groups = tuple(dict.fromkeys(_group(g, scenario.image.tree) for g in settings.group_add))
    return Process(argv, env, settings.workdir or config.working_dir or "/", uid, gid, groups)


def _argv(config: ImageConfig, settings: Settings) -> tuple[str, ...]:
    if settings.entrypoint is not None:
        entrypoint = (settings.entrypoint,) if settings.entrypoint else ()
        return entrypoint + (settings.command or ())
    return config.entrypoint + (settings.command if settings.command is not None else config.cmd)


def environment(config: ImageConfig, settings: Settings, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The process environment: the image's, ``-e`` (a name alone takes a variable away), `extra`, the engine's defaults.

    One entry a name, the last one given.
    """
    entries: dict[str, str] = {}
    for item in (*config.env, *settings.env, *extra):
        name, eq, value = item.partition("=")
        if eq:
            entries[name] = value
        else:
            entries.pop(name, None)
    entries.setdefault("PATH", DEFAULT_PATH)
    entries.setdefault("HOME", "/root")
    return tuple(f"{k}={v}" for k, v in entries.items())


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
    return uid, _group(group, tree) if group else gid


def _group(text: str, tree: Tree) -> int:
    """The gid of a group's name or number."""
    if text.isdigit():
        return int(text)
    entry = _account(tree, "/etc/group", 0, text)
    if entry is None:
        raise InputError(f"unable to find group {text}: no matching entries in group file")
    return int(entry[2])


def _account(tree: Tree, path: str, column: int, key: str) -> list[str] | None:
    found = resolve(tree, path)
    if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.text:
        for line in found.node.facts.text.splitlines():
            fields = line.split(":")
            if len(fields) > max(3 if column != 0 else 2, column) and fields[column] == key:
                return fields
    return None
