"""Variants of the MIT Saliency Benchmark's Matlab code, for comparison with older tables.

Bylinskii, Judd, Oliva, Torralba, Durand, IEEE TPAMI 41(3), 2019, and the code that goes with it.
Their values are not comparable with the Tuebingen protocol's of similar names. Of a picture they
take its `saliency`, a map in which only differences count, or a density. Fixations count once each
place. AUC_Judd, NSS and CC are Tuebingen's: Matlab's differ by jitter and by counting repeats once.
"""

import numpy as np

from model.metrics.metric import HIGHER, LOWER, Metric

EPSILON = 2.2204e-16  # Matlab's eps, as the benchmark writes it
IMAGES, SPLITS, STEP = 10, 100, 0.1


def others(count: int, index: int, seed: int = 0) -> np.ndarray:
    """Return which ten other images' fixations are the negatives of image `index`."""
    random = np.random.default_rng((seed, index))
    return np.sort(random.permutation(np.delete(np.arange(count), index))[:IMAGES])


def sauc_mit(picture, fixations, negatives, seed: int = 0) -> float:
    """Shuffled AUC as Borji et al. (IEEE TIP 22, 2013) take it; .5 for a constant map.

    Mean over 100 random splits, which `seed` chooses, each of as many negatives as there are
    fixated pixels; the curve's corners are 0, .1, .2, ... of the map scaled to 0..1. `negatives`
    are the fixations on ten other pictures, see `others`.
    """
    scaled = _scaled(picture.saliency)
    if scaled is None:
        return 0.5
    fixated, other = scaled[fixations.places], scaled[negatives.places]
    random = np.random.default_rng(seed)
    size = min(len(fixated), len(other))
    splits = [random.choice(other, size, replace=False) for _ in range(SPLITS)]
    return float(np.mean([_stepped_area(fixated, split) for split in splits]))


def _stepped_area(positives: np.ndarray, negatives: np.ndarray) -> float:
    highest = max(positives.max(), negatives.max())
    corners = np.arange(int(highest / STEP + 1e-9), -1, -1) * STEP
    hits, alarms = (
        np.concatenate([[0], (values >= corners[:, None]).mean(1), [1]])
        for values in (positives, negatives)
    )
    return float(((hits[1:] + hits[:-1]) / 2 * np.diff(alarms)).sum())


def sim_mit(picture, density) -> float:
    """Similarity of two maps that are each scaled to 0..1 before they are divided by their sums."""
    return float(np.minimum(_density(picture.saliency), _density(density)).sum())


def kld_mit(picture, density) -> float:
    """Kullback-Leibler divergence in nats, with Matlab's eps in quotient and logarithm."""
    saliency = picture.saliency - min(picture.saliency.min(), 0)
    predicted, truth = (
        x / x.sum() if x.any() else np.full(x.shape, 1 / x.size) for x in (saliency, density)
    )
    return float((truth * np.log(EPSILON + truth / (predicted + EPSILON))).sum())


def ig_mit(picture, fixations, baseline) -> float:
    """Information gain in bits over `baseline`, of densities scaled to 0..1 first."""
    predicted, centre = (
        np.log2(_density(x)[fixations.places] + EPSILON)
        for x in (picture.saliency, np.exp(baseline))
    )
    return float((predicted - centre).mean())


def _scaled(values: np.ndarray) -> np.ndarray | None:
    """Return a map scaled to 0..1; None for a constant one."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else None


def _density(values: np.ndarray) -> np.ndarray:
    """Return a map scaled to 0..1 and divided by its sum; a constant one is the uniform density."""
    scaled = _scaled(values)
    return np.full(values.shape, 1 / values.size) if scaled is None else scaled / scaled.sum()


SAUC_MIT = Metric(
    "sauc_mit", "sAUC_MIT", "against fixations on ten other pictures, 0.5 is chance", HIGHER,
    sauc_mit, protocols=("mit",),
)  # fmt: skip
SIM_MIT = Metric(
    "sim_mit", "SIM_MIT", "as SIM, of maps stretched to 0..1", HIGHER, sim_mit,
    protocols=("mit",), whole=True,
)  # fmt: skip
KLD_MIT = Metric(
    "kld_mit", "KLDiv_MIT", "nats from the empirical density, Matlab’s formula", LOWER, kld_mit,
    protocols=("mit",), whole=True,
)  # fmt: skip
IG_MIT = Metric(
    "ig_mit", "InfoGain_MIT", "bits over the centre bias, of maps stretched to 0..1", HIGHER,
    ig_mit, protocols=("mit",),
)  # fmt: skip
