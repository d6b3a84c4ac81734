"""``nvidia-cdi-hook`` (and ``nvidia-ctk hook``): the command line, the container state, and what a run does to a root.

The hooks themselves are `nvsim.inject.hooks.links`, ``ldcache``, ``compat`` and ``device``.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from nvsim.frozen import frozen
from nvsim.inject.command_flags import Flag, Flags, parse_flags
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.hooks.compat import DEFAULT_COMPAT_DIR, enable_cuda_compat
from nvsim.inject.hooks.device import PARAMS, disable_device_node_modification, update_application_profile
from nvsim.inject.hooks.ldcache import LdconfigExit, update_ldcache
from nvsim.inject.hooks.links import chmod, create_symlinks, links_of_csv, parse_mode
from nvsim.inject.hooks.root import ContainerRoot
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.inject.plan import Effect
from nvsim.rootfs.overlay import RootFS
from nvsim.toolkit.releases import Release

_STATE = Flag(("container-spec",), "text")
_GLOBAL_FLAGS = (
    Flag(("debug", "d"), "bool", "NVIDIA_CTK_DEBUG"),
    Flag(("quiet",), "bool", "NVIDIA_CTK_QUIET"),
    Flag(("help", "h"), "bool"),
    Flag(("version", "v"), "bool"),
)
_HELP = Flag(("help", "h"), "bool")
_HOOKS: Mapping[str, tuple[Flag, ...]] = {
    "create-symlinks": (
        Flag(("link",), "list"),
        Flag(("csv-filename",), "list"),
        Flag(("host-root",), "text"),
        _STATE,
        _HELP,
    ),
    "update-ldcache": (
        Flag(("folder",), "list"),
        Flag(("ldconfig-path",), "text", default="/sbin/ldconfig"),
        _STATE,
        _HELP,
    ),
    "enable-cuda-compat": (
        Flag(("host-driver-version",), "text"),
        Flag(("host-cuda-version",), "text"),
        Flag(("cuda-compat-container-root",), "text", default=DEFAULT_COMPAT_DIR),
        _STATE,
        _HELP,
    ),
    "chmod": (Flag(("path",), "list"), Flag(("mode",), "text"), _STATE, _HELP),
    "disable-device-node-modification": (_STATE, _HELP),
    "update-application-profile": (_STATE, _HELP),
    "noop": (_HELP,),
}
NAMES = tuple(_HOOKS)
_UP_TO_1_16 = ("csv-filename", "host-root")  # options of create-symlinks that went with the release that replaces links


@frozen
class ContainerState:
    """What the low-level runtime gives a hook on stdin, as text, and the text of the bundle's config.json (None = no such file).

    `bundle` is the bundle's path and `root` the path under which the container's root really is.
    """

    text: str
    config: str | None
    bundle: str = "/bundle"
    root: str = "<rootfs>"


DEFAULT_STATE = ContainerState('{"bundle": "/bundle"}', '{"root": {"path": "<rootfs>"}}')


@frozen
class HookResult:
    """What a hook run came to: exit status, log lines (level, message; "raw" = printed as is), the root afterwards, the changes."""

    rc: int
    log: tuple[tuple[str, str], ...]
    rootfs: RootFS
    effects: tuple[Effect, ...] = ()
    serial: int = 0

    @property
    def stderr(self) -> str:
        """The messages as one text, without time stamps."""
        return "\n".join(message for _, message in self.log)


def run_hook(
    argv: Sequence[str],
    rootfs: RootFS,
    host: CdiHost,
    *,
    readonly: bool = False,
    state: ContainerState = DEFAULT_STATE,
    serial: int = 0,
    mount_point: bool = True,
    release: Release | None = None,
) -> HookResult:
    """Run one hook program with `argv` on the container root `rootfs` of a container on `host`; `release`: the program's, None = the
    newest.

    `readonly`: the root is mounted read-only now. `serial` continues the numbering of files with random names;
    `mount_point`: the root is a mount point, as a low-level runtime makes it.
    """
    log = ToolLog()
    args = list(argv[2:] if argv and posixpath.basename(argv[0]) == "nvidia-ctk" else argv[1:])
    name, flags_text = _subcommand(args)
    root = ContainerRoot(rootfs.edit(), name or "", readonly, state.root, serial, mount_point)
    rc = 0
    try:
        quiet = _run(root, host, log, name, flags_text, args, state, release)
    except LdconfigExit as e:
        rc, quiet = e.status, False
    except ToolFailure as e:
        log.error(e.text)
        rc, quiet = 1, "--quiet" in args
    lines = tuple(line for line in log.lines if not quiet or line[0] in ("error", "raw"))
    return HookResult(rc, lines, root.frozen(), tuple(root.effects), root.serial)


def _subcommand(args: list[str]) -> tuple[str | None, list[str]]:
    """The first word that is no flag, and what follows it."""
    for i, arg in enumerate(args):
        if not arg.startswith("-"):
            return arg, args[i + 1 :]
    return None, []


def _run(
    root: ContainerRoot,
    host: CdiHost,
    log: ToolLog,
    name: str | None,
    rest: list[str],
    args: list[str],
    state: ContainerState,
    release: Release | None,
) -> bool:
    """Run the hook `name`; whether only errors are to be shown."""
    before = args[: args.index(name)] if name is not None else args
    known = name in _HOOKS
    try:
        general = parse_flags(_GLOBAL_FLAGS, before, host.env)
    except ToolFailure:
        if known:
            raise
        _unsupported(log, name)
        return False
    quiet = general.values["quiet"] is True
    if general.values["help"] or general.values["version"] or name == "help":
        return quiet
    if name is None or not known:
        _unsupported(log, name)
        return quiet
    try:
        flags = parse_flags(_flags_of(name, release), rest, {})
    except ToolFailure as e:
        log.add("raw", f"Incorrect Usage: {e.text}")
        raise
    if not flags.values["help"]:
        _act(root, host, log, name, flags, state, release)
    return quiet


def _flags_of(name: str, release: Release | None) -> tuple[Flag, ...]:
    if release is not None and release.links_hook in ("colon-keep", "keep"):
        return _HOOKS[name]
    return tuple(f for f in _HOOKS[name] if f.names[0] not in _UP_TO_1_16)


def _unsupported(log: ToolLog, name: str | None) -> None:
    log.warning("No CDI hook specified" if name is None else f"Unsupported CDI hook: {name}")


def _act(
    root: ContainerRoot,
    host: CdiHost,
    log: ToolLog,
    name: str,
    flags: Flags,
    state: ContainerState,
    release: Release | None,
) -> None:
    def text(key: str) -> str:
        return str(flags.values[key])

    def many(key: str) -> tuple[str, ...]:
        value = flags.values[key]
        return value if isinstance(value, tuple) else ()

    if name == "create-symlinks":
        links = many("link")
        opened = _container_root(state)
        if links and opened != state.root:
            _check_first_link(links[0], opened)
        if "csv-filename" in flags.values:
            between = ":" if release is not None and release.links_hook == "colon-keep" else "::"
            told = links_of_csv(host.resolver, many("csv-filename"))
            links = (*(f"{target}{between}{path}" for target, path in told), *links)
        create_symlinks(root, host.resolver, log, links, release)
    elif name == "update-ldcache":
        try:
            opened = _container_root(state)
        except ToolFailure as e:
            if e.text.startswith("failed to load container state"):
                raise
            opened = ""
        if opened in ("", "/"):
            raise ToolFailure("failed to determined container root: <nil>")
        _check_root(state, opened, "Error updating ldcache: failed to open root")
        update_ldcache(root, host.resolver, log, text("ldconfig-path"), many("folder"), host.arch, release)
    elif name == "enable-cuda-compat":
        driver, cuda = text("host-driver-version"), text("host-cuda-version")
        if driver or cuda:
            _check_root(state, _container_root(state), "failed to open container root")
            enable_cuda_compat(root, log, driver, cuda, text("cuda-compat-container-root"), release)
    elif name == "chmod":
        mode = parse_mode(text("mode"))
        if any(not path.strip() for path in many("path")):
            raise ToolFailure("paths must not be empty")
        opened = _container_root(state)
        if not opened:
            raise ToolFailure("empty container root detected")
        if opened == state.root:
            chmod(root, mode, many("path"))
    elif name == "disable-device-node-modification":
        params = host.text(PARAMS)
        if params is not None and "ModifyDeviceFiles: 1" in params:
            _check_root(state, _container_root(state), "failed to open root")
            disable_device_node_modification(root, params)
    elif name == "update-application-profile":
        _check_root(state, _container_root(state), "failed to open root")
        update_application_profile(root, log)


def _check_first_link(link: str, opened: str) -> None:
    """The error of the first link when the state names a root that does not exist."""
    parts = link.split("::")
    if len(parts) == 2:
        reason = f"failed to open container root: open {opened}: no such file or directory"
        raise ToolFailure(f"failed to create link [{' '.join(parts)}]: {reason}")


def _check_root(state: ContainerState, opened: str, step: str) -> None:
    if opened != state.root:
        raise ToolFailure(f"{step}: open {opened}: no such file or directory")


def _container_root(state: ContainerState) -> str:
    """The root that the hook works on: the state's own, else that of the bundle's config. Raises `ToolFailure`."""
    data = _decoded(state.text, "failed to load container state: failed to decode container state")
    root, bundle = data.get("root"), data.get("bundle")
    for key, value in (("root", root), ("bundle", bundle)):
        if value is not None and not isinstance(value, str):
            reason = f"json: cannot unmarshal into Go struct field State.{key} of type string"
            raise ToolFailure(f"failed to load container state: failed to decode container state: {reason}")
    if not root:
        step = "failed to determined container root"
        path = posixpath.join(bundle or "", "config.json")
        if state.config is None or (bundle or "") != state.bundle:
            raise ToolFailure(f"{step}: failed to open OCI spec file: open {path}: no such file or directory")
        config = _decoded(state.config, f"{step}: failed to load minimal OCI spec")
        given = config.get("root")
        root = str(given.get("path") or "") if isinstance(given, dict) else ""
    if root in (state.root, "rootfs") or root.startswith("/"):
        return state.root if root == "rootfs" and (bundle or "") == state.bundle else root
    return posixpath.normpath(posixpath.join(bundle or "", root)) if (bundle or root) else ""


def _decoded(text: str, step: str) -> dict[str, Any]:
    """The first JSON value of `text`, which must be an object (null counts as an empty one)."""
    if not text.strip():
        raise ToolFailure(f"{step}: EOF")
    try:
        data, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        raise ToolFailure(f"{step}: invalid character '{text.strip()[0]}' looking for beginning of value") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        kind = {str: "string", list: "array", bool: "bool"}.get(type(data), "number")
        raise ToolFailure(f"{step}: json: cannot unmarshal {kind} into Go value of type oci.State")
    return data
