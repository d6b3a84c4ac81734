"""The glibc dynamic loader as a process: start-up and dlopen over a tree (``elf/rtld.c``, ``dl-load.c``, ``dl-deps.c``, ``dl-open.c``).

Path lists are `nvsim.loader.search`, candidate checks `nvsim.loader.verify`, symbol versions `nvsim.loader.versions`, the cache rule
`nvsim.loader.cache_lookup`; what differs between releases is `nvsim.loader.tables`.
"""

from __future__ import annotations

from attrs import evolve

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.ldcache import LdCache
from nvsim.loader import cache_lookup, verify
from nvsim.loader.access import may_read, mount_flags
from nvsim.loader.execve import ExecImage
from nvsim.loader.outcome import (
    Candidate,
    DlopenCall,
    DlopenResult,
    LoadedObject,
    Machine,
    Outcome,
    ProcessRequest,
    Search,
)
from nvsim.loader.preload import preload_file_names, preload_names
from nvsim.loader.search import directory_prefix, expand, has_token, split_path, subdirectories
from nvsim.loader.tables import glibc_rules
from nvsim.loader.versions import version_problems
from nvsim.rootfs.node import Directory, File, Node
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import Tree

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
RTLD_LAZY, RTLD_NOW, RTLD_NOLOAD, RTLD_GLOBAL = 1, 2, 4, 0x100


class LoadError(Exception):
    """A load failed: the object part, the text, and the errno of a message (raised and caught inside the loader)."""

    def __init__(self, obj: str, text: str, errno: str | None = None):
        super().__init__(text)
        self.obj, self.text, self.errno = obj, text, errno

    def dlerror(self) -> str:
        parts = [p for p in (self.obj, self.text) if p]
        if self.errno is not None:
            parts.append(ERRNO_TEXT.get(self.errno, self.errno))
        return ": ".join(parts)

    def early(self) -> str:
        """As ld.so prints it before libc is there."""
        parts = [p for p in (self.obj, self.text) if p]
        if self.errno is not None:
            known = self.errno in _EARLY
            parts.append(ERRNO_TEXT[self.errno] if known else f"Error {_NUMBERS.get(self.errno, 0)}")
        return ": ".join(parts)


class _Object:
    """A loaded object. `loader` is the object whose DT_NEEDED brought it in."""

    __slots__ = ("elf", "file", "loader", "name", "names", "node", "origin", "path", "requester", "stage")

    def __init__(self, path: str, elf: ElfFacts, node: File | None, file: str | None, loader: _Object | None):
        self.path = path
        self.names: set[str] = {path} if path else set()
        self.elf = elf
        self.node = node
        self.file = file
        self.loader = loader
        self.origin: str | None = None
        self.name: str | None = None
        self.requester: str | None = None
        self.stage: str | None = None


