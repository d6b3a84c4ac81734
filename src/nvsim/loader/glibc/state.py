"""What one glibc process knows while it loads: its objects (the link map), what it remembers between searches, and how a load fails.

Only state and its names live here. Searching is `nvsim.loader.glibc.walk`, mapping `nvsim.loader.glibc.linkmap`.
"""

from __future__ import annotations

from attrs import define, field

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.ldcache import LdCache
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc.cache_lookup import CacheView
from nvsim.loader.glibc.tables import GlibcRules
from nvsim.loader.outcome import LoadedObject, Machine, Search
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver

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
}
_NUMBERS = {"ELOOP": 40, "ENAMETOOLONG": 36, "ENOTDIR": 20, "EISDIR": 21, "EIO": 5}
_EARLY = ("ENOENT", "EACCES", "EPERM", "ENOMEM", "EINVAL")  # the only texts that ld.so itself knows


class LoadError(Exception):
    """A load failed: the object part, the text, and the errno of a message (raised and caught inside the loader)."""

    def __init__(self, obj: str, text: str, errno: str | None = None):
        super().__init__(text)
        self.obj, self.text, self.errno = obj, text, errno

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
class Object:
    """A loaded object (``struct link_map``).

    `path` is the string it was opened by ("" for the main program), `names` every name that it was requested by and matched. `loader` is
    the object whose DT_NEEDED brought it in, `origin` the directory that ``$ORIGIN`` stands for. `name` (first requested), `requester`
    and `stage` are for reports.
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
    names: set[str] = field(factory=set)

    def answers_to(self, name: str) -> bool:
        """Whether a request for `name` is a request for this object (``_dl_name_match_p`` and DT_SONAME)."""
        return name in self.names or (self.elf.soname is not None and self.elf.soname == name)

    def describe(self) -> LoadedObject:
        """The object as a value for results."""
        origin = self.node.origin if self.node is not None else None
        return LoadedObject(self.name, self.path, self.file, origin, self.requester, self.stage)


@define(eq=False)
class Process:
    """A process and its loader.

    `env` holds the first value of each variable. `caps` are the hwcaps subdirectories in search order, `platform` is ``$PLATFORM``.
    `map` is the link map, main program first; `scope` the global search list. `errno` is that of the last failing system call
    of the current search. Remembered between searches: `known` (directory -> exists), `lists` (expanded path lists by owner),
    `dead_lists` (owners none of whose directories exist).
    """

    image: ExecImage
    facts: LoaderFacts
    rules: GlibcRules
    resolver: Resolver
    env: dict[str, str]
    machine: Machine
    kernel: int
    platform: str
    caps: tuple[str, ...]
    view: CacheView
    stack_executable: bool
    map: list[Object] = field(factory=list)
    scope: list[Object] = field(factory=list)
    searches: list[Search] = field(factory=list)
    known: dict[str, bool] = field(factory=dict)
    lists: dict[str, list[tuple[str, str]]] = field(factory=dict)
    dead_lists: set[str] = field(factory=set)
    errno: str | None = None
    cache: LdCache | None = None
    cache_read: bool = False

    @property
    def main(self) -> Object:
        return self.map[0]

    @property
    def secure(self) -> bool:
        return self.image.secure

    @property
    def argv0(self) -> str:
        return self.image.argv[0] if self.image.argv else ""

    def label(self, obj: Object) -> str:
        """How messages name an object."""
        return obj.path or self.argv0

    def loaded(self, name: str) -> Object | None:
        """The first object of the map that answers to `name`."""
        return next((o for o in self.map if o.answers_to(name)), None)
