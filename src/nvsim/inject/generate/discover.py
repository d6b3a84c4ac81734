"""Discoverers: what a part of the driver installation contributes to a container (toolkit: ``internal/discover``).

A `Discoverer` is four questions that are answered when asked; the parts live in `nvsim.inject.generate.graphics`, `cdi_libraries`,
`cdi_devices`, `cdi_gated`, `cdi_wsl` and `csv_discover`. `edits_of` asks them all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nvsim.frozen import evolve, frozen
from nvsim.inject.cdi.spec import CdiHook, CdiMount, CdiNode, Edits, Reasons
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.lookup import Locator, is_char_device, join_path
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import Special
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because

READ_ONLY = ("ro", "nosuid", "nodev", "rbind", "rprivate")
DEFAULT_HOOK_PATH = "/usr/bin/nvidia-cdi-hook"
ALL_HOOKS = "all"
IPC_OPTIONS = ("nosuid", "nodev", "rbind", "rprivate", "noexec")
_BIND = ("ro", "nosuid", "nodev", "bind")
_OLD_OPTIONS: Mapping[tuple[str, ...], tuple[str, ...]] = {READ_ONLY: _BIND, IPC_OPTIONS: (*_BIND, "noexec")}


@frozen
class Found:
    """A file of the host (`host_path`) that is wanted in the container at `path`, and why."""

    host_path: str
    path: str
    because: Reasons = ()
    options: tuple[str, ...] = READ_ONLY


def _nothing() -> tuple[Any, ...]:
    return ()


@frozen
class Discoverer:
    """Four questions. Each may raise `ToolFailure`, and may log while it is answered."""

    devices: Callable[[], tuple[Found, ...]] = _nothing
    env: Callable[[], tuple[str, ...]] = _nothing
    mounts: Callable[[], tuple[Found, ...]] = _nothing
    hooks: Callable[[], tuple[CdiHook, ...]] = _nothing


def merge(*parts: Discoverer | None) -> Discoverer:
    """The contributions of all parts, in order."""
    every = [p for p in parts if p is not None]

    def gather(question: str, what: str) -> Callable[[], tuple[Any, ...]]:
        def answer() -> tuple[Any, ...]:
            out: list[Any] = []
            for i, part in enumerate(every):
                try:
                    out += getattr(part, question)()
                except ToolFailure as e:
                    raise e.within(f"error discovering {what} for discoverer {i}") from None
            return tuple(out)

        return answer

    return Discoverer(
        gather("devices", "devices"), gather("env", "envs"), gather("mounts", "mounts"), gather("hooks", "hooks")
    )


def remembered(discoverer: Discoverer) -> Discoverer:
    """`discoverer`, asked each question at most once."""

    def once(question: Callable[[], tuple[Any, ...]]) -> Callable[[], tuple[Any, ...]]:
        answers: list[tuple[Any, ...]] = []

        def answer() -> tuple[Any, ...]:
            if not answers:
                answers.append(question())
            return answers[0]

        return answer

    return Discoverer(once(discoverer.devices), once(discoverer.env), once(discoverer.mounts), once(discoverer.hooks))


def find(
    log: ToolLog,
    locate: Locator,
    root: str,
    wanted: Sequence[str],
    what: str,
    options: tuple[str, ...] = READ_ONLY,
) -> tuple[Found, ...]:
    """Every file that the patterns `wanted` find, once, at its host path without `root`. Missing ones give a warning.

    `what` says in a sentence's middle what the files are ("driver library").
    """
    prefix = join_path("/", root)
    out: dict[str, Found] = {}
    for pattern in wanted:
        try:
            located = locate(pattern)
        except ToolFailure as e:
            log.warning(f"Could not locate {pattern}: {e.text}")
            continue
        if not located:
            log.warning(f"Missing {pattern}")
            continue
        for path in located:
            if path not in out:
                inside = path if prefix == "/" else path.removeprefix(prefix)
                out[path] = Found(path, inside or path, (_found(path, pattern, what),), options)
    return tuple(out.values())


def _found(path: str, pattern: str, what: str) -> Because:
    how = "it is there" if pattern == path else f"it was found for {pattern}"
    return Because(f"host file {path}", f"{what}: {how}")


def mounts(log: ToolLog, locate: Locator, root: str, wanted: Sequence[str], what: str) -> Discoverer:
    """Bind mounts of what the patterns find."""
    return remembered(Discoverer(mounts=lambda: find(log, locate, root, wanted, what)))


def char_devices(driver: Driver, wanted: Sequence[str], what: str = "device node") -> Discoverer:
    """Character devices below the dev root; also looked for in its ``/dev``."""
    locate = driver.files_at(("/", "/dev"), is_char_device, root=driver.dev_root)
    return Discoverer(devices=lambda: find(driver.log, locate, driver.dev_root, wanted, what))


@frozen
class HookCreator:
    """Makes hooks of one hook program.

    `disabled` names hooks that are left out; `enabled` ones are made in any case; `empty_ldcache`: update-ldcache is made without folders too.
    """

    path: str = DEFAULT_HOOK_PATH
    ldconfig_path: str = ""
    disabled: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    empty_ldcache: bool = False

    def create(self, name: str, *args: str, because: Reasons = ()) -> tuple[CdiHook, ...]:
        """The hook `name`, or nothing when it is disabled (or has nothing to do)."""
        if not self._wanted(name, args):
            return ()
        program = posixpath.basename(self.path)
        fixed = (program, "hook") if program == "nvidia-ctk" else (program,)
        return (
            CdiHook(
                "createContainer",
                self.path,
                (*fixed, name, *self._arguments(name, args)),
                ("NVIDIA_CTK_DEBUG=false",),
                None,
                because,
            ),
        )

    def _wanted(self, name: str, args: tuple[str, ...]) -> bool:
        if name in self.enabled:
            return True
        if name in self.disabled or ALL_HOOKS in self.disabled:
            return False
        return bool(args) or name not in ("create-symlinks", "chmod")

    def _arguments(self, name: str, args: tuple[str, ...]) -> tuple[str, ...]:
        if name == "create-symlinks":
            return _flagged("--link", args)
        if name == "chmod":
            return ("--mode", "755", *_flagged("--path", args))
        if name == "update-ldcache":
            ldconfig = ("--ldconfig-path", self.ldconfig_path) if self.ldconfig_path else ()
            return (*ldconfig, *_flagged("--folder", args))
        return args


def _flagged(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(x for value in values for x in (flag, value))


def hook(creator: HookCreator, name: str, *args: str, because: Reasons = ()) -> Discoverer:
    """A single hook."""
    return Discoverer(hooks=lambda: creator.create(name, *args, because=because))


def edits_of(discoverer: Discoverer, resolver: Resolver, *, no_gids: bool = False, by_path: bool = False) -> Edits:
    """The container edits for what `discoverer` finds.

    `no_gids`: never add supplementary groups for device nodes. `by_path`: nodes are told by path alone, and so without groups.
    """
    try:
        devices = discoverer.devices()
    except ToolFailure as e:
        raise e.within("failed to discover devices") from None
    try:
        env = discoverer.env()
    except ToolFailure as e:
        raise e.within("failed to discover environment variables") from None
    try:
        found = discoverer.mounts()
    except ToolFailure as e:
        raise e.within("failed to discover mounts") from None
    try:
        hooks = discoverer.hooks()
    except ToolFailure as e:
        raise e.within("failed to discover hooks") from None
    nodes = [device_node(d, None if by_path else resolver) for d in devices]
    return Edits(
        env=env,
        nodes=tuple(nodes),
        hooks=hooks,
        mounts=tuple(CdiMount(m.host_path, m.path, m.options, "", m.because) for m in found),
        gids=() if no_gids else tuple(gid for node in nodes for gid in _extra_gids(node)),
    )


def formed(edits: Edits, release: Release) -> Edits:
    """Edits with the mount options, hook arguments and hook environment of a release."""
    bind, name, *debug = release.edits_form.split("-")
    hooks = tuple(_formed_hook(h, path=name == "path", debug=bool(debug)) for h in edits.hooks)
    if bind == "rbind":
        return evolve(edits, hooks=hooks)
    mounts = tuple(evolve(m, options=_OLD_OPTIONS.get(m.options, _BIND)) for m in edits.mounts)
    return evolve(edits, hooks=hooks, mounts=mounts)


def _formed_hook(found: CdiHook, *, path: bool, debug: bool) -> CdiHook:
    args = (found.path, *found.args[1:]) if path else found.args
    return evolve(found, args=args, env=found.env if debug else ())


def device_node(device: Found, resolver: Resolver | None) -> CdiNode:
    """The node of the spec for a device: with its numbers, mode and group where the host has it; by path alone without `resolver`."""
    host_path = "" if device.host_path == device.path else device.host_path
    found = resolver.resolve(device.host_path, follow=False) if resolver is not None else None
    if not isinstance(found, Resolved) or not isinstance(found.node, Special) or found.node.rdev is None:
        return CdiNode(device.path, host_path, because=device.because)
    node = found.node
    major, minor = found.node.rdev
    mode = node.mode & 0o7777
    return CdiNode(
        device.path, host_path, "", major, minor, mode or None, "rwm", None, node.gid or None, device.because
    )


def _extra_gids(node: CdiNode) -> tuple[int, ...]:
    """The group that a process needs to open `node`, where not everybody may read and write it."""
    if not node.gid or node.file_mode is None or node.file_mode & 0o006 == 0o006:
        return ()
    return (node.gid,)
