"""What shells and wrappers say when execve fails, against this machine's own; and which program a command line means."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elfwriter import Program, write_elf
from nvsim.elf.facts import ElfFacts
from nvsim.loader.execve import ExecFailure, execve
from nvsim.loader.outcome import Machine, ProcessRequest
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.messages_callers import Refusal, caller_of, refusal_of, shown_by
from nvsim.scenario.messages_wrappers import simple_command, unwrap

CASES = ("nointerp", "badlib", "iolib", "script", "crlf", "noexec", "arm", "dir", "missing", "script/x", "loop")
CALLERS = {
    "bash": ("bash", "-c"),
    "dash": ("dash", "-c"),
    "env": ("env",),
    "nice": ("nice",),
    "timeout": ("timeout", "9"),
    "nohup": ("nohup",),
    "stdbuf": ("stdbuf", "-o0"),
    "setsid": ("setsid",),
    "taskset": ("taskset", "1"),
    "ionice": ("ionice",),
}
BUSYBOX = os.environ.get("NVSIM_TEST_BUSYBOX", "")  # path=version, such as /tmp/busybox=1.35
ENV = {"PATH": "/usr/bin:/bin"}

needs_linux = pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="runs x86-64 Linux")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("exec")

    def write(name: str, data: bytes, mode: int = 0o755) -> None:
        (top / name).write_bytes(data)
        (top / name).chmod(mode)

    def program(**changes: object) -> bytes:
        return write_elf(ElfFacts(type="EXEC"), program=Program(), **changes)

    write("nointerp", program(interp="/lib/nosuch.so.2"))
    write("badlib", program(interp=f"{top}/text"))
    write("iolib", program(interp=f"{top}/short"))
    write("text", b"x" * 200)
    write("short", b"x")
    write("script", b"#!/bin/nosuch\n")
    write("crlf", b"#!/bin/sh\r\necho hi\r\n")
    write("noexec", b"#!/bin/sh\n", 0o644)
    write("arm", program(machine="aarch64"))
    (top / "dir").mkdir()
    (top / "loop").symlink_to("loop")
    return top


def refusal(top: Path, case: str) -> Refusal:
    name = f"./{case}"
    resolver = Resolver(DirectoryTree("/"))
    done = execve(resolver, ProcessRequest(name, (name,), cwd=str(top)), Machine())
    assert isinstance(done, ExecFailure)
    return refusal_of(resolver, name, done.steps, done.errno)


def version_of(caller: str) -> str:
    if caller != "bash":
        return ""
    told = subprocess.run(["bash", "--version"], capture_output=True, text=True, check=True).stdout
    return told.partition("version ")[2].partition("(")[0]


@needs_linux
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_is_shown_is_what_this_machines_program_prints(files: Path, caller: str, case: str) -> None:
    if shutil.which(CALLERS[caller][0], path=ENV["PATH"]) is None:
        pytest.skip(f"{caller} is not installed")
    shown = shown_by(caller, version_of(caller), refusal(files, case))
    if shown.text is None:
        assert case == "arm"  # execvp hands it to /bin/sh, which reads the binary as a script
        return
    done = subprocess.run(
        [*CALLERS[caller], f"./{case}"],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
        env=ENV,
        stdin=subprocess.DEVNULL,
    )
    assert (done.stderr.splitlines()[-1], done.returncode) == (shown.text, shown.status)


@needs_linux
@pytest.mark.skipif(not BUSYBOX, reason="no busybox is named in NVSIM_TEST_BUSYBOX")
@pytest.mark.parametrize("case", [c for c in CASES if c != "arm"])
def test_what_is_shown_is_what_busybox_prints(files: Path, case: str) -> None:
    path, _, version = BUSYBOX.partition("=")
    shown = shown_by("busybox sh", version, refusal(files, case), "sh")
    done = subprocess.run(
        [path, "sh", "-c", f"./{case}"], cwd=files, capture_output=True, text=True, check=False, env=ENV
    )
    assert (done.stderr.strip(), done.returncode) == (shown.text, shown.status)


@needs_linux
@pytest.mark.parametrize("case", CASES)
def test_python_raises_what_is_shown(files: Path, case: str) -> None:
    shown = shown_by("python", "3.11", refusal(files, case))
    with pytest.raises(OSError) as raised:
        subprocess.run([f"./{case}"], cwd=files, check=False)
    assert f"{type(raised.value).__name__}: {raised.value}" == shown.text


@pytest.mark.parametrize(
    ("caller", "version", "text", "status"),
    [
        ("bash", "5.2", "bash: line 1: nvidia-smi: command not found", 127),
        ("bash", "4.2", "bash: nvidia-smi: command not found", 127),
        ("dash", "", "sh: 1: nvidia-smi: not found", 127),
        ("busybox sh", "1.35", "sh: nvidia-smi: not found", 127),
        ("env", "9.1", "env: 'nvidia-smi': No such file or directory", 127),
        ("env", "8.22", "env: nvidia-smi: No such file or directory", 127),
        ("busybox env", "", "env: can't execute 'nvidia-smi': No such file or directory", 127),
        ("bash exec", "", "bash: line 1: exec: nvidia-smi: not found", 127),
        ("dash exec", "", "sh: 1: exec: nvidia-smi: not found", 127),
        ("tini", "", "[FATAL tini (7)] exec nvidia-smi failed: No such file or directory", 127),
        ("dumb-init", "", "[dumb-init] nvidia-smi: No such file or directory", 2),
        ("sudo", "", "sudo: nvidia-smi: command not found", 1),
        ("supervisord", "", None, None),
    ],
)
def test_a_name_that_is_not_in_path(caller: str, version: str, text: str | None, status: int | None) -> None:
    missing = Refusal("nvidia-smi", "", "ENOENT", "not-in-path")
    argv0 = "sh" if caller.startswith(("dash", "busybox sh")) else None
    shown = shown_by(caller, version, missing, argv0)
    assert (shown.text, shown.status) == (text, status)


def test_bash_tells_a_missing_interpreter_by_its_version() -> None:
    program = Refusal("nvidia-smi", "/usr/bin/nvidia-smi", "ENOENT", "interpreter", "/lib64/ld-linux-x86-64.so.2")
    script = Refusal("run", "/app/run", "ENOENT", "script-interpreter", "/bin/sh\r")
    assert shown_by("bash", "5.1.4", program).text == "bash: line 1: /usr/bin/nvidia-smi: No such file or directory"
    required = "bash: line 1: /usr/bin/nvidia-smi: cannot execute: required file not found"
    assert shown_by("bash", "5.2.15", program).text == required
    bad = "bash: /app/run: /bin/sh^M: bad interpreter: No such file or directory"
    assert shown_by("bash", "5.1", script) == shown_by("bash", "5.3", script)
    assert shown_by("bash", "5.3", script).text == bad
    assert shown_by("bash", "5.2", script).status == 127


def test_the_shell_behind_sh_is_found_by_its_file() -> None:
    release = {"type": "file", "size": 30, "text": 'ID=ubuntu\nVERSION_ID="22.04"\n'}
    program = {"type": "file", "size": 9}
    tree = tree_from_json(
        {
            "/usr/bin/dash": program,
            "/usr/bin/bash": program,
            "/usr/bin/sh": {"type": "symlink", "target": "dash"},
            "/bin/busybox": program,
            "/bin/sh": {"type": "symlink", "target": "/bin/busybox"},
            "/bin/env": {"type": "hardlink", "of": "/bin/busybox"},
            "/etc/os-release": release,
        },
        "t",
    )
    resolver = Resolver(tree)
    assert caller_of(resolver, "/usr/bin/sh")[0] == "dash"
    assert caller_of(resolver, "/bin/sh")[0] == "busybox sh"
    assert caller_of(resolver, "/bin/env")[0] == "busybox env"
    assert caller_of(resolver, "/usr/bin/bash")[:2] == ("bash", "5.1")
    assert caller_of(resolver, "/usr/bin/python3.11")[0] == "python"


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (("nvidia-smi", "-L"), ("nvidia-smi", "-L")),
        (("sh", "-c", "nvidia-smi -L"), ("nvidia-smi", "-L")),
        (("/bin/bash", "-lc", "exec nvidia-smi"), ("nvidia-smi",)),
        (("bash", "-e", "-c", "A=b 'my prog' \"x y\";"), ("my prog", "x y")),
        (("env", "A=b", "-", "x"), ("-", "x")),
        (("env", "-i", "A=b", "python3", "-c", "1"), ("python3", "-c", "1")),
        (("/sbin/tini", "-g", "--", "sh", "-c", "nice -n 5 timeout -k 3 10 prog"), ("prog",)),
        (("dumb-init", "prog"), ("prog",)),
        (("taskset", "-c", "0-3", "prog", "-x"), ("prog", "-x")),
        (("busybox", "sh", "-c", "prog"), ("prog",)),
        (("bash",), ("bash",)),
        (("bash", "script.sh"), ("bash", "script.sh")),
        (("sh", "-c", "nvidia-smi | grep x"), None),
        (("sh", "-c", "cd /x && y"), None),
        (("sh", "-c", "echo hello"), None),
        (("sh", "-c", "x $HOME"), None),
        (("sh", "-c", 'x "$HOME"'), None),
        (("sh", "-c", "x 'unfinished"), None),
        (("sh", "-c"), None),
        (("env", "-S", "a b"), None),
    ],
)
def test_the_program_that_a_command_line_means(argv: tuple[str, ...], meant: tuple[str, ...] | None) -> None:
    found = unwrap(argv)
    assert (None if found is None else found.argv) == meant


def test_changes_of_the_environment_are_told() -> None:
    found = unwrap(("env", "-u", "LD_PRELOAD", "A=1", "sh", "-c", "B=2 exec prog"))
    assert found is not None
    assert (found.argv, found.env, found.unset, found.clear) == (
        ("prog",),
        (("A", "1"), ("B", "2")),
        ("LD_PRELOAD",),
        False,
    )
    assert [(link.argv[0], link.shell, link.uses_exec) for link in found.chain] == [
        ("env", False, False),
        ("sh", True, True),
    ]
    cleared = unwrap(("env", "-i", "A=1", "prog"))
    assert cleared is not None and cleared.clear


@pytest.mark.skipif(shutil.which("dash") is None, reason="no dash")
@given(
    st.lists(
        st.sampled_from(("prog", "'a b'", '"c  d"', "x=y", "-", "--e", "f'g'\"h\"", ",", "%", "''", "@", "^")),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_called_simple_is_split_as_the_shell_does(words: list[str]) -> None:
    command = simple_command(" ".join(words))
    if command is None:
        return
    told = "".join(f"{name}={value}\n" for name, value in command[0]) + "".join(f"{word}\n" for word in command[2])
    done = subprocess.run(
        ["dash", "-c", f"f() {{ printf '%s\\n' \"$@\"; }}; f {' '.join(words)}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == told


@given(st.lists(st.text(max_size=6), min_size=1, max_size=6))
def test_any_command_line_has_an_answer(argv: list[str]) -> None:
    found = unwrap(tuple(argv))
    assert found is None or found.argv
