"""A plain SVG of several small log-log plots, each with a dashed line of slope one through its first point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from nvsim.frozen import frozen

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 300, 220, 64, 34, 44
_COLOURS = ("#1b6ca8", "#b3541e")


@frozen
class Plot:
    """One panel: lines of (name, points); both axes are logarithmic and their numbers positive."""

    title: str
    x: str
    y: str
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


def svg(plots: Sequence[Plot], columns: int = 2) -> str:
    """The picture."""
    rows = -(-len(plots) // columns)
    width = columns * (_LEFT + _WIDTH + _GAP)
    height = rows * (_TOP + _HEIGHT + _GAP + 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, plot in enumerate(plots):
        left = number % columns * (_LEFT + _WIDTH + _GAP) + _LEFT
        top = number // columns * (_TOP + _HEIGHT + _GAP + 10) + _TOP
        parts += _panel(plot, left, top)
    return "\n".join([*parts, "</svg>", ""])


def _panel(plot: Plot, left: int, top: int) -> list[str]:
    points = [p for _, line in plot.lines for p in line]
    xs = _span([x for x, _ in points])
    ys = _span([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - xs[0]) / (xs[1] - xs[0])
        up = (math.log10(y) - ys[0]) / (ys[1] - ys[0])
        return left + across * _WIDTH, top + (1 - up) * _HEIGHT

    out = [
        f'<rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#888"/>',
        f'<text x="{left}" y="{top - 10}" font-size="12" font-weight="bold">{escape(plot.title)}</text>',
        f'<text x="{left + _WIDTH / 2}" y="{top + _HEIGHT + 30}" text-anchor="middle">{escape(plot.x)}</text>',
        f'<text transform="translate({left - 46},{top + _HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(plot.y)}</text>',
    ]
    for power in range(xs[0], xs[1] + 1):
        x, _ = place(10.0**power, 10.0 ** ys[0])
        out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + _HEIGHT}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{x:.1f}" y="{top + _HEIGHT + 14}" text-anchor="middle">{10.0**power:g}</text>')
    for power in range(ys[0], ys[1] + 1):
        _, y = place(10.0 ** xs[0], 10.0**power)
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + _WIDTH}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for number, (name, line) in enumerate(plot.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in line))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in (place(*p) for p in line)]
        out += _slope_one(line, ys[1], place, colour)
        y = top + 16 + 14 * number
        out.append(f'<text x="{left + 8}" y="{y}" fill="{colour}">{escape(name)}</text>')
    return out


def _slope_one(
    line: Sequence[tuple[float, float]], top: int, place: Callable[[float, float], tuple[float, float]], colour: str
) -> list[str]:
    """The dashed line of linear growth from the first point, as far as the panel goes."""
    x0, y0 = line[0]
    end = min(line[-1][0], x0 * 10.0**top / y0)
    (ax, ay), (bx, by) = place(x0, y0), place(end, y0 * end / x0)
    return [
        f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}" stroke="{colour}" stroke-dasharray="3 4" opacity="0.6"/>'
    ]


def _span(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def steepest(line: Sequence[tuple[float, float]]) -> float:
    """The slope of the upper half of a line in the logarithmic plot: 1 is linear growth."""
    (x0, y0), (x1, y1) = line[len(line) // 2], line[-1]
    return math.log(y1 / y0) / math.log(x1 / x0)
