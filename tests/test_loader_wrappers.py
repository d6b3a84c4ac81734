"""Wrappers that only set an environment, nix-ld and stub-ld."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadertrees import LD, elf, load, loader, paths, program
from nvsim.loader.wrappers import Wrapped, follow_command, follow_script
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import File

STORE = "/nix/store/x"
NEW_PREFIX = """\
LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+':'$LD_LIBRARY_PATH':'}
LD_LIBRARY_PATH=${LD_LIBRARY_PATH/':''/opt'':'/':'}
LD_LIBRARY_PATH='/opt'$LD_LIBRARY_PATH
LD_LIBRARY_PATH=${LD_LIBRARY_PATH#':'}
LD_LIBRARY_PATH=${LD_LIBRARY_PATH%':'}
export LD_LIBRARY_PATH
"""
OLD_PREFIX = "export LD_LIBRARY_PATH='/opt'${LD_LIBRARY_PATH:+':'}$LD_LIBRARY_PATH\n"


def script(body: str, last: str = "") -> dict[str, Any]:
    end = last or f'exec -a "$0" "{STORE}/bin/.app-wrapped"  "$@" '
    return {"type": "file", "text": f"#! {STORE}/bin/bash -e\n{body}{end}\n"}


def tree(body: str, last: str = "") -> dict[str, Any]:
    return {
        f"{STORE}/bin/bash": program(),
        f"{STORE}/bin/app": script(body, last),
        f"{STORE}/bin/.app-wrapped": program("libx.so"),
        "/opt/libx.so": elf(),
    }


@pytest.mark.parametrize("body", [NEW_PREFIX, OLD_PREFIX, "# set\nexport LD_LIBRARY_PATH=/opt\n"])
def test_a_shell_wrapper_is_followed_to_its_program(body: str) -> None:
    outcome = load(tree(body), {"HOME": "/root"}, path=f"{STORE}/bin/app")
    assert outcome.program == f"{STORE}/bin/.app-wrapped"
    assert paths(outcome) == ["/opt/libx.so"]
    assert [s.role for s in outcome.steps].count("interpreter") == 2


def test_without_the_directory_the_wrapped_program_fails_under_the_wrappers_name() -> None:
    outcome = load(tree("export OTHER=1\n"), path=f"{STORE}/bin/app")
    text = "libx.so: cannot open shared object file: No such file or directory\n"
    assert outcome.stderr == f"{STORE}/bin/app: error while loading shared libraries: {text}"


@pytest.mark.parametrize("body", ["if true; then\n", 'export A="$(date)"\n', "eval x\n", 'cd "${B:?none}"\n'])
def test_a_wrapper_that_needs_a_shell_is_unknown(body: str) -> None:
    outcome = load(tree(body), path=f"{STORE}/bin/app")
    assert (outcome.outcome, outcome.started) == ("unknown", False)
    assert "only a shell can follow" in (outcome.unknown or "")


def test_a_script_that_is_no_wrapper_is_its_shell() -> None:
    outcome = load(tree("", "echo hello"), path=f"{STORE}/bin/app")
    assert (outcome.outcome, outcome.started, outcome.program) == ("exit", True, f"{STORE}/bin/bash")


def test_an_entry_script_that_executes_its_arguments_is_followed_through_path() -> None:
    entries = {
        **tree("", 'exec "$@"'),
        "/opt/bin/smi": program(),
        "/usr/bin/smi": {"type": "file", "text": "", "mode": "0644"},
    }
    outcome = load(entries, {"PATH": "/usr/bin:/opt/bin"}, path=f"{STORE}/bin/app", argv=("app", "smi", "-L"))
    assert (outcome.program, outcome.started) == ("/opt/bin/smi", True)
    missing = load(entries, {"PATH": "/usr/bin"}, path=f"{STORE}/bin/app", argv=("app", "smi"))
    assert (missing.outcome, missing.errno) == ("exec-error", "ENOENT")


def test_wrappers_that_never_end_are_unknown() -> None:
    entries = tree("", f'exec "{STORE}/bin/app" "$@"')
    assert "wrappers in a row" in (load(entries, path=f"{STORE}/bin/app").unknown or "")


def test_a_compiled_wrapper_tells_the_command_that_made_it() -> None:
    command = (
        "makeCWrapper '/nix/store/x/bin/.app-wrapped' \\\n    --inherit-argv0 \\\n    --prefix 'LD_LIBRARY_PATH' ':' '/opt' \\\n"
        "    --set-default 'A' 'x y' \\\n    --unset 'B' \\\n    --add-flags '-v -q' \\\n    --chdir '/tmp'\n"
    )
    got = follow_command(command, ("app", "z"), (("LD_LIBRARY_PATH", "/l"), ("B", "1")))
    env = (("LD_LIBRARY_PATH", "/opt:/l"), ("A", "x y"))
    assert got == Wrapped("/nix/store/x/bin/.app-wrapped", ("app", "-v", "-q", "z"), env, "/tmp")
    assert "--run" in str(follow_command("makeCWrapper /x --run 'x'", (), ()))
    entries = {**tree(""), f"{STORE}/bin/app": program(make_c_wrapper=command), "/tmp": {"type": "dir"}}
    assert paths(load(entries, path=f"{STORE}/bin/app", argv=("app",))) == ["/opt/libx.so"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_a_compiled_wrapper_is_known_by_its_own_string(tmp_path: Path) -> None:
    store = tmp_path / "nix/store/x/bin"
    store.mkdir(parents=True)
    text = "\\n\\n# ---\\n# made by:\\n\\n\\nmakeCWrapper '/nix/store/x/bin/.a' \\\\\\n    --set 'A' 'b'\\n\\n\\n# (Use it)\\n"
    source = f'const char * DOCSTRING = "{text}"; int main(void) {{ return 0; }}'
    command = ["gcc", "-x", "c", "-", "-o", store / "a", "-Wl,--dynamic-linker=/nix/store/g/lib/ld-linux-x86-64.so.2"]
    subprocess.run(command, input=source, text=True, check=True)
    node = DirectoryTree(str(tmp_path)).node("/nix/store/x/bin/a")
    assert isinstance(node, File) and node.facts.elf is not None
    made_by = node.facts.elf.extra["make_c_wrapper"]
    assert follow_command(made_by, ("a",), ()) == Wrapped(
        "/nix/store/x/bin/.a", ("/nix/store/x/bin/.a",), (("A", "b"),)
    )


values = st.text("ab/:", max_size=5)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@settings(max_examples=25, deadline=None)
@given(st.none() | values, values.filter(bool), st.sampled_from(["prefix", "suffix", "default", "strip"]))
def test_environments_are_what_bash_makes_of_them(before: str | None, value: str, kind: str) -> None:
    body = {
        "prefix": NEW_PREFIX.replace("/opt", value).replace("LD_LIBRARY_PATH", "V"),
        "suffix": f"export V=$V${{V:+':'}}'{value}'\n",
        "default": f"export V=${{V-'{value}'}}\nexport W=\"${{V:-none}}\"\n",
        "strip": f"V=${{V#'{value}'}}\nexport V W=\"<$V>\"\n",
    }[kind]
    env = {"PATH": "/usr/bin:/bin"} | ({} if before is None else {"V": before})
    done = subprocess.run(
        ["bash", "-c", f"{body}exec /usr/bin/env -0"], env=env, capture_output=True, text=True, check=True
    )
    real = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    got = follow_script(f'{body}exec /x "$@"\n', "/w", (), tuple(env.items()))
    assert isinstance(got, Wrapped)
    mine = dict(got.env)
    assert {k: mine.get(k) for k in ("V", "W")} == {k: real.get(k) for k in ("V", "W")}


NIX_LD = {"type": "file", "size": 90000, "elf": {"machine": "x86_64"}, "loader": {"libc": "nix-ld", "version": "2.0"}}


def test_nix_ld_hands_over_to_the_loader_and_libraries_of_its_variables() -> None:
    entries = {
        LD: NIX_LD,
        f"{STORE}/ld.so": loader("2.40", system_dirs=[f"{STORE}/lib"], cache=None),
        "/app/main": program("libx.so"),
        "/opt/libx.so": elf(),
    }
    env = {"NIX_LD": f"{STORE}/ld.so", "NIX_LD_LIBRARY_PATH": "/opt"}
    assert paths(load(entries, env)) == ["/opt/libx.so"]
    first = load(entries, {**env, "LD_LIBRARY_PATH": "/first:"}).searches[0].candidates
    assert (first[0].path, first[-1].path) == ("/first/glibc-hwcaps/x86-64-v4/libx.so", "/opt/libx.so")
    assert load(entries, {"NIX_LD_LIBRARY_PATH": "/opt"}).outcome == "unknown"


def test_stub_ld_says_why_and_ends_with_127() -> None:
    entries = {LD: {**NIX_LD, "loader": {"libc": "stub-ld", "version": "1"}}, "/app/main": program("libx.so")}
    outcome = load(entries, argv=("main",))
    assert outcome.exit_code == 127
    assert outcome.stderr.startswith("Could not start dynamically linked executable: main\nNixOS cannot run")


def test_machine_files_need_no_shell(tmp_path: Path) -> None:
    """A text without a last exec line, and one with an unclosed quote."""
    assert follow_script("", "/w", (), ()) is None
    assert "closed" in str(follow_script('export A=\'x\nexec /x "$@"\n', "/w", (), ()))
