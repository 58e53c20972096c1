"""The keys of a batch: how each gets from a sample into its row, and what devices make of it."""

import collections
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.samples import Sample
from formats.pictures.images import cleared, margins


@dataclass(frozen=True)
class Shown:
    """A picture in its row: the sample; `id`, what of the plan it is shown for; the (height, width)
    of the sample, that which it is fitted to, and that of the frame in whose middle it lies."""

    sample: Sample
    id: np.ndarray
    shape: tuple[int, int]
    target: tuple[int, int]
    size: tuple[int, int]

    @property
    def scale(self) -> np.ndarray:
        """Return by what x and y are multiplied when the picture is fitted."""
        return np.divide(self.target, self.shape)[::-1]

    @property
    def corner(self) -> np.ndarray:
        """Return the column and row of the frame in which the fitted picture begins."""
        return np.array(margins(self.target, self.size)[::-1])

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Return float32 x and y in the frame of points (..., 2) in pixels of the sample."""
        return np.float32(points * self.scale) + np.float32(self.corner)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return int32 columns and rows in the frame of points (..., 2) that lie on the sample:
        where formats.fixations.counts counts them."""
        place = np.floor(points * self.scale)
        return np.int32(np.minimum(place, np.subtract(self.target, 1)[::-1]) + self.corner)


@dataclass(frozen=True)
class Key:
    """What a batch holds under a name: here, numbers of each of a picture's samples.

    shape: of a row; dtype: as it travels; fill: what a row has where a sample gives nothing.
    make: gives a sample's part of its row; None where that is kept, see reading.make.
    """

    name: str
    shape: tuple[int, ...]
    make: Callable[[Shown], np.ndarray] | None = None
    dtype: type = np.float32
    fill: int = 0

    of_picture = False  # whether there is one of it a picture, however many samples that has

    def put(self, row: np.ndarray, values: np.ndarray) -> None:
        """Put a sample's part at the beginning of its row."""
        row[: len(values)] = values
        row[len(values) :] = self.fill

    @staticmethod
    def mirrored(values: tf.Tensor, flip: tf.Tensor, width: int) -> tf.Tensor:
        """Return the rows, those that `flip` names mirrored in a frame of that width."""
        return values


class Features(Key):
    """A frozen encoder's answer, which is not mirrored."""

    of_picture = True


class Grid(Key):
    """What lies on the frame, (H, W, c): the picture's part in the middle of it."""

    of_picture = True

    def put(self, row, values):
        cleared(row, values.shape, self.fill)[...] = values

    @staticmethod
    def mirrored(values, flip, width):
        return tf.where(flip[:, None, None, None], tf.reverse(values, [2]), values)


class Points(Key):
    """x and y in the frame, (..., 2): coordinates in floats, pixels' columns and rows in integers.

    A pixel is the width of 1 from its coordinate on: mirrored, x becomes width - x, and column c
    becomes width - 1 - c.
    """

    @staticmethod
    def mirrored(values, flip, width):
        flip = tf.reshape(flip, [-1, *[1] * (len(values.shape) - 2)])
        edge = width - 1 if values.dtype.is_integer else width
        x = tf.where(flip, edge - values[..., 0], values[..., 0])
        return tf.stack([x, values[..., 1]], -1)


# The kind of a key that bears a name, in every batch: of others a grid.
KINDS = collections.defaultdict(lambda: Grid)
KINDS |= {"id": Key, "weight": Key, "features": Features, "pixels": Points, "history": Points}


def prepare(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Make of a batch as it travels what models, losses and metrics take, on their device.

    Rows that `flip` (P,) names are mirrored, the whole frame of each: where padding is odd, the one
    column more is on its left then. Bytes become float32. `pixels`, columns and rows
    (P, M, 2) with -1 for none, become `fixations` (P, H, W, 1), counts. Where a picture has F
    samples, whose `weight` is (P, F), what is of samples, (P, F, ...), becomes (P F, ...), those of
    picture i in rows i F .. (i + 1) F, and so does `valid`.
    """
    size = batch["valid"].shape[1:3]
    rows = {
        name: KINDS[name].mirrored(values, batch["flip"], size[1])
        for name, values in batch.items()
        if name != "flip"
    }
    if len(batch["weight"].shape) > 1:
        rows = spread(rows)
    if "pixels" in rows:
        rows["fixations"] = scattered(rows.pop("pixels"), size)
    return {k: tf.cast(v, tf.float32) if v.dtype == tf.uint8 else v for k, v in rows.items()}


def spread(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Give each sample its row, in a batch of P pictures with F samples each."""
    pictures, group = batch["weight"].shape
    rows = {
        name: values if KINDS[name].of_picture else tf.reshape(values, [-1, *values.shape[2:]])
        for name, values in batch.items()
    }
    shape = batch["valid"].shape[1:]
    valid = tf.broadcast_to(batch["valid"][:, None], [pictures, group, *shape])
    return {**rows, "valid": tf.reshape(valid, [-1, *shape])}


def scattered(pixels: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Count how many of the pixels (N, M, 2), columns and rows, are each of a frame's: float32
    (N, H, W, 1); those whose row is -1 are nowhere."""
    (height, width), count = size, pixels.shape[0]
    column, row = tf.unstack(pixels, axis=-1)
    place = (tf.range(count)[:, None] * height + row) * width + column
    counted = tf.cast(row >= 0, tf.float32)
    place = tf.where(row >= 0, place, 0)
    # Whole numbers: sums are exact in whatever order a device adds them.
    total = tf.scatter_nd(place[..., None], counted, [count * height * width])
    return tf.reshape(total, [count, height, width, 1])
