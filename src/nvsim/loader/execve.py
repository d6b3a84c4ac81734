"""The kernel's execve over a tree: which program runs with which interpreter, or with which errno it fails.

Linux ``fs/exec.c``, ``fs/binfmt_script.c``, ``fs/binfmt_elf.c``; execve(2). What the interpreter then does is
`nvsim.loader.glibc.session` and `nvsim.loader.musl`; the way from one to the other is `nvsim.loader.process`.
"""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts
from nvsim.elf.terms import NO_PROGRAM_HEADERS, PHENTSIZE
from nvsim.frozen import frozen
from nvsim.loader.access import may_execute, mount_flags
from nvsim.loader.outcome import ExecStep, Machine, ProcessRequest
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import PATH_MAX, PathError, Resolver

ELF_HEADER_SIZE = 64
MAX_SCRIPT_DEPTH = 5
_MAX_STRING = 131072  # MAX_ARG_STRLEN, with the terminating NUL
_STACK_STRINGS = 2 * 1024 * 1024  # a quarter of the default 8 MiB stack limit
_NATIVE = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm")}
_BITS = {"x86_64": 64, "aarch64": 64, "i386": 32, "arm": 32}


@frozen
class ExecImage:
    """What execve hands to the program (or to its interpreter).

    `execfn` is AT_EXECFN: the path as given to execve. `path` is the canonical path of the ELF program (/proc/self/exe), which is
    not `execfn` for links and scripts. `argv` is what the program sees. `interp` is the PT_INTERP text (None: the kernel jumps to the
    program itself), `interp_path` its canonical path. `uid` and `gid` are the effective ones; `secure` is AT_SECURE.
    """

    execfn: str
    path: str
    file: File
    elf: ElfFacts
    argv: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    secure: bool
    interp: str | None = None
    interp_path: str | None = None
    interp_file: File | None = None
    steps: tuple[ExecStep, ...] = ()


@frozen
class ExecFailure:
    """execve fails with `errno` (its name); the last of `steps` is the file where it ended."""

    errno: str
    steps: tuple[ExecStep, ...]


@frozen
class ExecCrash:
    """The program is replaced, but cannot be started: the kernel kills it with `signal`. The last of `steps` tells the file."""

    signal: str
    reason: str
    steps: tuple[ExecStep, ...]


def execve(resolver: Resolver, request: ProcessRequest, machine: Machine) -> ExecImage | ExecFailure | ExecCrash:
    """Execute `request` as the kernel would. `resolver` resolves with the caller's user; the errno follows the kernel's order of checks."""
    steps: list[ExecStep] = []
    path, argv = request.exec, request.argv or ("",)
    role, because = "program", "given to execve"
    for depth in range(MAX_SCRIPT_DEPTH + 1):
        opened = _open_exec(resolver, path, request, role, because, steps)
        if isinstance(opened, str):
            return ExecFailure(opened, tuple(steps))
        file, node = opened
        if depth == 0 and _too_big(request):
            return _fail(steps, "E2BIG")
        facts = node.facts
        if facts.elf is not None and node.size:
            return _load_elf(resolver, request, machine, path, (file, node, facts.elf), argv, steps)
        head = facts.text if facts.text is not None else (facts.head or b"").decode("latin-1")
        line = script_line(head, machine.kernel)
        if line is None:
            return _fail(steps, "ENOEXEC")
        interpreter, argument = line
        because = f"#! line of {path}"
        argv = (interpreter, *([argument] if argument else []), path, *argv[1:])
        path, role = interpreter, "script-interpreter"
    opened = _open_exec(resolver, path, request, role, because, steps)
    if isinstance(opened, str):
        return ExecFailure(opened, tuple(steps))
    return _fail(steps, "ELOOP")


def _open_exec(
    resolver: Resolver, path: str, request: ProcessRequest, role: str, because: str, steps: list[ExecStep]
) -> tuple[str, File] | str:
    """The canonical path and the file, or the name of the errno (do_open_execat)."""
    seen = Resolver(resolver.tree) if request.override else resolver
    found = seen.resolve(path, cwd=request.cwd)
    file: str | None = None
    errno: str | None = None
    if isinstance(found, PathError):
        errno = found.errno
    else:
        file = found.path
        node = found.node
        noexec = "noexec" in mount_flags(resolver.tree, file)
        if isinstance(node, File) and not noexec and may_execute(node, seen.uid, seen.gid):
            steps.append(ExecStep(role, path, file, because))
            return file, node
        errno = "EACCES"
    steps.append(ExecStep(role, path, file, because, errno))
    return errno


def _fail(steps: list[ExecStep], errno: str) -> ExecFailure:
    last = steps[-1]
    steps[-1] = ExecStep(last.role, last.path, last.file, last.because, errno)
    return ExecFailure(errno, tuple(steps))


def _too_big(request: ProcessRequest) -> bool:
    strings = [*request.argv, *(f"{name}={value}" for name, value in request.env)]
    total = len(request.exec) + 1
    for text in strings:
        size = len(text) + 1 if text.isascii() else len(text.encode("utf-8", "surrogateescape")) + 1
        if size > _MAX_STRING:
            return True
        total += size
    return total > _STACK_STRINGS - 8 * (max(len(request.argv), 1) + len(request.env))


