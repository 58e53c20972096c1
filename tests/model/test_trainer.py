import logging
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from config import UsageError
from model import msinet, trainer
from model.optimizer import AveragingAdam, averaged
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
        train_step, _ = trainer.make_steps(model, model.optimizer, {"kld": 1.0}, [])
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


def test_a_models_inputs_are_taken_by_name():
    model = msinet.build("small", SIZE, "minmax")
    assert set(trainer.inputs_of(model, {"image": 1, "valid": 2, "id": 3})) == {"image", "valid"}


def split(seen=None, rate=1e-2, size=8, group=1):
    """A compiled model of two: a frozen `encoder`, whose kernel is 1, and a `readout` of `features`
    that answers for `group` fixations of each picture, by their number in `shift`.

    seen: a list that is told whenever a gradient reaches the encoder."""

    @tf.custom_gradient
    def watched(x):
        def gradient(upstream):
            seen.append(upstream)
            return upstream

        return tf.identity(x), gradient

    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    x = layers.Conv2D(2, 1, kernel_initializer="ones", name="encoder_conv")(image / 255)
    encoder = keras.Model(
        image, layers.Lambda(watched)(x) if seen is not None else x, name="encoder"
    )
    encoder.trainable = False
    inputs = {
        "features": keras.Input((size, size, 2), name="features"),
        "shift": keras.Input((1,), name="shift"),
    }
    x = layers.Conv2D(4, 3, padding="same", activation="tanh", name="hidden")(inputs["features"])
    x = ops.repeat(x, group, axis=0) + inputs["shift"][:, None, None]
    logits = layers.Conv2D(1, 3, padding="same", use_bias=False, name="logits")(x)
    readout = keras.Model(inputs, {"logits": logits}, name="readout")
    rest = {"image": image, "shift": keras.Input((1,), name="shift")}
    outputs = readout({"features": encoder(image), "shift": rest["shift"]})
    model = keras.Model(rest, outputs, name="whole")
    model.compile(optimizer=keras.optimizers.Adam(rate))
    model.optimizer.build(model.trainable_variables)
    return model


def scanpaths(pictures=4, group=3, batch=2, size=8):
    """Batches of `batch` pictures and `group` fixations of each; the last fixation is filling."""
    random = np.random.default_rng(0)
    count, pixels = pictures * group, size * size
    fixations = np.eye(pixels, dtype="f4")[random.integers(pixels, size=count)]
    weight = np.float32(np.arange(count) < count - 1)
    parts = {
        "image": np.float32(random.uniform(0, 255, (pictures, size, size, 3))),
        "shift": np.float32(random.normal(size=(pictures, group, 1))),
        "fixations": fixations.reshape(pictures, group, size, size, 1),
        "valid": np.ones((pictures, group, size, size, 1), "f4"),
        "weight": weight.reshape(pictures, group),
        "id": np.arange(count).reshape(pictures, group),
    }

    def together(values):
        return {
            key: value if key == "image" else tf.reshape(value, [-1, *value.shape[2:]])
            for key, value in values.items()
        }

    dataset = tf.data.Dataset.from_tensor_slices(parts)
    return dataset.batch(batch, drop_remainder=True).map(together)


def fitted(model, dataset, epochs=1, network=None, progress=None, patience=0):
    data = trainer.Data(lambda epoch: dataset, lambda: dataset, len(dataset), ["x"] * 100)
    progress = progress or trainer.Progress()
    trainer.fit(
        model, data, {"nll": 1.0}, ["entropy"], epochs, progress, lambda *_: None,
        network=network, patience=patience,
    )  # fmt: skip
    return progress


