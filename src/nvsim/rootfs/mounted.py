"""File systems of the running machine that hold no files of an image: what the kernel makes up below a directory that is a live root."""

from __future__ import annotations

import os
import re

# of these nothing is ever a program: what they show are processes, devices, counters and settings
PSEUDO = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "pipefs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "smackfs",
        "sysfs",
        "tracefs",
    ]
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def pseudo_mounts(top: str | os.PathLike[str], mountinfo: str = "/proc/self/mountinfo") -> dict[str, str]:
    """The mount points below the directory `top` whose file system is of `PSEUDO`: path in the tree -> type. Of a path that is mounted
    on more than once the last one counts (``proc(5)``, mountinfo). Without that file there are none."""
    real = os.path.realpath(top).rstrip("/")
    found: dict[str, str] = {}
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.split(" ", 1)[0]
        if len(words) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), words[4])
        if point != real and point.startswith(f"{real}/"):
            path = point[len(real) :]
            found.pop(path, None)
            if kind in PSEUDO:
                found[path] = kind
    return found
