"""Which directories ldconfig scans, in which order, and what it takes from each (glibc ``elf/ldconfig.c``, ``add_dir_1``, ``search_dir``).

The order in which a directory gives its names is the file system's and not known here: names are taken sorted. It shows in the order of
messages, and in the type of a soname that files of two architectures share in one directory.
"""

from __future__ import annotations

import re

from nvsim.frozen import define, evolve, frozen
from nvsim.ldcache import HWCAPS_EXTENSION, CacheEntry, libcmp
from nvsim.loader.ldconfig.conf import ConfLine, HwcapLine, read_conf
from nvsim.loader.ldconfig.files import TYPE_ELF, TYPE_LIBC6, Library, read_library
from nvsim.loader.ldconfig.job import Job
from nvsim.loader.ldconfig.links import create_links
from nvsim.loader.ldconfig.rules import builtin_dirs
from nvsim.rootfs.node import Directory, File, Symlink
from nvsim.rootfs.resolve import PathError, Resolved
from nvsim.rootfs.tree import join

_TYPE_LIBC5 = 0x0002
_PRELINK = re.compile(r"\.#prelink#(\..{6})?\Z", re.DOTALL)


@define
class Scan:
    """One directory to scan: `path` as named, `canonical`, who named it, the glibc-hwcaps subdirectory that it is, the type that
    the configuration gives it."""

    path: str
    canonical: str
    file: str
    line: int
    hwcaps: str | None = None
    type: int | None = None


@frozen
class Winner:
    """The file that stands for a soname in a directory."""

    name: str
    soname: str
    flags: int
    is_link: bool
    osversion: int
    isa: int


class Scans:
    """The directories in scan order, each once (told apart by their canonical paths)."""

    def __init__(self) -> None:
        self.list: list[Scan] = []
        self._by_path: dict[str, Scan] = {}

    def add(self, job: Job, scan: Scan, told: bool = False) -> bool:
        """Add a directory unless it is there already; then its type is the newer one. `told`: with ``-v`` that is said."""
        known = self._by_path.get(scan.canonical)
        if known is None:
            self._by_path[scan.canonical] = scan
            self.list.append(scan)
            return True
        if told and job.options.verbose:
            job.say(f"Path `{scan.path}' given more than once")
            if job.rules.sources_shown:
                job.stderr.append(f"(from {scan.file}:{scan.line} and {known.file}:{known.line})\n")
        known.type = scan.type
        return False


def add_directory(job: Job, scans: Scans, line: ConfLine) -> None:
    """``add_dir_1``: one directory, followed by its glibc-hwcaps subdirectories."""
    found = job.resolver.resolve(line.path)
    if isinstance(found, PathError):
        job.say_verbose(f"Can't stat {line.path}", found.errno)
        return
    scan = Scan(line.path, found.path, line.file, line.line, type=line.type)
    if not scans.add(job, scan, told=True) or not job.rules.glibc_hwcaps:
        return
    top = job.resolver.resolve(join(found.path, "glibc-hwcaps"))
    if not isinstance(top, Resolved) or not isinstance(top.node, Directory):
        return
    for name in job.root.names(top.path):
        if name.startswith(".") or ":" in name:
            continue
        below = job.resolver.resolve(join(top.path, name))
        if isinstance(below, Resolved) and isinstance(below.node, Directory):
            job.hwcap_subdirectories.add(name)
            path = f"{scan.path}/glibc-hwcaps/{name}"
            scans.add(job, _subdirectory(scan, path, below.path, name))


def _subdirectory(scan: Scan, path: str, canonical: str, hwcaps: str | None = None) -> Scan:
    """A subdirectory of `scan`: named by the same line, of the same type."""
    return evolve(scan, path=path, canonical=canonical, hwcaps=hwcaps)


def collect(job: Job, named: tuple[ConfLine, ...], conf: str | None) -> Scans:
    """The command line's directories, then those of the configuration file `conf` (None = not read) and the built-in ones.

    Raises `FatalError` when a line of the configuration ends the program.
    """
    scans = Scans()
    for line in named:
        add_directory(job, scans, line)
    if conf is None:
        return scans
    rules = job.rules
    for item in read_conf(job.resolver, conf, type_suffix=rules.type_suffix, missing_warning=rules.missing_conf):
        if isinstance(item, ConfLine):
            add_directory(job, scans, item)
        elif isinstance(item, HwcapLine):
            _hwcap_line(job, item)
        else:
            job.say(item.text, item.errno)
    for directory in builtin_dirs(job.facts):
        add_directory(job, scans, ConfLine(directory, "<builtin>", 0))
    return scans


def _hwcap_line(job: Job, line: HwcapLine) -> None:
    """A line ``hwcap N NAME``: up to 2.31 NAME becomes a legacy hwcaps name, later it is ignored with a warning."""
    if not job.rules.hwcap_lines:
        job.say(f"{line.file}:{line.line}: hwcap directive ignored")
        return
    fits = re.fullmatch(r"\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)[ \t]+(\S+)[ \t]*", line.text)
    if fits is None:
        raise job.die(f"{line.file}:{line.line}: bad syntax in hwcap line")
    number = int(re.sub("^0(?=[0-7])", "0o", fits[1]), 0)
    highest = 63 - job.rules.extra_bit
    if number > highest:
        raise job.die(f"{line.file}:{line.line}: hwcap index {number} above maximum {highest}")
    names = {bit: name for name, bit in job.hwcap_names.items()} | {63: "tls"}
    bit = job.rules.extra_bit + number
    taken = next((b for b, name in names.items() if name == fits[2] and b != bit), None)
    if taken is not None or names.get(bit, fits[2]) != fits[2]:
        index = number if taken is None else taken - job.rules.extra_bit
        name = names[bit] if taken is None else fits[2]
        raise job.die(f"{line.file}:{line.line}: hwcap index {index} already defined as {name}")
    if fits[2] in job.hwcap_names:
        job.say_verbose(f"{line.file}:{line.line}: duplicate hwcap {number} {fits[2]}")
    job.hwcap_names[fits[2]] = bit


