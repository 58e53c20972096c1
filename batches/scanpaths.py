"""Scanpaths: a sample is one fixation, and the fixations before it come with it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import numpy as np

from batches import order
from batches.keys import Key, Points, Shown
from data.samples import Sample
from errors import UsageError
from formats.fixations import EARLIER, concatenate


class Scanpaths:
    """See batches.tasks: a row shows a picture, and `group` of its fixations.

    rows: all fixations of the samples under one another; a row's place is the `id` in a batch.
    picture: (M,) int64, the index of each one's sample, ascending.

    Raises:
        UsageError: as `truth` has it.
    """

    drawn_by, label, conditional = "scanpaths", ", on the scanpath so far", True
    validated_by = 0  # the same fixations of each picture every time, not all of them

    def __init__(self, samples: Sequence[Sample], group: int):
        self.truth(samples)
        self.samples, self.group = samples, group
        self.rows = concatenate(sample.table for sample in samples)
        lengths = [len(sample.table) for sample in samples]
        self.picture = np.repeat(np.arange(len(samples)), lengths)

    def plan(
        self, weigh: str = "images", *, seed: int | None = None, epoch: int = 0, flip: bool = False
    ) -> dict[str, np.ndarray]:
        """Return what an epoch shows, in order: a row has a picture and `group` of its fixations.

        With a seed each picture once, its fixations drawn without repeats as a function of (seed,
        epoch); without one all fixations in order, in as many rows as they need. What is missing
        of a row is filled up with weight 0.

        Args:
            weigh: what the rows of a picture weigh together: 1 (`images`) or the number of its
                fixations (`fixations`), however many of them are drawn.

        Returns:
            id (rows, group), weight (rows, group), flip (rows,).
        """
        pictures = order.plan(len(self.samples), 1, seed=seed, epoch=epoch, flip=flip)
        drawn = self._drawn(seed, epoch)
        edges = np.searchsorted(self.picture, [pictures["id"], pictures["id"] + 1])
        rows = {"id": [], "weight": [], "flip": []}
        for first, last, mirrored in zip(*edges, pictures["flip"], strict=True):
            ids = drawn[first : last if seed is None else min(last, first + self.group)]
            weight = (last - first if weigh == "fixations" else 1) / max(len(ids), 1)
            for start in range(0, len(ids), self.group):
                part = ids[start : start + self.group]
                rows["id"].append(np.resize(part, self.group))
                rows["weight"].append(np.float32(weight * (np.arange(self.group) < len(part))))
                rows["flip"].append(mirrored)
        return {key: np.array(values) for key, values in rows.items()}

    def _drawn(self, seed: int | None, epoch: int) -> np.ndarray:
        """Return the places of all fixations, each picture's in the order they are shown in."""
        places = np.arange(len(self.picture))
        if seed is None:
            return places
        # A stream of its own: the pictures' order takes its numbers from (seed, epoch).
        chance = np.random.default_rng([seed, epoch, 1]).random(len(places))
        return np.lexsort((chance, self.picture))

    def sample(self, id: np.ndarray) -> Sample:
        return self.samples[self.picture[id[0]]]

    def keys(self, size: tuple[int, int]) -> list[Key]:
        """Return the keys of the fixations before each, and of each one's own pixel."""

        def history(shown: Shown) -> np.ndarray:
            return shown.placed(self.rows.history[shown.id])

        def pixels(shown: Shown) -> np.ndarray:
            points = np.stack([self.rows.x[shown.id], self.rows.y[shown.id]], -1)
            return shown.pixels(points)[:, None]

        return [
            Points("history", (self.group, EARLIER, 2), history),
            Points("pixels", (self.group, 1, 2), pixels, np.int32),
        ]

    def names(self) -> list[str]:
        """Return names such as "1001.jpg, fixation 3", counted from 1 in the picture's table."""
        return [f"{s.name}, fixation {n}" for s in self.samples for n in range(1, len(s.table) + 1)]

    @staticmethod
    def truth(samples: Sequence[Sample]) -> tuple[str, ...]:
        """Return fixations; UsageError where a sample has none, or none whose order is known."""
        for sample in samples:
            if sample.table is None or (sample.table.scanpath < 0).any():
                raise UsageError(
                    f"{sample.name}: the order of its fixations is not known; scanpaths need one "
                    "that is, as in a fixations.hdf5 of FixationTrains"
                )
        return ("fixations",)

    @staticmethod
    def asked(samples: Sequence[Sample]) -> Sequence[Sample]:
        return samples  # an answer depends on the fixations before it

    @staticmethod
    def answers(sample: Sample, frames: Iterator[np.ndarray]) -> Iterable[tuple]:
        """Return a frame a fixation; none of those that are not scored."""
        seen = [next(frames) for _ in range(len(sample.table))]
        scored = seen if sample.scored is None else compress(seen, sample.scored)
        return zip(scored, sample.points[:, None], strict=True)
