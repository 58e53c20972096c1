"""What networks are trained and tested for: a record a task, by the names of networks.registry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from batches import free_viewing, scanpaths
from batches.keys import Key
from data.samples import Sample


class Rows(Protocol):
    """The samples of a task as rows of batches, each with one picture.

    `plan` gives what an epoch shows, in order: `id` and `weight`, (rows,) or (rows, F) of F
    samples a picture, and `flip` (rows,), a function of (seed, epoch) alone; `sample` the picture
    of a row's id; `keys` what comes with the picture.
    """

    def plan(self, weigh: str, *, seed: int | None, epoch: int, flip: bool) -> dict: ...

    def sample(self, id: np.ndarray) -> Sample: ...

    def keys(self, size: tuple[int, int]) -> list[Key]: ...


@dataclass(frozen=True)
class Task:
    """What a network is trained and tested for.

    rows: of samples, and of how many samples of the task are shown with each picture.
    truth: the names, as losses and metrics have them, of what is known of all of some samples;
        UsageError where they lack what the task needs.
    names: what to call each sample of the task, by its `id`.
    asked: samples, but for the truth that a network is not told of when it is asked.
    answers: takes a picture, and from an iterator the log-densities in the network's frame that
        answer for it; gives them with the fixations (n, 2) that each is for, None for all.
    drawn_by: the command that draws the answers for a picture without truth.
    label: what a report adds to the network's title.
    conditional: whether a network is told more than the picture, so that what is known of the
        picture alone is no upper bound of it.
    validated_by: the seed by which samples are drawn to validate; None for all, in order.
    """

    rows: Callable[[Sequence[Sample], int], Rows]
    truth: Callable[[Sequence[Sample]], tuple[str, ...]]
    names: Callable[[Sequence[Sample]], list[str]]
    asked: Callable[[Sequence[Sample]], Sequence[Sample]]
    answers: Callable[[Sample, Iterator[np.ndarray]], Iterable[tuple]]
    drawn_by: str
    label: str = ""
    conditional: bool = False
    validated_by: int | None = None


TASKS = {
    "free viewing": Task(
        rows=free_viewing.Pictures,
        truth=free_viewing.truth,
        names=free_viewing.names,
        asked=free_viewing.asked,
        answers=free_viewing.answers,
        drawn_by="test",
    ),
    "scanpaths": Task(
        rows=scanpaths.gather,
        truth=scanpaths.truth,
        names=scanpaths.names,
        asked=scanpaths.asked,
        answers=scanpaths.answers,
        drawn_by="scanpaths",
        label=", on the scanpath so far",
        conditional=True,
        validated_by=0,  # the same fixations of each picture every time, not all of them
    ),
}
