"""ldconfig: the links that it makes and removes, the cache that it writes, and what it says (glibc ``elf/ldconfig.c``, ``readlib.c``, ``readelflib.c``).

The order and the bytes of the cache are `nvsim.ldcache`; the configuration file is `nvsim.loader.ldsoconf`.
"""

from __future__ import annotations

from zlib import crc32

from attrs import evolve, frozen

from nvsim.elf.facts import ElfFacts, LdconfigFacts
from nvsim.ldcache import HWCAPS_EXTENSION, CacheEntry, LdCache, libcmp, sort_entries, write_cache
from nvsim.loader.ldsoconf import read_conf
from nvsim.loader.versions import libc_version
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Symlink
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver
from nvsim.rootfs.tree import Tree, join

_MACHINE_NUMBERS = {"i386": 3, "ppc64": 21, "s390": 22, "arm": 40, "x86_64": 62, "aarch64": 183, "riscv": 243}
_ERRNO_TEXT = {
    "ENOENT": "No such file or directory",
    "ENOTDIR": "Not a directory",
    "EACCES": "Permission denied",
    "ELOOP": "Too many levels of symbolic links",
    "ENAMETOOLONG": "File name too long",
}


@frozen(slots=True)
class Rules:
    """What differs between versions of ldconfig.

    `legacy_bits`: names of legacy hwcaps subdirectories and their bits ({} = not scanned). `glibc_hwcaps`: those are scanned.
    `i386_type`: i386 files that do not need libc.so.6 or libm.so.6 get type 1. `osversion`: ABI notes are stored and sorted by.
    `skips_package_files`: names of half-installed packages are skipped. `hwcap_warning`, `type_suffix`: see `read_conf`.
    """

    legacy_bits: dict[str, int]
    glibc_hwcaps: bool
    i386_type: bool
    osversion: bool
    skips_package_files: bool
    hwcap_warning: bool
    type_suffix: bool


_BITS_226 = {"sse2": 0, "avx512_1": 1, "i586": 48, "i686": 49, "haswell": 50, "xeon_phi": 51, "tls": 63}
_BITS = {"sse2": 0, "x86_64": 1, "avx512_1": 2, "i586": 48, "i686": 49, "haswell": 50, "xeon_phi": 51, "tls": 63}


def rules_of(version: str) -> Rules:
    """The rules of an ldconfig version ("2.36")."""
    v = libc_version(version)
    return Rules(
        legacy_bits={} if v >= (2, 37) else _BITS if v >= (2, 27) else _BITS_226,
        glibc_hwcaps=v >= (2, 33),
        i386_type=v < (2, 37),
        osversion=v < (2, 36),
        skips_package_files=v >= (2, 39),
        hwcap_warning=v >= (2, 33),
        type_suffix=v < (2, 37),
    )


@frozen(slots=True)
class LdconfigRun:
    """What a run did.

    `cache`: as written (None: none was). `links`: (canonical path, target) made or changed; `removed`: stale links. `stderr` with every line as
    printed; `rc` the exit status. `rootfs`: the root afterwards. `sources`: canonical directory -> who named it, in scan order.
    """

    cache: LdCache | None
    links: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    stderr: str
    rc: int
    rootfs: RootFS
    sources: tuple[tuple[str, str], ...] = ()


@frozen(slots=True)
class _Options:
    conf: str = "/etc/ld.so.conf"
    cache: str = "/etc/ld.so.cache"
    root: str = ""
    links: bool = True
    build: bool = True
    only_given: bool = False
    verbose: bool = False
    dirs: tuple[str, ...] = ()


@frozen(slots=True)
class _Scan:
    """One directory to scan: `path` as named, `canonical`, and for glibc-hwcaps subdirectories their name."""

    path: str
    canonical: str
    hwcaps: str | None = None


@frozen(slots=True)
class _Dso:
    """The winner for a soname in a directory."""

    name: str
    soname: str
    flags: int
    is_link: bool
    osversion: int
    isa: int


class _Job:
    """A run in progress."""

    def __init__(self, tree: Tree, facts: LdconfigFacts, options: _Options, origin: Origin, program: str):
        self.editor = (tree if isinstance(tree, RootFS) else RootFS(tree)).edit()
        self.resolver = Resolver(self.editor)
        self.facts = facts
        self.rules = rules_of(facts.version)
        self.options = options
        self.origin = origin
        self.program = program
        self.machine = "aarch64" if any("aarch64" in d for d in facts.system_dirs) else "x86_64"
        self.entries: list[CacheEntry] = []
        self.links: list[tuple[str, str]] = []
        self.removed: list[str] = []
        self.stderr: list[str] = []

    def say(self, text: str) -> None:
        self.stderr.append(f"{self.program}: {text}\n")


