"""The command line of nvidia-container-cli and what it says of itself; argp reads and prints both (`nvsim.loader.argp`).

Source: libnvidia-container ``src/cli/{main,configure,list,info}.c``. What the arguments do is in the other modules of the engine.
"""

from __future__ import annotations

import re

from nvsim.errors import UnsupportedError
from nvsim.frozen import evolve, frozen
from nvsim.inject.legacy.accounts import UNPRIVILEGED, Accounts, parse_user
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.paths import EngineFailure
from nvsim.loader.argp import Ended, Option, Program, Reading

PROGRAM = "nvidia-container-cli"
_BUGS = "https://github.com/NVIDIA/libnvidia-container/issues"
_HEADER = Option("", "", None, "Options:", -1)
_MAIN = (
    _HEADER,
    Option("debug", "d", "FILE", "Log debug information", -1),
    Option("load-kmods", "k", None, "Load kernel modules", -1),
    Option("no-pivot", "n", None, "Do not use pivot_root", -1),
    Option("user", "u", "UID[:GID]", "User and group to use for privilege separation", -1, optional=True),
    Option("root", "r", "PATH", "Path to the driver root directory", -1),
    Option("ldcache", "l", "FILE", "Path to the system's DSO cache", -1),
    Option("no-create-imex-channels", "", None, "Don't automatically create IMEX channel device nodes", -1),
    Option("", "", None, "Commands:"),
    Option("info", "", None, "Report information about the driver and devices", documentation=True),
    Option("list", "", None, "List driver components", documentation=True),
    Option("configure", "", None, "Configure a container with GPU support", documentation=True),
)
_IMEX = Option("imex-channel", "", "CHANNEL", "IMEX channel ID(s) to inject", -1)
_DRIVER = (
    Option("no-persistenced", "", None, "Don't include the NVIDIA persistenced socket", -1),
    Option("no-fabricmanager", "", None, "Don't include the NVIDIA fabricmanager socket", -1),
    Option("no-gsp-firmware", "", None, None, -1),
)
_COMPAT32 = Option("compat32", "", None, "Enable 32bits compatibility", -1)
_COMMANDS: dict[str, tuple[Option, ...]] = {
    "info": (_HEADER, Option("csv", "", None, "Output in CSV format", -1)),
    "list": (
        _HEADER,
        Option("device", "d", "ID", "Device UUID(s) or index(es) to list", -1),
        Option("libraries", "l", None, "List driver libraries", -1),
        Option("binaries", "b", None, "List driver binaries", -1),
        Option("ipcs", "i", None, "List driver ipcs", -1),
        Option("firmwares", "f", None, "List driver firmwares", -1),
        _COMPAT32,
        Option("mig-config", "", "ID", "MIG devices to list config capabilities files for", -1),
        Option("mig-monitor", "", "ID", "MIG devices to list monitor capabilities files for", -1),
        _IMEX,
        *_DRIVER,
    ),
    "configure": (
        _HEADER,
        Option("pid", "p", "PID", "Container PID", -1),
        Option("device", "d", "ID", "Device UUID(s) or index(es) to isolate", -1),
        Option("require", "r", "EXPR", "Check container requirements", -1),
        Option("ldconfig", "l", "PATH", "Path to the ldconfig binary", -1),
        Option("compute", "c", None, "Enable compute capability", -1),
        Option("utility", "u", None, "Enable utility capability", -1),
        Option("video", "v", None, "Enable video capability", -1),
        Option("graphics", "g", None, "Enable graphics capability", -1),
        Option("display", "D", None, "Enable display capability", -1),
        Option("ngx", "n", None, "Enable ngx capability", -1),
        _COMPAT32,
        Option("mig-config", "", "ID", "Enable configuration of MIG devices", -1),
        Option("mig-monitor", "", "ID", "Enable monitoring of MIG devices", -1),
        _IMEX,
        Option("no-cgroups", "", None, "Don't use cgroup enforcement", -1),
        Option("no-devbind", "", None, "Don't bind mount devices", -1),
        Option("no-cntlibs", "", None, None, -1),
        Option("cuda-compat-mode", "", "", None, -1),
        *_DRIVER,
    ),
}
_DOC = {
    "": "Command line utility for manipulating NVIDIA GPU containers.",
    "info": "Query the driver and report its information as well as the devices it detected.",
    "list": "Query the driver and list the components required in order to configure a container with GPU support.",
    "configure": (
        "Configure a container with GPU support by exposing device drivers to it.\n\nThis command enters the namespace of the container "
        "process referred by PID (or the current parent process if none specified) and performs the necessary steps to ensure that the "
        "given capabilities are available inside the container.\nIt is assumed that the container has been created but not yet started, "
        "and the host filesystem is accessible (i.e. chroot/pivot_root hasn't been called)."
    ),
}
_ARGS_DOC = {"": "COMMAND [ARG...]", "configure": "ROOTFS"}
_MAX_REQUIREMENTS = 32
_FLAGS = (
    "compute",
    "utility",
    "video",
    "graphics",
    "display",
    "ngx",
    "compat32",
    "no-cgroups",
    "no-devbind",
    "no-cntlibs",
)


