"""How the toolkit looks files up: prefixes, Go's glob, filters, link resolution, the ld.so.cache (toolkit: ``pkg/lookup``).

A locator is a function from a pattern to the paths found; it raises `ToolFailure` with the toolkit's text. Paths are those of the host's
real root: links are followed there, also out of a driver root.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal

from nvsim.inject.cdi.inject import clean_path
from nvsim.inject.errnos import ERRNO_TEXT
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.ldcache import CacheEntry, LdCache
from nvsim.rootfs.node import Directory, File, Special, Symlink
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.toolkit.go_text import go_list, go_quote

Locator = Callable[[str], tuple[str, ...]]
Filter = Callable[[Resolver, str], bool]

LIBRARY_DIRS = (
    "/",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu/nvidia/current",
    "/lib/aarch64-linux-gnu/nvidia/current",
)
DEFAULT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
CACHE_ARCHITECTURES_64 = (0x0300, 0x0A00, 0x0500)  # x86-64, aarch64, ppc64le (glibc ldconfig.h FLAG_*)
CACHE_ARCHITECTURES_32 = (0x0000, 0x0800)  # i386, x32


def join_path(*parts: str) -> str:
    """Go's ``filepath.Join``: empty parts are left out, the result is cleaned; "" when all are empty."""
    text = "/".join(p for p in parts if p)
    return clean_path(text) if text else ""


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str] | None:
    """The regular expression of a Go ``filepath.Match`` pattern, or None for a malformed one."""
    out, i = [], 0
    while i < len(pattern):
        c = pattern[i]
        i += 1
        if c == "*":
            out.append("[^/]*")
        elif c == "?":
            out.append("[^/]")
        elif c == "\\":
            if i == len(pattern):
                return None
            out.append(re.escape(pattern[i]))
            i += 1
        elif c == "[":
            end = pattern.find("]", i + 1)
            if end < 0:
                return None
            body = pattern[i:end]
            negated = body.startswith("^")
            body = body[1:] if negated else body
            if not body:
                return None
            safe = re.sub(r"([\\\[\]^&|~])", r"\\\1", body)
            out.append(f"[{'^' if negated else ''}{safe}]")
            i = end + 1
        else:
            out.append(re.escape(c))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error:
        return None


def go_match(pattern: str, name: str) -> bool:
    """Go's ``filepath.Match``: ``*`` does not cross "/", and matches a leading dot. A malformed pattern matches nothing."""
    compiled = _pattern(pattern)
    return compiled is not None and compiled.match(name) is not None


def go_glob(resolver: Resolver, pattern: str) -> tuple[str, ...]:
    """Go's ``filepath.Glob``: what exists (links not followed at the end), sorted within each directory. Relative patterns find nothing."""
    if not pattern.startswith("/"):
        return ()
    if not any(c in pattern for c in "*?[\\"):
        return (pattern,) if isinstance(resolver.resolve(pattern, follow=False), Resolved) else ()
    head, _, tail = pattern.rpartition("/")
    directories = go_glob(resolver, head) if any(c in head for c in "*?[\\") else (head or "/",)
    out = []
    for directory in directories:
        found = resolver.resolve(directory)
        if isinstance(found, Resolved) and isinstance(found.node, Directory):
            out += [join_path(directory, n) for n in resolver.tree.names(found.path) if go_match(tail, n)]
    return tuple(out)


def is_file(resolver: Resolver, path: str) -> bool:
    """Whether `path` leads to something that is no directory (a socket or device passes)."""
    found = resolver.resolve(path)
    return isinstance(found, Resolved) and not isinstance(found.node, Directory)


def is_directory(resolver: Resolver, path: str) -> bool:
    found = resolver.resolve(path)
    return isinstance(found, Resolved) and isinstance(found.node, Directory)


def is_executable(resolver: Resolver, path: str) -> bool:
    found = resolver.resolve(path)
    return isinstance(found, Resolved) and not isinstance(found.node, Directory) and bool(found.node.mode & 0o111)


