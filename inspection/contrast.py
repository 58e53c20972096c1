"""Whether fixations belong to their pictures: people look where there is something to see.

Shuffled AUC of local contrast: how often a fixation has more of it than the fixations on other
pictures would have in its picture. On OSIE .648, on ADD1000 .647; with the stimuli in another
order, x and y swapped, mirrored, upside down or at half the scale .49 to .54: fixations that belong
to their pictures are told from those that do not, whatever their centre bias.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 64  # of the grid that contrast is measured on
OTHERS = 2000  # fixations of other pictures


def contrast(picture: Image.Image) -> np.ndarray:
    """Return the local contrast of a picture, float32 (64, 64): its gradients, blurred."""
    from scipy.ndimage import gaussian_filter

    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    slopes = np.gradient(gaussian_filter(np.float32(small), 0.7))
    return gaussian_filter(np.hypot(*slopes), 1.5)


def follow(
    grids: Sequence[np.ndarray], points: Sequence[np.ndarray]
) -> tuple[float, float] | tuple[None, None]:
    """Return the mean over pictures of the shuffled AUC of contrast, and its standard error; None
    where fewer than two have points.

    Args:
        grids: the contrast of each picture, (64, 64).
        points: (M, 2) of each, x and y as fractions of width and height; those outside 0..1 are
            left out, and so are pictures without any.
    """
    points = [rows[((rows >= 0) & (rows < 1)).all(1)] for rows in points]
    every = np.concatenate([*points, np.empty((0, 2))])
    pool = every[np.random.default_rng(0).permutation(len(every))[:OTHERS]]
    known = [auc(*pair, pool) for pair in zip(grids, points, strict=True) if len(pair[1])]
    if len(known) < 2:
        return None, None
    return float(np.mean(known)), float(np.std(known, ddof=1) / np.sqrt(len(known)))


def auc(grid: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Return how often a grid is higher at its own points than at others; ties count half."""
    low = np.sort(at(grid, others))
    value = at(grid, own)
    below = np.searchsorted(low, value, "left") + np.searchsorted(low, value, "right")
    return below.mean() / (2 * len(low))


def at(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the values (M,) of a grid at points (M, 2), fractions of its sides."""
    column, row = np.int64(points * grid.shape[::-1]).T
    return grid[row, column]
