"""The loop: epochs of steps under a strategy, validation, and what calls for saving."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from config import Config, UsageError
from model.density import log_density
from model.metrics import METRICS, call


@dataclass
class Progress:
    """How far a run is: what a resumed one goes on from. `history` has one dict an epoch."""

    epoch: int = 0
    best: float = math.inf
    history: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Data:
    """What a run trains on: datasets of batches of an epoch and of the validation, how many
    batches an epoch has, and the training pictures' names by their `id`."""

    train: Callable[[int], tf.data.Dataset]
    valid: Callable[[], tf.data.Dataset]
    steps: int
    names: Sequence[str]


def fit(
    model: keras.Model,
    data: Data,
    losses: Mapping[str, float],
    metrics: Sequence[str],
    epochs: int,
    progress: Progress,
    save: Callable[[Progress, bool], None],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains a compiled model to `epochs` in total, from where `progress` is.

    Args:
        losses: what is minimised: functions of model.losses by name, and their weights.
        metrics: what is averaged over samples and logged: names in model.metrics.
        save: called after each epoch; is told whether its validation loss is the best so far.

    Raises:
        UsageError: a loss is not finite; names the pictures of its batch.
    """
    strategy = tf.distribute.get_strategy()
    train_step, valid_step = make_steps(model, strategy, losses, metrics)
    bar = 1 if sys.stdout.isatty() else 2  # into a file: a line an epoch, not one a step
    watch = keras.callbacks.CallbackList(
        list(callbacks), add_progbar=True, model=model, epochs=epochs, steps=data.steps, verbose=bar
    )
    watch.on_train_begin()
    for epoch in range(progress.epoch, epochs):
        watch.on_epoch_begin(epoch)
        total = Mean()
        for step, batch in enumerate(strategy.experimental_distribute_dataset(data.train(epoch))):
            watch.on_train_batch_begin(step)
            sums = train_step(batch)
            check_finite(sums, batch, strategy, data.names, f"epoch {epoch + 1}, step {step + 1}")
            watch.on_train_batch_end(step, total.add(sums))
        found = evaluate(valid_step, strategy, data.valid())
        logs = total.means() | {f"val_{name}": value for name, value in found.items()}
        improved = logs["val_loss"] < progress.best
        progress.epoch, progress.best = epoch + 1, min(progress.best, logs["val_loss"])
        progress.history.append({"epoch": epoch + 1, **logs})
        watch.on_epoch_end(epoch, logs)
        save(progress, improved)
        if model.stop_training:
            break
    watch.on_train_end()


def optimizer(settings: Config, steps: int) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba, ICLR 2015); a cosine falls from the learning rate to 0 over all epochs."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * settings.epochs)
    return keras.optimizers.Adam(rate)


def make_steps(model, strategy, losses: Mapping[str, float], metrics: Sequence[str]):
    """The training and the validation step: distributed batch -> sums over its samples.

    Per-sample losses are weighted, summed and divided by the weight of the whole global batch;
    the optimizer sums the replicas' gradients.
    """
    names = list(dict.fromkeys([*losses, *metrics]))

    def measured(batch, outputs):
        values = {**batch, "log_density": log_density(outputs["logits"], batch["valid"])}
        found = {name: call(METRICS[name], values) for name in names}
        return {"loss": sum(w * found[name] for name, w in losses.items()), **found}

    def sums(found, weight):
        added = {name: tf.reduce_sum(value * weight) for name, value in found.items()}
        return {**added, "weight": tf.reduce_sum(weight)}

    def train_replica(batch):
        weight = batch["weight"]
        whole = tf.distribute.get_replica_context().all_reduce("SUM", tf.reduce_sum(weight))
        with tf.GradientTape() as tape:
            found = measured(batch, model(inputs_of(model, batch), training=True))
            loss = tf.reduce_sum(found["loss"] * weight) / whole
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return sums(found, weight)

    def valid_replica(batch):
        return sums(
            measured(batch, model(inputs_of(model, batch), training=False)), batch["weight"]
        )

    def distributed(replica):
        return tf.function(
            lambda batch: strategy.reduce("SUM", strategy.run(replica, (batch,)), axis=None)
        )

    return distributed(train_replica), distributed(valid_replica)


def inputs_of(model: keras.Model, batch: Mapping) -> dict:
    """What of a batch the model takes: its inputs bear the names of the batch's keys."""
    return {name: batch[name] for name in model.input}


class Mean:
    """Means over samples, of sums that come batch by batch."""

    def __init__(self):
        self.sums: dict[str, float] = {}

    def add(self, sums: Mapping) -> dict[str, float]:
        """Takes a batch's sums; returns the means so far."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        return self.means()

    def means(self) -> dict[str, float]:
        """Each sum by the weight, the weight left out."""
        weight = self.sums["weight"]
        return {name: value / weight for name, value in self.sums.items() if name != "weight"}


def check_finite(sums: Mapping, batch: Mapping, strategy, names: Sequence[str], when: str) -> None:
    """Raises UsageError with the batch's pictures where its loss is not finite."""
    loss = float(sums["loss"])
    if not math.isfinite(loss):
        ids = np.concatenate([i.numpy() for i in strategy.experimental_local_results(batch["id"])])
        pictures = ", ".join(dict.fromkeys(names[i] for i in ids))
        raise UsageError(f"the loss is {loss} in {when}; the pictures of its batch: {pictures}")


def evaluate(valid_step, strategy, dataset: tf.data.Dataset) -> dict[str, float]:
    """Means over the samples of a dataset of batches."""
    total = Mean()
    for batch in strategy.experimental_distribute_dataset(dataset):
        total.add(valid_step(batch))
    return total.means()


def predict(model: keras.Model, dataset: tf.data.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Each sample's `id` and log-density (H, W, 1) float32 in nats, in the dataset's order."""
    strategy = tf.distribute.get_strategy()

    def replica(batch):
        outputs = model(inputs_of(model, batch), training=False)
        return log_density(outputs["logits"], batch["valid"])

    step = tf.function(lambda batch: strategy.run(replica, (batch,)))
    for batch in strategy.experimental_distribute_dataset(dataset):
        answer, ids, weight = (
            np.concatenate([part.numpy() for part in strategy.experimental_local_results(value)])
            for value in (step(batch), batch["id"], batch["weight"])
        )
        yield from ((int(i), a) for i, a, w in zip(ids, answer, weight, strict=True) if w > 0)