def _no_executable(resolver: Resolver, path: str) -> str:
    found = resolver.resolve(path)
    if isinstance(found, PathError):
        return f"error getting info for {path}: stat {path}: {ERRNO_TEXT.get(found.errno, found.errno)}"
    if isinstance(found.node, Directory):
        return f"specified path '{path}' is a directory"
    return f"specified file '{path}' is not executable"


def is_char_device(resolver: Resolver, path: str) -> bool:
    """Whether `path` itself is a character device (a link to one is not)."""
    found = resolver.resolve(path, follow=False)
    return isinstance(found, Resolved) and isinstance(found.node, Special) and found.node.kind == "char"


CacheSearch = Literal["prefix", "pattern-or-dangling", "pattern"]
"""How a library is looked for in the ld.so.cache: entries whose name begins with it, or by a pattern (dangling entries kept or not)."""

Words = Literal["pattern", "plain"]
"""How the file locator says that it found nothing (`nvsim.toolkit.generation.GenerationRules.not_found`)."""


def not_found(pattern: str, words: Words = "plain") -> ToolFailure:
    return ToolFailure(
        f"pattern {pattern} not found" if words == "pattern" else f"{pattern}: not found", not_found=True
    )


def files(
    resolver: Resolver,
    root: str,
    search: Sequence[str] = (),
    accept: Filter = is_file,
    count: int = 0,
    words: Words = "plain",
) -> Locator:
    """The file locator: `pattern` globbed below `root` + each search path; all hits that `accept` passes, at most `count` (0: all)."""
    prefixes = [join_path(root, p) for p in dict.fromkeys(split_lists(search))] or [root]

    def locate(pattern: str) -> tuple[str, ...]:
        out = []
        for prefix in prefixes:
            for path in go_glob(resolver, join_path(prefix, pattern)):
                if accept(resolver, path):
                    out.append(path)
                    if len(out) == count:
                        return tuple(out)
        if not out:
            raise not_found(pattern, words)
        return tuple(out)

    return locate


def split_lists(paths: Iterable[str]) -> list[str]:
    """Search paths, split at ":" (Go's ``filepath.SplitList``: an empty list has no items)."""
    return [part for path in paths if path for part in path.split(":")]


def evaluated(resolver: Resolver, locate: Locator) -> Locator:
    """`locate` with every hit replaced by what it resolves to, duplicates removed."""

    def located(pattern: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(eval_symlinks(resolver, path) for path in locate(pattern)))

    return located


def eval_symlinks(resolver: Resolver, path: str) -> str:
    """Go's ``filepath.EvalSymlinks``. Raises `ToolFailure` for a path that does not exist."""
    found = resolver.resolve(path)
    if isinstance(found, PathError):
        error = f"lstat {found.path}: {ERRNO_TEXT.get(found.errno, found.errno)}"
        if found.errno == "ELOOP":
            error = "EvalSymlinks: too many links"
        raise ToolFailure(f"failed to resolve link: {error}")
    return found.path


def symlinks(
    resolver: Resolver,
    root: str,
    search: Sequence[str] = (),
    words: Words = "plain",
    targets: Literal["one", "all"] = "all",
) -> Locator:
    """The symlink locator: files, fully resolved. `targets` "one": a pattern that finds several is an error."""
    locate = files(resolver, root, search, words=words)

    def only(pattern: str) -> tuple[str, ...]:
        found = locate(pattern)
        if len(found) != 1:
            raise ToolFailure(f"failed to uniquely resolve symlink {pattern}: {go_list(found)}")
        return found

    return evaluated(resolver, locate if targets == "all" else only)


def read_link(resolver: Resolver, path: str) -> str:
    """The text of the symlink at `path`, or `path` itself when it is something else. Raises `ToolFailure` when there is nothing."""
    found = resolver.resolve(path, follow=False)
    if isinstance(found, PathError):
        error = ERRNO_TEXT.get(found.errno, found.errno)
        raise ToolFailure(f"failed to get file info: lstat {path}: {error}")
    return found.node.target if isinstance(found.node, Symlink) else path


