"""The values around running a program: what is asked (`ProcessRequest`, `Machine`), and what happened (`Outcome`).

Only values live here. The mechanisms are `nvsim.loader.execve`, `nvsim.loader.glibc.session`, `nvsim.loader.musl` and, for the
way through them, `nvsim.loader.process`.
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.rootfs.node import Origin


@frozen
class Cpu:
    """The simulated CPU. `isa_level` 1 to 4 = x86-64 to x86-64-v4; `platform` = AT_PLATFORM as glibc's ``$PLATFORM``;
    `hwcaps` = active legacy hwcap names."""

    isa_level: int = 4
    platform: str = "haswell"
    hwcaps: tuple[str, ...] = ("avx512_1", "x86_64")
    machine: str = "x86_64"


@frozen
class Machine:
    """What the kernel tells: the CPU and the kernel release ("6.18")."""

    cpu: Cpu = Cpu()
    kernel: str = "6.18"


@frozen
class DlopenCall:
    """One dlopen. `flags` are RTLD_* bits (1 LAZY, 2 NOW, 4 NOLOAD, 0x100 GLOBAL); `caller` is "main" or the path of the
    library file whose code calls. `namespace` "new": it is a dlmopen into a namespace of its own."""

    name: str
    flags: int = 2
    caller: str = "main"
    namespace: str = "base"


@frozen
class ProcessRequest:
    """A program to be executed: `exec` as given to execve, the complete environment, and the dlopens that it then makes.

    `secure`: AT_SECURE is set (set-uid). `proc`: /proc is mounted (else the main program's ``$ORIGIN`` is unknown).
    `path_search`: look `exec` up in PATH first, as a runtime or shell does, when it holds no slash. `override`: CAP_DAC_OVERRIDE is effective until
    execve, which then takes it from an ordinary user: the files to be executed are found and allowed as for root.
    """

    exec: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    secure: bool = False
    proc: bool = True
    dlopen: tuple[DlopenCall, ...] = ()
    override: bool = False


@frozen
class Candidate:
    """One file name that a search considered.

    `stage`: preloaded, name (contains a slash), rpath, ld_library_path, runpath, cache, default, path-file (musl), ...
    `set_by` says who put the directory into the list ("env LD_LIBRARY_PATH", "RPATH of /app/main", "/etc/ld.so.conf.d/x.conf:1",
    "built into the loader"). `result`: "hit", "missing", "skipped: ..." or "fatal: ...", `errno` where one was met.
    """

    stage: str
    path: str
    set_by: str
    result: str
    errno: str | None = None


@frozen
class SearchedPath:
    """One run of directories that a search went through, in the terms of glibc's ``LD_DEBUG=libs``.

    It comes before candidate number `at` of the search. `what` is what first brought the directories up ("RPATH", "LD_LIBRARY_PATH",
    "system search path", ...; "cache" for the cache file, then `directories` holds its path), `where` the object whose RPATH or RUNPATH
    that was. `set_by` says who put this list into this search. `directories` are those that were tried, hwcaps subdirectories included,
    without trailing slash; `absent` those left out because an earlier search had found that they do not exist.
    """

    at: int
    what: str
    where: str | None
    set_by: str
    directories: tuple[str, ...]
    absent: tuple[str, ...] = ()


@frozen
class Search:
    """How one requested name was looked for: by whom, everything that was considered in order, and what came of it.

    `result`: "loaded" (a new object), "already" (an object of the process matched, see `note`), "not-found", "fatal" or "ignored".
    `path` is the object's path for "loaded" and "already". `error` is the loader's text. `note` is one more line for humans.
    `because`: needed (DT_NEEDED), preload, dlopen, auxiliary, filter or program (the argument of a directly run loader).
    """

    name: str
    requester: str
    candidates: tuple[Candidate, ...]
    result: str
    path: str | None = None
    error: str | None = None
    note: str = ""
    because: str = "needed"
    paths: tuple[SearchedPath, ...] = ()


@frozen
class VersionProblem:
    """A version that `needer` wants of `provider` and that is not there: `kind` is missing (fatal), weak, or none (the provider has no
    version information at all). `text` is the loader's, without the program's name."""

    needer: str
    provider: str
    version: str
    kind: str

    @property
    def fatal(self) -> bool:
        return self.kind == "missing"

    @property
    def text(self) -> str:
        return f"{self.provider}: {self.message}"

    @property
    def message(self) -> str:
        """The text without the provider."""
        if self.kind == "none":
            return f"no version information available (required by {self.needer})"
        weak = "weak " if self.kind == "weak" else ""
        return f"{weak}version `{self.version}' not found (required by {self.needer})"


@frozen
class LoadedObject:
    """One entry of the link map: the first requested `name`, `path` as the loader stores it, the canonical `file` it is in the
    tree, where that file comes from, who asked for it and by which stage it was found."""

    name: str | None
    path: str
    file: str | None = None
    origin: Origin | None = None
    requester: str | None = None
    stage: str | None = None


@frozen
class DlopenResult:
    """The result of one `DlopenCall`. `ok` None: not made (the calling library is not loaded), or undecidable (see `error`).

    `error` is dlerror()'s text. `path` is the object's path. `ended`: the call ended the process (see the outcome).
    """

    call: DlopenCall
    ok: bool | None
    error: str | None = None
    path: str | None = None
    new_objects: tuple[LoadedObject, ...] = ()
    searches: tuple[Search, ...] = ()
    ended: bool = False


@frozen
class ExecStep:
    """One file that execve looked at: `role` program, script-interpreter or interpreter (PT_INTERP); `path` as named, `file`
    canonical (None: missing), `because` why it was looked at, `errno` when it ended here."""

    role: str
    path: str
    file: str | None
    because: str
    errno: str | None = None


@frozen
class Outcome:
    """What came of a `ProcessRequest`.

    `outcome`: "exit" | "exec-error" (execve failed with `errno`) | "signal" | "unknown" (see `unknown`).
    `started`: the program's own code ran. `exit_code`: None when the program started and its own status is not known.
    `objects`: the link map after start-up without the main program and the vdso. `trace_*`: what LD_TRACE_LOADED_OBJECTS=1
    (glibc) or ``--list`` (musl) prints: status, (name, path or None) pairs, stderr. `assumptions`: loader facts that were assumed.
    `stdout` is what the loader itself prints there (a listing, ``--help``, ``--version``).
    `version_problems` are those of start-up, in the order of the messages; `undefined` is (object, text) of a symbol that ended it.
    `libc` is the kind and release of the loader, as far as known ("glibc 2.36").
    """

    outcome: str
    errno: str | None = None
    exit_code: int | None = None
    stderr: str = ""
    stdout: str = ""
    started: bool = False
    steps: tuple[ExecStep, ...] = ()
    program: str | None = None
    interpreter: str | None = None
    objects: tuple[LoadedObject, ...] = ()
    searches: tuple[Search, ...] = ()
    dlopen: tuple[DlopenResult, ...] = ()
    trace_rc: int | None = None
    trace_objects: tuple[tuple[str, str | None], ...] = ()
    trace_stderr: str = ""
    unknown: str | None = None
    assumptions: tuple[str, ...] = ()
    version_problems: tuple[VersionProblem, ...] = ()
    undefined: tuple[str, str] | None = None
    libc: str | None = None
