import dataclasses
import json
import logging
import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import data_of, fitted, one_device, scanpaths, shared, split

from errors import UsageError
from model.checkpoints.keeper import Idle
from model.networks import msinet
from model.training import trainer
from model.training.optimizer import AveragingAdam, averaged
from model.training.steps import inputs_of, make_steps
from model.training.strategy import mirrored

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


def run(epochs=1, data=None, valid=None, keeper=None, optimizer=None):
    train, strategy = data or batches(4, 2), one_device()
    data = data_of(train, valid or train, list("abcdefgh"))
    progress = trainer.Progress()
    with strategy.scope():
        model = make(optimizer=optimizer)
    keeper = keeper or Idle()
    trainer.fit(strategy, model, data, {"kld": 1.0}, ["cc"], epochs, progress, keeper)
    return model, progress


def check_moved(encoder):
    """Check that one step moves every kernel of a model."""
    strategy = one_device()
    with strategy.scope():
        model = make(encoder)
    kernels = [w for w in model.trainable_variables if w.path.endswith("kernel")]
    before = [w.numpy() for w in kernels]
    train_step, _ = make_steps(strategy, model, model.optimizer, {"kld": 1.0}, [], dict)
    sums = train_step(next(iter(batches(2, 2))), tf.constant(0.0))
    assert np.isfinite(sums["loss"]) and sums["weight"] == 2
    assert len(kernels) > 20
    assert all(np.abs(w.numpy() - b).max() > 0 for w, b in zip(kernels, before, strict=True))


def test_a_step_moves_every_layer_of_vgg16():
    check_moved("vgg16")


def test_a_step_moves_every_layer_of_densenet201(dense):
    check_moved("densenet201")


class Improvements(Idle):
    """Remembers of each epoch the best loss and whether it improved."""

    def __init__(self):
        self.told = []

    def epoch(self, progress, improved):
        self.told.append((progress.best, improved))


@pytest.fixture(scope="module")
def trained():
    """A model, its progress over six epochs, and what its keeper was told of them."""
    keeper = Improvements()
    return *run(epochs=6, keeper=keeper), keeper.told


def test_training_lowers_the_loss(trained):
    losses = [row["loss"] for row in trained[1].history]
    assert losses[-1] < 0.8 * losses[0]


def test_best_is_told_by_the_validation_loss(trained):
    _, progress, told = trained
    losses = [row["val_loss"] for row in progress.history]
    assert told == [(min(losses[: i + 1]), losses[i] == min(losses[: i + 1])) for i in range(6)]


