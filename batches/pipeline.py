"""tf.data: an epoch's plan -> batches of fitted, mirrored, padded pictures and their truth."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tensorflow as tf

import storage
from batches import histories
from batches.reading import Features, Maker, Reader
from batches.store import Store
from data.samples import Sample
from errors import UsageError

AT_ONCE, AHEAD = min(storage.cores(), 8), 2  # batches in the making; those that wait, made
NOTHING: Mapping[str, Maker] = MappingProxyType({})


def plan(
    count: int, batch_size: int, *, seed: int | None = None, epoch: int = 0, flip: bool = False
) -> dict[str, np.ndarray]:
    """What an epoch shows, in order: sample `id`, `flip` and `weight`, each (steps * batch,).

    A function of (seed, epoch, index) alone, chosen before anything is read, so that a resumed
    run sees what an uninterrupted one does. Without a seed: in order, nothing mirrored.
    """
    steps = {"id": np.arange(count), "flip": np.zeros(count, bool)}
    if seed is not None:
        random = np.random.default_rng([seed, epoch])
        steps = {"id": random.permutation(count), "flip": flip & (random.random(count) < 0.5)}
    return filled({**steps, "weight": np.ones(count, np.float32)}, batch_size)


def filled(steps: Mapping[str, np.ndarray], batch_size: int) -> dict[str, np.ndarray]:
    """An epoch's rows, and after them as many of the first again, with weight 0, as the last
    batch lacks: every step has one shape."""
    count = len(steps["weight"])
    again = np.resize(np.arange(count), -count % batch_size)
    whole = {key: np.concatenate([rows, rows[again]]) for key, rows in steps.items()}
    whole["weight"][count:] = 0
    return whole


def parts(
    rows: Mapping[str, np.ndarray], batch_size: int, skip: int, share: tuple[int, int, int]
) -> dict[str, np.ndarray]:
    """An epoch's rows as the parts of batches that one of several workers computes, in order.

    Args:
        skip: so many batches were done before.
        share: which of how many workers, and how many devices they have together: each device
            computes an equal part of each batch, a worker's devices parts next to one another.
    """
    worker, workers, devices = share

    def part(values: np.ndarray) -> np.ndarray:
        each = values.reshape(
            -1, workers, devices // workers, batch_size // devices, *values.shape[1:]
        )
        return each[skip:, worker].reshape(-1, *each.shape[3:])

    return {key: part(values) for key, values in rows.items()}


def batches(
    samples: Sequence[Sample],
    size: tuple[int, int],
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    flip: bool = False,
    weigh: str = "images",
    maps: Mapping[str, Maker] = NOTHING,
    features: Features | None = None,
    group: int = 0,
    store: Store | None = None,
    skip: int = 0,
    share: tuple[int, int, int] = (0, 1, 1),
) -> tf.data.Dataset:
    """Batches of samples as dicts, in the order of `plan`, at the model's input size.

    Args:
        batch_size: B pictures; with a share, of all workers together.
        weigh: what counts the same: `images`, or `fixations`.
        maps: more keys, and what gives a sample's (h, w) where its picture is fitted to (h, w).
        features: gives the (h', w', C) that a batch has in place of the picture, which is then
            not even decoded.
        group: F > 0: a sample is a fixation, and each picture comes with F; see histories.plan.
        store: where fitted pictures and densities of these samples are kept; see `keep`.
        skip, share: see `parts`; a part of a batch is what comes at a time.

    Returns:
        image (B, H, W, 3) uint8 RGB, or features (B, h', w', C) float32; valid (B, H, W, 1) uint8
        1 on the picture, 0 on the padding; weight (B,); id (B,) index into samples; each of maps
        (B, H, W, 1), 0 on the padding; and where the samples know it: density (B, H, W, 1) summing
        to 1, fixations (B, H, W, 1) counts. Bytes become float32 on the device that computes.
        With a group no density, and N = B F rows, F for a picture, of valid, weight, id and
        fixations (1 at the one pixel), as histories.spread says, and history (N, 4, 2).

    Raises:
        UsageError: the fixations lack what is asked for; features are to be mirrored.
    """
    if features and flip:
        raise UsageError("features from the cache cannot be mirrored; train with --no-flip")
    steps = plan(len(samples), 1, seed=seed, epoch=epoch, flip=flip)
    found = histories.gather(samples) if group else None
    if found:
        steps = histories.plan(found, steps, group, seed=seed, epoch=epoch, weigh=weigh)
    elif weigh == "fixations":
        steps["weight"] *= numbers(samples)[steps["id"]]
    read = Reader(samples, size, maps, features, found, store)

    def load(rows):
        values = tf.numpy_function(read, [rows["id"], rows["flip"]], read.types)
        count = rows["id"].shape[:1]
        shaped = zip(read.names, values, strict=True)
        grids = {name: tf.ensure_shape(grid, count + read.shape(name)) for name, grid in shaped}
        return {"id": rows["id"], "weight": rows["weight"], **grids}

    rows = parts(filled(steps, batch_size), batch_size, skip, share)
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    dataset = dataset.map(load, num_parallel_calls=AT_ONCE, deterministic=True).prefetch(AHEAD)
    # Spread, a batch is many times as large: one of those waits, not many.
    dataset = dataset.map(histories.spread).prefetch(1) if found else dataset
    return dataset.with_options(settled())


def settled() -> tf.data.Options:
    """Nothing is tuned while a dataset is read: the thread that does it, in TensorFlow 2.21, often
    sleeps on when the last batch is read, and the end of an epoch waits for it, up to a minute."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def numbers(samples: Sequence[Sample]) -> np.ndarray:
    """float32, a number of fixations for each sample; UsageError where one has a map alone."""
    without = [sample.name for sample in samples if sample.table is None]
    if without:
        raise UsageError(
            f"--weigh fixations: {len(without)} stimuli have no fixations, only a map, first "
            f"'{without[0]}'; --weigh images"
        )
    return np.array([len(sample.table) for sample in samples], np.float32)
