"""Rules of the glibc loader by release and build, one example each (what the machine's loader cannot show)."""

from __future__ import annotations

from typing import Any

import pytest

from loadertrees import LD, elf, load, loader, paths, program
from nvsim.loader.glibc.paths import expand_list
from nvsim.loader.outcome import Cpu, DlopenCall, Machine
from nvsim.loader.trace import debug_lines

PLAIN = Machine(Cpu(1, "x86_64", ("x86_64",)))
LIB = "/usr/lib/x86_64-linux-gnu"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.17", "tls/x86_64"),
        ("2.26", "tls/avx512_1"),
        ("2.31", "tls/haswell/avx512_1/x86_64"),
        ("2.33", "glibc-hwcaps/x86-64-v4"),
        ("2.36", "glibc-hwcaps/x86-64-v4"),
        ("2.41", "glibc-hwcaps/x86-64-v4"),
    ],
)
def test_the_first_subdirectory_by_release(version: str, expected: str) -> None:
    outcome = load({"/app/main": program("libx.so")}, {"LD_LIBRARY_PATH": "/opt"}, version=version)
    assert outcome.searches[0].candidates[0].path == f"/opt/{expected}/libx.so"


def test_legacy_subdirectories_end_with_2_37() -> None:
    entries = {"/app/main": program("libx.so"), f"{LIB}/haswell/libx.so": elf()}
    assert load(entries, version="2.36").started
    assert not load(entries, version="2.37").started


def test_the_cpu_decides_among_hwcaps() -> None:
    entries = {
        "/app/main": program("libx.so"),
        f"{LIB}/glibc-hwcaps/x86-64-v3/libx.so": elf(),
        f"{LIB}/glibc-hwcaps/x86-64-v2/libx.so": elf(),
        f"{LIB}/libx.so": elf(),
    }
    found = {level: paths(load(entries, machine=Machine(Cpu(level, "x86_64", ()))))[0] for level in (1, 2, 3, 4)}
    assert [p.removeprefix(LIB) for p in found.values()] == [
        "/libx.so",
        "/glibc-hwcaps/x86-64-v2/libx.so",
        "/glibc-hwcaps/x86-64-v3/libx.so",
        "/glibc-hwcaps/x86-64-v3/libx.so",
    ]
    masked = load(entries, {"GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.cpu.hwcaps=-AVX2"})
    assert paths(masked) == [found[2]]


def test_aarch64_has_atomics_and_no_glibc_hwcaps() -> None:
    arm = {"class": 64, "machine": "aarch64"}
    entries = {
        "/app/main": {"type": "file", "size": 9, "elf": {**arm, "interp": LD, "needed": ["libx.so"]}},
        LD: {**loader("2.36", lib_token="lib/aarch64-linux-gnu"), "elf": {**arm, "soname": "ld-linux-aarch64.so.1"}},
    }
    machine = Machine(Cpu(0, "aarch64", ("atomics",), "aarch64"))
    tried = load(entries, {"LD_LIBRARY_PATH": "/o/$LIB/$PLATFORM"}, machine=machine).searches[0].candidates
    assert [c.path for c in tried[:3]] == [
        f"/o/lib/aarch64-linux-gnu/aarch64/{d}/libx.so" for d in ("tls/aarch64/atomics", "tls/aarch64", "tls/atomics")
    ]


def test_32_bit_programs_use_their_own_cache_entries_and_platform() -> None:
    small = {"class": 32, "machine": "i386"}
    cache = [
        {"name": "libx.so", "path": f"/{d}/libx.so", "flags": f} for d, f in (("l64", "0x0303"), ("l32", "0x0003"))
    ]
    entries = {
        "/app/main": {
            "type": "file",
            "size": 9,
            "elf": {**small, "interp": "/lib/ld-linux.so.2", "needed": ["libx.so"]},
        },
        "/lib/ld-linux.so.2": {**loader("2.31"), "elf": {**small, "soname": "ld-linux.so.2"}},
        "/l64/libx.so": elf(),
        "/l32/libx.so": {"type": "file", "size": 900, "elf": small},
        "/etc/ld.so.cache": {"type": "file", "ldcache": cache},
    }
    outcome = load(entries, {"LD_LIBRARY_PATH": "/o/$PLATFORM"})
    assert outcome.searches[0].candidates[0].path == "/o/i686/tls/i686/sse2/libx.so"
    assert [o.path for o in outcome.objects] == ["/l32/libx.so"]


