"""What a batch is made of: rows of an epoch's plan -> arrays, from files, memory and the store."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from batches import histories
from batches.making import KINDS, make
from batches.store import Store
from batches.truth import keys, shape_of
from data.samples import Sample
from formats.fixations import counts
from formats.pictures.images import GREY, aligned, cleared, fitted, put

Maker = Callable[[Sample, int, int], np.ndarray]  # of a sample at (height, width)
Features = Callable[[Sample], np.ndarray]

LISTED = ("features", "history", "pixel")  # keys of a batch that are no grids of the frame


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
        found = {name: self.room(name, len(ids)) for name in self.names}
        for place, (row, flip) in enumerate(zip(ids, flips, strict=True)):
            frames = {name: found[name][place] for name in self.names if name not in LISTED}
            for name, values in self.row(row, flip, frames).items():
                found[name].append(values)
        return [np.stack(rows) if name in LISTED else rows for name, rows in found.items()]

    def room(self, name: str, count: int) -> np.ndarray | list:
        """What takes so many rows: frames (count, H, W, c), or a list."""
        if name in LISTED:
            return []
        kind = self.types[self.names.index(name)]
        return aligned((count, *self.shape(name)), np.dtype(kind.as_numpy_dtype))

    def row(self, ids: np.ndarray, flip: bool, frames: dict[str, np.ndarray]) -> dict:
        """Puts what one picture gives into its frames (H, W, c); returns what has none."""
        sample = self.samples[self.found.picture[ids[0]] if self.found else ids]
        shape = shape_of(sample)
        target = fitted(shape, self.size)
        inner = {
            name: cleared(frame, target, GREY if name == "image" else 0)
            for name, frame in frames.items()
        }
        made = self.made(sample, inner, straight=not flip and target[1] == self.size[1])
        made |= {name: grid(sample, *target)[..., None] for name, grid in self.maps.items()}
        if "fixations" in self.names and not self.found:
            made["fixations"] = counts(*sample.points.T, shape, target)[..., None]
        for name, grid in made.items():
            if grid is not inner[name]:
                put(inner[name], grid, flip)
        inner["valid"][...] = 1
        listed = {}
        if self.features:
            listed["features"] = np.asarray(self.features(sample), np.float32)
        if self.found:
            at = functools.partial(histories.placed, target, self.size, flip)
            listed["history"] = at(self.found.fitted(ids, shape, target))
            listed["pixel"] = at(self.found.pixels(ids, shape, target))
        return listed

    def made(self, sample: Sample, inner: dict[str, np.ndarray], straight: bool) -> dict:
        """What is kept of a sample; `straight`: it may be read right into its place."""
        if not self.store:
            return make(sample, self.size, self.kept)
        places = {name: inner[name] for name in self.kept}
        return self.store.read(sample, places if straight else None)
