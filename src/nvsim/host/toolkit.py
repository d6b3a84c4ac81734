"""The NVIDIA toolkit's programs on a host, as files: which of them a release has, and where a layout puts them.

Their content is not known; what matters is that they are there (hooks name them by path) and that they can be executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT_DIRECTORY = "/usr/bin"
# program -> the first release that has it (nvidia-container-toolkit and libnvidia-container changelogs)
PROGRAMS: Mapping[str, tuple[int, int]] = {
    "nvidia-container-cli": (1, 0),
    "nvidia-container-runtime": (1, 0),
    "nvidia-container-runtime-hook": (1, 0),
    "nvidia-ctk": (1, 9),
    "nvidia-container-runtime.cdi": (1, 13),
    "nvidia-container-runtime.legacy": (1, 13),
    "nvidia-cdi-hook": (1, 16),
}


def program_entries(toolkit: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The tree entries of the programs of `toolkit` (its ``version`` and ``directory``); none where `present` has some of them."""
    version = toolkit.get("version")
    if not version or any(path.rpartition("/")[2] in PROGRAMS for path in present):
        return {}
    numbers = [int("".join(c for c in part if c.isdigit()) or 0) for part in str(version).split(".")[:2]]
    release = (numbers[0], numbers[1] if len(numbers) > 1 else 0)
    directory = toolkit.get("directory") or DEFAULT_DIRECTORY
    return {
        f"{directory}/{name}": {"type": "file", "size": 4096, "mode": "0755"}
        for name, since in PROGRAMS.items()
        if since <= release
    }
