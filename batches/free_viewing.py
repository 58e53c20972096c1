"""Free viewing: a sample is a picture, and all that was looked at in it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batches import order
from batches.keys import Grid, Key, Points, Shown
from data.samples import Sample
from errors import UsageError
from formats.fixations import inside


@dataclass(frozen=True)
class FreeViewing:
    """See batches.tasks."""

    samples: Sequence[Sample]
    group: int = 1

    drawn_by, label, conditional, validated_by = "test", "", False, None

    def plan(self, weigh: str = "images", **options) -> dict[str, np.ndarray]:
        """Return what an epoch shows, by order.plan.

        weigh: what counts the same: `images`, or `fixations`, which all samples must have then.
        """
        rows = order.plan(len(self.samples), 1, **options)
        if weigh == "fixations":
            rows["weight"] *= numbers(self.samples)[rows["id"]]
        return rows

    def sample(self, id: int) -> Sample:
        return self.samples[id]

    def keys(self, size: tuple[int, int]) -> list[Key]:
        truth = self.truth(self.samples)
        keys = [Grid("density", (*size, 1))] if "density" in truth else []
        if "fixations" in truth:
            most = max((len(sample.points) for sample in self.samples), default=0)
            keys.append(Points("pixels", (most, 2), pixels, np.int32, -1))
        return keys

    def names(self) -> list[str]:
        return [sample.name for sample in self.samples]

    @staticmethod
    def truth(samples: Sequence[Sample]) -> tuple[str, ...]:
        pointed = all(s.points is not None for s in samples)
        dense = all(s.density_map or s.points is not None for s in samples)
        return ("density",) * dense + ("fixations",) * pointed

    @staticmethod
    def asked(samples: Sequence[Sample]) -> list[Sample]:
        return [sample.bare() for sample in samples]

    @staticmethod
    def answers(sample: Sample, frames: Iterator[np.ndarray]) -> Iterable[tuple]:
        return [(next(frames), None)]


def pixels(shown: Shown) -> np.ndarray:
    """Return where the fixations on a picture are counted, int32 (M, 2)."""
    points = shown.sample.points
    return shown.pixels(points[inside(*points.T, *shown.shape)])


def numbers(samples: Sequence[Sample]) -> np.ndarray:
    """Return each sample's number of fixations, float32; UsageError where one has a map alone."""
    without = [sample.name for sample in samples if sample.table is None]
    if without:
        raise UsageError(
            f"--weigh fixations: {len(without)} stimuli have no fixations, only a map, first "
            f"'{without[0]}'; --weigh images"
        )
    return np.array([len(sample.table) for sample in samples], np.float32)
