"""What one glibc process knows while it loads: its objects (the link map), what it remembers between searches, and how a load fails.

Only state and its names live here. Searching is `nvsim.loader.glibc.walk`, mapping `nvsim.loader.glibc.linkmap`.
"""

from __future__ import annotations

from typing import TypeVar

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import define, field
from nvsim.ldcache import LdCache
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc.cache_lookup import CacheView
from nvsim.loader.glibc.tables import GlibcRules
from nvsim.loader.outcome import Candidate, LoadedObject, Machine, Search, SearchedPath, VersionProblem
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver

K = TypeVar("K")
V = TypeVar("V")
_MOST_KEPT = 1 << 13
ERRNO_TEXT = {
    "ENOENT": "No such file or directory",
    "EACCES": "Permission denied",
    "EPERM": "Operation not permitted",
    "ENOMEM": "Cannot allocate memory",
    "EINVAL": "Invalid argument",
    "ELOOP": "Too many levels of symbolic links",
    "ENAMETOOLONG": "File name too long",
    "ENOTDIR": "Not a directory",
    "EISDIR": "Is a directory",
    "EIO": "Input/output error",
    "ENODEV": "No such device",
    "ENXIO": "No such device or address",
}
_NUMBERS = {"ELOOP": 40, "ENAMETOOLONG": 36, "ENOTDIR": 20, "EISDIR": 21, "EIO": 5, "ENXIO": 6, "ENODEV": 19}
_EARLY = ("ENOENT", "EACCES", "EPERM", "ENOMEM", "EINVAL")  # the only texts that ld.so itself knows


class EndError(Exception):
    """The process ends here, or what comes next cannot be told. `outcome`: "exit" (with `text` on stderr and status 127), "signal" or
    "unknown" (`text` says why)."""

    def __init__(self, outcome: str, text: str):
        super().__init__(text)
        self.outcome, self.text = outcome, text


def keep(memory: dict[K, V], key: K, value: V) -> None:
    """Remember an answer; a memory that is full is emptied first."""
    if len(memory) >= _MOST_KEPT:
        memory.clear()
    memory[key] = value


def failed_assertion(place: str, assertion: str) -> EndError:
    """An assertion of the loader fails."""
    return EndError("exit", f"Inconsistency detected by ld.so: {place}: Assertion `{assertion}' failed!\n")


class LoadError(Exception):
    """A load failed: the object part, the text, and the errno of a message. `missing`: no file was found (none was refused)."""

    def __init__(self, obj: str, text: str, errno: str | None = None, *, missing: bool = False):
        super().__init__(text)
        self.obj, self.text, self.errno, self.missing = obj, text, errno, missing

    def dlerror(self) -> str:
        """As dlerror() gives it, with libc's errno texts."""
        return self._join(ERRNO_TEXT.get(self.errno, self.errno) if self.errno is not None else None)

    def early(self) -> str:
        """As ld.so prints it before libc is there."""
        if self.errno is None or self.errno in _EARLY:
            return self.dlerror()
        return self._join(f"Error {_NUMBERS.get(self.errno, 0)}")

    def _join(self, errno: str | None) -> str:
        return ": ".join(p for p in (self.obj, self.text, errno) if p)


@define(eq=False)
class SearchDirectory:
    """A directory of search lists (``struct r_search_path_elem``): one for the whole process, whichever lists name it.

    `prefixes` is what a name is appended to: one for each hwcaps subdirectory and the directory itself last, each with a trailing slash
    ("" is the current directory), `shown` the same without that slash. `unknown` are the numbers of those that were not tried yet, `left`
    of those that are not known to be absent, `absent` these as they are shown. `what` and `where` tell who named the directory first.
    """

    prefixes: tuple[str, ...]
    shown: tuple[str, ...]
    unknown: set[int]
    left: tuple[int, ...]
    what: str
    where: str | None
    absent: tuple[str, ...] = ()

    def lack(self, numbers: list[int]) -> None:
        """These do not exist."""
        self.left = left = tuple([n for n in self.left if n not in numbers])
        self.absent = tuple([shown for n, shown in enumerate(self.shown) if n not in left]) if left else self.shown


