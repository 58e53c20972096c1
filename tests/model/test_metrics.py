"""Metrics: hand numbers, brute force, and pysaliency's values for ten real pictures."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from config import UsageError
from model import metrics
from model.density import OUTSIDE, log_density

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"


def column(values):
    return np.float64(values).reshape(1, 1, -1, 1)


def auc(fixations, values, valid=None):
    valid = np.ones(len(values)) if valid is None else valid
    found = metrics.auc(column(fixations), column(values), column(valid))
    return float(found[0])


@pytest.mark.parametrize(
    ("fixations", "values", "wanted"),
    [
        ([0, 0, 0, 1], [-4, -3, -2, -1], 3.5 / 4),  # the fixated pixel is a negative too: a tie
        ([1, 0, 0, 0], [-4, -3, -2, -1], 0.5 / 4),
        ([2, 0, 0, 1], [-4, -3, -2, -1], (0.5 + 0.5 + 3.5) / 3 / 4),
        ([1, 0, 0, 0], [-1, -1, -2, -1], (1 + 1.5) / 4),
        ([1, 0, 2, 0], [-1, -1, -1, -1], 0.5),
        ([0, 0, 0, 0], [-4, -3, -2, -1], 0.5),
    ],
)
def test_auc_by_hand(fixations, values, wanted):
    np.testing.assert_allclose(auc(fixations, values), wanted, rtol=1e-12)


def test_auc_without_the_padding():
    found = auc([0, 0, 1, 0], [-3, -2, -1, OUTSIDE], [1, 1, 1, 0])
    np.testing.assert_allclose(found, 2.5 / 3, rtol=1e-12)


def test_auc_is_what_counting_pairs_gives():
    random = np.random.default_rng(0)
    values = random.integers(-6, 0, (4, 9, 11, 1)).astype("float64")  # many ties
    fixations = random.poisson(0.4, values.shape).astype("float64")
    valid = (random.uniform(size=values.shape) < 0.8).astype("float64")
    fixations *= valid
    wanted = []
    for v, f, inside in zip(values, fixations, valid, strict=True):
        negatives, positives = v[inside > 0], np.repeat(v.ravel(), f.ravel().astype(int))
        less = (negatives[None] < positives[:, None]).mean()
        wanted.append(less + (negatives[None] == positives[:, None]).mean() / 2)
    np.testing.assert_allclose(metrics.auc(fixations, values, valid), wanted, rtol=1e-12)


def test_auc_is_unchanged_by_monotone_maps():
    random = np.random.default_rng(0)
    values = -random.uniform(0.1, 5, (2, 9, 11, 1))
    fixations = random.poisson(0.4, values.shape).astype("float64")
    valid = np.ones_like(values)
    wanted = metrics.auc(fixations, values, valid)
    np.testing.assert_array_equal(metrics.auc(fixations, -(values**2), valid), wanted)
    np.testing.assert_array_equal(metrics.auc(fixations, 3 * values - 1, valid), wanted)


def test_auc_inside_a_graph_of_unknown_size():
    import tensorflow as tf

    spec = [tf.TensorSpec((None, None, None, 1), "float64")] * 3
    graph = tf.function(metrics.auc, input_signature=spec)
    found = graph(column([0, 0, 0, 1]), column([-4, -3, -2, -1]), column([1, 1, 1, 1]))
    np.testing.assert_allclose(found, [3.5 / 4])


def test_ll_and_ig_by_hand():
    fixations = column([1, 1, 0, 0])
    predicted, baseline = np.log(column([0.5, 0.25, 0.2, 0.05])), np.log(column([0.25] * 4))
    np.testing.assert_allclose(metrics.ll(fixations, predicted, column([1] * 4)), [0.5])
    np.testing.assert_allclose(metrics.ig(fixations, predicted, baseline), [0.5])
    np.testing.assert_allclose(metrics.ig(fixations, baseline, predicted), [-0.5])


def test_names_do_the_wiring():
    assert metrics.needs(metrics.METRICS["nss"]) == ("fixations", "log_density", "valid")
    values = {"fixations": column([1, 0]), "log_density": np.log(column([0.5, 0.5])), "name": "a"}
    np.testing.assert_allclose(metrics.call(metrics.METRICS["nll"], values), [1])
    with pytest.raises(UsageError, match="kld needs density; there is fixations, log_density"):
        metrics.call(metrics.METRICS["kld"], values)


@pytest.fixture(scope="module")
def reference():
    if not (REFERENCE / "osie10.npz").is_file():
        pytest.skip("shared/reference is not beside the checkout")
    return np.load(REFERENCE / "osie10.npz"), json.loads((REFERENCE / "osie10.json").read_text())


def empirical(arrays, index, sigma=6):
    """Counts, and their blur, of one of the ten pictures: (1, H, W, 1)."""
    from scipy.ndimage import gaussian_filter

    mine = arrays["fix_n"] == index
    counts = np.zeros((150, 200))
    np.add.at(counts, (arrays["fix_y"][mine].astype(int), arrays["fix_x"][mine].astype(int)), 1)
    blurred = gaussian_filter(counts, sigma, mode="reflect", truncate=4)
    return counts[None, ..., None], (blurred / blurred.sum())[None, ..., None]


def prediction(arrays, model, name):
    """The stored log-density, or that of the stored saliency map: shifted up if negative."""
    key = next(k for k in arrays if k.startswith(model) and k.split("__")[2:] in ([], [name]))
    values = arrays[key].astype("float64")
    if "logdensity" not in key:
        values = np.log(values - min(values.min(), 0) + 1e-300)
    return log_density(values[None, ..., None], np.ones((1, *values.shape, 1)))


@pytest.mark.corpus
@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize(
    "model", ["uniform", "centerbias", "gaussian", "blurred_same_image", "dog"]
)
def test_agrees_with_pysaliency(reference, model, index):
    arrays, stored = reference
    name, wanted = Path(stored["names"][index]).stem, stored["models"][model]
    counts, truth = empirical(arrays, index)
    values = {
        "fixations": counts,
        "density": truth,
        "valid": np.ones_like(counts),
        "log_density": prediction(arrays, model, name),
        "baseline": prediction(arrays, "centerbias", name),
    }
    keys = {"auc": "AUC_uniform", "cc": "CC_gt6", "sim": "SIM_gt6", "kld": "KLDiv_gt6_min1e-20"}
    keys |= {"nss": "NSS", "ll": "LL_bits_vs_uniform", "ig": "IG_bits_vs_centerbias"}
    for ours, theirs in keys.items():
        # pysaliency's NSS of a constant map is round-off (here -1); ours is 0.
        flat = model == "uniform" and ours == "nss"
        found = float(metrics.call(metrics.METRICS[ours], values)[0])
        assert found == pytest.approx(0 if flat else wanted[theirs][index], abs=1e-9), ours


def test_float64_is_kept():
    ones = np.ones((1, 2, 2, 1))
    values = log_density(ones, ones)
    for function in (metrics.auc, metrics.ll):
        found = function(ones, values, ones)
        assert keras.backend.standardize_dtype(found.dtype) == "float64"
    assert ops.shape(values) == (1, 2, 2, 1)
