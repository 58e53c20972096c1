"""The centre bias: a density of known shape, and OSIE's published figures."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from model import metrics
from model.baselines import CentreBias
from model.density import OUTSIDE

OSIE = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency" / "fixations.hdf5"


def test_one_fixation_gives_a_gaussian():
    """30 px high, 60 px wide, bandwidths of 3 and 6 px, fixated at column 24.5, row 15.5."""
    found = CentreBias([24.5 / 60], [15.5 / 30], (0.1, 0.1)).log_density(30, 60)
    assert np.exp(found).sum() == pytest.approx(1)
    assert np.unravel_index(found.argmax(), found.shape) == (15, 24)
    # One standard deviation away in either direction the log-density is lower by a half.
    assert found[15, 24] - found[18, 24] == pytest.approx(0.5, abs=0.01)
    assert found[15, 24] - found[15, 30] == pytest.approx(0.5, abs=0.01)


def test_finite_far_from_every_fixation():
    found = CentreBias([0.01], [0.01], (0.01, 0.01)).log_density(100, 100)
    assert found.min() == pytest.approx(np.log(1e-3 / 1e4))


def test_repeats_count_and_fixations_outside_do_not():
    x, y = [0.25, 0.25, 0.25, 0.75, 1.0, -0.1], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    found = np.exp(CentreBias(x, y, (0.01, 0.01)).log_density(40, 40))
    assert found[20, 10] / found[20, 30] == pytest.approx(3, rel=0.01)
    assert found[20, 39] < found[20, 30] / 10


def test_without_fixations_it_is_uniform():
    np.testing.assert_allclose(CentreBias([], []).log_density(4, 5), -np.log(20))


def test_on_a_padded_frame():
    valid = np.zeros((12, 10, 1), "float32")
    valid[2:10, 1:7] = 1
    bias = CentreBias([0.5], [0.5], (0.2, 0.2))
    found = bias.on(valid)
    np.testing.assert_array_equal(found[2:10, 1:7, 0], bias.log_density(8, 6))
    np.testing.assert_array_equal(found[valid == 0], OUTSIDE)


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
    training = np.isin(n, order[:500])
    bias = CentreBias(x[training] / 800, y[training] / 600).log_density(600, 800)[None, ..., None]
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
