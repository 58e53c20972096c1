"""What training metrics are made of: keras.ops of maps (B, H, W, 1) whose results are (B,).

Gradients are finite for every finite prediction, a constant one included.
"""

import numpy as np

from model.metrics import ops

MAP = (1, 2, 3)


def as_type(values, like):
    """Return values in the type of `like`."""
    return ops.cast(values, like.dtype)


def total(values):
    """Return the sum over each map."""
    return ops.sum(values, axis=MAP)


def per_fixation(fixations, values):
    """Return the mean of the values where fixations are, repeats counted; 0 without fixations."""
    fixations = as_type(fixations, values)
    # Values may be -inf where nobody looked.
    seen = fixations * ops.where(fixations > 0, values, 0)
    return total(seen) / ops.maximum(total(fixations), 1)


def standardised(density, valid):
    """Return z-scores over the valid pixels, by the population's deviation; 0 on padding, and
    everywhere for a constant map, which is one that varies by no more than round-off."""
    valid = as_type(valid, density)
    count = ops.maximum(ops.sum(valid, MAP, keepdims=True), 1)
    # In units of the uniform density: 0 on average but for round-off.
    above = valid * (density * count - 1)
    above = valid * (above - ops.sum(above, MAP, keepdims=True) / count)
    variance = ops.sum(above * above, MAP, keepdims=True) / count
    varies = variance > (16 * float(np.finfo(ops.dtype(density)).eps)) ** 2
    return above * ops.where(varies, 1 / ops.sqrt(ops.where(varies, variance, 1)), 0)


def by_sample(function, *maps):
    """Apply a function of single samples' pixels (N,) to each of the batch, in one type."""
    rows = (ops.reshape(as_type(x, maps[0]), (ops.shape(x)[0], -1)) for x in maps)
    return ops.map(lambda row: function(*row), tuple(rows))


def only(values, where):
    """Return the values (N,) in ascending order, those that are not `where` last, as infinity."""
    return ops.sort(ops.where(where, values, np.inf))


def area(counts, below, negatives):
    """Return the mean share of `negatives` below the fixated values; .5 if a side is empty."""
    pairs = ops.sum(counts) * negatives
    share = ops.sum(counts * as_type(below, counts)) / ops.maximum(pairs, 1)
    return ops.where(pairs > 0, share, 0.5)
