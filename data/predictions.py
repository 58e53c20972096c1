"""Predictions that any other program made: a file a stimulus, as log-densities or saliency maps."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
from absl import logging

from config import UsageError
from data.arrays import by, plane, read_array
from data.decode import decode_map
from data.layout import PICTURES, listing, walk
from data.samples import Sample

KINDS = ("density", "saliency")
TOLERANCE = 1e-3  # of the logarithm of a density's sum: the round-off of float32


class Predictions:
    """A folder of predictions for some samples: called with a sample, it gives its (h, w) float64.

    kind "density": natural logarithms of densities over pixels, .npy, made to sum to 1 exactly;
    -inf is allowed, and whoever looks there makes it infinitely wrong. kind "saliency": maps of
    any scale, .npy or pictures, as they are. Files are named after the stimuli, but for the
    ending, in the same sub-folders or, where no two names are the same, in none.

    Raises:
        UsageError: of the folder, when made: it is none, stimuli have no prediction or two. Of a
            file, when called: it is damaged, of another size, or its numbers are not of its kind.
    """

    def __init__(self, folder: Path, kind: str, samples: Iterable[Sample]):
        self.kind = kind
        self.files = paired(folder, kind, [sample.name for sample in samples])

    def __call__(self, sample: Sample) -> np.ndarray:
        path = self.files[sample.name]
        values = read(path, sample.shape)
        return normalised(path, values) if self.kind == "density" else finite(path, values)


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
    found = by_stem(folder, files)
    stems = {name: stem(name) for name in names}
    bare = Counter(PurePosixPath(each).name for each in stems.values())
    for name, key in stems.items():
        if key not in found and bare[PurePosixPath(key).name] == 1:
            stems[name] = PurePosixPath(key).name
    missing = [name for name, key in stems.items() if key not in found]
    if missing:
        raise UsageError(
            f"{folder}: {len(missing)} of {len(names)} stimuli have no {kind}, first "
            f"'{missing[0]}'; its file would be '{stem(missing[0])}.npy'"
        )
    extra = sorted({*found} - {*stems.values()})
    if extra:
        said = "%s: %d files are of no stimulus that is tested, first '%s'; left out"
        logging.info(said, folder, len(extra), found[extra[0]].relative_to(folder))
    return {name: found[key] for name, key in stems.items()}


def stem(name: str) -> str:
    """A path without its ending."""
    return PurePosixPath(name).with_suffix("").as_posix()


def by_stem(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Files by their path below a folder without ending; UsageError where two have the same."""
    found: dict[str, Path] = {}
    for path in files:
        other = found.setdefault(stem(path.relative_to(folder).as_posix()), path)
        if other != path:
            raise UsageError(f"{folder}: {other.name} and {path.name} are of one stimulus")
    return found


def normalised(path: Path, values: np.ndarray) -> np.ndarray:
    """A log-density that sums to 1; raises UsageError where it does not nearly do so already."""
    if not (values < np.inf).all():
        raise UsageError(f"{path}: {count(~(values < np.inf))} are NaN or inf; only -inf may be")
    highest = values.max()
    total = -np.inf if np.isneginf(highest) else highest + np.log(np.exp(values - highest).sum())
    if abs(total) > TOLERANCE:
        hint = ""
        if values.min() >= 0 and abs(values.sum() - 1) < 0.01:
            hint = "; it is a density, of which the natural logarithm is needed"
        with np.errstate(over="ignore"):
            said = f"{path}: its density sums to {np.exp(total):.6g}, must be 1{hint}"
        raise UsageError(said)
    return values - total


def finite(path: Path, values: np.ndarray) -> np.ndarray:
    """The values; raises UsageError where some are NaN or infinite."""
    if not np.isfinite(values).all():
        raise UsageError(f"{path}: {count(~np.isfinite(values))} are NaN or infinite")
    return values


def count(wrong: np.ndarray) -> str:
    """How many of how many values."""
    return f"{wrong.sum()} of {wrong.size} values"
