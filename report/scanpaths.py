"""Scanpaths as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from storage import replacing

# Told apart by colour-blind people too (Okabe and Ito, 2008); light ones are numbered in black.
COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167))
COLOURS += ((86, 180, 233), (240, 228, 66), (40, 40, 40))
RIMS = ((70, 70, 70), (255, 255, 255))  # one shows on bright, one on dark pictures
FINE = 3  # drawn so many times larger and shrunk, which smooths edges


def write_csv(path: Path, scanpaths: np.ndarray) -> None:
    """Write scanpaths (count, length, 2): a row a fixation, both counted from 1; x, y in pixels.

    Rows with NaN, of scanpaths that end earlier, are left out.
    """
    with replacing(path) as part, part.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("scanpath", "fixation", "x", "y"))
        for number, scanpath in enumerate(np.asarray(scanpaths, np.float64), 1):
            for fixation, point in enumerate(scanpath, 1):
                if np.isfinite(point).all():
                    rows.writerow((number, fixation, *(f"{value:.10g}" for value in point)))


def save_scanpaths(path: Path, image: np.ndarray, scanpaths: np.ndarray) -> None:
    """Write a picture with scanpaths drawn on it; the suffix says PNG or JPEG.

    `image` (H, W, 3) uint8 RGB; `scanpaths` (count, length, 2) x, y in its pixels (the floor is
    the pixel), NaN after the end of a shorter one. Each has a colour, lines from fixation to
    fixation, and circles numbered from 1; after eight, colours come again with dashed lines.
    The longer side becomes 1200 px where it is less, and 1600 px where it is more.
    """
    scanpaths = np.asarray(scanpaths, np.float64)
    if scanpaths.ndim != 3 or scanpaths.shape[2] != 2:
        raise ValueError(f"scanpaths of shape {scanpaths.shape}: (count, length, 2) is needed")
    longer = max(image.shape[:2])
    scale = min(max(longer, 1200), 1600) / longer
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    picture = Image.fromarray(np.ascontiguousarray(image)).convert("RGBA")
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    layer = Image.new("RGBA", (size[0] * FINE, size[1] * FINE))
    draw = ImageDraw.Draw(layer)
    paths = [points[np.isfinite(points).all(axis=1)] * scale * FINE for points in scanpaths]
    unit = max(size) * FINE / 960  # a pixel of a picture whose longer side is 960
    for index, points in enumerate(paths):
        _lines(draw, points, COLOURS[index % len(COLOURS)], unit, index // len(COLOURS) % 2 == 1)
    # Over all lines, and the first fixations last, so that every beginning is seen.
    for place in reversed(range(scanpaths.shape[1])):
        for index, points in enumerate(paths):
            if place < len(points):
                _number(draw, points[place], place + 1, COLOURS[index % len(COLOURS)], unit)
    picture.alpha_composite(layer.resize(size, Image.Resampling.BOX))
    with replacing(path) as part:
        picture.convert("RGB").save(part, quality=90, subsampling=0)


def _lines(
    draw: ImageDraw.ImageDraw, points: np.ndarray, colour: Sequence[int], unit: float, dashed: bool
) -> None:
    """Draw the way from fixation to fixation, with rims."""
    for start, end in zip(points[:-1], points[1:], strict=True):
        dashes = max(1, round(float(np.hypot(*(end - start))) / (7 * unit))) if dashed else 1
        stops = start + np.linspace(0, 1, 2 * dashes)[:, None] * (end - start)
        for ink, width in zip((*RIMS, colour), (6, 5, 3), strict=True):
            for dash in stops.reshape(dashes, 4):
                draw.line(tuple(dash), fill=ink, width=round(width * unit))


def _number(
    draw: ImageDraw.ImageDraw, point: np.ndarray, number: int, colour: Sequence[int], unit: float
) -> None:
    """Draw a numbered circle; its number is black on light colours, white on dark ones."""
    for ink, radius in zip((*RIMS, colour), (11.4, 10.8, 9.6), strict=True):
        reach = radius * unit
        draw.ellipse((*(point - reach), *(point + reach)), fill=ink)
    ink = "black" if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else "white"
    font = ImageFont.load_default((14 if number < 10 else 11.5) * unit)
    draw.text(tuple(point), str(number), fill=ink, font=font, anchor="mm")
