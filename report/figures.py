"""Figures of the report page as SVG, coloured by the page's own style sheet; from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 240, 130, 6, 6, 8, 22
SIDE = 300  # of the square calibration plot, its labels not counted
BINS = 16


def histogram(values: Sequence[float], marks: Mapping[str, float], label: str) -> Markup:
    """Draw how many pictures have which values, as bars, with a line at each mark.

    `marks` maps a style class (`mean`, `bias`) to a value; `label` is what is read aloud. Values
    and marks that are not finite are not drawn. Bins are 1, 2 or 5 times a power of ten wide.
    """
    values = np.array([value for value in values if math.isfinite(value)], np.float64)
    marks = {name: value for name, value in marks.items() if math.isfinite(value)}
    return bars(*binned(values, marks.values()), marks, label)


def bars(
    edges: Sequence[float], counts: Sequence[int], marks: Mapping[str, float], label: str,
    what: str = "picture",
) -> Markup:  # fmt: skip
    """Draw a histogram of `counts` (bins,) of a `what` between `edges` (bins + 1,)."""
    base, unit = HEIGHT - BOTTOM, (HEIGHT - TOP - BOTTOM) / max(1, *counts)

    def x(value: float) -> float:
        return LEFT + (value - edges[0]) / (edges[-1] - edges[0]) * (WIDTH - LEFT - RIGHT)

    rectangles = [
        f'<rect class="bar" x="{x(low) + 0.5:.1f}" y="{base - count * unit:.1f}" '
        f'width="{x(high) - x(low) - 1:.1f}" height="{count * unit:.1f}">'
        f"<title>{low:.4g} to {high:.4g}: {count} {what}{'s' if count != 1 else ''}</title></rect>"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    ]
    lines = [
        f'<line class="{name}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP - 6}" y2="{base}"/>'
        for name, value in marks.items()
    ]
    numbers, near = [], (edges[-1] - edges[0]) / 25
    for tick in ticks(edges[0], edges[-1], 5):  # inwards at the ends, where it would be cut off
        anchor = "end" if edges[-1] - tick < near else "middle"
        anchor = "start" if tick - edges[0] < near else anchor
        numbers.append(_text(f"{x(tick):.1f}", f"{base + 14:.1f}", anchor, f"{tick:.6g}"))
    axis = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'
    return _svg(WIDTH, HEIGHT, label, [*rectangles, axis, *lines, *numbers])


def binned(values: np.ndarray, also: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return edges (bins + 1,), round numbers, that hold all values and `also`; and the counts of
    values in each bin."""
    every = [*values.tolist(), *also] or [0.0]
    low, high = min(every), max(every)
    if high - low <= 1e-9 * max(1, abs(high)):  # all the same, but for round-off
        low, high = low - 0.5, high + 0.5
    step = nice((high - low) / BINS)
    places = np.floor(np.array([low, high, *values]) / step + 1e-9).astype(int)  # despite round-off
    first, last = places[:2]
    counts = np.bincount(places[2:] - first, minlength=last - first + 1)
    return np.arange(first, last + 2) * step, counts


def nice(step: float) -> float:
    """Return the least of 1, 2 or 5 times a power of ten that is `step` or more, to round-off."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(k * power for k in (1, 2, 5, 10) if k * power >= step * (1 - 1e-9))


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return at most `count` + 1 round numbers from low to high."""
    step = nice((high - low) / count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def calibration_plot(calibration: Mapping[str, Any]) -> Markup:
    """Draw the share of fixations below each level of the density's own mass, and the diagonal.

    `calibration` is what `statistics.calibration` returns; its interval, if any, is a band.
    """
    left, top = 54, 8
    bottom, middle, centre = top + SIDE, top + SIDE / 2, left + SIDE / 2

    def path(levels: Sequence[float], shares: Sequence[float]) -> str:
        pairs = zip(levels, shares, strict=True)
        return " ".join(f"{left + a * SIDE:.1f},{bottom - b * SIDE:.1f}" for a, b in pairs)

    levels = calibration["levels"]
    ends = np.concatenate([calibration["low"], calibration["high"][::-1]])
    band = path([*levels, *levels[::-1]], ends) if np.isfinite(ends).all() else ""
    parts = [
        f'<rect class="frame" x="{left}" y="{top}" width="{SIDE}" height="{SIDE}"/>',
        f'<polygon class="band" points="{band}"/>',
        f'<polyline class="diagonal" points="{path([0, 1], [0, 1])}"/>',
        f'<polyline class="curve" points="{path(levels, calibration["share"])}"/>',
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = f"{left + tick * SIDE:.0f}", f"{bottom - tick * SIDE + 4:.0f}"
        parts.append(_text(x, bottom + 16, "middle", f"{tick:g}"))
        parts.append(_text(left - 6, y, "end", f"{tick:g}"))
    parts.append(_text(centre, bottom + 34, "middle", "mass of the density on less dense pixels"))
    turn = f' transform="rotate(-90 12 {middle})"'
    parts.append(_text(12, middle, "middle", "share of fixations there or below", turn))
    label = f"Calibration: the largest gap to the diagonal is {calibration['gap']:+.3f}"
    return _svg(left + SIDE + 12, bottom + 42, label, parts)


def _text(x: object, y: object, anchor: str, text: str, turn: str = "") -> str:
    """Return text at a place, with a true minus."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{turn}>{text.replace("-", "−")}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    """Return parts, made of numbers and our own words alone, as a picture read as `label`."""
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(width, height, label) + Markup("".join(parts)) + Markup("</svg>")
