"""Programs without an interpreter, and files without an entry point: executed, and given to the loader as its program."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from elfwriter import write_elf
from loadertrees import LD, elf, load
from nvsim.elf.facts import ElfFacts
from nvsim.loader.native import native_machine
from nvsim.loader.outcome import Outcome, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.directory import DirectoryTree

STATIC = elf(type="EXEC", nodyn=True)
STATIC_PIE = elf()
LIBRARY = elf(entry=False)
# mov $9, %edi; mov $60, %eax; syscall: exit(9)
CODE = b"\xbf\x09\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05"


def static_program(*, entry: bool = True) -> bytes:
    """A whole x86-64 program of one segment that ends with status 9."""
    base, at = 0x400000, 64 + 56
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + at if entry else 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, at + len(CODE), at + len(CODE), 0x1000)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + head + segment + CODE


def test_a_file_without_entry_point_is_started_and_dies() -> None:
    executed = load({"/app/main": LIBRARY})
    assert (executed.outcome, executed.started) == ("signal", False)
    assert executed.unknown == "SIGSEGV: /app/main has no entry point (e_entry is 0), so its first bytes are executed"
    for name in ("interp", "needed"):
        more = {"interp": LD} if name == "interp" else {"needed": ["libc.so.6"]}
        entries = {
            "/app/main": elf(entry=False) | {"elf": {"needed": [], "entry": False, **more}},
            "/lib/libc.so.6": elf(),
        }
        died = load(entries, path=LD, argv=(LD, "/app/main"))
        assert (died.outcome, died.exit_code) == ("signal", None)
        assert load(entries, path=LD, argv=(LD, "--list", "/app/main")).exit_code == 0


@pytest.mark.parametrize(
    ("version", "runs", "lists"),
    [
        ("2.31", "exit", "exit"),
        ("2.32", "signal", "signal"),
        ("2.34", "signal", "signal"),
        ("2.35", "exit", "signal"),
        ("2.41", "exit", "signal"),
    ],
)
def test_a_program_without_dynamic_section_by_release(version: str, runs: str, lists: str) -> None:
    ran = load({"/app/main": STATIC}, path=LD, argv=(LD, "/app/main"), version=version)
    assert (ran.outcome, ran.started) == (runs, runs == "exit")
    listed = load({"/app/main": STATIC}, path=LD, argv=(LD, "--list", "/app/main"), version=version)
    assert listed.outcome == lists
    if lists == "exit":
        assert (listed.exit_code, listed.stdout) == (0, "\tstatically linked\n")
    assert load({"/app/main": STATIC}, path=LD, argv=(LD, "--verify", "/app/main"), version=version).exit_code == 1
    assert load({"/app/main": STATIC_PIE}, path=LD, argv=(LD, "/app/main"), version=version).started


def test_the_loader_executes_a_static_program_from_2_35_on_so_it_must_be_executable() -> None:
    entries = {"/app/main": STATIC | {"mode": "0644"}}
    old = load(entries, path=LD, argv=(LD, "/app/main"), version="2.31", uid=1000)
    new = load(entries, path=LD, argv=(LD, "/app/main"), uid=1000)
    assert old.started
    assert (new.exit_code, new.stderr) == (127, "ld-linux-x86-64.so.2: cannot execute /app/main: EACCES\n")
    assert [(s.path, s.errno) for s in new.steps] == [(LD, None), ("/app/main", "EACCES")]


LOADER = Path("/lib64/ld-linux-x86-64.so.2")
WAYS = ((), (str(LOADER),), (str(LOADER), "--list"), (str(LOADER), "--verify"), (str(LOADER), "--argv0", "other"))


def ended(outcome: Outcome) -> tuple[str, str | int | None, str]:
    if outcome.outcome == "signal":
        return "signal", 11, ""
    return outcome.outcome, outcome.errno or outcome.exit_code, outcome.stderr


@pytest.mark.skipif(sys.platform != "linux" or not LOADER.exists(), reason="needs a glibc of x86-64")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(way[1:]) or str(len(way)))
@pytest.mark.parametrize("kind", ["static", "static, no entry", "static, no x", "library", "library, no entry"])
def test_the_machines_kernel_and_loader_end_the_same_way(way: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    if kind.startswith("static"):
        file.write_bytes(static_program(entry="no entry" not in kind))
    else:
        file.write_bytes(write_elf(ElfFacts(soname="liba.so", entry="no entry" not in kind)))
    file.chmod(0o644 if "no x" in kind else 0o755)
    argv = (*way, str(file))
    ours = ended(run(DirectoryTree("/"), ProcessRequest(argv[0], argv), native_machine()))
    if ours[:2] == ("exit", None):
        ours = ("signal", 11, "") if kind == "library" else ("exit", 9, "")  # what their own code does
    try:
        done = subprocess.run(argv, env={}, capture_output=True, text=True, check=False)
    except OSError as e:
        real: tuple[str, str | int | None, str] = (
            "exec-error",
            "EACCES" if isinstance(e, PermissionError) else str(e),
            "",
        )
    else:
        real = ("signal", -done.returncode, "") if done.returncode < 0 else ("exit", done.returncode, done.stderr)
    assert ours == real
