"""Facts of loaders and ldconfig read from bytes: this machine's own files, and small files made like those of other builds."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.elf.facts import LoaderFacts
from nvsim.elf.programs import ldconfig_facts, loader_facts, with_named_version

HEADER = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 62) + bytes(44)
RTLD = b"error while loading shared libraries\0"
NIX = "/nix/store/00000000000000000000000000000000-glibc-2.38-44"
GUIX = "/gnu/store/00000000000000000000000000000000-glibc-2.35"


def texts(*strings: str) -> bytes:
    return b"\0" + b"".join(s.encode() + b"\0" for s in strings)


def directories(*paths: str, apart: int = 0) -> bytes:
    """The built-in directories and the array of their lengths, `apart` bytes between them."""
    lengths = struct.pack(f"<{len(paths)}Q", *(len(p) + 1 for p in paths))
    return lengths + bytes(apart) + b"".join(p.encode() + b"/\0" for p in paths)


def glibc(
    dirs: tuple[str, ...], prefix: str = "", version: str = "2.38", *more: str, preload: str = "/etc/ld.so.preload"
) -> bytes:
    release = [f"ld.so (GNU libc) stable release version {version}."] if version else []
    other = texts(f"{prefix}/etc/ld.so.cache", preload, "/usr/share/locale/", *release, *more)
    return HEADER + RTLD + other + directories(*dirs) + texts("end")


@pytest.mark.parametrize(
    ("data", "version", "dirs", "token", "cache", "preload"),
    [
        (
            glibc(("/lib64", "/usr/lib64")),
            "2.38",
            ("/lib64", "/usr/lib64"),
            "lib64",
            "/etc/ld.so.cache",
            "/etc/ld.so.preload",
        ),
        (
            glibc(
                ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"),
                "",
                "2.35",
                "lib/x86_64-linux-gnu",
            ),
            *(
                "2.35",
                ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"),
                "lib/x86_64-linux-gnu",
            ),
            *("/etc/ld.so.cache", "/etc/ld.so.preload"),
        ),
        (glibc(("/usr/lib",)), "2.38", ("/usr/lib",), "lib", "/etc/ld.so.cache", "/etc/ld.so.preload"),
        (
            glibc((f"{NIX}/lib",), NIX, preload="/etc/ld-nix.so.preload"),
            *("2.38", (f"{NIX}/lib",), "lib", f"{NIX}/etc/ld.so.cache", "/etc/ld-nix.so.preload"),
        ),
    ],
    ids=["Red Hat", "Ubuntu", "Arch", "Nix"],
)
def test_loaders_of_distributions(
    data: bytes, version: str, dirs: tuple[str, ...], token: str, cache: str, preload: str
) -> None:
    facts = loader_facts(data)
    assert facts == LoaderFacts("glibc", version, dirs, token, cache, preload)


def test_one_or_two_directories_are_read_without_the_array_of_their_lengths() -> None:
    built = HEADER + RTLD + texts("/etc/ld.so.cache", "/etc/ld.so.preload") + b"\x7fELF\x02\x01\x01" + bytes(9)
    facts = loader_facts(built + b"/lib64/\0/usr/lib64/\0" + bytes(20))
    assert facts is not None and facts.system_dirs == ("/lib64", "/usr/lib64")
    alone = loader_facts(built + b"/usr/lib/\0" + bytes(20))
    assert alone is not None and alone.system_dirs == ()
    twice = loader_facts(built + b"/usr/lib/\0" + bytes(20) + b"_dl_init_paths\0\0/usr/lib/\0" + bytes(20))
    assert twice is not None and twice.system_dirs == ("/usr/lib",)
    other = loader_facts(built + b"/usr/share/\0/usr/lib/\0" + bytes(20))
    assert other is not None and other.system_dirs == ()


def test_guix_has_a_cache_of_its_own_that_is_not_modelled() -> None:
    facts = loader_facts(glibc((f"{GUIX}/lib",), GUIX))
    assert facts is not None
    assert facts.cache == f"{GUIX}/etc/ld.so.cache"
    assert "Guix" in facts.assumed[0]


def test_a_loader_without_its_version_is_dated_by_what_it_can_do() -> None:
    marks = {
        "2.17": "",
        "2.19": "ERROR: ld.so: object '%s' from %s cannot be preloaded (%s): ignored.",
        "2.23": "audit changed filename %s -> %s",
        "2.26": "GLIBC_TUNABLES",
        "2.28": "cannot allocate dependency buffer",
        "2.30": "--preload",
        "2.31": "activating NODELETE for %s [%lu]",
    }
    found = [loader_facts(glibc(("/lib64", "/usr/lib64"), "", "", *list(marks.values())[:n])) for n in range(1, 8)]
    assert [f.version for f in found if f] == list(marks)
    old, tunable = found[0], found[3]
    assert old and tunable
    assert "does not tell its version" in old.assumed[0]
    named = with_named_version(tunable, "ld-2.27.so")
    assert (named.version, named.assumed) == ("2.27", ())
    assert with_named_version(old, "ld-linux-x86-64.so.2") == old


def test_a_mark_of_a_later_release_that_was_taken_over_dates_nothing() -> None:
    taken_over = (
        "cannot be preloaded (%s): ignored",
        "audit changed filename",
        "GLIBC_TUNABLES",
        "cannot allocate dependency buffer",
        "activating NODELETE",
    )
    facts = loader_facts(glibc(("/lib64", "/usr/lib64"), "", "", *taken_over))
    assert facts is not None and facts.version == "2.28"


def test_musl_tells_its_path_and_version() -> None:
    data = HEADER + texts(
        "Error loading shared library %s: %m", "/lib:/usr/local/lib:/usr/lib", "%.*s/etc/ld-musl-aarch64.path", "1.2.5"
    )
    facts = loader_facts(data)
    assert facts is not None
    assert (facts.libc, facts.version, facts.path_file) == ("musl", "1.2.5", "/etc/ld-musl-aarch64.path")
    assert facts.system_path == "/lib:/usr/local/lib:/usr/lib" and facts.assumed == ()


def ldconfig(*strings: str, dirs: tuple[str, ...] = ("/lib64", "/usr/lib64")) -> bytes:
    told = texts("Can't create temporary cache file %s", "/etc/ld.so.conf", "/etc/ld.so.cache", *strings)
    return HEADER + RTLD + told + directories(*dirs, apart=32)


def test_ldconfig_is_no_loader_and_tells_its_release_and_signature() -> None:
    signature = "ldconfig (GNU libc) stable release version 2.34"
    data = ldconfig(signature)
    assert loader_facts(data) is None
    facts = ldconfig_facts(data)
    assert facts is not None
    assert (facts.version, facts.system_dirs, facts.machine, facts.generator) == (
        "2.34",
        ("/lib64", "/usr/lib64"),
        "x86_64",
        signature,
    )


def test_an_old_ldconfig_tells_its_package_or_its_bare_version() -> None:
    debian = ldconfig_facts(ldconfig("(Debian GLIBC 2.31-13+deb11u11) "))
    redhat = ldconfig_facts(ldconfig("(GNU libc) ", "2.26"))
    unknown = ldconfig_facts(ldconfig(dirs=()))
    assert debian and redhat and unknown
    assert [f.version for f in (debian, redhat)] == ["2.31", "2.26"]
    assert debian.generator is None
    assert len(unknown.assumed) == 2


@given(st.binary(max_size=400))
def test_any_bytes_give_facts_or_none(data: bytes) -> None:
    loader_facts(RTLD + data)
    loader_facts(b"Error loading shared library" + data)
    ldconfig_facts(b"Can't create temporary cache file\0/etc/ld.so.cache\0" + data)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("ldd") is None, reason="needs a glibc machine")
def test_this_machines_loader_says_the_same_of_itself() -> None:
    loader = next((p for p in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if os.path.exists(p)), None)
    if loader is None:
        pytest.skip("no glibc loader at a usual place")
    facts = loader_facts(Path(loader).read_bytes())
    assert facts is not None
    told = subprocess.run([loader, "--help"], capture_output=True, text=True, check=False).stdout
    listed = [line.split()[0] for line in told.splitlines() if line.endswith("(system search path)")]
    if not listed:
        pytest.skip("this loader does not list its directories")
    assert list(facts.system_dirs) == listed
    version = subprocess.run(["ldd", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    assert version.endswith(facts.version)


@pytest.mark.skipif(not Path("/sbin/ldconfig").exists(), reason="this machine has no ldconfig")
def test_this_machines_ldconfig_says_the_same_of_itself() -> None:
    facts = ldconfig_facts(Path("/sbin/ldconfig").read_bytes())
    if facts is None:
        pytest.skip("/sbin/ldconfig is a script here")
    told = subprocess.run(["/sbin/ldconfig", "--version"], capture_output=True, text=True, check=False).stdout
    assert told.split("\n")[0].endswith(facts.version)
