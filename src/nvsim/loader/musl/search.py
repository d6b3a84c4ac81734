"""From a name to a loaded object: builtin names, what is loaded already, the lists, and what makes a file a library
(``ldso/dynlink.c``: ``load_library``, ``path_open``, ``fixup_rpath``, ``map_library``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nvsim.elf.facts import ElfFacts
from nvsim.loader.access import may_read
from nvsim.loader.musl.state import CrashError, Object, Process
from nvsim.loader.outcome import Candidate, Search
from nvsim.rootfs.node import Directory, File, Node, Special
from nvsim.rootfs.resolve import NAME_MAX, PathError, Resolved

RESERVED = ("c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet.")
"""What libc provides itself: names that start with "lib" and one of these."""

_PASSED = ("ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG")
_BUFFER = 2 * NAME_MAX + 2  # a candidate that does not fit is left out without a word
_HEADERS = 1024  # a file cut before this has lost program headers or the first pages; what is cut later crashes
_BIG_ENDIAN = ("s390", "s390x", "ppc", "ppc64", "sparc", "sparcv9", "sparc32plus", "mips", "m68k", "parisc")
_ORIGIN = re.compile(r"\$(?:ORIGIN|\{ORIGIN\})")

Opened = tuple[Node, str]
"""A node that was opened for reading, and its canonical path."""


def load_library(
    process: Process, name: str, needed_by: Object | None, *, because: str = "needed", noload: bool = False
) -> Object | None:
    """The object for `name`, new or already there; None: there is none, and the process's `errno` says why.

    `because` is what the search is recorded with (see `Search`); `noload` is RTLD_NOLOAD.
    """
    if not name:
        process.errno = "EINVAL"
        return None
    reserved = next((r for r in RESERVED if name.startswith(f"lib{r}")), None)
    if reserved is not None or name == process.libc.path:
        return _itself(process, name, reserved)
    if "/" in name:
        opened = _open(process, name)
        tried = Candidate(
            "name", name, "the name itself", "hit" if opened else "missing", None if opened else process.errno
        )
        got = _identify(process, name, name, "name", opened, needed_by, noload)
        return _record(process, name, needed_by, because, (tried,), got)
    known = next((o for o in process.objects[1:] if o.short == name), None)
    if known is not None:
        return _record(process, name, needed_by, because, (), known)
    if len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
        return _record(process, name, needed_by, because, (), None)
    opened, path, stage, seen = _search(process, name, needed_by)
    got = _identify(process, name, path, stage, opened, needed_by, noload)
    return _record(process, name, needed_by, because, seen, got)


def _itself(process: Process, name: str, reserved: str | None) -> Object:
    """The loader is the libc; it joins the list when it is first asked for."""
    if reserved is not None and reserved not in process.reported:
        process.reported.add(reserved)
        process.listed.append((name, process.libc.path))
    if process.libc not in process.objects:
        process.objects.append(process.libc)
    return process.libc


def _record(
    process: Process, name: str, needed_by: Object | None, because: str, seen: tuple[Candidate, ...], got: Object | None
) -> Object | None:
    by = needed_by.path if needed_by is not None else ""
    if got is None:
        process.searches.append(Search(name, by, seen, "not-found", error=process.strerror(), because=because))
        return None
    new = got is process.objects[-1] and got.name == name and bool(seen)
    process.searches.append(Search(name, by, seen, "loaded" if new else "already", got.path, because=because))
    return got


def _search(
    process: Process, name: str, needed_by: Object | None
) -> tuple[Opened | None, str, str, tuple[Candidate, ...]]:
    """Every list in turn: what opened, its path and stage, and all that was considered. The first file that opens ends it."""
    seen: list[Candidate] = []
    for stage, text, by in _lists(process, needed_by):
        for element in text.replace("\n", ":").split(":"):
            path = f"{element}/{name}"
            if not element or len(path.encode("utf-8", "surrogateescape")) >= _BUFFER:
                continue
            opened = _open(process, path)
            if opened is not None:
                seen.append(Candidate(stage, path, by, "hit"))
                return opened, path, stage, tuple(seen)
            seen.append(Candidate(stage, path, by, "missing", process.errno))
            if process.errno not in _PASSED:
                return None, name, stage, tuple(seen)
    return None, name, "", tuple(seen)


def _lists(process: Process, needed_by: Object | None) -> Iterator[tuple[str, str, str]]:
    """(stage, list, who set it) in search order; each is made when the one before it is through, since making it may set `errno`."""
    if process.library_path:
        yield "ld_library_path", process.library_path, "env LD_LIBRARY_PATH"
    obj = needed_by
    while obj is not None:
        text = _rpath(process, obj)
        if text:
            yield "rpath", text, f"RPATH or RUNPATH of {obj.path}"
        obj = obj.needed_by
    path_file = _path_file(process)
    if process.system_path is None:
        _read_system_path(process, path_file)
    built_in = process.system_path == process.facts.system_path
    yield "path-file", process.system_path or "", "built into musl" if built_in else path_file


def _rpath(process: Process, obj: Object) -> str | None:
    """RUNPATH, else RPATH, with ``$ORIGIN`` replaced; None: there is none, or it holds another ``$``."""
    text = obj.elf.runpath if obj.elf.runpath is not None else obj.elf.rpath
    if not text or "$" not in text:
        return text
    if "$" in _ORIGIN.sub("", text):
        return None
    secure = process.image.secure
    if obj.kernel_mapped:
        if secure:
            return None
        if process.origin is None:
            process.errno = "ENOENT"
            return None
        origin = process.origin
    else:
        origin = obj.path.rpartition("/")[0] if "/" in obj.path else "."
        if secure and not obj.path.startswith("/"):
            return None
    return _ORIGIN.sub(lambda _: origin, text)


def _path_file(process: Process) -> str:
    """The file that replaces the built-in list: below the prefix of the loader's own path."""
    name = process.libc.path
    prefix = name.rpartition("/")[0].rpartition("/")[0] if name.startswith("/") else ""
    return prefix + process.facts.path_file


