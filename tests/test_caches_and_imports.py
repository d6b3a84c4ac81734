"""What a start costs, and that no cache changes an answer: off, cold, warm, in one process or many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elfwriter import write_elf
from nvsim.elf.cache_info import cache_info
from nvsim.elf.store import SETTLED

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("NVSIM", "XDG"))}


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=ENV)
    return done.stdout


LOAD = """
import sys, json
import nvsim
from nvsim.batch import answer_line
query = {"kind": "load", "input": {"exec": "/bin/app", "rootfs": {"tree": {
    "/bin/app": {"type": "file", "size": 4096, "elf": {"interp": "/lib64/ld-linux-x86-64.so.2", "needed": ["libx.so"]}},
    "/lib64/libx.so": {"type": "file", "size": 4096, "elf": {"soname": "libx.so", "needed": []}},
    "/lib64/ld-linux-x86-64.so.2": {"type": "file", "size": 4096, "elf": {"soname": "ld-linux-x86-64.so.2", "needed": []},
        "loader": {"libc": "glibc", "version": "2.36", "system_dirs": ["/lib64"]}}}}}}
answer = json.loads(answer_line(json.dumps(query)))
assert answer["result"]["started"], answer
print(" ".join(sys.modules))
"""


def test_a_load_query_imports_nothing_that_it_does_not_use() -> None:
    loaded = set(python(LOAD).split())
    heavy = {"elftools", "rich", "yaml", "click", "tomllib", "tempfile", "asyncio", "multiprocessing", "sqlite3"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    unused = ("nvsim.inject", "nvsim.toolkit", "nvsim.diagnosis", "nvsim.report", "nvsim.host", "nvsim.loader.musl")
    assert not [name for name in loaded if name.startswith(unused)]


def test_importing_the_package_imports_none_of_its_modules() -> None:
    loaded = python("import sys; before = set(sys.modules); import nvsim; print(' '.join(set(sys.modules) - before))")
    assert set(loaded.split()) <= {"nvsim", "types", "__future__"}


def test_the_help_imports_no_part_of_the_pipeline() -> None:
    code = "import sys; sys.argv = ['nvsim', '--help']\nfrom nvsim.cli.main import main\n"
    code += "try:\n main()\nexcept SystemExit: pass\nprint(' '.join(sys.modules))"
    loaded = python(code).splitlines()[-1].split()
    assert "click" in loaded
    heavy = ("attr", "nvsim.loader", "nvsim.inject", "nvsim.elf", "nvsim.rootfs", "rich", "yaml", "elftools")
    assert not [name for name in loaded if name.startswith(heavy)]


COMMAND = """
import sys
import attrs
from nvsim.__main__ import main
from nvsim import frozen
made, define = [], frozen._define
frozen._define = lambda cls, **options: made.append(cls) or define(cls, **options)
sys.argv = ["nvsim", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print()
print(len(made), *sys.modules)
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    """How many classes of values a command makes, and the modules that it loads."""
    classes, *modules = python(COMMAND, *arguments).splitlines()[-1].split()
    return int(classes), set(modules)


def below(modules: set[str], *packages: str) -> list[str]:
    return sorted(m for m in modules if any(m == p or m.startswith(f"{p}.") for p in packages))


LEGACY_RUN = ("run", "--host", "eks-al2-535", "-e", "NVIDIA_VISIBLE_DEVICES=all", "example:nix-torch")


def test_a_run_in_legacy_mode_loads_nothing_of_the_other_modes() -> None:
    classes, modules = loaded_by(*LEGACY_RUN)
    assert "nvsim.inject.legacy.run" in modules
    cdi = {"nvsim.inject.cdi", "nvsim.inject.cdi.apply", "nvsim.inject.cdi.plan", "nvsim.inject.cdi.spec_files"}
    assert set(below(modules, "nvsim.inject.cdi")) <= cdi
    host = {"nvsim.inject.generate", "nvsim.inject.generate.host", "nvsim.inject.generate.platform"}
    assert set(below(modules, "nvsim.inject.generate")) <= host
    assert not below(modules, "nvsim.inject.cdi_runtime", "nvsim.inject.runtime_edits", "nvsim.inject.hooks.root")
    assert not below(modules, "nvsim.toolkit.generation", "nvsim.toolkit.generation_table", "nvsim.toolkit.ctk")
    assert not below(modules, "nvsim.toolkit.toml_strict", "nvsim.toolkit.config_hook", "nvsim.toolkit.hook")
    assert not below(modules, "nvsim.toolkit.requirements", "nvsim.toolkit.versions")  # the image asks for no CUDA
    assert not below(modules, "nvsim.loader.musl", "nvsim.queries", "nvsim.sweep", "nvsim.image.archive")
    assert classes <= 210


def test_a_run_that_starts_loads_no_texts_of_failures_and_no_reader_of_files() -> None:
    _, modules = loaded_by(*LEGACY_RUN)
    texts = ("messages_engines", "messages_callers", "changes_host", "option_values")
    assert not below(modules, *(f"nvsim.scenario.{name}" for name in texts), "nvsim.diagnosis.find_cause")
    assert set(below(modules, "nvsim.elf")) <= {"nvsim.elf", "nvsim.elf.facts", "nvsim.elf.terms"}
    assert not below(modules, "pathlib", "urllib", "difflib", "shlex", "decimal", "calendar", "rich", "yaml")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A directory with a program, two libraries and this machine's idea of nothing else."""
    top = tmp_path / "rootfs"
    files = {
        "bin/app": write_elf(interp="/lib64/ld-linux-x86-64.so.2", needed=("liba.so", "libmissing.so")),
        "lib64/liba.so": write_elf(soname="liba.so", needed=("libb.so",)),
        "usr/lib64/libb.so": write_elf(soname="libb.so"),
        "lib64/ld-linux-x86-64.so.2": write_elf(soname="ld-linux-x86-64.so.2"),
    }
    for name, data in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
        (top / name).chmod(0o755)
        os.utime(top / name, (0, 0))
    time.sleep(SETTLED + 0.1)  # what has just changed is not kept on disk
    return top


def test_ldd_of_a_directory_loads_nothing_of_scenarios_and_other_images(rootfs: Path) -> None:
    classes, modules = loaded_by("ldd", "--no-cache", str(rootfs), "/bin/app")
    assert "nvsim.loader.glibc.session" in modules
    assert not below(modules, "nvsim.inject", "nvsim.toolkit", "nvsim.host", "nvsim.programs", "nvsim.simulate")
    assert set(below(modules, "nvsim.scenario")) <= {"nvsim.scenario", "nvsim.scenario.sources"}
    assert set(below(modules, "nvsim.image")) <= {"nvsim.image", "nvsim.image.directory", "nvsim.image.model"}
    assert not below(modules, "pathlib", "textwrap", "difflib", "shlex", "tempfile")
    assert classes <= 60


def nvsim(arguments: list[str], **env: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "nvsim", *arguments], capture_output=True, check=False, env={**ENV, **env}
    )
    return done.returncode, done.stdout, done.stderr


