"""Programs behind wrappers: the inner process, and what its starter says."""

from __future__ import annotations

import pytest

from nvsim.errors import UnsupportedError
from nvsim.loader.outcome import Machine
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.engine import Process
from nvsim.scenario.messages import Lookup, look_up
from nvsim.scenario.messages_inner import inner_of
from nvsim.simulate import ProcessResult, run_process

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


RELEASE = 'ID=debian\nVERSION_ID="12"\n'


def run(*argv: str, missing_loader: bool = False) -> ProcessResult:
    static = {"type": "file", "size": 9000, "elf": {"type": "EXEC", "class": 64, "machine": "x86_64"}}
    smi = {**static, "elf": {**static["elf"], "interp": "/lib64/ld-linux-x86-64.so.2"}}  # type: ignore[dict-item]
    tree = tree_from_json(
        {
            "/bin/bash": static,
            "/bin/dash": static,
            "/bin/sh": {"type": "symlink", "target": "dash"},
            "/bin/env": static,
            "/etc/os-release": {"type": "file", "size": len(RELEASE), "text": RELEASE},
            **({"/bin/nvidia-smi": smi} if missing_loader else {}),
        },
        "image",
    )
    return run_process(RootFS(tree), process(*argv, env=("PATH=/bin",)), Machine(), (), {})


@pytest.mark.parametrize(
    ("argv", "text", "status"),
    [
        (("sh", "-c", "nvidia-smi"), "sh: 1: nvidia-smi: not found", 127),
        (("env", "A=b", "nvidia-smi"), "env: 'nvidia-smi': No such file or directory", 127),
        (("sh", "-c", "env A=b nvidia-smi"), "env: 'nvidia-smi': No such file or directory", 127),
    ],
)
def test_a_run_shows_what_the_starter_says(argv: tuple[str, ...], text: str, status: int) -> None:
    result = run(*argv)
    assert (result.verdict, result.kind, result.message, result.exit_code) == ("fails", "exit", text, status)


def test_a_missing_dynamic_linker_is_told_by_the_shell_of_the_image() -> None:
    result = run("bash", "-c", "nvidia-smi", missing_loader=True)
    assert result.kind == "exec-error"
    assert result.message == "bash: line 1: /bin/nvidia-smi: cannot execute: required file not found"
    assert "bash is taken for bash 5.2" in " ".join(result.assumptions)
    assert run("nvidia-smi", missing_loader=True).told_by == ""


def test_a_shell_script_makes_no_claim_about_what_it_starts() -> None:
    result = run("sh", "-c", "a | b")
    assert result.verdict == "ok"
    assert "what sh starts cannot be told from its arguments: only sh itself was looked at" in result.assumptions
