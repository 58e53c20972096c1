"""Pictures and densities as a model's input has them, made once and kept on disk for every epoch.

Rows by digest: of a picture, of the map that a density is, else of all that makes the density. So
runs, subsets, folds and corpora share them.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import tensorflow as tf
from absl import logging

from batches.making import KINDS, MAKE, resized
from batches.truth import shape_of, summing
from cache import Rows
from data.samples import Sample
from formats.pictures.images import fit, fitted
from formats.pictures.integrity import Seen, in_threads
from formats.pictures.looks import SMOOTH, Look

FOLDERS = {"image": "pictures", "density": "densities"}


class Store:
    """The fitted images (h, w, 3) uint8 and densities (h, w, 1) float32 of an input size, those of
    them that are named, in a folder of caches."""

    def __init__(self, cache: Path, size: tuple[int, int], names: Sequence[str] = (*KINDS,)):
        self.size = tuple(size)
        self.rows = {name: Rows(cache / FOLDERS[name] / folder(size)) for name in names}

    def fill(self, samples: Iterable[Sample]) -> None:
        """Make what was never written; what is damaged, `read` finds.

        Raises:
            UsageError: a picture cannot be read.
            OSError: the disk has no room, or cannot be written to.
        """
        for name in self.rows:
            self._fill(name, {key(name, s, self.target(s)): s for s in samples})

    def _fill(self, name: str, samples: Mapping[str, Sample]) -> None:
        rows = self.rows[name]
        targets = {digest: self.target(samples[digest]) for digest in rows.lacking(samples)}
        if not targets:
            return
        rows.check_room(sum(length(name, target) for target in targets.values()))
        logging.info("fitting %d %s to %dx%d", len(targets), FOLDERS[name], *self.size)

        def write(digest: str) -> None:
            rows.write(digest, MAKE[name](samples[digest], targets[digest]))

        for _ in in_threads(write, [*targets]):
            pass

    def read(self, sample: Sample, into: dict[str, np.ndarray] | None = None) -> dict:
        """Return a sample's arrays by name: those of `into`, each in one piece, or new ones.

        Raises:
            UsageError: a row is damaged, and so is the picture that it is made of.
        """
        target = self.target(sample)
        arrays = into or {name: np.empty((*target, d), t) for name, (t, d) in KINDS.items()}
        for name, rows in self.rows.items():
            make = partial(MAKE[name], sample, target)
            rows.get(key(name, sample, target), arrays[name], make)
        return {name: arrays[name] for name in self.rows}

    def taker(self, count: int) -> Callable[[Seen, np.ndarray], None] | None:
        """Return `take`, or None where so many pictures and maps of the full size have no room."""
        try:
            for name, rows in self.rows.items():
                rows.check_room(count * length(name, self.size))
        except OSError:  # which `fill` says, if it is so for those that are needed
            return None
        return self.take

    def take(self, seen: Seen, pixels: np.ndarray) -> None:
        """Write the row of a picture or of a blurred map that was decoded for another purpose."""
        target = fitted(seen.shape, self.size)
        if pixels.ndim == 3:
            self._add("image", seen.digest, lambda: fit(pixels, target))
        elif Look(*seen.shows).kind == SMOOTH:
            digest = of_map(seen.digest, target)
            self._add("density", digest, lambda: resized(summing(pixels), target))

    def _add(self, name: str, digest: str, make: Callable[[], np.ndarray]) -> None:
        rows = self.rows.get(name)
        with suppress(OSError):
            if rows and rows.lacking([digest]):
                rows.write(digest, make())

    def target(self, sample: Sample) -> tuple[int, int]:
        return fitted(shape_of(sample), self.size)


def folder(size: tuple[int, int]) -> str:
    """Return the name of a size's folder, which holds all that decides a row but its digest."""
    versions = hashlib.sha256(repr((PIL.__version__, tf.__version__)).encode()).hexdigest()
    return f"{size[0]}x{size[1]}-{versions[:8]}"


def length(name: str, shape: tuple[int, int]) -> int:
    """Return how many bytes a row of a shape has."""
    kind, depth = KINDS[name]
    return math.prod(shape) * depth * kind.itemsize


def key(name: str, sample: Sample, target: tuple[int, int]) -> str:
    """Return the digest of a sample's row; "" where it is not known."""
    if name == "image":
        return sample.digest
    if sample.density_map:
        return sample.map_digest and of_map(sample.map_digest, target)
    return sample.digest and sample.content


def of_map(digest: str, target: tuple[int, int]) -> str:
    """Return the digest of a map's density at (h, w): a map may be smaller than its picture, and
    be rounded to another shape."""
    return f"{digest}-{target[0]}x{target[1]}"


def keep(cache: Path, samples: Sequence[Sample], size: tuple[int, int], names) -> Store | None:
    """Return a store of what batches of samples are made of, filled; None where they are made of
    nothing that is kept, or the disk has no room.

    Args:
        names: of the batches' keys.

    Raises:
        UsageError: a picture cannot be read.
    """
    store = Store(cache, size, [name for name in KINDS if name in names])
    try:
        store.fill(samples)
    except OSError as error:
        logging.warning("%s: pictures are decoded in every epoch", error)
        return None
    return store if store.rows else None
