"""The musl dynamic loader, 1.2.2 to 1.2.6 (``ldso/dynlink.c``): search, start-up that reports every problem, dlopen.

Names, versions and hwcaps of glibc mean nothing here: a file is the library when it opens, and what decides is its relocation.
"""

from __future__ import annotations

from attrs import evolve

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.loader.access import may_read
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
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import Tree

_RESERVED = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
_TEXT = {
    "ENOENT": "No such file or directory",
    "ELOOP": "Symbolic link loop",
    "ENOEXEC": "Exec format error",
    "EISDIR": "Is a directory",
    "EACCES": "Permission denied",
    "ENOTDIR": "Not a directory",
    "ENAMETOOLONG": "Filename too long",
    None: "No error information",
}
_GO_ON = ("ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG")


class _Object:
    """A loaded object; `needed_by` is the object whose list brought it in."""

    __slots__ = ("elf", "file", "name", "needed_by", "node", "path", "short", "stage")

    def __init__(self, path: str, elf: ElfFacts, node: File | None, file: str | None, needed_by: _Object | None):
        self.path, self.elf, self.node, self.file, self.needed_by = path, elf, node, file, needed_by
        self.short: str | None = None
        self.name: str | None = None
        self.stage: str | None = None


class MuslProcess:
    """A process with its list of objects."""

    def __init__(self, tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest):
        self.resolver = Resolver(tree, program.uid, program.gid)
        self.program, self.facts, self.request = program, facts, request
        self.env: dict[str, str] = {}
        for key, value in request.env:
            self.env.setdefault(key, value)
        self.main = _Object(program.execfn, program.elf, program.file, program.path, None)
        elf = (program.interp_file.facts.elf if program.interp_file else None) or ElfFacts()
        self.libc = _Object(program.interp or "", elf, program.interp_file, program.interp_path, None)
        self.libc.name, self.libc.stage = program.interp, "interpreter"
        self.objects = [self.main]
        self.searches: list[Search] = []
        self.outcome = Outcome(
            "exit", steps=program.steps, program=program.path, interpreter=program.interp, assumptions=facts.assumed
        )
        self._dlopens: list[DlopenResult] = []
        self._system: str | None = None

    def _system_path(self) -> str:
        if self._system is None:
            prefix = (self.program.interp or "").rpartition("/")[0].rpartition("/")[0]
            found = self.resolver.resolve(prefix + self.facts.path_file)
            if (
                isinstance(found, Resolved)
                and isinstance(found.node, File)
                and may_read(found.node, self.program.uid, self.program.gid)
            ):
                self._system = found.node.facts.text or ""
            elif isinstance(found, PathError) and found.errno == "ENOENT":
                self._system = self.facts.system_path
            else:
                self._system = ""
        return self._system

    def _lists(self, needed_by: _Object) -> list[tuple[str, str, str]]:
        """(stage, list, who set it) in search order."""
        out = []
        if not self.program.secure and self.env.get("LD_LIBRARY_PATH"):
            out.append(("ld_library_path", self.env["LD_LIBRARY_PATH"], "env LD_LIBRARY_PATH"))
        obj: _Object | None = needed_by
        while obj is not None:
            text = self._rpath(obj)
            if text:
                out.append(("rpath", text, f"RPATH or RUNPATH of {obj.path}"))
            obj = obj.needed_by
        out.append(("path-file", self._system_path(), "musl's system path"))
        return out

    def _rpath(self, obj: _Object) -> str | None:
        text = obj.elf.runpath if obj.elf.runpath is not None else obj.elf.rpath
        if not text or "$" not in text:
            return text
        if obj is self.main:
            origin = self.program.path.rpartition("/")[0] if self.request.proc else None
        else:
            origin = obj.path.rpartition("/")[0] if "/" in obj.path else "."
        if origin is None or (self.program.secure and not origin.startswith("/")):
            return None
        out = text.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        return None if "$" in out else out

    def _open(self, path: str) -> tuple[File | Directory, str] | str:
        found = self.resolver.resolve(path, cwd=self.program.cwd)
        if isinstance(found, PathError):
            return found.errno
        node = found.node
        if isinstance(node, File):
            return (node, found.path) if may_read(node, self.program.uid, self.program.gid) else "EACCES"
        return (node, found.path) if isinstance(node, Directory) else "EACCES"

    def load(self, name: str, needed_by: _Object, *, noload: bool = False) -> _Object | str | None:
        """``load_library``: the object, the errno text, or None (noload)."""
        if name == self.libc.path or self._is_libc(name):
            if self.libc not in self.objects:
                self.objects.append(self.libc)
            return self.libc
        seen: list[Candidate] = []
        by_path = "/" in name
        result: tuple[File | Directory, str] | str | None = None
        path = name
        stage = "name"
        if by_path:
            result = self._open(name)
            seen.append(Candidate("name", name, "the name itself", "hit" if isinstance(result, tuple) else "missing"))
        else:
            if len(name) > 255:
                return _TEXT["ENAMETOOLONG"]
            known = next((o for o in self.objects if o.short == name), None)
            if known is not None:
                return known
            result, path, stage = self._search(name, needed_by, seen)
        got = self._identify(name, path, result, needed_by, noload)
        if isinstance(got, _Object):
            got.short = got.short or (None if by_path else name)
            got.stage = got.stage or stage
            outcome = "loaded" if got.name == name else "already"
            self.searches.append(Search(name, needed_by.path, tuple(seen), outcome, got.path))
        elif got is not None:
            self.searches.append(Search(name, needed_by.path, tuple(seen), "not-found", error=got))
        return got

    def _is_libc(self, name: str) -> bool:
        return "/" not in name and (
            name.startswith(_RESERVED) or name in ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0")
        )

    def _search(
        self, name: str, needed_by: _Object, seen: list[Candidate]
    ) -> tuple[tuple[File | Directory, str] | str | None, str, str]:
        errno: str | None = None
        for stage, text, by in self._lists(needed_by):
            for element in text.replace("\n", ":").split(":"):
                if not element:
                    continue
                path = f"{element}/{name}"
                opened = self._open(path)
                if isinstance(opened, tuple):
                    seen.append(Candidate(stage, path, by, "hit"))
                    return opened, path, stage
                errno = opened
                seen.append(Candidate(stage, path, by, "missing", errno))
                if errno not in _GO_ON:
                    return errno, name, stage
        return errno, name, ""

    def _identify(
        self, name: str, path: str, result: tuple[File | Directory, str] | str | None, needed_by: _Object, noload: bool
    ) -> _Object | str | None:
        if not isinstance(result, tuple):
            return _TEXT.get(result, str(result))
        node, where = result
        if isinstance(node, Directory):
            return _TEXT["EISDIR"]
        for obj in (*self.objects, self.libc):
            if obj is not self.main and obj.node is not None and obj.node.inode == node.inode:
                if obj is self.libc and obj not in self.objects:
                    self.objects.append(obj)
                return obj
        if noload:
            return None
        elf = node.facts.elf
        cut = elf is not None and elf.truncate is not None
        if (
            elf is None
            or cut
            or elf.nodyn
            or elf.type not in ("DYN", "EXEC")
            or elf.elf_class != self.program.elf.elf_class
        ):
            return _TEXT["ENOEXEC"]
        if node.facts.loader is not None and node.facts.loader.libc == "musl":
            return self.libc
        new = _Object(path, elf, node, where, needed_by)
        new.name = name
        self.objects.append(new)
        return new

    def dependencies(self, start: int) -> list[tuple[str, str, str]]:
        """Load what the objects from index `start` on need; (name, text, path of the needer) for every failure."""
        problems = []
        at = start
        while at < len(self.objects):
            obj = self.objects[at]
            for name in obj.elf.needed if obj is not self.libc else ():
                got = self.load(name, obj)
                if isinstance(got, str):
                    problems.append((name, got, obj.path))
            at += 1
        return problems

    def relocation_problems(self, objects: list[_Object], *, now: bool) -> list[str]:
        """A line for every symbol that nobody defines."""
        defined: set[str] = set()
        for obj in self.objects:
            defined |= obj.elf.defs or frozenset()
        lines = []
        for obj in objects:
            wanted = (*(obj.elf.undef or ()), *((obj.elf.undef_lazy or ()) if now else ()))
            lines += [
                f"Error relocating {obj.path}: {s.partition('@')[0]}: symbol not found"
                for s in wanted
                if s.partition("@")[0] not in defined
            ]
        return lines

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        """Make one dlopen call: the search is always on behalf of the main program."""
        if not self.outcome.started:
            return DlopenResult(call, None, "the process is not running")
        if call.caller != "main" and not any(call.caller in (o.path, o.file) for o in self.objects):
            found = self.resolver.resolve(call.caller)
            inode = found.node.inode if isinstance(found, Resolved) and isinstance(found.node, File) else None
            if not any(o.node is not None and o.node.inode == inode for o in self.objects):
                return DlopenResult(call, None, f"{call.caller} is not loaded, so it cannot call dlopen")
        before, mark = list(self.objects), len(self.searches)
        error: str | None = None
        got = self.load(call.name, self.main, noload=bool(call.flags & 4)) if call.name else self.main
        if got is None:
            error = f"Library {call.name} is not already loaded"
        elif isinstance(got, str):
            error = f"Error loading shared library {call.name}: {got}"
        else:
            problems = self.dependencies(len(before))
            if problems:
                missing, text, needer = problems[0]
                error = f"Error loading shared library {missing}: {text} (needed by {needer})"
            else:
                broken = self.relocation_problems(self.objects[len(before) :], now=bool(call.flags & 2))
                error = broken[0] if broken else None
        if error is not None:
            self.objects = before
            result = DlopenResult(call, False, error, searches=tuple(self.searches[mark:]))
        else:
            new = tuple(self._describe(o) for o in self.objects[len(before) :])
            path = got.path if isinstance(got, _Object) else None
            result = DlopenResult(call, True, None, path, new, tuple(self.searches[mark:]))
        self._dlopens.append(result)
        return result

    def _describe(self, obj: _Object) -> LoadedObject:
        origin = obj.node.origin if obj.node is not None else None
        return LoadedObject(
            obj.name, obj.path, obj.file, origin, obj.needed_by.path if obj.needed_by else None, obj.stage
        )

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens))


def start(tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine) -> MuslProcess:
    """Start `program`: preloads, dependencies, relocation; every problem is printed, then the process ends with 127."""
    process = MuslProcess(tree, program, facts, request)
    if not program.secure:
        for name in process.env.get("LD_PRELOAD", "").replace(":", " ").split():
            process.load(name, process.main)
    lines = [
        f"Error loading shared library {name}: {text} (needed by {path})"
        for name, text, path in process.dependencies(0)
    ]
    if process.libc not in process.objects:
        process.objects.append(process.libc)
    lines += process.relocation_problems([*process.objects[1:], process.main], now=True)
    stderr = "".join(f"{line}\n" for line in lines)
    searches = tuple(process.searches)
    if lines:
        process.outcome = evolve(process.outcome, exit_code=127, stderr=stderr, searches=searches)
    else:
        objects = tuple(process._describe(o) for o in process.objects[1:])
        process.outcome = evolve(process.outcome, started=True, objects=objects, searches=searches)
    return process