def run_ldconfig(
    tree: Tree,
    facts: LdconfigFacts,
    argv: tuple[str, ...] = (),
    *,
    origin: Origin | None = None,
    program: str = "ldconfig",
    readonly: bool = False,
) -> LdconfigRun:
    """Run ldconfig in `tree` (its root is "/"). `argv` are the arguments after the program's name.

    `origin` is given to what it creates, `program` begins its messages, `readonly`: the root cannot be written.
    """
    options = _parse(argv)
    job = _Job(tree, facts, options, origin or Origin("hook", "ldconfig"), program)
    scans, sources = _directories(job)
    pending = list(scans)
    seen = {s.canonical for s in scans}
    while pending:
        scan = pending.pop(0)
        extra, legacy = _scan(job, scan, seen, readonly)
        pending = extra + pending + legacy
    stderr = "".join(job.stderr)
    links, removed = tuple(sorted(job.links)), tuple(sorted(job.removed))
    if not options.build:
        return LdconfigRun(None, links, removed, stderr, 0, job.editor.freeze(), sources)
    hwcaps = sorted({e.hwcaps_dir for e in job.entries if e.hwcaps_dir is not None}, key=str.encode)
    entries = [
        e if e.hwcaps_dir is None else evolve(e, hwcap=e.hwcap | hwcaps.index(e.hwcaps_dir)) for e in job.entries
    ]
    ordered = sort_entries(entries, legacy_hwcaps=bool(job.rules.legacy_bits), by_osversion=job.rules.osversion)
    generator = f"ldconfig (GNU libc) stable release version {facts.version}" if job.rules.glibc_hwcaps else None
    cache = LdCache(tuple(ordered), generator)
    rc = _save(job, cache, readonly)
    return LdconfigRun(
        cache if rc == 0 else None, links, removed, "".join(job.stderr), rc, job.editor.freeze(), sources
    )


def _parse(argv: tuple[str, ...]) -> _Options:
    values: dict[str, str] = {}
    flags = ""
    dirs = []
    items = list(argv)
    while items:
        item = items.pop(0)
        if item[:2] in ("-f", "-C", "-r", "-c") and not item.startswith("--"):
            values[item[1]] = item[2:] or (items.pop(0) if items else "")
        elif item.startswith("-") and not item.startswith("--") and len(item) > 1:
            flags += item[1:]
        elif not item.startswith("--"):
            dirs.append(item)
    return _Options(
        values.get("f", "/etc/ld.so.conf"),
        values.get("C", "/etc/ld.so.cache"),
        values.get("r", ""),
        "X" not in flags,
        "N" not in flags and "n" not in flags,
        "n" in flags,
        "v" in flags,
        tuple(dirs),
    )


def _real(job: _Job, path: str) -> str:
    """`path` below ``-r ROOT``."""
    return job.options.root.rstrip("/") + path if job.options.root not in ("", "/") else path


def _directories(job: _Job) -> tuple[list[_Scan], tuple[tuple[str, str], ...]]:
    """Command line, configuration, built-in directories; each directory once, under its first name."""
    named = [(d, "command line") for d in job.options.dirs]
    if not job.options.only_given:
        conf = read_conf(
            job.resolver,
            _real(job, job.options.conf),
            hwcap_warning=job.rules.hwcap_warning,
            type_suffix=job.rules.type_suffix,
            missing_warning=not any("-linux-gnu" in d for d in job.facts.system_dirs),  # Debian leaves it out
        )
        for warning in conf.warnings:
            job.say(warning)
        named += [(line.path, line.source) for line in conf.lines]
        named += [(d, f"built into ldconfig {job.facts.version}") for d in job.facts.system_dirs]
    scans: dict[str, _Scan] = {}
    sources: dict[str, str] = {}
    for path, source in named:
        path = path.rstrip("/") or "/"
        if not path.startswith("/"):
            job.say(f"relative path `{path}' used to build cache")
            continue
        found = job.resolver.resolve(_real(job, path))
        if isinstance(found, Resolved) and isinstance(found.node, Directory) and found.path not in scans:
            scans[found.path] = _Scan(path, found.path)
            sources[found.path] = source
    return list(scans.values()), tuple(sources.items())


def _looks_like_dso(name: str, rules: Rules) -> bool:
    if not ((name.startswith(("lib", "ld-")) and ".so" in name) or name.startswith(("ld.so.", "ld64.so."))):
        return False
    if ".#prelink#" in name[-20:] or (".#prelink#." in name):
        return False
    return not (rules.skips_package_files and (";" in name or name.endswith((".dpkg-new", ".dpkg-tmp"))))


