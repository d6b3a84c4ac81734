"""``LD_DEBUG=libs``, listings and ld.so as a command: nvsim against the machine's own glibc loader, line for line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from elfwriter import Call, Program, write_elf
from nvsim.elf.facts import VersionNeed
from nvsim.loader.native import native_machine
from nvsim.loader.outcome import DlopenCall, Outcome, ProcessRequest
from nvsim.loader.process import listing, run
from nvsim.loader.trace import debug_lines
from nvsim.rootfs.directory import DirectoryTree

LOADER = "/lib64/ld-linux-x86-64.so.2"
PIE = 0x8000000
_DEBUG = re.compile(r"^ *\d+:\t(.*)$", re.M)
_RUNNING = re.compile(r"calling (pre)?init: |initialize program: |transferring control: |calling fini: ")
_ADDRESS = re.compile(r"\(0x[0-9a-f]+\)")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not Path(LOADER).exists(), reason="this machine has no glibc loader"
)


def real_debug(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> list[str]:
    """What LD_DEBUG=libs prints, without the process id and without constructors and destructors."""
    done = subprocess.run(
        argv, env={**env, "LD_DEBUG": "libs"}, cwd=cwd, capture_output=True, text=True, errors="replace", check=False
    )
    lines = _DEBUG.findall(done.stderr)
    out: list[str] = []
    while lines:
        if len(lines) > 2 and lines[0] == lines[2] == "" and _RUNNING.match(lines[1]):
            del lines[:3]
        else:
            out.append(lines.pop(0))
    return out


def ours(argv: Sequence[str], env: Mapping[str, str], cwd: str, calls: Sequence[Call] = ()) -> Outcome:
    dlopen = tuple(DlopenCall(c.name or "", c.flags) for c in calls)
    request = ProcessRequest(argv[0], tuple(argv), tuple(env.items()), cwd, os.geteuid(), os.getegid(), dlopen=dlopen)
    return run(DirectoryTree("/"), request, native_machine())


ENVIRONMENTS = {
    "plain": {},
    "library path": {"LD_LIBRARY_PATH": "/nowhere:/opt:lib::/usr/lib/x86_64-linux-gnu/;/nowhere"},
    "preloads": {"LD_PRELOAD": "libm.so.6 libnowhere.so:/nowhere/x.so", "LD_LIBRARY_PATH": "$ORIGIN/../lib:${LIB}"},
}


@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
@pytest.mark.parametrize("program", ["true", "perl", "bash", "git", "gcc", "tar"])
def test_searches_of_real_programs_read_as_the_loader_tells_them(program: str, env: dict[str, str]) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} here")
    argv = [path, "--version"]
    mine = list(debug_lines(ours(argv, env, "/")))
    assert mine
    assert real_debug(argv, env, "/")[: len(mine)] == mine


def put(root: Path, name: str, data: bytes) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)
    (root / name).chmod(0o755)


def build(root: Path) -> list[Call]:
    """A program with a library of each kind of search below `root`; its dlopens."""
    calls = [
        Call("libnowhere.so"), Call("libplugin.so"), Call("libm.so.6"), Call(f"{root}/a/libplugin.so"), Call("libold.so"),
    ]  # fmt: skip
    needed = ("libaux.so.1", "librpath.so.1", "libc.so.6")
    program = Program(calls=tuple(calls))
    runpath = f"{root}/missing:$ORIGIN/a:{root}/b/:{root}/b"
    put(root, "main", write_elf(interp=LOADER, needed=needed, runpath=runpath, program=program, flags_1=PIE))
    put(root, "a/libaux.so.1", write_elf(soname="libaux.so.1", auxiliary=("libfast.so", "libm.so.6"), needed=()))
    put(root, "b/librpath.so.1", write_elf(needed=("libdeep.so", "libc.so.6"), rpath="$ORIGIN/deep:$ORIGIN/nothing"))
    put(root, "b/deep/libdeep.so", write_elf(needed=("libagain.so",), flags_1=0x800))
    put(root, "b/deep/libagain.so", write_elf(needed=("libdeep.so",)))
    put(root, "b/libplugin.so", write_elf(needed=("libold.so",), runpath=f"{root}/b/deep:relative"))
    put(root, "a/libold.so", write_elf(verneed=(), needed=("libc.so.6",), elf_class=64))
    (root / "a" / "libplugin.so").symlink_to("../b/libplugin.so")
    return calls


def test_searches_of_every_kind_read_as_the_loader_tells_them(tmp_path: Path) -> None:
    calls = build(tmp_path)
    env = {"LD_LIBRARY_PATH": f"{tmp_path}/nothing:{tmp_path}/b:."}
    argv = [str(tmp_path / "main")]
    cwd = str(tmp_path)
    outcome = ours(argv, env, cwd, calls)
    assert outcome.started
    assert list(debug_lines(outcome)) == real_debug(argv, env, cwd)


@pytest.mark.parametrize("missing", ["a/libaux.so.1", "b/librpath.so.1", "b/deep/libagain.so"])
def test_a_missing_library_is_traced_and_listed_as_by_the_loader(tmp_path: Path, missing: str) -> None:
    build(tmp_path)
    (tmp_path / missing).unlink()
    argv, cwd = [str(tmp_path / "main")], str(tmp_path)
    outcome = ours(argv, {}, cwd)
    assert not outcome.started
    assert list(debug_lines(outcome)) == real_debug(argv, {}, cwd)
    done = subprocess.run(
        argv, env={"LD_TRACE_LOADED_OBJECTS": "1"}, cwd=cwd, capture_output=True, text=True, check=False
    )
    request = ProcessRequest(argv[0], tuple(argv), (), cwd, os.geteuid(), os.getegid())
    listed = listing(DirectoryTree("/"), request, native_machine())
    assert (listed.stdout, listed.trace_rc) == (without_addresses(done.stdout), done.returncode)
    assert listed.stderr == done.stderr


def test_missing_versions_are_traced_and_said_as_by_the_loader(tmp_path: Path) -> None:
    needs = (VersionNeed("libv.so", ("V_1", "V_9", "V_8"), frozenset({"V_8"})), VersionNeed("libn.so", ("N_1", "N_2")))
    calls = [Call("./libw.so"), Call("./libx.so")]
    program = Program(calls=tuple(calls))
    main = {"interp": LOADER, "runpath": "$ORIGIN", "flags_1": PIE, "program": program}
    put(tmp_path, "main", write_elf(needed=("libv.so", "libn.so", "libc.so.6"), verneed=needs[1:], **main))
    put(tmp_path, "bad", write_elf(needed=("libv.so", "libn.so", "libc.so.6"), verneed=needs, **main))
    put(tmp_path, "libv.so", write_elf(soname="libv.so", verdef=("V_1",)))
    put(tmp_path, "libn.so", write_elf(soname="libn.so"))
    put(tmp_path, "libw.so", write_elf(needed=("libv.so",), verneed=needs[:1]))
    put(tmp_path, "libx.so", write_elf(needed=("libn.so",), verneed=needs[1:]))
    for name in ("main", "bad"):
        argv, cwd = [str(tmp_path / name)], str(tmp_path)
        outcome = ours(argv, {}, cwd, calls)
        done = subprocess.run(argv, env={}, cwd=cwd, capture_output=True, text=True, check=False)
        assert list(debug_lines(outcome)) == real_debug(argv, {}, cwd)
        assert (outcome.stderr, outcome.exit_code or 0) == (done.stderr, done.returncode)


def without_addresses(text: str) -> str:
    lines = (line for line in text.splitlines(keepends=True) if "linux-vdso" not in line)
    return _ADDRESS.sub("(0x...)", "".join(lines))


COMMANDS = [
    [], ["nowhere"], ["./nowhere"], ["/tmp"], ["/etc/passwd"], ["--nonsense", "x"], ["--verify", "/bin/true"],
    ["--verify", "/etc/passwd"], ["--list"], ["--argv0"], ["--library-path"], [LOADER], ["--list", "/bin/true"],
    ["--library-path", "/nowhere", "--list", "/bin/sh"], ["--inhibit-cache", "--list", "/bin/true"],
    ["--preload", "libm.so.6 libnowhere.so", "--list", "/bin/true"], ["--argv0", "other", "--list", "/bin/true"],
    ["--glibc-hwcaps-mask", "x86-64-v2", "--glibc-hwcaps-prepend", "mine", "--list", "/bin/true"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_the_loader_as_a_command(arguments: list[str]) -> None:
    argv = [LOADER, *arguments]
    done = subprocess.run(argv, env={}, cwd="/", capture_output=True, text=True, check=False)
    outcome = ours(argv, {}, "/")
    assert outcome.stderr == done.stderr
    assert outcome.exit_code == done.returncode
    assert outcome.stdout == without_addresses(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--inhibit-rpath", "{main}"], ["--inhibit-rpath", ""], ["--argv0", "x"], ["--library-path", "{root}/b:{root}/a"],
        ["--glibc-hwcaps-prepend", "one:two", "--glibc-hwcaps-mask", "x86-64-v3"], ["--inhibit-cache"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_searches_of_a_directly_run_loader(tmp_path: Path, arguments: list[str]) -> None:
    build(tmp_path)
    filled = [a.format(root=tmp_path, main=tmp_path / "main") for a in arguments]
    argv = [LOADER, *filled, str(tmp_path / "main")]
    outcome = ours(argv, {}, str(tmp_path))
    mine = list(debug_lines(outcome))
    assert mine
    assert real_debug(argv, {}, str(tmp_path))[: len(mine)] == mine


@pytest.mark.parametrize("feature", ["AVX2", "AVX512F", "SSE4_2", "BMI1", "F16C", "POPCNT"])
def test_features_switched_off_by_tunables(feature: str) -> None:
    env = {"GLIBC_TUNABLES": f"glibc.cpu.hwcaps=-{feature}", "LD_LIBRARY_PATH": "/opt"}
    mine = list(debug_lines(ours(["/bin/true"], env, "/")))
    assert real_debug(["/bin/true"], env, "/")[: len(mine)] == mine
