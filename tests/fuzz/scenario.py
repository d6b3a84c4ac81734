"""A scenario as files: from the input of a ``load`` query to bytes in a real root and to the tree that nvsim looks at.

A scenario is a dict in the form of ``vectors/loader`` (``docs/formats.md``: batch kind ``load``). In its tree an entry may say
``"real": NAME`` (a file of the real loader) instead of its content, ``"write": {...}`` (arguments of `write_elf`: then nvsim gets what
its own reader says of the bytes), ``"bytes": HEX`` or ``"raw_cache": HEX``.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from elfwriter import Call, Program, write_elf
from fuzz.loaders import RealLoader
from nvsim.elf.facts import ElfFacts, elf_from_json, elf_to_json, program_facts_to_json
from nvsim.elf.reader import read_elf
from nvsim.ldcache import parse_cache, write_cache
from nvsim.loader.outcome import Machine
from nvsim.rootfs.node import File, FileFacts, Node, Origin
from nvsim.rootfs.tree import MemoryTree
from nvsim.rootfs.treefile import ldcache_from_json, ldcache_to_json, node_from_json

Scenario = dict[str, Any]
_I386 = {"class": 32, "machine": "i386"}
_OURS = ("real", "write", "bytes", "raw_cache")


@frozen(slots=True)
class Built:
    """A scenario ready to run: the bytes of every file that is not real, and nvsim's tree."""

    scenario: Scenario
    contents: dict[str, bytes]
    tree: MemoryTree


class InvalidScenarioError(Exception):
    """The scenario cannot be written to disk or means nothing (a shrinking step may make such)."""


def tag_of(path: str) -> int:
    """What identifies the library file at `path` as a caller of dlopen."""
    return zlib.crc32(path.encode()) | 1 << 32


def build(scenario: Scenario, loader: RealLoader) -> Built:
    """Bytes and tree of `scenario`. Raises `InvalidScenarioError`."""
    entries = scenario["rootfs"]["tree"]
    contents: dict[str, bytes] = {}
    nodes: dict[str, Node] = {}
    main = _program_path(scenario)
    set_uid = _mode(entries.get(main, {})) & 0o4000
    if scenario["secure"] != bool(set_uid and scenario["uid"]):
        raise InvalidScenarioError("AT_SECURE comes from a set-uid program of another user, and from nothing else here")
    origin = Origin("image", "fuzz")
    try:
        for path, entry in entries.items():
            if entry["type"] == "hardlink":
                continue
            if "real" in entry:
                nodes[path] = evolve(loader.nodes[entry["real"]], mode=_mode(entry))
                continue
            nodes[path] = _node(path, entry, scenario, path == main, contents, loader, origin)
        for path, entry in entries.items():
            if entry["type"] == "hardlink":
                nodes[path] = nodes[entry["of"]]
        tree = MemoryTree("fuzz", nodes)
    except (KeyError, ValueError, AssertionError) as e:
        raise InvalidScenarioError(str(e)) from e
    return Built(scenario, contents, tree)


def _program_path(scenario: Scenario) -> str:
    """The file that runs: `program` where exec is a link to it."""
    return str(scenario.get("program", scenario["exec"]))


def _mode(entry: dict[str, Any]) -> int:
    return int(entry.get("mode", "0755"), 8)


def _node(
    path: str, entry: dict[str, Any], scenario: Scenario, main: bool, contents: dict[str, bytes],
    loader: RealLoader, origin: Origin,
) -> Node:  # fmt: skip
    entry = {k: v for k, v in entry.items() if k != "size"}
    bare = {k: v for k, v in entry.items() if k not in _OURS}
    if entry["type"] != "file":
        return node_from_json(bare, ("fuzz", path), origin)
    if "elf" in entry:
        facts = elf_from_json({**(_I386 if loader.machine == "i386" else {}), **entry["elf"]})
        program = None
        if main:
            program = Program(int(entry.get("exit", 0)), _calls(scenario, facts, loader))
            if program.calls:
                facts = evolve(facts, undef=tuple(dict.fromkeys(("dlopen", "dlerror", *(facts.undef or ())))))
        data = write_elf(facts, program=program, tag=tag_of(path), **_written(entry))
        if "write" in entry:
            facts = read_elf(data) or facts
        content = FileFacts(elf=facts)
    elif "ldcache" in entry:
        cache = ldcache_from_json(entry["ldcache"])
        data = write_cache(evolve(cache, generator="nvsim fuzz"))
        content = FileFacts(ldcache=parse_cache(data))
    elif "raw_cache" in entry:
        data = bytes.fromhex(entry["raw_cache"])
        content = FileFacts(ldcache=parse_cache(data))
    elif "bytes" in entry:
        data = bytes.fromhex(entry["bytes"])
        content = FileFacts(head=data[:256])
    else:
        data = entry.get("text", "").encode("utf-8", "surrogateescape")
        content = FileFacts(text=entry.get("text", ""))
    contents[path] = data
    node = node_from_json({**bare, "size": len(data)}, ("fuzz", path), origin)
    assert isinstance(node, File)
    return evolve(node, content=evolve(content, behaviour=node.facts.behaviour))