@frozen
class CliArgs:
    """A command line that was understood. `container_flags` are the words given to the library, in order.

    `devices`, `mig_config`, `mig_monitor`, `imex_channels` are comma lists, None when the option was not given. `listed` are the
    things that ``list`` prints: libraries, binaries, ipcs, firmwares. `user` is (uid, gid) of the process that asks NVML.
    """

    command: str
    root: str = "/"
    ldcache: str = "/etc/ld.so.cache"
    load_kmods: bool = False
    create_imex_channels: bool = True
    devices: str | None = None
    requirements: tuple[str, ...] = ()
    ldconfig: str | None = None
    container_flags: tuple[str, ...] = ()
    driver_options: tuple[str, ...] = ()
    mig_config: str | None = None
    mig_monitor: str | None = None
    imex_channels: str | None = None
    csv: bool = False
    compat32: bool = False
    listed: frozenset[str] = frozenset()
    pid: int = 0
    rootfs: str | None = None
    user: tuple[int, int] = UNPRIVILEGED

    def has(self, flag: str) -> bool:
        """Whether a flag such as "compute" or "no-cgroups" was given."""
        return flag in self.container_flags

    def has_any(self, flags: tuple[str, ...]) -> bool:
        """Whether one of the flags was given."""
        return any(f in self.container_flags for f in flags)


@frozen
class UsageError:
    """The command line was refused: the exact stderr (lines joined, without the last newline); the exit status is 1."""

    stderr: str


@frozen
class Asked:
    """The command line only asks what the program tells of itself: its exact `stdout`; `unknown`: what is left out there, and why."""

    stdout: str
    unknown: str | None = None


_UNKNOWN = Accounts()
_BUILD = "what --version says of the build (date, revision, compiler, platform, flags) is not known"


class _Refused(Exception):  # noqa: N818 - a predicted failure of the real program
    pass


def parse_args(
    argv: tuple[str, ...], engine: Engine, accounts: Accounts = _UNKNOWN, *, total_order: bool = True
) -> CliArgs | UsageError | Asked:
    """Read the arguments after the program name; `accounts` are those of the host, for ``--user``.

    `total_order` is argp's of the C library (`nvsim.loader.argp.Program`). Raises `UnsupportedError` for help texts of options that are
    not known, and for ``--program-name`` where the program goes on.
    """
    try:
        return _parse(argv, engine, accounts, total_order)
    except _Refused as e:
        return UsageError(str(e))
    except Ended as e:
        if e.asked:
            return Asked(e.stdout, _BUILD if e.asked == "version" else None)
        return UsageError(e.stderr.removesuffix("\n"))


def _program(argv0: str, command: str, engine: Engine, total_order: bool) -> Program:
    options = tuple(o for o in (_COMMANDS[command] if command else _MAIN) if engine.has_option(o.name))
    version = engine.name.removeprefix("v").partition("-")[0]
    return Program(
        argv0,
        options,
        _DOC[command],
        _ARGS_DOC.get(command, ""),
        bug_address=_BUGS,
        version=f"cli-version: {version}\nlib-version: {version}\n",
        error_status=1,
        in_order=not command,
        total_order=total_order,
    )


