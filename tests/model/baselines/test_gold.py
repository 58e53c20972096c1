"""The gold standard: leave-one-observer-out densities, by hand and on OSIE."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from model.baselines.centre_bias import CentreBias, centre_bias
from model.baselines.gold import GoldStandard, gold_standard, known_observers, lacking
from model.metrics import scoring

OSIE = Path(__file__).parents[4] / "shared" / "corpora" / "osie_pysaliency" / "fixations.hdf5"
SHAPE = (45, 80)  # 60 px in the geometric mean
BIAS = CentreBias([0.5], [0.5], 0.3, 0.1)
GOLD = GoldStandard(BIAS, 0.05, 0.2, 0.1)


def people(seed=0, looks=5, observers=3, shape=SHAPE, sigma=4):
    """Points and observers of a picture with one spot that all look at, and the shape."""
    random = np.random.default_rng(seed)
    size = np.array(shape[::-1])
    spot = random.uniform(0.2, 0.8, 2) * size
    points = random.normal(spot, sigma, (looks * observers, 2))
    points = np.clip(points, 0, size - 0.01)
    return points, np.arange(looks * observers) % observers, shape


def test_an_observers_density_is_made_of_the_others():
    """By hand: observer 1 is predicted by the Gaussians, 3 px wide, of observers 0 and 2."""
    points = np.array([[20.5, 10.5], [70, 40], [30.5, 20.5]])
    maps = {
        int(np.flatnonzero(mine)[0]): m for mine, m in GOLD.log_densities(points, [0, 1, 2], *SHAPE)
    }
    y, x = np.mgrid[:45, :80]
    near, far = (np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18) for a, b in ((20, 10), (30, 20)))
    true = 0.7 * (near + far) / (near + far).sum()
    true += 0.2 * np.exp(BIAS.log_density(*SHAPE)) + 0.1 / (45 * 80)
    assert sorted(maps) == [0, 1, 2]
    np.testing.assert_allclose(np.exp(maps[1]), true, rtol=0.03)
    assert np.exp(maps[1]).sum() == pytest.approx(1, abs=1e-12)


def test_own_fixations_say_nothing_of_oneself():
    points, observers, shape = people()
    moved = np.where((observers == 1)[:, None], points[::-1], points)
    for (mine, one), (_, other) in zip(
        GOLD.log_densities(points, observers, *shape),
        GOLD.log_densities(moved, observers, *shape),
        strict=True,
    ):
        assert (one == other).all() == mine[1]


@pytest.mark.parametrize("shape", [SHAPE, (12, 16), (300, 20)])
def test_likelihoods_are_the_maps_values_at_the_fixations(shape):
    """Also where the kernel is narrower than a pixel, and much is cut off at the edge."""
    points, observers, _ = people(3, shape=shape)
    gold = GoldStandard(BIAS, 0.03, 0.2, 0.1)
    found = gold.log_likelihood(points, observers, *shape)
    column, row = np.int64(points).T
    for mine, log_density in gold.log_densities(points, observers, *shape):
        np.testing.assert_allclose(found[mine], log_density[row, column][mine], rtol=1e-12)
        assert np.exp(log_density).sum() == pytest.approx(1, abs=1e-12)


def test_the_choice_is_likelier_on_fresh_pictures_than_others():
    gold = gold_standard([people(seed) for seed in range(60)], BIAS)

    def fresh(gold):
        pictures = [people(seed) for seed in range(100, 200)]
        return np.mean([gold.log_likelihood(p, o, *shape) for p, o, shape in pictures])

    best = fresh(gold)
    for factor in (0.6, 1.7):
        assert fresh(GoldStandard(BIAS, gold.bandwidth * factor, gold.centre, gold.uniform)) < best
    # Their spots are all alike, so that the truth is a Gaussian of 4 px.
    assert best > -np.log(2 * np.pi * 4**2) - 1 - 0.3


def test_observers_who_share_nothing_are_predicted_by_the_centre_bias_alone():
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(40):
        points = np.clip(random.normal((40, 22), 6, (12, 2)), 0, (79.9, 44.9))
        pictures.append((points, np.arange(12), SHAPE))
    bias = centre_bias([points / (80, 45) for points, *_ in pictures])
    gold = gold_standard(pictures, bias)
    assert gold.centre > 0.7
    gains = [
        gold.log_likelihood(p, o, *s) - bias.log_density(*s)[tuple(np.int64(p).T[::-1])]
        for p, o, s in pictures
    ]
    assert abs(np.mean(gains)) < 0.05


@pytest.mark.parametrize(
    ("observers", "known"),
    [([0, 1], True), ([3, 3, 7], True), ([0, 0], False), ([-1, -1], False), ([0, 1, -1], False)],
)
def test_two_known_observers_are_needed(observers, known):
    observers = np.array(observers)
    assert known_observers(observers) == known
    why = lacking({"a.jpg": np.array([0, 1]), "b.jpg": observers})
    assert why is None if known else re.search("two known observers.*'b.jpg'", why)


def test_no_fixations_are_no_observers():
    assert not known_observers(np.array([], int))


@pytest.fixture(scope="module")
def osie():
    """Training and validation pictures of OSIE, and the centre bias of the former."""
    if not OSIE.is_file():
        pytest.skip("shared/corpora is not beside the checkout")
    with h5py.File(OSIE, "r", locking=False) as file:
        xs, ys, ns, who = (file[f"train_{name}"][()] for name in ("xs", "ys", "ns", "subjects"))
    there = ~np.isnan(xs)
    n, subject = (np.broadcast_to(v[:, None], xs.shape)[there] for v in (ns, who))
    points = np.stack([xs[there], ys[there]], 1)
    order = np.arange(700)
    np.random.RandomState(42).shuffle(order)
    pictures = [(points[n == i], subject[n == i], (600, 800)) for i in order]
    bias = centre_bias([points / (800, 600) for points, *_ in pictures[:500]])
    return pictures[:500], pictures[500:], bias


def counts(points):
    found = np.zeros((600, 800))
    np.add.at(found, tuple(np.int64(points).T[::-1]), 1)
    return found


@pytest.mark.corpus
@pytest.mark.slow
def test_osie_centre_bias(osie):
    """Full resolution, 200 validation pictures, sigma 24: what pysaliency gives, within 1 %."""
    from scipy.ndimage import gaussian_filter

    _, valid, bias = osie
    known, rows = bias.log_density(600, 800), []
    for points, *_ in valid:
        fixations = counts(points)
        blurred = gaussian_filter(fixations, 24, mode="reflect", truncate=4)
        truth = {"fixations": fixations, "density": blurred / blurred.sum()}
        found = scoring.score(known, truth, known)
        rows.append([found[name] for name in ("auc", "nss", "cc", "sim", "kld", "ig")])
    np.testing.assert_allclose(
        np.mean(rows, axis=0), [0.743, 0.889, 0.310, 0.369, 1.329, 0], rtol=0.01, atol=1e-12
    )


@pytest.mark.corpus
@pytest.mark.slow
def test_osie_gold_standard(osie):
    """As above; chosen on the training pictures, the mean over the validation pictures."""
    train, valid, bias = osie
    gold = gold_standard(train, bias)
    known = bias.log_density(600, 800)
    everyone = sum(counts(points) for points, *_ in valid)
    rows = []
    for points, observers, shape in valid:
        negatives, total = everyone - counts(points), 0
        for mine, log_density in gold.log_densities(points, observers, *shape):
            truth = {"fixations": counts(points[mine]), "negatives": negatives}
            found = scoring.score(log_density, truth, known)
            values = np.array([found[name] for name in ("ig", "auc", "sauc", "nss")])
            total += values * mine.sum() / len(points)
        rows.append(total)
    np.testing.assert_allclose(np.mean(rows, axis=0), [2.294, 0.934, 0.890, 4.05], rtol=0.01)
