"""The ``nvsim`` command's entry point."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from nvsim.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
