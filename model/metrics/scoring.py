"""Metrics by the Tuebingen protocol, and the losses that are metrics too: one definition of each.

As for losses: one number per sample, (B,), parameters named after what they need. Measures are in
model.metrics.measures; `score` takes the same ones once for all metrics of a picture.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from config import weights
from errors import UsageError, near
from model.metrics import measures, mit
from model.metrics.losses import LOSSES, SIGNS


def auc(fixations, log_density, valid):
    """Area under the ROC curve with every valid pixel as a negative, 0..1.

    Ties count half, repeated fixations count repeatedly (pysaliency's uniform AUC). Exact, by
    ranks; .5 without fixations.
    """
    return measures.each(lambda *maps: _areas(*maps)[0], log_density, fixations, valid)


def auc_judd(fixations, log_density, valid):
    """Area under the ROC curve of Judd et al. (ICCV 2009), 0..1; .5 without fixations.

    Negatives are the valid pixels without a fixation, thresholds the fixated values alone; no
    jitter, so the result is exact and a constant map gets .5.
    """
    return measures.each(lambda *maps: _areas(*maps)[1], log_density, fixations, valid)


def _areas(values, fixations, valid):
    """(AUC, AUC_Judd) of flat maps."""
    xp = measures.space(values)
    reached, counts = measures.fixated(values, fixations)
    ordered = xp.sort(measures.taken(values, valid))
    ranks = measures.ranks(ordered, reached)
    return measures.areas(reached, counts, *ranks, xp.shape(ordered)[0])


def sauc(fixations, log_density, negatives):
    """Shuffled AUC, 0..1: negatives are other pictures' fixations; .5 without either.

    negatives: (B, H, W, 1) counts of them, scaled to this picture's size, repeats kept. Tatler,
    Baddeley, Gilchrist, Vision Research 45, 2005; of all other pictures, as pysaliency has it.
    """
    return measures.each(_area_among, log_density, fixations, negatives)


def _area_among(values, fixations, negatives):
    others = (measures.taken(x, negatives) for x in (values, negatives))
    return measures.area_among(*measures.fixated(values, fixations), *others)


def ll(fixations, log_density, valid):
    """Log-likelihood against the uniform density, bits per fixation; 0 without fixations."""
    xp = measures.space(log_density)
    pixels = xp.sum(measures.as_type(valid, log_density), axis=measures.MAP, keepdims=True)
    return bits(fixations, log_density + xp.log(pixels))


def ig(fixations, log_density, baseline):
    """Information gain over `baseline`, a log-density (B, H, W, 1), in bits per fixation.

    Kuemmerer, Wallis, Bethge, PNAS 112, 2015; the baseline is the centre bias as a rule.
    """
    baseline = measures.as_type(baseline, log_density)
    return bits(fixations, log_density - baseline)


def bits(fixations, gains):
    """Mean over fixations of what is in nats; 0 without fixations."""
    return measures.per_fixation(fixations, gains) / math.log(2)


EPSILON = 1e-20  # that pysaliency adds to saliency maps for KLDiv
STRIP = 1 << 15
DEFAULT = ("kld", "cc", "sim", "nss")
METRICS = LOSSES | {function.__name__: function for function in (ll, ig, auc, auc_judd, sauc)}
# What the final test gives, in this order, under the names that the field writes.
LABELS = {
    "ll": "LL",
    "ig": "IG",
    "auc": "AUC",
    "auc_judd": "AUC_Judd",
    "sauc": "sAUC",
    "nss": "NSS",
    "cc": "CC",
    "sim": "SIM",
    "kld": "KLDiv",
}
# What compares a whole answer with all fixations of a picture: answers in parts have none of it.
# AUC_Judd's thresholds are the fixations: of a single one it would be (1 + AUC) / 2.
WHOLE = {"auc_judd", "cc", "sim", "kld", "sim_mit", "kld_mit"}
# Protocol -> what it gives and the name in tables; values of two protocols are not comparable. AUC,
# NSS and CC of "mit" are Tuebingen's: Matlab's differ by jitter and by counting repeats once.
PROTOCOLS = {
    "tuebingen": LABELS,
    "mit": {
        **{name: LABELS[name] for name in ("auc_judd", "nss", "cc")},
        "sauc_mit": "sAUC_MIT",
        "sim_mit": "SIM_MIT",
        "kld_mit": "KLDiv_MIT",
        "ig_mit": "InfoGain_MIT",
    },
}


def needs(function):
    """The keys of batch and outputs that a loss or metric takes: its parameters' names."""
    return tuple(inspect.signature(function).parameters)


def call(function, values):
    """Apply a loss or metric to a dict that holds what it needs; UsageError names what lacks."""
    missing = [key for key in needs(function) if key not in values]
    if missing:
        raise UsageError(
            f"{function.__name__} needs {', '.join(missing)}; there is {', '.join(sorted(values))}"
        )
    return function(**{key: values[key] for key in needs(function)})


def listed(asked: str | None) -> list[str]:
    """`kld, nss` as ["kld", "nss"]."""
    return [name.strip() for name in asked.split(",")] if asked else []


def check_names(loss: str, asked: str | None) -> None:
    """Raises UsageError where a loss or a metric of a training run has no such name; warns of a
    term of the loss whose sign makes it worse."""
    final = {"baseline", "negatives"}  # which only the final test has
    training = [name for name in METRICS if not final & {*needs(METRICS[name])}]
    for flag, names, known in (
        ("loss", weights(loss), LOSSES),
        ("metrics", listed(asked), training),
    ):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"--{flag} {name}: must be of {', '.join(known)}{near(name, known)}"
                )
    for name, weight in weights(loss).items():
        if weight * SIGNS.get(name, 0) < 0:
            said = "--loss %s: %s becomes worse with a weight of %g; a loss is made small"
            logging.warning(said, loss, name, weight)


