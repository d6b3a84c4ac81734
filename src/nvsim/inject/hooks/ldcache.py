"""The hook update-ldcache: configuration files and an ldconfig run inside the container root (toolkit: ``internal/ldconfig``)."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import frozen
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.generate.lookup import go_glob
from nvsim.inject.hooks.ldconfig import LD_SO_CACHE, LD_SO_CONF, run_host_ldconfig
from nvsim.inject.hooks.root import ContainerRoot, PathFailure
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import join
from nvsim.toolkit.releases import NEWEST, Release, release_of

LD_SO_CONF_D = "/etc/ld.so.conf.d"


@frozen
class ArchDirectories:
    """What the toolkit holds for the loader's directories on one architecture, and musl's path file."""

    debian: tuple[str, ...]
    other: tuple[str, ...]
    musl_path_file: str


ARCHITECTURES = {
    "amd64": ArchDirectories(
        ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"),
        ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/libx32", "/usr/libx32"),
        "/etc/ld-musl-x86_64.path",
    ),
    "arm64": ArchDirectories(
        ("/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib", "/usr/lib"),
        ("/lib", "/usr/lib", "/lib64", "/usr/lib64"),
        "/etc/ld-musl-aarch64.path",
    ),
}


class LdconfigExit(Exception):  # noqa: N818 - the status of the re-executed program on its way up
    """The re-executed program ended with a status other than 0, which becomes the hook's own."""

    def __init__(self, status: int):
        super().__init__(f"exit status {status}")
        self.status = status


def normalised_ldconfig(host: Resolver, path: str) -> str:
    """The ldconfig that is run for a configured one: its ``.real`` variant where the host has that (Ubuntu's wrapper)."""
    stem = path.removesuffix(".real")
    return stem + ".real" if isinstance(host.resolve(stem + ".real"), Resolved) else stem


def update_ldcache(
    root: ContainerRoot,
    host: Resolver,
    log: ToolLog,
    ldconfig: str,
    folders: Sequence[str],
    arch: str = "amd64",
    release: Release | None = None,
) -> None:
    """Make `folders` known to the container's loader, as the hook of a `release` (None = the newest) does.

    Raises `LdconfigExit` (what was done before stays), and up to 1.17.6 `ToolFailure`.
    """
    if not ldconfig:
        raise ToolFailure("ldconfig-path must be specified")
    rules = release or release_of(NEWEST)
    program = normalised_ldconfig(host, ldconfig) if rules.ldcache_hook not in _PLAIN else "/sbin/ldconfig"
    if rules.ldcache_hook_root == "option":
        _on_host(root, host, log, program, folders, rules)
        return
    try:
        _prepare(root, host, program, shared=rules.ldcache_hook_root == "pivot-shared")
        argv = _configured(root, folders, ARCHITECTURES[arch], rules)
        status = run_host_ldconfig(root, host, log, program, argv)
    except ToolFailure as e:
        log.add("raw", f"<time> Error updating ldcache: {e.text}")
        status = 1
    if status:
        log.add("raw", f"exit status {status}")
        raise LdconfigExit(status)


_PLAIN = ("conf-and-run", "if-cache")  # before ldconfig and its files could be chosen


def _on_host(
    root: ContainerRoot, host: Resolver, log: ToolLog, program: str, folders: Sequence[str], rules: Release
) -> None:
    """Up to 1.17.6: the hook itself becomes the host's ldconfig, which works on the root by its option -r."""
    has_cache = root.node("/etc/ld.so.cache") is not None
    argv: tuple[str, ...] = ()
    if rules.ldcache_hook in _PLAIN:
        if rules.ldcache_hook == "if-cache" and not has_cache:
            return
        if folders and rules.ldcache_hook == "conf-and-run" and root.node(LD_SO_CONF_D) is None:
            path = f"{LD_SO_CONF_D}/{rules.ldcache_hook_file.replace('*', '<n>')}"
            reason = f"failed to create config file: open {root.shown}{path}: no such file or directory"
            raise ToolFailure(f"failed to update ld.so.conf: {reason}")
        _listed(root, folders, rules, "failed to update ld.so.conf")
    else:
        argv = (*(("-C", LD_SO_CACHE) if has_cache else ("-N",)), *_folders(root, folders, rules), "-f", LD_SO_CONF)
    status = run_host_ldconfig(root, host, log, program, argv, inside=False)
    if status:
        raise LdconfigExit(status)


def _folders(root: ContainerRoot, folders: Sequence[str], rules: Release) -> tuple[str, ...]:
    """The folders as arguments of ldconfig, where the image has no directory for conf files."""
    if root.node(LD_SO_CONF_D) is None:
        return tuple(folders)
    _listed(root, folders, rules, "failed to update ld.so.conf.d")
    return ()


def _listed(root: ContainerRoot, folders: Sequence[str], rules: Release, step: str) -> None:
    try:
        _drop_in(root, rules.ldcache_hook_file, folders)
    except ToolFailure as e:
        raise e.within(step) from None


def _prepare(root: ContainerRoot, host: Resolver, program: str, *, shared: bool = False) -> None:
    """Mount points for /proc and for the host's ldconfig; both mounts are seen only by ldconfig itself."""
    try:
        root.make_directories("proc", 0o755, confined=True)
    except ToolFailure as e:
        raise e.within("error mounting /proc") from None
    found = host.resolve(program) if program.startswith("/") else PathError("ENOENT", program)
    if isinstance(found, PathError):
        missing = PathFailure("stat", program, found.errno)
        raise missing.within("error reading host ldconfig").within("error mounting host ldconfig")
    folder = "var/run/nvidia-ctk-hook" if shared else "run/nvidia-ctk-hook/" + root.random_name("*", uuid=True)
    try:
        root.make_directories(folder, 0o755, confined=not shared)
    except ToolFailure as e:
        raise e.within("error creating hook scratch folder").within("error mounting host ldconfig") from None
    if not root.mount_point:
        raise PathFailure("pivot_root", ".", "EBUSY").within("error running pivot_root")


