"""Predictions that any other program made: a file a stimulus, as log-densities or saliency maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from absl import logging

from data.samples import Sample
from errors import UsageError
from formats.layout import PICTURES, listing, walk
from formats.names import matched, stem
from formats.pictures.arrays import in_words, plane, read_array
from formats.pictures.decode import decode_map
from formats.pictures.looks import is_inverted

KINDS = ("density", "saliency")
ROUND_OFF, SLACK = 1e-4, 1e-2  # how far from 1 a density's sum may be unsaid, and at all


class Predictions:
    """A folder of predictions for samples: called with one, it returns its (h, w) float64.

    kind "density": natural logarithms of densities over pixels, .npy, made to sum to 1 exactly;
    where one is off by more than round-off, `off` has by how much. -inf is allowed, and whoever
    looks there makes it infinitely wrong. kind "saliency": maps of any scale, .npy or pictures, as
    they are; `inverted` has those that are brighter at their border. Files are named after the
    stimuli, but for the ending, in the same sub-folders or, where no two names are the same, in
    none.

    Raises:
        UsageError: of the folder, when made: it is none, stimuli have no prediction or two. Of a
            file, when called: it is damaged, of another size, or its numbers are not of its kind.
    """

    def __init__(self, folder: Path, kind: str, samples: Iterable[Sample]):
        self.folder, self.kind = folder, kind
        self.off: dict[Path, float] = {}
        self.inverted: list[Path] = []
        self.files = paired(folder, kind, [sample.name for sample in samples])

    def __call__(self, sample: Sample) -> np.ndarray:
        path = self.files[sample.name]
        values = read(path, sample.shape)
        if self.kind == "saliency":
            low, span = finite(path, values).min(), np.ptp(values)
            if span and is_inverted((values - low) / span):
                self.inverted.append(path)
            return values
        total = logarithm_of_sum(path, values)
        if abs(np.expm1(total)) > ROUND_OFF:
            self.off[path] = np.expm1(total)
        return values - total

    def notices(self) -> None:
        """Say how many of the densities that were asked for did not sum to 1, and how far off they
        were; and where nearly all maps are brighter at the border."""
        if len(self.inverted) >= 0.9 * len(self.files):
            said = "%s: %d of %d maps are brighter at the border than in the middle: inverted?"
            logging.warning(said, self.folder, len(self.inverted), len(self.files))
        if self.off:
            path = max(self.off, key=lambda path: abs(self.off[path]))
            said = "%s: %d of %d densities did not sum to 1, the furthest '%s', to %.4f; made to, "
            said += "by subtracting their logsumexp"
            counts = (len(self.off), len(self.files))
            logging.warning(said, self.folder, *counts, path.name, 1 + self.off[path])


def read(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the float64 (height, width) numbers of a .npy file, or grey levels of a picture.

    Raises:
        UsageError: it cannot be read, or is of another shape.
    """
    values = read_array(path) if path.suffix.lower() == ".npy" else decode_map(path)
    values = plane(np.asarray(values, np.float64))
    if values.shape != shape:
        raise UsageError(
            f"{path}: its shape is {in_words(values.shape)}, must be the stimulus' "
            f"{in_words(shape)}"
        )
    return values


def paired(folder: Path, kind: str, names: list[str]) -> dict[str, Path]:
    """Return the file of each stimulus; raise UsageError where some have none or two."""
    if not folder.is_dir():
        raise UsageError(f"--predictions {folder}: no such folder")
    endings = {".npy"} if kind == "density" else {".npy", *PICTURES}
    files = [path for path in walk(folder) if path.suffix.lower() in endings]
    if not files:
        allowed = ", ".join(sorted(endings))
        raise UsageError(f"{folder}: no {kind} in {listing(folder)}; endings are {allowed}")
    paths = {path.relative_to(folder).as_posix(): path for path in files}
    file_of = matched(names, paths, folder)
    missing = [name for name in names if name not in file_of]
    extra = sorted({*paths} - {*file_of.values()})
    if missing:
        beside = f", beside '{extra[0]}', which is of none" if extra else ""
        raise UsageError(
            f"{folder}: {len(missing)} of {len(names)} stimuli have no {kind}, first "
            f"'{missing[0]}'; its file would be '{stem(missing[0])}.npy'{beside}"
        )
    if extra:
        said = "%s: %d files are of no stimulus that is tested, first '%s'; left out"
        logging.info(said, folder, len(extra), extra[0])
    return {name: paths[file] for name, file in file_of.items()}


def normalised(path: Path, values: np.ndarray) -> np.ndarray:
    """Return a log-density that sums to 1; raise UsageError where it did not nearly do so."""
    return values - logarithm_of_sum(path, values)


def logarithm_of_sum(path: Path, values: np.ndarray) -> float:
    """Return the logarithm of a density's sum; raise UsageError where that is not nearly 1."""
    refuse(path, ~(values < np.inf), "are NaN or inf; only -inf may be")
    highest = values.max()
    total = -np.inf if np.isneginf(highest) else highest + np.log(np.exp(values - highest).sum())
    with np.errstate(over="ignore"):
        mass = np.exp(total)
    if abs(mass - 1) > SLACK:
        raise UsageError(f"{path}: its density sums to {mass:.6g}, must be 1; {cure(values)}")
    return total


def cure(values: np.ndarray) -> str:
    """Return words on what makes a log-density of values that are none."""
    if values.min() >= 0 and sums_to_1(values):
        return "it is a density, of which the natural logarithm is needed"
    for base in (2, 10):
        if sums_to_1(np.power(float(base), np.minimum(values, 9))):
            return f"its logarithms are to base {base}: multiply them by log({base})"
    return "subtract scipy.special.logsumexp(x) from the log-density x"


def sums_to_1(density: np.ndarray) -> bool:
    return abs(density.sum() - 1) < SLACK


def finite(path: Path, values: np.ndarray) -> np.ndarray:
    """Return the values; raise UsageError where some are NaN or infinite, or all a log-density."""
    refuse(path, ~np.isfinite(values), "are NaN or infinite")
    if values.max() <= 0 and sums_to_1(np.exp(values)):
        raise UsageError(f"{path}: it is a log-density, no saliency map: --kind density")
    return values


def refuse(path: Path, wrong: np.ndarray, why: str) -> None:
    """Raise UsageError where any values of a file are wrong, with how many of how many."""
    if wrong.any():
        raise UsageError(f"{path}: {wrong.sum()} of {wrong.size} values {why}")