def choose(loss: str, asked: str | None, known: Sequence[str]) -> list[str]:
    """The metrics of a training run, given the truth that its samples know.

    What was asked for, or is a term of the loss, and lacks its truth is an error that names it;
    a default metric is left out with a notice.
    """
    there = {*known, "log_density", "valid"}
    for name in [*weights(loss), *listed(asked)]:
        lacks = sorted({*needs(METRICS[name])} - there)
        if lacks:
            raise UsageError(f"{name} needs {', '.join(lacks)}, which the corpus does not have")
    if asked:
        return listed(asked)
    possible = [name for name in DEFAULT if {*needs(METRICS[name])} <= there]
    for name in set(DEFAULT) - set(possible):
        lacks = ", ".join(sorted({*needs(METRICS[name])} - there))
        logging.warning("%s is left out: there is no %s", name, lacks)
    return possible


def as_log_density(saliency: np.ndarray) -> np.ndarray:
    """A saliency map (height, width) as a log-density in nats, float64, as pysaliency does.

    Shifted up if it is negative anywhere, and divided by its sum; -inf where it is 0. A constant
    map is the uniform density.
    """
    saliency = np.asarray(saliency, np.float64)
    with np.errstate(divide="ignore"):
        return np.log(_Predicted(saliency.ravel(), np.asarray).density(saliency))


class _Predicted:
    """Values of pixels (N,), and the density that `raw` of them is, or is made, in float64."""

    def __init__(self, values: np.ndarray, raw: Callable):
        self.values, self.raw = values, raw
        self.shift = 0 if raw is np.exp else max(-values.min(), 0.0)
        self.total = sum(self._raised(part).sum() for part in strips(values))
        if self.total == 0:  # of zeros the uniform density is made
            self.shift, self.total = self.shift + 1, len(values)

    def _raised(self, values: np.ndarray) -> np.ndarray:
        return self.raw(values) + self.shift if self.shift else self.raw(values)

    def density(self, values: np.ndarray) -> np.ndarray:
        return self._raised(values) * (1 / self.total)  # a division takes thrice the time


