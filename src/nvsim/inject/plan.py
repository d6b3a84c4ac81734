"""`InjectionPlan` and `Injected`: what an engine intends, and what came of doing it. Values only."""

from __future__ import annotations

from nvsim.frozen import evolve, frozen
from nvsim.rootfs.overlay import RootFS
from nvsim.toolkit.request import Because


@frozen
class PlannedMount:
    """One mount: `src` on the host or in the container (`src_side`), `dst` as asked for (links not yet resolved in the image).

    `kind`: binary, library, library32, compat-library, firmware, ipc, device, proc, gpu-proc, mig, config, directory, user.
    `capability` is the driver capability that brought it, where one did. `mode` is the permission of a tmpfs's root. `follow`: a
    link that is the last component of `dst` is followed; `create`: a missing mount point is made.
    """

    src: str
    dst: str
    kind: str
    flags: tuple[str, ...]
    fstype: str = "bind"
    src_side: str = "host"
    capability: str | None = None
    because: tuple[Because, ...] = ()
    mode: int = 0o755
    follow: bool = True
    create: bool = True


@frozen
class PlannedLink:
    """A symlink made by the engine or a hook: `path` -> `target`.

    `beside`: the link is made in the directory where the mount with this `dst` really landed, and only if the base name there still
    begins with `prefix`.
    """

    path: str
    target: str
    because: tuple[Because, ...] = ()
    beside: str | None = None
    prefix: str = ""


@frozen
class PlannedDirectory:
    """A directory that the engine makes sure of; an existing one is left as it is."""

    path: str
    mode: int = 0o755
    because: tuple[Because, ...] = ()


@frozen
class PlannedFile:
    """A small file that the engine writes, replacing an existing one."""

    path: str
    text: str
    mode: int = 0o644
    because: tuple[Because, ...] = ()


@frozen
class PlannedStop:
    """Where an engine will stop, known before it starts: `text` is what its message says."""

    text: str


Step = PlannedMount | PlannedLink | PlannedDirectory | PlannedFile | PlannedStop


@frozen
class PlanStage:
    """Steps that are done together, in order. `undo`: the kinds of mounts that are taken back when a step of the stage fails."""

    name: str
    steps: tuple[Step, ...]
    undo: tuple[str, ...] = ()


@frozen
class DeviceNode:
    """A device node given to the container. `permissions` for the device cgroup ("rwm"). `type` is c, b or p; `mode` None = the
    host node's."""

    path: str
    host_path: str
    rdev: tuple[int, int] | None
    permissions: str = "rw"
    because: tuple[Because, ...] = ()
    type: str = "c"
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@frozen
class LdconfigRunPlan:
    """The ldconfig run: which program (`path`, on the `side` host or container) with which arguments inside the container root."""

    path: str
    side: str
    argv: tuple[str, ...]
    because: tuple[Because, ...] = ()


@frozen
class HookRun:
    """An OCI hook of the plan (CDI): its name ("createContainer"), program and arguments."""

    stage: str
    path: str
    argv: tuple[str, ...]
    because: tuple[Because, ...] = ()


@frozen
class Skipped:
    """Something that could have been injected and was not."""

    what: str
    because: tuple[Because, ...]


@frozen
class InjectionPlan:
    """What an engine will do, in order. `failure`: the plan already fails (exact stderr of the program that says so).

    `stages` hold the steps of an engine whose mounts, links and files depend on each other (legacy); `mounts` and `symlinks` list
    the same ones by kind. `engine_version` names the engine's generation, `driver_root` the root in which it looked.
    `gids` are supplementary groups that the process gets for its device nodes (CDI).
    """

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
    stages: tuple[PlanStage, ...] = ()
    engine_version: str | None = None
    gids: tuple[int, ...] = ()
    driver_root: str = "/"


def bare(plan: InjectionPlan) -> InjectionPlan:
    """What there is to do of a plan, without reasons and what is only told: plans that are equal then make the same root."""

    def step(known: Step) -> Step:
        return known if isinstance(known, PlannedStop) else evolve(known, because=())

    stages = tuple(evolve(stage, steps=tuple(map(step, stage.steps))) for stage in plan.stages)
    return InjectionPlan(
        plan.engine,
        mounts=tuple(evolve(m, because=()) for m in plan.mounts),
        symlinks=tuple(evolve(link, because=()) for link in plan.symlinks),
        device_nodes=tuple(evolve(n, because=()) for n in plan.device_nodes),
        hooks=tuple(evolve(h, because=()) for h in plan.hooks),
        ldconfig=None if plan.ldconfig is None else evolve(plan.ldconfig, because=()),
        failure=plan.failure,
        stages=stages,
        engine_version=plan.engine_version,
        driver_root=plan.driver_root,
    )


@frozen
class Effect:
    """One change that applying the plan made: `kind` mount, symlink, directory, file, removed, ldcache, unmount; `by` engine,
    ldconfig or a hook's name."""

    kind: str
    path: str
    detail: str
    by: str


@frozen
class Injected:
    """The root after applying a plan. `failure` is the exact stderr of the step that failed; earlier steps stay in `effects`.

    `log` are lines that only a debug log shows (ldconfig's own messages, a program that could not be started).
    """

    rootfs: RootFS
    effects: tuple[Effect, ...] = ()
    failure: str | None = None
    exit: int = 0
    log: tuple[str, ...] = ()
