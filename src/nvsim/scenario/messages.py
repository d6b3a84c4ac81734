"""What container engines show when a program cannot be started: the look-up in PATH before execve, and the texts around a failure.

The look-up is that of runc (``libcontainer/standard_init_linux.go``, Go ``os/exec``). How engines and runtimes speak, by version, is
`nvsim.scenario.messages_engines`; what a shell in between says is `nvsim.scenario.messages_callers`.
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.loader.access import may_execute, mount_flags
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import PathError, Resolver
from nvsim.scenario.engine import Process
from nvsim.scenario.messages_engines import NEWEST, create_text, runtime_texts

DOCKER = (27,)  # the release whose texts are shown where no engine is named
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


@frozen
class Lookup:
    """The program that the runtime found (`path`), or why it found none: `error` is Go's text, `exit` docker's status.

    `tried` are the candidates in order, each with what was wrong with it.
    """

    path: str | None
    error: str | None = None
    exit: int = 0
    tried: tuple[tuple[str, str], ...] = ()


def look_up(resolver: Resolver, process: Process, low_level: str = "runc") -> Lookup:
    """Find ``argv[0]`` as the `low_level` runtime does (Go ``exec.LookPath`` inside the container root, with the container's PATH)."""
    name = process.argv[0]
    texts = runtime_texts(low_level)
    words = _TEXT if texts.lower else {errno: text.capitalize() for errno, text in _TEXT.items()}
    if "/" in name:
        errno = _not_executable(resolver, name, process.cwd)
        if errno is None:
            return Lookup(name)
        wrong = words.get(errno, errno)
        found = resolver.resolve(name, cwd=process.cwd)
        template = texts.missing if isinstance(found, PathError) else texts.refused
        error = template.format(name=name, error=wrong)
        return Lookup(None, error, docker_status(error), ((name, _TEXT.get(errno, errno)),))
    path = next((e.partition("=")[2] for e in process.env if e.startswith("PATH=")), "")
    tried: list[tuple[str, str]] = []
    for directory in path.split(":"):
        candidate = f"{directory.rstrip('/') or directory or '.'}/{name}" if directory != "/" else f"/{name}"
        errno = _not_executable(resolver, candidate, process.cwd)
        if errno is None:
            return Lookup(candidate, tried=tuple(tried))
        tried.append((candidate, _TEXT.get(errno, errno)))
    return Lookup(None, texts.not_in_path.format(name=name), 127, tuple(tried))


def _not_executable(resolver: Resolver, path: str, cwd: str) -> str | None:
    """The errno of stat, of a directory, or of an access check for this user; None for a file that may be executed."""
    found = resolver.resolve(path, cwd=cwd)
    if isinstance(found, PathError):
        return found.errno
    if isinstance(found.node, Directory):
        return "EISDIR"
    node = found.node
    allowed = may_execute(node, resolver.uid, resolver.gid) if isinstance(node, File) else bool(node.mode & 0o111)
    return None if allowed and "noexec" not in mount_flags(resolver.tree, found.path) else "EACCES"


def docker_status(error: str) -> int:
    """The exit status of ``docker run`` for an error that says so in its words (docker/cli ``cli/command/container/run.go``)."""
    text = error.lower()
    if "executable file not found" in text or "executable file `" in text or "no such file or directory" in text:
        return 127
    return 126 if "permission denied" in text or "is a directory" in text else 125


def create_failed(
    reason: str, engine: str = "docker", version: tuple[int, ...] = DOCKER, low_level: str = "runc"
) -> str:
    """What `engine` prints when the low-level runtime cannot create the container for `reason`."""
    return create_text(engine, version, reason, low_level, docker_status(reason))


def hook_failed(status: int, stderr: str, engine: str = "docker", version: tuple[int, ...] = DOCKER) -> str:
    """What `engine` prints when the NVIDIA prestart hook fails; `stderr` is the hook's."""
    hook = f"error running prestart hook #0: exit status {status}, stdout: , stderr: {stderr.rstrip()}"
    return create_failed(f"error during container init: {hook}", engine, version)


def runtime_failed(stderr: str, engine: str = "docker", version: tuple[int, ...] = DOCKER) -> str:
    """What `engine` prints when nvidia-container-runtime itself fails."""
    unable = "runc create failed: unable to start container process: "
    return create_failed(stderr.rstrip(), engine, version, "nvidia-container-runtime").replace(unable, "")


def exec_failed(path: str, errno: str, low_level: str = "runc", version: tuple[int, ...] = NEWEST) -> tuple[str, int]:
    """What the container's init prints when execve fails after the look-up, and the exit status of the container."""
    texts = runtime_texts(low_level, version)
    error = _TEXT.get(errno, errno.lower())
    return texts.exec_failed.format(path=path, error=error if texts.lower else error.capitalize()), texts.exec_status
