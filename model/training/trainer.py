"""The loop: epochs of steps under a strategy, validation, and what calls for saving."""

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from errors import UsageError
from model.metrics.registry import finish
from model.networks.density import log_density
from model.training.optimizer import averaged
from model.training.steps import inputs_of, make_steps
from model.training.strategy import is_chief

Share = tuple[int, int, int]  # which of how many workers, and how many devices all of them have


class Interrupted(Exception):
    """The run was asked to stop; what it has done is saved."""


@dataclass
class Progress:
    """How far a run is: what a resumed one goes on from.

    epoch: how many are over; step: how many of the next one's steps are, and `sums` over their
    samples; history: one dict an epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    history: list[dict] = field(default_factory=list)

    def count(self, step_sums: Mapping) -> dict[str, float]:
        """Take a step's sums; return the means over the epoch so far."""
        self.step += 1
        add(self.sums, step_sums)
        return means(self.sums)

    def close(self, valid: Mapping[str, float]) -> bool:
        """End an epoch with what its validation found; return whether that is the best so far."""
        improved = valid["loss"] < self.best
        self.epoch, self.best = self.epoch + 1, min(self.best, valid["loss"])
        logs = means(self.sums) | {f"val_{name}": value for name, value in valid.items()}
        self.history.append({"epoch": self.epoch, **logs})
        self.step, self.sums = 0, {}
        return improved

    def waited(self) -> int:
        """Return how many epochs there were since the first with the best validation loss."""
        rows = enumerate(self.history, start=1)
        return len(self.history) - next((n for n, row in rows if row["val_loss"] == self.best), 0)


@dataclass(frozen=True)
class Data:
    """What a run trains on.

    train: (epoch, steps of it that are done, share) -> a dataset of the batches' parts that a
    worker's devices compute, one each at a time; valid: the same of a share alone; prepare: makes
    of a batch on its device what the network and the losses take; steps: of an epoch; names: by
    `id`, of the training samples' pictures.
    """

    train: Callable[[int, int, Share], tf.data.Dataset]
    valid: Callable[[Share], tf.data.Dataset]
    prepare: Callable[[Mapping], Mapping]
    steps: int
    names: Sequence[str]


class Keeper(Protocol):
    """What writes a run to disk: after an epoch, told whether its validation loss is the best so
    far; after a step, where it is time to; and when the run is asked to stop."""

    def epoch(self, progress: Progress, improved: bool) -> None: ...

    def step(self, progress: Progress) -> None: ...

    def save(self, progress: Progress) -> None: ...


def never() -> bool:
    return False


def fit(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    data: Data,
    losses: Mapping[str, float],
    metrics: Sequence[str],
    epochs: int,
    progress: Progress,
    keeper: Keeper,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    network: keras.Model | None = None,
    patience: int = 0,
    accumulate: int = 1,
    stop: Callable[[], bool] = never,
) -> None:
    """Train a compiled model to `epochs` in total, from where `progress` is.

    Outside of the strategy's scope, in which the model was made: there, what one worker makes when
    it saves would be waited for by all.

    Args:
        losses: what is minimised: names of metrics, and their weights.
        metrics: what is averaged over samples and logged: names of metrics.
        network: what steps call instead of the model: its part behind features known before.
        patience: stop after so many epochs without a better validation loss; 0: never.
        accumulate: see make_steps.
        stop: asked before each step whether this process should stop.

    Raises:
        UsageError: a loss is not finite; names the pictures of its batch.
        Interrupted: this or another worker was asked to stop; all have done the same steps.
    """
    network = model if network is None else network
    steps = make_steps(
        strategy, network, model.optimizer, losses, metrics, data.prepare, accumulate
    )
    watch = watching(strategy, callbacks, model, epochs, data.steps)
    watch.on_train_begin()
    for epoch in range(progress.epoch, epochs):
        if patience and progress.waited() >= patience:
            logging.info("no better epoch in %d: training ends; --patience says so", patience)
            break
        watch.on_epoch_begin(epoch)
        try:
            run_steps(strategy, steps[0], data, progress, keeper, watch, stop)
            with averaged(model):
                valid = evaluate(strategy, steps[1], data.valid, stop)
        except Interrupted:
            keeper.save(progress)
            raise
        improved = progress.close(valid)
        watch.on_epoch_end(epoch, {k: v for k, v in progress.history[-1].items() if k != "epoch"})
        keeper.epoch(progress, improved)
        if model.stop_training:
            break
    watch.on_train_end()


def watching(
    strategy, callbacks, model: keras.Model, epochs: int, steps: int
) -> keras.callbacks.CallbackList:
    """Return the callbacks and, on the worker that writes, a progress bar; say how much trains."""
    count = [sum(math.prod(w.shape) for w in ws) for ws in (model.trainable_weights, model.weights)]
    logging.info("%s of the model's %s weights train", *(f"{number:,}" for number in count))
    return keras.callbacks.CallbackList(
        list(callbacks),
        add_progbar=is_chief(strategy),
        model=model,
        epochs=epochs,
        steps=steps,
        verbose=1 if sys.stdout.isatty() else 2,  # into a file: a line an epoch, not one a step
    )


def layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield all layers of a model, those of the models inside it too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def freeze(model: keras.Model, prefixes: str | None) -> None:
    """Keep layers from training whose names begin with one of the prefixes, `encoder,aspp`.

    Raises:
        UsageError: a prefix begins no name, or nothing is left to train.
    """
    layers = [layer for layer in layers_of(model) if layer.weights]
    for prefix in [text.strip() for text in prefixes.split(",")] if prefixes else []:
        frozen = [layer for layer in layers if prefix and layer.name.startswith(prefix)]
        if not frozen:
            names = ", ".join(sorted({layer.name.partition("_")[0] for layer in layers}))
            raise UsageError(
                f"--freeze {prefixes}: no layer is called {prefix!r}...; there are {names}"
            )
        for layer in frozen:
            layer.trainable = False
    if not model.trainable_variables:
        raise UsageError(f"--freeze {prefixes}: all of {model.name} is frozen, nothing would train")


def run_steps(
    strategy, train_step, data: Data, progress: Progress, keeper: Keeper, watch, stop
) -> None:
    """Take the steps of an epoch that are left; say how long they waited for their batches."""
    if progress.step == data.steps:
        return
    wait, begun = Wait(), time.monotonic()
    dataset = distributed(strategy, lambda share: data.train(progress.epoch, progress.step, share))
    for batch in wait.counted(dataset):
        watch.on_train_batch_begin(progress.step)
        sums = train_step(batch, tf.constant(float(stop())))
        when = f"epoch {progress.epoch + 1}, step {progress.step + 1}"
        check_finite(sums, batch, strategy, data.names, when)
        watch.on_train_batch_end(progress.step, progress.count(sums))
        if sums["stop"]:
            raise Interrupted
        keeper.step(progress)
    seconds = time.monotonic() - begun
    share = 100 * wait.seconds / seconds
    logging.info("%.1f s, of which %.1f %% waiting for pictures", seconds, share)


def distributed(
    strategy: tf.distribute.Strategy, make: Callable[[Share], tf.data.Dataset]
) -> Iterator[Mapping]:
    """Yield batches for the strategy's devices, of what each worker makes of its share: for each of
    its devices one after another.

    Not by distribute_datasets_from_function: that reads each device's queue by a pipeline of its
    own, which is tuned while it is read; see pipeline.settled.
    """
    values = strategy.experimental_distribute_values_from_function
    local = strategy.experimental_local_results(values(lambda r: r.replica_id_in_sync_group))
    total = strategy.num_replicas_in_sync
    parts = iter(make((local[0] // len(local), total // len(local), total)))
    while group := list(itertools.islice(parts, len(local))):
        by_replica = dict(zip(local, group, strict=True))
        yield values(lambda r, part_of=by_replica: part_of[r.replica_id_in_sync_group])


class Wait:
    """The seconds that a loop waits for what comes next."""

    seconds = 0.0

    def counted(self, items: Iterable) -> Iterator:
        """Yield the same items."""
        iterator, end = iter(items), object()
        while True:
            asked = time.monotonic()
            item = next(iterator, end)
            self.seconds += time.monotonic() - asked
            if item is end:
                return
            yield item


def add(sums: dict[str, float], step_sums: Mapping) -> None:
    """Add a step's sums, but for what is no sum over samples."""
    for name, value in step_sums.items():
        if name != "stop":
            sums[name] = np.add(sums.get(name, 0.0), value).tolist()


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the means that sums over samples and their weight come to, the weight left out."""
    weight = sums["weight"]
    return {name: finish(name, value, weight) for name, value in sums.items() if name != "weight"}


def check_finite(sums: Mapping, batch: Mapping, strategy, names: Sequence[str], when: str) -> None:
    """Raise UsageError with the batch's pictures where its loss is not finite."""
    loss = sums["loss"]
    if not math.isfinite(loss):
        parts = strategy.experimental_local_results(batch["id"])
        ids = np.concatenate([part.numpy().ravel() for part in parts])
        pictures = ", ".join(dict.fromkeys(names[i] for i in ids))
        raise UsageError(f"the loss is {loss} in {when}; the pictures of its batch: {pictures}")


def evaluate(
    strategy, valid_step, make: Callable[[Share], tf.data.Dataset], stop=never
) -> dict[str, float]:
    """Return means over the samples of batches; Interrupted where a worker was asked to stop."""
    sums: dict[str, float] = {}
    for batch in distributed(strategy, make):
        step_sums = valid_step(batch, tf.constant(float(stop())))
        if step_sums["stop"]:
            raise Interrupted
        add(sums, step_sums)
    return means(sums)


def predict(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    make: Callable[[Share], tf.data.Dataset],
    prepare: Callable[[Mapping], Mapping],
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each sample's `id` and log-density (H, W, 1) float32 in nats, in the batches' order."""

    def replica(batch):
        batch = prepare(batch)
        outputs = model(inputs_of(model, batch), training=False)
        return log_density(outputs["logits"], batch["valid"]), batch["id"], batch["weight"]

    step = tf.function(lambda batch: strategy.run(replica, (batch,)))

    for batch in distributed(strategy, make):
        answer, ids, weight = (
            np.concatenate([part.numpy() for part in strategy.experimental_local_results(value)])
            for value in step(batch)
        )
        yield from ((int(i), a) for i, a, w in zip(ids, answer, weight, strict=True) if w > 0)
