"""What libnvidia-container reads off the container's root before it does anything: target directories, ldconfig, compat libraries.

Source: libnvidia-container ``src/nvc_container.c``, ``src/options.h``, ``src/cli/compat_mode.c``.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from nvsim.frozen import evolve, frozen
from nvsim.inject.legacy.args import CliArgs
from nvsim.inject.legacy.engine import Engine
from nvsim.inject.legacy.paths import EngineFailure, Root, failure, path_append
from nvsim.inject.plan import Skipped
from nvsim.rootfs.node import Directory, Symlink
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.toolkit.request import Because

MARKER = "/etc/debian_version"
CUDA_DIR = "/usr/local/cuda"
BINS_DIR = "/usr/bin"
_COMPAT = "lib*.so.*"
_FLAGS = {
    *("supervised", "standalone", "no-cgroups", "no-devbind", "no-cntlibs"),
    *("utility", "compute", "video", "graphics", "display", "ngx", "compat32"),
    *("cuda-compat-mode=disabled", "cuda-compat-mode=mount", "cuda-compat-mode=ldconfig"),
}
_MAX_OPTIONS = 256  # the buffer of options_parse
_MULTIARCH = {
    "x86_64": ("/usr/lib/x86_64-linux-gnu", "/usr/lib/i386-linux-gnu"),
    "aarch64": ("/usr/lib/aarch64-linux-gnu", "/var/empty"),
}


@frozen
class ContainerFacts:
    """Where things go in this container. `ldconfig` as given ("@" in front: a host path).

    `compat_mode`: mount, ldconfig or disabled. `compat` are the image's CUDA forward compatibility libraries that the mode keeps,
    `compat_dir` their directory where ldconfig is to search it first.
    """

    bins_dir: str
    libs_dir: str
    libs32_dir: str
    ldconfig: str
    because: tuple[Because, ...]
    because_ldconfig: tuple[Because, ...]
    compat_mode: str
    compat: tuple[str, ...] = ()
    compat_dir: str | None = None


def container_facts(root: Root, args: CliArgs, engine: Engine, machine: str) -> ContainerFacts:
    """Read the container's root. Raises `EngineFailure` with the text behind "container error: "."""
    if args.ldconfig == "":
        raise EngineFailure("invalid argument")
    if len(" ".join(args.container_flags)) >= _MAX_OPTIONS:
        raise EngineFailure("too many options")
    for word in (w for flag in args.container_flags for w in flag.split(" ")):
        if word and word not in _FLAGS:
            raise EngineFailure(f"invalid option: {word}")
    mode = _compat_mode(args, engine)
    seen = Root(root.tree, f"/proc/{args.pid}/root{root.shown}") if args.pid > 0 else root
    libs, libs32, because = _library_dirs(seen, machine)
    ldconfig = args.ldconfig
    if ldconfig is None:
        ldconfig = "/sbin/ldconfig.real" if seen.exists(seen.resolve("/sbin/ldconfig.real")) else "/sbin/ldconfig"
        why = Because(f"image {ldconfig}", "no --ldconfig was given: the image's own is run")
    else:
        why = Because(
            f"option --ldconfig={ldconfig}", "a path of the host" if ldconfig[:1] == "@" else "a path of the image"
        )
    compat: tuple[str, ...] = ()
    if mode != "disabled" and args.has_any(("compute", "video")):
        compat = _compat_libraries(root)
    return ContainerFacts(BINS_DIR, libs, libs32, ldconfig, because, (why,), mode, compat)


def _compat_mode(args: CliArgs, engine: Engine) -> str:
    """The mode of the compat libraries (``validate_cuda_compat_mode_flags``); releases without modes mount."""
    if not engine.has_option("cuda-compat-mode"):
        return "disabled" if args.has("no-cntlibs") else "mount"
    modes = {flag.partition("=")[2] for flag in args.container_flags if flag.startswith("cuda-compat-mode=")}
    if "disabled" in modes:
        return "disabled"
    if len(modes) > 1:
        raise EngineFailure("only one cuda-compat-mode can be specified at a time")
    return modes.pop() if modes else "mount"


def _library_dirs(root: Root, machine: str) -> tuple[str, str, tuple[Because, ...]]:
    """The directories of 64-bit and 32-bit libraries: decided by one marker file, not by what the image really uses."""
    if root.exists(root.resolve(MARKER)):
        libs, libs32 = _MULTIARCH.get(machine, _MULTIARCH["x86_64"])
        return libs, libs32, (Because(f"image {MARKER}", f"it exists, so libraries go to {libs}"),)
    libs, libs32 = "/usr/lib64", "/usr/lib32"
    if not root.exists(root.resolve("/usr/lib32")):
        ours, alternative = root.resolve(libs), root.resolve("/usr/lib")
        if root.exists(alternative) and alternative != ours:
            libs32 = "/usr/lib"
    return libs, libs32, (Because(f"image {MARKER}", f"it does not exist, so libraries go to {libs}"),)


def _compat_libraries(root: Root) -> tuple[str, ...]:
    """``compat/lib*.so.*`` below the CUDA directory, every link followed, each file once.

    glob(3) lists the directory, seen from outside of the container: an absolute link there leads to a directory of the host, which
    counts as one that has no such files.
    """
    top = root.resolve(CUDA_DIR)
    directory = path_append(top, "compat")
    node = root.node(directory)
    if isinstance(node, Symlink) and node.target.startswith("/"):
        return ()
    found = Resolver(root.tree).resolve(directory)
    if isinstance(found, PathError) and found.errno not in ("ENOENT", "ENOTDIR"):
        raise failure(f"glob search failed: {root.full(directory)}/{_COMPAT}", found.errno)
    if not isinstance(found, Resolved) or not isinstance(found.node, Directory):
        return ()
    names = sorted(n for n in root.names(found.path) if fnmatchcase(n, _COMPAT))
    return tuple(dict.fromkeys(root.resolve(f"{directory}/{name}") for name in names))


def keep_compat(facts: ContainerFacts, version: str, engine: Engine) -> tuple[ContainerFacts, tuple[Skipped, ...]]:
    """The facts with only the compat libraries that the driver's major `version` allows, and what was dropped.

    Raises `EngineFailure` when the kept ones lie in several directories (mode ldconfig).
    """
    if facts.compat_mode == "disabled" or not facts.compat:
        return facts, ()
    kept, skipped = [], []
    for path in facts.compat:
        reason = _excluded(path.rpartition("/")[2], version, facts.compat_mode, engine)
        if reason is None:
            kept.append(path)
        else:
            skipped.append(Skipped(path, (Because(f"image {path}", reason),)))
    directories = {os.path.dirname(p) for p in kept}
    if facts.compat_mode == "ldconfig" and len(directories) > 1:
        raise EngineFailure("(null)")  # no text is set (``get_compat_library_path``)
    directory = directories.pop() if facts.compat_mode == "ldconfig" and kept else None
    return evolve(facts, compat=tuple(kept), compat_dir=directory), tuple(skipped)


def _excluded(name: str, version: str, mode: str, engine: Engine) -> str | None:
    """Why a compat library is not used: its major version is compared as text with the beginning of the driver's."""
    _, found, rest = name.partition(".so.")
    if not found:
        return None if engine.has_option("cuda-compat-mode") else "its name has no version behind .so"
    major = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    ours = version[: len(major)]
    if mode == "mount":
        return f"its major version {major} is that of the driver ({version})" if ours == major else None
    return f"its major version {major} is not greater than that of the driver ({version})" if ours >= major else None
