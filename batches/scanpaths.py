"""Scanpaths: a sample is one fixation, and the fixations before it come with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from batches import order
from batches.keys import Key, Points, Shown
from data.samples import Sample
from errors import UsageError
from formats.fixations import EARLIER, concatenate


@dataclass(frozen=True, eq=False)
class Fixations:
    """Rows of a batch that show a picture each, and `group` of its fixations.

    All fixations of the samples lie under one another; a row's place is the `id` in a batch:
    picture: (M,) int64, index of the sample, ascending.
    points: (M, 2) float64, x and y in pixels of the original stimulus.
    earlier: float32 (M, 4, 2), those before it in its scanpath, as Fixations.history.
    """

    samples: Sequence[Sample]
    group: int
    picture: np.ndarray
    points: np.ndarray
    earlier: np.ndarray

    def plan(
        self, weigh: str = "images", *, seed: int | None = None, epoch: int = 0, flip: bool = False
    ) -> dict[str, np.ndarray]:
        """What an epoch shows, in order: a row has a picture and `group` of its fixations.

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
        """The places of all fixations, within each picture in the order that they are shown in."""
        places = np.arange(len(self.picture))
        if seed is None:
            return places
        # A stream of its own: the pictures' order takes its numbers from (seed, epoch).
        chance = np.random.default_rng([seed, epoch, 1]).random(len(places))
        return np.lexsort((chance, self.picture))

    def sample(self, id: np.ndarray) -> Sample:
        return self.samples[self.picture[id[0]]]

    def keys(self, size: tuple[int, int]) -> list[Key]:
        """The fixations before each, and each one's own pixel."""

        def history(shown: Shown) -> np.ndarray:
            return shown.placed(self.earlier[shown.id])

        def pixels(shown: Shown) -> np.ndarray:
            return shown.pixels(self.points[shown.id])[:, None]

        return [
            Points("history", (self.group, EARLIER, 2), history),
            Points("pixels", (self.group, 1, 2), pixels, np.int32),
        ]


def gather(samples: Sequence[Sample], group: int) -> Fixations:
    """The fixations of all samples with their histories; UsageError as `truth` has it."""
    truth(samples)
    rows = concatenate(sample.table for sample in samples)
    picture = np.repeat(np.arange(len(samples)), [len(sample.table) for sample in samples])
    points = np.stack([rows.x, rows.y], 1)
    return Fixations(samples, group, picture, points, rows.history)


def truth(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Which truth samples know: fixations.

    Raises:
        UsageError: a sample has no fixations, or ones whose order is not known.
    """
    for sample in samples:
        if sample.table is None or (sample.table.scanpath < 0).any():
            raise UsageError(
                f"{sample.name}: the order of its fixations is not known; scanpaths need one that "
                "is, as in a fixations.hdf5 of FixationTrains"
            )
    return ("fixations",)


def names(samples: Sequence[Sample]) -> list[str]:
    """What to call each sample, by its `id`: "1001.jpg, fixation 3"; counted from 1 in the table
    of the picture."""
    return [f"{s.name}, fixation {n}" for s in samples for n in range(1, len(s.table) + 1)]


def asked(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples: an answer depends on the fixations before it."""
    return samples


def answers(sample: Sample, frames: Iterator[np.ndarray]) -> Iterable[tuple]:
    """The next frames, one a fixation, and the fixation (1, 2) that each answers for; none of those
    that are not scored."""
    seen = [next(frames) for _ in range(len(sample.table))]
    scored = seen if sample.scored is None else compress(seen, sample.scored)
    return zip(scored, sample.points[:, None], strict=True)
