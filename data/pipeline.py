"""tf.data: read -> decode -> fit -> augment -> batch -> prefetch."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from config import UsageError
from data import histories
from data.decode import decode, decode_map
from data.fixations import blur, counts
from data.images import GREY, fit, fitted, pad, resize
from data.samples import Sample

Maker = Callable[[int, int], np.ndarray]  # of (height, width) to an array of that shape
Features = Callable[[Sample], np.ndarray]
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
) -> tf.data.Dataset:
    """Batches of samples as dicts, in the order of `plan`, at the model's input size.

    Args:
        batch_size: B pictures.
        weigh: what counts the same: `images`, or `fixations`.
        maps: more keys, and what gives their (h, w) where a picture is fitted to (h, w).
        features: gives the (h', w', C) that a batch has in place of the picture, which is then
            not even decoded.
        group: F > 0: a sample is a fixation, and each picture comes with F; see histories.plan.

    Returns:
        image (B, H, W, 3) float32 RGB 0..255, or features (B, h', w', C) float32; valid
        (B, H, W, 1) 1 on the picture, 0 on the padding; weight (B,); id (B,) index into samples;
        each of maps (B, H, W, 1), 0 on the padding; and where the samples know it: density
        (B, H, W, 1) summing to 1, fixations (B, H, W, 1) counts.
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
    read = Reader(samples, size, remembered(maps), features, found)

    def load(step):
        values = tf.numpy_function(read, [step["id"]], read.types)
        return step, dict(zip(read.names, values, strict=True))

    # Reading runs Python, the rest does not: apart, they use all cores.
    dataset = tf.data.Dataset.from_tensor_slices(filled(steps, batch_size))
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.map(
        lambda step, values: framed(step, size, read.depth, **values),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    # Spread, a batch is many times as large: one of those waits, not many.
    return dataset.map(histories.spread).prefetch(1) if found else dataset


def remembered(maps: Mapping[str, Maker]) -> dict[str, Maker]:
    """The same in float32, made once for each of the last shapes."""

    def float32(make: Maker) -> Maker:
        return functools.lru_cache(maxsize=64)(lambda *shape: np.float32(make(*shape)))

    return {key: float32(make) for key, make in maps.items()}


def numbers(samples: Sequence[Sample]) -> np.ndarray:
    """float32, a number of fixations for each sample; UsageError where one has a map alone."""
    without = [sample.name for sample in samples if sample.table is None]
    if without:
        raise UsageError(
            f"--weigh fixations: {len(without)} stimuli have no fixations, only a map, first "
            f"'{without[0]}'; --weigh images"
        )
    return np.float32([len(sample.table) for sample in samples])


def keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Which truth all samples know: density, fixations."""
    known = []
    if all(s.density_map or s.points is not None for s in samples):
        known.append("density")
    if all(s.points is not None for s in samples):
        known.append("fixations")
    return tuple(known)


@dataclass(frozen=True)
class Reader:
    """What the files of a row hold: its `id` -> the arrays of `names`."""

    samples: Sequence[Sample]
    size: tuple[int, int]
    maps: Mapping[str, Maker]
    features: Features | None
    found: histories.Histories | None

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        truth = ("history", "pixel") if self.found else keys(self.samples)
        return ("shape", "features" if self.features else "image", *truth, *self.maps)

    @property
    def types(self) -> list[tf.DType]:
        others = {"shape": tf.int32, "image": tf.uint8, "pixel": tf.int32}
        return [others.get(name, tf.float32) for name in self.names]

    @functools.cached_property
    def depth(self) -> tuple[int, ...] | None:
        """The shape of features, the same for all pictures, since all have one frame."""
        return self.features(self.samples[0]).shape if self.features else None

    def __call__(self, ids: np.ndarray) -> list[np.ndarray]:
        """The (height, width) that fits `size`; the picture (h, w, 3) uint8 or its features; and
        in float32 the density at its own shape, the rest at the fitted one, since coordinates can
        be scaled and maps of points can not."""
        sample = self.samples[self.found.picture[ids[0]] if self.found else ids]
        image = None if self.features else decode(sample.stimulus)
        shape = sample.shape if image is None else image.shape[:2]
        target = fitted(shape, self.size)
        makers = {
            "shape": lambda: np.int32(target),
            "image": lambda: image,
            "features": lambda: np.asarray(self.features(sample), np.float32),
            "density": lambda: np.float32(density(sample, shape)),
            "fixations": lambda: np.float32(counts(*sample.points.T, shape, target)),
            "history": lambda: self.found.fitted(ids, shape, target),
            "pixel": lambda: self.found.pixels(ids, shape, target),
            **{key: functools.partial(make, *target) for key, make in self.maps.items()},
        }
        return [makers[name]() for name in self.names]


def density(sample: Sample, shape: tuple[int, int]) -> np.ndarray:
    """The empirical density at the stimulus' own shape (or its map's), summing to 1."""
    if sample.density_map:
        levels = decode_map(sample.density_map)
    else:
        levels = blur(counts(*sample.points.T, shape), sample.sigma)
    total = levels.sum()
    return levels / total if total > 0 else np.full(levels.shape, 1 / levels.size)


def framed(step: dict, size: tuple[int, int], depth, shape, **read) -> dict:
    """A row of a batch: what was read, fitted, mirrored and padded together."""
    shape = tf.ensure_shape(shape, (2,))
    row = {"id": step["id"], "weight": step["weight"]}

    def place(picture, value=0):
        turned = tf.cond(step["flip"], lambda: tf.reverse(picture, [1]), lambda: picture)
        return pad(turned, size, value)

    if "image" in read:
        image = fit(tf.ensure_shape(read.pop("image"), (None, None, 3)), shape)
        row["image"] = tf.cast(place(image, GREY), tf.float32)
    else:
        row["features"] = tf.ensure_shape(read.pop("features"), depth)
    if "history" in read:
        parts = (read.pop(key) for key in ("history", "pixel"))
        row |= histories.placed(step["flip"], shape, size, *parts)
    maps = {key: tf.ensure_shape(grid, (None, None))[..., None] for key, grid in read.items()}
    if "density" in maps:
        smooth = tf.nn.relu(resize(maps["density"], shape))  # bicubic may undershoot
        maps["density"] = smooth / tf.reduce_sum(smooth)
    maps["valid"] = tf.ones([*tf.unstack(shape), 1])
    return {**row, **{key: place(grid) for key, grid in maps.items()}}


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


def shuffled(samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """The negatives of sAUC, by pysaliency: gives for a sample the float64 (height, width) counts,
    at its stimulus' shape, of the fixations on all others, scaled to it, repeats kept.

    All samples need fixations.
    """
    x, y = np.concatenate([sample.points for sample in samples]).T
    lengths = [len(sample.table) for sample in samples]
    heights, widths = np.repeat([sample.shape for sample in samples], lengths, axis=0).T
    names = {sample.name for sample in samples}

    @functools.lru_cache(maxsize=8)  # a corpus may have hundreds of shapes, each of megabytes
    def total(height: int, width: int) -> np.ndarray:
        # The product of a coordinate just inside may round up to the edge.
        column = np.minimum(x * (width / widths), np.nextafter(width, 0))
        row = np.minimum(y * (height / heights), np.nextafter(height, 0))
        return counts(column, row, (height, width))

    def others(sample: Sample) -> np.ndarray:
        own = counts(*sample.points.T, sample.shape) if sample.name in names else 0
        return total(*sample.shape) - own

    return others
