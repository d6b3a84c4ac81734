"""Measuring in CPU seconds: programs in turn, functions in a process of their own.

What is compared with what is told in `benchmarks.goals`.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from nvsim.frozen import frozen

ROOT = Path(__file__).resolve().parent.parent
NVSIM = str(Path(sys.executable).with_name("nvsim"))
COMPILED = tempfile.mkdtemp(
    prefix="nvsim-bench-"
)  # an installed program has its modules compiled, whatever this shell says
atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
BASE_ENV = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": COMPILED}


@frozen
class Command:
    """A program to be timed. `accept`: the exit statuses with which it has done its work (None: any)."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    accept: tuple[int, ...] | None = (0, 1)


def interleaved(commands: Mapping[str, Command], rounds: int) -> dict[str, float]:
    """The median CPU seconds of each program, run in turn `rounds` times after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = once(command)
            if number:
                times[name].append(took)
    return {name: median(t) for name, t in times.items()}


def once(command: Command) -> float:
    """CPU seconds (user and system) of one run, whose output is thrown away: on a busy machine the clock on the wall tells little.

    Raises RuntimeError when the program did not do its work.
    """
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            command.argv, stdout=subprocess.DEVNULL, stderr=said, env={**BASE_ENV, **command.env}
        )
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if command.accept is not None and running.returncode not in command.accept:
            said.seek(0)
            text = said.read()[-500:].decode(errors="replace")
            raise RuntimeError(f"{command.argv[:4]} ends with {running.returncode}: {text}")
        return usage.ru_utime + usage.ru_stime


def in_process(name: str, *arguments: str, timeout: float = 600) -> dict[str, float]:
    """What the function `name` of `benchmarks.inside` measured, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.inside", name, *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=BASE_ENV, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stderr[-1500:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def output_of(argv: Sequence[str]) -> str:
    """What a program prints; empty when it cannot be run."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout
    except OSError:
        return ""
