"""The best map for each metric, from one density.

A density says what a model knows; no single map made of it is the best by every metric. Kuemmerer,
Wallis, Bethge, "Saliency benchmarking made easy", ECCV 2018.
"""

import numpy as np

TRUNCATE = 4  # standard deviations of the benchmark's kernel
FIXATIONS = 100  # of each drawn empirical map; pictures have about as many
SAMPLES, ENTRIES = 400, 2**24  # of these maps at most, and pixels in all of them together
FINE = 4  # pixels of a standard deviation in the grid on which the map for SIM is made


def tuebingen(log_density, others, sigma: float) -> dict[str, np.ndarray | None]:
    """Return the maps (height, width), float64, that metrics name in their field `map`.

    Args:
        log_density: (height, width), nats, normalised.
        others: the logarithm of the mean density that the model predicts for the other pictures, at
            this one's size; None where there are none: `beyond_others` is None then.
        sigma: the standard deviation in pixels of the empirical maps' kernel.
    """
    density = np.exp(log_density)
    return {
        "density": density,
        "equalised": equalised(log_density),
        "beyond_others": None if others is None else log_density - others,
        "smooth": blurred(density, sigma),
        "similar": similar(density, sigma),
    }


def equalised(values: np.ndarray) -> np.ndarray:
    """Return ranks as shares of the pixels, 0..1: every level as frequent; ties stay ties."""
    ordered = np.sort(values, axis=None)
    ranks = sum(np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return ranks / (2 * values.size)


def blurred(density: np.ndarray, sigma: float) -> np.ndarray:
    """Return the empirical map that is expected of fixations from this density."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(density, sigma, mode="reflect", truncate=TRUNCATE)


def similar(
    density: np.ndarray, sigma: float, fixations: int = FIXATIONS, seed: int = 0
) -> np.ndarray:
    """Return the density (height, width) of the highest expected SIM to maps of `density`.

    The expected overlap with a random map e, the sum over pixels of E min(s, e), is concave in s.
    Given sum(s) = 1 it is highest where P(e > s) is the same at every pixel: s is a quantile of e,
    of the one level whose quantiles sum to 1. They are taken of maps of `fixations` drawn from the
    density, on a grid that is as coarse as the kernel allows.
    """
    from scipy.ndimage import zoom

    factor = max(1, int(sigma / FINE))
    padding = [(0, -side % factor) for side in density.shape]
    height, width = (side // factor for side in np.pad(density, padding).shape)
    cells = np.pad(density, padding).reshape(height, factor, width, factor).sum((1, 3))
    drawn = _empirical(cells, sigma / factor, fixations, seed)
    drawn.sort(axis=0)
    level = np.searchsorted(drawn.sum((1, 2), np.float64), 1)
    best = np.float64(drawn[min(level, len(drawn) - 1)])
    best = zoom(best, factor, order=1, mode="nearest", grid_mode=True)
    best = best[: density.shape[0], : density.shape[1]]
    return best / best.sum()


def _empirical(density: np.ndarray, sigma: float, fixations: int, seed: int) -> np.ndarray:
    """Return (samples, height, width) float32 blurred maps of fixations, each of sum 1."""
    from scipy.ndimage import gaussian_filter

    random, size = np.random.default_rng(seed), density.size
    samples = int(np.clip(ENTRIES // size, 32, SAMPLES))
    likelihood = density.cumsum()
    drawn = random.uniform(0, likelihood[-1], (samples, fixations))
    drawn = np.minimum(np.searchsorted(likelihood, drawn, side="right"), size - 1)
    drawn += size * np.arange(samples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=samples * size) / np.float32(fixations)
    counts = counts.astype(np.float32).reshape(samples, *density.shape)
    return gaussian_filter(counts, (0, sigma, sigma), mode="reflect", truncate=TRUNCATE)
