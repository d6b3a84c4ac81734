"""The ``nvsim`` command's entry point."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Let the interpreter look for garbage seldom: values do not refer to each other in circles, and to look for such often would take an
    eighth of a batch's time."""
    gc.set_threshold(200_000, 20, 100)


def main() -> None:
    """Run the command line."""
    collect_seldom()
    from nvsim.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()  # nor when the process ends: all its memory goes then


if __name__ == "__main__":
    main()
