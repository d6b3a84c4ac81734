"""Programs behind wrappers: the inner process, and what its starter says."""

from __future__ import annotations

import pytest

from nvsim.errors import UnsupportedError
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.engine import Process
from nvsim.scenario.messages import Lookup, look_up
from nvsim.scenario.messages_inner import inner_of

PROGRAM = {"type": "file", "size": 9}
RESOLVER = Resolver(
    tree_from_json(
        {
            "/bin/dash": PROGRAM,
            "/bin/sh": {"type": "symlink", "target": "dash"},
            "/bin/env": PROGRAM,
            "/opt/tool": {"type": "file", "size": 9, "mode": "0644"},
        },
        "t",
    )
)


def process(*argv: str, env: tuple[str, ...] = ("PATH=/opt:/bin", "A=0")) -> Process:
    return Process(argv, env, "/", 0, 0)


def test_a_shell_tells_that_the_program_is_not_found() -> None:
    inner = inner_of(process("sh", "-c", "nvidia-smi -L"), "/bin/sh", RESOLVER)
    assert inner is not None
    assert inner.process.argv == ("nvidia-smi", "-L")
    shown = inner.not_found(look_up(RESOLVER, inner.process))
    assert (shown.text, shown.status) == ("sh: 1: nvidia-smi: not found", 127)


def test_a_file_without_permission_in_path_is_told() -> None:
    inner = inner_of(process("env", "tool"), "/bin/env", RESOLVER)
    assert inner is not None
    shown = inner.not_found(look_up(RESOLVER, inner.process))
    assert (shown.text, shown.status) == ("env: 'tool': Permission denied", 126)


def test_the_environment_is_what_the_wrapper_makes_it() -> None:
    inner = inner_of(process("env", "-u", "A", "B=1", "prog"), "/bin/env", RESOLVER)
    assert inner is not None and inner.process.env == ("PATH=/opt:/bin", "B=1")
    cleared = inner_of(process("env", "-i", "B=1", "prog"), "/bin/env", RESOLVER)
    assert cleared is not None and cleared.process.env == ("B=1",)
    assigned = inner_of(process("sh", "-c", "A=2 exec prog"), "/bin/sh", RESOLVER)
    assert assigned is not None
    assert assigned.process.env == ("PATH=/opt:/bin", "A=2")
    assert assigned.not_found(Lookup(None)).text == "sh: 1: exec: prog: not found"


def test_wrappers_are_taken_off_one_by_one() -> None:
    outer = inner_of(process("sh", "-c", "env X=1 prog"), "/bin/sh", RESOLVER)
    assert outer is not None and outer.process.argv == ("env", "X=1", "prog")
    inner = inner_of(outer.process, "/bin/env", RESOLVER)
    assert inner is not None and inner.process.argv == ("prog",)


def test_a_program_is_no_wrapper_and_a_script_cannot_be_told() -> None:
    assert inner_of(process("nvidia-smi"), "/usr/bin/nvidia-smi", RESOLVER) is None
    assert inner_of(process("sh"), "/bin/sh", RESOLVER) is None
    with pytest.raises(UnsupportedError, match="what sh starts cannot be told"):
        inner_of(process("sh", "-c", "a | b"), "/bin/sh", RESOLVER)
