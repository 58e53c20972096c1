"""Scanpath samples: a sample is one fixation, and the fixations before it come with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data.samples import Sample
from errors import UsageError
from formats.fixations import EARLIER, concatenate
from formats.pictures.images import margins


@dataclass(frozen=True, eq=False)
class Histories:
    """All fixations of some samples under one another; a row's place is the `id` in a batch.

    picture: (M,) int64, index of the sample, ascending.
    points: (M, 2) float64, x and y in pixels of the original stimulus.
    earlier: float32 (M, 4, 2), those before it in its scanpath, as Fixations.history.
    """

    picture: np.ndarray
    points: np.ndarray
    earlier: np.ndarray

    def fitted(self, ids: np.ndarray, shape: Sequence[int], target: Sequence[int]) -> np.ndarray:
        """float32 (F, 4, 2), the histories of fixations of one picture, of `shape` (height,
        width), in pixels of the same picture at `target`."""
        return np.float32(self.earlier[ids] * np.divide(target, shape)[::-1])

    def pixels(self, ids: np.ndarray, shape: Sequence[int], target: Sequence[int]) -> np.ndarray:
        """int32 (F, 2), the column and row that fixations of one picture have at `target`: where
        formats.fixations.counts counts them."""
        place = np.floor(self.points[ids] * np.divide(target, shape)[::-1])
        return np.int32(np.minimum(place, np.subtract(target, 1)[::-1]))


def gather(samples: Sequence[Sample]) -> Histories:
    """The fixations of all samples with their histories.

    Raises:
        UsageError: a sample has no fixations, or ones whose order is not known.
    """
    for sample in samples:
        if sample.table is None or (sample.table.scanpath < 0).any():
            raise UsageError(
                f"{sample.name}: the order of its fixations is not known; scanpaths need one that "
                "is, as in a fixations.hdf5 of FixationTrains"
            )
    rows = concatenate(sample.table for sample in samples)
    picture = np.repeat(np.arange(len(samples)), [len(sample.table) for sample in samples])
    points = np.stack([rows.x, rows.y], 1)
    return Histories(picture, points, rows.history)


def plan(
    found: Histories,
    shown: Mapping[str, np.ndarray],
    group: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    weigh: str = "images",
) -> dict[str, np.ndarray]:
    """What an epoch shows, in order: a row has a picture and `group` of its fixations.

    With a seed each picture once, its fixations drawn without repeats as a function of (seed,
    epoch); without one all fixations in order, in as many rows as they need. What is missing of
    a row is filled up with weight 0.

    Args:
        shown: the pictures in their order: `id` and `flip`, each (pictures,).
        weigh: what the rows of a picture weigh together: 1 (`images`) or the number of its
            fixations (`fixations`), however many of them are drawn.

    Returns:
        id (rows, group), places in `found`; weight (rows, group); flip (rows,).
    """
    order = np.arange(len(found.picture))
    if seed is not None:
        # A stream of its own: the pictures' order takes its numbers from (seed, epoch).
        order = np.lexsort(
            (np.random.default_rng([seed, epoch, 1]).random(len(order)), found.picture)
        )
    edges = np.searchsorted(found.picture, [shown["id"], shown["id"] + 1])
    rows = {"id": [], "weight": [], "flip": []}
    for first, last, flip in zip(*edges, shown["flip"], strict=True):
        mine = order[first : last if seed is None else min(last, first + group)]
        each = (last - first if weigh == "fixations" else 1) / max(len(mine), 1)
        for start in range(0, len(mine), group):
            part = mine[start : start + group]
            rows["id"].append(np.resize(part, group))
            rows["weight"].append(np.array(each * (np.arange(group) < len(part)), np.float32))
            rows["flip"].append(flip)
    return {key: np.array(values) for key, values in rows.items()}


def placed(shape, size: tuple[int, int], mirrored: bool, points: np.ndarray) -> np.ndarray:
    """Points of a fitted picture mirrored with it, and in its place in the frame.

    A pixel is the width of 1 from its coordinate on: mirrored, x becomes width - x, and column c
    becomes width - 1 - c.

    Args:
        shape: (height, width) of the fitted picture.
        points: (..., 2): coordinates x, y in floats, or pixels' columns and rows in integers.
    """
    corner = margins(shape, size)[::-1]
    if not mirrored:
        return points + np.asarray(corner, points.dtype)
    width = shape[1] - 1 if points.dtype.kind == "i" else shape[1]
    x = width - points[..., 0]
    return np.stack([x, points[..., 1]], -1) + np.asarray(corner, points.dtype)


def spread(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A batch of P pictures of F fixations each -> the same with N = P * F rows where a row is a
    fixation: history (N, 4, 2), weight (N,), id (N,), valid (N, H, W, 1), and, of each fixation's
    `pixel`, fixations (N, H, W, 1) that are 1 there."""
    count, height, width, _ = batch["valid"].shape
    group = batch["id"].shape[1]
    rows = {key: tf.reshape(batch[key], [count * group]) for key in ("id", "weight")}
    place = batch["pixel"][..., 1] * width + batch["pixel"][..., 0]
    frame = [count * group, height, width, 1]
    rows["fixations"] = tf.reshape(tf.one_hot(place, height * width), frame)
    rows["valid"] = tf.ensure_shape(tf.repeat(batch["valid"], group, axis=0), frame)
    rows["history"] = tf.reshape(batch["history"], [count * group, EARLIER, 2])
    return {key: value for key, value in {**batch, **rows}.items() if key != "pixel"}


def names(samples: Sequence[Sample]) -> list[str]:
    """What to call each scanpath sample, by its `id`: "1001.jpg, fixation 3"; counted from 1 in
    the sample's table."""
    return [f"{s.name}, fixation {n}" for s in samples for n in range(1, len(s.table) + 1)]
