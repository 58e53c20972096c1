"""tf.data: read -> decode -> fit -> augment -> batch -> prefetch."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data.decode import decode, decode_map
from data.fixations import blur, counts
from data.images import GREY, fit, fitted, pad, resize
from data.samples import Sample


def plan(
    count: int, batch_size: int, *, seed: int | None = None, epoch: int = 0, flip: bool = False
) -> dict[str, np.ndarray]:
    """What an epoch shows, in order: sample `id`, `flip` and `weight`, each (steps * batch,).

    A function of (seed, epoch, index) alone, chosen before anything is read, so that a resumed
    run sees what an uninterrupted one does. Without a seed: in order, nothing mirrored. The last
    batch is filled up with samples of weight 0, so that every step has one shape.
    """
    order = np.arange(count)
    mirrored = np.zeros(count, bool)
    if seed is not None:
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(count)
        mirrored = flip & (random.random(count) < 0.5)
    filling = -count % batch_size
    return {
        "id": np.concatenate([order, np.resize(order, filling)]),
        "flip": np.concatenate([mirrored, np.zeros(filling, bool)]),
        "weight": np.float32(np.r_[np.ones(count), np.zeros(filling)]),
    }


def batches(
    samples: Sequence[Sample],
    size: tuple[int, int],
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    flip: bool = False,
) -> tf.data.Dataset:
    """Batches of samples as dicts, in the order of `plan`, at the model's input size.

    Returns:
        image (B, H, W, 3) float32 RGB 0..255; valid (B, H, W, 1) 1 on the picture, 0 on the
        padding; weight (B,); id (B,) index into samples; and where the samples know it:
        density (B, H, W, 1) summing to 1, fixations (B, H, W, 1) counts.
    """
    steps = plan(len(samples), batch_size, seed=seed, epoch=epoch, flip=flip)
    truth = keys(samples)

    def load(step):
        types = [tf.int32, tf.uint8, *(tf.float32 for _ in truth)]
        read = tf.numpy_function(lambda i: arrays(samples[i], size, truth), [step["id"]], types)
        return step, dict(zip(("shape", "image", *truth), read, strict=True))

    # Reading runs Python, the rest does not: apart, they use all cores.
    dataset = tf.data.Dataset.from_tensor_slices(steps)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.map(
        lambda step, read: framed(step, size, **read),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Which truth all samples know: density, fixations."""
    known = []
    if all(s.density_map or s.points is not None for s in samples):
        known.append("density")
    if all(s.points is not None for s in samples):
        known.append("fixations")
    return tuple(known)


def arrays(sample: Sample, size: tuple[int, int], truth: Sequence[str]) -> list[np.ndarray]:
    """What a sample's files hold: the (height, width) that fits `size`, the picture (h, w, 3)
    uint8, and each truth in float32: the density at its own shape, the counts of fixations at the
    fitted one, since coordinates can be scaled and maps of points can not."""
    image = decode(sample.stimulus)
    shape = image.shape[:2]
    target = fitted(shape, size)
    makers = {
        "density": lambda: density(sample, shape),
        "fixations": lambda: counts(*sample.points.T, shape, target),
    }
    return [np.int32(target), image, *(np.float32(makers[key]()) for key in truth)]


def density(sample: Sample, shape: tuple[int, int]) -> np.ndarray:
    """The empirical density at the stimulus' own shape (or its map's), summing to 1."""
    if sample.density_map:
        levels = decode_map(sample.density_map)
    else:
        levels = blur(counts(*sample.points.T, shape), sample.sigma)
    total = levels.sum()
    return levels / total if total > 0 else np.full(levels.shape, 1 / levels.size)


def framed(step: dict, size: tuple[int, int], shape, image, **truth) -> dict:
    """One sample of the batch: picture and truth fitted, mirrored and padded together."""
    shape = tf.ensure_shape(shape, (2,))
    image = fit(tf.ensure_shape(image, (None, None, 3)), shape)
    maps = {key: tf.ensure_shape(grid, (None, None))[..., None] for key, grid in truth.items()}
    if "density" in maps:
        smooth = tf.nn.relu(resize(maps["density"], shape))  # bicubic may undershoot
        maps["density"] = smooth / tf.reduce_sum(smooth)
    maps["valid"] = tf.ones([*tf.unstack(shape), 1])

    def place(picture, value=0):
        turned = tf.cond(step["flip"], lambda: tf.reverse(picture, [1]), lambda: picture)
        return pad(turned, size, value)

    sample = {key: place(grid) for key, grid in maps.items()}
    sample["image"] = tf.cast(place(image, GREY), tf.float32)
    return {**sample, "id": step["id"], "weight": step["weight"]}


def truth(sample: Sample) -> dict[str, np.ndarray]:
    """All that is known of a sample, at its stimulus' own shape (height, width), in float64.

    Returns:
        density summing to 1 and its logarithm, log_density, finite; fixations, counts, where
        there are some; true_log_density where the true density is known.
    """
    known = density(sample, sample.shape)
    if known.shape != sample.shape:
        known = tf.nn.relu(resize(known[..., None], sample.shape)).numpy()[..., 0]
    known = np.float64(known) / np.sum(known, dtype=np.float64)
    found = {"density": known, "log_density": np.log(known + 1e-20)}
    if sample.points is not None:
        found["fixations"] = counts(*sample.points.T, sample.shape)
    if sample.truth:
        found["true_log_density"] = np.load(sample.truth).astype(np.float64)
    return found


def relative_points(samples: Sequence[Sample]) -> list[np.ndarray]:
    """Each sample's (M, 2) fixations as fractions of width and height; where it has a map alone,
    100 points drawn from that."""
    random = np.random.default_rng(0)
    parts = []
    for sample in samples:
        points, shape = sample.points, sample.shape
        if points is None:
            known = np.float64(density(sample, sample.shape))
            pixels = random.choice(known.size, 100, p=known.ravel() / known.sum())
            shape = known.shape
            points = np.stack(np.divmod(pixels, shape[1])[::-1], 1) + 0.5
        parts.append(points / shape[::-1])
    return parts
