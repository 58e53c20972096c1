"""Scanpaths drawn from a model that knows the fixations before."""

from collections.abc import Callable, Iterable

import numpy as np

HISTORY = 4  # fixations that a model is told of, the last one first


def sample(
    log_density_of: Callable[[np.ndarray], Iterable[np.ndarray]],
    shape: tuple[int, int],
    count: int,
    length: int,
    seed: int,
) -> np.ndarray:
    """Draw scanpaths (count, length, 2): x and y in pixels, each the middle of its pixel.

    Args:
        log_density_of: takes (count, 4, 2), for every scanpath x and y of its last four fixations
            in pixels of `shape`, the last one first, NaN where there was none; gives the `count`
            log-densities of the next fixation, each of `shape`, which need not be normalised.
            All scanpaths advance together, so that it encodes the picture once and takes a batch
            a fixation; it may be a generator that has one of them in memory at a time.
        shape: (height, width).
        seed: scanpath i draws from a generator of its own, of [seed, i]: more scanpaths and longer
            ones leave the first ones as they were.

    The first fixation is drawn knowing of none before, as the model was trained to where recorded
    scanpaths begin. Each falls on a pixel with the pixel's exact probability (inverse of the
    cumulated density). The same seed and densities give the same scanpaths; densities that differ
    by round-off, of another device or batch, may move a fixation to another pixel now and then.

    Raises:
        ValueError: densities of another shape, or that do not sum to a finite number above 0.
    """
    generators = [np.random.default_rng([seed, index]) for index in range(count)]
    paths = np.full((count, HISTORY + length, 2), np.nan)
    for step in range(HISTORY, HISTORY + length):
        densities = log_density_of(paths[:, step - HISTORY : step][:, ::-1].copy())
        for path, generator, density in zip(paths, generators, densities, strict=True):
            path[step] = draw(density, shape, generator.random())
    return paths[:, HISTORY:]


def draw(log_density: np.ndarray, shape: tuple[int, int], chance: float) -> tuple[float, float]:
    """Return the middle (x, y) of the pixel up to which a share `chance`, 0 <= chance < 1, of the
    mass lies, row by row."""
    log_density = np.asarray(log_density, np.float64)
    if log_density.shape != tuple(shape):
        raise ValueError(f"log-density of shape {log_density.shape}: {tuple(shape)} is needed")
    below = np.cumsum(np.exp(log_density - log_density.max()))
    if not np.isfinite(below[-1]):
        raise ValueError("log-density with NaN or infinite values: a density must sum to 1")
    last = np.searchsorted(below, below[-1])  # should the product round up to the whole mass
    pixel = min(np.searchsorted(below, chance * below[-1], side="right"), last)
    row, column = divmod(int(pixel), log_density.shape[1])
    return column + 0.5, row + 0.5