def _calls(scenario: Scenario, facts: ElfFacts, loader: RealLoader) -> tuple[Call, ...]:
    calls = scenario.get("dlopen") or ()
    if calls and not set(loader.libc_names[:1]) <= set(facts.needed):
        raise InvalidScenarioError("a program that calls dlopen needs a libc")
    return tuple(
        Call(c["name"], int(c.get("flags", 2)), 0 if c.get("from", "main") == "main" else tag_of(c["from"]))
        for c in calls
    )


def _written(entry: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `write_elf` that the entry gives."""
    given = dict(entry.get("write", {}))
    if "padding_hex" in given:
        given["padding"] = bytes.fromhex(given.pop("padding_hex"))
    return given


def lay(built: Built, root: Path, loader: RealLoader, base: Path) -> None:
    """Write the scenario below `root`. `base` holds copies of the loader's files, on the same file system."""
    entries = built.scenario["rootfs"]["tree"]
    made = {""}
    top = str(root)
    try:
        for path, entry in sorted(entries.items()):
            if path == "/proc":
                continue
            real = top + path
            parent = path.rpartition("/")[0]
            if parent not in made:
                os.makedirs(top + parent, exist_ok=True)
                made.add(parent)
            kind = entry["type"]
            if kind == "dir":
                os.makedirs(real, exist_ok=True)
                made.add(path)
            elif kind == "symlink":
                os.symlink(entry["target"], real)
            elif "real" in entry:
                os.link(base / entry["real"], real)
            elif kind == "file":
                with open(real, "wb", buffering=0) as file:
                    file.write(built.contents[path])
                    os.fchmod(file.fileno(), _mode(entry))
        for path, entry in entries.items():
            if entry["type"] == "hardlink":
                os.makedirs(os.path.dirname(top + path), exist_ok=True)
                os.link(top + entry["of"], top + path)
        for path, entry in entries.items():
            if entry["type"] == "dir" and "mode" in entry:
                os.chmod(top + path, _mode(entry))
    except OSError as e:
        raise InvalidScenarioError(str(e)) from e


def exported(built: Built, loader: RealLoader, machine: Machine) -> Scenario:
    """The scenario as a query that stands for itself: what was real or written bytes is there as facts."""
    tree: dict[str, Any] = {}
    wanted = {
        s.partition("@")[0]
        for node in map(built.tree.node, built.scenario["rootfs"]["tree"])
        if isinstance(node, File) and node.facts.elf is not None
        for s in (*(node.facts.elf.undef or ()), *(node.facts.elf.undef_lazy or ()))
    }
    for path, entry in built.scenario["rootfs"]["tree"].items():
        out = {k: v for k, v in entry.items() if k not in _OURS}
        node = built.tree.node(path)
        if isinstance(node, File) and entry["type"] == "file":
            facts = node.facts
            out["size"] = node.size
            if facts.elf is not None:
                elf = facts.elf
                if "real" in entry:
                    elf = evolve(
                        elf, defs=(elf.defs or frozenset()) & wanted, undef=None, undef_lazy=None, so_strings=()
                    )
                out["elf"] = elf_to_json(elf)
            if facts.loader is not None:
                out["loader"] = program_facts_to_json(facts.loader)
            if "raw_cache" in entry:
                out["ldcache"] = ldcache_to_json(facts.ldcache) if facts.ldcache is not None else []
        tree[path] = out
    cpu = {"isa_level": machine.cpu.isa_level, "platform": machine.cpu.platform, "hwcaps": list(machine.cpu.hwcaps)}
    return {**built.scenario, "cpu": cpu, "kernel": machine.kernel, "rootfs": {"tree": tree}}