def test_fixations_of_a_picture_are_samples_of_their_own():
    """As many rows as fixations beside fewer pictures; weights and ids are the fixations'."""
    with mirrored(2).scope():
        model = split(group=3)
        found = dict(trainer.predict(model, scanpaths()))
        alone = {}
        for batch in scanpaths(batch=1):
            answer = model({"image": batch["image"], "shift": batch["shift"]})["logits"].numpy()
            alone |= dict(zip(batch["id"].numpy(), answer, strict=True))
        progress = fitted(model, scanpaths())
    assert list(found) == list(range(11))
    for index, answer in found.items():
        density = np.exp(np.float64(alone[index]))
        np.testing.assert_allclose(np.exp(answer), density / density.sum(), rtol=1e-4)
    assert np.isfinite(progress.history[0]["val_loss"])


def test_a_loss_that_is_not_finite_names_the_picture_of_a_fixation():
    names = [f"picture{i // 3}" for i in range(12)]
    batch = next(iter(scanpaths()))
    with pytest.raises(UsageError, match="the pictures of its batch: picture0, picture1$"):
        trainer.check_finite({"loss": np.nan}, batch, mirrored(1), names, "")


def test_a_frozen_encoder_is_not_recorded():
    seen = []
    with mirrored(1).scope():
        fitted(split(seen), scanpaths(group=1))
        assert seen == []
        model = split(seen)
        model.get_layer("encoder").trainable = True
        model.optimizer.build(model.trainable_variables)
        model.compile(optimizer=keras.optimizers.Adam(1e-2))
        model.optimizer.build(model.trainable_variables)
        fitted(model, scanpaths(group=1))
        assert seen


def test_the_network_behind_computed_features_trains_the_model():
    with mirrored(1).scope():
        whole, part = split(group=3), split(group=3)
        encoder = part.get_layer("encoder")
        features = scanpaths().map(
            lambda batch: {"features": encoder(batch.pop("image"), training=False), **batch}
        )
        a = fitted(whole, scanpaths(), 3)
        b = fitted(part, features, 3, network=part.get_layer("readout"))
    moved = np.abs(whole.get_layer("readout").get_weights()[0] - split().get_weights()[2]).max()
    assert moved > 1e-3
    for one, two in zip(whole.get_weights(), part.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert a.history[-1]["val_loss"] == pytest.approx(b.history[-1]["val_loss"], abs=1e-6)


def test_how_much_trains_is_said_once(caplog):
    with mirrored(1).scope(), caplog.at_level(logging.INFO):
        fitted(split(), scanpaths(group=1), 2)
    # 3x3x2x4 + 4 and 3x3x4x1 of the read-out, 3x2 + 2 of the encoder
    assert [r.getMessage() for r in caplog.records] == ["112 of the model's 120 weights train"]


def test_training_ends_without_better_epochs_and_does_not_go_on_later():
    """No cross-entropy is below 0, so no epoch is better than the first."""
    row = {"epoch": 1, "loss": 0.0, "val_loss": -1.0}
    progress = trainer.Progress(epoch=1, best=-1.0, history=[row])
    with mirrored(1).scope():
        model = split()
        assert fitted(model, scanpaths(group=1), 9, progress=progress, patience=2).epoch == 3
        assert fitted(model, scanpaths(group=1), 9, progress=progress, patience=2).epoch == 3
        assert fitted(model, scanpaths(group=1), 9, progress=progress, patience=3).epoch == 4
        assert fitted(model, scanpaths(group=1), 6, progress=progress).epoch == 6


@pytest.mark.parametrize(
    ("losses", "waited"), [((), 0), ((3, 2, 1), 0), ((1, 2, 3), 2), ((2, 1, 1, 4), 2)]
)
def test_epochs_are_counted_from_the_first_best(losses, waited):
    history = [{"val_loss": loss} for loss in losses]
    assert trainer.Progress(len(losses), min(losses, default=9), history).waited() == waited


def test_the_learning_rate_is_logged():
    with mirrored(1).scope():
        constant = fitted(split(rate=0.25), scanpaths(group=1), 2)
        falls = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.5, 0.25, 0.125])
        model = split(rate=falls)
        course = fitted(model, scanpaths(group=1), 3)
    assert [row["learning_rate"] for row in constant.history] == [0.25, 0.25]
    # Two steps an epoch, of two pictures; the last of the four pictures has weight 0.
    rates = [(2 * 0.5 + 0.5) / 3, (2 * 0.25 + 0.125) / 3, 0.125]
    assert [row["learning_rate"] for row in course.history] == pytest.approx(rates)
    assert not any("val_learning_rate" in row for row in course.history)


