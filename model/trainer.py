"""The loop: epochs of steps under a strategy, validation, and what calls for saving."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from config import UsageError
from model.density import log_density
from model.metrics import METRICS, call
from model.optimizer import averaged


@dataclass
class Progress:
    """How far a run is: what a resumed one goes on from. `history` has one dict an epoch."""

    epoch: int = 0
    best: float = math.inf
    history: list[dict] = field(default_factory=list)

    def add(self, logs: Mapping[str, float]) -> bool:
        """Takes an epoch's logs; returns whether its validation loss is the best so far."""
        improved = logs["val_loss"] < self.best
        self.epoch, self.best = self.epoch + 1, min(self.best, logs["val_loss"])
        self.history.append({"epoch": self.epoch, **logs})
        return improved

    def waited(self) -> int:
        """How many epochs there were since the first with the best validation loss."""
        rows = enumerate(self.history, start=1)
        return len(self.history) - next((n for n, row in rows if row["val_loss"] == self.best), 0)


@dataclass(frozen=True)
class Data:
    """What a run trains on: datasets of batches of an epoch and of the validation, how many
    batches an epoch has, and by `id` the names of the training samples' pictures."""

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
    network: keras.Model | None = None,
    patience: int = 0,
) -> None:
    """Trains a compiled model to `epochs` in total, from where `progress` is.

    Args:
        losses: what is minimised: functions of model.losses by name, and their weights.
        metrics: what is averaged over samples and logged: names in model.metrics.
        save: called after each epoch; is told whether its validation loss is the best so far.
        network: what steps call instead of the model: its part behind features known before.
        patience: stop after so many epochs without a better validation loss; 0: never.

    Raises:
        UsageError: a loss is not finite; names the pictures of its batch.
    """
    network = model if network is None else network
    steps = make_steps(network, model.optimizer, losses, metrics)
    watch = watching(callbacks, model, epochs, data.steps)
    watch.on_train_begin()
    for epoch in range(progress.epoch, epochs):
        if patience and progress.waited() >= patience:
            logging.info("no better epoch in %d: training ends; --patience says so", patience)
            break
        watch.on_epoch_begin(epoch)
        logs = run_epoch(model, steps, data, epoch, watch)
        improved = progress.add(logs)
        watch.on_epoch_end(epoch, logs)
        save(progress, improved)
        if model.stop_training:
            break
    watch.on_train_end()


def watching(
    callbacks, model: keras.Model, epochs: int, steps: int
) -> keras.callbacks.CallbackList:
    """The callbacks and a progress bar; says how much trains."""
    count = [sum(math.prod(w.shape) for w in ws) for ws in (model.trainable_weights, model.weights)]
    logging.info("%s of the model's %s weights train", *(f"{number:,}" for number in count))
    bar = 1 if sys.stdout.isatty() else 2  # into a file: a line an epoch, not one a step
    return keras.callbacks.CallbackList(
        list(callbacks), add_progbar=True, model=model, epochs=epochs, steps=steps, verbose=bar
    )


def run_epoch(model: keras.Model, steps, data: Data, epoch: int, watch) -> dict:
    """An epoch of steps and its validation, on the averaged weights where there are some."""
    strategy = tf.distribute.get_strategy()
    (train_step, valid_step), total = steps, Mean()
    for step, batch in enumerate(strategy.experimental_distribute_dataset(data.train(epoch))):
        watch.on_train_batch_begin(step)
        found = train_step(batch)
        check_finite(found, batch, strategy, data.names, f"epoch {epoch + 1}, step {step + 1}")
        watch.on_train_batch_end(step, total.add(found))
    with averaged(model):
        found = evaluate(valid_step, strategy, data.valid())
    return total.means() | {f"val_{name}": value for name, value in found.items()}


def layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """All layers of a model, those of the models inside it too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def freeze(model: keras.Model, prefixes: str | None) -> None:
    """Keeps layers from training whose names begin with one of the prefixes, `encoder,aspp`.

    Raises:
        UsageError: a prefix begins no name, or nothing is left to train.
    """
    layers = [layer for layer in layers_of(model) if layer.weights]
    for prefix in [text.strip() for text in prefixes.split(",")] if prefixes else []:
        found = [layer for layer in layers if prefix and layer.name.startswith(prefix)]
        if not found:
            there = ", ".join(sorted({layer.name.partition("_")[0] for layer in layers}))
            raise UsageError(
                f"--freeze {prefixes}: no layer is called {prefix!r}...; there are {there}"
            )
        for layer in found:
            layer.trainable = False
    if not model.trainable_variables:
        raise UsageError(f"--freeze {prefixes}: all of {model.name} is frozen, nothing would train")


def make_steps(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    losses: Mapping[str, float],
    metrics: Sequence[str],
):
    """The training and the validation step: distributed batch -> sums over its samples.

    Per-sample losses are weighted, summed and divided by the weight of the whole global batch;
    the optimizer sums the replicas' gradients. What a step computes before the first layer that
    trains is not recorded. `learning_rate` is among a training step's sums.
    """
    strategy, measured = tf.distribute.get_strategy(), measuring(losses, metrics)

    def train_replica(batch):
        weight, variables = batch["weight"], network.trainable_variables
        whole = tf.distribute.get_replica_context().all_reduce("SUM", tf.reduce_sum(weight))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            found = measured(batch, network(inputs_of(network, batch), training=True))
            loss = tf.reduce_sum(found["loss"] * weight) / whole
        found["learning_rate"] = tf.convert_to_tensor(optimizer.learning_rate)
        gradients = tape.gradient(loss, variables)
        optimizer.apply(clipped(gradients, optimizer.global_clipnorm), variables)
        return weighted(found, weight)

    def valid_replica(batch):
        outputs = network(inputs_of(network, batch), training=False)
        return weighted(measured(batch, outputs), batch["weight"])

    def distributed(replica):
        return tf.function(
            lambda batch: strategy.reduce("SUM", strategy.run(replica, (batch,)), axis=None)
        )

    return distributed(train_replica), distributed(valid_replica)


def measuring(losses: Mapping[str, float], metrics: Sequence[str]) -> Callable:
    """(batch, outputs) -> the loss, its terms and the metrics, one number per sample each."""
    names = list(dict.fromkeys([*losses, *metrics]))

    def measured(batch, outputs):
        values = {**batch, "log_density": log_density(outputs["logits"], batch["valid"])}
        found = {name: call(METRICS[name], values) for name in names}
        return {"loss": sum(w * found[name] for name, w in losses.items()), **found}

    return measured


def weighted(found: Mapping, weight: tf.Tensor) -> dict[str, tf.Tensor]:
    """What was found, (B,) each or a number for all, summed by weight; and the weight's sum."""
    added = {name: tf.reduce_sum(value * weight) for name, value in found.items()}
    return {**added, "weight": tf.reduce_sum(weight)}


def clipped(gradients: Sequence[tf.Tensor], norm: float | None) -> Sequence[tf.Tensor]:
    """A replica's gradients such that the sum over replicas has at most this global norm.

    Keras clips each replica's before it sums them, so that two devices would train otherwise than
    one; these it finds short enough.
    """
    replicas = tf.distribute.get_replica_context()
    if not norm or replicas.num_replicas_in_sync == 1:
        return gradients
    whole, _ = tf.clip_by_global_norm(replicas.all_reduce("SUM", gradients), norm)
    return [gradient / replicas.num_replicas_in_sync for gradient in whole]


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
    """Each sample's `id` and log-density (H, W, 1) float32 in nats, in the dataset's order.

    The strategy is the one in whose scope this is called; what comes can be taken outside of it.
    """
    strategy = tf.distribute.get_strategy()

    def replica(batch):
        outputs = model(inputs_of(model, batch), training=False)
        return log_density(outputs["logits"], batch["valid"])

    step = tf.function(lambda batch: strategy.run(replica, (batch,)))

    def answers():
        for batch in strategy.experimental_distribute_dataset(dataset):
            answer, ids, weight = (
                np.concatenate(
                    [part.numpy() for part in strategy.experimental_local_results(value)]
                )
                for value in (step(batch), batch["id"], batch["weight"])
            )
            yield from ((int(i), a) for i, a, w in zip(ids, answer, weight, strict=True) if w > 0)

    return answers()