def link_chain(resolver: Resolver, path: str) -> list[str]:
    """`path` and every further hop of its chain of links, the final file included. Raises `ToolFailure` for a broken chain."""
    chain: list[str] = []
    while True:
        target = read_link(resolver, path)
        if path in chain:
            return chain
        chain.append(path)
        path = target if target.startswith("/") else join_path(posixpath.dirname(path), target)


def link_chains(resolver: Resolver, root: str) -> Locator:
    """The chain locator: for every file found below `root`, all hops of its link chain."""
    locate = files(resolver, root)

    def located(pattern: str) -> tuple[str, ...]:
        out: dict[str, None] = {}
        for path in locate(pattern):
            if path not in out:
                try:
                    out.update(dict.fromkeys(link_chain(resolver, path)))
                except ToolFailure as e:
                    raise e.within("error resolving symlink chain") from None
        return tuple(out)

    return located


def first(*locators: Locator) -> Locator:
    """The first locator that finds something; the errors of all are joined by newlines."""

    def locate(pattern: str) -> tuple[str, ...]:
        errors = []
        for locator in locators:
            try:
                found = locator(pattern)
            except ToolFailure as e:
                errors.append(e)
                continue
            if found:
                return found
        if not errors:
            return ()
        raise ToolFailure("\n".join(e.text for e in errors), not_found=any(e.not_found for e in errors))

    return locate


def optional(locate: Locator) -> Locator:
    """`locate` with an empty answer instead of "not found"."""

    def located(pattern: str) -> tuple[str, ...]:
        try:
            return locate(pattern)
        except ToolFailure as e:
            if e.not_found:
                return ()
            raise

    return located


def libraries(
    resolver: Resolver,
    log: ToolLog,
    root: str,
    search: Sequence[str] = (),
    architectures: Sequence[int] = CACHE_ARCHITECTURES_64,
    words: Words = "plain",
    cache: CacheSearch = "pattern",
) -> Locator:
    """The library locator: with `search`, those directories of the host root; else the usual directories below `root`, then its cache.

    `architectures`: flags of cache entries that count as 64-bit.
    """
    given = split_lists(search)
    if given:
        return symlinks(resolver, "/", given, words)
    usual = symlinks(resolver, root, LIBRARY_DIRS, words)
    if cache == "prefix":
        path = join_path(root or "/", "/etc/ld.so.cache")
        if isinstance(resolver.resolve(path), PathError):
            log.warning(f"Could not find ld.so.cache at {path}; creating empty cache")
        return first(usual, prefixed_libraries(resolver, log, root, architectures))
    return first(
        usual, _cached_libraries(resolver, log, root, architectures, keeps_dangling=cache == "pattern-or-dangling")
    )


def _cached_libraries(
    resolver: Resolver, log: ToolLog, root: str, architectures: Sequence[int], *, keeps_dangling: bool
) -> Locator:
    """Libraries named by the ld.so.cache below `root`, matched by base name (or whole path, for a pattern with a slash).

    `keeps_dangling`: entries that lead nowhere stand for themselves, and what is found is sorted; else they are left out with a warning.
    """
    try:
        cache = ldcache(resolver, root)
    except ToolFailure as e:
        log.warning(f"Failed to load ldcache: {e.text}")
        return _find_nothing
    known: list[str] = []
    paths = dict.fromkeys(join_path(root, e.path) for e in cached_entries(cache, architectures))
    for entry in paths:
        try:
            known += link_chain(resolver, entry)
        except ToolFailure as e:
            if keeps_dangling:
                known.append(entry)
                continue
            log.warning(f"Failed to resolve symlink chain for library {go_quote(entry)}: {e.text}")

    def locate(pattern: str) -> tuple[str, ...]:
        if "/" in pattern:
            whole = join_path(root, pattern)
            out = tuple(p for p in known if go_match(whole, p))
        else:
            out = tuple(p for p in known if go_match(pattern, posixpath.basename(p)))
        if not out:
            raise not_found(pattern)
        return out

    def kept(pattern: str) -> tuple[str, ...]:
        return tuple(sorted({_eventual(resolver, path) for path in locate(pattern)}))

    return kept if keeps_dangling else evaluated(resolver, locate)


