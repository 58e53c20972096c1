"""Models without weights: what a prediction must beat."""

from dataclasses import dataclass

import numpy as np

from model.density import OUTSIDE

_TRUNCATE = 4  # standard deviations of the kernel
_UNIFORM_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class CentreBias:
    """Where people look whatever the picture: a kernel density of training fixations.

    x, y: (M,) fixations as fractions of the picture's width and height, 0..1. `bandwidth`: the
    Gaussian kernel's standard deviation as fractions of (height, width). A small uniform share
    keeps the density above 0 where nobody looked.
    """

    x: np.ndarray
    y: np.ndarray
    bandwidth: tuple[float, float] = (1 / 30, 1 / 40)  # 20 px of 600x800

    def log_density(self, height, width):
        """(height, width), nats, float64; its exp sums to 1."""
        from scipy.ndimage import gaussian_filter

        rows = np.floor(np.asarray(self.y) * height).astype(int)
        columns = np.floor(np.asarray(self.x) * width).astype(int)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        counts = np.zeros((height, width))
        np.add.at(counts, (rows[inside], columns[inside]), 1)
        if not inside.any():
            return np.full((height, width), -np.log(height * width))
        sigma = (self.bandwidth[0] * height, self.bandwidth[1] * width)
        density = gaussian_filter(counts / counts.sum(), sigma, mode="constant", truncate=_TRUNCATE)
        density *= (1 - _UNIFORM_SHARE) / density.sum()
        return np.log(density + _UNIFORM_SHARE / density.size)

    def on(self, valid):
        """The log-density over the valid pixels, a rectangle in (H, W, 1); padding far below 0."""
        rows, columns = np.nonzero(np.asarray(valid)[..., 0] > 0)
        result = np.full(np.shape(valid), OUTSIDE)
        if rows.size:
            top, left = rows.min(), columns.min()
            height, width = rows.max() - top + 1, columns.max() - left + 1
            frame = self.log_density(int(height), int(width))
            result[top : top + height, left : left + width, 0] = frame
        return result
