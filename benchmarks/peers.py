"""The programs that nvsim is compared with, where they are found, and the files that are asked about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nvsim.frozen import frozen

LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")


@frozen
class Peer:
    """A peer: the beginning of its command line (None: it is not here), its version, and the package that brings it."""

    name: str
    argv: tuple[str, ...] | None
    version: str
    package: str


def find_peers() -> dict[str, Peer]:
    """Every peer by name."""
    loader = next((path for path in LOADERS if os.path.exists(path)), None)
    libtree, lddtree = shutil.which("libtree"), shutil.which("lddtree")
    auditwheel = shutil.which("auditwheel")
    python = _python_with_elftools() if lddtree else None
    return {
        "ld.so": Peer("ld.so --list", (loader, "--list") if loader else None, _version(loader), "libc6"),
        "libtree": Peer("libtree", (libtree,) if libtree else None, _version(libtree), "libtree"),
        "lddtree": Peer(
            "lddtree",
            (python, lddtree) if lddtree and python else None,
            _package_version("pax-utils"),
            "pax-utils and python3-pyelftools",
        ),
        "auditwheel": Peer(
            "auditwheel", (auditwheel,) if auditwheel else None, _version(auditwheel), "auditwheel (pip)"
        ),
    }


def _python_with_elftools() -> str | None:
    """A Python that lddtree runs under: the system's own where it has pyelftools, else this one."""
    for python in ("/usr/bin/python3", sys.executable):
        if (
            os.path.exists(python)
            and not subprocess.run([python, "-c", "import elftools"], capture_output=True, check=False).returncode
        ):
            return python
    return None


def _version(program: str | None) -> str:
    if program is None:
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].partition(" installed at ")[0] if lines else ""  # where it lies says nothing of it


def _package_version(name: str) -> str:
    if shutil.which("dpkg-query") is None:
        return ""
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name], capture_output=True, text=True, check=False)
    return done.stdout


def dynamic_files() -> list[str]:
    """Every dynamic program and library of the machine's usual directories, sorted; each file once."""
    seen: set[tuple[int, int]] = set()
    found = []
    for top in ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder, name)
                if path.is_symlink() or not path.is_file():
                    continue
                if top in ("/usr/lib", "/usr/lib64") and ".so" not in name:
                    continue
                st = path.stat()
                if (st.st_dev, st.st_ino) not in seen and _is_dynamic(path):
                    seen.add((st.st_dev, st.st_ino))
                    found.append(str(path))
    return sorted(found)


def _is_dynamic(path: Path) -> bool:
    from nvsim.elf.reader import read_elf
    from nvsim.errors import InputError

    try:
        elf = read_elf(path, symbols=False)
    except InputError:
        return False
    return elf is not None and elf.type in ("DYN", "EXEC") and not elf.nodyn and elf.machine == os.uname().machine


def program_with_many(loader: tuple[str, ...], wanted: int = 60) -> tuple[str, int]:
    """The program of /usr/bin whose closure is nearest to `wanted` libraries, and how many it has."""
    best = ("/bin/true", 1)
    for path in sorted(Path("/usr/bin").iterdir()):
        if path.is_file() and _is_dynamic(path):
            done = subprocess.run([*loader, str(path)], capture_output=True, text=True, check=False)
            count = sum("=>" in line for line in done.stdout.splitlines()) if done.returncode == 0 else 0
            if abs(count - wanted) < abs(best[1] - wanted):
                best = (str(path), count)
    return best
