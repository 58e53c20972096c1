"""What a density makes of the fixations that happened: likelihood, gain, and its own entropy."""

import math

from model.metrics import ops
from model.metrics.metric import HIGHER, LOWER, Metric
from model.metrics.tensors import MAP, as_type, per_fixation, total

BIT = math.log(2)


def final_ll(picture, fixations):
    return fixations.mean(picture.log_density[fixations.places] + math.log(picture.size)) / BIT


def ll(fixations, log_density, valid):
    """Log-likelihood against the uniform density, bits per fixation; 0 without fixations."""
    pixels = ops.sum(as_type(valid, log_density), axis=MAP, keepdims=True)
    return per_fixation(fixations, log_density + ops.log(pixels)) / BIT


def final_ig(picture, fixations, baseline):
    """Information gain over `baseline`, the centre bias as a rule, in bits per fixation.

    Kuemmerer, Wallis, Bethge, PNAS 112, 2015.
    """
    at = fixations.places
    return fixations.mean(picture.log_density[at] - baseline[at]) / BIT


def nll(fixations, log_density):
    """Negative log-likelihood, bits per fixation; 0 without fixations.

    A sample's own mean: whether each picture or each fixation counts the same is decided by the
    batch's `weight`, 1 or the number of fixations.
    """
    return -per_fixation(fixations, log_density) / BIT


def entropy(log_density, valid):
    """Entropy of the predicted density, in bits: 0 for one pixel, log2(pixels) for the uniform.

    It looks at no truth. As a term of the loss its sign is that of its weight: a positive one
    penalises spread and so sharpens the prediction (`nll:1,entropy:0.01`), a negative one rewards
    spread, against overconfidence (Pereyra et al., ICLR workshop 2017).
    """
    return total(ops.where(valid > 0, -ops.exp(log_density) * log_density, 0)) / BIT


LL = Metric("ll", "LL", "bits per fixation over a uniform density", HIGHER, final_ll, ll)
IG = Metric("ig", "IG", "bits per fixation over the centre bias", HIGHER, final_ig)
NLL = Metric("nll", "NLL", "bits per fixation", LOWER, training=nll, loss=True)
ENTROPY = Metric("entropy", "entropy", "bits of the predicted density", training=entropy, loss=True)