def test_a_preload_that_fails_gives_no_reason_before_2_19() -> None:
    said = {v: load({"/app/main": program()}, {"LD_PRELOAD": "x.so"}, version=v).stderr for v in ("2.17", "2.19")}
    assert said["2.17"] == "ERROR: ld.so: object 'x.so' from LD_PRELOAD cannot be preloaded: ignored.\n"
    assert "(cannot open shared object file): ignored" in said["2.19"]


@pytest.mark.parametrize(("version", "line"), [("2.17", 590), ("2.26", 574), ("2.27", 549), ("2.31", 553)])
def test_a_filter_in_a_dlopened_library_fails_an_assertion_up_to_2_31(version: str, line: int) -> None:
    entries = {"/app/main": program(), f"{LIB}/liba.so": elf(filter=["libb.so"]), f"{LIB}/libb.so": elf()}
    outcome = load(entries, version=version, dlopen=(DlopenCall("liba.so"), DlopenCall("libb.so")))
    assert outcome.exit_code == 127
    assert outcome.stderr.startswith(f"Inconsistency detected by ld.so: dl-deps.c: {line}: _dl_map_object_deps: ")
    assert [d.ended for d in outcome.dlopen] == [True]
    incomplete = {**entries, f"{LIB}/libb.so": elf("libnone.so")}
    assert load(incomplete, version=version, dlopen=(DlopenCall("liba.so"),)).exit_code == 127
    newer = load(entries, version="2.32", dlopen=(DlopenCall("liba.so"),))
    assert [o.path for o in newer.dlopen[0].new_objects] == [f"{LIB}/libb.so", f"{LIB}/liba.so"]


def test_the_root_directory_is_searched_from_2_38_on() -> None:
    entries = {"/app/main": program("liba.so", "libb.so"), "/libb.so": elf(), f"{LIB}/liba.so": elf()}
    assert not load(entries, {"LD_LIBRARY_PATH": "/"}, version="2.37").started
    assert paths(load(entries, {"LD_LIBRARY_PATH": "/"}, version="2.38")) == [f"{LIB}/liba.so", "/libb.so"]


def test_a_file_as_search_directory_ends_the_list_before_2_39() -> None:
    entries = {"/app/main": program("libx.so"), "/etc/hostname": {"type": "file", "text": "h\n"}, "/opt/libx.so": elf()}
    env = {"LD_LIBRARY_PATH": "/opt/none:/etc/hostname:/opt"}
    assert load(entries, env, version="2.36").started == load(entries, env, version="2.39").started
    entries["/opt/none/keep"] = {"type": "file", "text": ""}
    entries["/opt/none/libx.so"] = {"type": "symlink", "target": "/etc/hostname/y"}
    assert not load(entries, env, version="2.38").started
    assert load(entries, env, version="2.39").started


def test_an_executable_stack_is_refused_by_dlopen_from_2_41_on() -> None:
    entries = {"/app/main": program(), f"{LIB}/libx.so": elf(stack="rwx")}
    call = (DlopenCall("libx.so"), DlopenCall("libx.so"))
    assert [d.ok for d in load(entries, version="2.40", dlopen=call).dlopen] == [True, True]
    refused = load(entries, version="2.41", dlopen=call).dlopen
    text = "libx.so: cannot enable executable stack as shared object requires: Invalid argument"
    assert [d.error for d in refused] == [text, text]
    entries["/app/main"] = program(stack="rwx")
    assert load(entries, version="2.41", dlopen=call[:1]).dlopen[0].ok


