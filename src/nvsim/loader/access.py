"""What a user may do with a file, and on which mount it lies: the permission checks shared by execve and the loaders.

Linux ``fs/namei.c`` (generic_permission) and mount options; user 0 holds CAP_DAC_OVERRIDE, as root in a container does by default.
"""

from __future__ import annotations

from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import Editor, RootFS
from nvsim.rootfs.tree import Tree

_NO_FLAGS: frozenset[str] = frozenset()


def may_read(node: File, uid: int, gid: int) -> bool:
    """Whether open(2) for reading is allowed."""
    return uid == 0 or bool(_bits(node, uid, gid) & 4)


def may_execute(node: File, uid: int, gid: int) -> bool:
    """Whether execve(2) is allowed: root needs at least one execute bit of any class."""
    if uid == 0:
        return bool(node.mode & 0o111)
    return bool(_bits(node, uid, gid) & 1)


def _bits(node: File, uid: int, gid: int) -> int:
    if node.uid == uid:
        return node.mode >> 6 & 7
    if node.gid == gid:
        return node.mode >> 3 & 7
    return node.mode & 7


def mount_flags(tree: Tree, path: str) -> frozenset[str]:
    """The flags ("ro", "nosuid", "noexec") of the mount that a canonical path lies on; none for a tree without mounts."""
    if isinstance(tree, RootFS | Editor):
        mount = tree.mount_at(path)
        if mount is not None:
            return mount.flags
    return _NO_FLAGS
