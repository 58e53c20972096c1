"""Uniform density and centre bias: densities of known shape, weights that come back whole."""

import h5py
import numpy as np
import pytest

from errors import UsageError
from model.baselines.centre_bias import (
    BANDWIDTHS,
    CentreBias,
    centre_bias,
    likeliest,
    load_prior,
    shares,
    spread,
    uniform,
)


def test_uniform():
    found = uniform(4, 5)
    assert found.shape == (4, 5)
    np.testing.assert_allclose(found, -np.log(20))


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


def test_kernels_are_cut_off_at_the_edge_and_the_sum_is_normalised():
    """One fixation in the corner: a Gaussian's quarter, four times as high; one share uniform."""
    found = np.exp(CentreBias([0], [0], 0.1, 0.25).log_density(200, 200))
    assert found.sum() == pytest.approx(1)
    y, x = np.mgrid[:200, :200]
    true = np.exp(-(x**2 + y**2) / (2 * 20**2))
    np.testing.assert_allclose(found, 0.75 * true / true.sum() + 0.25 / 200**2, rtol=0.01)


def test_a_shape_is_made_once_and_no_caller_can_change_it():
    bias = CentreBias([0.5], [0.5], 0.1, 0.1)
    assert bias.log_density(20, 30) is bias.log_density(20, 30)
    with pytest.raises(ValueError, match="read-only"):
        bias.log_density(20, 30)[0, 0] = 0


def test_the_share_of_a_gaussian_on_each_pixel():
    """Within one and two standard deviations lie .6827 and .9545."""
    found = spread([2.0, 0.0], 4, 1.0)
    np.testing.assert_allclose(found[0, 1:3].sum(), 0.6827, atol=1e-4)
    np.testing.assert_allclose(found[0].sum(), 0.9545, atol=1e-4)
    np.testing.assert_allclose(found[1, 0], 0.6827 / 2, atol=1e-4)


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


def test_shares_are_those_that_samples_were_drawn_with():
    """10000 samples of which 70 % come from a coin of .9 heads, the others from one of .2."""
    heads = 0.7 * 0.9 + 0.3 * 0.2
    densities = np.repeat([[0.9, 0.2], [0.1, 0.8]], np.int64([1e4 * heads, 1e4 * (1 - heads)]), 0)
    np.testing.assert_allclose(shares(densities, 2000, 1e-9), [0.7, 0.3], atol=0.001)


def test_no_share_becomes_zero_and_of_no_samples_they_are_equal():
    found = shares(np.array([[1.0, 0.0]] * 8))
    np.testing.assert_allclose(found, [0.9, 0.1], atol=1e-5)  # (8 + 1) / (8 + 2)
    np.testing.assert_allclose(shares(np.zeros((0, 4))), 0.25)


def test_bandwidth_is_refined_between_those_of_the_grid():
    """A likelihood with its maximum at .06, between .05 and .07."""
    found, mixed = likeliest(lambda b: np.full((5, 1), np.exp(-(np.log(b / 0.06) ** 2))))
    assert found == pytest.approx(0.06, rel=0.03)
    assert mixed.tolist() == [1]


def test_of_equally_likely_bandwidths_the_widest():
    assert likeliest(lambda b: np.ones((5, 2)))[0] == max(BANDWIDTHS)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_weights_come_back_exactly(tmp_path, count):
    x, y = np.random.default_rng(0).random((2, count))
    saved = CentreBias(x, y, 1 / 3, 0.1)
    saved.save(tmp_path / "deep" / "a.weights.h5")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.weights.h5"]
    found = load_prior(tmp_path / "deep" / "a.weights.h5")
    assert found.x.tobytes() == x.tobytes()
    assert found.y.tobytes() == y.tobytes()
    assert (found.bandwidth, found.uniform) == (1 / 3, 0.1)
    np.testing.assert_array_equal(found.log_density(9, 12), saved.log_density(9, 12))


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.weights.h5"
    CentreBias([0.5], [0.5], 0.1, 0.1).save(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(h5py.File, "create_dataset", disk_full)
        CentreBias([0.2], [0.2], 0.1, 0.1).save(path)
    assert path.read_bytes() == before


def disk_full(*args, **kwargs):
    raise OSError("disk full")


def cut(path):
    path.write_bytes(path.read_bytes()[:1500])


def flipped(path):
    """One bit of a fixation, in the middle of its dataset."""
    content = bytearray(path.read_bytes())
    at = content.index(np.arange(1, 100).astype(float).tobytes())
    content[at + 400] ^= 1
    path.write_bytes(content)


def edited(**changes):
    def edit(path):
        with h5py.File(path, "a") as file:
            for name, values in changes.items():
                del file[name]
                if values is not None:
                    file[name] = values

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flipped,
        lambda path: path.write_text("no HDF5"),
        lambda path: path.unlink(),
        edited(uniform=None),
        edited(y=[0.5]),
        edited(bandwidth=[0.1, 0.2]),
        edited(bandwidth=[np.nan]),
        edited(x="text"),
        edited(bandwidth=[-0.1]),
        edited(uniform=[1.5]),
    ],
)
def test_damaged_weights_are_one_line(tmp_path, damage):
    path = tmp_path / "a.weights.h5"
    CentreBias(np.arange(1, 100), np.arange(1, 100), 0.1, 0.1).save(path)
    damage(path)
    with pytest.raises(UsageError, match="not the weights of a centre bias") as found:
        load_prior(path)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)