def _read_system_path(process: Process, path: str) -> None:
    opened = _open(process, path)
    if opened is None:
        process.system_path = process.facts.system_path if process.errno == "ENOENT" else ""
        return
    node = opened[0]
    process.system_path = ""
    if isinstance(node, File):
        process.system_path = (node.facts.text or "").partition("\0")[0]
    elif isinstance(node, Directory):
        process.errno = "EISDIR"


def _open(process: Process, path: str) -> Opened | None:
    """open(2) for reading; None with the process's `errno` set."""
    image = process.image
    found = process.resolver.resolve(path, cwd=image.cwd)
    if isinstance(found, PathError):
        process.errno = found.errno
        return None
    node = found.node
    if isinstance(node, File) and not may_read(node, image.uid, image.gid):
        process.errno = "EACCES"
        return None
    if isinstance(node, Directory) and image.uid and not _may_list(node, image.uid, image.gid):
        process.errno = "EACCES"
        return None
    if isinstance(node, Special) and node.kind == "socket":
        process.errno = "ENXIO"
        return None
    return node, found.path


def open_library(process: Process, path: str) -> tuple[File, str, ElfFacts] | str | None:
    """The program of a directly run loader: the file, its canonical path and its facts; None: it cannot be opened (`errno`); a text:
    it is no program that can be mapped. Raises `CrashError`."""
    opened = _open(process, path)
    if opened is None:
        return None
    elf = _mapped(process, opened[0])
    if elf is None:
        return process.strerror()
    assert isinstance(opened[0], File)
    return opened[0], opened[1], elf


def _may_list(node: Directory, uid: int, gid: int) -> bool:
    shift = 6 if node.uid == uid else 3 if node.gid == gid else 0
    return bool(node.mode >> shift & 4)


def _identify(
    process: Process, name: str, path: str, stage: str, opened: Opened | None, needed_by: Object | None, noload: bool
) -> Object | None:
    """The object that an opened file is, new or by its inode; None with `errno` set."""
    if opened is None:
        return None
    node, where = opened
    for obj in process.objects[1:]:
        if not obj.kernel_mapped and isinstance(node, File) and obj.node is not None and obj.node.inode == node.inode:
            if obj.short is None and path != name:
                obj.short = obj.path.rpartition("/")[2]
            return obj
    if noload:
        return None
    elf = _mapped(process, node)
    if elf is None:
        return None
    assert isinstance(node, File)
    if _is_a_libc(node, elf):
        return _itself(process, "libc.so", "c.")
    new = Object(path, elf, node, where, needed_by, name=name, stage=stage)
    new.short = path.rpartition("/")[2] if path != name else None
    process.objects.append(new)
    process.listed.append((name, path))
    return new


def _mapped(process: Process, node: Node) -> ElfFacts | None:
    """What ``map_library`` makes of an opened file: machine, class, versions and flags are not looked at. Raises `CrashError`."""
    if isinstance(node, Directory):
        process.errno = "EISDIR"
        return None
    elf = node.facts.elf if isinstance(node, File) else None
    process_elf = process.image.elf
    backwards = elf is not None and elf.data == 2 and elf.machine in _BIG_ENDIAN
    if (
        elf is None
        or backwards
        or elf.nodyn
        or elf.type not in ("DYN", "EXEC")
        or elf.elf_class != process_elf.elf_class
        or (elf.truncate is not None and elf.truncate < _HEADERS)
    ):
        process.errno = "ENOEXEC"
        return None
    if elf.truncate is not None:
        raise CrashError(f"the file ends after {elf.truncate} bytes, within what is mapped")
    if elf.type == "EXEC" and any(o.elf.type == "EXEC" and o.node is not node for o in process.objects):
        process.errno = "EBUSY"  # the address that both want is taken
        return None
    return elf


def _is_a_libc(node: File, elf: ElfFacts) -> bool:
    """Whether the file is a C library, musl's or glibc's: it defines ``__libc_start_main`` and ``stdin``."""
    if (
        elf.defs is None
        and elf.soname is not None
        and elf.soname.startswith("libc.")
        and node.facts.symbols is not None
    ):
        elf = node.facts.symbols() or elf
    if elf.defs is not None:
        return "__libc_start_main" in elf.defs and "stdin" in elf.defs
    loader = node.facts.loader
    return (loader is not None and loader.libc == "musl") or elf.soname == "libc.so.6"


def resolved_file(process: Process, path: str) -> File | None:
    """The file at `path`, whoever may read it."""
    found = process.resolver.resolve(path, cwd=process.image.cwd)
    return found.node if isinstance(found, Resolved) and isinstance(found.node, File) else None
