"""What programs and libraries of a tree load, as values: objects with the reason of each hit, misses with every place considered, versions.

The loader alone, no NVIDIA. How it is printed is `nvsim.report.ldd`; what files may dlopen beside it `nvsim.diagnosis.wishes`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache

from nvsim.elf.facts import ElfFacts
from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import evolve, frozen
from nvsim.loader.outcome import Cpu, Machine, Outcome, ProcessRequest, Search
from nvsim.loader.process import listing, run
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree, join, parent_of

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KERNEL = ("/proc", "/sys", "/dev")
_STORES = ("/nix/store", "/gnu/store")
_NOT_THERE = {
    "ENOENT": "no such file",
    "ELOOP": "too many levels of symbolic links",
    "ENOTDIR": "not a directory on the way",
    "EACCES": "permission denied",
}
_INTERPRETERS = {
    "x86_64": ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"),
    "i386": ("/lib/ld-linux.so.2", "/lib/ld-musl-i386.so.1"),
    "aarch64": ("/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"),
    "riscv": ("/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-musl-riscv64.so.1"),
    "ppc64": ("/lib64/ld64.so.2", "/lib/ld-musl-powerpc64le.so.1"),
    "s390x": ("/lib/ld64.so.1", "/lib/ld-musl-s390x.so.1"),
    "arm": ("/lib/ld-linux-armhf.so.3", "/lib/ld-musl-armhf.so.1"),
}


@frozen
class Linked:
    """One needed name: who needs it, where it was found and by which rule. `path` None: nowhere (see `search`).

    `again`: an object that was loaded before answers the need. `stage` and `set_by` tell the rule (`nvsim.loader.outcome.Candidate`).
    """

    name: str
    requester: str
    path: str | None
    stage: str = ""
    set_by: str = ""
    again: bool = False
    search: Search | None = None


@frozen
class VersionUse:
    """The versions that the objects of a process need of one library: the highest of each name, who needs that, what is there.

    `found`: the highest version of that name that the library defines (None: it defines none, or was not found).
    """

    library: str
    version: str
    needed_by: str
    found: str | None


@frozen
class Linkage:
    """What one file loads. `kind`: program, library, static (nothing to load), script or other.

    `linked`: every need in the loader's order. `outcome`: of the loader's own listing. `problem`: why there is no answer, or the
    loader's first complaint. `assumptions`: loader facts that were taken for granted.
    """

    path: str
    kind: str
    machine: str
    interpreter: str | None
    linked: tuple[Linked, ...]
    outcome: Outcome
    versions: tuple[VersionUse, ...] = ()
    problem: str = ""
    assumptions: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Linked, ...]:
        """The needs that nothing meets, each name once."""
        return tuple({item.name: item for item in reversed(self.linked) if item.path is None}.values())[::-1]

    @property
    def ok(self) -> bool:
        """Whether everything is found and fits."""
        return not self.problem and not self.missing


def link(
    tree: Tree,
    path: str,
    env: Mapping[str, str] | None = None,
    cpu: Cpu | None = None,
    kernel: str = "6.18",
    *,
    resolver: Resolver | None = None,
) -> Linkage:
    """What `path` (canonical or not) of `tree` loads with the environment `env`.

    Programs are asked through their own loader, libraries through the tree's loader for their machine, as ``ld.so --list FILE``.
    Raises `InputError` when there is no such file.
    """
    resolver = resolver or Resolver(tree)
    at = resolver.resolve(path)
    if not isinstance(at, Resolved):
        raise InputError(f"{path}: {_NOT_THERE.get(at.errno, at.errno)} in {tree.name}")
    if not isinstance(at.node, File):
        what = "a directory" if isinstance(at.node, Directory) else "no regular file"
        raise InputError(f"{path} is {what} in {tree.name}")
    elf = at.node.facts.elf
    if elf is None:
        return _without_elf(tree, path, at.node)
    machine = _machine(cpu or Cpu(), elf, kernel)
    items = tuple((env or {}).items())
    if elf.interp is not None:
        outcome = listing(tree, ProcessRequest(path, (path,), items), machine)
        return _linkage(tree, path, "program", elf, outcome, resolver, elf.interp)
    if elf.nodyn or elf.type not in ("DYN", "EXEC") or (not elf.needed and at.node.facts.loader is not None):
        kind = "static" if elf.type in ("DYN", "EXEC") else "other"
        return Linkage(path, kind, elf.machine, None, (), Outcome("exit", started=True, program=at.path))
    loader = _loader_for(resolver, elf, at.path)
    if loader is None:
        wanted = _INTERPRETERS.get(elf.machine, ("?",))[0]
        return Linkage(
            path,
            "library",
            elf.machine,
            None,
            (),
            Outcome("unknown"),
            problem=f"no loader for {elf.machine}: {wanted} is not there",
        )
    outcome = run(tree, ProcessRequest(loader, (loader, "--list", path), items), machine)
    return _linkage(tree, path, "library", elf, outcome, resolver, loader)


def _without_elf(tree: Tree, path: str, node: File) -> Linkage:
    text = node.facts.text
    script = text is not None and text.startswith("#!")
    return Linkage(
        path, "script" if script else "other", "", None, (), Outcome("exit"), problem="" if script else "is no ELF file"
    )


def _machine(cpu: Cpu, elf: ElfFacts, kernel: str) -> Machine:
    """A machine that runs the file: the CPU that was asked for where it can, else a plain one of the file's own machine."""
    if elf.machine in (cpu.machine, "i386" if cpu.machine == "x86_64" else cpu.machine):
        return Machine(cpu, kernel)
    return Machine(Cpu(1, elf.machine, (), elf.machine), kernel)


