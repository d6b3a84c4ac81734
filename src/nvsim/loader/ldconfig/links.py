"""The links that ldconfig makes: soname -> file, for the winners of a directory or for files named with ``-l`` (glibc ``elf/ldconfig.c``)."""

from __future__ import annotations

from nvsim.loader.ldconfig.files import read_library
from nvsim.loader.ldconfig.job import Job
from nvsim.rootfs.node import File, Symlink
from nvsim.rootfs.resolve import PathError, Resolved
from nvsim.rootfs.tree import join


def create_links(job: Job, directory: str, name: str, soname: str) -> None:
    """``create_links``: `soname` -> `name` in `directory` (as named), unless it leads there already or a file stands there."""
    path = f"{directory}/{soname}"
    there = job.resolver.resolve(path)
    lying = job.resolver.resolve(path, follow=False)
    is_link = isinstance(lying, Resolved) and isinstance(lying.node, Symlink)
    make = True
    remove = is_link
    if isinstance(there, Resolved):
        target = job.resolver.resolve(f"{directory}/{name}")
        if isinstance(target, PathError):
            job.say(f"Can't stat {directory}/{name}\n")
            return
        if soname in job.rules.kept_loaders:
            job.say_verbose(f"{directory}/{name} is the dynamic linker, ignoring\n")
            make = False
        if _same(there, target):
            make = False
        elif not is_link:
            job.say(f"{path} is not a symbolic link\n")
            make = False
    job.show(f"\t{soname} -> {name}")
    if not make or not job.options.links:
        job.show("\n")
        return
    done = _replace(job, lying, path, name, remove)
    job.show(" (changed)\n" if done else " (SKIPPED)\n")


def _same(a: Resolved, b: Resolved) -> bool:
    if isinstance(a.node, File) and isinstance(b.node, File):
        return a.node.inode == b.node.inode
    return a.path == b.path


def _replace(job: Job, lying: Resolved | PathError, path: str, name: str, remove: bool) -> bool:
    """Remove the old link and make the new one; whether that could be done."""
    where = lying.path if isinstance(lying, Resolved) else join(lying.parent, lying.rest)
    parent = where.rpartition("/")[0] or "/"
    writable = job.root.refusal(parent) is None
    if remove and (not writable or job.root.mounted(where) is not None):
        job.say(f"Can't unlink {path}")
        return False
    missing = isinstance(lying, PathError) and (lying.errno != "ENOENT" or "/" in lying.rest)
    occupied = isinstance(lying, Resolved) and not remove
    if not writable or missing or occupied:
        job.say(f"Can't link {path} to {name}")
        return False
    job.root.put(where, Symlink(name, origin=job.origin))
    job.links.append((job.root.outside(where), name))
    return True


def manual_link(job: Job, library: str) -> None:
    """``manual_link``: what ``ldconfig -l FILE`` does for one file."""
    directory, slash, name = library.rpartition("/")
    directory = directory or "/" if slash else "."
    found = job.resolver.resolve(library, follow=False)
    if isinstance(found, PathError):
        job.say(f"Cannot lstat {library}", found.errno)
        return
    if not isinstance(found.node, File):
        job.say(f"Ignored file {library} since it is not a regular file.")
        return
    read = read_library(job, library, found.node, is_link=False)
    if read is None:
        job.say(f"No link created since soname could not be found for {library}")
        return
    create_links(job, directory, name, name if read.soname is None else read.soname)
