"""How a corpus' stimuli divide into those to train on and those to validate on."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePosixPath

import numpy as np

from config import UsageError


class Split:
    """How a corpus' names divide into training and validation; `train` and `valid` count them."""

    train: int
    valid: int

    def __call__(
        self, names: Sequence[str], partial: bool, fold: tuple[int, int] | None = None
    ) -> tuple[list[str], list[str]]:
        """Training and validation names; with `partial` at the split's ratio, of what is there.

        Args:
            fold: (i, k) to validate on the i-th of k folds over all names instead.

        Raises:
            UsageError: not as many names as the corpus has, or no such fold of them.
        """
        if not partial and self.count not in (len(names), None):
            raise UsageError(
                f"{len(names)} stimuli with truth, {self.count} expected ({self.train} train, "
                f"{self.valid} valid); --partial trains on what is there, keeping the ratio"
            )
        parts = folded(sorted(names), *fold) if fold else self.divide(sorted(names))
        if not all(parts):
            raise UsageError(
                f"{len(parts[0])} stimuli to train and {len(parts[1])} to validate; each needs one"
            )
        return parts

    @property
    def count(self) -> int | None:
        """How many names the whole corpus has; None where any number will do."""
        return self.train + self.valid

    def share(self, count: int) -> int:
        """How many of `count` names train, at least one being left for each side."""
        return min(max(round(count * self.train / (self.train + self.valid)), 1), count - 1)


def folded(names: list[str], fold: int, folds: int) -> tuple[list[str], list[str]]:
    """All folds but one, and that one, of k-fold cross-validation.

    Args:
        names: sorted; they are shuffled by seed 42, and every k-th is in the same fold.
        fold: which validates, 1..folds.

    Raises:
        UsageError: there is no such fold.
    """
    if not 2 <= folds <= len(names):
        raise UsageError(f"{folds} folds of {len(names)} stimuli; allowed are 2..{len(names)}")
    if not 1 <= fold <= folds:
        raise UsageError(f"fold {fold} of {folds}; allowed are 1..{folds}")
    order = np.random.RandomState(42).permutation(len(names))
    apart = np.arange(len(names)) % folds == fold - 1
    return [names[i] for i in order[~apart]], [names[i] for i in order[apart]]


def held_out(training: Sequence, count: int, seed: int) -> tuple[list, list]:
    """Training samples without some, and these: as many, in the order of a hash of their names and
    a seed, so that others that come or go hardly change which.

    Raises:
        UsageError: none would be left to train on.
    """
    if count >= len(training):
        raise UsageError(f"--hold-out {count}: there are {len(training)} pictures to train on")
    ranked = sorted(training, key=lambda s: blake2b(f"{seed} {s.name}".encode()).digest())
    held = {sample.name for sample in ranked[:count]}
    sides = ([], [])
    for sample in training:
        sides[sample.name in held].append(sample)
    return sides


@dataclass(frozen=True)
class Shuffled(Split):
    """Names sorted, indices shuffled by seed 42, the first ones train [Kroner et al., 2020]."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        order = np.arange(len(names))
        np.random.RandomState(42).shuffle(order)
        first = self.share(len(names))
        return [names[i] for i in order[:first]], [names[i] for i in order[first:]]


@dataclass(frozen=True)
class PerFolder(Split):
    """One shuffle of a folder's names, used again in each folder (CAT2000's categories)."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        folders: dict[str, list[str]] = {}
        for name in names:
            folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
        same = Shuffled(self.train, self.valid)
        parts = [same.divide(folders[folder]) for folder in sorted(folders)]
        return [n for train, _ in parts for n in train], [n for _, valid in parts for n in valid]


@dataclass(frozen=True)
class Folders(Split):
    """The authors' own: stimuli/train and stimuli/val."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        return (
            [name for name in names if name.startswith("train/")],
            [name for name in names if name.startswith("val/")],
        )


@dataclass(frozen=True)
class Ratio(Shuffled):
    """A shuffle of however many names there are, `train` of them to `valid`."""

    @property
    def count(self) -> None:
        return None