def test_the_execstack_tunable() -> None:
    entries = {"/app/main": program(), f"{LIB}/libx.so": elf(stack=None)}
    call = (DlopenCall("libx.so"),)
    tunable = "GLIBC_TUNABLES"
    given = {v: {tunable: f"glibc.rtld.execstack={v}"} for v in (0, 1, 2, 3)}
    answers = {v: load(entries, env, version="2.41", dlopen=call).dlopen[0].ok for v, env in given.items()}
    assert answers == {0: False, 1: False, 2: True, 3: False}
    needs = {**entries, "/app/main": program("libx.so")}
    assert load(needs, version="2.41").started
    text = "/app/main: error while loading shared libraries: libx.so: cannot enable executable stack as shared object requires"
    assert load(needs, given[0], version="2.41").stderr == f"{text}: Invalid argument\n"
    refused = load({"/app/main": program(stack="rwx")}, given[0], version="2.41")
    assert (refused.exit_code, refused.stderr) == (127, "Fatal glibc error: executable stack is not allowed\n")


@pytest.mark.parametrize(("version", "name"), [("2.21", "libx.so"), ("2.26", f"{LIB}/libx.so"), ("2.31", "libx.so")])
def test_an_executable_as_library_is_refused_early_or_late(version: str, name: str) -> None:
    entries = {"/app/main": program("libx.so"), f"{LIB}/libx.so": elf(type="EXEC")}
    assert load(entries, version=version).stderr.endswith(f"{name}: cannot dynamically load executable\n")


def test_unknown_tokens_and_what_may_follow_a_token() -> None:
    entries = {"/app/main": program("libx.so", runpath="$ORIGINX:/o/$LIB-x:$NONE")}
    tried = {
        v: [c.path for c in load(entries, version=v, machine=PLAIN).searches[0].candidates] for v in ("2.27", "2.42")
    }
    assert "/o/$LIB-x/libx.so" in tried["2.27"]
    assert "/o/lib/x86_64-linux-gnu-x/libx.so" in tried["2.42"]
    assert "$ORIGINX/libx.so" in tried["2.27"]
    assert "$NONE/libx.so" in tried["2.42"]


def test_a_list_element_of_which_nothing_is_left() -> None:
    def tried(version: str, **more: Any) -> list[str]:
        return [c.path for c in load({"/app/main": program("libx.so", **more)}, version=version).searches[0].candidates]

    assert "libx.so" in tried("2.26", runpath="/opt/$PLATFORM")
    assert "libx.so" not in tried("2.27", runpath="/opt/$PLATFORM")


@pytest.mark.parametrize(("version", "found"), [("2.26", []), ("2.27", ["/data/libx.so"])])
def test_a_token_without_value_in_the_library_path(version: str, found: list[str]) -> None:
    entries = {"/app/main": program("libx.so"), "/data/libx.so": elf()}
    outcome = load(entries, {"LD_LIBRARY_PATH": "/data;$ORIGIN"}, version=version, proc=False)
    assert paths(outcome) == found


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("/a:$NONE:/b", "/a:/b"),
        ("$NONE/x:/b", "/b"),
        ("$NONE:", ":"),
        ("$NONE::/b", ":/b"),
        ("/a:/usr/$LIB:$NONE:/b", "/a:/b"),
        ("$LIB:$NONE", ""),
        ("/a::$NONE", "/a:"),
        ("/usr/$LIB:/c:$NONE", "/usr/lib64:/c"),
    ],
)
def test_a_list_expanded_as_a_whole(text: str, expanded: str) -> None:
    def value(element: str) -> str | None:
        return None if "$NONE" in element else element.replace("$LIB", "lib64")

    assert expand_list(text, value) == expanded


SECURE = {
    "/app/main": program("libx.so", runpath="$ORIGIN/lib:/safe"),
    "/app/lib/libx.so": elf(),
    "/safe/libx.so": elf(),
}


def test_a_set_uid_program_ignores_library_path_and_its_own_origin() -> None:
    env = {"LD_LIBRARY_PATH": "/app/lib", "LD_PRELOAD": "/app/lib/libx.so:libx.so"}
    outcome = load(SECURE, env, secure=True)
    assert paths(outcome) == ["/safe/libx.so"]
    assert outcome.stderr == (
        "ERROR: ld.so: object 'libx.so' from LD_PRELOAD cannot be preloaded (cannot open shared object file): ignored.\n"
    )
    assert paths(load(SECURE, env)) == ["/app/lib/libx.so"]


