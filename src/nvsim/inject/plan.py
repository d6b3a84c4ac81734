"""`InjectionPlan` and `Injected`: what an engine intends, and what came of doing it. Values only."""

from __future__ import annotations

from attrs import frozen

from nvsim.rootfs.overlay import RootFS
from nvsim.toolkit.request import Because


@frozen(slots=True)
class PlannedMount:
    """One mount: `src` on the host or in the container (`src_side`), `dst` as asked for (links not yet resolved in the image).

    `kind`: binary, library, library32, compat-library, firmware, ipc, device, proc, gpu-proc, mig, config, directory, user.
    `capability` is the driver capability that brought it, where one did.
    """

    src: str
    dst: str
    kind: str
    flags: tuple[str, ...]
    fstype: str = "bind"
    src_side: str = "host"
    capability: str | None = None
    because: tuple[Because, ...] = ()


@frozen(slots=True)
class PlannedLink:
    """A symlink made by the engine or a hook: `path` -> `target`."""

    path: str
    target: str
    because: tuple[Because, ...] = ()


@frozen(slots=True)
class DeviceNode:
    """A device node given to the container. `permissions` for the device cgroup ("rwm")."""

    path: str
    host_path: str
    rdev: tuple[int, int] | None
    permissions: str = "rw"
    because: tuple[Because, ...] = ()


@frozen(slots=True)
class LdconfigRunPlan:
    """The ldconfig run: which program (`path`, on the `side` host or container) with which arguments inside the container root."""

    path: str
    side: str
    argv: tuple[str, ...]
    because: tuple[Because, ...] = ()


@frozen(slots=True)
class HookRun:
    """An OCI hook of the plan (CDI): its name ("createContainer"), program and arguments."""

    stage: str
    path: str
    argv: tuple[str, ...]
    because: tuple[Because, ...] = ()


@frozen(slots=True)
class Skipped:
    """Something that could have been injected and was not."""

    what: str
    because: tuple[Because, ...]


@frozen(slots=True)
class InjectionPlan:
    """What an engine will do, in order. `failure`: the plan already fails (exact stderr of the program that says so)."""

    engine: str
    mounts: tuple[PlannedMount, ...] = ()
    symlinks: tuple[PlannedLink, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    hooks: tuple[HookRun, ...] = ()
    ldconfig: LdconfigRunPlan | None = None
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    assumptions: tuple[str, ...] = ()


@frozen(slots=True)
class Effect:
    """One change that applying the plan made: `kind` mount, symlink, directory, file, removed, ldcache, unmount; `by` engine,
    ldconfig or a hook's name."""

    kind: str
    path: str
    detail: str
    by: str


@frozen(slots=True)
class Injected:
    """The root after applying a plan. `failure` is the exact stderr of the step that failed; earlier steps stay in `effects`."""

    rootfs: RootFS
    effects: tuple[Effect, ...] = ()
    failure: str | None = None
    exit: int = 0
