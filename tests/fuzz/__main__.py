"""``python -m tests.fuzz``: the modules that the fuzzer shares with the tests lie in the directory above it."""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from fuzz.command import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(run())
