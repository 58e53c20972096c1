"""The log-density: normalised over the valid pixels, finite everywhere."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from model.networks import density
from model.networks.density import OUTSIDE, log_density


def half_valid(count=2, height=4, width=6):
    valid = np.ones((count, height, width, 1), "float32")
    valid[:, :, :2] = 0
    return valid


def test_by_hand():
    logits = np.log(np.float64([1, 2, 5, 99])).reshape(1, 2, 2, 1)
    valid = np.float64([1, 1, 1, 0]).reshape(1, 2, 2, 1)
    found = ops.convert_to_numpy(log_density(logits, valid)).ravel()
    np.testing.assert_allclose(found, [np.log(1 / 8), np.log(2 / 8), np.log(5 / 8), OUTSIDE])


@pytest.mark.parametrize("offset", [0, 1e6, -1e6])
@pytest.mark.parametrize("scale", [0, 1, 1e3])
def test_sums_to_one_and_is_finite_everywhere(offset, scale):
    valid = half_valid()
    logits = scale * np.random.default_rng(0).normal(size=valid.shape).astype("float32") + offset
    found = ops.convert_to_numpy(log_density(logits.astype("float32"), valid))
    assert np.isfinite(found).all()
    np.testing.assert_allclose((np.exp(found) * valid).sum((1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_array_equal(found[valid == 0], np.float32(OUTSIDE))


def test_values_under_padding_do_not_matter():
    valid = half_valid()
    logits = np.random.default_rng(0).normal(size=valid.shape).astype("float32")
    other = np.where(valid > 0, logits, 3e7).astype("float32")
    np.testing.assert_array_equal(log_density(logits, valid), log_density(other, valid))


@pytest.mark.parametrize(
    ("given", "kept"), [("float64", "float64"), ("float32", "float32"), ("bfloat16", "float32")]
)
def test_precision(given, kept):
    found = log_density(ops.zeros((1, 2, 2, 1), dtype=given), ops.ones((1, 2, 2, 1)))
    assert keras.backend.standardize_dtype(found.dtype) == kept


def test_nothing_valid_is_still_finite():
    found = log_density(np.ones((1, 2, 2, 1), "float32"), np.zeros((1, 2, 2, 1), "float32"))
    np.testing.assert_array_equal(found, np.float32(OUTSIDE))


@pytest.mark.parametrize("sigma", [0.4, 2.0, 6.7])
def test_blur_is_a_truncated_gaussian_with_replicated_edges(sigma):
    maps = np.random.default_rng(0).normal(size=(2, 3, 9, 12))
    found = density.blur(maps, ops.convert_to_tensor([1.0, sigma], "float64"), reach=24)
    radius = int(np.ceil(3 * sigma))
    wanted = [ndimage.gaussian_filter(x, sigma, radius=radius, mode="nearest") for x in maps[1]]
    np.testing.assert_allclose(found[1], wanted, atol=1e-12)


def test_mixture_is_the_mean_of_densities_over_pixels():
    """Two places of 3 and 1 pixels: a head of (1/6, 1/2) a pixel and one of (1/4, 1/4)."""
    logits = np.log([[1.0, 3.0], [5.0, 5.0]]).reshape(2, 1, 1, 2)
    found = density.mixture(logits, np.array([3.0, 1.0]).reshape(1, 1, 2))
    np.testing.assert_allclose(np.exp(found), [[[5 / 24, 3 / 8]]], rtol=1e-12)


def test_mixture_is_finite_where_nothing_is_valid():
    assert np.isfinite(density.mixture(np.zeros((2, 1, 3, 3)), np.zeros((1, 3, 3)))).all()
