"""Predictions that any other program made: a file a stimulus, as log-densities or saliency maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from absl import logging

from data.samples import Sample
from errors import UsageError
from formats.layout import PICTURES, listing, walk
from formats.names import matched, stem
from formats.pictures.arrays import by, plane, read_array
from formats.pictures.decode import decode_map
from formats.pictures.looks import is_inverted

KINDS = ("density", "saliency")
ROUND_OFF, SLACK = 1e-4, 1e-2  # how far from 1 a density's sum may be unsaid, and at all


class Predictions:
    """A folder of predictions for some samples: called with a sample, it gives its (h, w) float64.

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
            self.inverted += [path] * bool(span and is_inverted((values - low) / span))
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
            path, most = max(self.off.items(), key=lambda item: abs(item[1]))
            logging.warning(
                "%s: %d of %d densities did not sum to 1, the furthest '%s', to %.4f; made to, by "
                "subtracting their logsumexp", self.folder, len(self.off), len(self.files),
                path.name, 1 + most,
            )  # fmt: skip


def read(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """The float64 (height, width) numbers of a .npy file, or grey levels of a picture.

    Raises:
        UsageError: it cannot be read, or is of another shape.
    """
    values = read_array(path) if path.suffix.lower() == ".npy" else decode_map(path)
    values = plane(np.asarray(values, np.float64))
    if values.shape != shape:
        raise UsageError(
            f"{path}: its shape is {by(values.shape)}, must be the stimulus' {by(shape)}"
        )
    return values


def paired(folder: Path, kind: str, names: list[str]) -> dict[str, Path]:
    """The file of each stimulus; raises UsageError where some have none or two."""
    if not folder.is_dir():
        raise UsageError(f"--predictions {folder}: no such folder")
    endings = {".npy"} if kind == "density" else {".npy", *PICTURES}
    files = [path for path in walk(folder) if path.suffix.lower() in endings]
    if not files:
        allowed = ", ".join(sorted(endings))
        raise UsageError(f"{folder}: no {kind} in {listing(folder)}; endings are {allowed}")
    by_name = {path.relative_to(folder).as_posix(): path for path in files}
    found = matched(names, by_name, folder)
    missing = [name for name in names if name not in found]
    extra = sorted({*by_name} - {*found.values()})
    if missing:
        beside = f", beside '{extra[0]}', which is of none" if extra else ""
        raise UsageError(
            f"{folder}: {len(missing)} of {len(names)} stimuli have no {kind}, first "
            f"'{missing[0]}'; its file would be '{stem(missing[0])}.npy'{beside}"
        )
    if extra:
        said = "%s: %d files are of no stimulus that is tested, first '%s'; left out"
        logging.info(said, folder, len(extra), extra[0])
    return {name: by_name[file] for name, file in found.items()}


def normalised(path: Path, values: np.ndarray) -> np.ndarray:
    """A log-density that sums to 1; raises UsageError where it does not nearly do so already."""
    return values - logarithm_of_sum(path, values)


def logarithm_of_sum(path: Path, values: np.ndarray) -> float:
    """The logarithm of a log-density's sum; raises UsageError where that sum is not nearly 1."""
    if not (values < np.inf).all():
        raise UsageError(f"{path}: {count(~(values < np.inf))} are NaN or inf; only -inf may be")
    highest = values.max()
    total = -np.inf if np.isneginf(highest) else highest + np.log(np.exp(values - highest).sum())
    with np.errstate(over="ignore"):
        found = np.exp(total)
    if abs(found - 1) > SLACK:
        raise UsageError(f"{path}: its density sums to {found:.6g}, must be 1; {cure(values)}")
    return total


def cure(values: np.ndarray) -> str:
    """What makes a log-density of values that are none, in words."""
    if values.min() >= 0 and sums_to_1(values):
        return "it is a density, of which the natural logarithm is needed"
    for base in (2, 10):
        if sums_to_1(np.power(float(base), np.minimum(values, 9))):
            return f"its logarithms are to base {base}: multiply them by log({base})"
    return "subtract scipy.special.logsumexp(x) from the log-density x"


def sums_to_1(density: np.ndarray) -> bool:
    return abs(density.sum() - 1) < SLACK


def finite(path: Path, values: np.ndarray) -> np.ndarray:
    """The values; raises UsageError where some are NaN or infinite, or all a log-density."""
    if not np.isfinite(values).all():
        raise UsageError(f"{path}: {count(~np.isfinite(values))} are NaN or infinite")
    if values.max() <= 0 and sums_to_1(np.exp(values)):
        raise UsageError(f"{path}: it is a log-density, no saliency map: --kind density")
    return values


def count(wrong: np.ndarray) -> str:
    """How many of how many values."""
    return f"{wrong.sum()} of {wrong.size} values"
