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
    """A stimulus' height and width, where need be from its file."""
    return sample.shape or decode.shape(sample.stimulus)


def density(sample: Sample, shape: tuple[int, int]) -> np.ndarray:
    """The empirical density at the stimulus' own shape (or its map's), summing to 1."""
    if sample.density_map:
        levels = maps.read(sample.density_map)
    else:
        levels = blur(counts(*sample.points.T, shape), sample.sigma)
    return summing(levels)


def summing(levels: np.ndarray) -> np.ndarray:
    """Levels as a density, summing to 1; uniform where all are 0."""
    total = levels.sum()
    return levels / total if total > 0 else np.full(levels.shape, 1 / levels.size)


def truth(sample: Sample) -> dict[str, np.ndarray]:
    """All that is known of a sample, at its stimulus' own shape (height, width), in float64.

    Returns:
        density summing to 1 and its logarithm, log_density, finite; fixations, counts, where
        there are some; true_log_density where the true density is known.

    Raises:
        UsageError: a true density that is none.
    """
    known = density(sample, sample.shape)
    if known.shape != sample.shape:
        known = np.maximum(resize(known[..., None], sample.shape)[..., 0], 0)
    known = np.float64(known) / np.sum(known, dtype=np.float64)
    found = {"density": known, "log_density": np.log(known + 1e-20)}
    if sample.points is not None:
        found["fixations"] = counts(*sample.points.T, sample.shape)
    if sample.truth:
        values = predictions.read(sample.truth, sample.shape)
        found["true_log_density"] = predictions.normalised(sample.truth, values)
    return found


def relative_points(samples: Sequence[Sample]) -> list[np.ndarray]:
    """Each sample's (M, 2) fixations as fractions of width and height; where it has a map alone,
    100 points drawn from that."""
    random = np.random.default_rng(0)
    parts = []
    for sample in samples:
        points, shape = sample.points, sample.shape
        if points is None:
            known = np.float64(density(sample, sample.shape))
            pixels = random.choice(known.size, 100, p=known.ravel() / known.sum())
            shape = known.shape
            points = np.stack(np.divmod(pixels, shape[1])[::-1], 1) + 0.5
        parts.append(points / shape[::-1])
    return parts


def shuffled(samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """The negatives of sAUC, by pysaliency: gives for a sample the float64 (height, width) counts,
    at its stimulus' shape, of the fixations on all others, scaled to it, repeats kept.

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
        own = counts(*sample.points.T, sample.shape) if sample.name in names else 0
        return total(*sample.shape) - own

    return others
