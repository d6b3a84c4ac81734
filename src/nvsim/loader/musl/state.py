"""What one musl process knows while it loads: its list of objects, the global symbol chain, errno.

Only state and its names live here. Searching is `nvsim.loader.musl.search`, relocation `nvsim.loader.musl.symbols`.
"""

from __future__ import annotations

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import define, field
from nvsim.loader.execve import ExecImage
from nvsim.loader.musl.tables import MuslRules
from nvsim.loader.outcome import LoadedObject, Search
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver

# musl's strerror (src/errno/__strerror.h)
ERRNO_TEXT = {
    None: "No error information",
    "ENOENT": "No such file or directory",
    "ELOOP": "Symbolic link loop",
    "ENOEXEC": "Exec format error",
    "EISDIR": "Is a directory",
    "EACCES": "Permission denied",
    "ENOTDIR": "Not a directory",
    "ENAMETOOLONG": "Filename too long",
    "EINVAL": "Invalid argument",
    "EBUSY": "Resource busy",
    "EPERM": "Operation not permitted",
    "EIO": "I/O error",
    "ENXIO": "No such device or address",
}


class CrashError(Exception):
    """The process dies of a signal in the middle of loading; the text says of what (raised and caught inside the loader)."""


@define(eq=False)
class Object:
    """A loaded object (``struct dso``).

    `path` is its name: the string it was opened by, AT_EXECFN for the main program. `needed_by` is the object that brought it in (the
    main program for a dlopen, None for a preload). `short` is the name under which a search finds it again. `deps` are its direct
    dependencies, None until they are loaded. `kernel_mapped`: its file was opened by the kernel, so its inode is not known here.
    `with_symbols` is what `symbols` found.
    """

    path: str
    elf: ElfFacts
    node: File | None = None
    file: str | None = None
    needed_by: Object | None = None
    short: str | None = None
    deps: list[Object] | None = None
    kernel_mapped: bool = False
    name: str | None = None
    stage: str | None = None
    with_symbols: ElfFacts | None = None

    def symbols(self) -> ElfFacts:
        """`elf` with its symbols, read now where that was put off. Raises `InputError`."""
        if self.with_symbols is None:
            facts = self.node.facts if self.node is not None else None
            read = facts.symbols if facts is not None and self.elf.undef is None and self.elf.defs is None else None
            self.with_symbols = (read() if read is not None else None) or self.elf
        return self.with_symbols

    def describe(self) -> LoadedObject:
        """The object as a value for results."""
        origin = self.node.origin if self.node is not None else None
        by = self.needed_by.path if self.needed_by is not None else None
        return LoadedObject(self.name, self.path, self.file, origin, by, self.stage)


@define(eq=False)
class Process:
    """A process and its loader.

    `origin` is the directory of /proc/self/exe, None when it cannot be read. `library_path` and `preload` are what the environment (or
    the command line of a directly run loader) gives; empty with AT_SECURE. `exports` are libc's symbols. `objects` is the
    list, main program first; `chain` those whose symbols everybody sees. `errno` is that of the last system call that failed, since
    nothing resets it. `system_path` is None until it is needed. `listed` is what ``--list`` prints: (name, path) of every first
    resolution; with `listing` the process ends after relocation. `reported` are the builtin names that it holds already.
    """

    image: ExecImage
    facts: LoaderFacts
    rules: MuslRules
    resolver: Resolver
    exports: frozenset[str]
    main: Object
    libc: Object
    origin: str | None
    library_path: str
    preload: str
    objects: list[Object] = field(factory=list)
    chain: list[Object] = field(factory=list)
    searches: list[Search] = field(factory=list)
    errno: str | None = None
    system_path: str | None = None
    listing: bool = False
    listed: list[tuple[str, str]] = field(factory=list)
    reported: set[str] = field(factory=set)

    def strerror(self) -> str:
        """The text of ``%m``."""
        return ERRNO_TEXT.get(self.errno, str(self.errno))
