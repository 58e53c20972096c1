"""The centre bias: a density of known shape, and OSIE's published figures."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from model import metrics
from model.baselines import BANDWIDTHS, CentreBias, centre_bias

OSIE = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency" / "fixations.hdf5"


def test_one_fixation_gives_a_gaussian():
    """50 px high, 72 px wide: 60 px in the geometric mean, so a bandwidth of 0.1 is 6 px."""
    found = CentreBias([36.5 / 72], [25.5 / 50], 0.1, 1e-9).log_density(50, 72)
    assert np.exp(found).sum() == pytest.approx(1)
    assert np.unravel_index(found.argmax(), found.shape) == (25, 36)
    # One standard deviation away in either direction the log-density is lower by a half.
    assert found[25, 36] - found[31, 36] == pytest.approx(0.5, abs=0.01)
    assert found[25, 36] - found[25, 42] == pytest.approx(0.5, abs=0.01)


def test_finite_far_from_every_fixation():
    found = CentreBias([0.01], [0.01], 0.01, 0.001).log_density(100, 100)
    assert found.min() == pytest.approx(np.log(1e-3 / 1e4))


def test_repeats_count_and_fixations_outside_do_not():
    x, y = [0.25, 0.25, 0.25, 0.75, 1.0, -0.1], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    found = np.exp(CentreBias(x, y, 0.01, 0.001).log_density(40, 40))
    assert found[20, 10] / found[20, 30] == pytest.approx(3, rel=0.01)
    assert found[20, 39] < found[20, 30] / 10


def test_without_fixations_it_is_uniform():
    np.testing.assert_allclose(CentreBias([], [], 0.1, 0.1).log_density(4, 5), -np.log(20))


def test_cross_validation_finds_a_gaussians_width():
    """Of 40 pictures whose fixations fall with 0.1 around the middle, on square pictures."""
    random = np.random.default_rng(0)
    points = [np.clip(random.normal(0.5, 0.1, (200, 2)), 0, 0.999) for _ in range(40)]
    found = centre_bias(points)
    row, column = np.mgrid[:60, :60] + 0.5
    true = -((row - 30) ** 2 + (column - 30) ** 2) / (2 * 6**2)
    true -= np.log(np.exp(true).sum())
    gap = (np.exp(true) * (true - found.log_density(60, 60))).sum()
    assert gap < 0.02  # nats of Kullback-Leibler divergence; a uniform density has 1.27


def test_few_fixations_get_a_wide_kernel():
    """Fresh uniform fixations must not be much likelier by any other density than by the flat."""
    random = np.random.default_rng(0)
    found = centre_bias([random.random((12, 2)) for _ in range(8)])
    fresh = np.int64(random.random((5000, 2)) * 60)
    answer = found.log_density(60, 60)[fresh[:, 1], fresh[:, 0]].mean()
    assert answer > -np.log(3600) - 0.1


def test_one_picture_claims_least():
    assert centre_bias([np.array([[0.5, 0.5]])]).bandwidth == max(BANDWIDTHS)


@pytest.mark.corpus
@pytest.mark.slow
def test_osie_figures():
    """Full resolution, 200 validation pictures, sigma 24: what pysaliency gives, within 1 %."""
    from scipy.ndimage import gaussian_filter

    if not OSIE.is_file():
        pytest.skip("shared/corpora is not beside the checkout")
    n, x, y = osie()
    order = np.arange(700)
    np.random.RandomState(42).shuffle(order)
    points = [np.stack([x[n == i] / 800, y[n == i] / 600], 1) for i in order[:500]]
    bias = centre_bias(points).log_density(600, 800)[None, ..., None]
    rows = []
    for index in order[500:]:
        counts = np.zeros((600, 800))
        np.add.at(counts, (y[n == index].astype(int), x[n == index].astype(int)), 1)
        blurred = gaussian_filter(counts, 24, mode="reflect", truncate=4)
        values = {
            "fixations": counts[None, ..., None],
            "density": (blurred / blurred.sum())[None, ..., None],
            "log_density": bias,
            "valid": np.ones_like(bias),
        }
        names = ("auc", "nss", "cc", "sim", "kld")
        rows.append([float(metrics.call(metrics.METRICS[name], values)[0]) for name in names])
    np.testing.assert_allclose(
        np.mean(rows, axis=0), [0.743, 0.889, 0.310, 0.369, 1.329], rtol=0.01
    )


def osie():
    """Stimulus, column and row of every fixation."""
    with h5py.File(OSIE, "r") as file:
        xs, ys = file["train_xs"][()], file["train_ys"][()]
        there = ~np.isnan(xs)
        n = np.broadcast_to(file["train_ns"][()][:, None], xs.shape)
        return n[there].astype(int), xs[there], ys[there]