def test_predictions_are_densities_in_order_without_the_filling(trained):
    data = batches(4, 2, weight=[1, 1, 1, 0])
    answers = list(trainer.predict(one_device(), trained[0], lambda _: data, dict))
    assert [index for index, _ in answers] == [0, 1, 2]
    for _, answer in answers:
        assert answer.shape == (*SIZE, 1)
        assert np.exp(answer.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_validation_is_the_mean_over_samples_whatever_the_batches(trained):
    strategy, model = one_device(), trained[0]
    _, valid_step = make_steps(strategy, model, model.optimizer, {"kld": 1.0}, ["cc"], dict)
    whole, parts = (
        trainer.evaluate(strategy, valid_step, lambda _, size=size: batches(5, size))
        for size in (5, 3)
    )
    for name in ("loss", "cc"):
        assert whole[name] == pytest.approx(parts[name], abs=1e-6)


def test_samples_of_weight_0_change_nothing():
    """Neither the loss nor the gradients: the model ends with the same weights."""
    rate = 1e-3
    plain, alone = run(data=batches(3, 3), optimizer=keras.optimizers.SGD(rate))
    weight = [1, 1, 1, 0, 0]
    filled, padded = run(data=batches(5, 5, weight), optimizer=keras.optimizers.SGD(rate))
    assert alone.history[0]["loss"] == pytest.approx(padded.history[0]["loss"], abs=1e-6)
    for a, b in zip(plain.trainable_variables, filled.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-7)


def test_progress_weighs_each_sample():
    progress = trainer.Progress()
    progress.count({"loss": 6.0, "weight": 3.0, "stop": 0.0})
    assert progress.count({"loss": 2.0, "weight": 1.0, "stop": 0.0}) == {"loss": 2.0}
    found = progress.count({"loss": 4.0, "weight": 1.0, "stop": 2.0})
    assert found == {"loss": pytest.approx(12 / 5)}
    assert (progress.step, progress.sums) == (3, {"loss": 12.0, "weight": 5.0})


def test_an_epoch_is_closed_with_the_means_of_its_steps_and_of_its_validation():
    progress = trainer.Progress(epoch=1, best=1.5, history=[{"epoch": 1, "val_loss": 1.5}])
    progress.count({"loss": 6.0, "weight": 3.0, "stop": 0.0})
    assert progress.close({"loss": 1.25, "cc": 0.5}) is True
    assert (progress.epoch, progress.step, progress.sums, progress.best) == (2, 0, {}, 1.25)
    assert progress.history[1] == {"epoch": 2, "loss": 2.0, "val_loss": 1.25, "val_cc": 0.5}
    for worse in (1.25, 2.0, math.nan):
        progress.count({"loss": 1.0, "weight": 1.0, "stop": 0.0})
        assert progress.close({"loss": worse}) is False
    assert progress.best == 1.25 and [row["epoch"] for row in progress.history] == [1, 2, 3, 4, 5]


def test_progress_comes_back_from_json_to_the_last_bit():
    """Sums of float32 in float64, and that nothing was best so far."""
    progress = trainer.Progress()
    for value in np.float32([0.1, 1 / 3, 2e-30]).tolist():
        progress.count({"loss": value, "weight": 1.0, "stop": 0.0})
    for known in (progress, trainer.Progress(1, 2, {"loss": 0.1 + 0.2}, 1 / 3, [{"loss": 1e-17}])):
        again = trainer.Progress(**json.loads(json.dumps(dataclasses.asdict(known))))
        assert again == known and repr(again) == repr(known)


def test_a_loss_that_is_not_finite_names_the_pictures():
    strategy = one_device()
    batch = {"id": tf.constant([2, 0, 2])}
    with pytest.raises(UsageError, match="the loss is nan in epoch 1, step 1; .*: c, a$"):
        trainer.check_finite({"loss": np.nan}, batch, strategy, "abc", "epoch 1, step 1")
    trainer.check_finite({"loss": 1.0}, batch, strategy, "abc", "epoch 1, step 1")


def test_a_models_inputs_are_taken_by_name():
    model = msinet.build("small", SIZE, "minmax")
    assert set(inputs_of(model, {"image": 1, "valid": 2, "id": 3})) == {"image", "valid"}


def test_fixations_of_a_picture_are_samples_of_their_own():
    """As many rows as fixations beside fewer pictures; weights and ids are the fixations'."""
    strategy = one_device()
    with strategy.scope():
        model = split(group=3)
    found = dict(trainer.predict(strategy, model, lambda _: scanpaths(), dict))
    alone = {}
    for batch in scanpaths(batch=1):
        answer = model({"image": batch["image"], "shift": batch["shift"]})["logits"].numpy()
        alone |= dict(zip(batch["id"].numpy(), answer, strict=True))
    progress = fitted(strategy, model, scanpaths())
    assert list(found) == list(range(11))
    for index, answer in found.items():
        density = np.exp(np.float64(alone[index]))
        np.testing.assert_allclose(np.exp(answer), density / density.sum(), rtol=1e-4)
    assert np.isfinite(progress.history[0]["val_loss"])


def test_a_loss_that_is_not_finite_names_the_picture_of_a_fixation():
    names = [f"picture{i // 3}" for i in range(12)]
    batch = next(iter(scanpaths()))
    with pytest.raises(UsageError, match="the pictures of its batch: picture0, picture1$"):
        trainer.check_finite({"loss": np.nan}, batch, one_device(), names, "")


def test_a_frozen_encoder_is_not_recorded():
    seen, strategy = [], one_device()
    with strategy.scope():
        model = split(seen)
    fitted(strategy, model, scanpaths(group=1))
    assert seen == []
    with strategy.scope():
        model = split(seen)
        model.get_layer("encoder").trainable = True
        model.compile(optimizer=keras.optimizers.Adam(1e-2))
        model.optimizer.build(model.trainable_variables)
    fitted(strategy, model, scanpaths(group=1))
    assert seen


def test_the_network_behind_computed_features_trains_the_model():
    strategy = one_device()
    with strategy.scope():
        whole, part = split(group=3), split(group=3)
    encoder = part.get_layer("encoder")
    features = scanpaths().map(
        lambda batch: {"features": encoder(batch.pop("image"), training=False), **batch}
    )
    a = fitted(strategy, whole, scanpaths(), 3)
    b = fitted(strategy, part, features, 3, network=part.get_layer("readout"))
    moved = np.abs(whole.get_layer("readout").get_weights()[0] - split().get_weights()[2]).max()
    assert moved > 1e-3
    for one, two in zip(whole.get_weights(), part.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert a.history[-1]["val_loss"] == pytest.approx(b.history[-1]["val_loss"], abs=1e-6)


def test_how_much_trains_is_said_once(caplog):
    strategy = one_device()
    with strategy.scope():
        model = split()
    with caplog.at_level(logging.INFO):
        fitted(strategy, model, scanpaths(group=1), 2)
    # 3x3x2x4 + 4 and 3x3x4x1 of the read-out, 3x2 + 2 of the encoder
    said, *waits = [record.getMessage() for record in caplog.records]
    assert said == "112 of the model's 120 weights train"
    assert len(waits) == 2  # epochs
    assert all(
        re.fullmatch(r"\d+\.\d s, of which \d+\.\d % waiting for pictures", w) for w in waits
    )


def test_training_ends_without_better_epochs_and_does_not_go_on_later():
    """No cross-entropy is below 0, so no epoch is better than the first."""
    row = {"epoch": 1, "loss": 0.0, "val_loss": -1.0}
    progress = trainer.Progress(epoch=1, best=-1.0, history=[row])
    strategy = one_device()
    with strategy.scope():
        model = split()

    def epochs_of(until, **options):
        return fitted(strategy, model, scanpaths(group=1), until, progress, **options).epoch

    assert epochs_of(9, patience=2) == 3
    assert epochs_of(9, patience=2) == 3
    assert epochs_of(9, patience=3) == 4
    assert epochs_of(6) == 6


@pytest.mark.parametrize(
    ("losses", "waited"), [((), 0), ((3, 2, 1), 0), ((1, 2, 3), 2), ((2, 1, 1, 4), 2)]
)
def test_epochs_are_counted_from_the_first_best(losses, waited):
    history = [{"val_loss": loss} for loss in losses]
    progress = trainer.Progress(len(losses), best=min(losses, default=9), history=history)
    assert progress.waited() == waited


def test_the_learning_rate_is_logged():
    strategy = one_device()
    falls = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.5, 0.25, 0.125])
    with strategy.scope():
        model, other = split(rate=0.25), split(rate=falls)
    constant = fitted(strategy, model, scanpaths(group=1), 2)
    course = fitted(strategy, other, scanpaths(group=1), 3)
    assert [row["learning_rate"] for row in constant.history] == [0.25, 0.25]
    # Two steps an epoch, of two pictures; the last of the four pictures has weight 0.
    rates = [(2 * 0.5 + 0.5) / 3, (2 * 0.25 + 0.125) / 3, 0.125]
    assert [row["learning_rate"] for row in course.history] == pytest.approx(rates)
    assert not any("val_learning_rate" in row for row in course.history)


