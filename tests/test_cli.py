"""The command line: what is imported when, streams, formats, colours, exit statuses, and what each command answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import click
import pytest

from commands import nvsim
from machine_root import LOADER, copied_root
from nvsim.cli.main import COMMANDS, cli
from nvsim.elf.store import SETTLED

RUN = ("run", "--host", "debian12-535", "--gpus", "all")
HEAVY = ("attr", "attrs", "yaml", "rich", "elftools", "json", "nvsim.scenario", "nvsim.loader", "nvsim.diagnosis")


def known() -> list[str]:
    return cli.list_commands(click.Context(cli))


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a call imports."""
    code = f"import sys; from nvsim.cli.main import main\ntry: main({list(arguments)!r})\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not [m for m in loaded_by(*arguments) if m.startswith(HEAVY)]


def test_a_run_imports_neither_elf_reader_nor_yaml_nor_rich() -> None:
    assert not [m for m in loaded_by(*RUN, "example:debian12") if m.split(".")[0] in ("elftools", "yaml", "rich")]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_a_module_and_help(name: str) -> None:
    if name not in known():
        pytest.skip(f"{name} is not part of this installation")
    command = import_module(f"nvsim.cli.{name}").command
    assert command.name == name
    done = nvsim(name, "--help")
    assert done.status == 0 and done.err == ""
    assert command.help


def test_the_group_lists_its_commands_with_one_line_each() -> None:
    done = nvsim("--help")
    assert all(f"  {name} " in done.out and COMMANDS[name] in done.out for name in known())


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert nvsim("--version").out.split()[-1] == version("nvsim")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((*RUN, "example:debian12"), 0),
        ((*RUN, "example:debian12", "/nope"), 1),
        ((*RUN, "--strict", "example:debian12"), 0),
        ((*RUN, "-e", "LD_AUDIT=/x", "example:debian12"), 0),
        ((*RUN, "-e", "LD_AUDIT=/x", "--strict", "example:debian12"), 3),
        ((*RUN, "--host", "eks-al2-535", "example:nix-torch"), 1),
        (("dlopen", "--host", "debian12-535", "--gpus", "all", "example:debian12", "libcuda.so.1"), 0),
        (("dlopen", "--host", "debian12-535", "--runtime", "runc", "example:debian12", "libcuda.so.1"), 1),
        (("fix", "--host", "debian12-535", "--gpus", "all", "example:debian12"), 0),
        (("fix", "--host", "debian12-535", "--gpus", "all", "example:debian12", "/nope"), 1),
        (("diff", "--host", "debian12-535", "--host", "debian12-535", "example:debian12"), 0),
        (("diff", *RUN[1:], "--host", "rhel9-550", "example:debian12"), 1),
        (("plan", "--host", "debian12-535", "--gpus", "all", "example:debian12"), 0),
        (("ldd", "example:debian12", "cuda-probe"), 0),
        (("host", "list"), 0),
        (("image", "list"), 0),
        (("explain",), 0),
    ],
)
def test_exit_statuses(arguments: tuple[str, ...], status: int) -> None:
    done = nvsim(*arguments)
    assert done.status == status
    assert done.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (*RUN, "example:debian12"),
        (*RUN, "--host", "eks-al2-535", "example:debian12"),
        ("plan", *RUN[1:], "example:debian12"),
        ("plan", *RUN[1:], "--against", "1.3.0", "example:debian12"),
        ("fix", *RUN[1:], "example:debian12"),
        ("diff", *RUN[1:], "--host", "rhel9-550", "example:debian12"),
        ("ldd", "example:debian12", "cuda-probe"),
        ("ldd", "--trace", "example:debian12", "cuda-probe"),
        ("host", "list"),
        ("host", "show", "debian12-535"),
        ("host", "diff", "debian12-535", "rhel9-550"),
        ("image", "list"),
        ("image", "show", "example:nix-torch"),
        ("image", "index", "example:alpine"),
        ("explain",),
        ("explain", "NVS401"),
        ("explain", "search"),
    ],
)
def test_json_is_sorted_and_the_same_each_time(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    head = 2 if arguments[0] in ("host", "image") else 1
    first = nvsim(*arguments[:head], "--format", "json", *arguments[head:])
    assert first.out == json.dumps(json.loads(first.out), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    monkeypatch.setenv("NVSIM_FORMAT", "json")
    assert nvsim(*arguments).out == first.out


def test_an_option_beats_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVSIM_FORMAT", "json")
    assert nvsim("run", "--format", "text", *RUN[1:], "example:debian12").out.startswith("WORKS")
    monkeypatch.setenv("NVSIM_FORMAT", "xml")
    done = nvsim(*RUN, "example:debian12")
    assert done.status == 2 and "NVSIM_FORMAT" in done.err


def test_colour_is_for_terminals_alone() -> None:
    assert "\x1b[" not in nvsim(*RUN, "example:debian12").out
    assert "\x1b[1;32mWORKS\x1b[0m" in nvsim("run", "--color", "always", *RUN[1:], "example:debian12").out
    assert "\x1b[" not in nvsim("run", "--color", "never", *RUN[1:], "example:debian12").out


def test_several_hosts_give_a_table_with_a_row_each() -> None:
    done = nvsim(
        "run",
        "--host",
        "eks-al2-2021",
        "--host",
        "debian12-535",
        "-e",
        "NVIDIA_VISIBLE_DEVICES=all",
        "example:debian12",
    )
    lines = done.out.splitlines()
    assert lines[0] == "example:debian12: works on 1 of 2 hosts"
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert "FAILS" in rows["eks-al2-2021"] and "NVS101" in rows["eks-al2-2021"]
    assert "WORKS" in rows["debian12-535"] and rows["debian12-535"].endswith("-")
    assert done.status == 1


def test_a_variable_without_a_value_comes_from_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "all")
    assert nvsim("run", "--host", "debian12-535", "-e", "NVIDIA_VISIBLE_DEVICES", "example:debian12").status == 0
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES")
    assert nvsim("run", "--host", "debian12-535", "-e", "NVIDIA_VISIBLE_DEVICES", "example:debian12").status == 1


def test_a_pasted_docker_command_is_understood() -> None:
    plain = nvsim("run", "--host", "debian12-535", "--gpus", "all", "example:debian12", "nvidia-smi")
    words = [
        "--rm",
        "-it",
        "--name",
        "x",
        "--network",
        "host",
        "-p",
        "80:80",
        "--shm-size",
        "8g",
        "--ipc",
        "host",
        "--ulimit",
        "memlock=-1",
        "-m",
        "4g",
    ]
    assert nvsim("run", "--host", "debian12-535", *words, "--gpus", "all", "example:debian12", "nvidia-smi") == plain


def test_help_has_docker_options_under_a_heading_of_their_own() -> None:
    text = nvsim("run", "--help").out
    docker, other = (text.index(h) for h in ("Options of docker run:", "Other options:"))
    assert (
        text.index("Host, toolkit and simulation:")
        < text.index("--toolkit-version")
        < docker
        < text.index("--cap-add")
        < other
    )
    assert "--shm-size" not in text


def test_a_trace_shows_every_candidate() -> None:
    done = nvsim("run", "--trace", *RUN[1:], "example:nix-torch")
    assert "Search\n" in done.out
    assert "libcuda.so.1 for /nix/store" in done.out


def test_plans_side_by_side() -> None:
    done = nvsim(
        "plan", "--host", "eks-al2-535", "-e", "NVIDIA_VISIBLE_DEVICES=all", "--against", "1.3.0", "example:nix-torch"
    )
    rows = {line.split("  ")[1]: line.split()[-2:] for line in done.out.splitlines() if line.startswith("  ")}
    assert rows["capabilities"] == ["compute,utility", "utility"]
    assert "Only with toolkit 1.17.8, legacy" in done.out
    assert "- library /usr/lib64/libcuda.so.535.309.01" in done.out
    assert "Only with 1.3.0" not in done.out


def test_scenarios_of_diff_are_strings_or_files(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"host": "debian12-535", "image": "example:debian12", "gpus": "all"}))
    done = nvsim("diff", "--host debian12-535 --gpus all example:debian12", str(file))
    assert done.status == 0 and done.out.startswith("SAME")
    done = nvsim("diff", "--format", "json", "--host debian12-535 example:debian12", str(file))
    assert done.status == 1
    assert [f["code"] for f in json.loads(done.out)["findings"]["gone"]] == ["NVS102"]