def _loader_for(resolver: Resolver, elf: ElfFacts, path: str) -> str | None:
    """The loader of the tree for the library at `path`: that of its machine, musl's first where the library needs musl's libc.

    Where none has its usual place it is the one beside the library, else the only one that the stores hold.
    """
    names = list(_INTERPRETERS.get(elf.machine, ()))
    if any(n.startswith("libc.musl") for n in elf.needed):
        names.reverse()
    store = elf.runpath or elf.rpath or ""
    for directory in store.split(":"):
        if directory.startswith(("/nix/store/", "/gnu/store/")) and names:
            names.insert(0, f"{directory}/{names[-1].rpartition('/')[2]}")
            names.insert(0, f"{directory}/{_INTERPRETERS[elf.machine][0].rpartition('/')[2]}")
    names += [f"{parent_of(path)}/{name.rpartition('/')[2]}" for name in names]
    found = next((n for n in names if isinstance(resolver.resolve(n), Resolved)), None)
    if found is not None:
        return found
    files = dict.fromkeys(name.rpartition("/")[2] for name in names)
    stored = {p for store in _STORES for file in files for p in glob(resolver, f"{store}/*/lib/{file}")}
    return stored.pop() if len(stored) == 1 else None


def _linkage(
    tree: Tree, path: str, kind: str, elf: ElfFacts, outcome: Outcome, resolver: Resolver, interpreter: str
) -> Linkage:
    linked = tuple(_linked(outcome, path))
    versions = tuple(_versions(resolver, path, linked))
    out = Linkage(
        path, kind, elf.machine, interpreter, linked, outcome, versions, _problem(outcome), outcome.assumptions
    )
    return (
        out
        if kind == "program"
        else evolve(out, linked=tuple(i for i in linked if i.search is None or i.search.because != "program"))
    )


def _linked(outcome: Outcome, path: str) -> Iterator[Linked]:
    """The needs in the loader's order; what it lists without a search (its own name, musl's libc) comes last."""
    paths = set()
    for search in outcome.searches:
        hit = next((c for c in reversed(search.candidates) if c.result == "hit"), None)
        found = search.path if search.result in ("loaded", "already") else None
        paths.add(found)
        stage, by = (hit.stage, hit.set_by) if hit else ("already", search.note or "an object that is loaded already")
        yield Linked(search.name, search.requester or path, found, stage, by, search.result == "already", search)
    known = {s.name for s in outcome.searches}
    for name, where in outcome.trace_objects:
        if name not in known and where not in paths:
            interpreter = where is not None and name == where
            yield Linked(
                name,
                path,
                where,
                "interpreter" if interpreter else "built-in",
                "PT_INTERP" if interpreter else "the loader itself",
            )


def _problem(outcome: Outcome) -> str:
    if outcome.outcome == "unknown":
        return outcome.unknown or "not known"
    if outcome.outcome == "exec-error":
        last = outcome.steps[-1]
        return f"cannot be executed: {outcome.errno} at {last.path} ({last.because})"
    if outcome.outcome == "signal":
        return outcome.unknown or "is killed"
    text = outcome.trace_stderr or outcome.stderr
    lines = [line for line in text.splitlines() if "not found (required by" in line or "error" in line.lower()]
    if lines:
        return lines[0]
    if outcome.trace_rc not in (0, None) and text:
        return text.splitlines()[0]
    return ""


