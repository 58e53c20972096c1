"""Variants of the MIT Saliency Benchmark's Matlab code, for comparison with older tables.

Bylinskii, Judd, Oliva, Torralba, Durand, IEEE TPAMI 41(3), 2019, and the code that goes with it.
Their values are not comparable with the Tuebingen protocol's of similar names. Maps are NumPy's, of
one shape, any; `saliency` is a map, in which only differences count, or a density.
"""

import numpy as np

EPSILON = 2.2204e-16  # Matlab's eps, as the benchmark writes it
IMAGES, SPLITS, STEP = 10, 100, 0.1


def others(count: int, index: int, seed: int = 0) -> np.ndarray:
    """Indices of the images whose fixations are image `index`'s negatives: ten of the others."""
    random = np.random.default_rng((seed, index))
    return np.sort(random.permutation(np.delete(np.arange(count), index))[:IMAGES])


def sauc_mit(saliency, fixations, negatives, seed: int = 0) -> float:
    """Shuffled AUC as Borji et al. (IEEE TIP 22, 2013) take it; .5 for a constant map, NaN
    without fixations or negatives.

    Mean over 100 random splits, each of as many negatives as there are fixated pixels; the curve's
    corners are 0, .1, .2, ... of the map scaled to 0..1. Repeats count once.

    Args:
        fixations: counts. negatives: counts of the fixations on ten other images, see `others`.
        seed: chooses the splits.
    """
    scaled = _scaled(saliency)
    if not (np.any(fixations > 0) and np.any(negatives > 0)):
        return np.nan
    if scaled is None:
        return 0.5
    own, other = scaled[fixations > 0], scaled[negatives > 0]
    random = np.random.default_rng(seed)
    size = min(len(own), len(other))
    splits = [random.choice(other, size, replace=False) for _ in range(SPLITS)]
    return float(np.mean([_stepped_area(own, split) for split in splits]))


def _stepped_area(positives: np.ndarray, negatives: np.ndarray) -> float:
    highest = max(positives.max(), negatives.max())
    corners = np.arange(int(highest / STEP + 1e-9), -1, -1) * STEP
    hits, alarms = (
        np.concatenate([[0], (values >= corners[:, None]).mean(1), [1]])
        for values in (positives, negatives)
    )
    return float(((hits[1:] + hits[:-1]) / 2 * np.diff(alarms)).sum())


def sim_mit(saliency, density) -> float:
    """Similarity of two maps that are each scaled to 0..1 before they are divided by their sums."""
    one, other = (_density(x) for x in (saliency, density))
    return float(np.minimum(one, other).sum())


def kld_mit(saliency, density) -> float:
    """Kullback-Leibler divergence in nats, with Matlab's eps in quotient and logarithm."""
    saliency = saliency - min(saliency.min(), 0)
    predicted, truth = (
        x / x.sum() if x.any() else np.full(x.shape, 1 / x.size) for x in (saliency, density)
    )
    return float((truth * np.log(EPSILON + truth / (predicted + EPSILON))).sum())


def ig_mit(saliency, fixations, baseline) -> float:
    """Information gain in bits, of maps scaled to 0..1 first; NaN without fixations.

    baseline: a map as `saliency`, the centre bias' density as a rule. Repeats count once.
    """
    at = np.nonzero(fixations > 0)
    if not len(at[0]):
        return np.nan
    own, centre = (np.log2(_density(x)[at] + EPSILON) for x in (saliency, baseline))
    return float((own - centre).mean())


def _scaled(values: np.ndarray) -> np.ndarray | None:
    """A map scaled to 0..1; None for a constant one."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else None


def _density(values: np.ndarray) -> np.ndarray:
    """A map scaled to 0..1 and divided by its sum; a constant one is the uniform density."""
    scaled = _scaled(values)
    return np.full(values.shape, 1 / values.size) if scaled is None else scaled / scaled.sum()


def score(saliency, known) -> dict[str, float]:
    """The variants that the truth allows, of maps as for metrics.score; known: `baseline` too."""
    found = {}
    if "fixations" in known:
        found["ig_mit"] = ig_mit(saliency, known["fixations"], np.exp(known["baseline"]))
    if "fixations" in known and "negatives" in known:
        found["sauc_mit"] = sauc_mit(saliency, known["fixations"], known["negatives"])
    if "density" in known:
        found["sim_mit"] = sim_mit(saliency, known["density"])
        found["kld_mit"] = kld_mit(saliency, known["density"])
    return found
