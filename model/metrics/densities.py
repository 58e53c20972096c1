"""Comparisons of the predicted density with fixations by z-scores, and with the empirical one.

`density` sums to 1 over the valid pixels and is 0 elsewhere; `log_density` is in nats.
"""

import math

import numpy as np

from model.metrics import ops, tensors
from model.metrics.metric import HIGHER, LOWER, Metric
from model.metrics.picture import inner, standardised
from model.metrics.tensors import as_type, per_fixation, total

EPSILON = 1e-20  # that pysaliency adds to maps for KLDiv before it divides them by their sums


def final_nss(picture, fixations):
    return fixations.mean(picture.z_scores[fixations.places])


def nss(fixations, log_density, valid):
    """Normalised scanpath saliency (Peters et al., Vision Research 45, 2005).

    Mean over fixations of the density's z-score, by the standard deviation of the population of
    valid pixels; 0 for a flat density and without fixations.
    """
    return per_fixation(fixations, tensors.standardised(ops.exp(log_density), valid))


def final_cc(picture, density):
    return inner(picture.z_scores, standardised(density)) / picture.size


def cc(density, log_density, valid):
    """Pearson's correlation of the two densities over the valid pixels, -1..1; 0 if one is flat."""
    both = (as_type(density, log_density), ops.exp(log_density))
    truth, predicted = (tensors.standardised(x, valid) for x in both)
    return total(truth * predicted) / ops.maximum(total(as_type(valid, log_density)), 1)


def final_sim(picture, density):
    return np.minimum(picture.predicted, density).sum()


def sim(density, log_density):
    """Similarity: the mass that the two densities share, 0..1."""
    return total(ops.minimum(as_type(density, log_density), ops.exp(log_density)))


def final_kld(picture, density):
    """As pysaliency takes it, of maps to which EPSILON is added."""
    epsilon = EPSILON / picture.total
    quotient = picture.predicted + epsilon
    np.divide(density, quotient, out=quotient)
    quotient += np.finfo(float).tiny  # changes the logarithm of 0 alone, which is not counted
    return inner(density, np.log(quotient, out=quotient)) + math.log1p(epsilon * picture.size)


def kld(density, log_density):
    """Kullback-Leibler divergence of the prediction from the truth, nats, 0 or more."""
    density = as_type(density, log_density)
    return total(density * (ops.log(ops.where(density > 0, density, 1)) - log_density))


NSS = Metric(
    "nss", "NSS", "standard deviations above the map’s mean", HIGHER, final_nss, nss,
    protocols=("tuebingen", "mit"), loss=True, default=True, map="density",
)  # fmt: skip
CC = Metric(
    "cc", "CC", "correlation with the empirical density, −1 to 1", HIGHER, final_cc, cc,
    protocols=("tuebingen", "mit"), loss=True, default=True, map="smooth", whole=True,
)  # fmt: skip
SIM = Metric(
    "sim", "SIM", "mass shared with the empirical density, 0 to 1", HIGHER, final_sim, sim,
    loss=True, default=True, map="similar", whole=True,
)  # fmt: skip
KLD = Metric(
    "kld", "KLDiv", "nats from the empirical density, 0 is perfect", LOWER, final_kld, kld,
    loss=True, default=True, map="smooth", whole=True,
)  # fmt: skip
