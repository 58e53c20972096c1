"""Densities as pictures: saliency maps, overlays and thumbnails, from arrays and into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from storage import replacing

FORMATS = ("png", "npy")
MASSES = (0.25, 0.5, 0.75)
OPACITY = 0.85
FINE = 4  # dots are drawn so many times larger and shrunk, which smooths their edges
DOT, RING = (255, 176, 0), (20, 20, 20)
INSIDE, OUTSIDE = (90, 225, 255), (255, 40, 40)  # seen on the colours of heat


def save_map(path: Path, log_density: np.ndarray, fmt: str = "png") -> None:
    """Write a saliency map at the picture's size.

    `log_density` (H, W) is in nats per pixel. "png" is 8-bit grey: the density relative to its
    maximum, 255 x exp(log_density - max), rounded. The brightest pixel is the likeliest, one of
    half its brightness is half as likely, black is less than 1/510 of it; absolute
    probabilities are lost. "npy" keeps the log-density as float32. `path` is taken as it is,
    suffix included.

    Raises:
        ValueError: another shape, values that are not finite, another `fmt`.
    """
    if fmt not in FORMATS:
        raise ValueError(f"format {fmt!r} of a saliency map: allowed are {', '.join(FORMATS)}")
    log_density = _checked(log_density)
    with replacing(path) as part, part.open("wb") as file:
        if fmt == "npy":
            np.save(file, log_density.astype(np.float32))
        else:
            grey = np.rint(255 * _relative(log_density)).astype(np.uint8)
            Image.fromarray(grey).save(file, format="PNG")


def save_overlay(
    path: Path, image: np.ndarray, log_density: np.ndarray, max_side: float = np.inf
) -> None:
    """Write a picture with its density as heat over it; the suffix says PNG or JPEG.

    `image` (H, W, 3) uint8 RGB, `log_density` (H, W). Colour (inferno) and opacity grow with the
    square root of the density relative to its maximum, so where nothing is expected the picture
    stays as it is. White lines enclose the smallest regions holding 25, 50 and 75 % of the mass.
    `max_side` shrinks both before drawing.

    Raises:
        ValueError: their sizes differ.
    """
    _save(path, _heated(path, image, log_density, max_side))


def save_view(
    path: Path,
    image: np.ndarray,
    log_density: np.ndarray | None,
    points: np.ndarray | None,
    max_side: int = 640,
) -> None:
    """Write a picture with its density, where there is one, and a dot at each fixation.

    As `save_overlay` and `save_stimulus` take them; fixations outside the picture are drawn at its
    border, in another colour, and larger.
    """
    if log_density is None:
        picture = _shrunk(_picture(image), max_side)
    else:
        picture = _heated(path, image, log_density, max_side)
    points = _fractions(points, image)
    inside = ((points >= 0) & (points < 1)).all(axis=1)
    _draw_dots(picture, points[inside], INSIDE, 0.75)
    _draw_dots(picture, np.clip(points[~inside], 0, 1), OUTSIDE, 2)
    _save(path, picture)


def save_stimulus(
    path: Path, image: np.ndarray, fixations: np.ndarray | None = None, max_side: int = 400
) -> None:
    """Write a thumbnail of a picture, with a dot at each fixation; the suffix says the format.

    `image` (H, W, 3) uint8 RGB; `fixations` (n, 2) x, y in its pixels (the floor is the pixel);
    rows with NaN are left out. Pictures are shrunk to `max_side`, never enlarged.
    """
    picture = _shrunk(_picture(image), max_side)
    _draw_dots(picture, _fractions(fixations, image))
    _save(path, picture)


def _heated(path: Path, image: np.ndarray, log_density: np.ndarray, max_side: float) -> Image.Image:
    """Return the picture of save_overlay."""
    from matplotlib import colormaps

    log_density = _checked(log_density)
    if image.shape != (*log_density.shape, 3):
        raise ValueError(f"overlay {path}: image {image.shape}, log-density {log_density.shape}")
    # Shrunk, a density is averaged over the pixels that fall together.
    density = Image.fromarray(np.float32(_relative(log_density)))
    density = np.asarray(_shrunk(density, max_side, Image.Resampling.BOX), np.float64)
    mixed = np.asarray(_shrunk(_picture(image), max_side), np.float64)
    heat = np.sqrt(density / density.max())
    mixed = _mix(mixed, 255 * colormaps["inferno"](heat)[..., :3], OPACITY * heat)
    width = max(1.2, max(density.shape) / 600)
    # A dark rim keeps the white lines visible on bright pictures.
    for value, opacity, pixels in ((0.0, 0.4, width + 1.6), (255.0, 0.95, width)):
        mixed = _mix(mixed, value, opacity * _contours(density, pixels))
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _checked(log_density: np.ndarray) -> np.ndarray:
    """Return a log-density as float64; raise ValueError where it is none: two axes, finite."""
    log_density = np.asarray(log_density, np.float64)
    if log_density.ndim != 2 or not log_density.size:
        raise ValueError(f"log-density of shape {log_density.shape}: (height, width) is needed")
    if not np.isfinite(log_density).all():
        raise ValueError("log-density with NaN or infinite values: all must be finite")
    return log_density


def _relative(log_density: np.ndarray) -> np.ndarray:
    return np.exp(log_density - log_density.max())


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image))


def _shrunk(
    picture: Image.Image, max_side: float, resample=Image.Resampling.LANCZOS
) -> Image.Image:
    """Return a picture whose sides are `max_side` at most."""
    scale = max_side / max(picture.size)
    if scale >= 1:
        return picture
    return picture.resize([max(1, round(side * scale)) for side in picture.size], resample)


def _fractions(points: np.ndarray | None, image: np.ndarray) -> np.ndarray:
    """Return the finite ones of points (n, 2) as fractions of a picture's width and height."""
    points = np.asarray(np.empty((0, 2)) if points is None else points, np.float64)
    return points[np.isfinite(points).all(axis=1)] / image.shape[1::-1]