def test_a_set_uid_program_preloads_what_is_set_uid_itself() -> None:
    entries = {**SECURE, "/safe/libx.so": elf(mode="4755")}
    outcome = load(entries, {"LD_PRELOAD": "libx.so"}, secure=True)
    assert (outcome.stderr, [s.because for s in outcome.searches]) == ("", ["preload", "needed"])


def test_origin_of_a_set_uid_program_in_a_default_directory_counts() -> None:
    entries = {"/usr/lib/app/main": program("libx.so", runpath="$ORIGIN/lib"), "/usr/lib/app/lib/libx.so": elf()}
    assert paths(load(entries, path="/usr/lib/app/main", secure=True)) == ["/usr/lib/app/lib/libx.so"]


def test_a_listing_of_a_set_uid_program_ends_with_5_up_to_2_38() -> None:
    outcome = load(SECURE, {"LD_TRACE_LOADED_OBJECTS": "1"}, secure=True)
    assert (outcome.exit_code, outcome.stderr, outcome.started) == (5, "", False)
    assert load(SECURE, {"LD_TRACE_LOADED_OBJECTS": "1"}, secure=True, version="2.39").started


def test_a_loader_built_for_a_level_refuses_lesser_cpus() -> None:
    built = loader("2.39")
    built["elf"]["isa_needed"] = 0b110
    entries = {LD: built, "/app/main": program()}
    assert load(entries).started
    outcome = load(entries, machine=PLAIN)
    assert (outcome.exit_code, outcome.stderr) == (127, "Fatal glibc error: CPU does not support x86-64-v2\n")


def test_needed_tokens_are_fatal_with_secure_and_skipped_without_a_value() -> None:
    entries = {"/app/main": program("$ORIGIN/libx.so", "${PLATFORM}")}
    assert "DST not allowed in SUID/SGID programs" in load(entries, secure=True).stderr
    assert load(entries, proc=False, version="2.26").started


def test_nodeflib_leaves_out_default_directories_in_cache_and_list() -> None:
    entries = {
        "/app/main": program("libx.so", "liby.so", flags_1="0x800"),
        f"{LIB}/libx.so": elf(),
        "/opt/liby.so": elf(),
        "/etc/ld.so.cache": {
            "type": "file",
            "ldcache": [
                {"name": "liby.so", "path": "/opt/liby.so", "flags": "0x0303"},
                {"name": "libx.so", "path": f"{LIB}/libx.so", "flags": "0x0303"},
            ],
        },
    }
    outcome = load(entries)
    assert [c.result for c in outcome.searches[0].candidates] == [
        "skipped: a default directory, and DF_1_NODEFLIB is set"
    ]
    assert outcome.stderr.endswith("libx.so: cannot open shared object file\n")
    entries["/app/main"] = program("liby.so", flags_1="0x800")
    assert paths(load(entries)) == ["/opt/liby.so"]


def test_who_put_a_cached_directory_there_is_told() -> None:
    entries = {
        "/app/main": program("libx.so"),
        "/opt/libx.so": elf(),
        "/etc/ld.so.conf": {"type": "file", "text": "# own\ninclude ld.so.conf.d/*.conf\n"},
        "/etc/ld.so.conf.d/a.conf": {"type": "file", "text": "/usr/local/lib\n/opt/\n"},
        "/etc/ld.so.cache": {
            "type": "file",
            "ldcache": [{"name": "libx.so", "path": "/opt/libx.so", "flags": "0x0303"}],
        },
    }
    hit = load(entries).searches[0].candidates[-1]
    assert (hit.result, hit.set_by) == ("hit", "/etc/ld.so.cache, directory of /etc/ld.so.conf.d/a.conf:2")


def test_a_needed_version_of_a_file_that_nobody_needs_fails_an_assertion() -> None:
    entries = {"/app/main": program(verneed={"libghost.so": ["V_1"]})}
    assert load(entries).stderr == (
        "Inconsistency detected by ld.so: dl-version.c: 204: _dl_check_map_versions: Assertion `needed != NULL' failed!\n"
    )


