"""How a corpus' stimuli divide into those to train on, to validate on and to test on."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from absl import logging

from errors import UsageError
from formats.names import stem

SIDES = ("train", "valid", "test")
FIFTH = 2**64 // 5


class Sides(NamedTuple):
    """Names on each side, and whose division that is, in words."""

    train: list[str]
    valid: list[str]
    test: list[str]
    origin: str

    def __str__(self) -> str:
        return (
            f"{len(self.train)} to train, {len(self.valid)} to validate, {len(self.test)} to test; "
            f"{self.origin}"
        )


class Split:
    """How a corpus' names divide; `train` and `valid` count the names of these sides, `origin` says
    whose division it is."""

    train: int
    valid: int
    origin: str

    def __call__(
        self, names: Sequence[str], partial: bool, fold: tuple[int, int] | None = None
    ) -> Sides:
        """Divide names; with `partial` at the split's ratio, of what is there.

        Args:
            fold: (i, k) to validate on the i-th of k folds over the names to train and to validate.

        Raises:
            UsageError: not as many names as the corpus has, or no such fold of them.
        """
        if not partial and self.count not in (len(names), None):
            raise UsageError(
                f"{len(names)} stimuli with truth, {self.count} expected ({self.train} train, "
                f"{self.valid} valid); --partial trains on what is there, keeping the ratio"
            )
        train, valid, *test = self.divide(sorted(names))
        test, origin = [*test, []][0], self.origin
        if fold:
            train, valid = folded(sorted([*train, *valid]), *fold)
            origin = f"fold {fold[0]} of {fold[1]}"
        if not (train and valid):
            raise UsageError(
                f"{len(train)} stimuli to train and {len(valid)} to validate; each needs one"
            )
        return Sides(train, valid, test, origin)

    def of(self, found) -> "Split":
        """Return the split of a corpus as it lies in a folder, a data.given.Found."""
        return self

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
    origin = "the published shuffle of names"

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
    origin = "the published shuffle of names, the same in each folder"

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
    origin = "the authors' folders train and val"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        return (
            [name for name in names if name.startswith("train/")],
            [name for name in names if name.startswith("val/")],
        )


class Free(Split):
    """A split of however many names there are."""

    count = None


@dataclass(frozen=True)
class Ratio(Free, Shuffled):
    """A shuffle of however many names there are, `train` of them to `valid`."""

    origin = "a shuffle of names by seed 42"


@dataclass(frozen=True)
class Hashed(Free):
    """A fifth of however many names there are validates, by a hash of each: the others that come or
    go do not change the side of a picture."""

    origin = "no split is given: a fifth of the names validates, by hash"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        lowest = fifth(names)
        return [n for n in names if n not in lowest], [n for n in names if n in lowest]


def fifth(names: Iterable[str]) -> set[str]:
    """Return the names whose hash is below one fifth: at least the lowest one, never all."""
    ranked = sorted((rank(name), name) for name in names)
    low = sum(place < FIFTH for place, _ in ranked)
    return {name for _, name in ranked[: min(max(low, 1), len(ranked) - 1)]}


def rank(name: str) -> int:
    """Return a whole number below 2**64, drawn by a name without its ending, in NFC."""
    text = unicodedata.normalize("NFC", stem(name)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Given(Free):
    """Sides that somebody gave: the side of each name, and who gave them, in words."""

    sides: Mapping[str, str]
    origin: str

    def __call__(self, names, partial, fold=None) -> Sides:
        """Divide names, and say where it is not given who validates."""
        found = super().__call__(names, partial, fold)
        if fold or any(self.sides.get(name) == "valid" for name in found.valid):
            return found
        how = "a fifth by hash" if self.sides.get(found.valid[0]) == "train" else "the others"
        return found._replace(origin=f"{found.origin}, without any to validate: {how}")

    def divide(self, names: list[str]) -> list[list[str]]:
        """Divide names; where one side alone is given, the rest is the other."""
        here, parts = {*names}, {side: [] for side in SIDES}
        for name in (name for name in self.sides if name in here):
            parts[self.sides[name]].append(name)
        train, valid, test = parts.values()
        rest = [name for name in names if name not in self.sides]
        if not train:
            train, rest = rest, []
        if not valid and rest and not test:
            valid, rest = rest, []
        elif not valid and len(train) > 1:
            lowest = fifth(train)
            train, valid = [n for n in train if n not in lowest], sorted(lowest)
        if rest:
            said = "%d stimuli are on no side, first '%s'; left out (%s)"
            logging.warning(said, len(rest), rest[0], self.origin)
        return [train, valid, test]
