"""``make bench``: measure, print the table of goals, and (``--write``) keep it as results.md; ``--growth`` measures growth and plots it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable

from benchmarks.goals import Row, rows
from benchmarks.measure import ROOT, output_of
from benchmarks.peers import Peer, find_peers


def table(found: Iterable[Row]) -> Iterable[str]:
    """The rows as a Markdown table, line by line."""
    yield "| work | measured | against | ratio | goal | met |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in found:
        sign = ">=" if row.least else "<="
        against = f"{_number(row.against)} {row.unit} ({row.peer})" if row.against else f"{row.peer}: not here"
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else "-"
        met = {None: "-", True: "yes", False: "**no**"}[row.met]
        yield f"| {row.work} | {_number(row.measured)} {row.unit} | {against} | {ratio} | {sign} {row.goal:g} | {met} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> Iterable[str]:
    """Where this was measured."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    yield f"- machine: {cpu}, {os.cpu_count()} cores, Linux {platform.release()}"
    version = output_of([sys.executable, "-m", "nvsim", "--version"]).split()
    yield f"- Python {platform.python_version()}, nvsim {version[-1] if version else '?'}"
    yield "- times are CPU time (user and system), medians; programs were run in turn"


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.readlines()
    except OSError:
        return []


def peer_lines(peers: dict[str, Peer]) -> Iterable[str]:
    """Each peer with its version, or which package would bring it."""
    for peer in peers.values():
        yield f"- {peer.name}: {peer.version}" if peer.argv else f"- {peer.name}: not here; install {peer.package}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--write", action="store_true", help="keep the table as benchmarks/results.md")
    parser.add_argument("--growth", action="store_true", help="measure growth instead, and draw docs/growth.svg")
    options = parser.parse_args()
    if options.growth:
        from benchmarks.growth import main as growth

        growth(quick=options.quick)
        return
    peers = find_peers()
    head = [*machine(), *peer_lines(peers)]
    for line in head:
        print(line)
    print()
    lines = []
    for line in table(rows(peers, 5 if options.quick else 21)):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        text = "\n".join(["# One run of `make bench`", "", *head, "", *lines, ""])
        (ROOT / "benchmarks/results.md").write_text(text)


main()
