"""What is known of samples: densities, points, and the negatives that others' fixations make."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from data import predictions
from data.samples import Sample
from formats.fixations import blur, counts
from formats.pictures import decode, maps
from formats.pictures.images import resize


def shape_of(sample: Sample) -> tuple[int, int]:
    """Return a stimulus' height and width, where need be from its file."""
    return sample.shape or decode.shape(sample.stimulus)


def density(sample: Sample, shape: tuple[int, int]) -> np.ndarray:
    """Return the empirical density at the stimulus' own shape (or its map's), summing to 1."""
    if sample.density_map:
        levels = maps.read(sample.density_map)
    else:
        levels = blur(counts(*sample.points.T, shape), sample.sigma)
    return summing(levels)


def summing(levels: np.ndarray) -> np.ndarray:
    """Return levels as a density, summing to 1; uniform where all are 0."""
    total = levels.sum()
    return levels / total if total > 0 else np.full(levels.shape, 1 / levels.size)


def truth(sample: Sample) -> dict[str, np.ndarray]:
    """Return all that is known of a sample, at its stimulus' own shape (height, width), in float64.

    Returns:
        density summing to 1 and its logarithm, log_density, finite; fixations, counts, where
        there are some; true_log_density where the true density is known.

    Raises:
        UsageError: a true density that is none.
    """
    empirical = density(sample, sample.shape)
    if empirical.shape != sample.shape:
        empirical = np.maximum(resize(empirical[..., None], sample.shape)[..., 0], 0)
    empirical = np.float64(empirical) / np.sum(empirical, dtype=np.float64)
    truths = {"density": empirical, "log_density": np.log(empirical + 1e-20)}
    if sample.points is not None:
        truths["fixations"] = counts(*sample.points.T, sample.shape)
    if sample.truth:
        values = predictions.read(sample.truth, sample.shape)
        truths["true_log_density"] = predictions.normalised(sample.truth, values)
    return truths


def relative_points(samples: Sequence[Sample]) -> list[np.ndarray]:
    """Return each sample's (M, 2) fixations as fractions of width and height; of a map alone, 100
    points drawn from it."""
    random = np.random.default_rng(0)
    parts = []
    for sample in samples:
        points, shape = sample.points, sample.shape
        if points is None:
            mass = np.float64(density(sample, sample.shape))
            pixels = random.choice(mass.size, 100, p=mass.ravel() / mass.sum())
            shape = mass.shape
            points = np.stack(np.divmod(pixels, shape[1])[::-1], 1) + 0.5
        parts.append(points / shape[::-1])
    return parts


def shuffled(samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """Return the negatives of sAUC, by pysaliency: a function that gives for a sample the counts,
    float64 at its stimulus' shape, of the fixations on all others, scaled to it, repeats kept.

    All samples need fixations.
    """
    x, y = np.concatenate([sample.points for sample in samples]).T
    lengths = [len(sample.points) for sample in samples]
    heights, widths = np.repeat([sample.shape for sample in samples], lengths, axis=0).T
    names = {sample.name for sample in samples}

    @functools.lru_cache(maxsize=8)  # a corpus may have hundreds of shapes, each of megabytes
    def total(height: int, width: int) -> np.ndarray:
        # The product of a coordinate just inside may round up to the edge.
        column = np.minimum(x * (width / widths), np.nextafter(width, 0))
        row = np.minimum(y * (height / heights), np.nextafter(height, 0))
        return counts(column, row, (height, width))

    def others(sample: Sample) -> np.ndarray:
        of_it = counts(*sample.points.T, sample.shape) if sample.name in names else 0
        return total(*sample.shape) - of_it

    return others
