"""Samples that tests make: pictures of noise, with points or a map."""

from pathlib import Path

import numpy as np
from helpers import noise
from PIL import Image

from data.samples import Sample
from formats.fixations import table


def picture(path: Path, levels, **options) -> Path:
    Image.fromarray(np.uint8(levels)).save(path, **options)
    return path


def sample(folder: Path, shape: tuple[int, int], points=None, seed: int = 0, **known) -> Sample:
    """A picture of noise, with points as ((x, y), ...)."""
    name = f"{len(list(folder.iterdir()))}.png"
    path = picture(folder / name, noise(*shape, 3, seed=seed))
    rows = None if points is None else table(*np.float64(points).reshape(-1, 2).T, 0)
    return Sample(name, path, shape, rows, sigma=2.0, **known)


def mapped(folder: Path, shape: tuple[int, int], levels) -> Sample:
    """A picture of noise whose truth is a map."""
    path = picture(folder / f"map{len(list(folder.iterdir()))}.png", levels)
    return sample(folder, shape, density_map=path)