def test_validation_is_of_the_averaged_weights_and_training_of_its_own():
    random, strategy = scanpaths(group=1), one_device()
    with strategy.scope():
        model, plain = split(), split()
        model.compile(optimizer=AveragingAdam(0.9, learning_rate=1e-2))
        model.optimizer.build(model.trainable_variables)
    progress, other = fitted(strategy, model, random, 4), fitted(strategy, plain, random, 4)
    own, last = model.get_weights(), progress.history[-1]["val_loss"]
    with averaged(model):
        inside = model.get_weights()
        _, valid_step = make_steps(strategy, model, model.optimizer, {"nll": 1.0}, [], dict)
        again = trainer.evaluate(strategy, valid_step, lambda share: random)["loss"]
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


class Told(Idle):
    """Remembers when it was to write what."""

    def __init__(self):
        self.told = []

    def epoch(self, progress, improved):
        self.told.append(("epoch", progress.epoch, progress.step))

    def step(self, progress):
        self.told.append(("step", progress.epoch, progress.step))

    def save(self, progress):
        self.told.append(("save", progress.epoch, progress.step))


def test_a_run_is_stopped_after_its_step_saved_once_and_goes_on_there():
    """Nothing is counted twice or left out: history is that of a run that was never stopped."""
    strategy, progress = one_device(), trainer.Progress()
    with strategy.scope():
        model, other = split(), split()

    def go_on(question):
        """What a keeper is told where the answer to that question is to stop: an epoch asks one
        before each of two steps and of two batches of validation."""
        keeper, asked = Told(), []
        options = {"keeper": keeper, "stop": lambda: asked.append(1) or len(asked) == question}
        try:
            fitted(strategy, model, scanpaths(group=1), 2, progress, **options)
        except trainer.Interrupted:
            return keeper.told, "stopped"
        return keeper.told, "done"

    assert go_on(1) == ([("save", 0, 1)], "stopped")
    assert go_on(3) == ([("step", 0, 2), ("save", 0, 2)], "stopped")  # in validation
    assert progress.sums["weight"] == 3 and progress.history == []
    rest = [("epoch", 1, 0), ("step", 1, 1), ("step", 1, 2), ("epoch", 2, 0)]
    assert go_on(None) == (rest, "done")
    assert progress == fitted(strategy, other, scanpaths(group=1), 2)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stop_in_validation_leaves_the_weights_that_train_not_their_average():
    strategy = one_device()
    with strategy.scope():
        model, other = split(), split()
        for each in (model, other):
            each.compile(optimizer=AveragingAdam(0.9, learning_rate=1e-2))
            each.optimizer.build(each.trainable_variables)
    asked = []
    with pytest.raises(trainer.Interrupted):
        stop = {"stop": lambda: asked.append(1) or len(asked) == 4}
        fitted(strategy, model, scanpaths(group=1), 1, **stop)
    fitted(strategy, other, scanpaths(group=1), 1)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_resumed_epoch_asks_for_the_batches_that_are_left():
    strategy, dataset, asked = one_device(), scanpaths(group=1), []
    with strategy.scope():
        model = split()
    whole = data_of(dataset, dataset, ["x"] * 4)

    def train(epoch, skip, share):
        asked.append((epoch, skip, share))
        return whole.train(epoch, skip, share)

    data = trainer.Data(train, whole.valid, dict, whole.steps, whole.names)
    progress = trainer.Progress(3, 1, {"loss": 1.0, "nll": 1.0, "entropy": 0.0, "weight": 2.0})
    progress.sums["learning_rate"] = 0.02
    trainer.fit(strategy, model, data, {"nll": 1.0}, ["entropy"], 5, progress, Idle())
    assert asked == [(3, 1, (0, 1, 1)), (4, 0, (0, 1, 1))]
    assert progress.history[0]["learning_rate"] == pytest.approx(0.01)