def _versions(resolver: Resolver, path: str, linked: tuple[Linked, ...]) -> Iterator[VersionUse]:
    """For each library and version name (GLIBC, GLIBCXX, ...) the highest need, beside the highest that the library defines."""
    providers: dict[str, str] = {}
    for item in linked:
        if item.path is not None:
            providers.setdefault(item.name, item.path)
            providers.setdefault(item.path.rpartition("/")[2], item.path)
    highest: dict[tuple[str, str], tuple[str, str]] = {}
    for file in dict.fromkeys([path, *(i.path for i in linked if i.path is not None)]):
        elf = _elf(resolver, file)
        for need in elf.verneed if elf is not None else ():
            for version in need.versions:
                key = (need.file, _family(version))
                if key not in highest or _order(version) > _order(highest[key][0]):
                    highest[key] = (version, file)
    for (library, family), (version, who) in sorted(highest.items()):
        provider = _elf(resolver, providers[library]) if library in providers else None
        defined = [v for v in provider.verdef if _family(v) == family] if provider is not None else []
        yield VersionUse(library, version, who, max(defined, key=_order, default=None))


def _elf(resolver: Resolver, path: str) -> ElfFacts | None:
    at = resolver.resolve(path)
    return at.node.facts.elf if isinstance(at, Resolved) and isinstance(at.node, File) else None


@lru_cache(4096)
def _family(version: str) -> str:
    return version.partition("_")[0] if any(c.isdigit() for c in version) else version


@lru_cache(4096)
def _order(version: str) -> tuple[int, ...]:
    digits = version.partition("_")[2].split(".")
    return tuple(int(d) for d in digits if d.isdigit())


def find_program(tree: Tree, name: str, path: str | None = None) -> str:
    """A program by path, or by name: looked up in PATH, then in library directories and stores. Raises `InputError` with near names."""
    if "/" in name:
        at = Resolver(tree).resolve(name)
        if isinstance(at, Resolved):
            return name
        if at.errno != "ENOENT":
            raise InputError(f"{name}: {_NOT_THERE.get(at.errno, at.errno)} in {tree.name}")
        near = tree.names(parent_of(name)) if name.startswith("/") else ()
        hint = did_you_mean(name.rpartition("/")[2], near) if near else None
        raise InputError(f"no file {name} in {tree.name}", hint=hint if hint and hint.startswith("did") else None)
    resolver = Resolver(tree)
    directories = [
        *(path or _PATH).split(":"),
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/lib64",
        "/lib",
    ]
    for directory in directories:
        at = resolver.resolve(f"{directory}/{name}")
        if isinstance(at, Resolved) and isinstance(at.node, File):
            return f"{directory}/{name}"
    in_store = next((p for store in _STORES for p in glob(resolver, f"{store}/*/bin/{name}")), None)
    if in_store is not None:
        return in_store
    known = {n for d in directories for n in _names(tree, resolver, d)}
    hint = did_you_mean(name, known) if known else "the tree has none of the directories of PATH"
    raise InputError(
        f"no program or library {name!r} in {tree.name}", hint=hint if "known:" not in hint else "give its path"
    )


def _names(tree: Tree, resolver: Resolver, directory: str) -> tuple[str, ...]:
    at = resolver.resolve(directory)
    return tree.names(at.path) if isinstance(at, Resolved) else ()


def binaries(
    tree: Tree, top: str = "/", pseudo: Container[str] = (), left_out: Callable[[str], None] | None = None
) -> Iterator[tuple[str, File]]:
    """Every dynamic program and library of a tree, each file once, in path order; /proc, /sys, /dev and `pseudo` are not entered.

    `left_out` is told each such directory that holds something, and what cannot be read or went away during the walk (else that is an
    `InputError`).
    """
    seen: set[tuple[str, str | int]] = set()
    for path, node in walk_files(tree, top, pseudo, left_out):
        if node.inode in seen or node.size < 52 or not _may_be_elf(path, node):
            continue
        seen.add(node.inode)
        try:
            elf = node.facts.elf
        except InputError:
            if left_out is None:
                raise
            left_out(path)
            continue
        if elf is not None and elf.type in ("DYN", "EXEC") and not elf.nodyn and (elf.needed or elf.interp):
            yield path, node


def walk_files(
    tree: Tree, top: str = "/", pseudo: Container[str] = (), left_out: Callable[[str], None] | None = None
) -> Iterator[tuple[str, File]]:
    """Every regular file, parents first, names sorted; what the kernel makes is not entered. `pseudo`, `left_out`: see `binaries`."""
    stack = [top]
    while stack:
        path = stack.pop()
        try:
            node = tree.node(path)
            entered = isinstance(node, Directory) and path not in _KERNEL and path not in pseudo
            names = tree.names(path) if entered or (left_out is not None and isinstance(node, Directory)) else ()
        except InputError:
            if left_out is None:
                raise
            left_out(path)
            continue
        if isinstance(node, File):
            yield path, node
        elif entered:
            stack.extend(join(path, name) for name in reversed(names))
        elif names and left_out is not None:
            left_out(path)


def _may_be_elf(path: str, node: File) -> bool:
    """Executable, or named like a library: what is neither is no program, and its content need not be read."""
    return bool(node.mode & 0o111) or ".so" in path.rpartition("/")[2]
