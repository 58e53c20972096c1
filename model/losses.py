"""Losses: one number per sample, (B,), from (B, H, W, 1) maps, in the dtype of `log_density`.

Parameters are named after the keys of the batch and after `log_density`, which is how a caller
finds what each needs. `density` sums to 1 over the valid pixels and is 0 elsewhere; `fixations`
are counts; `valid` is 1 or 0; `log_density` is in nats, of density.log_density. Padding counts
nowhere, and gradients are finite for every finite prediction, a constant one included.
"""

import math

import keras
import numpy as np
from keras import ops

_MAP = (1, 2, 3)


def kld(density, log_density):
    """Kullback-Leibler divergence of the prediction from the truth, nats, 0 or more."""
    density = ops.cast(density, log_density.dtype)
    # 0 log 0 is 0: where there is no truth the factor in front removes the finite rest.
    log_truth = ops.log(ops.where(ops.greater(density, 0), density, 1))
    return ops.sum(density * (log_truth - log_density), axis=_MAP)


def nll(fixations, log_density):
    """Negative log-likelihood, bits per fixation; 0 without fixations."""
    return -per_fixation(fixations, log_density) / math.log(2)


def cc(density, log_density, valid):
    """Pearson's correlation of the two densities over the valid pixels, -1..1; 0 if one is flat."""
    valid = ops.cast(valid, log_density.dtype)
    truth = _standardised(ops.cast(density, log_density.dtype), valid)
    predicted = _standardised(ops.exp(log_density), valid)
    return ops.sum(truth * predicted, axis=_MAP) / _count(valid)


def sim(density, log_density):
    """Similarity: the mass that the two densities share, 0..1."""
    density = ops.cast(density, log_density.dtype)
    return ops.sum(ops.minimum(density, ops.exp(log_density)), axis=_MAP)


def nss(fixations, log_density, valid):
    """Normalised scanpath saliency (Peters et al., Vision Research 45, 2005).

    Mean over fixations of the density's z-score, by the standard deviation of the population of
    valid pixels; 0 for a flat density and without fixations.
    """
    valid = ops.cast(valid, log_density.dtype)
    return per_fixation(fixations, _standardised(ops.exp(log_density), valid))


LOSSES = {function.__name__: function for function in (kld, nll, cc, sim, nss)}


def per_fixation(fixations, values):
    fixations = ops.cast(fixations, values.dtype)
    total = ops.sum(fixations, axis=_MAP)
    return ops.sum(fixations * values, axis=_MAP) / ops.maximum(total, 1)


def _precision(values):
    return np.finfo(keras.backend.standardize_dtype(values.dtype)).eps


def _count(valid):
    return ops.maximum(ops.sum(valid, axis=_MAP), 1)


def _standardised(values, valid):
    """Z-scores over the valid pixels, 0 elsewhere; 0 everywhere for a constant map."""
    inside = ops.greater(valid, 0)
    count = ops.reshape(_count(valid), (-1, 1, 1, 1))
    # Less its own minimum and in units of the uniform density, a constant map is 0 to the last
    # digits (in which exp differs between vector lanes), and no square comes near underflow.
    top = ops.max(values, axis=_MAP, keepdims=True)
    low = ops.min(ops.where(inside, values, top), axis=_MAP, keepdims=True)
    values = ops.where(inside, (values - ops.stop_gradient(low)) * count, 0)
    mean = ops.sum(values, axis=_MAP, keepdims=True) / count
    centred = ops.where(inside, values - mean, 0)
    variance = ops.sum(ops.square(centred), axis=_MAP, keepdims=True) / count
    varies = ops.greater(variance, (16 * _precision(values)) ** 2)
    return ops.where(varies, centred / ops.sqrt(ops.where(varies, variance, 1)), 0)
