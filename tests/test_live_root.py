"""A root that is alive: what the kernel makes up in it is left out of a walk, and what goes away during one does not end it."""

from __future__ import annotations

from pathlib import Path

import pytest

from elfwriter import write_elf
from nvsim.diagnosis.linkage import binaries
from nvsim.errors import ChangedError
from nvsim.rootfs.directory import DirectoryTree
from nvsim.rootfs.mounted import pseudo_mounts

MOUNTS = """\
21 25 0:20 / {top}/proc rw,relatime shared:11 - proc proc rw
22 25 0:21 / {top}/run/with\\040blank rw - cgroup2 none rw
23 25 8:1 / {top}/data rw shared:2 - ext4 /dev/sda1 rw
24 25 0:22 / {top}/over rw - sysfs sysfs rw
26 25 8:2 / {top}/over rw - ext4 /dev/sda2 rw
27 25 0:23 / {top}beside/proc rw - proc proc rw
28 25 0:24 / {top} rw - proc proc rw
"""


def test_mount_points_of_pseudo_file_systems_are_told_by_mountinfo(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(top=tmp_path))
    assert pseudo_mounts(tmp_path, str(table)) == {"/proc": "proc", "/run/with blank": "cgroup2"}
    assert pseudo_mounts(tmp_path, str(tmp_path / "none")) == {}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("bin/app", "proc/1/app", "run/kernel/app", "tmp/gone.so", "tmp/later/x.so"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_elf(soname="x", needed=("libc.so.6",)))
        path.chmod(0o755)
    return tmp_path / "root"


def test_a_walk_names_what_it_does_not_enter(root: Path) -> None:
    left_out: list[str] = []
    found = [p for p, _ in binaries(DirectoryTree(root), pseudo={"/run/kernel"}, left_out=left_out.append)]
    assert found == ["/bin/app", "/tmp/gone.so", "/tmp/later/x.so"]
    assert left_out == ["/proc", "/run/kernel"]


def test_a_file_that_goes_away_during_a_walk_is_left_out(root: Path) -> None:
    tree, left_out = DirectoryTree(root), list[str]()
    assert tree.node("/tmp/gone.so") is not None
    assert tree.node("/tmp/later") is not None
    assert tree.names("/tmp") == ("gone.so", "later")
    (root / "tmp/gone.so").unlink()
    (root / "tmp/later/x.so").unlink()
    (root / "tmp/later").rmdir()
    assert [p for p, _ in binaries(tree, pseudo={"/run/kernel", "/proc"}, left_out=left_out.append)] == ["/bin/app"]
    assert left_out == ["/proc", "/run/kernel", "/tmp/gone.so", "/tmp/later"]


def test_without_a_place_to_name_it_a_change_ends_the_walk(root: Path) -> None:
    tree = DirectoryTree(root)
    assert tree.node("/bin") is not None
    assert "bin" in tree.names("/")
    (root / "bin/app").unlink()
    (root / "bin").rmdir()
    with pytest.raises(ChangedError, match="changed while it was read"):
        list(binaries(tree))
