"""What the environment and the arguments of a directly run loader ask for (``elf/rtld.c``: ``process_envvars``, ``dl_main``;
``elf/dl-usage.c``).

With AT_SECURE most of it does not count: LD_LIBRARY_PATH, LD_ORIGIN_PATH and GLIBC_TUNABLES are ignored, names with a slash are dropped from
LD_PRELOAD, and a listing ends the process with status 5 (up to 2.38) or is ignored too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nvsim.frozen import evolve, frozen
from nvsim.loader.glibc.tables import DISABLED_BY_TUNABLE, LOADER_OPTIONS, GlibcRules
from nvsim.loader.glibc.usage import usage
from nvsim.loader.outcome import Cpu
from nvsim.loader.versions import libc_version

# What a run is for (`Options.mode`).
NORMAL, TRACE, LIST, VERIFY, PRINT = "normal", "trace", "list", "verify", "print"
_DEBUG = frozenset(
    [
        "libs",
        "reloc",
        "files",
        "symbols",
        "bindings",
        "versions",
        "scopes",
        "all",
        "statistics",
        "unused",
        "help",
        "tls",
    ]
)
_LONGEST_NAME, _LONGEST_SECURE_NAME = 4096, 255


@frozen
class Options:
    """The wishes of one run.

    `library_path` is (who says so, text). `preload` are the names with their source, in order. `mode`: normal, trace
    (LD_TRACE_LOADED_OBJECTS), list (``--list``), verify, or print (``--help``, ``--version``, ...). `hwcaps_prepend` and `hwcaps_mask` are the
    texts of these options. `disabled` are CPU features that GLIBC_TUNABLES switches off,
    `execstack` is its word on executable stacks. `audit` names what asks for audit modules. `unknown_debug` are the words of LD_DEBUG that
    no release knows.
    """

    mode: str = NORMAL
    library_path: tuple[str, str] | None = None
    preload: tuple[tuple[str, str], ...] = ()
    inhibit_cache: bool = False
    inhibit_rpath: str | None = None
    bind_now: bool = False
    warn: bool = False
    verbose: bool = False
    trace_program: bool = False
    origin_path: str | None = None
    argv0: str | None = None
    hwcaps_prepend: str = ""
    hwcaps_mask: str | None = None
    disabled: frozenset[str] = frozenset()
    execstack: int = 1
    audit: str | None = None
    prints: str | None = None
    unknown_debug: tuple[str, ...] = ()


class UsageError(Exception):
    """A directly run loader cannot make sense of its arguments: it prints `text` on stderr and ends with `code`."""

    def __init__(self, text: str, code: int):
        super().__init__(text)
        self.text, self.code = text, code


def from_environment(variables: Iterable[tuple[str, str]], rules: GlibcRules, *, secure: bool) -> Options:
    """What the variables ask for; of one that is given twice the last counts."""
    env = dict(variables)
    if secure and rules.secure_deaf:
        env = {name: value for name, value in env.items() if name in ("LD_PRELOAD", "LD_AUDIT")}
    library_path = env.get("LD_LIBRARY_PATH")
    tunables = {} if secure else _tunables(env.get("GLIBC_TUNABLES", ""))
    trace = env.get("LD_TRACE_LOADED_OBJECTS")
    return Options(
        mode=NORMAL if trace is None else TRACE,
        library_path=("LD_LIBRARY_PATH", library_path) if library_path and not secure else None,
        preload=preload_names(env.get("LD_PRELOAD", ""), "LD_PRELOAD", secure=secure),
        bind_now=bool(env.get("LD_BIND_NOW")),
        warn=bool(env.get("LD_WARN")),
        verbose=bool(env.get("LD_VERBOSE")),
        trace_program=_number(trace) > 1,
        origin_path=env.get("LD_ORIGIN_PATH", "").rstrip("/") or None if not secure else None,
        disabled=_disabled(tunables),
        execstack=_execstack(tunables),
        audit="LD_AUDIT" if env.get("LD_AUDIT") else None,
        unknown_debug=_unknown_debug(env.get("LD_DEBUG", "")),
    )


def _unknown_debug(text: str) -> tuple[str, ...]:
    """The words of LD_DEBUG that stand for nothing."""
    words = text.replace(",", " ").replace(":", " ").split(" ")
    return tuple(w for w in words if w and w not in _DEBUG)


def _number(text: str | None) -> int:
    digits = (text or "").lstrip()
    digits = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return int(digits or 0)


def _tunables(text: str) -> dict[str, str]:
    """The settings in GLIBC_TUNABLES; of one that is given twice the last counts."""
    return {name: value for name, given, value in (s.partition("=") for s in text.split(":")) if given}


def _disabled(tunables: dict[str, str]) -> frozenset[str]:
    """The CPU features that ``glibc.cpu.hwcaps=-A,-B`` switches off."""
    value = tunables.get("glibc.cpu.hwcaps", tunables.get("glibc.tune.hwcaps", ""))
    return frozenset(feature[1:] for feature in value.split(",") if feature.startswith("-"))


def _execstack(tunables: dict[str, str]) -> int:
    """``glibc.rtld.execstack``: 0 none may be executable, 1 only start-up makes the stack executable, 2 it is so from the start."""
    value = tunables.get("glibc.rtld.execstack", "1")
    return int(value) if value in ("0", "1", "2") else 1


def preload_names(text: str, source: str, *, secure: bool) -> tuple[tuple[str, str], ...]:
    """The names in LD_PRELOAD or ``--preload`` with their source; with AT_SECURE those with a slash are dropped."""
    names = [n for n in text.replace(" ", ":").split(":") if n and len(n) < _LONGEST_NAME]
    if secure:
        names = [n for n in names if "/" not in n and len(n) < _LONGEST_SECURE_NAME]
    return tuple((n, source) for n in names)


def preload_file_names(text: str) -> list[str]:
    """The names in ld.so.preload.

    Comments are blanked as rtld does it: every look for the next ``#`` begins at the start of the file again, with the length that is
    left, so that after a comment a later one may not be recognised.
    """
    data = list(text)
    rest = len(data)
    while True:
        at = next((i for i in range(rest) if data[i] == "#"), None)
        if at is None:
            break
        rest -= at
        while True:
            data[at] = " "
            rest -= 1
            at += 1
            if rest <= 0 or data[at] == "\n":
                break
    return [n for n in "".join(data).replace("\t", " ").replace("\n", " ").replace(":", " ").split(" ") if n]


def from_arguments(options: Options, argv: Sequence[str], version: str, cache: str) -> tuple[Options, tuple[str, ...]]:
    """`options` with those of the arguments of a directly run loader, and what is left: the program and its arguments.

    Raises `UsageError`.
    """
    v = libc_version(version)
    known = {name: takes_value for name, takes_value, since in LOADER_OPTIONS if v >= since}
    modern = v >= (2, 33)
    loader, *rest = argv or ("",)
    while rest:
        name = rest[0]
        if name in known and (not known[name] or len(rest) > 1):
            value = rest[1] if known[name] else ""
            options = _with(options, name, value)
            rest = rest[2 if known[name] else 1 :]
            if name == "--version":
                return options, ()
        elif modern and name == "--" and v >= (2, 41):
            rest = rest[1:]
            break
        elif modern and name.startswith("--"):
            raise UsageError(f"{loader}: unrecognized option '{name}'\n{_hint(loader)}", 1)
        else:
            break
    if not rest and options.mode != PRINT:
        if modern:
            raise UsageError(f"{loader}: missing program name\n{_hint(loader)}", 1)
        raise UsageError(usage(cache, preload="--preload" in known), 127)
    return options, tuple(rest)


def _hint(loader: str) -> str:
    return f"Try '{loader} --help' for more information.\n"


def _with(options: Options, name: str, value: str) -> Options:
    match name:
        case "--list":
            return options if options.mode == PRINT else evolve(options, mode=LIST)
        case "--verify":
            return options if options.mode == PRINT else evolve(options, mode=VERIFY)
        case "--inhibit-cache":
            return evolve(options, inhibit_cache=True)
        case "--library-path":
            return evolve(options, library_path=(name, value))
        case "--inhibit-rpath":
            return evolve(options, inhibit_rpath=value)
        case "--audit":
            return evolve(options, audit=name)
        case "--preload":
            kept = tuple(p for p in options.preload if p[1] != name)
            return evolve(options, preload=kept + preload_names(value, name, secure=False))
        case "--argv0":
            return evolve(options, argv0=value)
        case "--glibc-hwcaps-prepend":
            return evolve(options, hwcaps_prepend=value)
        case "--glibc-hwcaps-mask":
            return evolve(options, hwcaps_mask=value)
        case _:
            return evolve(options, mode=PRINT, prints=name)


def masked_cpu(cpu: Cpu, disabled: frozenset[str]) -> Cpu:
    """The CPU as library directories see it once features are switched off (the check of ISA levels does not change)."""
    if not disabled:
        return cpu
    level, platform, hwcaps = cpu.isa_level, cpu.platform, cpu.hwcaps
    for feature in disabled:
        needed_from, for_platform, for_avx512 = DISABLED_BY_TUNABLE.get(feature, (9, False, False))
        level = min(level, needed_from - 1)
        if for_platform and platform == "haswell":
            platform = cpu.machine
        if for_avx512:
            hwcaps = tuple(h for h in hwcaps if h != "avx512_1")
    return evolve(cpu, isa_level=level, platform=platform, hwcaps=hwcaps)
