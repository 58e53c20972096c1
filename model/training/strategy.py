"""Which tf.distribute strategy: a TPU, a cluster's workers, or the devices of this machine."""

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from absl import logging

from errors import Ended, UsageError
from model.training import cluster
from model.training.cluster import Cluster

# An INTERNAL error would be a fault of ours: workers that do not do the same.
GONE = (tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError)
TPU_NAMES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")  # where TensorFlow itself looks


class WorkerLost(Ended):
    """Another worker is gone, and a step with it."""


def choose(kind: str, batch_size: int, devices: int = 0) -> tf.distribute.Strategy:
    """Return the strategy of a kind, to be called before anything else touches a device.

    `auto` takes `tpu` where there is one, `workers` where TF_CONFIG or SLURM names several tasks,
    else `mirrored`: as many GPUs of this machine as asked for or all that share a batch evenly,
    without one logical CPUs. `one` is a mirror of one device: there is one way to train.

    Raises:
        UsageError: what was asked for is not there, or does not share the batch evenly.
    """
    if kind == "tpu" or (kind == "auto" and tpu_name()):
        return tpu(tpu_name() or "local", batch_size)
    if kind in ("auto", "workers") and (tasks := cluster.find()):
        return workers(tasks, batch_size, devices)
    if kind == "workers":
        raise UsageError(
            "--strategy workers: neither TF_CONFIG nor SLURM names several tasks; python main.py "
            "launch --workers 2 -- train ... starts two on this machine"
        )
    if kind == "one" and devices > 1:
        raise UsageError(f"--devices {devices}: --strategy one has one")
    return mirrored(batch_size, 1 if kind == "one" else devices)


def mirrored(batch_size: int, devices: int = 0) -> tf.distribute.MirroredStrategy:
    """Return the strategy over devices of this machine, one included."""
    gpus = local_gpus(devices)
    share(batch_size, devices or 1, "devices")
    if not gpus:
        return over(tuple(logical_cpus(devices or 1)))
    sharing = [count for count in range(1, len(gpus) + 1) if batch_size % count == 0]
    return over(tuple(f"GPU:{i}" for i in range(devices or sharing[-1])))


@functools.cache  # a second one would reduce under the first one's keys, and refuse other shapes
def over(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """Return the strategy over devices, one for all stages and folds of a process."""
    return tf.distribute.MirroredStrategy(devices)


def local_gpus(devices: int) -> list:
    """Return the GPUs of this machine, with memory left to others until it is needed; UsageError
    where there are some, but fewer than asked for."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and devices > len(gpus):
        raise UsageError(f"--devices {devices}: this machine has {len(gpus)} GPUs; 0 takes all")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return gpus


def share(batch_size: int, count: int, what: str) -> None:
    """Raise UsageError where a replica would have no sample, or more than others."""
    if batch_size % count:
        raise UsageError(
            f"--batch-size {batch_size}: {count} {what} share it, it must be a multiple of that"
        )


def logical_cpus(count: int) -> list[str]:
    """Return the names of `count` logical devices of the CPU."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    configured = tf.config.get_logical_device_configuration(cpu)
    if len(configured or [None]) < count:
        tf.config.set_logical_device_configuration(cpu, parts)
    return [f"CPU:{i}" for i in range(count)]


def workers(tasks: Cluster, batch_size: int, devices: int) -> tf.distribute.Strategy:
    """Return the strategy over a cluster, of whose workers each has as many GPUs, or its CPU.

    Raises:
        UsageError: they do not share the batch evenly, or do not come together.
    """
    visible = local_gpus(0)
    count = len(visible) // tasks.parts
    gpus = visible[tasks.part * count : (tasks.part + 1) * count] or visible
    if devices > max(1, len(gpus)):
        has = f"{len(gpus)} GPUs" if gpus else "one CPU"
        raise UsageError(f"--devices {devices}: a worker here has {has}; 0 takes all")
    count = devices or len(gpus) or 1
    total = len(tasks.addresses)
    share(batch_size, count * total, f"devices of {total} workers" if count > 1 else "workers")
    return join(tasks, tuple(gpus[:count]))


@functools.cache  # a process can join once; stages and folds go on in the same cluster
def join(tasks: Cluster, gpus: tuple) -> tf.distribute.Strategy:
    """Start this worker's server; wait until all workers have, an hour at most: TensorFlow's
    measure, in which SIGTERM and Ctrl-C do nothing."""
    if gpus:
        tf.config.set_visible_devices(list(gpus), "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(tasks.spec()),
        task_type=tasks.job,
        task_id=tasks.index,
        num_accelerators={"GPU": len(gpus)},
        rpc_layer="grpc",
    )
    name = f"{tasks.job} {tasks.index} at {tasks.address}"
    others = ", ".join(address for address in tasks.addresses if address != tasks.address)
    logging.info("this is %s; it waits up to an hour for %s", name, others)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        why = error.message.strip().splitlines()[0]
        raise UsageError(f"{name} does not meet the other workers: {why}") from None
    # All have as many batches: whether another has one more is not to be asked at each.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def agree(strategy: tf.distribute.Strategy, facts: str) -> None:
    """Raise UsageError where the workers of a strategy do not set out with the same facts."""
    workers = strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)
    number = int.from_bytes(hashlib.sha256(facts.encode()).digest()[:6], "big")
    if (
        workers > 1
        and strategy.reduce("SUM", tf.constant(number, tf.int64), axis=None) != workers * number
    ):
        raise UsageError(
            "the workers do not set out alike: all need the same flags and pictures, and a folder "
            "--results that they share"
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes."""
    return strategy.extended.should_checkpoint


@contextmanager
def lost_workers() -> Iterator[None]:
    """Raise WorkerLost for what TensorFlow raises inside where another worker is gone.

    A killed one is noticed within seconds, one whose machine stands still or is cut off when its
    heartbeats have been away for 10 s, which is TensorFlow's measure. Variables may be half
    updated: nothing is to be saved then.
    """
    try:
        yield
    except GONE as error:
        if "Collective ops is aborted" not in error.message:
            raise
        silent = "heartbeat" in error.message.lower()
        why = "its heartbeats stay away" if silent else "its connection broke"
        raise WorkerLost(f"another worker is gone, {why}; what was saved last stays") from error


def tpu_name() -> str | None:
    """Return the TPU that the environment names, `local` for one of this machine."""
    named = next(filter(None, map(os.environ.get, TPU_NAMES)), None)
    return named or ("local" if tf.config.list_physical_devices("TPU") else None)


def tpu(name: str, batch_size: int) -> tf.distribute.TPUStrategy:
    """Return the strategy over a TPU's cores.

    Raises:
        UsageError: no TPU answers to the name, or its cores do not share the batch evenly.
    """
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(name)
    except (tf.errors.OpError, OSError, RuntimeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split()).partition(". ")[0]
        raise UsageError(f"--strategy tpu, or TPU_NAME: no TPU {name!r}: {why}") from None
    strategy = tf.distribute.TPUStrategy(resolver)
    share(batch_size, strategy.num_replicas_in_sync, "TPU cores")
    return strategy
