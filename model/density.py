"""From a model's logits to a density over the valid pixels of a picture."""

import keras
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
