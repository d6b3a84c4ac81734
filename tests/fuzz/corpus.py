"""Every ELF file of a root against ``ld.so --list``, run in a chroot of that root: ``python -m tests.fuzz corpus ROOT [DIR...]``.

A program is listed by the interpreter that it names, a library by the loader of the root. Compared are the exit status, stderr and the
list, without addresses and without the vdso; what nvsim does not know is counted apart.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from nvsim.loader.native import native_machine
from nvsim.loader.outcome import Machine, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved, Resolver

ENV = (("PATH", "/usr/bin:/bin"),)
DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/local", "/opt")
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1")
_ADDRESS = re.compile(r" \((?:0x)?(?:[0-9a-f]+|\.\.\.)\)$", re.MULTILINE)
_VDSO = re.compile(r"^\tlinux-vdso\.so\.1.*\n", re.MULTILINE)


@frozen(slots=True)
class Listing:
    """What ``--list`` says."""

    status: int
    stdout: str
    stderr: str


def elf_files(tree: DirectoryTree, directories: Sequence[str]) -> Iterator[tuple[str, File]]:
    """Every ELF file below the directories, by canonical path, each file once."""
    resolver = Resolver(tree)
    seen: set[object] = set()
    stack = []
    for directory in directories:
        found = resolver.resolve(directory)
        if isinstance(found, Resolved):
            stack.append(found.path)
    while stack:
        path = stack.pop()
        node = tree.node(path)
        if isinstance(node, Directory):
            stack += [f"{path}/{name}" for name in reversed(tree.names(path))]
        elif isinstance(node, File) and node.inode not in seen and node.facts.elf is not None:
            seen.add(node.inode)
            yield path, node


def real_listing(root: str, loader: str, path: str) -> Listing:
    """Run the loader inside `root`."""
    command = [loader, "--list", path]
    if root != "/":
        command = [shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot", root, *command]
    done = subprocess.run(command, capture_output=True, env=dict(ENV), check=False, timeout=60, cwd="/")
    out, err = (b.decode("utf-8", "surrogateescape") for b in (done.stdout, done.stderr))
    return Listing(done.returncode, _VDSO.sub("", _ADDRESS.sub("", out)), err)


def our_listing(tree: DirectoryTree, loader: str, path: str, machine: Machine) -> Listing | str:
    """nvsim's answer; a string: why it does not know."""
    outcome = run(tree, ProcessRequest(loader, (loader, "--list", path), ENV), machine)
    if outcome.outcome != "exit":
        return outcome.unknown or outcome.errno or outcome.outcome
    stdout = _VDSO.sub("", _ADDRESS.sub("", outcome.stdout))
    return Listing(outcome.exit_code or 0, stdout, outcome.stderr)


@frozen(slots=True)
class Listed:
    """One file, listed by both; `ours` is a string where nvsim does not know, and says why. `seconds` are nvsim's and the loader's."""

    path: str
    loader: str
    ours: Listing | str
    real: Listing
    seconds: tuple[float, float]


def listings(
    root: str, tree: DirectoryTree, directories: Sequence[str], machine: Machine, loader: str | None = None
) -> Iterator[Listed]:
    """Every ELF file below the directories, listed by `loader`, else by the loader that it names, else by the root's own. Files whose
    loader is not there are left out, and so are static programs: glibc's loader crashes on them (measured: 2.36 to 2.43; not 2.31).
    """
    resolver = Resolver(tree)
    default = next((p for p in LOADERS if isinstance(resolver.resolve(p), Resolved)), None)
    for path, node in elf_files(tree, directories):
        elf = node.facts.elf
        assert elf is not None
        by = loader or elf.interp or default
        if by is None or not isinstance(resolver.resolve(by), Resolved) or (elf.type == "EXEC" and elf.nodyn):
            continue
        started = time.perf_counter()
        ours = our_listing(tree, by, path, machine)
        between = time.perf_counter()
        real = real_listing(root, by, path)
        yield Listed(path, by, ours, real, (between - started, time.perf_counter() - between))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz corpus", description=__doc__)
    parser.add_argument("root", help="the root directory; / for this machine (other roots need the right to chroot)")
    parser.add_argument(
        "directories", nargs="*", default=DIRECTORIES, help=f"inside it (default {' '.join(DIRECTORIES)})"
    )
    parser.add_argument(
        "--loader", help="list every file with this loader of the root (default: the one that it names)"
    )
    parser.add_argument("--show", type=int, default=10, help="show at most so many differences")
    options = parser.parse_args(argv)
    root = str(Path(options.root).resolve())
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    ours_s = real_s = 0.0
    for each in listings(root, DirectoryTree(root), options.directories, native_machine(), options.loader):
        ours_s, real_s = ours_s + each.seconds[0], real_s + each.seconds[1]
        if isinstance(each.ours, str):
            unknown[each.ours] += 1
            continue
        counts["agree" if each.ours == each.real else "differ"] += 1
        counts[f"status {each.real.status}"] += 1
        if each.ours != each.real and counts["differ"] <= options.show:
            print(f"{each.path}:\n  real {each.real}\n  ours {each.ours}")
    for why, number in unknown.most_common():
        print(f"unknown {number}: {why}")
    print(", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    print(f"nvsim {ours_s:.1f} s, the loader {real_s:.1f} s")
    return 1 if counts["differ"] else 0
