"""Models without weights: what a prediction must beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

TRUNCATE = 4  # standard deviations of the kernel
FOLDS = 5
GRID = (120, 160)  # on which bandwidths are compared
# From the widest and flattest on, so that without evidence the choice claims least.
BANDWIDTHS = (0.4, 0.25, 0.15, 0.1, 0.07, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01)
UNIFORM = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


@dataclass(frozen=True, eq=False)
class CentreBias:
    """Where people look whatever the picture: a kernel density of training fixations.

    x, y: (M,) fixations as fractions of the picture's width and height, 0..1. bandwidth: the
    Gaussian kernel's standard deviation in units of sqrt(width * height). uniform: the share of a
    uniform density, which keeps the sum above 0 where nobody looked.
    """

    x: np.ndarray
    y: np.ndarray
    bandwidth: float
    uniform: float

    def log_density(self, height: int, width: int) -> np.ndarray:
        """(height, width), nats, float64; its exp sums to 1."""
        from scipy.ndimage import gaussian_filter

        rows = np.floor(np.asarray(self.y) * height).astype(int)
        columns = np.floor(np.asarray(self.x) * width).astype(int)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        if not inside.any():
            return np.full((height, width), -np.log(height * width))
        pixels = rows[inside] * width + columns[inside]
        counts = np.bincount(pixels, minlength=height * width).reshape(height, width)
        sigma = self.bandwidth * np.sqrt(height * width)
        density = gaussian_filter(np.float64(counts), sigma, mode="constant", truncate=TRUNCATE)
        density *= (1 - self.uniform) / density.sum()
        return np.log(density + self.uniform / density.size)


def centre_bias(points: Sequence[np.ndarray]) -> CentreBias:
    """The centre bias of training pictures, its bandwidth and uniform share cross-validated.

    Args:
        points: for each picture (M, 2) fixations, x and y as fractions of its width and height.

    Chosen is what makes the fixations of held-out pictures likeliest, in five folds over pictures:
    few pictures get a wide kernel, so that a model is not praised for the baseline's noise.
    """
    folds = [np.concatenate(points[i::FOLDS]) for i in range(min(FOLDS, len(points)))]
    best = max(product(BANDWIDTHS, UNIFORM), key=lambda choice: held_out(folds, *choice))
    return CentreBias(*np.concatenate(points).T, *best)


def held_out(folds: Sequence[np.ndarray], bandwidth: float, uniform: float) -> float:
    """The log-likelihood, in nats, of each fold's fixations by the others' kernel density."""
    total = 0.0
    for index, fold in enumerate(folds):
        others = np.concatenate([f for i, f in enumerate(folds) if i != index] or [fold[:0]])
        known = CentreBias(*others.T, bandwidth, uniform).log_density(*GRID)
        column, row = np.minimum(np.int64(fold * GRID[::-1]), np.array(GRID[::-1]) - 1).T
        total += known[row, column].sum()
    return total
