"""A real directory as a tree: lazy, never outside of its root, and honest about changes while it is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from elfwriter import write_elf
from nvsim.errors import InputError
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.node import Directory, File, Special, Symlink
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.rootfs.tree import walk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    (top / "usr/lib").mkdir(parents=True)
    (top / "usr/lib/libx.so").write_bytes(write_elf(soname="libx.so"))
    (top / "lib").symlink_to("usr/lib")
    (top / "etc").mkdir()
    (top / "etc/conf").write_bytes(b"a\xff\n")
    (tmp_path / "secret").write_text("outside")
    return top


def facts(tree: DirectoryTree, path: str) -> object:
    found = resolve(tree, path)
    assert isinstance(found, Resolved) and isinstance(found.node, File)
    return found.node.facts


def test_every_kind_of_node_is_told(root: Path) -> None:
    os.mkfifo(root / "pipe")
    os.link(root / "etc/conf", root / "etc/same")
    tree = DirectoryTree(root)
    assert tree.names("/") == ("etc", "lib", "pipe", "usr")
    assert tree.node("/lib") == Symlink("usr/lib", uid=os.getuid(), gid=os.getgid(), origin=tree.node("/lib").origin)  # type: ignore[union-attr]
    assert isinstance(tree.node("/"), Directory)
    pipe = tree.node("/pipe")
    assert isinstance(pipe, Special) and pipe.kind == "fifo"
    one, two = tree.node("/etc/conf"), tree.node("/etc/same")
    assert isinstance(one, File) and isinstance(two, File)
    assert one.inode == two.inode
    assert one.facts.text == "a\udcff\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../etc/passwd", "/../../secret", "../secret"])
def test_a_link_never_leads_out(root: Path, target: str) -> None:
    (root / "out").symlink_to(target)
    assert isinstance(resolve(DirectoryTree(root), "/out"), PathError)


def test_what_lies_behind_a_link_is_no_path_of_the_tree(root: Path) -> None:
    tree = DirectoryTree(root)
    assert tree.node("/lib/libx.so") is None
    assert tree.names("/lib") == ()
    assert tree.node("/etc/conf/x") is None


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda top: (top / "usr/lib/libx.so").write_bytes(b"other"),
    "replaced": lambda top: ((top / "n").write_bytes(b"x"), (top / "n").rename(top / "usr/lib/libx.so")),
    "gone": lambda top: (top / "usr/lib/libx.so").unlink(),
    "mode": lambda top: (top / "usr/lib/libx.so").chmod(0o700),
    "link": lambda top: ((top / "lib").unlink(), (top / "lib").symlink_to("usr/other")),
    "appeared": lambda top: (top / "missing").write_text(""),
    "directory is a link": lambda top: ((top / "usr").rename(top / "real"), (top / "usr").symlink_to("real")),
    "listed": lambda top: (top / "etc/new").write_text(""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_reading_is_an_error_that_names_the_path(root: Path, change: str) -> None:
    tree = DirectoryTree(root)
    facts(tree, "/lib/libx.so")
    assert tree.node("/missing") is None
    assert tree.names("/etc") == ("conf",)
    tree.verify()
    CHANGES[change](root)
    with pytest.raises(InputError, match=rf"{root}/.*changed while it was read .run again."):
        tree.verify()


def test_a_change_of_what_no_answer_rests_on_is_no_error(root: Path) -> None:
    tree = DirectoryTree(root)
    facts(tree, "/lib/libx.so")
    (root / "etc/conf").write_text("other")
    (root / "usr/lib/new").write_text("")
    tree.verify()


def test_a_file_that_changed_since_it_was_seen_is_not_read(root: Path) -> None:
    node = DirectoryTree(root).node("/usr/lib/libx.so")
    assert isinstance(node, File)
    (root / "usr/lib/libx.so").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"libx\.so: changed while it was read"):
        assert node.facts


def test_a_file_swapped_for_a_link_or_a_pipe_is_not_read(root: Path) -> None:
    for number, swap in enumerate((lambda p: p.symlink_to("/etc/passwd"), os.mkfifo)):
        path = root / f"f{number}"
        path.write_text("text")
        node = DirectoryTree(root).node(f"/f{number}")
        assert isinstance(node, File)
        path.unlink()
        swap(path)
        with pytest.raises(InputError, match=rf"f{number}: "):
            assert node.facts


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told_by_name(root: Path) -> None:
    (root / "etc/conf").chmod(0)
    with pytest.raises(InputError, match="etc/conf: cannot be read: Permission denied"):
        facts(DirectoryTree(root), "/etc/conf")
    (root / "etc").chmod(0)
    with pytest.raises(InputError, match="etc: directory cannot be read"):
        DirectoryTree(root).names("/etc")
    (root / "etc").chmod(0o755)


UNPRIVILEGED = """
import os, sys
from nvsim.errors import InputError
from nvsim.rootfs.directory import DirectoryTree
os.setgroups([]); os.setgid(65534); os.setuid(65534)
tree = DirectoryTree(sys.argv[1])
for ask in (lambda: tree.node("/closed").facts, lambda: tree.names("/hidden"), lambda: tree.node("/locked/x")):
    try:
        ask()
    except InputError as e:
        print(e)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_what_another_user_may_not_read_is_told_by_name(tmp_path: Path) -> None:
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and path.owner() == "root" and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o111)
    tmp_path.chmod(0o755)
    (tmp_path / "closed").write_text("x")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "hidden").mkdir(mode=0o111)
    (tmp_path / "locked").mkdir(mode=0o600)
    (tmp_path / "locked/x").write_text("x")
    done = subprocess.run([sys.executable, "-c", UNPRIVILEGED, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"{tmp_path}/closed: cannot be read: Permission denied",
        f"{tmp_path}/hidden: directory cannot be read",
        f"{tmp_path}/locked/x: cannot be read: Permission denied",
    ], done.stderr


# VmHWM is of the program alone; ru_maxrss would begin with what the test process had when it made the child
MEASURE = """
import re, sys
from pathlib import Path
from nvsim.image.read import load_image
from nvsim.rootfs.tree import walk
for _ in walk(load_image(sys.argv[1], Path("/nowhere")).tree):
    pass
print(re.search("VmHWM:\\\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak_megabytes(image: Path) -> float:
    done = subprocess.run([sys.executable, "-c", MEASURE, image], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def test_a_directory_of_a_hundred_thousand_files_takes_at_most_150_megabytes(tmp_path: Path) -> None:
    for d in range(100):
        (tmp_path / f"directory{d}").mkdir()
        for f in range(200):
            os.mknod(tmp_path / f"directory{d}/file{f}", 0o644)
            os.truncate(tmp_path / f"directory{d}/file{f}", 1 + f)
    few, many = peak_megabytes(tmp_path / "directory1"), peak_megabytes(tmp_path)
    assert few + 5 * (many - few) < 150  # 20,000 files are measured


def test_a_tree_file_of_a_hundred_thousand_files_takes_at_most_150_megabytes(tmp_path: Path) -> None:
    entries = [
        f'"/usr/directory{n // 200}/file{n}": {{"type":"file","size":{n},"mode":"0644"}}' for n in range(100_000)
    ]
    path = tmp_path / "tree.json"
    path.write_text('{"format":"nvsim-tree/1","tree":{' + ",\n".join(entries) + "}}")
    assert peak_megabytes(path) < 150


def test_walking_goes_through_everything_once(root: Path) -> None:
    assert [path for path, _ in walk(DirectoryTree(root))] == [
        "/", "/etc", "/etc/conf", "/lib", "/usr", "/usr/lib", "/usr/lib/libx.so",
    ]  # fmt: skip
