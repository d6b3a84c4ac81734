"""The state of an ldconfig run: the root that it works in, what it has said, and what it has done so far.

Steps over it are `nvsim.loader.ldconfig.scan`, `nvsim.loader.ldconfig.links` and `nvsim.loader.ldconfig.save`.
"""

from __future__ import annotations

from nvsim.elf.facts import LdconfigFacts
from nvsim.ldcache import CacheEntry
from nvsim.loader.access import mount_flags
from nvsim.loader.ldconfig.options import Options
from nvsim.loader.ldconfig.rules import rules_of
from nvsim.rootfs.node import Node, Origin
from nvsim.rootfs.overlay import Editor, Mount
from nvsim.rootfs.resolve import Resolver

ERRNO_TEXT = {
    "ENOENT": "No such file or directory",
    "ENOTDIR": "Not a directory",
    "EACCES": "Permission denied",
    "EISDIR": "Is a directory",
    "ELOOP": "Too many levels of symbolic links",
    "ENAMETOOLONG": "File name too long",
    "EROFS": "Read-only file system",
    "EBUSY": "Device or resource busy",
}


class FatalError(Exception):
    """The program ends here with a status (``error (EXIT_FAILURE, ...)``)."""

    def __init__(self, rc: int = 1):
        super().__init__(rc)
        self.rc = rc


class RootView:
    """A tree as it looks after chroot to the canonical directory `top`; edits go through to the editor below.

    `powerless`: root runs without CAP_DAC_OVERRIDE, so the mode of a directory counts.
    """

    def __init__(self, editor: Editor, top: str, readonly: bool, powerless: bool = False):
        self._editor = editor
        self._top = top.rstrip("/")
        self._readonly = readonly
        self._powerless = powerless
        self.name = editor.name

    def outside(self, path: str) -> str:
        """The path of a file of the view in the whole tree."""
        return (self._top + path).rstrip("/") or "/"

    def node(self, path: str) -> Node | None:
        return self._editor.node((self._top + path).rstrip("/") or "/")

    def names(self, path: str) -> tuple[str, ...]:
        return self._editor.names(self.outside(path))

    def put(self, path: str, node: Node) -> None:
        self._editor.put(self.outside(path), node)

    def remove(self, path: str) -> None:
        self._editor.remove(self.outside(path))

    def refusal(self, directory: str) -> str | None:
        """The errno with which names in the canonical `directory` cannot be made and removed; None when they can."""
        if self._readonly or "ro" in mount_flags(self._editor, self.outside(directory)):
            return "EROFS"
        node = self.node(directory)
        if self._powerless and node is not None:
            shift = 6 if node.uid == 0 else 3 if node.gid == 0 else 0
            if node.mode >> shift & 0o3 != 0o3:
                return "EACCES"
        return None

    def mounted(self, path: str) -> Mount | None:
        """The mount whose target is exactly `path`."""
        mount = self._editor.mount_at(self.outside(path))
        return mount if mount is not None and mount.dst == self.outside(path) else None


class Job:
    """A run in progress."""

    def __init__(self, root: RootView, facts: LdconfigFacts, options: Options, origin: Origin, program: str):
        self.root = root
        self.resolver = Resolver(root)
        self.facts = facts
        self.rules = rules_of(facts)
        self.options = options
        self.origin = origin
        self.program = program
        self.hwcap_names: dict[str, int] = {}  # those of ``hwcap`` lines
        self.hwcap_subdirectories: set[str] = set()  # names met, used or not
        self.entries: list[CacheEntry] = []
        self.links: list[tuple[str, str]] = []
        self.removed: list[str] = []
        self.stdout: list[str] = []
        self.stderr: list[str] = []

    def say(self, text: str, errno: str | None = None) -> None:
        """``error (0, errno, text)``."""
        tail = f": {ERRNO_TEXT.get(errno, errno)}" if errno else ""
        self.stderr.append(f"{self.program}: {text}{tail}\n")

    def say_verbose(self, text: str, errno: str | None = None) -> None:
        if self.options.verbose:
            self.say(text, errno)

    def die(self, text: str, errno: str | None = None) -> FatalError:
        """What ``error (EXIT_FAILURE, errno, text)`` prints; the caller raises the result."""
        self.say(text, errno)
        return FatalError()

    def show(self, text: str) -> None:
        """Text on stdout with ``-v``."""
        if self.options.verbose:
            self.stdout.append(text)

    def hwcap_bit(self, name: str) -> int | None:
        """The bit of a legacy hwcaps name, also of those that the configuration defined."""
        bit = self.rules.hwcap_bits.get(name)
        return self.hwcap_names.get(name) if bit is None else bit
