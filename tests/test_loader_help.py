"""What the glibc loader tells of itself: beside this machine's own, and by release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from elfwriter import write_elf
from loadertrees import LD, loader
from nvsim.elf.facts import ElfFacts
from nvsim.elf.programs import loader_facts
from nvsim.loader.native import native_machine
from nvsim.loader.outcome import Cpu, Machine, Outcome, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.treefile import tree_from_json

LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LINES = (
    ((), {}),
    (("--help",), {}),
    (("--version", "--bad"), {}),
    (("--help", "--bad"), {}),
    (("--help", "--version"), {}),
    (("--help", "--list", "/nonexistent"), {}),
    (("--argv0",), {}),
    (("--help",), {"LD_LIBRARY_PATH": "/opt::x/:/opt:/nonexistent/a//b:/"}),
    (("--help",), {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2"}),
    (
        ("--library-path", "/a:/b/:.", "--glibc-hwcaps-prepend", "p:q", "--glibc-hwcaps-mask", "x86-64-v2", "--help"),
        {"LD_LIBRARY_PATH": "/opt"},
    ),
    (("--inhibit-cache", "--help", "RPATH"), {"LD_LIBRARY_PATH": "$ORIGIN/a:/b"}),
    (("--help", "RUNPATH"), {"LD_LIBRARY_PATH": "$ORIGIN/a:/b"}),
)


def tells_of_itself() -> bool:
    facts = loader_facts(LOADER.read_bytes()) if sys.platform == "linux" and LOADER.exists() else None
    return facts is not None and facts.self_name is not None


@pytest.mark.skipif(not tells_of_itself(), reason="needs a loader of glibc 2.33 or newer for x86-64")
@pytest.mark.parametrize(("argv", "env"), LINES, ids=lambda value: " ".join(value) or "nothing")
def test_this_machines_loader_prints_the_same(argv: tuple[str, ...], env: dict[str, str], tmp_path: Path) -> None:
    for name, tag in (("RPATH", "rpath"), ("RUNPATH", "runpath")):
        (tmp_path / name).write_bytes(write_elf(ElfFacts(interp=str(LOADER), **{tag: "/r1:$ORIGIN/r2"})))
    argv = (str(LOADER), *(str(tmp_path / a) if a.isupper() else a for a in argv))
    real = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    ours = run(DirectoryTree("/"), ProcessRequest(argv[0], argv, tuple(env.items())), native_machine())
    assert (ours.stdout, ours.stderr, ours.exit_code) == (real.stdout, real.stderr, real.returncode)


def asked(version: str, *argv: str, **facts: str) -> Outcome:
    tree = tree_from_json({LD: loader(version, **facts)}, "tree")
    return run(tree, ProcessRequest(LD, (LD, *argv)), Machine(Cpu(3, "haswell", ("x86_64",))))


def test_help_by_release() -> None:
    texts = {v: asked(v, "--inhibit-cache", "--help").stdout for v in ("2.33", "2.34", "2.36", "2.37", "2.39")}
    assert [v for v, text in texts.items() if "--list-diagnostics" in text] == ["2.34", "2.36", "2.37", "2.39"]
    assert [v for v, text in texts.items() if "Legacy HWCAP" in text] == ["2.33", "2.34", "2.36"]
    assert [v for v, text in texts.items() if "located via" in text] == ["2.33", "2.34", "2.36", "2.37"]
    assert (
        "\n  haswell (AT_PLATFORM; supported, searched)\n  tls (supported, searched)\n  avx512_1\n  x86_64 (supp"
        in texts["2.33"]
    )
    assert texts["2.39"].endswith(
        "\n  x86-64-v4\n  x86-64-v3 (supported, searched)\n  x86-64-v2 (supported, searched)\n"
    )


def test_the_version_names_vendor_and_year() -> None:
    assert asked("2.41", "--version", vendor="Debian GLIBC 2.41-12").stdout.startswith(
        "ld.so (Debian GLIBC 2.41-12) stable release version 2.41.\nCopyright (C) 2025 Free Software Foundation, Inc.\n"
    )
    assert asked("2.33", "--version").stdout.startswith(
        "ld.so (GNU libc) stable release version 2.33.\nCopyright (C) 2021 "
    )


def test_a_name_that_facts_do_not_tell_is_an_assumption() -> None:
    assert asked("2.36", "--help").assumptions[-1] == f"the loader is taken to know itself as {LD}"
    named = asked("2.36", "--help", self_name="/usr/lib/ld-linux-x86-64.so.2")
    assert named.assumptions == ()
    assert "self-identifies as: /usr/lib/ld-linux-x86-64.so.2\n" in named.stdout


def test_what_depends_on_the_running_machine_is_not_told() -> None:
    for option in ("--list-tunables", "--list-diagnostics"):
        outcome = asked("2.36", option)
        assert (outcome.exit_code, outcome.stdout) == (0, "")
        assert outcome.assumptions == (f"what {option} prints is not modelled",)