def script_line(head: str, kernel: str) -> tuple[str, str] | None:
    """Interpreter and argument ("" = none) of the ``#!`` line at the start of `head`; None: no script that the kernel can run.

    The kernel reads 256 bytes (128 before Linux 5.1, where a longer line was cut silently).
    """
    if not head.startswith("#!"):
        return None
    whole_buffer = kernel_version(kernel) >= (5, 1)
    size = 256 if whole_buffer else 128
    data = head if head.isascii() else head.encode("utf-8", "surrogateescape")[: size + 4].decode("latin-1")
    line, newline, _ = data[2:size].partition("\n")
    if not newline and len(data) >= size:
        name = line.lstrip(" \t")
        if whole_buffer and not any(c in name for c in " \t\0"):
            return None
        if not whole_buffer:
            line = line[:-1]  # the last byte of the buffer is overwritten with NUL
    line = line.partition("\0")[0].strip(" \t")
    if not line:
        return None
    for i, c in enumerate(line):
        if c in " \t":
            return _bytes_text(line[:i]), _bytes_text(line[i:].lstrip(" \t"))
    return _bytes_text(line), ""


def _bytes_text(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def kernel_version(release: str) -> tuple[int, ...]:
    """ "6.18.2-arch1" -> (6, 18, 2); what is no number counts as 0."""
    out = []
    for part in release.partition("-")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        out.append(int(digits or 0))
    return tuple(out)


def _load_elf(
    resolver: Resolver,
    request: ProcessRequest,
    machine: Machine,
    path: str,
    program: tuple[str, File, ElfFacts],
    argv: tuple[str, ...],
    steps: list[ExecStep],
) -> ExecImage | ExecFailure | ExecCrash:
    """load_elf_binary: the program's header, then its interpreter."""
    file, node, elf = program
    if not _is_native(elf, machine) or elf.type not in ("EXEC", "DYN") or _headers_cut(elf):
        return _fail(steps, "ENOEXEC")
    uid, gid, secure = _credentials(resolver, request, file, node)
    interp = elf.interp
    interp_path: str | None = None
    interp_file: File | None = None
    if interp is not None:
        size = len(interp.encode("utf-8", "surrogateescape")) + 1
        if not 2 <= size <= PATH_MAX:
            return _fail(steps, "ENOEXEC")
        opened = _open_exec(resolver, interp, request, "interpreter", f"PT_INTERP of {path}", steps)
        if isinstance(opened, str):
            return ExecFailure(opened, tuple(steps))
        interp_path, interp_file = opened
        errno = _interpreter_errno(interp_file, elf, machine)
        if errno is not None:
            return _fail(steps, errno)
        loader_elf = interp_file.facts.elf
        if loader_elf is not None and loader_elf.type not in ("EXEC", "DYN"):
            return ExecCrash("SIGSEGV", f"{interp} is of ELF type {loader_elf.type}", tuple(steps))
    return ExecImage(
        request.exec,
        file,
        node,
        elf,
        argv,
        request.cwd,
        uid,
        gid,
        secure,
        interp,
        interp_path,
        interp_file,
        tuple(steps),
    )


def no_entry(path: str) -> str:
    """Why a process dies that runs a file without entry point."""
    return f"SIGSEGV: {path} has no entry point (e_entry is 0), so its first bytes are executed"


def _is_native(elf: ElfFacts, machine: Machine) -> bool:
    cpu = machine.cpu.machine
    return elf.machine in _NATIVE.get(cpu, (cpu,)) and elf.data == 1


def _headers_cut(elf: ElfFacts) -> bool:
    """Whether the header or the program headers cannot be read (load_elf_phdrs)."""
    return elf.malformed in (PHENTSIZE, NO_PROGRAM_HEADERS) or (
        elf.truncate is not None and elf.truncate < ELF_HEADER_SIZE
    )


def _interpreter_errno(node: File, program: ElfFacts, machine: Machine) -> str | None:
    """Why load_elf_binary refuses the interpreter file, if it does."""
    facts = node.facts
    size = node.size if facts.elf is None or facts.elf.truncate is None else facts.elf.truncate
    if size < ELF_HEADER_SIZE:
        return "EIO"
    elf = facts.elf
    if elf is None:
        return None if facts.loader is not None else "ELIBBAD"
    if _headers_cut(elf):
        return "ELIBBAD"
    fits = elf.machine == program.machine and elf.elf_class == _BITS.get(elf.machine, elf.elf_class)
    return None if fits and elf.data == 1 else "ELIBBAD"


def _credentials(resolver: Resolver, request: ProcessRequest, file: str, node: File) -> tuple[int, int, bool]:
    """Effective user and group after execve, and AT_SECURE (set-id bits of the program, unless the mount is nosuid)."""
    uid, gid = resolver.uid, resolver.gid
    if node.mode & 0o6000 and "nosuid" not in mount_flags(resolver.tree, file):
        if node.mode & 0o4000:
            uid = node.uid
        if node.mode & 0o2010 == 0o2010:
            gid = node.gid
    return uid, gid, request.secure or uid != resolver.uid or gid != resolver.gid
