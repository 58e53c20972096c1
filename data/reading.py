"""What a batch is made of: rows of an epoch's plan -> arrays, from files, memory and the store."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from data import histories
from data.decode import decode
from data.fixations import counts
from data.images import GREY, fit, fitted, pad, resize
from data.samples import Sample
from data.store import KINDS, Store
from data.truth import density, keys, shape_of

Maker = Callable[[int, int], np.ndarray]  # of (height, width) to an array of that shape
Features = Callable[[Sample], np.ndarray]


@dataclass(frozen=True)
class Reader:
    """What a batch holds: the rows' `id` and `flip` -> the arrays of `names`, of `types`."""

    samples: Sequence[Sample]
    size: tuple[int, int]
    maps: Mapping[str, Maker]
    features: Features | None
    found: histories.Histories | None
    store: Store | None

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        truth = ("history", "pixel") if self.found else keys(self.samples)
        return ("features" if self.features else "image", "valid", *truth, *self.maps)

    @functools.cached_property
    def kept(self) -> list[str]:
        return [name for name in self.names if name in KINDS]

    @property
    def types(self) -> list[tf.DType]:
        others = {"image": tf.uint8, "valid": tf.uint8, "pixel": tf.int32}
        return [others.get(name, tf.float32) for name in self.names]

    def shape(self, name: str) -> tuple[int | None, ...]:
        """A row's shape."""
        if name == "features":
            return self.depth
        if name in ("history", "pixel"):
            return (None, *(histories.EARLIER, 2)[name == "pixel" :])
        return (*self.size, 3 if name == "image" else 1)

    @functools.cached_property
    def depth(self) -> tuple[int, ...]:
        """The shape of features, the same for all pictures, since all have one frame."""
        return self.features(self.samples[0]).shape

    def __call__(self, ids: np.ndarray, flips: np.ndarray) -> list[np.ndarray]:
        rows = [self.row(*row) for row in zip(ids, flips, strict=True)]

        def together(name: str) -> np.ndarray:
            grids = [row[name] for row in rows]
            if name in ("features", "history", "pixel"):
                return np.stack(grids)
            return pad(grids, self.size, flips, GREY if name == "image" else 0)

        return [together(name) for name in self.names]

    def row(self, ids: np.ndarray, flip: bool) -> dict[str, np.ndarray]:
        """What one picture gives, fitted: grids (h, w, c) as they are, the rest in its place."""
        sample = self.samples[self.found.picture[ids[0]] if self.found else ids]
        shape = shape_of(sample)
        target = fitted(shape, self.size)
        made = self.store.read(sample) if self.store else make(sample, self.size, self.kept)
        made["valid"] = everywhere(*target)
        for key, grid in self.maps.items():
            made[key] = grid(*target)[..., None]
        if self.features:
            made["features"] = np.asarray(self.features(sample), np.float32)
        if self.found:
            at = functools.partial(histories.placed, target, self.size, flip)
            made["history"] = at(self.found.fitted(ids, shape, target))
            made["pixel"] = at(self.found.pixels(ids, shape, target))
        elif "fixations" in self.names:
            made["fixations"] = np.float32(counts(*sample.points.T, shape, target))[..., None]
        return made


@functools.lru_cache(maxsize=64)
def everywhere(height: int, width: int) -> np.ndarray:
    """What is valid of a picture."""
    return np.ones((height, width, 1), np.uint8)


def remembered(maps: Mapping[str, Maker]) -> dict[str, Maker]:
    """The same in float32, made once for each of the last shapes."""

    def float32(make: Maker) -> Maker:
        return functools.lru_cache(maxsize=64)(lambda *shape: np.float32(make(*shape)))

    return {key: float32(make) for key, make in maps.items()}


def keep(folder: Path, samples: Sequence[Sample], size: tuple[int, int], names) -> Store | None:
    """A store of what batches of samples are made of, filled; None where the disk has no room.

    Args:
        names: of the batches' keys; what of KINDS is among them is kept.

    Raises:
        UsageError: a picture cannot be read.
    """
    kept = [name for name in KINDS if name in names]
    if not kept:
        return None
    try:
        store = Store(folder, samples, size, kept)
        store.fill(functools.partial(make, size=size, names=kept))
    except OSError as error:
        logging.warning("%s: pictures are decoded in every epoch", error)
        return None
    return store


def make(sample: Sample, size: tuple[int, int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """A sample as it is kept, fitted to (h, w): image (h, w, 3) uint8, density (h, w, 1) float32
    summing to 1; those of them that are named."""
    shape = shape_of(sample)
    target = fitted(shape, size)
    found = {}
    if "image" in names:
        found["image"] = fit(decode(sample.stimulus, target), target)
    if "density" in names:
        smooth = resize(np.float32(density(sample, shape))[..., None], target)
        smooth = np.maximum(smooth, 0)  # bicubic may undershoot
        found["density"] = smooth / smooth.sum()
    return found
