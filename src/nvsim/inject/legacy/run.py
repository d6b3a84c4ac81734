"""The legacy engine, nvidia-container-cli: the stages of a run in order, from arguments to a plan or to what it prints.

Source: libnvidia-container ``src/cli/configure.c``, ``src/cli/list.c``, ``src/cli/info.c``. The stages themselves are in the modules
``legacy_*``; carrying a plan out is `nvsim.inject.legacy.apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nvsim.errors import UnsupportedError
from nvsim.frozen import evolve, frozen
from nvsim.host.profile import HostProfile
from nvsim.inject.host_view import host_view
from nvsim.inject.legacy.accounts import accounts_of
from nvsim.inject.legacy.args import PROGRAM, Asked, CliArgs, UsageError, parse_args
from nvsim.inject.legacy.container import ContainerFacts, container_facts, keep_compat
from nvsim.inject.legacy.devices import Selection, select_devices, select_mig_admin
from nvsim.inject.legacy.engine import Engine, engine_named
from nvsim.inject.legacy.host import DriverInfo, HostFacts, discover
from nvsim.inject.legacy.nvml import process_loader, start_nvml, wsl_stores
from nvsim.inject.legacy.paths import EngineFailure, Root
from nvsim.inject.legacy.plan import Setting, ldconfig_plan, plan_steps
from nvsim.inject.legacy.requirements import Facts, check_requirement
from nvsim.inject.plan import InjectionPlan, PlannedLink, PlannedMount, Skipped
from nvsim.loader.versions import libc_version
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import Tree

ROOTFS = "<rootfs>"  # stands for the container root's path in messages
_PID = "--pid=1"
_TOTAL_ORDER = (2, 34)  # of glibc: how argp sorts options in its messages
_T = TypeVar("_T")


class _Stopped(Exception):  # noqa: N818 - a predicted failure of the real program
    """A stage failed; the argument is the whole stderr."""


@frozen
class CliRun:
    """What a run came to before anything is mounted: `exit` and `stderr` when it failed, `stdout` of list, info and help, the plan of
    configure. `unknown`: what its stdout leaves out."""

    exit: int
    stdout: tuple[str, ...] = ()
    stderr: str | None = None
    plan: InjectionPlan | None = None
    unknown: str | None = None


@frozen
class _Driver:
    """The stages that all commands have in common, done."""

    root: Root
    facts: HostFacts
    info: DriverInfo
    selected: Selection
    mig_config: Selection
    mig_monitor: Selection
    imex: tuple[int, ...]


def plan_legacy(
    host: HostProfile,
    rootfs: Tree,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    engine: Engine | str,
) -> InjectionPlan:
    """What ``nvidia-container-cli ARGV... --pid=PID ROOTFS`` (argv with ``configure``) would do to a container.

    `rootfs` is the container's root as the runtime prepared it; `env` the environment of the program (None: the profile's PATH and
    variables). A failure before anything is mounted is the plan's `failure`. Raises `InputError` for an unknown engine and
    `UnsupportedError` for arguments that are not modelled.
    """
    if env is None:
        env = dict(host.toolkit.env)
        if host.toolkit.path is not None:
            env.setdefault("PATH", host.toolkit.path)
    run = run_cli(host, rootfs, (*argv, _PID, f"/{ROOTFS}"), env=env, engine=engine)
    name = engine if isinstance(engine, str) else engine.name
    if run.plan is not None:
        return run.plan
    if run.stderr is None:
        import shlex

        raise UnsupportedError(f"{PROGRAM} {shlex.join(argv)} configures no container")
    return InjectionPlan("legacy", failure=run.stderr, engine_version=name)


def run_cli(
    host: HostProfile, rootfs: Tree | None, argv: Sequence[str], *, env: Mapping[str, str], engine: Engine | str
) -> CliRun:
    """One run of nvidia-container-cli with all its arguments, up to the point where mounting begins.

    `rootfs` is the container's root (only ``configure`` needs one). Errors as `plan_legacy`.
    """
    if isinstance(engine, str):
        engine = engine_named(engine)
    args = host.memo.get("cli-args", (tuple(argv), engine), lambda: _parsed(host, tuple(argv), engine))
    if isinstance(args, Asked):
        return CliRun(0, stdout=tuple(args.stdout.splitlines()), unknown=args.unknown)
    if isinstance(args, UsageError):
        return CliRun(1, stderr=args.stderr)
    try:
        if args.command == "configure":
            assert rootfs is not None, "configure needs a container root"
            return CliRun(0, plan=_configure(host, rootfs, args, engine, env))
        return CliRun(0, stdout=_report(host, args, engine, env))
    except _Stopped as e:
        return CliRun(1, stderr=str(e))


def _parsed(host: HostProfile, argv: tuple[str, ...], engine: Engine) -> CliArgs | Asked | UsageError:
    accounts = accounts_of(host.tree)
    args = parse_args(argv, engine, accounts)
    if isinstance(args, Asked) and libc_version(process_loader(host, host.tree)[0].version) < _TOTAL_ORDER:
        return parse_args(argv, engine, accounts, total_order=False)
    return args


def _stage(prefix: str, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except EngineFailure as e:
        raise _Stopped(f"{PROGRAM}: {prefix}: {e}") from None


def _start(
    host: HostProfile, args: CliArgs, engine: Engine, env: Mapping[str, str]
) -> tuple[Root, HostFacts, tuple[int, ...]]:
    """The stages before the container is looked at: IMEX arguments, NVML."""
    imex = _stage("error parsing IMEX info", lambda: _imex_channels(args.imex_channels))
    if "" in (args.root, args.ldcache):
        raise _Stopped(f"{PROGRAM}: initialization error: invalid argument")
    root = _driver_root(host, args.root)
    # what depends on the host alone is asked once; failures are asked again
    stores = host.memo.get(
        "dxcore",
        (engine, tuple(env.items())),
        lambda: _stage("initialization error", lambda: wsl_stores(host, engine, env)),
    )
    key = (args.root, engine, tuple(env.items()), args.user)
    host.memo.get(
        "nvml", key, lambda: _stage("initialization error", lambda: start_nvml(host, root, env, stores, args.user))
    )
    version = host.driver.kernel_module or host.driver.version or ""
    return root, HostFacts(version, host.driver.cuda, host.cpu.machine, env, stores), imex


def _driver_root(host: HostProfile, path: str) -> Root:
    """The driver root, reached as the kernel reaches it (links in front of its last component are followed)."""
    view = host_view(host, path)
    found = resolve(view, path, follow=False)
    return Root(view, path, found.path if isinstance(found, Resolved) else path)


def _detect(
    host: HostProfile, root: Root, facts: HostFacts, args: CliArgs, engine: Engine, imex: tuple[int, ...]
) -> _Driver:
    seen = CliArgs(args.command, args.root, args.ldcache, driver_options=args.driver_options)  # all that discovery sees
    key = (seen, engine, tuple(facts.env.items()))
    info = host.memo.get(
        "discover", key, lambda: _stage("detection error", lambda: discover(root, seen, engine, facts))
    )
    selected = _stage("device error", lambda: select_devices(args.devices, host.gpus))
    config = _stage("mig-config error", lambda: select_mig_admin(args.mig_config, selected, "mig-config"))
    monitor = _stage("mig-monitor error", lambda: select_mig_admin(args.mig_monitor, selected, "mig-monitor"))
    return _Driver(root, facts, info, selected, config, monitor, imex)


def _report(host: HostProfile, args: CliArgs, engine: Engine, env: Mapping[str, str]) -> tuple[str, ...]:
    from nvsim.inject.legacy.report import info_lines, list_lines

    root, facts, imex = _start(host, args, engine, env)
    driver = _detect(host, root, facts, args, engine, imex)
    wsl = bool(facts.stores)
    if args.command == "info":
        return info_lines(host, args, facts.version, wsl=wsl)
    return list_lines(
        root,
        args,
        driver.info,
        driver.selected,
        driver.mig_config,
        driver.mig_monitor,
        wsl=wsl,
        caps_devices=_caps_major(root.tree) is not None,
        imex=imex,
    )


def _configure(host: HostProfile, rootfs: Tree, args: CliArgs, engine: Engine, env: Mapping[str, str]) -> InjectionPlan:
    root, facts, imex = _start(host, args, engine, env)
    container_root = Root(rootfs, ROOTFS)
    container = _stage("container error", lambda: container_facts(container_root, args, engine, facts.machine))
    driver = _detect(host, root, facts, args, engine, imex)
    _stage("requirement error", lambda: _requirements(args, driver.selected, facts))
    container, dropped = _stage("mount error", lambda: keep_compat(container, facts.version, engine))
    seen = evolve(args, requirements=())  # what the steps follow from; containers that are alike get the same plan
    key = (seen, engine, tuple(env.items()), container, dropped)
    return host.memo.get("legacy-plan", key, lambda: _plan(root, facts, driver, seen, engine, container, dropped))


def _plan(
    root: Root,
    facts: HostFacts,
    driver: _Driver,
    args: CliArgs,
    engine: Engine,
    container: ContainerFacts,
    dropped: tuple[Skipped, ...],
) -> InjectionPlan:
    """The plan of ``configure``; `dropped` are compatibility libraries that are not used."""
    setting = Setting(
        root,
        args,
        engine,
        driver.info,
        container,
        driver.selected,
        driver.mig_config,
        driver.mig_monitor,
        _caps_major(root.tree),
        driver.imex,
        facts.stores[0] if facts.stores else None,
    )
    steps = plan_steps(setting)
    every = [step for stage in steps.stages for step in stage.steps]
    return InjectionPlan(
        "legacy",
        mounts=tuple(s for s in every if isinstance(s, PlannedMount)),
        symlinks=tuple(s for s in every if isinstance(s, PlannedLink)),
        device_nodes=steps.device_nodes,
        ldconfig=ldconfig_plan(container),
        skipped=_unique((*driver.info.skipped, *dropped, *steps.skipped)),
        stages=steps.stages,
        engine_version=engine.name,
        driver_root=args.root,
    )


def _unique(skipped: tuple[Skipped, ...]) -> tuple[Skipped, ...]:
    return tuple(dict.fromkeys(skipped))


def _requirements(args: CliArgs, selected: Selection, facts: HostFacts) -> None:
    """Every ``--require`` for every visible GPU, or once without a GPU."""
    gpus = [g.gpu for g in selected.gpus] + [m.parent.gpu for m in selected.migs]
    base = Facts(facts.cuda, facts.version)
    for known in [evolve(base, arch=g.compute, brand=g.brand) for g in gpus] or [base]:
        for expression in args.requirements:
            check_requirement(expression, known)


def _imex_channels(text: str | None) -> tuple[int, ...]:
    channels = [c for c in (text or "").split(",") if c]
    for channel in channels:
        if not channel.isdigit():
            raise EngineFailure(f"invalid IMEX channel: {channel}")
    return tuple(int(c) for c in channels)


def _caps_major(tree: Tree) -> int | None:
    """The major number of "nvidia-caps" in /proc/devices."""
    node = tree.node("/proc/devices")
    for line in (node.facts.text or "").splitlines() if isinstance(node, File) else ():
        number, _, name = line.strip().partition(" ")
        if name == "nvidia-caps" and number.isdigit():
            return int(number)
    return None
