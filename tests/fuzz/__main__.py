"""``python -m tests.fuzz [corpus | mangle] ...``: the modules that the fuzzer shares with the tests lie in the directory above it."""

from __future__ import annotations

import sys
from pathlib import Path


def run(argv: list[str]) -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from fuzz import command, corpus, mangle

    others = {"corpus": corpus.main, "mangle": mangle.main}
    if argv and argv[0] in others:
        return others[argv[0]](argv[1:])
    return command.main(argv)


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