class GlibcProcess:
    """A process with its link map. Made by `start`; `dlopen` may then be called any number of times."""

    def __init__(self, tree: Tree, facts: LoaderFacts, program: ElfFacts, env: dict[str, str], machine: Machine):
        self.tree = tree
        self.resolver = Resolver(tree)
        self.facts = facts
        self.rules = glibc_rules(facts.version)
        self.program = program
        self.env = env
        self.machine = machine
        self.kernel = cache_lookup.kernel_value(machine.kernel)
        self.cwd = "/"
        self.secure = False
        self.uid = self.gid = 0
        self.argv0 = ""
        self.platform = machine.cpu.platform if machine.cpu.machine == "x86_64" else machine.cpu.machine
        self.caps = subdirectories(machine.cpu, self.rules)
        self.map: list[_Object] = []
        self.globals: list[_Object] = []
        self.searches: list[Search] = []
        self.known: dict[str, bool] = {}  # search directory (with subdirectory) -> whether it exists
        self.lists: dict[str, list[tuple[str, str]]] = {}
        self.dead_lists: set[str] = set()
        self.errno: str | None = None
        self.stack_executable = program.stack != "rw"
        self.cache: LdCache | None = None
        self.cache_read = False
        self.outcome = Outcome("exit")
        self._dlopens: list[DlopenResult] = []
        self.view = cache_lookup.CacheView(
            {"x86_64": (0x0303,), "aarch64": (0x0A03,), "i386": (1, 3)}.get(program.machine, (3,)),
            tuple(c.split("/")[1] for c in self.caps if c.startswith("glibc-hwcaps/")),
            self._legacy_mask(),
            sum(1 << b for n, b in self.rules.legacy_bits.items() if n in ("haswell", "xeon_phi")),
            self.kernel,
        )

    def _legacy_mask(self) -> int:
        active = {part for cap in self.caps if not cap.startswith("glibc-hwcaps") for part in cap.split("/") if part}
        return sum(1 << bit for name, bit in self.rules.legacy_bits.items() if name in active)

    # ---- names and lists ---------------------------------------------------------------------------------------------------

    @property
    def main(self) -> _Object:
        return self.map[0]

    def label(self, obj: _Object) -> str:
        """How messages name an object."""
        return obj.path or self.argv0

    def _expand(self, text: str, obj: _Object) -> str | None:
        out = expand(text, obj.origin, self.facts.lib_token, self.platform, secure=self.secure)
        if out is not None and self.secure and obj is self.main and "ORIGIN" in text and has_token(text):
            normal = _normalise(out)
            if not any(normal == d or normal.startswith(d + "/") for d in self.facts.system_dirs):
                return None
        return out

    def _directories(self, key: str, text: str, separators: str, obj: _Object) -> list[tuple[str, str]]:
        """(prefix, element as written) of a path list, equal prefixes once; memoised under `key`."""
        known = self.lists.get(key)
        if known is None:
            known = []
            if text:
                prefixes: set[str] = set()
                for element in split_path(text, separators):
                    expanded = self._expand(element, obj) if element else ""
                    if expanded is None:
                        continue
                    prefix = directory_prefix(expanded)
                    if prefix not in prefixes:
                        prefixes.add(prefix)
                        known.append((prefix, element))
            self.lists[key] = known
        return known

    # ---- opening -----------------------------------------------------------------------------------------------------------

    def _open(self, path: str) -> tuple[Node, str] | None:
        """The node at `path`, opened for reading; None with `errno` set."""
        found = self.resolver.resolve(path, cwd=self.cwd)
        if isinstance(found, PathError):
            self.errno = found.errno
            return None
        if isinstance(found.node, File) and not may_read(found.node, self.uid, self.gid):
            self.errno = "EACCES"
            return None
        return found.node, found.path

    def _try(self, path: str, other: list[str]) -> tuple[File, str, str] | str:
        """Open and verify a candidate: (file, canonical path, path), or the result in words. Raises `LoadError` when fatal."""
        opened = self._open(path)
        if opened is None:
            return (
                "missing"
                if self.errno in ("ENOENT", "ENOTDIR")
                else f"skipped: {ERRNO_TEXT.get(self.errno or '', self.errno or '')}"
            )
        node, where = opened
        verdict, text, errno = verify.verify(node, self.program, self.rules, self.kernel)
        if verdict == verify.FATAL:
            raise LoadError(path, text, errno)
        if verdict == verify.ACCEPT:
            assert isinstance(node, File)
            self.errno = None
            return node, where, path
        if verdict == verify.OTHER_CLASS:
            other.append(text)
        self.errno = "ENOENT"
        return f"skipped: {text}"

    # ---- the search --------------------------------------------------------------------------------------------------------

    def _walk_list(
        self, key: str, directories: list[tuple[str, str]], stage: str, set_by: str, name: str,
        seen: list[Candidate], other: list[str], *, need_setuid: bool = False,
    ) -> tuple[File, str, str] | None:  # fmt: skip
        """One path list (``open_path``)."""
        if key in self.dead_lists:
            return None
        any_exists = False
        for prefix, _element in directories:
            here = False
            hit = None
            for cap in self.caps:
                directory = prefix + cap
                exists = self.known.get(directory) if directory.startswith("/") else True
                if exists is False:
                    continue
                candidate = directory + name
                try:
                    tried = self._try(candidate, other)
                except LoadError as e:
                    seen.append(Candidate(stage, candidate, set_by, f"fatal: {e.text}", e.errno))
                    raise
                if isinstance(tried, tuple):
                    if need_setuid and not tried[0].mode & 0o4000:
                        self.errno = "ENOENT"
                        seen.append(Candidate(stage, candidate, set_by, "skipped: no set-uid bit", None))
                        here = True
                        continue
                    hit = tried
                    self.known[directory] = True
                    seen.append(Candidate(stage, candidate, set_by, "hit"))
                    break
                seen.append(Candidate(stage, candidate, set_by, tried, self.errno))
                if exists is None:
                    exists = self._exists(directory)
                    self.known[directory] = exists
                here = here or bool(exists)
            if hit is not None:
                return hit
            passed = ("ENOENT", "EACCES", "ENOTDIR") if self.rules.enotdir_continues else ("ENOENT", "EACCES")
            if here and self.errno not in passed:
                return None
            any_exists = any_exists or here
        if not any_exists and key != "system":
            self.dead_lists.add(key)
        return None

    def _exists(self, directory: str) -> bool:
        """stat of a search directory, as ``open_path`` makes it after a first miss."""
        if directory == "/" and not self.rules.root_searched:
            self.errno = "ENOENT"
            return False
        found = self.resolver.resolve(directory.rstrip("/") or "/", cwd=self.cwd)
        if isinstance(found, PathError):
            self.errno = found.errno
            return False
        return isinstance(found.node, Directory)

    def _search(
        self, name: str, requester: _Object | None, seen: list[Candidate], *, preload: bool = False
    ) -> tuple[File, str, str]:
        """Section by section as ``_dl_map_object`` does. Raises `LoadError` when nothing acceptable is found."""
        other: list[str] = []
        restricted = preload and self.secure
        main = self.map[0] if self.map else None
        hit = None
        self.errno = None
        if requester is None or requester.elf.runpath is None:
            obj, did_main = requester, False
            while obj is not None and hit is None:
                hit = self._rpath(obj, name, seen, other, restricted)
                did_main = did_main or obj is main
                obj = obj.loader
            if hit is None and not did_main and main is not None:
                hit = self._rpath(main, name, seen, other, restricted)
        library_path = None if self.secure else self.env.get("LD_LIBRARY_PATH")
        if hit is None and library_path and main is not None:
            dirs = self._directories("env", library_path, ":;", main)
            hit = self._walk_list("env", dirs, "ld_library_path", "env LD_LIBRARY_PATH", name, seen, other)
        if hit is None and requester is not None and requester.elf.runpath:
            key = f"runpath:{id(requester)}"
            dirs = self._directories(key, requester.elf.runpath, ":", requester)
            by = f"RUNPATH of {self.label(requester)}"
            hit = self._walk_list(key, dirs, "runpath", by, name, seen, other, need_setuid=restricted)
        asking = requester or main
        limits = asking.elf.flags_1 & verify.DF_1_NODEFLIB if asking is not None else 0
        if hit is None and not restricted:
            hit = self._from_cache(name, bool(limits), seen, other)
        if hit is None and not limits:
            dirs = [(directory_prefix(d), d) for d in self.facts.system_dirs]
            by = f"built into the loader (glibc {self.facts.version})"
            hit = self._walk_list("system", dirs, "default", by, name, seen, other, need_setuid=restricted)
        if hit is not None:
            return hit
        if other:
            raise LoadError(name, other[-1])
        raise LoadError(name, "cannot open shared object file", self.errno)

    def _rpath(
        self, obj: _Object, name: str, seen: list[Candidate], other: list[str], restricted: bool
    ) -> tuple[File, str, str] | None:
        if not obj.elf.rpath or obj.elf.runpath is not None:
            return None
        key = f"rpath:{id(obj)}"
        dirs = self._directories(key, obj.elf.rpath, ":", obj)
        by = f"RPATH of {self.label(obj)}"
        return self._walk_list(key, dirs, "rpath", by, name, seen, other, need_setuid=restricted)

    def _from_cache(
        self, name: str, nodeflib: bool, seen: list[Candidate], other: list[str]
    ) -> tuple[File, str, str] | None:
        if not self.cache_read:
            self.cache_read = True
            if self.facts.cache is not None:
                opened = self._open(self.facts.cache)
                if opened is not None and isinstance(opened[0], File):
                    self.cache = opened[0].facts.ldcache
            else:
                self.errno = "ENOENT"
        entry = cache_lookup.lookup(self.cache, name, self.rules, self.view) if self.cache else None
        if entry is None:
            return None
        by = str(self.facts.cache)
        if nodeflib and any(entry.path.startswith(directory_prefix(d)) for d in self.facts.system_dirs):
            seen.append(Candidate("cache", entry.path, by, "skipped: a default directory, and DF_1_NODEFLIB is set"))
            return None
        try:
            tried = self._try(entry.path, other)
        except LoadError as e:
            seen.append(Candidate("cache", entry.path, by, f"fatal: {e.text}", e.errno))
            raise
        if isinstance(tried, tuple):
            seen.append(Candidate("cache", entry.path, by, "hit"))
            return tried
        seen.append(Candidate("cache", entry.path, by, tried, self.errno))
        return None

    # ---- mapping -----------------------------------------------------------------------------------------------------------

    def _loaded(self, name: str) -> _Object | None:
        for obj in self.map:
            if name in obj.names or (obj.elf.soname is not None and obj.elf.soname == name):
                obj.names.add(name)
                return obj
        return None

    def _map_object(
        self, name: str, requester: _Object | None, loader: _Object | None, *, dlopened: bool, preload: bool = False,
        noload: bool = False,
    ) -> _Object | None:  # fmt: skip
        """``_dl_map_object``: the object for `name`, new or already there. None only with `noload`."""
        asked_by = self.label(requester) if requester is not None else ""
        known = self._loaded(name)
        if known is not None:
            self.searches.append(Search(name, asked_by, (), "already", known.path))
            return known
        seen: list[Candidate] = []
        try:
            if "/" in name:
                found = self._by_path(name, requester, seen)
            else:
                found = self._search(name, requester, seen, preload=preload)
            accepted = self._accept(name, found, loader, dlopened, noload)
        except LoadError as e:
            result = (
                "fatal"
                if any(c.result.startswith("fatal") for c in seen) or not e.text.startswith("cannot open")
                else "not-found"
            )
            self.searches.append(Search(name, asked_by, tuple(seen), result, error=e.dlerror()))
            raise
        if accepted is None:
            return None
        new, obj = accepted
        if new:
            obj.name, obj.requester = name, asked_by
            obj.stage = seen[-1].stage if seen else None
        self.searches.append(Search(name, asked_by, tuple(seen), "loaded" if new else "already", obj.path))
        return obj

    def _by_path(self, name: str, requester: _Object | None, seen: list[Candidate]) -> tuple[File, str, str]:
        path: str | None = name
        if has_token(name):
            path = self._expand(name, requester or self.main)
        if not path:
            raise LoadError(name, "empty dynamic string token substitution")
        other: list[str] = []
        self.errno = None
        try:
            tried = self._try(path, other)
        except LoadError as e:
            seen.append(Candidate("name", path, "the name itself", f"fatal: {e.text}", e.errno))
            raise
        seen.append(Candidate("name", path, "the name itself", tried if isinstance(tried, str) else "hit", self.errno))
        if isinstance(tried, str):
            if other:
                raise LoadError(name, other[-1])
            raise LoadError(name, "cannot open shared object file", self.errno)
        return tried

    def _accept(
        self, name: str, found: tuple[File, str, str], loader: _Object | None, dlopened: bool, noload: bool
    ) -> tuple[bool, _Object] | None:
        node, where, path = found
        for obj in self.map[1:]:  # the kernel mapped the main program: its inode is not known to the loader
            if obj.node is not None and obj.node.inode == node.inode:
                obj.names.add(name)
                return False, obj
        if noload:
            return None
        elf = node.facts.elf
        assert elf is not None
        if "noexec" in mount_flags(self.tree, where):
            raise LoadError(name, "failed to map segment from shared object")
        why = verify.refused(elf, self.rules, dlopened=dlopened, stack_executable=self.stack_executable)
        if why is not None:
            raise LoadError(name, *why)
        if elf.stack != "rw":
            self.stack_executable = True
        obj = _Object(path, elf, node, where, loader)
        obj.names.add(name)
        full = path if path.startswith("/") else f"{self.cwd.rstrip('/')}/{path}"
        obj.origin = full.rpartition("/")[0] or "/"
        self.map.append(obj)
        return True, obj

    def _dependencies(self, start: list[_Object], *, dlopened: bool) -> list[_Object]:
        """``_dl_map_object_deps``: the search list, breadth first from `start`; new objects enter the map."""
        queue = list(start)
        done: set[int] = set()
        while True:
            at = next((i for i, o in enumerate(queue) if id(o) not in done), None)
            if at is None:
                return queue
            obj = queue[at]
            done.add(id(obj))
            for wanted in obj.elf.needed:
                name: str | None = wanted
                if has_token(wanted):
                    if self.secure:
                        raise LoadError(wanted, "DST not allowed in SUID/SGID programs")
                    name = self._expand(wanted, obj)
                    if name is None:
                        continue
                found = self._map_object(name or "", obj, obj, dlopened=dlopened)
                assert found is not None
                if not any(o is found for o in queue):
                    queue.append(found)
            for wanted, optional in [(n, False) for n in obj.elf.filter] + [(n, True) for n in obj.elf.auxiliary]:
                self._filter(obj, wanted, optional, queue, dlopened)

    def _filter(self, obj: _Object, wanted: str, optional: bool, queue: list[_Object], dlopened: bool) -> None:
        """DT_AUXILIARY and DT_FILTER: the object goes directly before the one that names it."""
        name = self._expand(wanted, obj) if has_token(wanted) else wanted
        if name is None:
            return
        try:
            found = self._map_object(name, obj, obj, dlopened=dlopened)
        except LoadError:
            if optional:
                return
            raise
        assert found is not None
        here = next(i for i, o in enumerate(queue) if o is obj)
        there = next((i for i, o in enumerate(queue) if o is found), None)
        if there is not None and there <= here:
            return
        if there is not None:
            del queue[there]
        queue.insert(here, found)
        self.map.remove(found)
        self.map.insert(self.map.index(obj), found)

    # ---- after mapping -----------------------------------------------------------------------------------------------------

    def check_isa(self, objects: list[_Object]) -> _Object | None:
        """The first object, dependencies first, whose ISA level the CPU lacks."""
        if not self.rules.isa_check:
            return None
        have = (1 << self.machine.cpu.isa_level) - 1
        return next((o for o in reversed(objects) if o.elf.isa_needed & ~have), None)

    def undefined(self, objects: list[_Object], scope: list[_Object], *, now: bool) -> tuple[_Object, str] | None:
        """The first undefined symbol, deepest object first."""
        defined: set[str] = set()
        for obj in scope:
            defined |= obj.elf.defs or frozenset()
        for obj in reversed(objects):
            wanted = obj.elf.undef or ()
            if now or obj.elf.flags_1 & verify.DF_1_NOW:
                wanted = (*wanted, *(obj.elf.undef_lazy or ()))
            for symbol in wanted:
                if symbol.partition("@")[0] not in defined and symbol not in defined:
                    return obj, symbol
        return None

    def relr_problem(self, objects: list[_Object]) -> _Object | None:
        """An object with DT_RELR that does not say that it needs a loader that can do it."""
        for obj in objects if self.rules.relr else ():
            libc = [n for n in obj.elf.verneed if n.file.startswith("libc.so.")]
            if obj.elf.relr and libc and not any("GLIBC_ABI_DT_RELR" in n.versions for n in libc):
                return obj
        return None

    # ---- dlopen ------------------------------------------------------------------------------------------------------------

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        """Make one dlopen call in the started process."""
        before, mark = list(self.map), len(self.searches)
        names = {id(o): set(o.names) for o in self.map}
        stack = self.stack_executable
        try:
            result = self._dlopen(call)
        except LoadError as e:
            self.map = before
            for obj in before:
                obj.names = names[id(obj)]
            self.stack_executable = stack
            result = DlopenResult(call, False, e.dlerror())
        result = evolve(result, searches=tuple(self.searches[mark:]))
        self._dlopens.append(result)
        return result

    def _dlopen(self, call: DlopenCall) -> DlopenResult:
        if not self.outcome.started or any(d.ended for d in self._dlopens):
            return DlopenResult(call, None, "the process is not running")
        caller: _Object | None = self.main
        if call.caller != "main":
            caller = next((o for o in self.map if call.caller in (o.path, o.file)), None)
            if caller is None:
                found = self.resolver.resolve(call.caller)
                if isinstance(found, Resolved) and isinstance(found.node, File):
                    inode = found.node.inode
                    caller = next((o for o in self.map if o.node is not None and o.node.inode == inode), None)
            if caller is None:
                return DlopenResult(call, None, f"{call.caller} is not loaded, so it cannot call dlopen")
        if call.flags & 3 == 0:
            raise LoadError(call.name, "invalid mode for dlopen()", "EINVAL")
        if not call.name:
            return DlopenResult(call, True, path="")
        before = list(self.map)
        obj = self._map_object(call.name, caller, None, dlopened=True, noload=bool(call.flags & RTLD_NOLOAD))
        if obj is None:
            return DlopenResult(call, False, None)
        new = not any(o is obj for o in before)
        if new and self.rules.filter_assertion and (obj.elf.filter or obj.elf.auxiliary):
            text = (
                "Inconsistency detected by ld.so: dl-deps.c: 553: _dl_map_object_deps: "
                "Assertion `map->l_searchlist.r_list[0] == map' failed!\n"
            )
            aborted = self._after_assertion(obj)
            if aborted:
                self.outcome = evolve(self.outcome, stderr=self.outcome.stderr + text, exit_code=127)
                return DlopenResult(call, False, None, ended=True)
        scope = [obj]
        if new:
            scope = self._dependencies([obj], dlopened=True)
            added = [o for o in scope if not any(o is b for b in before)]
            self._check_new(added, scope, now=bool(call.flags & RTLD_NOW) or bool(self.env.get("LD_BIND_NOW")))
        if call.flags & RTLD_GLOBAL:
            self.globals += [o for o in scope if not any(o is g for g in self.globals)]
        new_objects = tuple(self._describe(o) for o in self.map if not any(o is b for b in before))
        return DlopenResult(call, True, None, obj.path, new_objects)

    def _after_assertion(self, obj: _Object) -> bool:
        """Whether a filtee is really found, so that the list no longer begins with the object."""
        before, names = list(self.map), {id(o): set(o.names) for o in self.map}
        queue = self._dependencies([obj], dlopened=True)
        failed = queue[0] is not obj
        self.map = before
        for o in before:
            o.names = names[id(o)]
        return failed

    def _check_new(self, added: list[_Object], scope: list[_Object], *, now: bool) -> None:
        for obj in added:
            for fatal, text in version_problems(obj.elf, self.label(obj), self._lookup_needed):
                if fatal:
                    first, _, rest = text.partition(": ")
                    raise LoadError(first, rest)
        broken = self.relr_problem(added)
        if broken is not None:
            raise LoadError(self.label(broken), "DT_RELR without GLIBC_ABI_DT_RELR dependency")
        weak = self.check_isa(added)
        if weak is not None:
            raise LoadError(self.label(weak), "CPU ISA level is lower than required")
        missing = self.undefined(added, [*self.globals, *scope], now=now)
        if missing is not None:
            raise LoadError(self.label(missing[0]), _undefined_text(missing[1]))

    def _lookup_needed(self, file: str) -> tuple[str, ElfFacts] | None:
        obj = next((o for o in self.map if file in o.names or o.elf.soname == file), None)
        return (self.label(obj), obj.elf) if obj is not None else None

    def _describe(self, obj: _Object) -> LoadedObject:
        origin = obj.node.origin if obj.node is not None else None
        return LoadedObject(obj.name, obj.path, obj.file, origin, obj.requester, obj.stage)

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens))


