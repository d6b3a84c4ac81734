"""runc and crun by release: how they look a program up, what they say of it, and the runtimes of this machine beside the table.

The texts are those of runc 1.0.0-rc93, 1.1.5, 1.1.15, 1.3.6 and crun 0.17, 1.8.1, 1.21, 1.28, run on a bundle with these files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.treefile import tree_from_json
from nvsim.scenario.engine import Process
from nvsim.scenario.messages import exec_failed, look_up
from nvsim.scenario.messages_runtimes import EXECVP, RUNC_RC93, Version, runtime_named, runtime_texts, setup_failed

FILES: dict[str, dict[str, Any]] = {
    "/usr/bin/tool": {"type": "file", "size": 9},
    "/usr/bin/data": {"type": "file", "size": 9, "mode": "0644"},
    "/usr/bin/mine": {"type": "file", "size": 9, "mode": "0700"},
    "/usr/bin/dir": {"type": "dir"},
    "/usr/bin/loop": {"type": "symlink", "target": "loop"},
    "/usr/bin/dangling": {"type": "symlink", "target": "/nowhere"},
    "/opt/tool": {"type": "file", "size": 9, "mode": "0644"},
    "/closed": {"type": "dir", "mode": "0700"},
    "/closed/tool": {"type": "file", "size": 9},
}
TREE = tree_from_json(FILES, "t")
RUNC_1_1, RUNC_1_1_15, RUNC_1_3 = ("runc", (1, 1, 5)), ("runc", (1, 1, 15)), ("runc", (1, 3, 6))
CRUN_1_8, CRUN_1_21, CRUN_1_28 = ("crun", (1, 8, 1)), ("crun", (1, 21)), ("crun", (1, 28))
RUNCS, CRUNS = (RUNC_1_1, RUNC_1_1_15, RUNC_1_3), (CRUN_1_8, CRUN_1_21, CRUN_1_28)
NO_PATH = 'exec: "{}": executable file not found in $PATH'
CRUN_NO_PATH = "executable file `{}` not found in $PATH: No such file or directory"


def looked_up(
    runtime: tuple[str, Version], argv0: str, uid: int = 0, cwd: str = "/", path: str = "/opt:/usr/bin"
) -> tuple[str | None, str | None]:
    process = Process((argv0,), (f"PATH={path}",), cwd, uid, uid)
    found = look_up(Resolver(TREE, uid), process, *runtime)
    return found.path, found.error


@pytest.mark.parametrize("runtime", (*RUNCS, *CRUNS))
def test_what_is_nowhere_in_path_is_told_alike_by_releases(runtime: tuple[str, Version]) -> None:
    template = NO_PATH if runtime in RUNCS else CRUN_NO_PATH
    for name in ("nvidia-smi", "dangling"):
        assert looked_up(runtime, name) == (None, template.format(name))
    assert looked_up(runtime, "tool") == ("/usr/bin/tool", None)


@pytest.mark.parametrize(
    ("runtimes", "argv0", "error"),
    [
        (RUNCS, "/usr/bin/nosuch", 'exec: "/usr/bin/nosuch": stat /usr/bin/nosuch: no such file or directory'),
        ((CRUN_1_8,), "/usr/bin/nosuch", CRUN_NO_PATH.format("/usr/bin/nosuch")),
        ((CRUN_1_21,), "/usr/bin/nosuch", "executable file `/usr/bin/nosuch` not found: No such file or directory"),
        (RUNCS, "/usr/bin/data", 'exec: "/usr/bin/data": permission denied'),
        ((CRUN_1_8,), "/usr/bin/data", "open executable: Permission denied"),
        (
            (CRUN_1_21, CRUN_1_28),
            "/usr/bin/data",
            "the path `/usr/bin/data` exists but it is not executable: Operation not permitted",
        ),
        ((RUNC_1_1,), "/usr/bin/dir", 'exec: "/usr/bin/dir": permission denied'),
        ((RUNC_1_1_15, RUNC_1_3), "/usr/bin/dir", 'exec: "/usr/bin/dir": is a directory'),
        ((CRUN_1_8,), "/usr/bin/dir", "open executable: Operation not permitted"),
        (
            (CRUN_1_21, CRUN_1_28),
            "/usr/bin/dir",
            "the path `/usr/bin/dir` is not a regular file: Operation not permitted",
        ),
        (RUNCS, "/usr/bin/tool/x", 'exec: "/usr/bin/tool/x": stat /usr/bin/tool/x: not a directory'),
        ((CRUN_1_8,), "/usr/bin/tool/x", "open executable: Not a directory"),
        ((CRUN_1_21,), "/usr/bin/tool/x", "cannot open `/usr/bin/tool/x`: Not a directory"),
        ((CRUN_1_28,), "/usr/bin/tool/x", "open `/usr/bin/tool/x`: Not a directory"),
        (RUNCS, "/usr/bin/loop", 'exec: "/usr/bin/loop": stat /usr/bin/loop: too many levels of symbolic links'),
        ((CRUN_1_28,), "/usr/bin/loop", "open `/usr/bin/loop`: Too many levels of symbolic links"),
        (RUNCS, "./nosuch", 'exec: "./nosuch": stat ./nosuch: no such file or directory'),
        ((CRUN_1_21,), "./nosuch", "executable file `/./nosuch` not found: No such file or directory"),
        ((CRUN_1_21, CRUN_1_28), "", "cannot find `` in $PATH: No such file or directory"),
        ((CRUN_1_8,), "", "open executable: Operation not permitted"),
        (RUNCS, "", NO_PATH.format("")),
        (RUNCS, ".", NO_PATH.format(".")),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_release(
    runtimes: tuple[tuple[str, Version], ...], argv0: str, error: str
) -> None:
    for runtime in runtimes:
        assert looked_up(runtime, argv0) == (None, error)


def test_crun_tells_of_the_last_file_in_path_that_is_no_program() -> None:
    for name in ("data", "dir"):
        assert looked_up(RUNC_1_3, name) == (None, NO_PATH.format(name))
    assert looked_up(CRUN_1_8, "data") == (None, "open executable: Permission denied")
    assert looked_up(CRUN_1_21, "dir")[1] == "the path `dir` is not a regular file: Operation not permitted"


def test_the_users_permissions_count_early_with_runc_and_late_with_crun() -> None:
    denied = 'exec: "/usr/bin/mine": permission denied'
    assert looked_up(RUNC_1_3, "/usr/bin/mine", 1000) == (None, denied)
    assert looked_up(RUNC_1_3, "mine", 1000) == (None, NO_PATH.format("mine"))
    assert looked_up(RUNC_1_1, "mine", 1000) == (None, "exec /usr/bin/mine: permission denied")
    assert looked_up(("runc", RUNC_RC93), "mine", 1000) == ("/usr/bin/mine", None)
    for crun in CRUNS:
        assert looked_up(crun, "/usr/bin/mine", 1000) == ("/usr/bin/mine", None)
        assert looked_up(crun, "/closed/tool", 1000) == ("/closed/tool", None)
    assert looked_up(RUNC_1_3, "/closed/tool", 1000)[1] == 'exec: "/closed/tool": stat /closed/tool: permission denied'


@pytest.mark.parametrize("path", [".:/x", "/x::/y"])
def test_relative_entries_of_path_are_refused_by_newer_runc(path: str) -> None:
    refused = 'exec: "tool": cannot run executable found relative to current directory'
    assert looked_up(RUNC_1_3, "tool", cwd="/usr/bin", path=path) == (None, refused)
    assert looked_up(("runc", RUNC_RC93), "tool", cwd="/usr/bin", path=path) == ("tool", None)
    assert looked_up(CRUN_1_21, "tool", cwd="/usr/bin", path=path) == ("./tool", None)
    assert looked_up((EXECVP, (1, 1)), "tool", cwd="/usr/bin", path=path) == ("tool", None)


def test_an_empty_path_has_no_entry_but_with_newer_crun_and_execvp() -> None:
    for runtime in (RUNC_1_3, CRUN_1_8):
        assert looked_up(runtime, "tool", cwd="/usr/bin", path="")[0] is None
    for runtime in (CRUN_1_21, (EXECVP, (1, 1))):
        assert looked_up(runtime, "tool", cwd="/usr/bin", path="")[0] is not None


@pytest.mark.parametrize(
    ("runtime", "errno", "shown"),
    [
        (("runc", RUNC_RC93), "ENOENT", ("standard_init_linux.go:228: exec user process caused: {}", 1)),
        (RUNC_1_1, "ENOENT", ("exec /x: {}", 1)),
        (RUNC_1_1_15, "ENOEXEC", ("exec /x: {}", 1)),
        (RUNC_1_3, "ENOENT", ("exec /x: {}", 255)),
        (CRUN_1_8, "ENOEXEC", ('{{"msg":"exec container process `/x`: {}","level":"error","time":"<time>"}}', 1)),
        (
            CRUN_1_21,
            "ENOENT",
            (
                '{{"msg":"exec container process (missing dynamic library?) `/x`: {}","level":"error","time":"<time>"}}',
                1,
            ),
        ),
        (
            CRUN_1_28,
            "ENOEXEC",
            (
                '{{\n  "msg": "exec container process `\\/x`: {}",\n  "level": "error",\n  "time": "<time>"\n}}',
                1,
            ),
        ),
    ],
)
def test_a_failing_execve_ends_the_container(runtime: tuple[str, Version], errno: str, shown: tuple[str, int]) -> None:
    word = {"ENOENT": "no such file or directory", "ENOEXEC": "exec format error"}[errno]
    text = shown[0].format(word.capitalize() if runtime in CRUNS else word)
    assert exec_failed("/x", errno, *runtime) == (text, shown[1])


def test_without_a_json_log_crun_writes_plain_text() -> None:
    assert exec_failed("/x", "EIO", *CRUN_1_28, json=False) == ("exec container process `/x`: Input/output error", 1)


FAILED_HOOK = "error running hook #0: error running hook: exit status 3, stdout: , stderr: told\n"
LOST_HOOK = "error running hook #1: fork/exec /opt/hook: no such file or directory"
SOURCE = 'error mounting "/lost" to rootfs at "/usr/lib/x": stat /lost: no such file or directory'


@pytest.mark.parametrize(
    ("runtime", "failure", "kind", "text"),
    [
        (RUNC_1_1_15, FAILED_HOOK, "prestart", "error during container init: " + FAILED_HOOK.rstrip()),
        (
            RUNC_1_3,
            FAILED_HOOK,
            "prestart",
            "error during container init: error running prestart hook #0: exit status 3, stdout: , stderr: told",
        ),
        (RUNC_1_3, LOST_HOOK, "createContainer", "error during container init: " + LOST_HOOK.replace("hook #", "createContainer hook #")),
        (CRUN_1_21, FAILED_HOOK, "prestart", "error executing hook `/opt/hook` (exit code: 3)"),
        (
            CRUN_1_21,
            FAILED_HOOK,
            "createContainer",
            '{"msg":"error executing hook `/opt/hook` (exit code: 3)","level":"error","time":"<time>"}',
        ),
        (CRUN_1_21, LOST_HOOK, "prestart", "error executing hook `/opt/hook` (exit code: 1)"),
        (RUNC_1_1, SOURCE, "", "error during container init: " + SOURCE),
        (RUNC_1_3, SOURCE, "", "error during container init: failed to fulfil mount request: open /lost: no such file or directory"),
        (CRUN_1_8, SOURCE, "", "error stat'ing file `/lost`: No such file or directory"),
        (CRUN_1_21, SOURCE, "", "cannot stat `/lost`: No such file or directory"),
    ],
)  # fmt: skip
def test_hooks_and_mounts_that_fail_are_told_by_release(
    runtime: tuple[str, Version], failure: str, kind: str, text: str
) -> None:
    assert setup_failed(runtime_texts(*runtime), failure, kind, "/opt/hook") == text


def test_runtimes_are_named_with_or_without_a_release() -> None:
    assert runtime_named("runc-1.1.5") == ("runc", (1, 1, 5)) and runtime_named("crun-v1.8") == ("crun", (1, 8))
    assert runtime_named("crun") is not None and runtime_named("nvidia") is None and runtime_named("runc-new") is None


# -- the runtimes of this machine --------------------------------------------------------------------------------------------------


def _bundle(folder: Path) -> None:
    """A bundle with `FILES`, without any mount, cgroup or device that a machine may refuse."""
    for path, facts in FILES.items():
        place = folder / f"rootfs{path}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if facts["type"] == "dir":
            place.mkdir(exist_ok=True)
        elif facts["type"] == "symlink":
            place.symlink_to(facts["target"])
        else:
            place.write_bytes(b"not a program")
        if facts["type"] != "symlink":
            place.chmod(int(facts.get("mode", "0755"), 8))
    for name in ("proc", "dev"):
        (folder / "rootfs" / name).mkdir()


def _run(runtime: str, folder: Path, argv0: str) -> str:
    """What the runtime writes when it starts `argv0` in the bundle."""
    config = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [argv0], "env": ["PATH=/opt:/usr/bin"], "cwd": "/"},
        "root": {"path": str(folder / "rootfs")},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "uts", "ipc")]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    flags = ["--cgroup-manager=disabled"] if runtime == "crun" else []
    command = [runtime, *flags, "--root", str(folder / "state"), "run", "--bundle", str(folder), "nvsim-test"]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    logged = re.search(r'level=error msg="runc run failed: ((?:[^"\\]|\\.)*)"', done.stderr)
    return logged[1].replace('\\"', '"') if logged is not None else done.stderr.strip()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_the_machines_runtime_speaks_as_the_table_says(runtime: str, tmp_path: Path) -> None:
    if shutil.which(runtime) is None:
        pytest.skip(f"no {runtime} on this machine")
    if os.geteuid() != 0:
        pytest.skip("containers without user namespaces need root")
    told = subprocess.run([runtime, "--version"], check=False, capture_output=True, text=True).stdout
    version = tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", told).groups("0"))  # type: ignore[union-attr]
    if runtime == "runc" and version < (1, 1):
        pytest.skip(f"runc {version}: its texts have line numbers")
    _bundle(tmp_path)
    texts = runtime_texts(runtime, version)
    around = texts.reason("").removeprefix("runc create failed: ") + texts.in_look_up
    first = _run(runtime, tmp_path, "nosuch")
    if "not found in $PATH" not in first:
        pytest.skip(f"this machine lets {runtime} create no container: {first[-200:]}")
    for argv0 in ("/usr/bin/nosuch", "/usr/bin/data", "/usr/bin/tool/x", "/usr/bin/loop", "data"):
        assert _run(runtime, tmp_path, argv0) == around + (looked_up((runtime, version), argv0)[1] or ""), argv0
