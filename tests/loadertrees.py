"""Small described trees for tests of the glibc loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.loader.outcome import DlopenCall, Machine, Outcome, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.treefile import tree_from_json

LD = "/lib64/ld-linux-x86-64.so.2"
DEBIAN = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]


def loader(version: str = "2.36", **facts: Any) -> dict[str, Any]:
    """The entry of a loader with Debian's directories."""
    built_in = {
        "libc": "glibc",
        "version": version,
        "system_dirs": DEBIAN,
        "lib_token": "lib/x86_64-linux-gnu",
        **facts,
    }
    return {"type": "file", "size": 200000, "elf": {"soname": "ld-linux-x86-64.so.2"}, "loader": built_in}


def elf(*needed: str, size: int = 9000, mode: str = "0755", **facts: Any) -> dict[str, Any]:
    """The entry of a library (or, with `interp`, of a program) that needs these libraries."""
    return {"type": "file", "size": size, "mode": mode, "elf": {"needed": list(needed), **facts}}


def program(*needed: str, **facts: Any) -> dict[str, Any]:
    return elf(*needed, interp=LD, **facts)


def load(
    entries: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    *,
    path: str = "/app/main",
    argv: tuple[str, ...] | None = None,
    version: str = "2.36",
    dlopen: tuple[DlopenCall, ...] = (),
    machine: Machine | None = None,
    **request: Any,
) -> Outcome:
    """Run `path` in a tree with these entries and a loader of this version."""
    tree = tree_from_json({LD: loader(version), **entries}, "tree")
    asked = ProcessRequest(path, argv or (path,), tuple((env or {}).items()), dlopen=dlopen, **request)
    return run(tree, asked, machine)


def paths(outcome: Outcome) -> list[str]:
    """The link map without the loader."""
    return [o.path for o in outcome.objects if o.path != LD]
