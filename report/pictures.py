"""Densities as pictures: saliency maps, overlays and thumbnails, from arrays and into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from storage import replacing

FORMATS = ("png", "npy")
MASSES = (0.25, 0.5, 0.75)
OPACITY = 0.85
DOT, RING = (255, 176, 0), (20, 20, 20)
INSIDE, OUTSIDE = (90, 225, 255), (255, 40, 40)  # seen on the colours of heat


def save_map(path: Path, log_density: np.ndarray, fmt: str = "png") -> None:
    """Writes a saliency map at the picture's size.

    `log_density` (H, W) is in nats per pixel. "png" is 8-bit grey: the density relative to its
    maximum, 255 x exp(log_density - max), rounded. The brightest pixel is the likeliest, one of
    half its brightness is half as likely, black is less than 1/510 of it; absolute
    probabilities are lost. "npy" keeps the log-density as float32. `path` is taken as it is,
    suffix included. Raises ValueError for another shape, non-finite values or another `fmt`.
    """
    if fmt not in FORMATS:
        raise ValueError(f"format {fmt!r} of a saliency map: allowed are {', '.join(FORMATS)}")
    log_density = _checked(log_density)
    with replacing(path) as part:
        if fmt == "npy":
            with part.open("wb") as file:
                np.save(file, log_density.astype(np.float32))
        else:
            grey = np.rint(255 * _relative(log_density)).astype(np.uint8)
            Image.fromarray(grey).save(part, format="PNG")


def save_overlay(
    path: Path, image: np.ndarray, log_density: np.ndarray, max_side: int | None = None
) -> None:
    """Writes a picture with its density as heat over it; the suffix says PNG or JPEG.

    `image` (H, W, 3) uint8 RGB, `log_density` (H, W). Colour (inferno) and opacity grow with the
    square root of the density relative to its maximum, so where nothing is expected the picture
    stays as it is. White lines enclose the smallest regions holding 25, 50 and 75 % of the mass.
    `max_side` shrinks both before drawing. Raises ValueError if their sizes differ.
    """
    _save(path, _heated(path, image, log_density, max_side))


def save_view(
    path: Path,
    image: np.ndarray,
    log_density: np.ndarray | None,
    points: np.ndarray | None,
    max_side: int = 640,
) -> None:
    """Writes a picture with its density, where there is one, and a dot at each fixation.

    As `save_overlay` and `save_stimulus` take them; fixations outside the picture are drawn at its
    border, in another colour, and larger.
    """
    picture = _shrunk(image, None, max_side)[0]
    if log_density is not None:
        picture = _heated(path, image, log_density, max_side)
    if points is not None and len(points):
        points = np.asarray(points, np.float64)
        points = points[np.isfinite(points).all(axis=1)] / (image.shape[1], image.shape[0])
        inside = ((points >= 0) & (points < 1)).all(axis=1)
        _draw_dots(picture, points[inside] * picture.size, INSIDE, 0.75)
        _draw_dots(picture, np.clip(points[~inside], 0, 1) * picture.size, OUTSIDE, 2)
    _save(path, picture)


def _heated(
    path: Path, image: np.ndarray, log_density: np.ndarray, max_side: int | None
) -> Image.Image:
    from matplotlib import colormaps

    log_density = _checked(log_density)
    if image.shape != (*log_density.shape, 3):
        raise ValueError(f"overlay {path}: image {image.shape}, log-density {log_density.shape}")
    picture, density = _shrunk(image, _relative(log_density), max_side)
    heat = np.sqrt(density / density.max())
    colour = 255 * colormaps["inferno"](heat)[..., :3]
    mixed = _mix(np.asarray(picture, np.float64), colour, OPACITY * heat)
    width = max(1.2, max(density.shape) / 600)
    # A dark rim keeps the white lines visible on bright pictures.
    for value, opacity, pixels in ((0.0, 0.4, width + 1.6), (255.0, 0.95, width)):
        mixed = _mix(mixed, value, opacity * _contours(density, pixels))
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def save_stimulus(
    path: Path, image: np.ndarray, fixations: np.ndarray | None = None, max_side: int = 400
) -> None:
    """Writes a thumbnail of a picture, with a dot at each fixation; the suffix says the format.

    `image` (H, W, 3) uint8 RGB; `fixations` (n, 2) x, y in its pixels (the floor is the pixel);
    rows with NaN are left out. Pictures are shrunk to `max_side`, never enlarged.
    """
    picture, _ = _shrunk(image, None, max_side)
    if fixations is not None and len(fixations):
        scale = np.array(picture.size) / (image.shape[1], image.shape[0])
        points = np.asarray(fixations, np.float64) * scale
        _draw_dots(picture, points[np.isfinite(points).all(axis=1)])
    _save(path, picture)


def _checked(log_density: np.ndarray) -> np.ndarray:
    """The log-density as float64, if it is one: two axes, at least one pixel, finite."""
    log_density = np.asarray(log_density, np.float64)
    if log_density.ndim != 2 or not log_density.size:
        raise ValueError(f"log-density of shape {log_density.shape}: (height, width) is needed")
    if not np.isfinite(log_density).all():
        raise ValueError("log-density with NaN or infinite values: all must be finite")
    return log_density


def _relative(log_density: np.ndarray) -> np.ndarray:
    return np.exp(log_density - log_density.max())


def _shrunk(
    image: np.ndarray, density: np.ndarray | None, max_side: int | None
) -> tuple[Image.Image, np.ndarray | None]:
    """Picture and density (averaged over the pixels that fall together), at most `max_side`."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    scale = min(1.0, (max_side or np.inf) / max(picture.size))
    if scale == 1:
        return picture, density
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    if density is not None:
        density = np.asarray(
            Image.fromarray(density.astype(np.float32)).resize(size, Image.Resampling.BOX),
            np.float64,
        )
    return picture.resize(size, Image.Resampling.LANCZOS), density


