"""The injection plan of the CDI modes: what the runtime adds to a container, each thing with its reason.

Doing the plan is `nvsim.inject.cdi.apply`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nvsim.frozen import evolve
from nvsim.inject.plan import DeviceNode, HookRun, InjectionPlan, PlannedMount, Skipped
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved
from nvsim.toolkit.request import Because

if TYPE_CHECKING:
    from nvsim.inject.cdi.spec import Edits, Reasons
    from nvsim.inject.generate.host import CdiHost

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def merged(first: InjectionPlan, second: InjectionPlan) -> InjectionPlan:
    """What both plans do, `first` before `second`; the failure is that of the second, which is made only when the first has none."""
    return evolve(
        second,
        mounts=first.mounts + second.mounts,
        symlinks=first.symlinks + second.symlinks,
        device_nodes=first.device_nodes + second.device_nodes,
        env=first.env + second.env,
        hooks=first.hooks + second.hooks,
        skipped=first.skipped + second.skipped,
        warnings=first.warnings + second.warnings,
        assumptions=tuple(dict.fromkeys(first.assumptions + second.assumptions)),
        gids=tuple(dict.fromkeys(first.gids + second.gids)),
    )


def with_log(plan: InjectionPlan, lines: Iterable[tuple[str, str]]) -> InjectionPlan:
    """`plan` with the generator's warnings, and what it looked for and did not find."""
    lines = tuple(lines)
    skipped = []
    for level, message in lines:
        for opening in ("Could not locate ", "Missing "):
            if level == "warning" and message.startswith(opening):
                what = message.removeprefix(opening).partition(":")[0]
                skipped.append(Skipped(what, (Because(f"host file {what}", "it was not found on the host"),)))
    warnings = tuple(message for level, message in lines if level == "warning")
    return evolve(plan, skipped=tuple(skipped), warnings=warnings)


def plan_of_config(
    host: CdiHost, before: Mapping[str, Any], after: Mapping[str, Any], edits: Iterable[Edits], engine: str
) -> InjectionPlan:
    """What `after` has more than `before`, as a plan; reasons are taken from `edits`. Both are OCI configs."""
    reasons = _Reasons(edits)
    env_before = list((before.get("process") or {}).get("env") or ())
    env_after = list((after.get("process") or {}).get("env") or ())
    old_mounts = list(before.get("mounts") or ())
    old_devices = list((before.get("linux") or {}).get("devices") or ())
    user_before = (before.get("process") or {}).get("user") or {}
    user_after = (after.get("process") or {}).get("user") or {}
    return InjectionPlan(
        engine,
        mounts=tuple(_mount(host, m, reasons) for m in after.get("mounts") or () if m not in old_mounts),
        device_nodes=tuple(
            _node(d, reasons) for d in (after.get("linux") or {}).get("devices") or () if d not in old_devices
        ),
        env=tuple((k, v) for k, _, v in (e.partition("=") for e in env_after[len(env_before) :])),
        hooks=tuple(_hooks(before, after, reasons)),
        gids=tuple(
            g for g in user_after.get("additionalGids") or () if g not in (user_before.get("additionalGids") or ())
        ),
        assumptions=tuple(_unknown_hooks(after)),
    )


class _Reasons:
    """The reasons of edits, found again by what identifies them in an OCI config."""

    __slots__ = ("hooks", "mounts", "nodes")

    def __init__(self, edits: Iterable[Edits]):
        self.mounts: dict[tuple[str, str], Reasons] = {}
        self.nodes: dict[str, tuple[str, str, Reasons]] = {}
        self.hooks: dict[tuple[str, ...], Reasons] = {}
        for edit in edits:
            for mount in edit.mounts:
                self.mounts[mount.host_path, mount.container_path] = mount.because
            for node in edit.nodes:
                self.nodes[node.path] = (node.host_path or node.path, node.permissions or "rwm", node.because)
            for hook in edit.hooks:
                self.hooks[(hook.path, *hook.args)] = hook.because


def _mount(host: CdiHost, mount: Mapping[str, Any], reasons: _Reasons) -> PlannedMount:
    src, dst = str(mount.get("source", "")), str(mount.get("destination", ""))
    flags = tuple(o for o in mount.get("options") or () if o not in ("rbind", "bind", "rprivate", "private"))
    fstype = str(mount.get("type") or "bind")
    because = reasons.mounts.get((src, dst), ())
    return PlannedMount(src, dst, mount_kind(host, src, dst, flags), flags, fstype, because=because)


def mount_kind(host: CdiHost, src: str, dst: str, flags: Sequence[str]) -> str:
    """What a mount brings, told from its paths and the host's file: library, binary, firmware, ipc, directory or config."""
    found = host.resolver.resolve(src)
    node = found.node if isinstance(found, Resolved) else None
    name = posixpath.basename(dst)
    if isinstance(node, Directory):
        return "directory"
    if "noexec" in flags:
        return "ipc"
    if ".so" in name:
        return "library"
    if "/firmware/" in dst:
        return "firmware"
    executable = isinstance(node, File) and bool(node.mode & 0o111)
    return "binary" if executable and posixpath.dirname(dst).endswith("bin") else "config"


def _node(device: Mapping[str, Any], reasons: _Reasons) -> DeviceNode:
    path = str(device.get("path", ""))
    host_path, permissions, because = reasons.nodes.get(path, (path, "rwm", ()))
    return DeviceNode(
        path,
        host_path,
        (int(device.get("major", 0)), int(device.get("minor", 0))),
        permissions,
        because,
        type=str(device.get("type", "c")),
        mode=device.get("fileMode"),
        uid=int(device.get("uid") or 0),
        gid=int(device.get("gid") or 0),
    )


def _hooks(before: Mapping[str, Any], after: Mapping[str, Any], reasons: _Reasons) -> Iterable[HookRun]:
    for stage in STAGES:
        old = len((before.get("hooks") or {}).get(stage) or ())
        for hook in ((after.get("hooks") or {}).get(stage) or ())[old:]:
            argv = tuple(hook.get("args") or ())
            yield HookRun(stage, str(hook.get("path", "")), argv, reasons.hooks.get((hook.get("path", ""), *argv), ()))


def is_nvidia_hook(path: str, argv: Sequence[str]) -> bool:
    """Whether a hook is one of nvidia-cdi-hook, whose effect nvsim knows."""
    name = posixpath.basename(path)
    return name == "nvidia-cdi-hook" or (name == "nvidia-ctk" and list(argv[1:2]) == ["hook"])


def is_prestart_hook(path: str) -> bool:
    """Whether a hook is the toolkit's prestart hook, which runs the legacy engine."""
    return posixpath.basename(path) in ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


def _unknown_hooks(after: Mapping[str, Any]) -> Iterable[str]:
    for stage in STAGES:
        for hook in (after.get("hooks") or {}).get(stage) or ():
            path = str(hook.get("path", ""))
            if not is_nvidia_hook(path, hook.get("args") or ()) and not is_prestart_hook(path):
                yield f"the {stage} hook {path} is not modelled; it is taken to succeed without changing the root"
