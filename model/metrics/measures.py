"""What the metrics measure, on maps: one definition for tensors and for NumPy's arrays.

Training needs a backend's tensors, with gradients and inside a graph; the final test of full
resolution in float64 is many times faster in NumPy. keras.ops has NumPy's functions under NumPy's
names, so `space` is all that differs. Maps are (B, H, W, 1), results (B,); what is told of a single
sample's pixels (N,) becomes that by `each`.
"""

import keras
import numpy as np
from keras import ops

MAP = (1, 2, 3)


def space(values):
    """The module whose functions suit these values: numpy or keras.ops."""
    return np if isinstance(values, np.ndarray) else ops


def as_type(values, like):
    """Values in the type of `like`."""
    if space(like) is np:
        return np.asarray(values, like.dtype)
    return ops.cast(values, like.dtype)


def total(values):
    """The sum over each map, (B,)."""
    return space(values).sum(values, axis=MAP)


def inner(one, other):
    """The sum over products of two maps, (B,)."""
    if space(one) is np:  # in one pass, without a map of the products
        return np.einsum("bhwc,bhwc->b", one, other)
    return total(one * other)


def per_fixation(fixations, values):
    """Mean of the values where fixations are, repeats counted; 0 without fixations."""
    xp = space(values)
    fixations = as_type(fixations, values)
    # Values may be -inf where nobody looked.
    found = fixations * xp.where(xp.greater(fixations, 0), values, 0)
    return total(found) / xp.maximum(total(fixations), 1)


def deviations(density, count, valid=None):
    """How much more than the uniform density, in units of that; 0 on padding.

    count: (B, 1, 1, 1), the number of valid pixels. valid: None where all are.
    """
    found = density * count - 1
    xp = space(found)
    return found if valid is None else xp.where(xp.greater(valid, 0), found, 0)


def standard(summed, squares, count):
    """Mean and 1 / standard deviation of `deviations`, from sums over them and their squares.

    All (B,). That these are 0 on average but for round-off is why sums of squares are exact enough.
    The second is 0 for a constant map, which is one that varies by no more than round-off.
    """
    xp = space(squares)
    mean = summed / count
    variance = squares / count - mean * mean
    eps = float(np.finfo(keras.backend.standardize_dtype(squares.dtype)).eps)
    varies = xp.greater(variance, (16 * eps) ** 2)
    return mean, xp.where(varies, 1 / xp.sqrt(xp.where(varies, variance, 1)), 0)


def correlation(products, one, other, count):
    """Pearson's, from the sum over products of two maps' `deviations` and `standard` of each."""
    return (products / count - one[0] * other[0]) * one[1] * other[1]


def overlap(density, predicted):
    """The mass that two densities share."""
    return total(space(predicted).minimum(density, predicted))


def divergence(density, log_density):
    """Kullback-Leibler divergence from `density` of the density whose logarithm is given, nats.

    log_density: finite, also where `density` is 0 (where 0 log 0 is 0).
    """
    xp = space(log_density)
    log_truth = xp.log(xp.where(xp.greater(density, 0), density, 1))
    return inner(density, log_truth - log_density)


def divergence_from(predicted, density):
    """`divergence` of NumPy's arrays, from a density above 0, with one logarithm in place of two.

    The smallest number, added, changes only a logarithm of 0, which is not counted.
    """
    return inner(density, np.log(density / predicted + np.finfo(density.dtype).tiny))


def each(function, *maps):
    """A function of single samples' pixels (N,), applied to batches of maps: (B,)."""
    xp = space(maps[0])
    rows = [xp.reshape(x, (xp.shape(x)[0], -1)) for x in maps]
    if xp is np:
        return np.array([function(*row) for row in zip(*rows, strict=True)], maps[0].dtype)
    return ops.map(lambda row: function(*row), tuple(rows))


def taken(values, where):
    """Those of the values (N,) at which `where` (N,) is above 0."""
    xp = space(values)
    return xp.take(values, xp.nonzero(xp.greater(where, 0))[0])


def fixated(values, fixations):
    """The values (K,) at the pixels with fixations, ascending, and how many each has."""
    xp = space(values)
    found, counts = taken(values, fixations), taken(as_type(fixations, values), fixations)
    order = xp.argsort(found)
    return xp.take(found, order), xp.take(counts, order)


def ranks(ordered, values):
    """How many of the ascending `ordered` are less than each value, and how many no more."""
    xp = space(ordered)
    return [xp.searchsorted(ordered, values, side=side) for side in ("left", "right")]


def area(counts, below, negatives):
    """Mean share of `negatives` that lie below the fixated values; .5 if a side is empty."""
    xp = space(counts)
    pairs = xp.sum(counts) * negatives
    found = xp.sum(counts * below) / xp.maximum(pairs, 1)
    return xp.where(xp.greater(pairs, 0), found, 0.5)


def areas(reached, counts, below, most, pixels):
    """Areas under two ROC curves of one sample: (AUC, AUC_Judd), 0..1; .5 if a side is empty.

    reached, counts: (K,) of `fixated`. below, most: `ranks` of these in the pixels' values; pixels:
    how many those are.

    AUC: all pixels are negatives, ties count half. AUC_Judd: negatives are the pixels without a
    fixation, and the curve has its corners at the fixated values alone (Judd et al., ICCV 2009).
    """
    xp = space(reached)
    own = xp.shape(reached)[0]
    below, most, pixels, own = (as_type(x, reached) for x in (below, most, pixels, own))
    before, after = ranks(reached, reached)
    free, unfixated = below - as_type(before, reached), pixels - own
    # Between two corners the curve is straight: the mean of what lies below this and the next.
    following = xp.take(xp.concatenate([free, xp.reshape(unfixated, (1,))]), after)
    return (
        area(counts, (below + most) / 2, pixels),
        area(counts, (free + following) / 2, unfixated),
    )


def area_among(reached, counts, negatives, weights):
    """As AUC, of negatives (N,) in any order that count `weights` (N,) times each: sAUC."""
    xp = space(reached)
    order, weights = xp.argsort(negatives), as_type(weights, reached)
    summed = xp.cumsum(xp.take(weights, order))
    summed = xp.concatenate([xp.zeros_like(reached[:1]), summed])
    below, most = (xp.take(summed, rank) for rank in ranks(xp.take(negatives, order), reached))
    return area(counts, (below + most) / 2, xp.sum(weights))