def _eventual(resolver: Resolver, path: str) -> str:
    """What `path` resolves to, itself when it leads nowhere."""
    found = resolver.resolve(path)
    return found.path if isinstance(found, Resolved) else path


def ldcache(resolver: Resolver, root: str) -> LdCache:
    """The ld.so.cache below `root`. Raises `ToolFailure`."""
    path = join_path(root or "/", "/etc/ld.so.cache")
    found = resolver.resolve(path)
    if isinstance(found, PathError):
        raise ToolFailure(f"open {path}: {ERRNO_TEXT.get(found.errno, found.errno)}")
    cache = found.node.facts.ldcache if isinstance(found.node, File) else None
    if cache is None:
        raise ToolFailure("invalid ld.so.cache file")
    return cache


def cached_entries(cache: LdCache, architectures: Sequence[int]) -> tuple[CacheEntry, ...]:
    """The entries of libraries of these architectures."""
    return tuple(e for e in cache.entries if e.flags & 1 and e.flags & 0xFF00 in architectures and e.name and e.path)


def cached_targets(
    resolver: Resolver, root: str, entries: Iterable[CacheEntry], links: Literal["once", "followed"] = "followed"
) -> tuple[str, ...]:
    """The files that entries lead to, each link read below `root` on its own (a target that begins with a dot is relative).

    `links` "once": a link's target is taken as the file, whether it is there or not.
    """
    out: dict[str, None] = {}
    for entry in entries:
        target, seen = entry.path, set[str]()
        while target not in seen:
            seen.add(target)
            name = join_path(root or "/", target)
            found = resolver.resolve(name, follow=False)
            if isinstance(found, PathError):
                break
            if not isinstance(found.node, Symlink):
                out[name] = None
                break
            link = found.node.target
            target = link if link.startswith("/") else join_path(posixpath.dirname(target), link)
            if links == "once":
                out[join_path(root or "/", target)] = None
                break
    return tuple(out)


def prefixed_libraries(
    resolver: Resolver,
    log: ToolLog,
    root: str,
    architectures: Sequence[int],
    told: str = "64-bit library {}: not found",
    links: Literal["once", "followed"] = "followed",
) -> Locator:
    """Libraries of the ld.so.cache whose name begins with what is asked for. Without a cache none is found.

    `told`: what is said when there is none.
    """
    try:
        cache = ldcache(resolver, root)
    except ToolFailure:
        cache = LdCache()

    def locate(pattern: str) -> tuple[str, ...]:
        def found(flags: Sequence[int]) -> tuple[str, ...]:
            entries = cached_entries(cache, flags)
            return cached_targets(resolver, root, (e for e in entries if e.name.startswith(pattern)), links)

        narrow = found(CACHE_ARCHITECTURES_32)
        if narrow:
            log.warning(f"Ignoring 32-bit libraries for {pattern}: {go_list(narrow)}")
        wide = found(architectures)
        if not wide:
            raise ToolFailure(told.format(pattern), not_found=True)
        return wide

    return locate


def _find_nothing(pattern: str) -> tuple[str, ...]:
    raise not_found(pattern)


def executable_dirs(path_env: str, root: str = "") -> list[str]:
    """The directories in which executables are looked for: $PATH, the defaults that it lacks, below `root` first."""
    dirs = split_lists([path_env])
    dirs += [d for d in DEFAULT_PATH if d not in dirs]
    if root not in ("", "/"):
        return [join_path(root, d) for d in dirs] + dirs
    return dirs


def executables(resolver: Resolver, path_env: str, root: str, words: Words = "plain") -> Locator:
    """The executable locator: the first executable file of that name. Links are kept as they are."""
    locate = files(resolver, root, executable_dirs(path_env, root), is_executable, 1, words)

    def located(pattern: str) -> tuple[str, ...]:
        if "/" in pattern:
            if not is_executable(resolver, pattern):
                why = _no_executable(resolver, pattern)
                raise ToolFailure(f"absolute path {pattern} is not an executable file: {why}")
            return (pattern,)
        return locate(pattern)

    return located
