"""What container engines show when a program cannot be started: the look-up in PATH before execve, and the texts around a failure.

Texts as of runc 1.1 and later and Docker 23 and later (runc ``libcontainer/standard_init_linux.go``, Go ``os/exec``, moby, docker/cli).
"""

from __future__ import annotations

from attrs import frozen

from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import PathError, Resolver
from nvsim.scenario.engine import Process

_TEXT = {
    "ENOENT": "no such file or directory",
    "EACCES": "permission denied",
    "ENOEXEC": "exec format error",
    "ENOTDIR": "not a directory",
    "ELOOP": "too many levels of symbolic links",
    "EISDIR": "is a directory",
    "ELIBBAD": "accessing a corrupted shared library",
    "EIO": "input/output error",
    "E2BIG": "argument list too long",
    "EINVAL": "invalid argument",
    "ENAMETOOLONG": "file name too long",
}
_DOCKER = "docker: Error response from daemon: failed to create task for container: failed to create shim task: "
_RUNC = "OCI runtime create failed: runc create failed: unable to start container process: "


@frozen(slots=True)
class Lookup:
    """The program that the runtime found (`path`), or why it found none: `error` is Go's text, `exit` docker's status.

    `tried` are the candidates in order, each with what was wrong with it.
    """

    path: str | None
    error: str | None = None
    exit: int = 0
    tried: tuple[tuple[str, str], ...] = ()


def look_up(resolver: Resolver, process: Process) -> Lookup:
    """Find ``argv[0]`` as runc does (Go ``exec.LookPath`` inside the container root, with the container's PATH)."""
    name = process.argv[0]
    if "/" in name:
        wrong = _not_executable(resolver, name, process.cwd)
        if wrong is None:
            return Lookup(name)
        if wrong in ("permission denied", "is a directory"):
            return Lookup(None, f'exec: "{name}": {wrong}', 126, ((name, wrong),))
        return Lookup(None, f'exec: "{name}": stat {name}: {wrong}', 127, ((name, wrong),))
    path = next((e.partition("=")[2] for e in process.env if e.startswith("PATH=")), "")
    tried: list[tuple[str, str]] = []
    for directory in path.split(":"):
        candidate = f"{directory.rstrip('/') or directory or '.'}/{name}" if directory != "/" else f"/{name}"
        wrong = _not_executable(resolver, candidate, process.cwd)
        if wrong is None:
            return Lookup(candidate, tried=tuple(tried))
        tried.append((candidate, wrong))
    return Lookup(None, f'exec: "{name}": executable file not found in $PATH', 127, tuple(tried))


def _not_executable(resolver: Resolver, path: str, cwd: str) -> str | None:
    found = resolver.resolve(path, cwd=cwd)
    if isinstance(found, PathError):
        return _TEXT.get(found.errno, found.errno.lower())
    if isinstance(found.node, Directory):
        return "is a directory"
    if isinstance(found.node, File) and not found.node.mode & 0o111:
        return "permission denied"
    return None


def create_failed(reason: str) -> str:
    """What ``docker run`` prints when runc cannot create the container."""
    return f"{_DOCKER}{_RUNC}{reason}: unknown"


def hook_failed(status: int, stderr: str) -> str:
    """What ``docker run`` prints when the NVIDIA prestart hook fails; `stderr` is the hook's."""
    return create_failed(
        f"error during container init: error running prestart hook #0: exit status {status}, stdout: , stderr: {stderr.rstrip()}"
    )


def runtime_failed(stderr: str) -> str:
    """What ``docker run`` prints when nvidia-container-runtime itself fails."""
    return f"{_DOCKER}OCI runtime create failed: {stderr.rstrip()}: unknown"


def exec_failed(path: str, errno: str) -> tuple[str, int]:
    """What the container's init prints when execve fails after the look-up, and the exit status of ``docker run``."""
    return f"exec {path}: {_TEXT.get(errno, errno.lower())}", 255
