"""What a batch is made of: rows of an epoch's plan -> arrays, from files, memory and the store."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from batches.keys import Key, Shown
from batches.making import make
from batches.store import Store
from batches.truth import shape_of
from data.samples import Sample
from formats.pictures.images import aligned, cleared, fitted


@dataclass(frozen=True)
class Reader:
    """Read what a batch holds: the `id` of rows -> the arrays of the keys; `sample` gives the
    picture of a row."""

    sample: Callable[[np.ndarray], Sample]
    keys: Sequence[Key]
    size: tuple[int, int]
    store: Store | None

    def __call__(self, ids: np.ndarray) -> list[np.ndarray]:
        arrays = [aligned((len(ids), *key.shape), np.dtype(key.dtype)) for key in self.keys]
        for place, id in enumerate(ids):
            shown = self.shown(id)
            rows = [(key, array[place]) for key, array in zip(self.keys, arrays, strict=True)]
            self.put_stored(shown, [(key, row) for key, row in rows if not key.make])
            for key, row in rows:
                if key.make:
                    key.put(row, key.make(shown))
        return arrays

    def shown(self, id: np.ndarray) -> Shown:
        """Return a row's picture and its place in the frame."""
        sample = self.sample(id)
        shape = shape_of(sample)
        return Shown(sample, id, shape, fitted(shape, self.size), self.size)

    def put_stored(self, shown: Shown, rows: Sequence[tuple[Key, np.ndarray]]) -> None:
        """Put what `make` makes of a sample into its rows, from the store where there is one."""
        inner = {key.name: cleared(row, shown.target, key.fill) for key, row in rows}
        if self.store and shown.target[1] == self.size[1]:  # lies in one piece there
            self.store.read(shown.sample, inner)
            return
        made = functools.partial(make, size=self.size, names=inner)
        read = self.store.read if self.store else made
        for name, values in read(shown.sample).items():
            inner[name][...] = values