def _undefined_text(symbol: str) -> str:
    name, _, version = symbol.partition("@")
    return f"undefined symbol: {name}" + (f", version {version.lstrip('@')}" if version else "")


def _normalise(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def start(
    tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcProcess:
    """Start `program` under the loader that execve put in front of it."""
    env: dict[str, str] = {}
    for name, value in request.env:
        env.setdefault(name, value)
    process = GlibcProcess(tree, facts, program.elf, env, machine)
    process.resolver = Resolver(tree, program.uid, program.gid)
    process.uid, process.gid = program.uid, program.gid
    process.cwd, process.secure = program.cwd, program.secure
    process.argv0 = program.argv[0] if program.argv else ""
    process.outcome = Outcome(
        "exit", steps=program.steps, program=program.path, interpreter=program.interp, assumptions=facts.assumed
    )
    main = _Object("", program.elf, program.file, program.path, None)
    main.origin = (program.path.rpartition("/")[0] or "/") if request.proc else None
    process.map.append(main)
    loader = None
    if program.interp is not None and program.interp_file is not None:
        elf = program.interp_file.facts.elf or ElfFacts(elf_class=program.elf.elf_class, machine=program.elf.machine)
        loader = _Object(program.interp, elf, program.interp_file, program.interp_path, None)
        loader.names |= {elf.soname} if elf.soname else set()
        loader.origin = program.interp.rpartition("/")[0] or "/"
        loader.name, loader.stage = program.interp, "interpreter"
        process.map.append(loader)
    if "LD_AUDIT" in env and not program.secure:
        process.outcome = evolve(
            process.outcome, outcome="unknown", unknown="LD_AUDIT: what audit modules do is not in files"
        )
        return process
    _run_startup(process, loader)
    return process


def _run_startup(process: GlibcProcess, loader: _Object | None) -> None:
    """Preload, dependencies, versions, ISA level, relocation; sets the process's outcome."""
    said: list[str] = []
    preloads: list[_Object] = []
    try:
        preloads = _preload(process, said)
        queue = process._dependencies([process.main, *preloads], dlopened=False)
    except LoadError as e:
        said.append(f"{process.argv0}: error while loading shared libraries: {e.early()}\n")
        _end(process, said, 127)
        return
    if loader is not None:
        _place_loader(process, loader, queue)
    process.globals = list(queue)
    broken = process.relr_problem(process.map)
    fatal = False
    for obj in process.map:
        for bad, text in version_problems(obj.elf, process.label(obj), process._lookup_needed):
            said.append(f"{process.argv0}: {text}\n")
            fatal = fatal or bad
    if broken is not None:
        said.append(
            f"{process.argv0}: error while loading shared libraries: {process.label(broken)}: "
            "DT_RELR without GLIBC_ABI_DT_RELR dependency\n"
        )
        _end(process, said, 127)
        return
    if fatal:
        _end(process, said, 1)
        return
    weak = process.check_isa(queue)
    if weak is not None:
        said.append(f"{process.label(weak)}: CPU ISA level is lower than required\n")
        _end(process, said, 127)
        return
    missing = process.undefined(queue, queue, now=bool(process.env.get("LD_BIND_NOW")))
    if missing is not None:
        said.append(
            f"{process.argv0}: symbol lookup error: {process.label(missing[0])}: {_undefined_text(missing[1])}\n"
        )
        _end(process, said, 127)
        return
    objects = tuple(process._describe(o) for o in process.map[1:])
    process.outcome = evolve(
        process.outcome, started=True, stderr="".join(said), objects=objects, searches=tuple(process.searches)
    )


def _end(process: GlibcProcess, said: list[str], code: int) -> None:
    process.outcome = evolve(process.outcome, exit_code=code, stderr="".join(said), searches=tuple(process.searches))


def _place_loader(process: GlibcProcess, loader: _Object, queue: list[_Object]) -> None:
    """ld.so stands in the map after the object that precedes it in the search list; last when nobody needs it."""
    process.map.remove(loader)
    at = next((i for i, o in enumerate(queue) if o is loader), None)
    if at is None:
        process.map.append(loader)
    else:
        before = queue[at - 1]
        process.map.insert(next(i for i, o in enumerate(process.map) if o is before) + 1, loader)


def _preload(process: GlibcProcess, said: list[str]) -> list[_Object]:
    wanted = [(n, "LD_PRELOAD") for n in preload_names(process.env.get("LD_PRELOAD", ""), secure=process.secure)]
    if process.facts.preload is not None:
        found = process.resolver.resolve(process.facts.preload)
        if (
            isinstance(found, Resolved)
            and isinstance(found.node, File)
            and may_read(found.node, process.uid, process.gid)
        ):
            text = found.node.facts.text or ""
            wanted += [(n, process.facts.preload) for n in preload_file_names(text)]
    out: list[_Object] = []
    for name, source in wanted:
        before = len(process.map)
        try:
            obj = process._map_object(name, process.main, process.main, dlopened=False, preload=True)
        except LoadError as e:
            reason = f" ({e.text})" if process.rules.preload_reason else ""
            said.append(f"ERROR: ld.so: object '{name}' from {source} cannot be preloaded{reason}: ignored.\n")
            continue
        if obj is not None and len(process.map) > before:
            out.append(obj)
    return out