def test_relr_without_the_version_is_fatal_at_its_object() -> None:
    libc = elf(soname="libc.so.6", verdef=["GLIBC_2.2.5"])
    entries = {
        "/app/main": program("liba.so", "libc.so.6", verneed={"libc.so.6": ["GLIBC_9"]}),
        f"{LIB}/liba.so": elf("libc.so.6", relr=True, verneed={"libc.so.6": ["GLIBC_2.2.5"]}),
        f"{LIB}/libc.so.6": libc,
    }
    outcome = load(entries)
    assert outcome.exit_code == 127
    assert outcome.stderr.splitlines()[0].endswith("version `GLIBC_9' not found (required by /app/main)")
    assert outcome.stderr.splitlines()[1].endswith(f"{LIB}/liba.so: DT_RELR without GLIBC_ABI_DT_RELR dependency")
    assert load(entries, version="2.35").exit_code == 1


def test_the_object_that_is_relocated_first_is_named() -> None:
    entries = {
        "/app/main": program("liba.so", "libb.so"),
        f"{LIB}/liba.so": elf(undef=["a"], defs=[]),
        f"{LIB}/libb.so": elf("liba.so", undef=["b"], defs=[]),
    }
    said = "/app/main: symbol lookup error: {}: undefined symbol: {}\n"
    assert load(entries).stderr == said.format(f"{LIB}/liba.so", "a")
    assert load(entries, version="2.31").stderr == said.format(f"{LIB}/liba.so", "a")


def test_bind_now_finds_lazily_bound_symbols() -> None:
    entries = {"/app/main": program("liba.so"), f"{LIB}/liba.so": elf(undef_lazy=["f@V_1"], defs=[], verdef=["V_1"])}
    assert load(entries).started
    assert load(entries, {"LD_BIND_NOW": ""}).started
    assert "undefined symbol: f, version V_1" in load(entries, {"LD_BIND_NOW": "1"}).stderr


def test_ldd_with_relocations_tells_every_undefined_symbol() -> None:
    entries = {"/app/main": program("liba.so"), f"{LIB}/liba.so": elf(undef=["a"], undef_lazy=["b", "c"], defs=["c"])}
    env = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes"}
    outcome = load(entries, env)
    assert (outcome.stdout, outcome.stderr) == (
        f"\tliba.so => {LIB}/liba.so (0x...)\n",
        f"undefined symbol: a\t({LIB}/liba.so)\n",
    )
    assert load(entries, {**env, "LD_BIND_NOW": "1"}).stderr.count("undefined symbol") == 2


def test_verbose_listings_tell_who_meets_each_version() -> None:
    entries = {
        "/app/main": program("liba.so", verneed={"liba.so": ["V_1", "weak:V_2"]}),
        f"{LIB}/liba.so": elf(verdef=["V_1"]),
    }
    outcome = load(entries, {"LD_TRACE_LOADED_OBJECTS": "1", "LD_VERBOSE": "1"})
    assert outcome.stdout.split("\n\n")[1] == (
        f"\tVersion information:\n\t/app/main:\n\t\tliba.so (V_1) => {LIB}/liba.so\n"
        "\t\tliba.so (V_2) [WEAK] => not found\n"
    )


def test_filters_in_the_debug_output_of_old_and_new_loaders() -> None:
    entries = {"/app/main": program("liba.so"), f"{LIB}/liba.so": elf(auxiliary=["libb.so"]), f"{LIB}/libb.so": elf()}
    told = {v: [t for t in debug_lines(load(entries, version=v)) if t.startswith("load ")] for v in ("2.17", "2.36")}
    assert told["2.17"] == told["2.36"] == [f"load auxiliary object=libb.so requested by file={LIB}/liba.so"]
    entries[f"{LIB}/liba.so"] = elf(filter=["libb.so"])
    told = {v: [t for t in debug_lines(load(entries, version=v)) if t.startswith("load ")] for v in ("2.17", "2.36")}
    assert [told[v][0].split()[1] for v in ("2.17", "2.36")] == ["filtered", "auxiliary"]


