"""Training metrics: hand numbers, independent formulas, invariances, padding, gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from model.metrics.densities import cc, kld, nss, sim
from model.metrics.likelihood import entropy, nll
from model.metrics.registry import METRICS
from model.networks.density import OUTSIDE, log_density

TRAINED = [name for name, metric in METRICS.items() if metric.training]


def maps(*rows):
    """Lists of numbers -> (B, 1, W, 1) float64."""
    return np.float64(rows)[:, None, :, None]


def example(seed=0, shape=(3, 6, 8, 1)):
    """A batch of float64: logits, truth, counts with repeats; every pixel valid."""
    random = np.random.default_rng(seed)
    truth = random.uniform(size=shape) ** 4
    valid = np.ones(shape)
    return {
        "density": truth / truth.sum((1, 2, 3), keepdims=True),
        "fixations": random.poisson(0.3, shape).astype("float64"),
        "valid": valid,
        "log_density": ops.convert_to_numpy(log_density(random.normal(size=shape), valid)),
    }


def apply(name, values):
    return ops.convert_to_numpy(METRICS[name].of_batch(values))


def test_kld_by_hand():
    density, predicted = maps([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]), maps([0.25, 0.5, 0.25])
    found = kld(density, ops.log(np.repeat(predicted, 2, axis=0)))
    np.testing.assert_allclose(found, [0.5 * np.log(2), 0.25 * np.log(0.5) + 0.5 * np.log(2)])


def test_kld_of_the_truth_is_zero():
    values = example()
    np.testing.assert_allclose(kld(values["density"], np.log(values["density"])), 0, atol=1e-14)


def test_nll_by_hand():
    found = nll(maps([2, 1, 0]), np.log(maps([0.25, 0.5, 0.25])))
    np.testing.assert_allclose(found, [(2 + 2 + 1) / 3])


def test_cc_by_hand():
    density, valid = maps([0.1, 0.2, 0.7]), maps([1, 1, 1])
    found = cc(density, np.log(maps([0.2, 0.3, 0.5])), valid)
    np.testing.assert_allclose(found, [np.corrcoef([0.1, 0.2, 0.7], [0.2, 0.3, 0.5])[0, 1]])


def test_sim_by_hand():
    np.testing.assert_allclose(sim(maps([0.1, 0.2, 0.7]), np.log(maps([0.5, 0.3, 0.2]))), 0.5)


def test_nss_by_hand():
    """Densities .1 .2 .3 .4: mean .25, population deviation sqrt(.0125)."""
    found = nss(maps([0, 0, 1, 2]), np.log(maps([0.1, 0.2, 0.3, 0.4])), maps([1, 1, 1, 1]))
    np.testing.assert_allclose(found, [(0.05 + 0.15 + 0.15) / 3 / np.sqrt(0.0125)])


def test_entropy_by_hand():
    """In bits: 1/2 and two quarters have 1.5, eight alike 3, one pixel none; nor has padding."""
    predicted = maps([0.5, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0], [0.125] * 8, [1] + [0] * 7)
    logs = np.where(predicted > 0, np.log(np.where(predicted > 0, predicted, 1)), OUTSIDE)
    found = entropy(logs, np.ones_like(logs))
    np.testing.assert_allclose(found, [1.5, 3, 0], atol=1e-14)
    half = entropy(logs[:1], maps([1, 0, 1, 1, 1, 1, 1, 1]))
    np.testing.assert_allclose(half, [1.0])


@pytest.mark.parametrize(("weight", "spreads"), [(1.0, False), (-1.0, True)])
def test_a_positive_weight_of_entropy_sharpens(weight, spreads):
    import tensorflow as tf

    valid = np.ones((1, 4, 4, 1), "f4")
    logits = tf.Variable(np.random.default_rng(0).normal(size=valid.shape).astype("f4"))
    before = float(entropy(log_density(logits, valid), valid)[0])
    with tf.GradientTape() as tape:
        loss = weight * entropy(log_density(logits, valid), valid)
    logits.assign_sub(0.1 * tape.gradient(loss, logits))
    assert (float(entropy(log_density(logits, valid), valid)[0]) > before) == spreads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 5, 7, 1), (1, 601, 799, 1)])
def test_a_flat_prediction_scores_zero(dtype, shape):
    values = example(shape=shape)
    logits = np.full(shape, 0.3, dtype)
    values["log_density"] = log_density(logits, values["valid"])
    np.testing.assert_array_equal(apply("cc", values), 0)
    np.testing.assert_array_equal(apply("nss", values), 0)


def test_a_flat_truth_correlates_with_nothing():
    values = example()
    values["density"] = np.full_like(values["density"], 1 / 48)
    np.testing.assert_array_equal(apply("cc", values), 0)


def test_a_sample_without_fixations_is_zero():
    values = example()
    values["fixations"][1] = 0
    for name in ("nss", "nll", "ll"):
        assert apply(name, values)[1] == 0


@pytest.mark.parametrize("name", TRAINED)
def test_one_number_a_sample(name):
    """(B,), in the dtype of the prediction, and no sample looks at another."""
    values = example()
    whole = apply(name, values)
    assert whole.shape == (3,)
    for index in range(3):
        part = apply(name, {key: value[index : index + 1] for key, value in values.items()})
        np.testing.assert_allclose(part, whole[index : index + 1], rtol=1e-12)
    values["log_density"] = values["log_density"].astype("float32")
    single = METRICS[name].of_batch(values)
    assert keras.backend.standardize_dtype(single.dtype) == "float32"
    np.testing.assert_allclose(single, whole, rtol=1e-4)


@pytest.mark.parametrize("name", TRAINED)
def test_padding_counts_nowhere(name):
    values = example()
    pad = ((0, 0), (2, 1), (3, 0), (0, 0))
    padded = {key: np.pad(value, pad) for key, value in values.items()}
    outside = padded["valid"] == 0
    padded["log_density"][outside] = OUTSIDE
    np.testing.assert_allclose(apply(name, padded), apply(name, values), rtol=1e-10)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", TRAINED)
def test_flipping_all_changes_nothing(name, axis):
    values = example()
    flipped = {key: np.flip(value, axis) for key, value in values.items()}
    np.testing.assert_allclose(apply(name, flipped), apply(name, values), rtol=1e-10)


@pytest.mark.parametrize("name", ["nss", "cc"])
def test_affine_maps_of_the_density_change_nothing(name):
    values = example()
    wanted = apply(name, values)
    values["log_density"] = np.log(0.3 * np.exp(values["log_density"]) + 0.01)
    np.testing.assert_allclose(apply(name, values), wanted, rtol=1e-9)


@pytest.mark.parametrize("logits", ["flat", "random", "peak", "one hot truth"])
@pytest.mark.parametrize("name", [name for name in TRAINED if METRICS[name].loss])
def test_gradients_are_finite(name, logits):
    import tensorflow as tf

    values = {key: value.astype("float32") for key, value in example().items()}
    values["valid"][:, :, :2] = 0
    values["density"] *= values["valid"]
    values["fixations"] *= values["valid"]
    start = np.zeros(values["valid"].shape, "float32")
    if logits == "random":
        start = np.random.default_rng(1).normal(size=start.shape).astype("float32")
    if logits == "peak":
        start[:, 3, 4] = 1e4
    if logits == "one hot truth":
        values["density"] = np.zeros_like(start)
        values["density"][:, 2, 5] = 1
    variable = tf.Variable(start)
    with tf.GradientTape() as tape:
        values["log_density"] = log_density(variable, values["valid"])
        total = ops.sum(METRICS[name].of_batch(values))
    gradient = ops.convert_to_numpy(tape.gradient(total, variable))
    assert np.isfinite(float(total))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[values["valid"] == 0], 0)


def test_the_loop_asks_the_record_how_samples_are_averaged(monkeypatch):
    """The root of a mean, not a mean of roots; a loss is a mean."""
    from model.metrics.metric import Metric
    from model.training.trainer import means

    root = Metric("root", "Root", finish=lambda total, weight: (total / weight) ** 0.5)
    monkeypatch.setitem(METRICS, "root", root)
    assert means({"loss": 6.0, "root": 36.0, "weight": 4.0}) == {"loss": 1.5, "root": 3.0}
