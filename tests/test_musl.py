"""musl's loader beside what the fuzzer and the recorded loads show: releases, real symbol tables, a directly run loader, gcompat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elfwriter import Program, write_elf
from fuzz.loaders import NoLoaderError, RealLoader, real_loader
from nvsim.elf.facts import VersionNeed
from nvsim.elf.programs import loader_facts
from nvsim.loader.musl.direct import parse_command_line
from nvsim.loader.musl.tables import exports, musl_rules, release
from nvsim.loader.outcome import Outcome, ProcessRequest
from nvsim.loader.process import run
from nvsim.loader.trace import debug_lines
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.treefile import tree_from_json

INTERP = "/lib/ld-musl-x86_64.so.1"
MUSL = {"type": "file", "size": 702960, "elf": {"needed": []}, "loader": {"libc": "musl", "version": "1.2.5"}}
GLIBC_LD = "/lib64/ld-linux-x86-64.so.2"


@pytest.fixture(scope="module")
def machine_musl() -> RealLoader:
    try:
        return real_loader("musl")
    except NoLoaderError as e:
        pytest.skip(str(e))


def tree(files: dict[str, dict[str, Any]]) -> Any:
    elf = {path: {"type": "file", "size": 4096, **entry} for path, entry in files.items()}
    return tree_from_json({INTERP: MUSL, **elf}, "test")


def program(**elf: Any) -> dict[str, Any]:
    return {"elf": {"interp": INTERP, "needed": ["libc.so"], **elf}}


def outcome(files: dict[str, dict[str, Any]], *argv: str, **env: str) -> Outcome:
    return run(tree(files), ProcessRequest(argv[0], argv, tuple(env.items())))


def test_the_symbols_of_a_release_are_those_of_the_machines_libc(machine_musl: RealLoader) -> None:
    elf = machine_musl.nodes["ld.so"].facts.elf
    known, assumed = exports(machine_musl.facts.version)
    assert elf is not None and elf.defs is not None and assumed is None
    distribution = {"crypt", "crypt_r", "encrypt", "setkey", "renameat2"}  # left out or added by Debian
    odd = {s for s in elf.defs ^ known if not s.startswith("fts_")} - distribution
    assert not odd


def test_libc_path_of_the_machines_musl_is_not_the_path_of_programs(machine_musl: RealLoader) -> None:
    facts = loader_facts(machine_musl.files["ld.so"].read_bytes())
    assert facts is not None and facts.system_path == "/lib:/usr/local/lib:/usr/lib"


def test_releases_in_between_take_the_symbols_of_the_one_before() -> None:
    assert release("1.2.5_git20240705") == (1, 2, 5)
    assert "statx" in exports("1.2.5")[0] and "statx" not in exports("1.2.4")[0]
    symbols, assumed = exports("1.2.9")
    assert "posix_getdents" in symbols and assumed == "musl 1.2.9 is taken to export the symbols of 1.2.6"


@pytest.mark.parametrize(
    ("version", "symbol", "missing"),
    [
        ("1.2.3", "open64", False),
        ("1.2.4", "open64", False),
        ("1.2.5", "posix_fallocate64", True),
        ("1.2.6", "posix_fallocate64", False),
    ],
)
def test_names_with_64_are_exported_or_bound_to_those_without(version: str, symbol: str, missing: bool) -> None:
    loader = {**MUSL, "loader": {"libc": "musl", "version": version}}
    got = run(
        tree_from_json({INTERP: loader, "/a": {"type": "file", "size": 4096, **program(undef_lazy=[symbol])}}, "test"),
        ProcessRequest("/a", ("/a",)),
    )
    assert got.stderr == (f"Error relocating /a: {symbol}: symbol not found\n" if missing else "")
    assert musl_rules("1.2.3").lfs64_longest == 0


def test_a_glibc_library_of_unknown_symbols_is_an_assumption() -> None:
    library = {"elf": {"needed": ["libc.so.6"], "verneed": {"libc.so.6": ["GLIBC_2.2.5"]}}}
    got = outcome({"/a": program(needed=["libx.so", "libc.so"]), "/lib/libx.so": library}, "/a")
    assert got.started
    assert got.assumptions == (
        "/lib/libx.so was built for glibc and its symbols are not known: musl is taken to have all of them",
    )


def test_symbols_of_real_files_decide(tmp_path: Path, machine_musl: RealLoader) -> None:
    needs = (VersionNeed("libc.so.6", ("GLIBC_2.2.5",)),)
    files = {
        INTERP: machine_musl.files["ld.so"].read_bytes(),
        "/a": write_elf(interp=INTERP, needed=("libx.so",), program=Program()),
        "/lib/libx.so": write_elf(
            needed=("libc.so.6",), undef_lazy=("gnu_get_libc_version@GLIBC_2.2.5", "read"), verneed=needs
        ),
    }
    for path, data in files.items():
        file = tmp_path / path[1:]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755)
    got = run(DirectoryTree(tmp_path), ProcessRequest("/a", ("/a",)))
    assert got.stderr == "Error relocating /lib/libx.so: gnu_get_libc_version: symbol not found\n"
    assert got.exit_code == 127


def test_options_of_the_loader() -> None:
    line = parse_command_line(
        ("ld", "--library-path=/x", "--preload", "p", "--argv0", "z", "--list", "--", "--list", "q")
    )
    assert (line.library_path, line.preload, line.argv0, line.listing) == ("/x", "p", "z", True)
    assert line.arguments == ("--list", "q")
    assert parse_command_line(("/usr/bin/ldd", "/a")).listing
    assert parse_command_line(("ld", "--lists", "/a")).arguments == ()


def test_the_loader_lists_what_a_program_loads() -> None:
    files = {"/a": program(needed=["libx.so", "libm.so.6"]), "/opt/libx.so": {"elf": {"needed": ["libm.so.1"]}}}
    got = outcome(files, INTERP, "--library-path", "/opt", "--list", "/a")
    assert got.stdout == (f"\t{INTERP} (0x...)\n\tlibx.so => /opt/libx.so (0x...)\n\tlibm.so.6 => {INTERP} (0x...)\n")
    assert (got.exit_code, got.started) == (0, False)


def test_searches_are_told_line_by_line() -> None:
    got = outcome(
        {"/a": program(needed=["libx.so"]), "/o/libx.so": {"elf": {"needed": []}}}, "/a", LD_LIBRARY_PATH="/n:/o"
    )
    assert list(debug_lines(got)) == [
        "find library=libx.so; searching",
        " search path=/n:/o\t\t(env LD_LIBRARY_PATH)",
        "  trying file=/n/libx.so",
        "  trying file=/o/libx.so",
    ]
    assert list(debug_lines(Outcome("exec-error", errno="ENOENT"))) == []


def test_usage_and_programs_that_are_none() -> None:
    got = outcome({"/text": {"text": "x"}}, INTERP)
    assert got.stderr == (
        f"musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader\nUsage: {INTERP} [options] [--] pathname [args]\n"
    )
    assert got.exit_code == 1
    assert outcome({}, INTERP, "/none").stderr == f"{INTERP}: cannot load /none: No such file or directory\n"
    assert outcome({"/t": {"text": "x"}}, INTERP, "/t").stderr == f"{INTERP}: /t: Not a valid dynamic program\n"


GCOMPAT = {"elf": {"needed": []}, "loader": {"libc": "gcompat", "version": "1"}}
DRIVER = {
    "elf": {"interp": GLIBC_LD, "needed": ["libc.so.6", "ld-linux-x86-64.so.2"], "undef": ["gnu_get_libc_version"]},
    "exit": 3,
}


def test_gcompat_runs_a_glibc_program_under_musl_with_its_library() -> None:
    files = {
        "/smi": DRIVER,
        GLIBC_LD: GCOMPAT,
        "/lib/libgcompat.so.0": {"elf": {"needed": ["libc.so"], "defs": ["gnu_get_libc_version"], "undef": []}},
    }
    got = outcome(files, "/smi")
    assert (got.started, got.exit_code, got.stderr) == (True, 3, "")
    assert [o.path for o in got.objects] == ["/lib/libgcompat.so.0", "ld-linux-x86-64.so.2"]


def test_gcompat_without_its_library_or_without_known_symbols() -> None:
    assert "gnu_get_libc_version: symbol not found" in outcome({"/smi": DRIVER, GLIBC_LD: GCOMPAT}, "/smi").stderr
    unknown = {"/smi": DRIVER, GLIBC_LD: GCOMPAT, "/lib/libgcompat.so.0": {"elf": {"needed": ["libc.so"]}}}
    assert outcome(unknown, "/smi").unknown == "which symbols /lib/libgcompat.so.0 defines is not known"


def test_gcompats_stub_is_known_by_its_bytes() -> None:
    data = b"\x7fELF\0This is the gcompat ELF interpreter stub.\n\0/lib/libgcompat.so.0 \0"
    facts = loader_facts(data)
    assert facts is not None and (facts.libc, facts.preload) == ("gcompat", "/lib/libgcompat.so.0")


def test_a_cut_library_ends_the_process() -> None:
    got = outcome(
        {"/a": program(needed=["libx.so", "libc.so"]), "/lib/libx.so": {"elf": {"needed": [], "truncate": 3000}}}, "/a"
    )
    assert got.outcome == "signal" and got.unknown is not None and got.unknown.startswith("SIGBUS")
    short = outcome({"/a": program(needed=["libx.so"]), "/lib/libx.so": {"elf": {"needed": [], "truncate": 300}}}, "/a")
    assert short.stderr == "Error loading shared library libx.so: Exec format error (needed by /a)\n"


def test_ident_fields_decide_nothing_but_a_big_endian_file_does() -> None:
    library = {"elf": {"needed": [], "machine": "aarch64", "osabi": 9}}
    assert outcome({"/a": program(needed=["libx.so", "libc.so"]), "/lib/libx.so": library}, "/a").started
    big = {"elf": {"needed": [], "machine": "s390x", "data": 2}}
    assert "Exec format error" in outcome({"/a": program(needed=["libx.so"]), "/lib/libx.so": big}, "/a").stderr