def _mix(below: np.ndarray, above: np.ndarray | float, opacity: np.ndarray) -> np.ndarray:
    return below + opacity[..., None] * (above - below)


def _contours(density: np.ndarray, width: float) -> np.ndarray:
    """Opacity (H, W) in 0..1 of smooth lines, `width` pixels wide, around the regions of MASSES.

    A pixel's distance to a level line is |value - level| / |gradient| to first order; the
    logarithm is used because there that holds over the widest range.
    """
    if min(density.shape) < 3:
        return np.zeros(density.shape)
    levels = _levels(density)
    # Far below the lowest line all is one plateau: a kernel's cut-off edge is steep, but no line.
    values = np.log(np.maximum(density, levels.min() / 10))
    slope = np.hypot(*np.gradient(values))
    seen = (density > 0) & (slope > 1e-9)  # on a plateau no line can be placed
    opacity = np.zeros(density.shape)
    for level in np.log(levels):
        distance = np.abs(values - level) / np.where(seen, slope, 1)
        opacity = np.maximum(opacity, np.clip((width + 1) / 2 - distance, 0, 1))
    return np.where(seen, opacity, 0)


def _levels(density: np.ndarray) -> np.ndarray:
    """The density at the edge of the smallest region that holds each share of MASSES."""
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling)
    return falling[np.searchsorted(mass, np.array(MASSES) * mass[-1])]


def _draw_dots(
    picture: Image.Image, points: np.ndarray, dot=DOT, larger: float = 1, fine: int = 4
) -> None:
    """Dots with a dark ring, drawn `fine` times larger and shrunk, which smooths their edges."""
    if not len(points):
        return
    radius = larger * max(2.0, max(picture.size) / 160)
    for colour, size in ((RING, radius + 0.9), (dot, radius)):
        mask = Image.new("L", (picture.width * fine, picture.height * fine))
        draw = ImageDraw.Draw(mask)
        for x, y in points * fine:
            reach = size * fine
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=225)
        picture.paste(colour, mask=mask.resize(picture.size, Image.Resampling.BOX))


def _save(path: Path, picture: Image.Image) -> None:
    with replacing(path) as part:
        if part.suffix.lower() in (".jpg", ".jpeg"):
            picture.save(part, quality=88, subsampling=0)
        else:
            picture.save(part)
