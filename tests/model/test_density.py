"""The log-density: normalised over the valid pixels, finite everywhere."""

import keras
import numpy as np
import pytest
from keras import ops

from model.density import OUTSIDE, log_density


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
