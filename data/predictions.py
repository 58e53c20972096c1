"""Predictions that any other program made: a file a stimulus, as log-densities or saliency maps."""

from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError

import numpy as np
from absl import logging

import storage
from config import UsageError
from data.decode import decode_map
from data.hdf5 import DAMAGED, printable
from data.layout import PICTURES, listing, walk
from data.names import matched, stem
from data.samples import Sample

LONGEST = 1000  # bytes of a header, which is read as Python: one that is deep fills the stack
KINDS = ("density", "saliency")
ROUND_OFF, SLACK = 1e-4, 1e-2  # how far from 1 a density's sum may be unsaid, and at all


class Predictions:
    """A folder of predictions for some samples: called with a sample, it gives its (h, w) float64.

    kind "density": natural logarithms of densities over pixels, .npy, made to sum to 1 exactly;
    where one is off by more than round-off, `off` has by how much. -inf is allowed, and whoever
    looks there makes it infinitely wrong. kind "saliency": maps of any scale, .npy or pictures, as
    they are. Files are named after the stimuli, but for the ending, in the same sub-folders or,
    where no two names are the same, in none.

    Raises:
        UsageError: of the folder, when made: it is none, stimuli have no prediction or two. Of a
            file, when called: it is damaged, of another size, or its numbers are not of its kind.
    """

    def __init__(self, folder: Path, kind: str, samples: Iterable[Sample]):
        self.folder, self.kind = folder, kind
        self.off: dict[Path, float] = {}
        self.files = paired(folder, kind, [sample.name for sample in samples])

    def __call__(self, sample: Sample) -> np.ndarray:
        path = self.files[sample.name]
        read = read_array if path.suffix.lower() == ".npy" else decode_map
        values = np.asarray(read(path), np.float64)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        if values.shape != sample.shape:
            raise UsageError(
                f"{path}: its shape is {by(values.shape)}, must be the stimulus' {by(sample.shape)}"
            )
        if self.kind == "saliency":
            return finite(path, values)
        total = logarithm_of_sum(path, values)
        if abs(np.expm1(total)) > ROUND_OFF:
            self.off[path] = np.expm1(total)
        return values - total

    def say_off(self) -> None:
        """Say how many of the densities that were asked for did not sum to 1, and how far off they
        were; nothing where all did."""
        if self.off:
            path, most = max(self.off.items(), key=lambda item: abs(item[1]))
            logging.warning(
                "%s: %d of %d densities did not sum to 1, the furthest '%s', to %.4f; made to, by "
                "subtracting their logsumexp", self.folder, len(self.off), len(self.files),
                path.name, 1 + most,
            )  # fmt: skip


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


def read_array(path: Path) -> np.ndarray:
    """The numbers in a .npy file; nothing that it holds is run.

    Raises:
        UsageError: it is missing, damaged, or holds something else than real numbers.
    """
    try:
        # Mapped into memory: a header that promises more than the file holds is refused unread.
        with np.errstate(over="raise"), storage.local(path) as file:
            values = np.lib.format.open_memmap(file, mode="r", max_header_size=LONGEST)
    except (*DAMAGED, SyntaxError, TokenError) as error:
        reason = printable(error) or type(error).__name__
        raise UsageError(f"{path}: not a whole .npy file of numbers ({reason})") from None
    if values.dtype.kind not in "fiub":
        raise UsageError(f"{path}: holds {values.dtype}, must be real numbers")
    return np.array(values)


def logarithm_of_sum(path: Path, values: np.ndarray) -> float:
    """The logarithm of a log-density's sum; raises UsageError where that sum is not nearly 1."""
    if not (values < np.inf).all():
        raise UsageError(f"{path}: {count(~(values < np.inf))} are NaN or inf; only -inf may be")
    highest = values.max()
    total = -np.inf if np.isneginf(highest) else highest + np.log(np.exp(values - highest).sum())
    with np.errstate(over="ignore"):
        found = np.exp(total)
    if abs(found - 1) > SLACK:
        cure = "subtract scipy.special.logsumexp(x) from the log-density x"
        if values.min() >= 0 and abs(values.sum() - 1) < SLACK:
            cure = "it is a density, of which the natural logarithm is needed"
        raise UsageError(f"{path}: its density sums to {found:.6g}, must be 1; {cure}")
    return total


def finite(path: Path, values: np.ndarray) -> np.ndarray:
    """The values; raises UsageError where some are NaN or infinite."""
    if not np.isfinite(values).all():
        raise UsageError(f"{path}: {count(~np.isfinite(values))} are NaN or infinite")
    return values


def count(wrong: np.ndarray) -> str:
    """How many of how many values."""
    return f"{wrong.sum()} of {wrong.size} values"


def by(shape: tuple[int, ...]) -> str:
    """A shape in words: height x width."""
    return "x".join(map(str, shape)) or "that of one number"
