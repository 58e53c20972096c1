import keras
import numpy as np
import pytest
import tensorflow as tf

from config import Config, UsageError
from model import msinet, trainer
from model.strategy import mirrored

SIZE = (64, 64)


def batches(count, batch_size, weight=None):
    """Batches of noise, with a bump for truth; `weight` per sample."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    centres = 10 + 10 * (np.arange(count) % 5)
    bumps = [np.exp(-((x - c) ** 2 + (y - c) ** 2) / 200) for c in centres]
    density = np.float32([bump / bump.sum() for bump in bumps])[..., None]
    return tf.data.Dataset.from_tensor_slices(
        {
            "image": np.float32(random.uniform(0, 255, (count, *SIZE, 3))),
            "valid": np.ones((count, *SIZE, 1), np.float32),
            "density": density,
            "fixations": np.float32(density > density.max() * 0.9),
            "weight": np.float32(np.ones(count) if weight is None else weight),
            "id": np.arange(count),
        }
    ).batch(batch_size)


def make(encoder="small", optimizer=None):
    keras.utils.set_random_seed(0)
    model = msinet.build(encoder, SIZE, "softmax")
    model.compile(optimizer=optimizer or keras.optimizers.Adam(1e-3))
    model.optimizer.build(model.trainable_variables)
    return model


def run(epochs=1, data=None, valid=None, save=lambda *_: None, optimizer=None):
    train = data or batches(4, 2)
    data = trainer.Data(lambda epoch: train, lambda: valid or train, len(train), list("abcdefgh"))
    progress = trainer.Progress()
    with mirrored(1).scope():
        model = make(optimizer=optimizer)
        trainer.fit(model, data, {"kld": 1.0}, ["cc"], epochs, progress, save)
    return model, progress


@pytest.mark.parametrize("encoder", ["vgg16", "densenet201"])
def test_a_step_moves_every_layer_of_the_real_models(encoder):
    strategy = mirrored(1)
    with strategy.scope():
        model = make(encoder)
        kernels = [w for w in model.trainable_variables if w.path.endswith("kernel")]
        before = [w.numpy() for w in kernels]
        train_step, _ = trainer.make_steps(model, strategy, {"kld": 1.0}, [])
        sums = train_step(next(iter(batches(2, 2))))
    assert np.isfinite(float(sums["loss"])) and float(sums["weight"]) == 2
    assert len(kernels) > 20
    assert all(np.abs(w.numpy() - b).max() > 0 for w, b in zip(kernels, before, strict=True))


def test_training_lowers_the_loss():
    _, progress = run(epochs=6)
    losses = [row["loss"] for row in progress.history]
    assert losses[-1] < 0.8 * losses[0]


def test_samples_of_weight_0_change_nothing():
    """Neither the loss nor the gradients: the model ends with the same weights."""
    rate = 1e-3
    plain, alone = run(data=batches(3, 3), optimizer=keras.optimizers.SGD(rate))
    weight = [1, 1, 1, 0, 0]
    filled, padded = run(data=batches(5, 5, weight), optimizer=keras.optimizers.SGD(rate))
    assert alone.history[0]["loss"] == pytest.approx(padded.history[0]["loss"], abs=1e-6)
    for a, b in zip(plain.trainable_variables, filled.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-7)


def test_validation_is_the_mean_over_samples_whatever_the_batches():
    _, whole = run(valid=batches(5, 5))
    _, parts = run(valid=batches(5, 3))
    assert whole.history[0]["val_cc"] == pytest.approx(parts.history[0]["val_cc"], abs=1e-6)
    assert whole.history[0]["val_loss"] == pytest.approx(parts.history[0]["val_loss"], abs=1e-6)


def test_best_is_told_by_the_validation_loss():
    told = []
    _, progress = run(epochs=4, save=lambda p, improved: told.append((p.best, improved)))
    losses = [row["val_loss"] for row in progress.history]
    assert told == [(min(losses[: i + 1]), losses[i] == min(losses[: i + 1])) for i in range(4)]


def test_mean_weighs_each_sample():
    mean = trainer.Mean()
    mean.add({"loss": 6.0, "weight": 3.0})
    assert mean.add({"loss": 2.0, "weight": 1.0}) == {"loss": 2.0}
    assert mean.add({"loss": 4.0, "weight": 1.0}) == {"loss": pytest.approx(12 / 5)}


def test_a_loss_that_is_not_finite_names_the_pictures():
    strategy = mirrored(1)
    batch = {"id": tf.constant([2, 0, 2])}
    with pytest.raises(UsageError, match="the loss is nan in epoch 1, step 1; .*: c, a$"):
        trainer.check_finite({"loss": np.nan}, batch, strategy, "abc", "epoch 1, step 1")
    trainer.check_finite({"loss": 1.0}, batch, strategy, "abc", "epoch 1, step 1")


def test_predictions_are_densities_in_order_without_the_filling():
    model, _ = run()
    found = list(trainer.predict(model, batches(4, 2, weight=[1, 1, 1, 0])))
    assert [index for index, _ in found] == [0, 1, 2]
    for _, answer in found:
        assert answer.shape == (*SIZE, 1)
        assert np.exp(answer.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_a_cosine_falls_to_0_over_all_epochs():
    adam = trainer.optimizer(Config(schedule="cosine", epochs=4, learning_rate=1e-2), steps=5)
    rates = []
    for step in (0, 10, 20):
        adam.iterations.assign(step)
        rates.append(float(adam.learning_rate))
    assert rates == pytest.approx([1e-2, 5e-3, 0], abs=1e-8)


def test_a_models_inputs_are_taken_by_name():
    model = msinet.build("small", SIZE, "minmax")
    assert set(trainer.inputs_of(model, {"image": 1, "valid": 2, "id": 3})) == {"image", "valid"}
