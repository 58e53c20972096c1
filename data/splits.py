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
    """The names on each side, and whose division that is, in words."""

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
    """How names divide, by `divide` (two sides or three); `origin` says whose division it is."""

    origin: str
    count: int | None = None  # names that the whole corpus has; None: any number

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
        train, valid, test = (*self.divide(sorted(names)), [])[:3]
        origin = self.origin
        if fold:
            train, valid = folded(sorted([*train, *valid]), *fold)
            origin = f"fold {fold[0]} of {fold[1]}"
        if not (train and valid):
            raise UsageError(
                f"{len(train)} stimuli to train and {len(valid)} to validate; each needs one"
            )
        return Sides(train, valid, test, origin)

    def of(self, folder) -> "Split":
        """Return the split of a corpus as it lies in a folder, a data.given.Found."""
        return self


def shuffled(names: Sequence[str]) -> list[str]:
    """Return names in the order of a shuffle by seed 42."""
    return [names[index] for index in np.random.RandomState(42).permutation(len(names))]


def folded(names: list[str], fold: int, folds: int) -> tuple[list[str], list[str]]:
    """Return all folds but one, and that one, of k-fold cross-validation.

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
    train = shuffled(names)
    valid = train[fold - 1 :: folds]
    del train[fold - 1 :: folds]
    return train, valid


def held_out(training: Sequence, count: int, seed: int) -> tuple[list, list]:
    """Return training samples without `count` of them, and these, which a hash of their names and a
    seed chooses: samples that come or go hardly change which.

    Raises:
        UsageError: none would be left to train on.
    """
    if count >= len(training):
        raise UsageError(f"--hold-out {count}: there are {len(training)} pictures to train on")
    ranked = sorted(training, key=lambda s: blake2b(f"{seed} {s.name}".encode()).digest())
    held = {sample.name for sample in ranked[:count]}
    return [s for s in training if s.name not in held], [s for s in training if s.name in held]


@dataclass(frozen=True)
class Published(Split):
    """A split that is published: so many names train, so many validate."""

    train: int
    valid: int

    @property
    def count(self) -> int | None:
        return self.train + self.valid


class Shuffled(Published):
    """Names sorted and shuffled by seed 42, the first ones train [Kroner et al., 2020]."""

    origin = "the published shuffle of names"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        share = round(len(names) * self.train / (self.train + self.valid))
        first = min(max(share, 1), len(names) - 1)  # each side keeps one
        names = shuffled(names)
        return names[:first], names[first:]


class PerFolder(Shuffled):
    """One shuffle of a folder's names, used again in each folder (CAT2000's categories)."""

    origin = "the published shuffle of names, the same in each folder"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        folders: dict[str, list[str]] = {}
        for name in names:
            folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
        divide = super().divide
        parts = [divide(folders[folder]) for folder in sorted(folders)]
        return [n for train, _ in parts for n in train], [n for _, valid in parts for n in valid]


class Folders(Published):
    """The authors' own: stimuli/train and stimuli/val."""

    origin = "the authors' folders train and val"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        train, valid = ([n for n in names if n.startswith(top)] for top in ("train/", "val/"))
        return train, valid


class Ratio(Shuffled):
    """A shuffle of however many names there are, `train` of them to `valid`."""

    origin = "a shuffle of names by seed 42"
    count = None


@dataclass(frozen=True)
class Hashed(Split):
    """A fifth of however many names there are validates, by a hash of each: others that come or go
    do not change the side of a picture."""

    origin = "no split is given: a fifth of the names validates, by hash"

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        lowest = fifth(names)
        return [n for n in names if n not in lowest], [n for n in names if n in lowest]


def fifth(names: Iterable[str]) -> set[str]:
    """Return the names whose hash is below one fifth: at least the lowest one, never all."""
    ranked = sorted((rank(name), name) for name in names)
    low = sum(number < FIFTH for number, _ in ranked)
    return {name for _, name in ranked[: min(max(low, 1), len(ranked) - 1)]}


def rank(name: str) -> int:
    """Return a whole number below 2**64, drawn by a name without its ending, in NFC."""
    text = unicodedata.normalize("NFC", stem(name)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Given(Split):
    """Sides that somebody gave: the side of each name, and who gave them, in words."""

    sides: Mapping[str, str]
    origin: str

    def __call__(self, names, partial, fold=None) -> Sides:
        """Divide names, and say where it is not given who validates."""
        divided = super().__call__(names, partial, fold)
        if fold or any(self.sides.get(name) == "valid" for name in divided.valid):
            return divided
        how = "a fifth by hash" if self.sides.get(divided.valid[0]) == "train" else "the others"
        return divided._replace(origin=f"{divided.origin}, without any to validate: {how}")

    def divide(self, names: list[str]) -> list[list[str]]:
        """Divide names; where one side alone is given, the rest is the other."""
        present = {*names}
        train, valid, test = (
            [name for name, given in self.sides.items() if given == side and name in present]
            for side in SIDES
        )
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
