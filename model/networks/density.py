"""From a model's logits to a density over the valid pixels of a picture."""

import keras
import numpy as np
from keras import ops

OUTSIDE = -1e4  # log-density of padding: exp of it is 0, and 0 times it is 0, not NaN as with -inf


def log_density(logits, valid):
    """Normalise logits over the valid pixels: exp of the result sums to 1 over them, in nats.

    logits, valid: (B, H, W, 1), valid 1 or 0. Returns (B, H, W, 1), finite everywhere; float64 for
    float64 logits, float32 otherwise.
    """
    double = keras.backend.standardize_dtype(logits.dtype) == "float64"
    logits = ops.cast(logits, "float64" if double else "float32")
    inside = ops.greater(valid, 0)
    # Relative to the picture's own maximum, so that padding stays below whatever the offset.
    lowest = ops.min(logits, axis=(1, 2, 3), keepdims=True)
    highest = ops.max(ops.where(inside, logits, lowest), axis=(1, 2, 3), keepdims=True)
    shifted = ops.where(inside, logits - ops.stop_gradient(highest), OUTSIDE)
    total = ops.logsumexp(shifted, axis=(1, 2, 3), keepdims=True)
    return ops.where(inside, shifted - total, OUTSIDE)


def blur(maps, sigma, reach):
    """Blur by a separable Gaussian, truncated at 3 sigma (rounded up), edges replicated.

    maps (K, B, h, w), sigma (K,) in their pixels; differentiable in both. The kernel follows sigma
    as long as 3 sigma <= reach. Returns (K, B, h, w).
    """
    for _ in range(2):  # along the last axis, which becomes the one before it
        heads, _, other, side = maps.shape
        lines = ops.reshape(maps, (heads, -1, side))
        lines = ops.matmul(lines, _gaussian(sigma, side, reach))
        maps = ops.swapaxes(ops.reshape(lines, (heads, -1, other, side)), 2, 3)
    return maps


def _gaussian(sigma, side, reach):
    """Return the blur of an axis as a matrix, (K,) -> (K, side, side): column i makes place i."""
    offsets = np.arange(-reach, side + reach)[:, None] - np.arange(side)
    offsets, sigma = ops.convert_to_tensor(offsets, sigma.dtype), sigma[:, None, None]
    kernel = ops.exp(-0.5 * ops.square(offsets / sigma))
    kernel = ops.where(ops.abs(offsets) <= ops.ceil(3 * sigma), kernel, 0.0)
    kernel = kernel / ops.sum(kernel, axis=1, keepdims=True)
    first = ops.sum(kernel[:, : reach + 1], axis=1, keepdims=True)
    last = ops.sum(kernel[:, -reach - 1 :], axis=1, keepdims=True)
    return ops.concatenate([first, kernel[:, reach + 1 : -reach - 1], last], axis=1)


def mixture(logits, pixels):
    """Return the mean of K densities: (K, B, h, w) -> (B, h, w), a log-density per pixel, in nats.

    pixels (B, h, w): how many valid pixels each place stands for; each head is normalised over
    them first. Finite everywhere.
    """
    weighted = logits + ops.log(ops.maximum(pixels, 1.0))
    weighted = ops.where(ops.greater(pixels, 0), weighted, OUTSIDE)
    total = ops.logsumexp(weighted, axis=(2, 3), keepdims=True)
    return ops.logsumexp(logits - total, axis=0) - np.log(logits.shape[0])
