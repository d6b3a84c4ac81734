"""The place where scenarios really run: one root directory in a mount namespace of its own, entered by chroot for each run.

Linux only. As root a mount namespace is enough; other users get a user namespace too, in which there is one user (no set-uid runs).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
SECONDS = 5  # a program that runs longer is killed


class JailError(Exception):
    """The kernel does not let this process make a jail; the text says what it refused."""


@frozen(slots=True)
class Ran:
    """What a run left: the errno of execve (then nothing ran), else status (negative: killed by that signal), and what it wrote."""

    errno: int | None
    status: int
    stdout: bytes
    stderr: bytes


class Jail:
    """A root directory on a tmpfs of its own. `users`: programs can run as any user. Made by `entered`; one a process."""

    def __init__(self, place: Path, users: bool):
        self.users = users
        self.roots = {True: place / "proc", False: place / "noproc"}
        self._out, self._err = os.memfd_create("stdout"), os.memfd_create("stderr")
        for root in self.roots.values():
            root.mkdir()
        _mounted_proc(self.roots[True])

    def clean(self, proc: bool) -> Path:
        """The root (with or without /proc), empty."""
        root = self.roots[proc]
        for entry in os.scandir(root):
            if entry.name == "proc" and proc:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        return root

    def run(self, root: Path, path: str, argv: list[str], env: dict[str, str], *, cwd: str = "/", uid: int = 0) -> Ran:
        """Execute `path` inside `root`."""
        for fd in (self._out, self._err):
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        answer, told = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                self._child(root, path, argv, env, cwd, uid)
            except OSError as e:
                os.write(told, str(e.errno).encode())
            finally:
                os._exit(99)
        os.close(told)
        errno = os.read(answer, 16)
        os.close(answer)
        _, status = os.waitpid(pid, 0)
        size = 1 << 20
        return Ran(
            int(errno) if errno else None,
            os.waitstatus_to_exitcode(status),
            os.pread(self._out, size, 0),
            os.pread(self._err, size, 0),
        )

    def _child(self, root: Path, path: str, argv: list[str], env: dict[str, str], cwd: str, uid: int) -> None:
        os.dup2(self._out, 1)
        os.dup2(self._err, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        os.chroot(root)
        os.chdir(cwd)
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.execve(path, argv, env)


@contextlib.contextmanager
def entered() -> Iterator[Jail]:
    """Move this process into namespaces of its own, for good, with a tmpfs for the time of the block. Raises `JailError`.

    What is mounted there is unmounted before anything is removed, so that no clean-up can reach a bind-mounted file system.
    """
    place = Path(tempfile.mkdtemp(prefix="nvsim-fuzz-"))
    try:
        jail = _enter(place)
        try:
            yield jail
        finally:
            ctypes.CDLL(None).umount2(str(place).encode(), MNT_DETACH)
    finally:
        place.rmdir()


def _enter(place: Path) -> Jail:
    if sys.platform != "linux":
        raise JailError("only Linux has the namespaces that this needs")
    libc = ctypes.CDLL(None, use_errno=True)
    users = os.geteuid() == 0
    if not (users and libc.unshare(CLONE_NEWNS) == 0):
        users = False
        uid, gid = os.geteuid(), os.getegid()
        if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
            raise JailError(f"the kernel refuses namespaces: {os.strerror(ctypes.get_errno())}")
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        except OSError as e:
            raise JailError(f"the kernel refuses to map the user: {e}") from None
    _mount(libc, None, "/", None, MS_REC | MS_PRIVATE)
    _mount(libc, "tmpfs", str(place), "tmpfs", 0)
    os.umask(0o022)
    return Jail(place, users)


def _mounted_proc(root: Path) -> None:
    (root / "proc").mkdir()
    _mount(ctypes.CDLL(None, use_errno=True), "/proc", str(root / "proc"), None, MS_BIND | MS_REC)


def _mount(libc: ctypes.CDLL, source: str | None, target: str, kind: str | None, flags: int) -> None:
    text = [None if t is None else t.encode() for t in (source, target, kind)]
    if libc.mount(*text, ctypes.c_ulong(flags), None) != 0:
        raise JailError(f"the kernel refuses to mount {kind or source or target}: {os.strerror(ctypes.get_errno())}")
