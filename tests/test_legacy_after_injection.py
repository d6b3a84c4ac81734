"""What programs in a container meet after a legacy injection: plan, apply, execve and dlopen in a row, against recorded runs.

A probe is a small program that dlopens its argument and prints OK and the path, or ERR and dlerror's text.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from attrs import evolve

from legacyvectors import cases, load, query
from nvsim.elf.facts import elf_from_json
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.run import plan_legacy
from nvsim.loader import process
from nvsim.loader.outcome import DlopenCall, ProcessRequest
from nvsim.queries.legacy import container_of_query, host_of_query
from nvsim.rootfs.node import File, FileFacts
from nvsim.rootfs.overlay import RootFS

STORE = "/nix/store/0c2h1bq-glibc-2.40/lib"
_COMMON = {"type": "DYN", "verneed": {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34"]}, "needed": ["libc.so.6"]}
PROBES: dict[str, dict[str, Any]] = {
    "/.probe-glibc": {**_COMMON, "interp": "/lib64/ld-linux-x86-64.so.2"},
    "/.probe-nix": {**_COMMON, "interp": f"{STORE}/ld-linux-x86-64.so.2", "rpath": STORE},
    "/.probe-musl": {"type": "DYN", "needed": ["libc.so"], "interp": "/lib/ld-musl-x86_64.so.1"},
}
RECORDED = [(run["case"], run["probes"]) for run in load("after-injection")]


@cache
def injected(case_id: str, *, reads_cache: bool = True) -> RootFS:
    """The container after the run of a recorded case, with the probes; `reads_cache` false: the store's loader reads no cache."""
    asked = query(cases()[case_id])
    host, start = host_of_query(asked), container_of_query(asked)
    env = dict(host.toolkit.env) | ({"PATH": host.toolkit.path} if host.toolkit.path is not None else {})
    plan = plan_legacy(host, start, tuple(asked["argv"]), env=env, engine=asked["engine"])
    editor = apply(plan, start, host).rootfs.edit()
    for path, facts in PROBES.items():
        editor.put(path, File(16000, ("probe", path), FileFacts(elf=elf_from_json(facts))))
    loader = editor.node(f"{STORE}/ld-linux-x86-64.so.2")
    if not reads_cache and isinstance(loader, File) and loader.facts.loader is not None:
        content = evolve(loader.facts, loader=evolve(loader.facts.loader, cache=None))
        editor.put(f"{STORE}/ld-linux-x86-64.so.2", evolve(loader, content=content))
    return editor.freeze()


def with_symbols(rootfs: RootFS) -> RootFS:
    """The listings of the recorded trees leave symbols out; this is the one of libcuda that musl's libc does not have."""
    editor = rootfs.edit()
    for mount in rootfs.mounts:
        node = rootfs.node(mount.dst)
        if "/libcuda.so." in mount.dst and isinstance(node, File) and node.facts.elf is not None:
            elf = evolve(node.facts.elf, undef=("__register_atfork",))
            editor.put(mount.dst, evolve(node, content=evolve(node.facts, elf=elf)))
    return editor.freeze()


def result_of(case_id: str, probe: dict[str, Any]) -> dict[str, Any]:
    """The result of one probe as it was recorded."""
    no_cache = probe["loader"] == "nix-nocache"
    argv = probe["argv"][2:] if no_cache else probe["argv"]
    rootfs = injected(case_id, reads_cache=not no_cache)
    if probe["loader"] == "musl":
        rootfs = with_symbols(rootfs)
    session = process.start(rootfs, ProcessRequest(argv[0], tuple(argv), tuple(probe["env"].items())))
    outcome = session.outcome
    if outcome.outcome == "exec-error":
        return {"exec_errno": outcome.errno}
    if probe["loader"] == "exec":
        lines = [line.strip().removesuffix(" (0x...)") for line in outcome.stdout.splitlines()]
        return {"rc": outcome.exit_code, "stdout": "\n".join(["linux-vdso.so.1", *lines])}
    if not outcome.started:
        return {"rc": outcome.exit_code, "stderr": outcome.stderr}
    answer = session.dlopen(DlopenCall(argv[1]))
    return {"rc": 0 if answer.ok else 1, "stdout": f"OK {answer.path}" if answer.ok else f"ERR {answer.error}"}


@pytest.mark.parametrize("loader", ["exec", "glibc", "nix", "nix-nocache", "musl"])
def test_what_programs_meet_is_what_was_recorded(loader: str) -> None:
    asked = [(case, probe) for case, probes in RECORDED for probe in probes if probe["loader"] == loader]
    assert asked
    wrong = [
        (case, p["argv"], p["env"], p["result"], got) for case, p in asked if (got := result_of(case, p)) != p["result"]
    ]
    assert not wrong, f"{len(wrong)} of {len(asked)}, the first: {wrong[0]}"
