"""execve against this machine's kernel: random roots, programs executed after chroot, errno or exit status compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elfwriter import Program, write_elf
from nvsim.elf.facts import ElfFacts
from nvsim.loader.execve import ExecCrash, ExecFailure, ExecImage, execve
from nvsim.loader.native import native_machine
from nvsim.loader.outcome import ProcessRequest
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import walk

EXAMPLES = int(os.environ.get("NVSIM_TEST_EXECVE_EXAMPLES", "60"))
AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "-r"]
USERS = (0, 65534, 1000) if os.geteuid() == 0 else (0,)
# Reads [root, [[path, argv, cwd, uid], ...]] and prints for each the errno's name, or the status (negative: the signal).
HELPER = """
import errno, json, os, sys
root, cases = json.load(sys.stdin)
os.umask(0)
out = []
for path, argv, cwd, uid in cases:
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        for fd in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        os.chroot(root)
        os.chdir(cwd)
        if uid:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        try:
            os.execve(path, argv, {})
        except OSError as e:
            os.write(w, errno.errorcode[e.errno].encode())
        os._exit(99)
    os.close(w)
    said = os.read(r, 99).decode()
    os.close(r)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out.append(said or status)
print(json.dumps(out))
"""


def usable() -> bool:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    return subprocess.run([*AS_ROOT, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not usable(), reason="needs x86-64 Linux and the right to chroot")

NAMES = ("a", "b", "c", "d", "e")
PLACES = ("bin", "opt/x")
PATHS = tuple(f"/{place}/{name}" for place in PLACES for name in NAMES)
INTERPRETERS = (*PATHS, *PATHS, "/nosuch", "a", "./b", "/bin", "/bin/a/x", "/l/41", "/l/40")
LINES = (
    *(
        "#!{0}\n",
        "#!{0}\n",
        "#! {0} arg x \n",
        "#!\t{0}\n",
        "#!{0}",
        "#!{0}\r\n",
        "#!\n",
        "#! \n",
        "#!{0} \t\n",
        "#!/bin/../{0}\n",
    ),
    *(
        "#!/{pad250}\n",
        "#!/{pad251}\n",
        "#!/{pad252}\n",
        "#!/{pad253}\n",
        "#!/{pad254}x\n",
        "#!{0} {pad300}\n",
        "#!" + " " * 300 + "{0}\n",
    ),
    *("echo\n", "", "#", "# !/bin/a\n", "#!{0}\0x\n", "\n#!{0}\n"),
)


@st.composite
def contents(draw: st.DrawFn, status: int) -> tuple[str, Any]:
    kind = draw(st.sampled_from(("elf", "elf", "elf", "interp", "interp", "script", "script", "odd", "link", "dir")))
    other = draw(st.sampled_from(INTERPRETERS))
    if kind == "elf":
        return ("file", write_elf(ElfFacts(type=draw(st.sampled_from(("EXEC", "DYN")))), program=Program(status)))
    if kind == "interp":
        return ("file", write_elf(ElfFacts(type="EXEC", interp=other), program=Program(status)))
    if kind == "script":
        line = draw(st.sampled_from(LINES))
        for size in (250, 251, 252, 253, 254, 300):
            line = line.replace(f"{{pad{size}}}", "y" * size)
        return ("file", line.replace("{0}", other).encode())
    if kind == "odd":
        changes: dict[str, Any] = draw(
            st.sampled_from(
                (
                    *({"machine": "aarch64"}, {"machine": "i386", "elf_class": 32}, {"type": "REL"}, {"type": "CORE"}),
                    *({"data": 2}, {"osabi": 9}, {"ev": 7}, {"phentsize": 60}, {"e_version": 9}, {"elf_class": 32}),
                    *({"interp": "y" * 4200}, {"interp": ""}, {"machine": "i386", "elf_class": 32, "interp": other}),
                )
            )
        )
        changes = {"type": "EXEC", **changes}
        if "elf_class" in changes and "machine" not in changes:
            return (
                "file",
                write_elf(ElfFacts(type="EXEC"), program=Program(status))[:4]
                + b"\x01"
                + write_elf(ElfFacts(type="EXEC"), program=Program(status))[5:],
            )
        data = write_elf(ElfFacts(), program=Program(status), **changes)
        return ("file", data[: draw(st.sampled_from((len(data), len(data), len(data), 63, 20, 4)))])
    if kind == "link":
        return ("link", draw(st.sampled_from((*PATHS, "a", "../bin/b", "nosuch", "/l/39", "/l/40"))))
    return ("dir", None)


@st.composite
def roots(draw: st.DrawFn) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for place in PLACES:
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True)):
            status = draw(st.integers(1, 60))
            kind, what = draw(contents(status))
            mode = draw(st.sampled_from((0o755, 0o755, 0o755, 0o644, 0o700, 0o111, 0o010, 0o4755, 0o001)))
            owner = draw(st.sampled_from(USERS))
            root[f"{place}/{name}"] = (kind, what, mode, owner, status)
    root["opt"] = ("dir", None, draw(st.sampled_from((0o755, 0o755, 0o700, 0o711))), 0, 0)
    return root


def build(top: Path, root: dict[str, Any]) -> None:
    for place in (*PLACES, "l"):
        (top / place).mkdir(parents=True, exist_ok=True)
    for number in range(1, 43):  # l/N leads to bin/a over N links
        (top / f"l/{number}").symlink_to(f"/l/{number - 1}" if number > 1 else "/bin/a")
    for path, (kind, what, mode, owner, _) in sorted(root.items()):
        at = top / path
        if kind == "link":
            at.symlink_to(what)
            continue
        if kind == "dir":
            at.mkdir(exist_ok=True)
        else:
            at.write_bytes(what)
        if owner:
            os.chown(at, owner, owner)
        at.chmod(mode)
    top.chmod(0o755)


cases = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *PATHS,
                *PATHS,
                "a",
                "./b",
                "../bin/a",
                "/bin/a/",
                "/bin/b/.",
                "",
                "/bin",
                "/nosuch/x",
                "/l/39",
                "/l/40",
                "//bin//c",
            )
        ),
        st.sampled_from((["x"], ["x", "-y"], ["x", "z" * 131071], ["x", "z" * 131072])),
        st.sampled_from(("/", "/bin")),
        st.sampled_from(USERS),
    ),
    min_size=3,
    max_size=8,
)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(root=roots(), runs=cases)
def test_programs_start_or_fail_as_the_kernel_says(
    root: dict[str, Any], runs: list[tuple[str, list[str], str, int]]
) -> None:
    machine = native_machine()
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        build(top, root)
        told = subprocess.run(
            [*AS_ROOT, sys.executable, "-c", HELPER],
            input=json.dumps([name, runs]),
            capture_output=True,
            text=True,
            check=True,
        )
        tree = DirectoryTree(top)
        for (path, argv, cwd, uid), real in zip(runs, json.loads(told.stdout), strict=True):
            mine = execve(Resolver(tree, uid), ProcessRequest(path, tuple(argv), cwd=cwd, uid=uid, gid=uid), machine)
            assert answer(mine, root) == real, (path, argv[0], cwd, uid)


def answer(mine: ExecImage | ExecFailure | ExecCrash, root: dict[str, Any]) -> str | int:
    """What the model says, as the helper prints it; programs end with the status that was written into them."""
    if isinstance(mine, ExecFailure):
        return mine.errno
    if isinstance(mine, ExecCrash):
        return -11
    status: int = root[(mine.interp_path or mine.path).lstrip("/")][4]
    return status


def test_a_root_is_read_as_it_was_written(tmp_path: Path) -> None:
    root = {"bin/a": ("file", write_elf(ElfFacts(type="EXEC"), program=Program(7)), 0o755, 0, 7)}
    build(tmp_path, root)
    tree = DirectoryTree(tmp_path)
    found = [path for path, node in walk(tree) if isinstance(node, File)]
    assert found == ["/bin/a"]
    mine = execve(Resolver(tree), ProcessRequest("/l/40", ("x",)), native_machine())
    assert answer(mine, root) == 7