@define(eq=False)
class SearchList:
    """A path list with its directories: `stage` and `set_by` for reports, `searched` how going through it was recorded."""

    stage: str
    set_by: str
    directories: list[SearchDirectory]
    searched: dict[tuple[int, int, int], SearchedPath] = field(factory=dict)


@define(eq=False)
class Object:
    """A loaded object (``struct link_map``).

    `path` is the string it was opened by ("" for the main program), `names` every name that it was requested by and matched. `loader` is
    the object whose DT_NEEDED brought it in, `origin` the directory that ``$ORIGIN`` stands for. `rpath` and `runpath` are its lists once
    they were looked at (None = there is nothing to search; `bare`: so it is with all DT_RPATHs for it), `defined` its versions likewise. `dependencies` are the direct ones, `search_list` the breadth-first list of
    an object that was opened itself, `order` that list sorted for relocation. `faked` stands for a missing library in a listing;
    `mapped`: it is in the link map; `number` counts what entered it before. `settled`: when the map had been reordered so many times, all
    its DT_NEEDED were there already, and this is how that was recorded, and the objects.
    `name` (first requested), `requester` and `stage` are for reports.
    """

    path: str
    elf: ElfFacts
    node: File | None = None
    file: str | None = None
    loader: Object | None = None
    origin: str | None = None
    name: str | None = None
    requester: str | None = None
    stage: str | None = None
    bare: bool = False
    names: set[str] = field(factory=set)
    rpath: SearchList | bool | None = False
    runpath: SearchList | bool | None = False
    defined: frozenset[str | None] | None = None
    dependencies: list[Object] | None = None
    search_list: list[Object] | None = None
    order: list[Object] | None = None
    faked: bool = False
    mapped: bool = False
    number: int = 0
    settled: tuple[int, list[Search], list[Object]] | None = None


Found = tuple[File, str, str, ElfFacts | None]
"""A file that may be the library, its canonical path, the path it was opened by, and its facts if nothing in it can stand against mapping
it as a library (else None: `nvsim.loader.glibc.verify.refused` decides)."""

Judged = tuple[Candidate, Found | None, str | None]
"""What came of a candidate: how it is recorded, the file if it was taken, and the errno that this leaves."""


@define(eq=False)
class Shared:
    """What all processes of one kind find out alike in one immutable tree: the same user, machine, rules, cache and CPU.

    `judged`: candidates with absolute paths, by stage, path and who set it. `described`: objects with absolute paths as results have them,
    by name, path, requester and stage. `cached`: the path of the cache's entry for a name and who set it, None = there is none.
    """

    judged: dict[tuple[str, str, str], Judged] = field(factory=dict)
    described: dict[tuple[str | None, str, str | None, str | None], LoadedObject] = field(factory=dict)
    cached: dict[str, tuple[str, str] | None] = field(factory=dict)