def test_answers_are_the_same_bytes_with_caches_on_and_off_cold_and_warm(rootfs: Path, tmp_path: Path) -> None:
    kept = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    commands = (
        ["ldd", "--format", "json", str(rootfs), "/bin/app"],
        [
            "run",
            "--format",
            "json",
            "--host",
            "eks-al2-535",
            "-e",
            "NVIDIA_VISIBLE_DEVICES=all",
            str(rootfs),
            "/bin/app",
        ],
    )
    for command in commands:
        cold = nvsim(command, **kept)
        assert cold[0] == 1, cold[2]
        assert cache_info(str(tmp_path / "cache/nvsim")).records >= 4
        assert nvsim(command, **kept) == cold  # warm
        assert nvsim(command, NVSIM_NO_CACHE="1") == cold
        assert nvsim([command[0], "--no-cache", *command[1:]], **kept) == cold


BATCH = [
    {"id": n, "kind": "run", "input": {"host": host, "image": image, "env": {"NVIDIA_VISIBLE_DEVICES": "all", **more}}}
    for n, (host, image, more) in enumerate(
        [
            ("eks-al2-535", "example:nix-torch", {}),
            ("ubuntu2404-550", "example:debian12", {"LD_LIBRARY_PATH": "/usr/lib64"}),
            ("eks-al2-535", "example:nix-torch", {"LD_LIBRARY_PATH": "/usr/lib64"}),
        ]
    )
]


def batch(queries: list[dict[str, object]]) -> list[bytes]:
    text = "".join(f"{json.dumps(q)}\n" for q in queries).encode()
    done = subprocess.run(
        [sys.executable, "-m", "nvsim", "batch"], input=text, capture_output=True, check=True, env=ENV
    )
    return done.stdout.splitlines()


def test_answers_are_the_same_bytes_in_one_process_or_many() -> None:
    many = [batch([query])[0] for query in BATCH]
    assert batch([*BATCH, *reversed(BATCH)]) == [*many, *reversed(many)]
