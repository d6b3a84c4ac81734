"""Measuring: programs in turn, so that a busy machine is as slow for one as for the other; functions in a process of their own.

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
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from attrs import frozen

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
    """The median time in seconds of each program, run in turn `rounds` times after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = once(command)
            if number:
                times[name].append(took)
    return {name: median(t) for name, t in times.items()}


def once(command: Command) -> float:
    """Seconds from start to end of one run, whose output is thrown away. Raises RuntimeError when the program did not do its work."""
    start = time.perf_counter()
    done = subprocess.run(
        command.argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**BASE_ENV, **command.env}, check=False
    )
    took = time.perf_counter() - start
    if command.accept is not None and done.returncode not in command.accept:
        raise RuntimeError(
            f"{command.argv[:4]} ends with {done.returncode}: {done.stderr[-500:].decode(errors='replace')}"
        )
    return took


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