DLOPEN = {
    "/app/main": program("liba.so"),
    f"{LIB}/liba.so": elf(undef_lazy=["g"], defs=[]),
    f"{LIB}/libp.so": elf("libq.so"),
}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (DlopenCall("libp.so", 0), "libp.so: invalid mode for dlopen(): Invalid argument"),
        (DlopenCall("libp.so", 0x10002), "invalid mode parameter"),
        (DlopenCall("libp.so", 6), None),
        (DlopenCall("nowhere.so", 6), "nowhere.so: cannot open shared object file: No such file or directory"),
        (DlopenCall("libp.so", 2), "libq.so: cannot open shared object file: No such file or directory"),
        (
            DlopenCall("$PLATFORMX/x.so", 2),
            "$PLATFORMX/x.so: cannot open shared object file: No such file or directory",
        ),
    ],
)
def test_failing_dlopens(call: DlopenCall, error: str | None) -> None:
    result = load(DLOPEN, dlopen=(call,)).dlopen[0]
    assert (result.ok, result.error, result.new_objects) == (False, error, ())


def test_a_cut_library_is_unknown_beyond_its_first_page_and_empty_within() -> None:
    entries = {"/app/main": program(), f"{LIB}/libx.so": elf("libnone.so", soname="liby.so", truncate=9000)}
    call = (DlopenCall("libx.so"), DlopenCall("libx.so"))
    outcome = load(entries, dlopen=call)
    assert outcome.outcome == "unknown"
    assert "SIGBUS" in (outcome.unknown or "")
    assert [d.ok for d in outcome.dlopen] == [None]
    entries[f"{LIB}/libx.so"] = elf("libnone.so", soname="liby.so", truncate=300)
    assert load(entries, dlopen=call).dlopen[0].ok
    entries[f"{LIB}/libx.so"] = elf("libnone.so", truncate=40)
    assert load(entries, dlopen=call).dlopen[0].error == f"{LIB}/libx.so: file too short"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"type": "socket"}, "cannot open shared object file"),
        ({"type": "char", "rdev": "1:3"}, "file too short"),
        ({"type": "char", "rdev": "1:5"}, "invalid ELF header"),
        ({"type": "dir"}, "cannot read file data"),
    ],
)
def test_special_files_as_libraries(entry: dict[str, str], reason: str) -> None:
    outcome = load({"/app/main": program(), "/dev/x": entry}, {"LD_PRELOAD": "/dev/x"})
    assert outcome.stderr == f"ERROR: ld.so: object '/dev/x' from LD_PRELOAD cannot be preloaded ({reason}): ignored.\n"
    assert load({"/app/main": program(), "/dev/x": {"type": "fifo"}}, {"LD_PRELOAD": "/dev/x"}).outcome == "unknown"


def test_the_loader_loaded_a_second_time_is_unknown() -> None:
    entries = {"/app/main": program(), "/other/ld.so": {"type": "hardlink", "of": LD}}
    outcome = load(entries, {"LD_PRELOAD": "/other/ld.so"})
    assert (outcome.outcome, outcome.started) == ("unknown", False)
    assert load(entries, dlopen=(DlopenCall("/other/ld.so"),)).dlopen[0].path == "/other/ld.so"


def test_audit_modules_are_unknown() -> None:
    outcome = load({"/app/main": program()}, {"LD_AUDIT": "/a.so"})
    assert (outcome.outcome, outcome.started) == ("unknown", False)
    assert "audit" in (outcome.unknown or "")
    assert load({"/app/main": program(audit="/a.so")}).outcome == "unknown"


def test_a_namespace_of_its_own_is_unknown() -> None:
    result = load(DLOPEN, dlopen=(DlopenCall("libp.so", namespace="new"),)).dlopen[0]
    assert (result.ok, result.new_objects) == (None, ())
    assert "dlmopen" in (result.error or "")


