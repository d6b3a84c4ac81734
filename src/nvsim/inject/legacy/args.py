"""The command line of nvidia-container-cli, as glibc's argp and getopt_long read it, with their error texts.

Source: libnvidia-container ``src/cli/{main,configure,list,info}.c``; glibc ``argp/argp-parse.c``, ``posix/getopt.c``.
What the arguments do is in the other modules of the engine.
"""

from __future__ import annotations

import re
import textwrap

from attrs import evolve, frozen

from nvsim.errors import UnsupportedError
from nvsim.inject.legacy.engine import Engine

PROGRAM = "nvidia-container-cli"
_NO, _REQUIRED, _OPTIONAL = 0, 1, 2
_HELP = (
    ("help", "?", _NO),
    ("program-name", None, _REQUIRED),
    ("usage", None, _NO),
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
_COMMANDS: dict[str, tuple[tuple[str, str | None, int], ...]] = {
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


@frozen(slots=True)
class CliArgs:
    """A command line that was understood. `container_flags` are the words given to the library, in order.

    `devices`, `mig_config`, `mig_monitor`, `imex_channels` are comma lists, None when the option was not given. `listed` are the
    things that ``list`` prints: libraries, binaries, ipcs, firmwares.
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

    def has(self, flag: str) -> bool:
        """Whether a flag such as "compute" or "no-cgroups" was given."""
        return flag in self.container_flags

    def has_any(self, flags: tuple[str, ...]) -> bool:
        """Whether one of the flags was given."""
        return any(f in self.container_flags for f in flags)


@frozen(slots=True)
class UsageError:
    """The command line was refused: the exact stderr (lines joined, without the last newline); the exit status is 1."""

    stderr: str


class _Refused(Exception):  # noqa: N818 - a predicted failure of the real program
    pass


def parse_args(argv: tuple[str, ...], engine: Engine) -> CliArgs | UsageError:
    """Read the arguments after the program name. Raises `UnsupportedError` for ``--help``, ``--usage`` and ``--version``."""
    try:
        return _parse(argv, engine)
    except _Refused as e:
        return UsageError(str(e))


def _parse(argv: tuple[str, ...], engine: Engine) -> CliArgs:
    args = CliArgs("")
    options, rest = _getopt(PROGRAM, _MAIN, argv, engine, permute=False)
    for name, value in options:
        if name == "load-kmods":
            args = evolve(args, load_kmods=True)
        elif name == "root":
            args = evolve(args, root=value)
        elif name == "ldcache":
            args = evolve(args, ldcache=value)
        elif name == "no-create-imex-channels":
            args = evolve(args, create_imex_channels=False)
    if not rest or rest[0] not in _COMMANDS:
        raise _Refused(_usage(PROGRAM, "COMMAND [ARG...]"))
    command = rest[0]
    shown = f"{PROGRAM} {command}"
    options, operands = _getopt(shown, _COMMANDS[command], tuple(rest[1:]), engine, permute=True)
    args = evolve(args, command=command)
    for name, value in options:
        args = _apply_option(args, name, value)
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
    shown: str, spec: tuple[tuple[str, str | None, int], ...], argv: tuple[str, ...], engine: Engine, *, permute: bool
) -> tuple[list[tuple[str, str]], list[str]]:
    """Options (name, value) in order and operands; without `permute` the first operand ends the options (ARGP_IN_ORDER's use here)."""
    known = [o for o in spec if engine.has_option(o[0])] + list(_HELP)
    options: list[tuple[str, str]] = []
    operands: list[str] = []
    todo = list(argv)
    while todo:
        word = todo.pop(0)
        if word == "--":
            operands += todo
            break
        if not word.startswith("-") or word == "-":
            operands.append(word)
            if not permute:
                operands += todo
                break
            continue
        if word.startswith("--"):
            options.append(_long(shown, known, word[2:], todo))
        else:
            options += _short(shown, known, word[1:], todo)
        if options[-1][0] in ("help", "usage", "version"):
            raise UnsupportedError(f"{shown} --{options[-1][0]} is not modelled")
    return options, operands


def _long(shown: str, known: list[tuple[str, str | None, int]], word: str, todo: list[str]) -> tuple[str, str]:
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
        value = todo.pop(0)
    return full, value


def _short(
    shown: str, known: list[tuple[str, str | None, int]], letters: str, todo: list[str]
) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    while letters:
        letter, letters = letters[0], letters[1:]
        found = next((o for o in known if o[1] == letter), None)
        if found is None:
            raise _Refused(f"{shown}: invalid option -- '{letter}'\n{_try(shown)}")
        name, _, takes = found
        if takes == _NO:
            out.append((name, ""))
            continue
        if takes == _REQUIRED and not letters:
            if not todo:
                raise _Refused(f"{shown}: option requires an argument -- '{letter}'\n{_try(shown)}")
            letters = todo.pop(0)
        out.append((name, letters))
        break
    return out