def test_validation_is_of_the_averaged_weights_and_training_of_its_own():
    random = scanpaths(group=1)
    with mirrored(1).scope():
        model, plain = split(), split()
        model.compile(optimizer=AveragingAdam(0.9, learning_rate=1e-2))
        model.optimizer.build(model.trainable_variables)
        progress, other = fitted(model, random, 4), fitted(plain, random, 4)
        own, last = model.get_weights(), progress.history[-1]["val_loss"]
        with averaged(model):
            inside = model.get_weights()
            steps = trainer.make_steps(model, model.optimizer, {"nll": 1.0}, [])
            again = trainer.evaluate(steps[1], tf.distribute.get_strategy(), random)["loss"]
    assert again == last != other.history[-1]["val_loss"]
    assert np.abs(inside[2] - own[2]).max() > 1e-4
    for a, b, c in zip(own, model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_layers_are_frozen_by_the_beginnings_of_their_names():
    model = make()
    trainer.freeze(model, None)
    everything = {w.path for w in model.trainable_variables}
    trainer.freeze(model, "conv1, aspp_dilated")
    frozen = everything - {w.path for w in model.trainable_variables}
    owners = {path.split("/")[-2] for path in frozen}
    assert owners == {"conv1", "aspp_dilated4", "aspp_dilated8", "aspp_dilated12"}


def test_what_cannot_be_frozen_is_refused_with_what_there_is():
    known = "aspp, conv1, conv2, conv3, conv4, decoder, encoder"
    with pytest.raises(UsageError, match=f"no layer is called 'backbone'...; there are {known}$"):
        trainer.freeze(make(), "conv1,backbone")
    with pytest.raises(UsageError, match="no layer is called ''"):
        trainer.freeze(make(), "conv1,")
    with pytest.raises(UsageError, match="all of msinet_small is frozen"):
        trainer.freeze(make(), "encoder,aspp,decoder")


TWO_DEVICES = """
import sys
sys.path[:0] = [{tests!r}]
import numpy as np
from model import trainer
from model.optimizer import AveragingAdam
from model.strategy import mirrored
import test_trainer as t

def trained(strategy):
    with strategy.scope():
        model = t.split(group=3)
        model.compile(optimizer=AveragingAdam(0.9, learning_rate=1e-2, global_clipnorm=0.05))
        model.optimizer.epsilon = 0.1  # or the length of gradients would not matter
        model.optimizer.build(model.trainable_variables)
        progress = t.fitted(model, t.scanpaths(), 3)
        found = list(trainer.predict(model, t.scanpaths()))
    states = [v.numpy() for v in [*model.weights, *model.optimizer.variables]]
    return states, progress.history, [i for i, _ in found], [a for _, a in found]

two, one = trained(mirrored(2, 2)), trained(mirrored(2, 1))
assert two[2] == one[2] == list(range(11)), (one[2], two[2])
for parts in (0, 3):
    for a, b in zip(one[parts], two[parts], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
for a, b in zip(one[1], two[1], strict=True):
    assert a.keys() == b.keys()
    np.testing.assert_allclose([*a.values()], [*b.values()], atol=1e-5)
print("alike")
"""


def test_two_devices_train_as_one():
    """Scanpath batches, clipping and averages too; devices are made once a process."""
    here = Path(__file__).parent
    code = TWO_DEVICES.format(tests=str(here))
    done = subprocess.run([sys.executable, "-c", code], cwd=here.parents[1], capture_output=True)
    assert done.stdout.decode().endswith("alike\n"), done.stderr.decode()[-2000:]
