"""The facts cache on disk: what comes from it is what reading gives, whatever happened to files, cache and processes in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elfwriter import write_elf
from nvsim.elf import segments
from nvsim.elf.cache_info import cache_info, clean_cache
from nvsim.elf.facts import ElfFacts, LoaderFacts, VersionNeed
from nvsim.elf.segments import add_records, open_segments
from nvsim.elf.store import BinaryFacts, FactsStore, cache_folder, identity_of
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import File
from nvsim.rootfs.tree import walk

IDENTITY = (1, 2, 3, 4, 5)


def later() -> float:
    """A clock for which every file has settled."""
    return time.time() + 10


def store(folder: Path) -> FactsStore:
    return FactsStore(folder, clock=later)


FACTS = BinaryFacts(
    ElfFacts(
        needed=("a", "b\udcff"),
        verneed=(VersionNeed("f", ("V1",)), VersionNeed("f", ("V2", "V3"), frozenset({"V3"}))),
        verdef=("X",),
        defs=frozenset({"s", "t"}),
        undef=(),
        stack=None,
        runpath="",
        flags_1=1 << 27,
        malformed="no",
        extra={"make_c_wrapper": "makeCWrapper x"},
    ),
    LoaderFacts("glibc", "2.36", ("/lib", "/usr/lib"), cache=None, preload=None, assumed=("x",)),
)


def test_facts_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    with store(tmp_path / "c") as first:
        first.keep(IDENTITY, FACTS)
        first.keep(IDENTITY, BinaryFacts(None), program=True)
    second = store(tmp_path / "c")
    assert second.find(IDENTITY) == FACTS
    assert second.find(IDENTITY, program=True) == BinaryFacts(None)
    assert second.find((1, 2, 3, 4, 6)) is None
    assert cache_info(str(tmp_path / "c")).records == 2


def test_a_file_that_may_still_change_unseen_is_not_kept_on_disk(tmp_path: Path) -> None:
    now = time.time_ns()
    for age, kept in ((0, False), (3_000_000_000, True)):
        with FactsStore(tmp_path) as first:
            first.keep((1, age, 3, 4, now - age), FACTS)
        assert (FactsStore(tmp_path).find((1, age, 3, 4, now - age)) is not None) is kept


# what happens to one of a few files, and what then lies there
NAMES = ["liba.so", "ld-linux-x86-64.so.2", "plain"]
CONTENTS = {
    "a": write_elf(soname="a", needed=("x",)),
    "b": write_elf(soname="b", needed=("y",)),  # of the same size as "a"
    "cut": write_elf(soname="a", needed=("x",))[:100],
    "text": b"#!/bin/sh\n",
    "empty": b"",
}
EDITS = st.tuples(
    st.sampled_from(["write", "rename", "utime", "chmod", "unlink", "link", "symlink"]),
    st.sampled_from(NAMES),
    st.sampled_from(sorted(CONTENTS)),
    st.sampled_from(NAMES),
)


def edit(folder: Path, what: str, name: str, content: str, other: str) -> None:
    path, there = folder / name, folder / other
    if what == "write":
        if path.is_symlink():
            path.unlink()
        path.write_bytes(CONTENTS[content])
        os.utime(path, ns=(0, 0))  # the mtime does not tell
    elif what == "rename":
        (folder / "new").write_bytes(CONTENTS[content])
        os.utime(folder / "new", ns=(0, 0))
        (folder / "new").rename(path)
    elif what == "unlink":
        path.unlink(missing_ok=True)
    elif what == "symlink":
        path.unlink(missing_ok=True)
        path.symlink_to(other)
    elif path.is_file() and not path.is_symlink():
        if what == "utime":
            os.utime(path, ns=(5, 5))
        elif what == "chmod":
            path.chmod(0o711)
        elif path != there:
            there.unlink(missing_ok=True)
            os.link(path, there)


def tick(folder: Path) -> None:
    """Wait until the file system's clock has moved."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        os.utime(probe)


def everything(tree: DirectoryTree) -> list[object]:
    return [(path, node, node.facts if isinstance(node, File) else None) for path, node in walk(tree) if path != "/"]


def comparable(rows: list[object]) -> list[object]:
    return [(p, n if f is None else (n.size, n.inode, n.mode), f) for p, n, f in rows]  # type: ignore[misc, union-attr]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=1, max_size=6))
def test_cached_facts_equal_fresh_ones_over_any_edits(tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, str, str]]]) -> None:  # fmt: skip
    root = tmp_path_factory.mktemp("root")
    cache = tmp_path_factory.mktemp("cache")
    tick(root)
    for edits in rounds:
        for step in edits:
            edit(root, *step)
        with store(cache) as kept:
            cached = comparable(everything(DirectoryTree(root, kept)))
        assert cached == comparable(everything(DirectoryTree(root)))
        tick(root)


