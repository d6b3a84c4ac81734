"""A root directory with copies of one of the machine's programs and of all that it loads: nobody else touches it while it is read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

LOADER = Path("/lib64/ld-linux-x86-64.so.2")


def copied_root(top: Path, program: str) -> Path:
    """Copies of `program`, its loader, its libraries and the cache below `top`, each at its own path."""
    listed = subprocess.run([LOADER, "--list", program], capture_output=True, text=True, check=True).stdout
    paths = {program, str(LOADER), "/etc/ld.so.cache"}
    paths |= {word for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    for path in paths:
        if Path(path).exists():
            there = top / path.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)
    return top