def _configured(root: ContainerRoot, folders: Sequence[str], arch: ArchDirectories, rules: Release) -> tuple[str, ...]:
    """Write the conf files of a release; the arguments of ldconfig."""
    whole = ("-f", LD_SO_CONF, "-C", LD_SO_CACHE)
    if rules.ldcache_hook == "links-without-cache":
        has_cache = root.node("/etc/ld.so.cache") is not None
        cache = ("-C", LD_SO_CACHE) if has_cache else ("-N",)
        return ("-f", LD_SO_CONF, *cache, *_folders(root, folders, rules))
    if rules.ldcache_hook == "always":
        _listed(root, folders, rules, "failed to update ld.so.conf.d")
        return whole
    system = arch.debian if _is_file(root, "/etc/debian_version") else arch.other
    _ensure_top_level(root)
    known = _known_directories(root, system)
    wanted = [f for f in dict.fromkeys(folders) if f not in known]
    _drop_in(root, rules.ldcache_hook_file, wanted)
    _drop_in(root, "zz-nvcr-*.conf", system)
    if rules.ldcache_hook == "complete-and-musl" and _is_file(root, "/etc/alpine-release"):
        _append_musl_path(root, arch.musl_path_file, [*wanted, *system])
    return whole


def _is_file(root: ContainerRoot, path: str) -> bool:
    node = root.node(path)
    return node is not None and not isinstance(node, Directory)


def _ensure_top_level(root: ContainerRoot) -> None:
    """Make /etc/ld.so.conf with an include line, unless something is there (also a dangling link)."""
    found = root.resolver.resolve(LD_SO_CONF, follow=False)
    if isinstance(found, Resolved):
        return
    errno = found.errno
    at = join(found.parent, found.rest) if errno == "ENOENT" and "/" not in found.rest else None
    if at is not None and root.is_readonly(at):
        errno = "EROFS"
    if at is None or errno == "EROFS":
        failure = PathFailure("open", LD_SO_CONF, errno)
        raise failure.within("failed to create top-level ld.so.conf file").within("failed to ensure ld.so.conf file")
    root.write(at, f"include {LD_SO_CONF_D}/*.conf\n", 0o644)


def _known_directories(root: ContainerRoot, system: Sequence[str]) -> set[str]:
    """The directories that the loader's configuration names already: system ones, and those of all conf files."""
    known = set(system)
    resolver = root.resolver
    todo = [LD_SO_CONF]
    done = set()
    while todo:
        path = todo.pop(0)
        if path in done:
            continue
        done.add(path)
        for line in map(str.strip, (root.text(path) or "").split("\n")):
            if not line or line.startswith("#"):
                continue
            if line.startswith("include "):
                pattern = line.removeprefix("include ")
                todo += go_glob(resolver, pattern if pattern.startswith("/") else f"/{pattern}")
            else:
                known.add(line)
    return known


def _drop_in(root: ContainerRoot, pattern: str, directories: Sequence[str]) -> None:
    if not directories:
        return
    try:
        folder = _conf_directory(root)
        path = join(folder, root.random_name(pattern))
        shown = f"{LD_SO_CONF_D}/{pattern.replace('*', '<n>')}"
        try:
            root.check_writable(path, "open", shown)
        except ToolFailure as e:
            raise e.within("failed to create config file") from None
    except ToolFailure as e:
        raise e.within(f"failed to write {pattern} drop-in") from None
    root.write(path, "".join(f"{d}\n" for d in dict.fromkeys(directories)), 0o644)


def _conf_directory(root: ContainerRoot) -> str:
    """/etc/ld.so.conf.d, made if missing; its canonical path."""
    found = root.resolver.resolve(LD_SO_CONF_D)
    if isinstance(found, Resolved) and isinstance(found.node, Directory):
        return found.path
    step = "failed to create ld.so.conf.d"
    if isinstance(found, Resolved):
        raise PathFailure("mkdir", LD_SO_CONF_D, "ENOTDIR").within(step)
    if isinstance(root.resolver.resolve(LD_SO_CONF_D, follow=False), Resolved):
        raise PathFailure("mkdir", LD_SO_CONF_D, "EEXIST").within(step)
    try:
        return root.make_directories(LD_SO_CONF_D, 0o755, "mkdir")
    except ToolFailure as e:
        raise e.within(step) from None


def _append_musl_path(root: ContainerRoot, path: str, directories: Sequence[str]) -> None:
    """Append to musl's path file, as it is: without a final newline there, two directories become one."""
    found = root.resolver.resolve(path)
    at, old = None, ""
    if isinstance(found, Resolved):
        at = found.path if isinstance(found.node, File) else None
        old = (found.node.facts.text or "") if isinstance(found.node, File) else ""
        errno = "EISDIR"
    else:
        errno = found.errno
        at = join(found.parent, found.rest) if errno == "ENOENT" and "/" not in found.rest else None
    if at is not None and root.is_readonly(at):
        at, errno = None, "EROFS"
    if at is None:
        reason = f"could not open .path file: open {path}: {ERRNO_TEXT.get(errno, errno)}"
        raise ToolFailure(f"failed to update .path file for musl: {reason}")
    root.write(at, old + "".join(f"{d}\n" for d in dict.fromkeys(directories)), 0o644)
