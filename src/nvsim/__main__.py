"""The ``nvsim`` command's entry point."""

from __future__ import annotations

import sys


def main() -> None:
    from nvsim.batch import answers

    for line in answers(sys.stdin):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
