"""The corpus that comes with the program: drawn scenes whose true density is known.

Discs and squares lie on a cloudy ground. How often one is looked at depends on its colour alone,
and on how near the middle it is: both are for a model to find out. Observers are drawn from that
density, so what a perfect model would reach is known exactly.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from data.corpus import Corpus
from data.splits import Shuffled
from formats.fixations import Fixations, concatenate, table
from formats.pysaliency import write_hdf5

SHAPE = (120, 160)
OBSERVERS, PER_SCANPATH = 12, 8
COLOURS = {"red": (200, 50, 45), "yellow": (225, 200, 60), "blue": (50, 80, 190), "grey": (90,) * 3}


class SYNTHETIC(Corpus):
    """240 drawn scenes with 12 made-up observers, who prefer red to yellow to blue."""

    size = SHAPE
    split = Shuffled(train=200, valid=40)
    sigma = 6
    seed = 1
    appeal: Mapping[str, float] = {"red": 8, "yellow": 3, "blue": 1, "grey": 0.3}

    @classmethod
    def make(cls, folder: Path) -> None:
        """Draw the whole corpus into an empty folder, each scene from (seed, index) alone."""
        names = [f"{index:03d}.png" for index in range(cls.split.count)]
        for part in ("stimuli", "truth"):
            (folder / part).mkdir(parents=True)
        tables = []
        for index, name in enumerate(names):
            random = np.random.default_rng([cls.seed, index])
            picture, density = scene(random, cls.appeal)
            Image.fromarray(picture).save(folder / "stimuli" / name)
            np.save(folder / "truth" / f"{index:03d}.npy", np.float32(np.log(density)))
            tables.append(observed(random, density, index))
        write_hdf5(folder, names, [(*SHAPE, 3)] * len(names), concatenate(tables))


class SYNTHETIC_SHIFTED(SYNTHETIC):
    """120 drawn scenes for a fine-tune: the same world, but these observers prefer blue."""

    split = Shuffled(train=80, valid=40)
    initial = "synthetic"
    seed = 2
    appeal = {"red": 1, "yellow": 3, "blue": 8, "grey": 0.3}


DEMO = (SYNTHETIC.name, SYNTHETIC_SHIFTED.name)  # to train on, then to fine-tune


def scene(random: np.random.Generator, appeal: Mapping[str, float]):
    """Draw a picture (H, W, 3) uint8; return it and the density (H, W), summing to 1, of looks."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width]
    picture = ground(random)
    density = 0.5 * bump(x, y, width / 2, height / 2, 0.22 * width) + 0.1 / (height * width)
    for colour in random.choice(list(COLOURS), random.integers(3, 7)):
        radius = random.uniform(7, 14)
        cx, cy = random.uniform(radius, width - radius), random.uniform(radius, height - radius)
        distance = np.hypot if random.random() < 0.5 else chessboard
        inside = distance(x - cx, y - cy) < radius
        picture[inside] = np.array(COLOURS[colour]) + random.normal(0, 12, (inside.sum(), 3))
        central = np.exp(-np.hypot(cx / width - 0.5, cy / height - 0.5) / 0.4)
        density += appeal[colour] * central * bump(x, y, cx, cy, radius / 2)
    return np.uint8(np.clip(picture, 0, 255)), density / density.sum()


def chessboard(dx, dy):
    """Return the distance whose circles are squares."""
    return np.maximum(abs(dx), abs(dy))


def bump(x, y, cx: float, cy: float, sigma: float):
    """Return a Gaussian of unit sum, or less where the frame cuts it."""
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def ground(random: np.random.Generator) -> np.ndarray:
    """Draw clouds of a few pale colours, float64 (H, W, 3)."""
    coarse = random.uniform(120, 235, (5, 6, 3)).astype(np.uint8)
    clouds = Image.fromarray(coarse).resize(SHAPE[::-1], Image.Resampling.BICUBIC)
    return np.asarray(clouds, np.float64) + random.normal(0, 6, (*SHAPE, 3))


def observed(random: np.random.Generator, density: np.ndarray, n: int) -> Fixations:
    """Draw all observers' fixations on scene `n` from its density, uniformly within a pixel."""
    count = OBSERVERS * PER_SCANPATH
    pixels = random.choice(density.size, count, p=density.ravel())
    row, column = np.divmod(pixels, density.shape[1])
    observer = np.repeat(np.arange(OBSERVERS), PER_SCANPATH)
    return table(
        column + random.random(count),
        row + random.random(count),
        np.full(count, n),
        subject=observer,
        t=np.tile(np.arange(PER_SCANPATH) * 0.3, OBSERVERS),
        duration=random.uniform(0.15, 0.35, count),
        scanpath=observer,
    )
