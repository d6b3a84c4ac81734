"""ldconfig against the real program: random roots, both run, everything that can be seen afterwards compared.

The machine's own program is run with ``-r`` (as root, or as root of a user namespace). Others can be named in NVSIM_TEST_LDCONFIG,
separated by colons: ldconfig is linked statically, so programs from other releases' packages run as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elfwriter import write_elf
from nvsim.elf.facts import ElfFacts
from nvsim.elf.programs import ldconfig_facts
from nvsim.ldcache import write_cache
from nvsim.loader.ldconfig.run import run_ldconfig
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import Directory, File, Symlink
from nvsim.rootfs.tree import MemoryTree, walk

PROGRAMS = [p for p in (shutil.which("ldconfig", path="/sbin:/usr/sbin"),) if p]
PROGRAMS += [p for p in os.environ.get("NVSIM_TEST_LDCONFIG", "").split(":") if p]
EXAMPLES = int(os.environ.get("NVSIM_TEST_LDCONFIG_EXAMPLES", "60"))
AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "-r"]


def usable() -> bool:
    return bool(PROGRAMS) and subprocess.run([*AS_ROOT, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not usable(), reason="no ldconfig that could be run as root of its own root directory")

DIRECTORIES = (
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "opt/a",
    "opt/haswell",
    "opt/tls/x86_64",
    "usr/lib/haswell",
    "usr/lib/x86_64-linux-gnu/tls",
    "usr/lib/glibc-hwcaps/x86-64-v3",
    "usr/lib/glibc-hwcaps/x86-64-v2",
    "opt/a/glibc-hwcaps/.hidden",
    "opt/a/glibc-hwcaps/x86-64-v4",
)
SONAMES = (
    "ld-linux.so.2",
    None,
    "libx.so.1",
    "libx.so.1",
    "liby.so.2",
    "libx.so",
    "libother.so.9",
    "sub/libz.so.1",
    "",
)
NAMES = (
    "libx.so",
    "libx.so.1",
    "libx.so.1.2",
    "libx.so.1.10",
    "libx.so.1.9",
    "liby.so.2",
    "liby.so.2.0.0",
    "liby.so",
    "ld-x.so.2",
    "ld.so.1",
    "ld64.so.2",
    "plugin.so",
    "libx.so.1.dpkg-new",
    "libx.so.1;5f3a",
    "libx.so.1.#prelink#",
    "libx.so.1.#prelink#.abcdef",
    "libx.so.1-gdb.py",
    "libx.so.1-gdb.scm",
    "libü.so.1",
    "lib.x86",
    "tls",
    "haswell",
)
TEXTS = (
    "",
    "x",
    "\x7fEL",
    "\x7fELF\x02\x01",
    "GROUP ( /lib/libx.so.1 )" + " " * 80,
    "/* GNU ld script */" + " " * 80,
    "no library at all" * 9,
)
TARGETS = (
    *("libx.so.1", "libx.so.1.2", "liby.so.2.0.0", "nosuch", "/nosuch/libx.so", ".", "/opt/a", "/usr/lib/libx.so.1"),
    *("../lib/liby.so.2", "/dev/null", "libx.so", "/opt/a/libx.so.1.10"),
)
LINES = (
    *(
        "/opt/a",
        "/opt/a/",
        "  /opt/haswell  # why",
        "/opt/tls/x86_64",
        "/usr/lib64\r",
        "/nosuch",
        "opt/a",
        "#all",
        "",
        "/",
        "/etc/x",
    ),
    *(
        "/opt/a=libc6",
        "/opt/a = libc6",
        "/opt/a=libc9",
        "/usr/lib/glibc-hwcaps/x86-64-v3",
        "include",
        "include /etc/x/*.conf",
    ),
    *(
        "include x/a.conf",
        "include x/[!a]*.conf  nosuch.conf",
        "include /etc/x/a.conf\r",
        "\tinclude\tx/?.conf",
    ),
    *("hwcap 0 nosegneg", "HWCAP 1 nosegneg", "hwcap", "/usr/lib"),
)


@st.composite
def contents(draw: st.DrawFn, name: str) -> Any:
    kind = draw(st.sampled_from(("elf", "elf", "elf", "elf32", "link", "link", "text", "odd")))
    if kind == "link":
        return ("link", draw(st.sampled_from(TARGETS)))
    if kind == "text":
        return ("file", draw(st.sampled_from(TEXTS)).encode("latin-1"))
    if kind == "elf32":  # a soname of its own: which type a shared one gets depends on the order of the directory
        needed = draw(st.sampled_from(((), ("libc.so.6",), ("libm.so.6", "libx.so.1"))))
        interp = draw(st.sampled_from((None, None, "/lib/ld-linux.so.2")))
        facts = ElfFacts(elf_class=32, machine="i386", soname=f"{name}-32", needed=needed, interp=interp)
        return ("file", write_elf(facts))
    changes: dict[str, Any] = {"soname": draw(st.sampled_from(SONAMES)), "isa_needed": draw(st.sampled_from((0, 1, 4)))}
    if kind == "odd":
        odd = ({"machine": "aarch64"}, {"machine": "ppc64"}, {"type": "REL"}, {"type": "EXEC"}, {"nodyn": True})
        changes |= draw(st.sampled_from((*odd, {"osabi": 9}, {"data": 2}, {"ev": 5}, {"abi_tag": "Linux 3.2.0"})))
    return ("file", write_elf(ElfFacts(needed=("libc.so.6",), **changes)))


@st.composite
def roots(draw: st.DrawFn) -> dict[str, Any]:
    root: dict[str, Any] = {}
    merged = draw(st.booleans())
    if merged:
        root["lib"] = ("link", "usr/lib")
    for directory in draw(st.lists(st.sampled_from(DIRECTORIES), max_size=5, unique=True)):
        root[directory] = ("dir", "")
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=7, unique=True)):
            root[f"{directory}/{name}"] = draw(contents(name))
    for name in ("ld.so.conf", "x/a.conf", "x/b.conf"):
        if draw(st.integers(0, 4)):
            plain = [
                line for line in LINES if "include" not in line
            ]  # a file that includes itself ends the real program late
            lines = draw(st.lists(st.sampled_from(plain if "x/" in name else LINES), max_size=4))
            root[f"etc/{name}"] = ("file", ("\n".join(lines) + draw(st.sampled_from(("\n", "")))).encode())
    if draw(st.integers(0, 9)) == 0:
        root["etc/ld.so.cache"] = draw(st.sampled_from((("dir", ""), ("link", "/opt/a"), ("file", b"garbage" * 20))))
    return root


OPTIONS = (
    *(
        (),
        (),
        (),
        ("-X",),
        ("-N",),
        ("-v",),
        ("-i",),
        ("-NX",),
        ("-n", "/opt/a"),
        ("-n", "opt/a", "-v"),
        ("/opt/a", "/usr/lib64"),
    ),
    *(
        ("-c", "compat"),
        ("-cold",),
        ("--format=new",),
        ("-f", "/etc/x/a.conf"),
        ("-C", "/etc/x/cache"),
        ("-C", "cache"),
        ("-C", "/no/cache"),
    ),
    *(
        ("-l", "/opt/a/libx.so.1.2", "/usr/lib/libx.so"),
        ("-l", "/usr/lib/liby.so.2.0.0"),
        ("opt/a",),
        ("-vX",),
        ("-z",),
        ("--verb",),
        ("--p",),
    ),
    *(("-f", "/etc/nosuch"), ("-f", "/etc/x"), ("-f", "/etc/x/a.conf/y"), ("-v", "/usr/lib/", "/nosuch")),
)


def build(top: Path, root: dict[str, Any]) -> None:
    for path, (kind, what) in sorted(root.items()):
        at = top / path
        parents = [p for p in at.parents if p != top and top in p.parents]
        if any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in parents) or at.is_symlink() or at.exists():
            continue
        at.parent.mkdir(parents=True, exist_ok=True)
        if kind == "dir":
            at.mkdir()
        elif kind == "link":
            at.symlink_to(what)
        else:
            at.write_bytes(what)


def seen(tree: Any) -> dict[str, Any]:
    """What a root looks like, but for the caches, which are compared on their own."""
    out: dict[str, Any] = {}
    for path, node in walk(tree):
        if path.startswith("/var/cache") or path == "/var":
            continue
        if isinstance(node, Symlink):
            out[path] = node.target
        elif isinstance(node, File):
            out[path] = "file"
        elif isinstance(node, Directory):
            out[path] = "dir"
    return out


@pytest.mark.parametrize("program", PROGRAMS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(root=roots(), options=st.sampled_from(OPTIONS))
def test_a_run_does_and_says_what_the_real_program_does(
    program: str, root: dict[str, Any], options: tuple[str, ...]
) -> None:
    facts = ldconfig_facts(Path(program).read_bytes())
    assert facts is not None
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        build(top, root)
        before = DirectoryTree(top)
        for _, node in walk(before):
            assert not isinstance(node, File) or node.facts  # read now: the real run comes next
        mine = run_ldconfig(before, facts, options)
        if mine.cache is not None and mine.cache.format != "new":
            assume(
                not any(e.hwcap and e.hwcaps_dir is None for e in mine.cache.entries)
            )  # 2.33 to 2.36 get these wrong
        done = subprocess.run(
            [*AS_ROOT, program, "-r", name, *options], capture_output=True, text=True, check=False, env={}, cwd="/"
        )
        said = done.stderr.replace(f"{program}:", "ldconfig:")
        assert Counter(mine.stderr.splitlines()) == Counter(said.splitlines())
        assert mine.rc == done.returncode
        assert Counter(mine.stdout.splitlines()) == Counter(done.stdout.splitlines())
        after = DirectoryTree(top)
        assert seen(mine.rootfs) == seen(after)
        if mine.cache is not None:
            given_name = dict(pairwise(options)).get("-C", "/etc/ld.so.cache")
            assert write_cache(mine.cache) == (top / given_name.lstrip("/")).read_bytes()


ARGP_LINES = (
    ("--help",),
    ("--usage",),
    ("-?", "--bad"),
    ("-vV", "--help"),
    ("--version",),
    ("--bad=x", "--help"),
    ("-Q",),
    ("--verbose=1",),
    ("--p",),
    ("--form",),
    ("-r",),
    ("--=x",),
    ("--program-name=/opt/a-name-that-makes-the-lines-of-its-messages-very-much-longer", "--usage"),
    ("--program-name=/opt/ldc", "--HANG=0", "--help"),
    ("--program-name", "a-name-that-makes-the-lines-of-its-messages-longer", "--bad"),
)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("argv", ARGP_LINES, ids=" ".join)
def test_help_usage_version_and_errors_of_the_command_line_are_those_of_the_program(
    program: str, argv: tuple[str, ...]
) -> None:
    facts = ldconfig_facts(Path(program).read_bytes())
    assert facts is not None
    real = subprocess.run([program, *argv], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    ours = run_ldconfig(MemoryTree("empty", {}), facts, argv, program=program)
    assert (ours.stdout, ours.stderr, ours.rc) == (real.stdout, real.stderr, real.returncode)
