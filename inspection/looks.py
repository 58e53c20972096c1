"""Pictures at a glance, large enough to compare them by."""

from pathlib import Path

import numpy as np
from PIL import Image

from formats.layout import ending
from formats.pictures import maps
from formats.pictures.decode import decode, opened
from inspection.contrast import contrast
from inspection.duplicates import perceptual

ENOUGH = 64  # pixels of a side
COLOURED = 24  # of 255, by which channels differ where a map has colours


class Look:
    """A picture at a glance: its format and mode, perceptual hashes, contrast, colours.

    kind: such as "JPEG RGB"; hashes: bool (2, 144); grid: float32 (64, 64), its contrast; colour:
    share of its pixels that are not grey; border: mean level of its rim less that of all.
    """

    def __init__(self, picture: Path):
        levels = glance(picture)
        thumbnail = Image.fromarray(levels)
        self.kind = kind(picture)
        self.hashes = perceptual(thumbnail)
        self.grid = contrast(thumbnail)
        self.colour = float((np.ptp(levels, axis=2) > COLOURED).mean())
        rim = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
        self.border = float(rim.mean() - levels.mean())


def glance(picture: Path) -> np.ndarray:
    """Return a small picture, uint8 (height, width, 3); of a map in an array, its levels from
    black to white."""
    if is_array(picture):
        levels = maps.read(picture)
        grey = np.uint8(255 * levels / (levels.max() or 1))
        pixels = np.repeat(grey[..., None], 3, 2)
    else:
        pixels = decode(picture)
    factor = min(pixels.shape[:2]) // ENOUGH
    return np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels


def is_array(picture: Path) -> bool:
    return ending(picture.name) == ".npy"


def kind(picture: Path) -> str:
    """Return the format and mode of a picture, by its content."""
    if is_array(picture):
        return "NPY"
    with opened(picture) as image:
        return f"{image.format} {image.mode}"