def test_the_libc_dates_a_loader_that_tells_its_age_only_roughly() -> None:
    rough = loader("2.28", assumed=["the loader's file does not tell its version: taken for glibc 2.28"])
    libc = elf(soname="libc.so.6", verdef=["GLIBC_2.2.5", "GLIBC_2.26", "GLIBC_PRIVATE"])
    outcome = load({LD: rough, f"{LIB}/libc.so.6": libc, "/app/main": program()})
    assert (outcome.libc, outcome.started) == ("glibc 2.26", True)
    assert outcome.assumptions == (f"{LD} is taken for glibc 2.26, the newest that its libc.so.6 defines",)
    assert load({LD: rough, "/app/main": program()}).libc == "glibc 2.28"


def test_a_loader_that_is_executed_itself_is_dated_alike() -> None:
    rough = loader("2.26", assumed=["the loader's file does not tell its version: taken for glibc 2.26"])
    libc = elf(soname="libc.so.6", verdef=["GLIBC_2.2.5", "GLIBC_2.27"])
    outcome = load({LD: rough, f"{LIB}/libc.so.6": libc, "/app/main": program()}, path=LD, argv=(LD, "/app/main"))
    assert (outcome.libc, outcome.started) == ("glibc 2.27", True)


def test_old_loaders_of_debian_look_for_nohwcap_before_the_cache() -> None:
    empty = {"/etc/ld.so.cache": {"type": "file", "ldcache": []}}
    wants = program(needed=["libx.so"], flags_1="0x800")

    def said(version: str, lib: str = LIB) -> str:
        dirs = [lib, f"/usr{lib}"]
        ld = loader(version, system_dirs=dirs)
        return load({LD: ld, "/app/main": wants, **empty}).stderr

    missing = "/app/main: error while loading shared libraries: libx.so: cannot open shared object file"
    assert said("2.23", "/lib/x86_64-linux-gnu") == f"{missing}: No such file or directory\n"
    assert said("2.26", "/lib/x86_64-linux-gnu") == said("2.23", "/lib64") == f"{missing}\n"


def test_old_assertions_show_null_as_the_preprocessor_left_it() -> None:
    wants = program(verneed={"libnone.so": ["V"]})
    old, new = (load({LD: loader(v), "/app/main": wants}).stderr for v in ("2.22", "2.23"))
    assert "`needed != ((void *)0)'" in old and "`needed != NULL'" in new


def test_directories_that_a_loader_does_not_tell_are_the_usual_ones() -> None:
    silent = loader("2.38", system_dirs=[], assumed=["the loader's built-in directories cannot be read from the file"])
    entries = {LD: silent, "/app/main": program("libx.so"), "/usr/lib64/libx.so": elf()}
    outcome = load(entries)
    assert paths(outcome) == ["/usr/lib64/libx.so"]
    assert outcome.assumptions == (f"{LD} is taken to have Red Hat's built-in directories",)
    debian = {**entries, "/etc/debian_version": {"type": "file", "size": 5}}
    assert "/lib/x86_64-linux-gnu/libx.so" in [c.path for c in load(debian).searches[0].candidates]


def test_usage_of_old_and_new_loaders() -> None:
    def command(*argv: str, version: str) -> tuple[int | None, str]:
        outcome = load({}, path=LD, argv=(LD, *argv), version=version)
        return outcome.exit_code, outcome.stderr

    assert command("--argv0", "x", "/none", version="2.31") == (
        127,
        "--argv0: error while loading shared libraries: --argv0: cannot open shared object file: No such file or directory\n",
    )
    assert command(LD, version="2.34") == (127, "loader cannot load itself\n")
    assert command(LD, version="2.36") == (127, "ld-linux-x86-64.so.2: loader cannot load itself\n")
    assert command("--none", version="2.36")[0] == 1
    assert command("--", "/none", version="2.40")[0] == 1
    assert command("--", "/none", version="2.41")[0] == 127
    code, usage = command(version="2.31")
    assert (code, usage.splitlines()[0]) == (127, "Usage: ld.so [OPTION]... EXECUTABLE-FILE [ARGS-FOR-PROGRAM...]")
    assert usage.endswith("auditors\n  --preload LIST        preload objects named in LIST\n")
    assert command(version="2.29")[1].endswith("use objects named in LIST as auditors\n")
    assert load({}, path=LD, argv=(LD, "--version")).exit_code == 0
