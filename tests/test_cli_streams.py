"""Standard output that is closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def closed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", 'exec "$0" -m nvsim "$@" >&-', sys.executable, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)


def test_a_closed_standard_output_is_told_in_one_line() -> None:
    ended = closed("host", "list")
    assert ended.returncode == 2
    assert ended.stderr == "nvsim: standard output: is closed (leave it open, or give -o FILE)\n"


def test_a_file_is_written_whether_standard_output_is_open_or_not(tmp_path: Path) -> None:
    ended = closed("host", "list", "-o", str(tmp_path / "hosts"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ubuntu2204-535" in (tmp_path / "hosts").read_text()