@define(eq=False)
class Process:
    """A process and its loader.

    `caps` are the hwcaps subdirectories in search order, `platform` is ``$PLATFORM``, `view` what decides among cache entries.
    `execstack`, `bind_now`, `library_path` (who says so, text), `use_cache` and `inhibit_rpath` are what was asked for; `tracing`: only a
    listing is, and a missing library is no error. `map` is the link map, main program first, with its indexes `answers` (name -> the
    first object that answers to it) and `inodes`; `scope` is the global search list, `loader` ld.so itself. `errno` is that of the last
    failing system call. `undefined` is the object and text of a symbol that ended start-up.
    Remembered between searches: `directories` by prefix (`learned` counts what was found out of them), `library_list` and `system_list`,
    the cache (None = there is none, once it is `cache_read`), and which line of ld.so.conf names a directory (`conf_sources`). `entered` counts the objects that ever entered the map,
    `reordered` how often one left it or changed its place; `rivals`: two of them answer to the same name.
    """

    image: ExecImage
    facts: LoaderFacts
    rules: GlibcRules
    resolver: Resolver
    machine: Machine
    kernel: int
    platform: str | None
    caps: tuple[str, ...]
    view: CacheView
    shared: Shared
    stack_executable: bool
    execstack: int
    argv0: str
    library_path: tuple[str, str] | None = None
    use_cache: bool = True
    inhibit_rpath: str | None = None
    bind_now: bool = False
    tracing: bool = False
    map: list[Object] = field(factory=list)
    answers: dict[str, Object] = field(factory=dict)
    inodes: dict[tuple[str, str | int], Object] = field(factory=dict)
    scope: list[Object] = field(factory=list)
    searches: list[Search] = field(factory=list)
    problems: list[VersionProblem] = field(factory=list)
    undefined: tuple[str, str] | None = None
    directories: dict[str, SearchDirectory] = field(factory=dict)
    library_list: SearchList | None = None
    system_list: SearchList | None = None
    learned: int = 0
    errno: str | None = None
    cache: LdCache | None = None
    cache_read: bool = False
    entered: int = 0
    reordered: int = 0
    rivals: bool = False
    conf_sources: dict[str, str] | None = None
    loader: Object | None = None

    @property
    def main(self) -> Object:
        return self.map[0]

    @property
    def secure(self) -> bool:
        return self.image.secure

    def stack_refused(self, *, dlopened: bool) -> bool:
        """Whether a stack that is not executable stays so, whatever an object wants."""
        if self.stack_executable or not self.rules.no_exec_stack:
            return False
        return dlopened or self.execstack != 1

    def label(self, obj: Object) -> str:
        """How messages name an object."""
        return obj.path or self.argv0

    def enter(self, obj: Object) -> None:
        """Append an object to the map."""
        obj.mapped = True
        obj.number = self.entered
        self.entered += 1
        self.map.append(obj)
        if not obj.faked:
            answers = self.answers
            for name in obj.names:
                if answers.setdefault(name, obj) is not obj:
                    self.rivals = True
            soname = obj.elf.soname
            if soname is not None and answers.setdefault(soname, obj) is not obj:
                self.rivals = True
        if obj.node is not None:
            self.inodes[obj.node.inode] = obj

    def call(self, obj: Object, name: str) -> None:
        """From now on `obj` answers to `name` too, to which no other object answered."""
        obj.names.add(name)
        self.answers.setdefault(name, obj)

    def reorder(self, *, left: bool = False) -> None:
        """Objects have changed their places, or `left` the map."""
        self.reordered += 1
        if not self.rivals and not left:
            return
        self.answers = {}
        for obj in self.map:
            for name in (*obj.names, obj.elf.soname) if not obj.faked else ():
                if name is not None:
                    self.answers.setdefault(name, obj)

    def unmap(self, objects: list[Object]) -> None:
        """Take objects out of the map."""
        for obj in objects:
            obj.mapped = False
        self.map = [o for o in self.map if o.mapped]
        self.reorder(left=True)

    def describe(self, obj: Object) -> LoadedObject:
        """An object as a value for results."""
        key = obj.name, obj.path, obj.requester, obj.stage
        known = self.shared.described.get(key)
        if known is None:
            origin = obj.node.origin if obj.node is not None else None
            known = LoadedObject(obj.name, obj.path, obj.file, origin, obj.requester, obj.stage)
            if obj.path.startswith("/"):
                keep(self.shared.described, key, known)
        return known

    def named(self, name: str) -> Object | None:
        """The first object of the map, missing ones too, that was asked for by `name` or opened by this path; its DT_SONAME does not count."""
        first = None if self.tracing else self.answers.get(name)
        if first is not None and name in first.names:
            return first
        return next((o for o in self.map if name in o.names), None)
