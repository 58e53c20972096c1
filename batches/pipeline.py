"""tf.data: an epoch's plan -> batches of fitted, padded pictures and their truth."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tensorflow as tf

import storage
from batches.free_viewing import FreeViewing
from batches.keys import Features, Grid, Key
from batches.order import filled, parts
from batches.reading import Reader
from batches.store import Store
from data.samples import Sample
from errors import UsageError
from formats.pictures.images import GREY

AT_ONCE, AHEAD = min(storage.cores(), 8), 2  # batches in the making; those that wait, made
Maker = Callable[[Sample, int, int], np.ndarray]  # of a sample at (height, width)
Encoded = Callable[[Sample], np.ndarray]
NOTHING: Mapping[str, Maker] = MappingProxyType({})


def batches(
    samples: Sequence[Sample],
    size: tuple[int, int],
    batch_size: int,
    *,
    task: type = FreeViewing,
    group: int = 1,
    seed: int | None = None,
    epoch: int = 0,
    flip: bool = False,
    weigh: str = "images",
    maps: Mapping[str, Maker] = NOTHING,
    features: Encoded | None = None,
    store: Store | None = None,
    skip: int = 0,
    share: tuple[int, int, int] = (0, 1, 1),
) -> tf.data.Dataset:
    """Return batches of samples as they travel to a device, where keys.prepare makes of them what
    models take; in the order of the task's plan, at the model's input size.

    Args:
        batch_size: B pictures; with a share, of all workers together.
        task: of batches.tasks.TASKS.
        group: how many of the task's samples come with each picture, where it may have several.
        weigh: what counts the same: `images`, or `fixations`.
        maps: more keys, and what gives a sample's (h, w) where its picture is fitted to (h, w).
        features: gives the (h', w', C) that a batch has in place of the picture, which is then
            not even decoded.
        store: where fitted pictures and densities of these samples are kept; see `keep`.
        skip, share: see `parts`; a part of a batch is what comes at a time.

    Returns:
        image (B, H, W, 3) uint8 RGB, or features (B, h', w', C) float32; valid (B, H, W, 1) uint8
        1 on the picture, 0 on the padding; each of maps (B, H, W, 1), 0 on the padding; flip (B,);
        weight and id of samples, (B,) or (B, group); and the keys of the task.

    Raises:
        UsageError: the samples lack what is asked for; features are to be mirrored.
    """
    if features and flip:
        raise UsageError("features from the cache cannot be mirrored; train with --no-flip")
    shown = task(samples, group)
    keys = [*seen(samples[0], size, maps, features), *shown.keys(size)]
    read, types = Reader(shown.sample, keys, size, store), [key.dtype for key in keys]

    def load(part):
        values = tf.numpy_function(read, [part["id"]], types)
        pairs = zip(keys, values, strict=True)
        return part | {
            k.name: tf.ensure_shape(v, (part["id"].shape[0], *k.shape)) for k, v in pairs
        }

    plan = filled(shown.plan(weigh, seed=seed, epoch=epoch, flip=flip), batch_size)
    dataset = tf.data.Dataset.from_tensor_slices(parts(plan, batch_size, skip, share))
    dataset = dataset.map(load, num_parallel_calls=AT_ONCE, deterministic=True).prefetch(AHEAD)
    return dataset.with_options(settled())


def seen(
    first: Sample, size: tuple[int, int], maps: Mapping[str, Maker], features: Encoded | None
) -> list[Key]:
    """Return the keys of what a network sees of a picture; `first`: one of the samples, of whose
    features those of all have the shape."""
    picture = Grid("image", (*size, 3), dtype=np.uint8, fill=GREY)
    if features:
        shape = features(first).shape
        picture = Features("features", shape, lambda shown: features(shown.sample))
    valid = Grid("valid", (*size, 1), lambda shown: np.ones((*shown.target, 1), np.uint8), np.uint8)
    return [picture, valid, *(mapped(name, size, make) for name, make in maps.items())]


def mapped(name: str, size: tuple[int, int], make: Maker) -> Key:
    """Return the key of a map that is made of a sample."""
    return Grid(name, (*size, 1), lambda shown: make(shown.sample, *shown.target)[..., None])


def settled() -> tf.data.Options:
    """Tune nothing while a dataset is read: the thread that does it, in TensorFlow 2.21, often
    sleeps on when the last batch is read, and the end of an epoch waits for it, up to a minute."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
