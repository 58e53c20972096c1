"""Areas under ROC curves, 0..1: how often a fixated pixel has a higher value than a negative.

Exact, by ranks; ties count half, repeated fixations count repeatedly. Only the order of the values
matters.
"""

import numpy as np

from model.metrics import ops
from model.metrics.metric import HIGHER, Metric
from model.metrics.picture import ranks
from model.metrics.tensors import area, by_sample, only


def final_auc(picture, fixations):
    _, counts = fixations.ascending(picture.values)
    return _share(counts, picture.ranks.mean(axis=0), picture.size)


def auc(fixations, log_density, valid):
    """Every valid pixel is a negative (pysaliency's uniform AUC); .5 without fixations."""

    def of(values, counts, valid):
        below, most = _ranks(only(values, valid > 0), values)
        return area(counts, (below + most) / 2, ops.sum(valid))

    return by_sample(of, log_density, fixations, valid)


def final_auc_judd(picture, fixations):
    reached, counts = fixations.ascending(picture.values)
    before, after = ranks(reached, reached)
    unfixated = picture.size - len(reached)
    free = picture.ranks[0] - before
    # Between two corners the curve is straight: the mean of what lies below this and the next.
    return _share(counts, (free + np.append(free, unfixated)[after]) / 2, unfixated)


def auc_judd(fixations, log_density, valid):
    """Negatives are the valid pixels without a fixation, thresholds the fixated values alone (Judd
    et al., ICCV 2009); .5 without fixations.

    No jitter: a constant map gets .5. With n fixations chance is (n + 2) / (2 n + 2).
    """

    def of(values, counts, valid):
        free = (valid > 0) & (counts == 0)
        unfixated, reached = only(values, free), only(values, counts > 0)
        corners = ops.append(reached, [np.inf])
        following = ops.take(corners, _ranks(reached, values)[1])
        below = (_ranks(unfixated, values)[0] + _ranks(unfixated, following)[0]) / 2
        return area(counts, below, ops.sum(ops.cast(free, values.dtype)))

    return by_sample(of, log_density, fixations, valid)


def final_sauc(picture, fixations, negatives):
    """Shuffled AUC: negatives are the fixations on other pictures, at this picture's size.

    Tatler, Baddeley, Gilchrist, Vision Research 45, 2005; of all other pictures, repeats kept, as
    pysaliency has it.
    """
    reached, counts = fixations.ascending(picture.values)
    others, weights = negatives.ascending(picture.values)
    summed = np.append(0, np.cumsum(weights))
    return _share(counts, summed[ranks(others, reached)].mean(axis=0), summed[-1])


def _share(counts, below, negatives: float) -> float:
    """Return the mean share of negatives below the fixated values; .5 if there are none."""
    return counts @ below / (counts.sum() * negatives) if negatives else 0.5


def _ranks(ordered, values):
    """Return how many of the ascending `ordered` are less than each value, and how many no more."""
    return [ops.searchsorted(ordered, values, side=side) for side in ("left", "right")]


AUC = Metric(
    "auc", "AUC", "against every pixel, 0.5 is chance", HIGHER, final_auc, auc, map="equalised"
)
AUC_JUDD = Metric(
    "auc_judd", "AUC_Judd", "against pixels without fixation, 0.5 is chance", HIGHER,
    final_auc_judd, auc_judd, protocols=("tuebingen", "mit"), map="equalised",
    whole=True,  # of a single fixation it would be (1 + AUC) / 2
)  # fmt: skip
SAUC = Metric(
    "sauc", "sAUC", "against fixations on other pictures, 0.5 is chance", HIGHER, final_sauc,
    map="beyond_others",
)  # fmt: skip