def _parse(argv: tuple[str, ...], engine: Engine, accounts: Accounts, total_order: bool) -> CliArgs:
    args = CliArgs("")
    main = Reading(_program(PROGRAM, "", engine, total_order), argv)
    for option, value in main.options():
        if option.name == "user":
            args = evolve(args, user=_user(value, accounts))
        elif option.name == "load-kmods":
            args = evolve(args, load_kmods=True)
        elif option.name == "root":
            args = evolve(args, root=value or "")
        elif option.name == "ldcache":
            args = evolve(args, ldcache=value or "")
        elif option.name == "no-create-imex-channels":
            args = evolve(args, create_imex_channels=False)
    rest = main.operands
    if not rest or rest[0] not in _COMMANDS:
        raise main.usage()
    command = rest[0]
    args = evolve(args, command=command)
    reading = Reading(_program(f"{main.name} {command}", command, engine, total_order), tuple(rest[1:]))
    for option, value in reading.options():
        args = _apply_option(args, option.name, value or "")
    if command == "configure":
        args = _with_rootfs(args, reading)
    elif reading.operands:
        raise reading.error("Too many arguments")
    if main.name != PROGRAM or reading.name != f"{PROGRAM} {command}":
        raise UnsupportedError(f"{PROGRAM} {command} under the name of --program-name is not modelled")
    if command == "list" and (len(rest) == 1 or (len(rest) == 2 and args.imex_channels is not None)):
        everything = frozenset({"libraries", "binaries", "ipcs", "firmwares"})
        args = evolve(args, devices="all", mig_config=None, mig_monitor=None, compat32=True, listed=everything)
    return args


def _with_rootfs(args: CliArgs, reading: Reading) -> CliArgs:
    for i, operand in enumerate(reading.operands):
        if i > 0:
            raise reading.usage()
        if not operand.startswith("/") or operand == "/":
            raise _input_error("invalid rootfs directory")
        args = evolve(args, rootfs=operand)
    if not reading.operands:
        raise reading.usage()
    mode = "supervised" if args.pid > 0 else "standalone"
    return evolve(args, container_flags=(*args.container_flags, mode))


def _apply_option(args: CliArgs, name: str, value: str) -> CliArgs:
    if name in _FLAGS and args.command == "configure":
        return evolve(args, container_flags=(*args.container_flags, name))
    if name == "cuda-compat-mode":
        return evolve(args, container_flags=(*args.container_flags, f"cuda-compat-mode={value}"))
    if name.startswith("no-"):
        return evolve(args, driver_options=(*args.driver_options, name))
    if name == "device":
        return evolve(args, devices=_joined(args.devices, value))
    if name == "mig-config":
        return evolve(args, mig_config=_joined(args.mig_config, value))
    if name == "mig-monitor":
        return evolve(args, mig_monitor=_joined(args.mig_monitor, value))
    if name == "imex-channel":
        return evolve(args, imex_channels=_joined(args.imex_channels, value))
    if name == "require":
        if len(args.requirements) >= _MAX_REQUIREMENTS:
            raise _input_error("too many requirements")
        return evolve(args, requirements=(*args.requirements, value))
    if name == "pid":
        return evolve(args, pid=_pid(value))
    if name == "ldconfig":
        return evolve(args, ldconfig=value)
    if name == "csv":
        return evolve(args, csv=True)
    if name == "compat32":
        return evolve(args, compat32=True)
    return evolve(args, listed=args.listed | {name})


def _joined(before: str | None, value: str) -> str:
    return f"{before},{value}" if before else value


def _user(text: str | None, accounts: Accounts) -> tuple[int, int]:
    """The user of ``--user``; without an argument it is the caller, root."""
    if text is None:
        return 0, 0
    try:
        return parse_user(text, accounts)
    except EngineFailure as e:
        raise _input_error(str(e)) from None


def _pid(text: str) -> int:
    match = re.match(r"\s*[+-]?\d+", text)
    if match is None or match[0] != text:
        raise _input_error("parse pid failed: invalid argument")
    if not -(2**31) <= int(text) < 2**31:
        raise _input_error("parse pid failed: numerical result out of range")
    return int(text)


def _input_error(text: str) -> _Refused:
    return _Refused(f"{PROGRAM}: input error: {text}")
