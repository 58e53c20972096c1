"""How often 95 % intervals cover the mean that they are of, by simulated evaluations.

python bench/intervals.py: a line for each number of pictures, in percent: what the program gives,
and percentiles of resampled means, both of normal values and of skewed ones.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from report.statistics import interval

COUNT, DRAWS = 8000, 4000  # evaluations, and resamples of each
SHAPES = {
    "normal": lambda random, size: random.normal(size=(size, COUNT)),
    "skewed": lambda random, size: random.gamma(4, size=(size, COUNT)) - 4,
}


def percentiles(values: np.ndarray) -> np.ndarray:
    """Return the ends (2, count) between which 95 % of the means of resampled rows lie."""
    chosen = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    means = [values[rows].mean(axis=0) for rows in chosen]
    return np.quantile(means, [0.025, 0.975], axis=0)


def covered(ends) -> str:
    """Return the percentage of intervals in which 0 lies, a dash where there are none."""
    low, high = ends
    return "-" if np.isnan(low).all() else f"{100 * np.mean((low <= 0) & (high >= 0)):.1f}"


if __name__ == "__main__":
    print("pictures", *(f"{shape}: ours, percentiles" for shape in SHAPES), sep="   ")
    for size in (2, 5, 10, 20, 50):
        drawn = [draw(np.random.default_rng(size), size) for draw in SHAPES.values()]
        found = [(covered(interval(x, draws=DRAWS)), covered(percentiles(x))) for x in drawn]
        print(f"{size:8}", *(f"{a:>13} {b:>11}" for a, b in found), sep="   ")
