"""Rules broken on purpose, to prove that the fuzzer would find such a mistake.

Each mutant replaces functions or constants of the loader model for the time of a ``with`` block. Nothing of it is in the product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from attrs import evolve, frozen

from nvsim.elf.facts import ElfFacts
from nvsim.loader.glibc import checks, linkmap, lists, setup, verify, walk
from nvsim.loader.glibc.state import Object, Process
from nvsim.loader.musl import search as musl_search
from nvsim.loader.musl import session as musl_session

Change = tuple[Any, str, Any]
"""An object, the name of an attribute, and what stands there instead."""


@frozen(slots=True)
class Mutant:
    """A broken rule of one kind of loader. `changes` makes the replacements, anew for each use."""

    loader: str
    changes: Callable[[], list[Change]]


@contextmanager
def broken(mutant: Mutant) -> Iterator[None]:
    """The rule is broken inside the block."""
    with ExitStack() as stack:
        for where, name, value in mutant.changes():
            stack.enter_context(patch.object(where, name, value))
        yield


def _runpath_inherited() -> list[Change]:
    original = walk.runpath_list

    def inherited(process: Process, obj: Object) -> Any:
        known = original(process, obj)
        return known if known is not None or obj is process.main else original(process, process.main)

    return [(walk, "runpath_list", inherited)]


def _cache_first() -> list[Change]:
    original = linkmap.find

    def find(process: Process, hunt: walk.Hunt, requester: Object | None, *, preload: bool = False) -> walk.Found:
        hit = None if process.secure and preload else walk._from_cache(process, hunt, False)
        return hit if hit is not None else original(process, hunt, requester, preload=preload)

    return [(linkmap, "find", find)]


def _no_inodes() -> list[Change]:
    numbers = count()

    def own_inode(found: walk.Found) -> walk.Found:
        node, *rest = found
        return evolve(node, inode=("nobody", next(numbers))), *rest

    find, by_path = linkmap.find, linkmap.open_by_path
    return [
        (linkmap, "find", lambda *a, **k: own_inode(find(*a, **k))),
        (linkmap, "open_by_path", lambda *a, **k: own_inode(by_path(*a, **k))),
    ]


def _rpath_not_inherited() -> list[Change]:
    original = walk.rpath_list
    asking: list[Object | None] = [None]
    rpaths = walk._rpaths

    def note(process: Process, hunt: walk.Hunt, requester: Object | None) -> Any:
        asking[0] = requester
        return rpaths(process, hunt, requester)

    return [
        (walk, "_rpaths", note),
        (walk, "rpath_list", lambda process, obj: original(process, obj) if obj is asking[0] else None),
    ]


def _rpath_beside_runpath() -> list[Change]:
    def rpath_list(process: Process, obj: Object) -> Any:
        if isinstance(obj.rpath, bool):
            obj.rpath = lists._own_list(process, obj, obj.elf.rpath, "RPATH", "rpath")
        return obj.rpath

    return [(walk, "rpath_list", rpath_list)]


def _library_path_last() -> list[Change]:
    original = linkmap.find

    def find(process: Process, hunt: walk.Hunt, requester: Object | None, *, preload: bool = False) -> walk.Found:
        own, process.library_list = process.library_list, None
        try:
            return original(process, hunt, requester, preload=preload)
        except walk.LoadError:
            if own is None:
                raise
            process.library_list = own
            return original(process, hunt, requester, preload=preload)
        finally:
            process.library_list = own

    return [(linkmap, "find", find)]


def _plain_before_hwcaps() -> list[Change]:
    original = setup.subdirectories
    return [(setup, "subdirectories", lambda *args: tuple(reversed(original(*args))))]


def _verdict(text: str, wrong: str) -> Callable[[], list[Change]]:
    """Candidates whose verdict text begins with `text` get the verdict `wrong`."""

    def changes() -> list[Change]:
        original = verify.verify

        def mistaken(*args: Any, **kwargs: Any) -> tuple[str, str, str | None]:
            verdict, said, errno = original(*args, **kwargs)
            return (wrong if said.startswith(text) else verdict), said, errno

        return [(walk.verify, "verify", mistaken)]

    return changes


def _no_sonames() -> list[Change]:
    original = Process.enter

    def enter(self: Process, obj: Object) -> None:
        original(self, obj)
        self.answers.clear()
        for other in reversed(self.map):
            self.answers.update(dict.fromkeys(other.names if not other.faked else (), other))

    return [(Process, "enter", enter)]


def _weak_is_strong() -> list[Change]:
    original = checks.version_problems

    def strong(process: Process, obj: Object) -> Any:
        problems, end = original(process, obj)
        return [evolve(p, kind="missing") if p.kind == "weak" else p for p in problems], end

    return [(checks, "version_problems", strong)]


def _no_nodeflib() -> list[Change]:
    return [(verify, "DF_1_NODEFLIB", 0)]


def _only_colons() -> list[Change]:
    original = lists.split_path
    return [(lists, "split_path", lambda text, separators: original(text, ":"))]


def _musl_not_inherited() -> list[Change]:
    original = musl_search._lists

    def own(process: Any, needed_by: Any) -> Any:
        if needed_by is None:
            return original(process, None)
        return original(process, evolve(needed_by, needed_by=None))

    return [(musl_search, "_lists", own)]


def _musl_searches_for_caller_of_preload() -> list[Change]:
    original = musl_session.load_library
    return [
        (
            musl_session,
            "load_library",
            lambda process, name, by, **k: original(process, name, by or process.main, **k),
        )
    ]


def _musl_checks_elf() -> list[Change]:
    original = musl_search._mapped

    def strict(process: Any, node: Any) -> ElfFacts | None:
        elf = original(process, node)
        if elf is not None and (elf.machine != "x86_64" or elf.osabi not in (0, 3)):
            process.errno = "ENOEXEC"
            return None
        return elf

    return [(musl_search, "_mapped", strict)]


def _musl_fewer_reserved() -> list[Change]:
    return [(musl_search, "RESERVED", tuple(r for r in musl_search.RESERVED if r != "util."))]


def _musl_errno_reset() -> list[Change]:
    original = musl_search.load_library

    def fresh(process: Any, *args: Any, **kwargs: Any) -> Any:
        process.errno = None
        return original(process, *args, **kwargs)

    return [(musl_session, "load_library", fresh)]


MUTANTS: Mapping[str, Mutant] = {
    "runpath-inherited": Mutant("glibc", _runpath_inherited),
    "cache-before-library-path": Mutant("glibc", _cache_first),
    "no-inode-deduplication": Mutant("glibc", _no_inodes),
    "rpath-not-inherited": Mutant("glibc", _rpath_not_inherited),
    "rpath-beside-runpath": Mutant("glibc", _rpath_beside_runpath),
    "library-path-last": Mutant("glibc", _library_path_last),
    "plain-directory-before-hwcaps": Mutant("glibc", _plain_before_hwcaps),
    "wrong-class-is-fatal": Mutant("glibc", _verdict("wrong ELF class", verify.FATAL)),
    "wrong-machine-is-fatal": Mutant("glibc", _verdict("is for", verify.FATAL)),
    "directory-is-skipped": Mutant("glibc", _verdict("cannot read file data", verify.SKIP)),
    "no-match-by-soname": Mutant("glibc", _no_sonames),
    "weak-version-is-fatal": Mutant("glibc", _weak_is_strong),
    "nodeflib-ignored": Mutant("glibc", _no_nodeflib),
    "semicolon-is-no-separator": Mutant("glibc", _only_colons),
    "musl-rpath-not-inherited": Mutant("musl", _musl_not_inherited),
    "musl-preload-by-main": Mutant("musl", _musl_searches_for_caller_of_preload),
    "musl-checks-machine": Mutant("musl", _musl_checks_elf),
    "musl-fewer-builtin-names": Mutant("musl", _musl_fewer_reserved),
    "musl-errno-reset": Mutant("musl", _musl_errno_reset),
}