def test_facts_that_are_on_disk_are_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(write_elf(soname="real"))
    with store(tmp_path / "c") as first:
        first.keep(identity_of(path.stat()), BinaryFacts(ElfFacts(soname="kept")))
    node = DirectoryTree(tmp_path, store(tmp_path / "c")).node("/libx.so")
    assert isinstance(node, File) and node.facts.elf == ElfFacts(soname="kept")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_cache_gives_right_facts_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with store(folder) as first:
        for number in range(3):
            first.keep((number, 2, 3, 4, 5), FACTS)
        first.keep_blob("layer", b"content")
    for path in folder.iterdir():
        raw = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
            raw[at] = data.draw(st.integers(0, 255))
        path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with store(folder) as second:
        for number in range(3):
            assert second.find((number, 2, 3, 4, 5)) in (None, FACTS)
        assert second.find_blob("layer") in (None, b"content")
        second.keep((9, 2, 3, 4, 5), FACTS)
    assert store(folder).find((9, 2, 3, 4, 5)) == FACTS


def test_a_folder_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (blocked, blocked / "below", Path("/proc/nvsim")):
        with store(folder) as kept:
            kept.keep(IDENTITY, FACTS)
            kept.keep_blob("layer", b"x")
            assert kept.find_blob("layer") is None
            assert kept.find(IDENTITY) == FACTS
        assert store(folder).find(IDENTITY) is None


def test_many_segments_are_merged_and_all_records_stay(tmp_path: Path) -> None:
    for number in range(3 * segments.MERGE_AT):
        with store(tmp_path) as one:
            one.keep((number, 2, 3, 4, 5), FACTS)
    assert len(list(tmp_path.iterdir())) < segments.MERGE_AT
    last = store(tmp_path)
    assert all(last.find((number, 2, 3, 4, 5)) == FACTS for number in range(3 * segments.MERGE_AT))


def test_the_size_on_disk_is_bounded_and_new_records_stay(tmp_path: Path) -> None:
    limit = 20_000
    for number in range(60):
        known = open_segments(str(tmp_path), "elf-x-")
        add_records(known, {number.to_bytes(segments.KEY, "big"): bytes(1000)}, limit)
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 2 * limit
    last = open_segments(str(tmp_path), "elf-x-")
    found = [last.get(number.to_bytes(segments.KEY, "big")) for number in range(60)]
    assert found[-3:] == [bytes(1000)] * 3
    assert found.count(None) > 30


WRITER = """
import sys
from nvsim.elf.facts import ElfFacts
from nvsim.elf.store import BinaryFacts, FactsStore
for number in range(12):
    with FactsStore(sys.argv[1]) as s:
        s.keep((int(sys.argv[2]), number, 3, 4, 5), BinaryFacts(ElfFacts(soname=str(number))))
"""


def test_processes_that_write_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(n)]) for n in range(4)]
    assert [p.wait(60) for p in running] == [0] * 4
    after = store(tmp_path)
    found = [after.find((n, number, 3, 4, 5)) for n in range(4) for number in range(12)]
    # what one process merges away while another one opens it may have to be read again, but nothing is ever wrong
    assert all(f in (None, BinaryFacts(ElfFacts(soname=str(i % 12)))) for i, f in enumerate(found))
    assert sum(f is not None for f in found) >= 36
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_other_code_does_not_see_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store(tmp_path) as first:
        first.keep(IDENTITY, FACTS)
    monkeypatch.setattr("nvsim.elf.store.fingerprint", lambda: "00000000")
    assert store(tmp_path).find(IDENTITY) is None
    assert cache_info(str(tmp_path)).files == 1


def test_the_folder_is_where_the_desktop_rules_say() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == "/c/nvsim"
    assert cache_folder({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == "/h/.cache/nvsim"
    assert cache_folder({"HOME": "/h", "NVSIM_NO_CACHE": "1"}) is None
    assert cache_folder({}) is None


def test_cleaning_removes_the_cache_and_nothing_else(tmp_path: Path) -> None:
    with store(tmp_path) as first:
        first.keep(IDENTITY, FACTS)
        first.keep_blob("layer", b"x")
    (tmp_path / "other").write_text("")
    assert clean_cache(str(tmp_path)).files == 2
    assert [p.name for p in tmp_path.iterdir()] == ["other"]
    assert cache_info(str(tmp_path)).files == 0
