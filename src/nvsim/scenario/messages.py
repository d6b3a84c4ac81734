"""What container engines show when a program cannot be started: the look-up in PATH before execve, and the texts around a failure.

The look-up is that of the low-level runtime: runc's (``libcontainer/standard_init_linux.go``, Go ``os/exec``) or crun's (``src/libcrun/utils.c``);
how releases of them differ is a table in `nvsim.scenario.messages_runtimes`. What engines put around is `nvsim.scenario.messages_engines`;
what a shell in between says is `nvsim.scenario.messages_callers`.
"""

from __future__ import annotations

import posixpath

from nvsim.frozen import frozen
from nvsim.loader.access import may_execute, mount_flags
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import PathError, Resolver
from nvsim.scenario.engine import Process
from nvsim.scenario.messages_runtimes import NEWEST, RuntimeTexts, Version, runtime_texts

_RELATIVE = 'exec: "{name}": cannot run executable found relative to current directory'
_TRIED = {"ENOENT": "no such file or directory", "EACCES": "permission denied", "ENOTDIR": "not a directory"}
_TRIED |= {
    "ELOOP": "too many levels of symbolic links",
    "EISDIR": "is a directory",
    "ENAMETOOLONG": "file name too long",
}


@frozen
class Lookup:
    """The program that the runtime found (`path`), or why it found none: `error` is the runtime's text.

    `tried` are the candidates in order, each with what was wrong with it.
    """

    path: str | None
    error: str | None = None
    tried: tuple[tuple[str, str], ...] = ()


def look_up(resolver: Resolver, process: Process, low_level: str = "runc", version: Version = NEWEST) -> Lookup:
    """Find ``argv[0]`` as the `low_level` runtime of a release does inside the container root, with the container's PATH."""
    name = process.argv[0]
    texts = runtime_texts(low_level, version)
    resolver = Resolver(resolver.tree) if process.override else resolver
    seen = Resolver(resolver.tree) if texts.access == "root" else resolver
    if "/" in name:
        path = name if texts.lower or name.startswith("/") else _below(process.cwd, name, texts)
        wrong = _wrong(seen, path, process.cwd, texts)
        if wrong is None:
            return _found(resolver, path, process, texts, ())
        return Lookup(None, _said(texts, name, path, wrong), ((path, _TRIED.get(wrong[0], wrong[0])),))
    value = next((e.partition("=")[2] for e in process.env if e.startswith("PATH=")), "")
    if not texts.lower and not name and not texts.no_entries:
        return Lookup(None, "cannot find `` in $PATH: No such file or directory")
    tried: list[tuple[str, str]] = []
    last: tuple[str, bool] | None = None
    for directory in value.split(":") if value or not texts.no_entries else ():
        candidate = _joined(directory or texts.empty, name, texts)
        wrong = _wrong(seen, candidate, process.cwd, texts)
        if wrong is None and texts.relative == "refused" and not candidate.startswith("/"):
            return Lookup(None, _RELATIVE.format(name=name), tuple(tried))
        if wrong is None:
            return _found(resolver, candidate, process, texts, tuple(tried))
        tried.append((candidate, _TRIED.get(wrong[0], wrong[0])))
        last = wrong if texts.sticky and wrong[0] != "ENOENT" else last
    error = texts.not_in_path.format(name=name) if last is None else _said(texts, name, name, last)
    return Lookup(None, error, tuple(tried))


def _joined(directory: str, name: str, texts: RuntimeTexts) -> str:
    """A candidate: Go cleans the path, crun puts a slash between."""
    if texts.lower:
        return posixpath.normpath(f"{directory}/{name}") if directory != "/" else f"/{name}"
    return f"{directory.rstrip('/')}/{name}"


def _below(cwd: str, name: str, texts: RuntimeTexts) -> str:
    """A relative name with a slash as crun looks for it: older releases only put the two together."""
    return f"{cwd}/{name}" if texts.no_entries else f"{cwd.rstrip('/')}/{name}"


def _found(
    resolver: Resolver, path: str, process: Process, texts: RuntimeTexts, tried: tuple[tuple[str, str], ...]
) -> Lookup:
    """The program at `path`, which some releases try once more as the container's user before the container is created."""
    if texts.then_user and _denied(resolver, path, process.cwd, "user"):
        return Lookup(None, texts.exec_failed.format(path=path, error=texts.error("EACCES")), tried)
    return Lookup(path, tried=tried)


def _said(texts: RuntimeTexts, name: str, path: str, wrong: tuple[str, bool]) -> str:
    template = texts.other
    if wrong[0] == "EISDIR":
        template = texts.directory
    elif wrong[1]:
        template = texts.not_executable
    elif wrong[0] == "ENOENT":
        template = texts.missing
    return template.format(name=name, path=path, error=texts.error(wrong[0]))


def _wrong(resolver: Resolver, path: str, cwd: str, texts: RuntimeTexts) -> tuple[str, bool] | None:
    """What stat, a directory, or the access check has against a candidate: an errno, "EISDIR" standing for a directory, and whether the file is
    there and may not be executed. None for one that may be executed."""
    found = resolver.resolve(path, cwd=cwd)
    if isinstance(found, PathError):
        return found.errno, False
    if isinstance(found.node, Directory):
        return "EISDIR", True
    return ("EACCES", True) if _denied(resolver, path, cwd, texts.access) else None


def _denied(resolver: Resolver, path: str, cwd: str, access: str) -> bool:
    """Whether a file may not be executed: by its mode alone ("bits"), or by this user and the mount that it lies on."""
    found = resolver.resolve(path, cwd=cwd)
    if isinstance(found, PathError) or not isinstance(found.node, File) or access == "bits":
        return not isinstance(found, PathError) and not found.node.mode & 0o111
    allowed = may_execute(found.node, resolver.uid, resolver.gid)
    return not allowed or "noexec" in mount_flags(resolver.tree, found.path)


def exec_failed(
    path: str, errno: str, low_level: str = "runc", version: Version = NEWEST, *, json: bool = True
) -> tuple[str, int]:
    """What the container's init says when execve fails after the look-up, and the exit status of the container.

    `json`: the engine asks for a JSON log, as all but CRI-O do; crun's init then writes its last words so, too.
    """
    texts = runtime_texts(low_level, version)
    template = texts.exec_missing if errno == "ENOENT" else texts.exec_failed
    text = template.format(path=path, error=texts.error(errno))
    return texts.logged(text) if json else text, texts.exec_status