def _mix(below: np.ndarray, above: np.ndarray | float, opacity: np.ndarray) -> np.ndarray:
    return below + opacity[..., None] * (above - below)


def _contours(density: np.ndarray, width: float) -> np.ndarray:
    """Return the opacity (H, W), 0..1, of smooth lines around the smallest regions of MASSES.

    The lines are `width` pixels wide. A pixel's distance to a level line is |value - level| /
    |gradient| to first order; the logarithm is used because there that holds over the widest range.
    """
    if min(density.shape) < 3:
        return np.zeros(density.shape)
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling)
    levels = falling[np.searchsorted(mass, np.array(MASSES) * mass[-1])]
    # Far below the lowest line all is one plateau: a kernel's cut-off edge is steep, but no line.
    values = np.log(np.maximum(density, levels.min() / 10))
    slope = np.hypot(*np.gradient(values))
    sloping = (density > 0) & (slope > 1e-9)  # on a plateau no line can be placed
    away = np.min([np.abs(values - level) for level in np.log(levels)], axis=0)
    opacity = np.clip((width + 1) / 2 - away / np.where(sloping, slope, 1), 0, 1)
    return np.where(sloping, opacity, 0)


def _draw_dots(picture: Image.Image, points: np.ndarray, dot=DOT, larger: float = 1) -> None:
    """Draw dots with a dark ring at fractions (n, 2) of a picture's width and height."""
    if not len(points):
        return
    fine = (picture.width * FINE, picture.height * FINE)
    radius = larger * max(2.0, max(picture.size) / 160)
    for colour, size in ((RING, radius + 0.9), (dot, radius)):
        mask = Image.new("L", fine)
        draw = ImageDraw.Draw(mask)
        reach = size * FINE
        for x, y in points * fine:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=225)
        picture.paste(colour, mask=mask.resize(picture.size, Image.Resampling.BOX))


def _save(path: Path, picture: Image.Image) -> None:
    jpeg = {"quality": 88, "subsampling": 0} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    with replacing(path) as part:
        picture.save(part, **jpeg)
