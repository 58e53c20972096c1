"""A prediction beside the truth of its picture: what final metrics share, in float64 NumPy."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

COUNTED = {"fixations", "negatives"}


class Counts:
    """A map of counts, as the pixels where there are any and how many each has, (K,)."""

    def __init__(self, counts: np.ndarray):
        self.places = np.flatnonzero(counts > 0)
        self.counts = counts[self.places]

    def mean(self, values: np.ndarray) -> float:
        """Return the mean of values (K,) at the places, each counting as often as it is counted."""
        return self.counts @ values / self.counts.sum()

    def ascending(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (K,) at the places in ascending order, and the counts of each."""
        values = values[self.places]
        order = np.argsort(values)
        return values[order], self.counts[order]


class Picture:
    """A prediction and the truth of its picture: pixels (N,), float64. What several metrics need is
    computed once, when the first asks.

    Args:
        log_density: nats; -inf is allowed.
        truths: `baseline`, a log-density, `density`, `fixations`, `negatives` or some of them.
        saliency: the map that was predicted, where it was no density. `predicted` is the density
            that pysaliency makes of it: without negative values, divided by its sum, `total`.
    """

    def __init__(self, log_density, truths: Mapping, saliency=None):
        # values: what is ordered like the prediction, where exp could make ties.
        self.log_density = self.values = _flat(log_density)
        self.truths = {
            name: Counts(_flat(x)) if name in COUNTED else _flat(x) for name, x in truths.items()
        }
        if saliency is None:
            self.predicted = np.exp(self.values)
        else:
            self.values = self.saliency = _flat(saliency)
            self.predicted = self.values - min(self.values.min(), 0)
        self.size = len(self.values)
        if not self.predicted.any():  # of zeros the uniform density is made
            self.predicted += 1
        self.total = self.predicted.sum()
        self.predicted *= 1 / self.total  # a division takes thrice the time

    @cached_property
    def saliency(self) -> np.ndarray:
        """The map that was predicted; of a density itself."""
        return np.exp(self.log_density)

    @cached_property
    def z_scores(self) -> np.ndarray:
        """The predicted density, `standardised`."""
        return standardised(self.predicted)

    @cached_property
    def ranks(self) -> np.ndarray:
        """`ranks` (2, K) of the fixated values, ascending; what is below them is not sorted."""
        reached, _ = self.truths["fixations"].ascending(self.values)
        high = self.values[self.values >= reached[0]]
        high.sort()
        return self.size - len(high) + ranks(high, reached)


def _flat(values) -> np.ndarray:
    return np.ravel(np.asarray(values, np.float64))


def inner(one: np.ndarray, other: np.ndarray) -> float:
    """Sum products: by einsum, for BLAS' threads would wait for one another here."""
    return np.einsum("i,i->", one, other)


def standardised(density: np.ndarray) -> np.ndarray:
    """Return a density's z-scores, by the population's deviation; 0 for a constant one, which is
    one that varies by no more than round-off."""
    above = density * len(density)  # in units of the uniform density, so that 1 is the mean
    above -= above.mean()  # in place: a new map takes longer than what is computed in it
    deviation = np.sqrt(inner(above, above) / len(above))
    above *= 1 / deviation if deviation > 16 * np.finfo(float).eps else 0
    return above


def ranks(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return how many of the ascending `ordered` are less than each value, and how many no more."""
    return np.array([np.searchsorted(ordered, values, side) for side in ("left", "right")])


def as_log_density(saliency: np.ndarray) -> np.ndarray:
    """Return a saliency map (height, width) as a log-density in nats, float64, as pysaliency does.

    Shifted up if it is negative anywhere, and divided by its sum; -inf where it is 0. A constant
    map is the uniform density.
    """
    with np.errstate(divide="ignore"):
        return np.log(Picture(saliency, {}, saliency).predicted.reshape(np.shape(saliency)))