def _scan(job: _Job, scan: _Scan, seen: set[str], readonly: bool) -> tuple[list[_Scan], list[_Scan]]:
    """Scan one directory: subdirectories that come right after it, and those that come at the end (legacy hwcaps)."""
    winners: dict[str, _Dso] = {}
    legacy: list[_Scan] = []
    for name in job.editor.names(scan.canonical):
        path = f"{scan.path.rstrip('/')}/{name}"
        canonical = join(scan.canonical, name)
        node = job.editor.node(canonical)
        is_link = isinstance(node, Symlink)
        plausible = _looks_like_dso(name, job.rules)
        subdirectory = scan.hwcaps is None and name in job.rules.legacy_bits
        if not plausible and not subdirectory:
            continue
        if is_link:
            target = job.resolver.resolve(canonical)
            if isinstance(target, PathError):
                if job.options.links and ".so." in name and not readonly:
                    job.editor.remove(canonical)
                    job.removed.append(canonical)
                continue
            node = target.node
            where = target.path
        else:
            where = canonical
        if isinstance(node, Directory):
            if subdirectory and where not in seen:
                seen.add(where)
                legacy.append(_Scan(path, where))
            continue
        if not isinstance(node, File) or not plausible:
            continue
        read = _read_file(job, path, node)
        if read is not None:
            _consider(job, winners, name, read, is_link, scan, path)
    _enter(job, scan, winners, readonly)
    return _hwcaps_subdirectories(job, scan, seen), legacy


def _consider(
    job: _Job,
    winners: dict[str, _Dso],
    name: str,
    read: tuple[str | None, int, int, int],
    is_link: bool,
    scan: _Scan,
    path: str,
) -> None:
    """Let the file compete for its soname."""
    soname, flags, osversion, isa = read
    soname = soname or name
    if is_link and name != soname and not (name.endswith(".so") and soname.startswith(name)):
        is_link = False
    if is_link:
        soname = name
    new = _Dso(name, soname, flags, is_link, osversion, isa)
    old = winners.get(soname)
    if old is None:
        winners[soname] = new
        return
    if (not is_link and old.is_link) or (is_link == old.is_link and libcmp(old.name, name) < 0):
        if old.flags != flags:
            if old.flags & 0xFF == 1 and flags & 0xFF != 1:
                old = _Dso(old.name, soname, flags, old.is_link, osversion, isa)
            elif flags & 0xFF != 1:
                job.say(
                    f"libraries {old.name} and {name} in directory {scan.path} have same soname but different type."
                )
        winners[soname] = _Dso(name, soname, old.flags, is_link, osversion, isa)


def _read_file(job: _Job, path: str, node: File) -> tuple[str | None, int, int, int] | None:
    """Soname, flags, ABI note value and ISA bits of a usable shared object; None (with a message where there is one) otherwise."""
    facts = node.facts
    elf = facts.elf
    size = node.size if elf is None or elf.truncate is None else elf.truncate
    if size == 0:
        job.say(f"File {path} is empty, not checked.")
        return None
    if size < 64:
        start = (facts.text or "").encode("utf-8", "surrogateescape") or facts.head or b""
        if elf is not None or start[: min(size, 4)] == b"\x7fELF"[:size]:
            job.say(f"File {path} is too small, not checked.")
        return None
    if elf is None:
        head = facts.text if facts.text is not None else (facts.head or b"").decode("latin-1")
        if "GROUP" not in head[:512] and "GNU ld script" not in head[:512]:
            job.say(f"{path} is not an ELF file - it has the wrong magic bytes at the start.\n")
        return None
    if elf.type != "DYN":
        return None
    kind = _flags(job, elf)
    if kind is None:
        number = _MACHINE_NUMBERS.get(elf.machine, elf.extra.get("e_machine", 0))
        job.say(f"{path} is for unknown machine {number}.\n")
        return None
    if elf.truncate is not None or elf.malformed is not None:
        job.say(f"file {path} is truncated\n")
        return None
    if elf.nodyn:
        return None
    return elf.soname, kind, _abi_value(elf.abi_tag) if job.rules.osversion else 0, elf.isa_needed


def _flags(job: _Job, elf: ElfFacts) -> int | None:
    if job.machine == "aarch64":
        return 0x0A03 if elf.machine == "aarch64" else None
    if elf.machine == "x86_64":
        return 0x0303 if elf.elf_class == 64 else 0x0803
    if elf.machine == "i386":
        needs_libc = any(n in ("libc.so.6", "libm.so.6") for n in elf.needed)
        return 0x0003 if needs_libc or not job.rules.i386_type else 0x0001
    return None