@pytest.fixture(scope="module")
def pair():
    """Two devices; in a process TensorFlow lets no second such strategy reduce other shapes."""
    return mirrored(2, 2)


def run_on(strategy, batch, clip, accumulate=1):
    """What a run on devices ends with: variables, history, predictions' ids and maps."""
    with strategy.scope():
        model = split(group=3)
        model.compile(optimizer=AveragingAdam(0.9, learning_rate=1e-2, global_clipnorm=clip))
        model.optimizer.epsilon = 0.1  # or the length of gradients would not matter
        model.optimizer.build(model.trainable_variables)
    data = scanpaths(batch=batch)
    progress = fitted(strategy, model, data, 3, accumulate=accumulate)
    answers = list(trainer.predict(strategy, model, lambda share: shared(data, share), dict))
    variables = [v.numpy() for v in [*model.weights, *model.optimizer.variables]]
    return variables, progress.history, [i for i, _ in answers], [a for _, a in answers]


@pytest.mark.parametrize(("batch", "clip", "accumulate"), [(2, 0.05, 1), (4, None, 2)])
def test_two_devices_train_as_one(pair, batch, clip, accumulate):
    """Scanpath batches, clipping, averages, accumulation too."""
    one, two = run_on(one_device(), batch, clip), run_on(pair, batch, clip, accumulate)
    assert one[2] == two[2] == list(range(11))
    for part in (0, 3):
        for a, b in zip(one[part], two[part], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    for a, b in zip(one[1], two[1], strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose([*a.values()], [*b.values()], atol=1e-5)
