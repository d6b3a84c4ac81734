"""The command line of nvidia-container-cli, as glibc's argp and getopt_long read it, with their error texts.

Source: libnvidia-container ``src/cli/{main,configure,list,info}.c``; glibc ``argp/argp-parse.c``, ``posix/getopt.c``.
What the arguments do is in the other modules of the engine.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from nvsim.errors import UnsupportedError
from nvsim.frozen import evolve, frozen
from nvsim.inject.legacy.accounts import UNPRIVILEGED, Accounts, parse_user
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.paths import EngineFailure

PROGRAM = "nvidia-container-cli"
_NO, _REQUIRED, _OPTIONAL = 0, 1, 2
_Option = tuple[str, str | None, int]  # long name, short name, does it take a value
_ARGP: tuple[_Option, ...] = (  # what argp adds
    ("help", "?", _NO),
    ("usage", None, _NO),
    ("program-name", None, _REQUIRED),
    ("HANG", None, _OPTIONAL),
    ("version", "V", _NO),
)
_MAIN = (
    ("debug", "d", _REQUIRED),
    ("load-kmods", "k", _NO),
    ("no-pivot", "n", _NO),
    ("user", "u", _OPTIONAL),
    ("root", "r", _REQUIRED),
    ("ldcache", "l", _REQUIRED),
    ("no-create-imex-channels", None, _NO),
)
_DRIVER = (("no-persistenced", None, _NO), ("no-fabricmanager", None, _NO), ("no-gsp-firmware", None, _NO))
_COMMANDS: dict[str, tuple[_Option, ...]] = {
    "info": (("csv", None, _NO),),
    "list": (
        ("device", "d", _REQUIRED),
        ("libraries", "l", _NO),
        ("binaries", "b", _NO),
        ("ipcs", "i", _NO),
        ("firmwares", "f", _NO),
        ("compat32", None, _NO),
        ("mig-config", None, _REQUIRED),
        ("mig-monitor", None, _REQUIRED),
        ("imex-channel", None, _REQUIRED),
        *_DRIVER,
    ),
    "configure": (
        ("pid", "p", _REQUIRED),
        ("device", "d", _REQUIRED),
        ("require", "r", _REQUIRED),
        ("ldconfig", "l", _REQUIRED),
        ("compute", "c", _NO),
        ("utility", "u", _NO),
        ("video", "v", _NO),
        ("graphics", "g", _NO),
        ("display", "D", _NO),
        ("ngx", "n", _NO),
        ("compat32", None, _NO),
        ("mig-config", None, _REQUIRED),
        ("mig-monitor", None, _REQUIRED),
        ("imex-channel", None, _REQUIRED),
        ("no-cgroups", None, _NO),
        ("no-devbind", None, _NO),
        ("no-cntlibs", None, _NO),
        ("cuda-compat-mode", None, _REQUIRED),
        *_DRIVER,
    ),
}
_ARGS_DOC = {"configure": "ROOTFS"}
_MAX_REQUIREMENTS = 32
_RIGHT_MARGIN = 79  # of argp's help
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


_UNKNOWN = Accounts()


class _Refused(Exception):  # noqa: N818 - a predicted failure of the real program
    pass


def parse_args(argv: tuple[str, ...], engine: Engine, accounts: Accounts = _UNKNOWN) -> CliArgs | UsageError:
    """Read the arguments after the program name; `accounts` are those of the host, for ``--user``.

    Raises `UnsupportedError` for the options that argp itself adds (``--help``, ``--usage``, ``--version``, ...).
    """
    try:
        return _parse(argv, engine, accounts)
    except _Refused as e:
        return UsageError(str(e))


def _parse(argv: tuple[str, ...], engine: Engine, accounts: Accounts) -> CliArgs:
    args = CliArgs("")
    rest: list[str] = []
    for name, value in _getopt(PROGRAM, _MAIN, argv, engine, rest, permute=False):
        if name == "user":
            args = evolve(args, user=_user(value, accounts))
        elif name == "load-kmods":
            args = evolve(args, load_kmods=True)
        elif name == "root":
            args = evolve(args, root=value or "")
        elif name == "ldcache":
            args = evolve(args, ldcache=value or "")
        elif name == "no-create-imex-channels":
            args = evolve(args, create_imex_channels=False)
    if not rest or rest[0] not in _COMMANDS:
        raise _Refused(_usage(PROGRAM, "COMMAND [ARG...]"))
    command = rest[0]
    shown = f"{PROGRAM} {command}"
    args = evolve(args, command=command)
    operands: list[str] = []
    for name, value in _getopt(shown, _COMMANDS[command], tuple(rest[1:]), engine, operands, permute=True):
        args = _apply_option(args, name, value or "")
    if command == "configure":
        for i, operand in enumerate(operands):
            if i > 0:
                raise _Refused(_usage(shown, _ARGS_DOC[command]))
            if not operand.startswith("/") or operand == "/":
                raise _input_error("invalid rootfs directory")
            args = evolve(args, rootfs=operand)
        if not operands:
            raise _Refused(_usage(shown, _ARGS_DOC[command]))
        mode = "supervised" if args.pid > 0 else "standalone"
        return evolve(args, container_flags=(*args.container_flags, mode))
    if operands:
        raise _Refused(f"{shown}: Too many arguments\n{_try(shown)}")
    if command == "list" and (len(rest) == 1 or (len(rest) == 2 and args.imex_channels is not None)):
        everything = frozenset({"libraries", "binaries", "ipcs", "firmwares"})
        args = evolve(args, devices="all", mig_config=None, mig_monitor=None, compat32=True, listed=everything)
    return args


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


def _try(name: str) -> str:
    """The hint that argp adds, in lines as its formatted stream breaks them."""
    words = f"Try `{name} --help' or `{name} --usage' for more information."
    return textwrap.fill(words, _RIGHT_MARGIN - 1, break_long_words=False, break_on_hyphens=False)


def _usage(name: str, args_doc: str) -> str:
    return f"Usage: {name} [OPTION...] {args_doc}\n{_try(name)}"


def _getopt(
    shown: str,
    spec: tuple[_Option, ...],
    argv: tuple[str, ...],
    engine: Engine,
    operands: list[str],
    *,
    permute: bool,
) -> Iterator[tuple[str, str | None]]:
    """The options (name, value) one by one, as the program meets them; None = no value. `operands` is filled meanwhile.

    Without `permute` the first operand ends the options (ARGP_IN_ORDER's use here).
    """
    known = [o for o in spec if engine.has_option(o[0])] + list(_ARGP)
    todo = list(argv)
    while todo:
        word = todo.pop(0)
        if word == "--":
            operands += todo
            return
        if not word.startswith("-") or word == "-":
            operands.append(word)
            if not permute:
                operands += todo
                return
        elif word.startswith("--"):
            yield _long(shown, known, word[2:], todo)
        else:
            yield from _short(shown, known, word[1:], todo)


def _modelled(shown: str, name: str) -> str:
    """`name`, if it is no option of argp's own. Raises `UnsupportedError`."""
    if any(name == o[0] for o in _ARGP):
        raise UnsupportedError(f"{shown} --{name} is not modelled")
    return name


def _long(shown: str, known: list[_Option], word: str, todo: list[str]) -> tuple[str, str | None]:
    name, eq, value = word.partition("=")
    found = [o for o in known if o[0] == name] or [o for o in known if o[0].startswith(name)]
    if not found:
        raise _Refused(f"{shown}: unrecognized option '--{word}'\n{_try(shown)}")
    if len(found) > 1:
        many = "".join(f" '--{o[0]}'" for o in found)
        raise _Refused(f"{shown}: option '--{word}' is ambiguous; possibilities:{many}\n{_try(shown)}")
    full, _, takes = found[0]
    if eq and takes == _NO:
        raise _Refused(f"{shown}: option '--{full}' doesn't allow an argument\n{_try(shown)}")
    if takes == _REQUIRED and not eq:
        if not todo:
            raise _Refused(f"{shown}: option '--{full}' requires an argument\n{_try(shown)}")
        return _modelled(shown, full), todo.pop(0)
    return _modelled(shown, full), value if eq else None


def _short(shown: str, known: list[_Option], letters: str, todo: list[str]) -> Iterator[tuple[str, str | None]]:
    while letters:
        letter, letters = letters[0], letters[1:]
        found = next((o for o in known if o[1] == letter), None)
        if found is None:
            raise _Refused(f"{shown}: invalid option -- '{letter}'\n{_try(shown)}")
        name, _, takes = found
        _modelled(shown, name)
        if takes == _NO:
            yield name, None
            continue
        if takes == _REQUIRED and not letters:
            if not todo:
                raise _Refused(f"{shown}: option requires an argument -- '{letter}'\n{_try(shown)}")
            yield name, todo.pop(0)
        else:
            yield name, letters or None
        return