def _abi_value(tag: str | None) -> int:
    """os<<24 | a<<16 | b<<8 | c of an ABI note such as "Linux 3.2.0"."""
    if not tag:
        return 0
    system, _, version = tag.partition(" ")
    numbers = [int(p) for p in version.split(".") if p.isdigit()][:3]
    numbers += [0] * (3 - len(numbers))
    os_number = {"Linux": 0, "Hurd": 1, "Solaris": 2, "FreeBSD": 3}.get(system, 0)
    return os_number << 24 | (numbers[0] & 0xFF) << 16 | (numbers[1] & 0xFF) << 8 | numbers[2] & 0xFF


def _hwcap_value(job: _Job, path: str) -> int:
    """The legacy hwcap mask of a directory: the bits of its trailing components (``path_hwcap``)."""
    value = 0
    for part in reversed(path.split("/")):
        if part not in job.rules.legacy_bits:
            break
        value |= 1 << job.rules.legacy_bits[part]
    return value


def _enter(job: _Job, scan: _Scan, winners: dict[str, _Dso], readonly: bool) -> None:
    """Make the links of a directory and add its entries to the cache."""
    directory = scan.path.rstrip("/")
    for dso in winners.values():
        file = dso.soname
        hwcap = _hwcap_value(job, scan.path)
        if scan.hwcaps is not None:
            file, hwcap = dso.name, HWCAPS_EXTENSION
        elif not dso.is_link and job.options.links:
            _link(job, scan, dso, readonly)
        job.entries.append(CacheEntry(dso.soname, f"{directory}/{file}", dso.flags, hwcap, scan.hwcaps, dso.osversion))


def _link(job: _Job, scan: _Scan, dso: _Dso, readonly: bool) -> None:
    """``create_links``: soname -> file, unless it is so already or a regular file stands there."""
    here = join(scan.canonical, dso.soname)
    path = f"{scan.path.rstrip('/')}/{dso.soname}"
    there = job.editor.node(here)
    leads = job.resolver.resolve(here)
    target = job.resolver.resolve(join(scan.canonical, dso.name))
    if isinstance(leads, Resolved):
        same = isinstance(target, Resolved) and (
            leads.path == target.path
            or (
                isinstance(leads.node, File) and isinstance(target.node, File) and leads.node.inode == target.node.inode
            )
        )
        if same:
            return
        if not isinstance(there, Symlink):
            job.say(f"{path} is not a symbolic link\n")
            return
    elif there is not None and not isinstance(there, Symlink):
        return
    if readonly:
        job.say(f"Can't link {path} to {dso.name}")
        return
    job.editor.put(here, Symlink(dso.name, origin=job.origin))
    job.links.append((here, dso.name))


def _hwcaps_subdirectories(job: _Job, scan: _Scan, seen: set[str]) -> list[_Scan]:
    if not job.rules.glibc_hwcaps or scan.hwcaps is not None:
        return []
    top = job.resolver.resolve(join(scan.canonical, "glibc-hwcaps"))
    if not isinstance(top, Resolved) or not isinstance(top.node, Directory):
        return []
    out = []
    for name in job.editor.names(top.path):
        found = job.resolver.resolve(join(top.path, name))
        if isinstance(found, Resolved) and isinstance(found.node, Directory) and found.path not in seen:
            seen.add(found.path)
            out.append(_Scan(f"{scan.path.rstrip('/')}/glibc-hwcaps/{name}", found.path, name))
    return out


def _save(job: _Job, cache: LdCache, readonly: bool) -> int:
    """Write the cache beside its place and rename it. The exit status."""
    path = _real(job, job.options.cache)
    name = job.options.cache
    head, _, base = path.rpartition("/")
    parent = job.resolver.resolve(head or "/")
    if isinstance(parent, PathError) or not isinstance(parent.node, Directory):
        errno = parent.errno if isinstance(parent, PathError) else "ENOTDIR"
        job.say(f"Can't create temporary cache file {name}~: {_ERRNO_TEXT.get(errno, errno)}")
        return 1
    if readonly:
        job.say(f"Can't create temporary cache file {name}~: Read-only file system")
        return 1
    data = write_cache(cache)
    inode = ("ldconfig", f"{parent.path}/{base}:{crc32(data):08x}")
    file = File(len(data), inode, FileFacts(ldcache=cache), mode=0o644, origin=job.origin)
    at = join(parent.path, base)
    if isinstance(job.editor.node(at), Directory):
        job.editor.put(f"{at}~", file)
        job.say(f"Renaming of {name}~ to {name} failed: Is a directory")
        return 1
    job.editor.put(at, file)
    return 0