def score(
    log_density,
    known: Mapping,
    baseline,
    saliency=None,
    protocol: str = "tuebingen",
    whole: bool = True,
) -> dict[str, float]:
    """All metrics of a protocol that the truth allows, of one picture, in float64; NaN for what is
    not defined without fixations, or without negatives.

    Args:
        log_density: (height, width), nats; -inf is allowed, and honest in LL and IG.
        known: `density`, `fixations`, `negatives` or some of them, each (height, width), as the
            metrics have them.
        baseline: the log-density (height, width) over which information is gained.
        saliency: the map (height, width) that was predicted, where it was no density: all but LL
            and IG are taken of it as pysaliency does. AUC knows its order alone; else it counts as
            a density.
        whole: whether this is all that is answered for the picture, not for some of its fixations.
    """
    flat = {"log_density": log_density, "baseline": baseline, **known}
    flat = {name: np.ravel(np.asarray(x, np.float64)) for name, x in flat.items()}
    if saliency is None:
        predicted = _Predicted(flat["log_density"], np.exp)
    else:
        predicted = _Predicted(np.ravel(np.asarray(saliency, np.float64)), np.asarray)
    count, found = len(predicted.values), {}
    sums = _sums(predicted, flat.get("density"))
    mine = measures.standard(*sums[:2], count)
    if "fixations" in known:
        found |= _at_fixations(predicted, mine, **flat)
    if "density" in known:
        theirs = measures.standard(*sums[2:4], count)
        found["cc"] = measures.correlation(sums[4], mine, theirs, count)
        # EPSILON is in the sum by which a map is divided, too.
        scale = math.log1p(EPSILON / predicted.total * count)
        found["sim"], found["kld"] = sums[5], sums[6] + scale
    if protocol == "mit":
        found |= mit.score(predicted.raw(predicted.values), flat)
    names = [name for name in PROTOCOLS[protocol] if whole or name not in WHOLE]
    return {name: float(np.squeeze(found[name])) for name in names if name in found}


def strips(values: np.ndarray) -> Iterator[np.ndarray]:
    """Pixels (N,) in parts that stay in a processor's cache from one operation to the next."""
    return (values[start : start + STRIP] for start in range(0, len(values), STRIP))


def _map(values: np.ndarray) -> np.ndarray:
    return values[None, :, None, None]


def _sums(predicted: _Predicted, density) -> np.ndarray:
    """Sums over all pixels: of the prediction's deviations and their squares; where there is a
    density, of its own and theirs, of the products, the overlap, and the divergence."""
    sums, count = 0, len(predicted.values)
    # pysaliency adds this to every map before it divides it by its sum.
    epsilon = EPSILON / predicted.total
    for index, part in enumerate(strips(predicted.values)):
        own = _map(predicted.density(part))
        mine = measures.deviations(own, count)
        found = [measures.total(mine), measures.inner(mine, mine)]
        if density is not None:
            truth = _map(density[index * STRIP :][:STRIP])
            theirs = measures.deviations(truth, count)
            found += [measures.total(theirs), measures.inner(theirs, theirs)]
            found += [measures.inner(mine, theirs), measures.overlap(truth, own)]
            found.append(measures.divergence_from(own + epsilon, truth))
        sums = sums + np.array(found)
    return sums


def _at_fixations(predicted: _Predicted, own, fixations, log_density, baseline, **others) -> dict:
    """What looks at the fixated pixels, as a picture of those alone; own: `standard`."""
    values, at = predicted.values, np.flatnonzero(fixations > 0)
    weights, here, centre = (_map(x[at]) for x in (fixations, log_density, baseline))
    above = measures.deviations(predicted.density(_map(values[at])), len(values))
    reached = measures.fixated(values[at], fixations[at])
    auc, auc_judd = measures.areas(*reached, *_ranks(values, reached[0]), len(values))
    found = {
        "ll": bits(weights, here + math.log(len(values))),
        "ig": bits(weights, here - centre),
        "nss": measures.per_fixation(weights, (above - own[0]) * own[1]),
        "auc": auc,
        "auc_judd": auc_judd,
    }
    if "negatives" in others:
        other = np.flatnonzero(others["negatives"] > 0)
        found["sauc"] = measures.area_among(*reached, values[other], others["negatives"][other])
        if not len(other):
            found["sauc"] = math.nan
    return found if len(at) else dict.fromkeys(found, math.nan)


def _ranks(values: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """`measures.ranks` of values (N,) in any order: only those that are reached are sorted."""
    high = values[values >= reached.min(initial=np.inf)]
    high.sort()
    return len(values) - len(high) + np.array(measures.ranks(high, reached))
