"""Completion in a real bash: the script is sourced, and its function called as readline calls it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
_AS_READLINE = r"""
compopt() { OPTIONS+=" $1 $2"; }
eval "$(nvsim completion bash)"
[[ $(complete -p nvsim) == *_nvsim_completion* ]] || exit 9
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} OPTIONS=
    COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
    _nvsim_completion nvsim "" ""
    (IFS=' '; echo "${COMPREPLY[*]}$OPTIONS")
done
"""


@pytest.fixture
def completed(tmp_path: Path):
    """Asks bash for the completions of lines."""
    script = tmp_path / "nvsim"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m nvsim "$@"\n')
    script.chmod(0o755)

    def ask(*lines: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", f'PATH="{tmp_path}:$PATH"{_AS_READLINE}'],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return ask


def test_commands_options_and_hosts_are_completed(completed) -> None:
    asked = {
        "nvsim ru": "run",
        "nvsim host sh": "show",
        "nvsim run --toolkit": "--toolkit-version",
        "nvsim explain NVS407": "NVS407",
        "nvsim explain not-s": "not-searched",
        "nvsim run --host eks-al2-": "eks-al2-2021 eks-al2-535",
        "nvsim run --host=eks-al2-2": "eks-al2-2021",
        "A=1 nvsim run --host eks-al2-2": "eks-al2-2021",
        "nvsim run --host debian12-535 -it -e 'A=x y' --name x --gp": "--gpus --gpu-limit",
    }
    assert dict(zip(asked, completed(*asked), strict=True)) == asked


def test_images_are_completed_behind_the_colon_where_bash_breaks_the_word(completed) -> None:
    asked = {
        "nvsim image show exa": "",
        "nvsim image show example:deb": "debian12 -o default",
        "nvsim run --host debian12-535 -w=/tmp --privileged=false -it example:deb": "debian12 -o default",
        "nvsim image show /no/such": " -o default",
    }
    answers = completed(*asked)
    assert answers[0].startswith("example:alpine ") and answers[0].endswith(" -o default")
    assert answers[1:] == list(asked.values())[1:]
