"""What a strategy runs on each device: a step of training, of validation, of prediction."""

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from model.metrics.registry import METRICS
from model.networks.density import log_density


def make_steps(
    strategy: tf.distribute.Strategy,
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    losses: Mapping[str, float],
    metrics: Sequence[str],
    prepare: Callable[[Mapping], Mapping],
    accumulate: int = 1,
):
    """Return the training and the validation step: (distributed batch, stop) -> sums over samples.

    Per-sample losses are weighted, summed and divided by the weight of the whole global batch;
    the optimizer sums the replicas' gradients. What a step computes before the first layer that
    trains is not recorded. `learning_rate` is among a training step's sums. `stop`, a number of
    each worker, is summed too: what one of them asks for, all learn after the same step.

    prepare: makes of a batch as it travels what the network and the losses take, on the device.
    accumulate: in so many equal parts a device's part of a batch is computed, one after another.
    """
    measured = measuring(losses, metrics)

    def backward(batch, whole):
        batch = prepare(batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            values = [variable.value for variable in network.trainable_variables]
            tape.watch(values)
            terms = measured(batch, network(inputs_of(network, batch), training=True))
            loss = tf.reduce_sum(terms["loss"] * batch["weight"]) / whole
        return tape.gradient(loss, values), weighted(terms, batch["weight"])

    def train_replica(batch, stop):
        weight, variables = tf.reduce_sum(batch["weight"]), network.trainable_variables
        whole = tf.distribute.get_replica_context().all_reduce("SUM", weight)
        parts = in_parts(batch, accumulate)
        gradients, sums = summed(lambda part: backward(part, whole), parts)
        sums["learning_rate"] = tf.convert_to_tensor(optimizer.learning_rate) * weight
        optimizer.apply(clipped(gradients, optimizer.global_clipnorm), variables)
        return {**sums, "stop": stop}

    def valid_replica(batch, stop):
        batch = prepare(batch)
        outputs = network(inputs_of(network, batch), training=False)
        return {**weighted(measured(batch, outputs), batch["weight"]), "stop": stop}

    return reduced(strategy, train_replica), reduced(strategy, valid_replica)


def reduced(strategy: tf.distribute.Strategy, replica: Callable) -> Callable:
    """Return a function of what a function of each replica gives, summed over all of them: by name
    a number, or a list of them for a metric that is accumulated."""
    shapes = {}

    def joined(*arguments):
        values = replica(*arguments)
        shapes.update({name: value.shape for name, value in values.items()})
        return tf.concat([tf.reshape(value, [-1]) for value in values.values()], 0)

    @tf.function
    def step(*arguments):  # one vector: workers exchange it at once, and can reduce no dict
        return strategy.reduce("SUM", strategy.run(joined, arguments), axis=None)

    def sums(*arguments) -> dict:
        numbers = iter(step(*arguments).numpy().tolist())
        return {
            name: [next(numbers) for _ in range(shape[0])] if shape.rank else next(numbers)
            for name, shape in shapes.items()
        }

    return sums


def in_parts(batch: Mapping[str, tf.Tensor], count: int) -> dict[str, tf.Tensor]:
    """Return a batch of (B, ...) as (count, B / count, ...)."""
    return {
        key: tf.reshape(value, [count, value.shape[0] // count, *value.shape[1:]])
        for key, value in batch.items()
    }


def summed(function: Callable, parts: Mapping[str, tf.Tensor]):
    """Add up what a function gives for each of the parts; memory holds what one needs."""
    first = function({key: value[0] for key, value in parts.items()})
    if all(value.shape[0] == 1 for value in parts.values()):
        return first
    with tf.control_dependencies(tf.nest.flatten(first)):  # else two are in memory at once
        rest = {key: tf.identity(value[1:]) for key, value in parts.items()}
    return tf.foldl(
        lambda total, part: tf.nest.map_structure(tf.add, total, function(part)),
        rest,
        first,
        parallel_iterations=1,
    )


def measuring(losses: Mapping[str, float], metrics: Sequence[str]) -> Callable:
    """Return (batch, outputs) -> loss, its terms and metrics, one number per sample each."""
    names = list(dict.fromkeys([*losses, *metrics]))

    def measured(batch, outputs):
        batch = {**batch, "log_density": log_density(outputs["logits"], batch["valid"])}
        values = {name: METRICS[name].of_batch(batch) for name in names}
        return {"loss": sum(w * values[name] for name, w in losses.items()), **values}

    return measured


def weighted(values: Mapping, weight: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return values, (B,) or (B, K) each or a number for all, summed by weight; and its sum."""
    added = {n: tf.reduce_sum(tf.transpose(x) * weight, -1) for n, x in values.items()}
    return {**added, "weight": tf.reduce_sum(weight)}


def clipped(gradients: Sequence[tf.Tensor], norm: float | None) -> Sequence[tf.Tensor]:
    """Scale a replica's gradients such that the sum over replicas has at most this global norm.

    Keras clips each replica's before it sums them, so that two devices would train otherwise than
    one; these it finds short enough.
    """
    replicas = tf.distribute.get_replica_context()
    if not norm or replicas.num_replicas_in_sync == 1:
        return gradients
    whole, _ = tf.clip_by_global_norm(replicas.all_reduce("SUM", gradients), norm)
    return [gradient / replicas.num_replicas_in_sync for gradient in whole]


def inputs_of(model: keras.Model, batch: Mapping) -> dict:
    """Return what of a batch the model takes: its inputs bear the names of the batch's keys."""
    return {name: batch[name] for name in model.input}
