"""What one step computes, on one device: sums, parts of a batch, gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import one_device, scanpaths, split

from model.metrics.metric import Metric
from model.metrics.registry import METRICS
from model.training import steps, trainer

GO_ON, STOP = np.zeros((), "f4"), np.ones((), "f4")
ASKED = (GO_ON, STOP, GO_ON)


def test_a_batch_falls_into_equal_parts_in_order():
    """A scanpath batch has more rows of fixations than of pictures: each part has its own."""
    batch = {"image": tf.reshape(tf.range(8), [4, 2]), "weight": tf.range(12)}
    found = steps.in_parts(batch, 2)
    assert found["image"].shape == (2, 2, 2) and found["weight"].shape == (2, 6)
    np.testing.assert_array_equal(found["image"][1], [[4, 5], [6, 7]])
    np.testing.assert_array_equal(found["weight"][1], range(6, 12))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_a_function_gives_of_each_part_is_added_up(count):
    parts = {"x": tf.reshape(tf.range(10.0), [count, -1]), "y": tf.ones([count, 3])}

    def function(part):
        return [tf.reduce_sum(part["x"])], {"squares": part["y"] * tf.reduce_sum(part["x"] ** 2)}

    [total], rest = tf.function(lambda: steps.summed(function, parts))()
    assert float(total) == 45
    np.testing.assert_array_equal(rest["squares"], [285] * 3)


def test_sums_are_weighted():
    found = {"loss": tf.constant([1.0, 10.0, 100.0]), "flat": tf.constant(2.0)}
    weighted = steps.weighted(found, tf.constant([1.0, 0.5, 0.0]))
    assert {k: float(v) for k, v in weighted.items()} == {"loss": 6.0, "flat": 3.0, "weight": 1.5}


def stepped(accumulate, batches, optimizer=None, metrics=("entropy",)):
    """The sums of steps, the model after them, and the two steps."""
    strategy = one_device()
    with strategy.scope():
        model = split(group=3)
        model.compile(optimizer=optimizer or keras.optimizers.SGD(0.5))
        model.optimizer.build(model.trainable_variables)
    losses = {"nll": 1.0}
    made = steps.make_steps(strategy, model, model.optimizer, losses, metrics, dict, accumulate)
    return [made[0](batch, GO_ON) for batch in batches], model, made


def weights_of(*models):
    return [model.get_weights() for model in models]


@pytest.fixture(scope="module")
def whole():
    (batch,) = scanpaths(batch=4)
    return batch


def test_a_step_gives_numbers_of_all_that_is_asked_for_and_hears_who_asks_to_stop(whole):
    [found], model, (train_step, valid_step) = stepped(1, [whole])
    assert set(found) == {"loss", "nll", "entropy", "weight", "learning_rate", "stop"}
    assert all(type(value) is float for value in found.values())
    assert found["weight"] == 11 and found["learning_rate"] == 0.5 * 11
    before = model.get_weights()
    seen = valid_step(whole, STOP)
    assert set(seen) == set(found) - {"learning_rate"} and seen["loss"] < found["loss"]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    stops = [step(whole, asked)["stop"] for step in (train_step, valid_step) for asked in ASKED]
    assert found["stop"] == 0 and seen["stop"] == 1 and stops == [0, 1, 0] * 2


@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_accumulated_is_made_of_sums_over_the_whole_epoch(parts, whole, monkeypatch):
    def tried(fixations, log_density):
        columns = tf.reduce_sum(fixations, (1, 3))[:, :2]
        return tf.cumsum(columns, axis=1) + 1

    hits = Metric("hits", "Hits", training=tried, finish=lambda total, weight: total[0] / total[1])
    monkeypatch.setitem(METRICS, "hits", hits)
    found, _, _ = stepped(parts, [whole, whole], metrics=["hits"])
    progress = trainer.Progress()
    means = [progress.count(sums) for sums in found]
    seen = tf.reduce_sum(tried(whole["fixations"], None) * whole["weight"][:, None], 0).numpy()
    assert found[0]["hits"] == pytest.approx(seen.tolist()) and len(seen) == 2
    assert progress.sums["hits"] == pytest.approx((2 * seen).tolist())
    assert means[1]["hits"] == pytest.approx(seen[0] / seen[1])


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_steps_are_those_of_the_whole_batch(whole, accumulate):
    """With filling, and a last part that is nothing but filling; to float32's round-off.

    Losses are of about 6 bits, their sums over 11 rows of about 66: 2^-24 of it a rounding, of
    which there are some tens. Gradients are below 1, rounded as often.
    """
    hollow = {**whole, "weight": whole["weight"] * np.repeat(np.float32([1, 1, 0, 0]), 3)}
    one, model, _ = stepped(1, [whole, hollow])
    many, other, _ = stepped(accumulate, [whole, hollow])
    assert one[1]["weight"] == 6
    for a, b in zip(one, many, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose([*b.values()], [*a.values()], rtol=30 * 2**-24, atol=0)
    moved = 0
    for a, b, start in zip(*weights_of(model, other, split(group=3)), strict=True):
        moved = max(moved, np.abs(a - start).max())
        np.testing.assert_allclose(b, a, rtol=0, atol=60 * 2**-24)
    assert moved > 0.01


def test_accumulated_gradients_are_clipped_as_a_whole(whole):
    """Clipped part by part, two of them could be twice as long."""

    def made(accumulate):
        return stepped(accumulate, [whole], keras.optimizers.SGD(1.0, global_clipnorm=0.01))[1]

    length = 0.0
    for a, b, first in zip(*weights_of(made(1), made(2), split(group=3)), strict=True):
        length += np.square(np.float64(a) - first).sum()
        np.testing.assert_allclose(b, a, rtol=0, atol=60 * 2**-24)
    assert np.sqrt(length) == pytest.approx(0.01, rel=1e-3)


def test_accumulating_records_nothing_of_a_frozen_encoder(whole):
    seen, strategy = [], one_device()
    with strategy.scope():
        model = split(seen, group=3)
    made = steps.make_steps(strategy, model, model.optimizer, {"nll": 1.0}, [], dict, 2)
    assert np.isfinite(made[0](whole, GO_ON)["loss"]) and seen == []


def test_a_model_takes_of_a_batch_what_its_inputs_are_called():
    model = split()
    assert set(steps.inputs_of(model, {"image": 1, "shift": 2, "id": 3})) == {"image", "shift"}
