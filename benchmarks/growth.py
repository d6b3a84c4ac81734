"""How time and memory grow: with the files of an image, the libraries of a program, the directories of a search list, the scenarios."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.goals import make_tree
from benchmarks.measure import ROOT, in_process
from benchmarks.plot import Plot, steepest, svg

Line = tuple[tuple[float, float], ...]


def main(*, quick: bool) -> None:
    """Measure, print every point and slope, and draw docs/growth.svg (not with `quick`)."""
    most = 4 if quick else 6
    seconds, megabytes = files([10**power for power in range(3, most + 1)])
    plots = (
        Plot("Files of an image (tree file): time", "files", "seconds", (("load and walk", seconds),)),
        Plot("Files of an image (tree file): memory", "files", "MB of the whole process", (("peak", megabytes),)),
        Plot(
            "Libraries of a program",
            "libraries",
            "ms",
            (("one new answer", growing("closure", [10, 30, 100, 300, 1000])),),
        ),
        Plot(
            "Directories of LD_LIBRARY_PATH",
            "directories",
            "ms",
            (("30 libraries, found in the last", growing("search_list", [1, 3, 10, 30, 100, 200])),),
        ),
        Plot("Scenarios", "scenarios", "ms", (("none asked before", growing("scenarios", [10, 30, 100, 300, 1000])),)),
    )
    for plot in plots:
        for name, line in plot.lines:
            points = ", ".join(f"{x:g}: {y:.3g}" for x, y in line)
            print(f"{plot.title} ({name}, {plot.y}): {points}; slope of the upper half {steepest(line):.2f}")
    if not quick:
        (ROOT / "docs/growth.svg").write_text(svg(plots))


def files(counts: list[int]) -> tuple[Line, Line]:
    """Seconds and megabytes to load a tree file and look at each of its nodes."""
    seconds, megabytes = [], []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            took = in_process("tree_memory", str(make_tree(Path(folder) / str(count), count, directory=False)[1]))
            seconds.append((float(count), took["seconds"]))
            megabytes.append((float(count), took["megabytes"]))
    return tuple(seconds), tuple(megabytes)


def growing(name: str, sizes: list[int]) -> Line:
    """Milliseconds of one measurement at each size."""
    return tuple((float(size), 1000 * in_process(name, str(size))["seconds"]) for size in sizes)