def scan_all(job: Job, scans: Scans) -> None:
    """Scan every directory; legacy hwcaps subdirectories that are met come at the end."""
    at = 0
    while at < len(scans.list):
        _scan(job, scans, scans.list[at])
        at += 1


def _scan(job: Job, scans: Scans, scan: Scan) -> None:
    hwcap = _hwcap_value(job, scan.path) if scan.hwcaps is None else 0
    source = f" (from {scan.file}:{scan.line})" if job.rules.sources_shown else ""
    shown = f' (hwcap: "{scan.hwcaps}")' if scan.hwcaps is not None else f" (hwcap: {hwcap:#018x})" if hwcap else ""
    job.show(f"{scan.path}:{shown}{source}\n")
    if not isinstance(job.root.node(scan.canonical), Directory):
        job.say_verbose(f"Can't open directory {scan.path}", "ENOTDIR")
        return
    winners: dict[str, Winner] = {}
    for name in job.root.names(scan.canonical):
        _consider_name(job, scans, scan, name, winners)
    for winner in reversed(winners.values()):
        _enter(job, scan, winner, hwcap)


def _hwcap_value(job: Job, path: str) -> int:
    """The legacy hwcap mask of a directory: the bits of its trailing components (``path_hwcap``)."""
    value = 0
    for part in reversed(path.split("/")):
        bit = job.hwcap_bit(part)
        if bit is None:
            break
        value += 1 << bit
    return value & 0xFFFFFFFFFFFFFFFF


def looks_like_library(job: Job, name: str) -> bool:
    """``_dl_is_dso``."""
    if name.startswith(("lib", "ld-")) and ".so" in name:
        return True
    return job.rules.loader_names and name.startswith(("ld.so.", "ld64.so."))


def _is_subdirectory(job: Job, name: str) -> bool:
    """``is_hwcap_platform``."""
    return name in job.rules.scanned or name in job.hwcap_names


def _consider_name(job: Job, scans: Scans, scan: Scan, name: str, winners: dict[str, Winner]) -> None:
    """One name of a directory: a library that competes for its soname, a subdirectory for later, a stale link to remove."""
    canonical = join(scan.canonical, name)
    node = job.root.node(canonical)
    is_link = isinstance(node, Symlink)
    if not isinstance(node, File | Symlink | Directory):
        return
    if not looks_like_library(job, name) and (
        isinstance(node, File) or (scan.hwcaps is None and not _is_subdirectory(job, name))
    ):
        return
    if _PRELINK.search(name) or (
        job.rules.package_files and (";" in name or name.endswith((".dpkg-new", ".dpkg-tmp")))
    ):
        return
    path = f"{scan.path}/{name}"
    if is_link:
        target = job.resolver.resolve(canonical)
        if isinstance(target, PathError):
            job.say_verbose(f"Cannot stat {path}", target.errno)
            _remove_stale(job, scan, name, canonical)
            return
        node, where = target.node, target.path
    else:
        where = canonical
    if isinstance(node, Directory):
        if scan.hwcaps is None and _is_subdirectory(job, name):
            scans.add(job, _subdirectory(scan, path, where))
            return
        if not is_link:
            return
    read = read_library(job, path, node, is_link)
    if read is not None:
        _compete(job, scan, name, read, is_link, winners)


def _remove_stale(job: Job, scan: Scan, name: str, canonical: str) -> None:
    wanted = ".so." in name and (job.options.links or job.rules.stale_links_with_x)
    if wanted and job.root.refusal(scan.canonical) is None:
        job.root.remove(canonical)
        job.removed.append(job.root.outside(canonical))


def _compete(job: Job, scan: Scan, name: str, read: Library, is_link: bool, winners: dict[str, Winner]) -> None:
    """Let a file compete for its soname: files before links, then the higher name."""
    soname = name if read.soname is None else read.soname
    if is_link and name != soname and not (name.endswith(".so") and soname.startswith(name)):
        is_link = False
    if is_link:
        soname = name
    flags = read.flags
    if flags == TYPE_ELF and scan.type in (_TYPE_LIBC5, TYPE_LIBC6):
        flags = scan.type
    old = winners.get(soname)
    if old is None:
        winners[soname] = Winner(name, soname, flags, is_link, read.osversion, read.isa)
        return
    if (is_link and not old.is_link) or (is_link == old.is_link and libcmp(old.name, name) >= 0):
        return
    kept = old.flags
    if kept != flags:
        if job.rules.libc_type and {kept, flags} <= {TYPE_ELF, _TYPE_LIBC5, TYPE_LIBC6} and TYPE_ELF in (kept, flags):
            kept = flags
        else:
            job.say(f"libraries {old.name} and {name} in directory {scan.path} have same soname but different type.")
    winners[soname] = Winner(name, soname, kept, is_link, read.osversion, read.isa)


def _enter(job: Job, scan: Scan, winner: Winner, hwcap: int) -> None:
    """Make the link of a winner and add its entry to the cache."""
    if scan.hwcaps is None:
        file = winner.soname
        if not winner.is_link:
            create_links(job, scan.path, winner.name, winner.soname)
    else:
        file = winner.name
        hwcap = HWCAPS_EXTENSION | winner.isa << 32
        job.show(f"\t{winner.soname} -> {winner.name}\n")
    if job.options.build:
        entry = CacheEntry(winner.soname, f"{scan.path}/{file}", winner.flags, hwcap, scan.hwcaps, winner.osversion)
        job.entries.append(entry)