@pytest.mark.skipif(not LOADER.exists(), reason="needs glibc on x86-64")
def test_the_cache_can_be_looked_at_and_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVSIM_NO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = copied_root(tmp_path / "root", "/bin/sh")
    for file in root.rglob("*"):
        os.utime(file, (1, 1))
    time.sleep(SETTLED)
    assert nvsim("cache", "info").out.endswith("facts of 0 ELF files\n")
    assert nvsim("ldd", str(root), "/bin/sh").status == 0
    info = json.loads(nvsim("cache", "info", "--format", "json").out)
    assert info["records"] > 0 and info["folder"] == str(tmp_path / "nvsim")
    assert nvsim("ldd", "--no-cache", str(root), "/bin/sh").out == nvsim("ldd", str(root), "/bin/sh").out
    assert nvsim("cache", "clean").out.startswith(f"removed {info['files']} file")
    assert json.loads(nvsim("cache", "info", "--format", "json").out)["records"] == 0
    monkeypatch.setenv("NVSIM_NO_CACHE", "1")
    assert nvsim("cache", "info").status == 2
    assert nvsim("ldd", str(root), "/bin/sh").status == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    script = nvsim("completion", shell).out
    assert f"_NVSIM_COMPLETE={shell}_complete" in script


def test_hosts_and_images_are_completed() -> None:
    def complete(*words: str) -> list[str]:
        env = {
            "_NVSIM_COMPLETE": "zsh_complete",
            "COMP_WORDS": " ".join(["nvsim", *words]),
            "COMP_CWORD": str(len(words)),
        }
        done = subprocess.run([sys.executable, "-m", "nvsim"], env=env, capture_output=True, text=True, check=False)
        return done.stdout.split("\n")[1::3]

    assert complete("run", "--host", "eks-al2-") == ["eks-al2-2021", "eks-al2-535"]
    assert "example:nix-torch" in complete("run", "--host", "eks-al2-535", "example:nix")
    assert "explain" in complete("ex")


def test_work_of_some_time_shows_its_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = import_module("nvsim.cli.output")
    monkeypatch.setattr(output, "_PATIENCE", 0.0)
    assert list(output.with_progress(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(output.with_progress(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "letters" in shown.err and shown.out == ""


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("nvsim.cli.run"), "scenarios_of", interrupted)
    assert nvsim(*RUN, "example:debian12").status == 130
