"""Losses: one number per sample, (B,), from (B, H, W, 1) maps, in the dtype of `log_density`.

Parameters are named after the keys of the batch and after `log_density`, which is how a caller
finds what each needs. `density` sums to 1 over the valid pixels and is 0 elsewhere; `fixations`
are counts; `valid` is 1 or 0; `log_density` is in nats, of density.log_density. Padding counts
nowhere, and gradients are finite for every finite prediction, a constant one included.
"""

import math

from model.metrics import measures


def kld(density, log_density):
    """Kullback-Leibler divergence of the prediction from the truth, nats, 0 or more."""
    return measures.divergence(measures.as_type(density, log_density), log_density)


def nll(fixations, log_density):
    """Negative log-likelihood, bits per fixation; 0 without fixations.

    A sample's own mean: whether each picture or each fixation counts the same is decided by the
    batch's `weight`, 1 or the number of fixations.
    """
    return -measures.per_fixation(fixations, log_density) / math.log(2)


def cc(density, log_density, valid):
    """Pearson's correlation of the two densities over the valid pixels, -1..1; 0 if one is flat."""
    truth, theirs, count = _beside_uniform(measures.as_type(density, log_density), valid)
    predicted, mine, _ = _beside_uniform(measures.space(log_density).exp(log_density), valid)
    return measures.correlation(measures.inner(truth, predicted), theirs, mine, count)


def sim(density, log_density):
    """Similarity: the mass that the two densities share, 0..1."""
    predicted = measures.space(log_density).exp(log_density)
    return measures.overlap(measures.as_type(density, log_density), predicted)


def nss(fixations, log_density, valid):
    """Normalised scanpath saliency (Peters et al., Vision Research 45, 2005).

    Mean over fixations of the density's z-score, by the standard deviation of the population of
    valid pixels; 0 for a flat density and without fixations.
    """
    above, own, _ = _beside_uniform(measures.space(log_density).exp(log_density), valid)
    mean, inverse = (x[:, None, None, None] for x in own)
    return measures.per_fixation(fixations, (above - mean) * inverse)


def entropy(log_density, valid):
    """Entropy of the predicted density, in bits: 0 for one pixel, log2(pixels) for the uniform.

    It looks at no truth. As a term of the loss its sign is that of its weight: a positive one
    penalises spread and so sharpens the prediction (`nll:1,entropy:0.01`), a negative one rewards
    spread, against overconfidence (Pereyra et al., ICLR workshop 2017).
    """
    xp = measures.space(log_density)
    nats = xp.where(xp.greater(valid, 0), -xp.exp(log_density) * log_density, 0)
    return measures.total(nats) / math.log(2)


LOSSES = {function.__name__: function for function in (kld, nll, cc, sim, nss, entropy)}
# Of the weights with which they make an answer better; entropy has none.
SIGNS = {"kld": 1, "nll": 1, "cc": -1, "sim": -1, "nss": -1}


def _beside_uniform(density, valid):
    """A density's `deviations` and `standard`, and the number of valid pixels (B,)."""
    xp = measures.space(density)
    count = xp.maximum(measures.total(measures.as_type(valid, density)), 1)
    above = measures.deviations(density, count[:, None, None, None], valid)
    own = measures.standard(measures.total(above), measures.inner(above, above), count)
    return above, own, count
