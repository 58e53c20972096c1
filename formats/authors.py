"""What the authors of a corpus ship, and pictures of points -> Fixations.

A reader of a corpus' files takes `files` (their path below fixations/ -> where it is) and
`stimuli` (path below stimuli/ -> where it is); `n` indexes sorted(stimuli). Records of pictures
that are not there are left out, with a notice: a small archive may come with all fixations.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from absl import logging

from errors import UsageError
from formats import matlab
from formats.coordinates import skewed
from formats.fixations import Fixations, concatenate, table
from formats.names import matched
from formats.pictures import looks, maps
from formats.pictures.decode import shape

MOST = 10**6  # fixations on a picture, and numbers of observers

Files = Mapping[str, Path]
# Stimulus, observer, x, y and durations, which are NaN where not known.
Scanpath = tuple[int, int, np.ndarray, np.ndarray, np.ndarray]


def read_salicon(files: Files, stimuli: Files) -> Fixations:
    """Read SALICON's <picture>.mat: `gaze`, one entry an observer, with its detected `fixations` in
    order of time. They are MATLAB's pixels, from 1: 1 is taken off."""

    def scanpaths(n: int, path: Path):
        for observer, rows in enumerate(np.ravel(matlab.variable(path, "gaze")["fixations"])):
            x, y = matlab.rows(rows, 2).T
            yield _scanpath(n, observer, x - 1, y - 1)

    return _from_scanpaths(_each(files, stimuli, scanpaths))


def read_cat2000(files: Files, stimuli: Files) -> Fixations:
    """Read CAT2000's <category>/NNN.mat: `fixLocs`, a fixation map, no observers and no order."""

    def points(n: int, path: Path):
        yield _of_pixels(matlab.variable(path, "fixLocs"), n)

    return concatenate(_each(files, stimuli, points))


def read_dutomron(files: Files, stimuli: Files) -> Fixations:
    """Read DUT-OMRON's <picture>.mat: `s` with rows (x, y, observer), pixels from 0; that of
    observer 0 is the picture's size."""

    def scanpaths(n: int, path: Path):
        x, y, observer = matlab.rows(matlab.variable(path, "s"), 3).T
        yield from _by_observer(n, x, y, observer)

    return _from_scanpaths(_each(files, stimuli, scanpaths))


def read_pascals(files: Files, stimuli: Files) -> Fixations:
    """Read PASCAL-S' pascalFix.mat (HDF5): cell k of `fixCell` has rows (y, x, observer) for k.jpg,
    pixels and observers from 1: 1 is taken off."""
    path = _only(files)
    records = {f"{k}.jpg": cell for k, cell in enumerate(matlab.cells(path, "fixCell"), 1)}

    def scanpaths(n: int, cell: np.ndarray):
        if cell.ndim == 2:  # not an empty one
            y, x, observer = matlab.floats(cell)
            yield from _by_observer(n, x - 1, y - 1, observer)

    return _from_scanpaths(_each(records, stimuli, scanpaths, path))


def read_osie(files: Files, stimuli: Files) -> Fixations:
    """Read OSIE's fixations.mat: pictures `img`, each with the scanpaths of 15 `subjects`.

    Coordinates are fractions of pixels and stand as they are, as in pysaliency; durations are
    milliseconds there. The times of fixations are not known: t counts them.
    """
    path = _only(files)
    cells = matlab.variable(path, "fixations").ravel()
    with matlab.laid_out(path):
        records = {str(cell["img"][0, 0].item()): cell["subjects"][0, 0].ravel() for cell in cells}

    def scanpaths(n: int, subjects: np.ndarray):
        for observer, subject in enumerate(subjects):
            names = ("fix_x", "fix_y", "fix_duration")
            x, y, duration = (matlab.floats(subject[name][0, 0]).ravel() for name in names)
            yield _scanpath(n, observer, x, y, duration / 1000)

    return _from_scanpaths(_each(records, stimuli, scanpaths, path))


def _by_observer(n: int, x, y, observer) -> Iterable[Scanpath]:
    """Yield the scanpaths of rows that name their observer, from 1; 0 is nobody. An observer's rows
    are taken to be in order of time, as pysaliency takes them."""
    if not _whole(observer):
        raise ValueError("an observer that is no number of one")
    for number in np.unique(observer[observer > 0]).astype(int):
        rows = observer == number
        yield _scanpath(n, number - 1, x[rows], y[rows])


def _whole(numbers: np.ndarray) -> bool:
    """Tell whether all numbers are whole ones from 0 to MOST."""
    return bool(((numbers >= 0) & (numbers <= MOST) & (np.floor(numbers) == numbers)).all())


def _scanpath(n: int, observer: int, x, y, duration=np.nan) -> Scanpath:
    """Return a scanpath; raise ValueError where its columns do not fit or are not finite."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} x and {len(y)} y")
    if not np.isfinite([x, y]).all():
        raise ValueError("a coordinate that is not finite")
    return n, observer, x, y, np.broadcast_to(duration, x.shape)


def _from_scanpaths(scanpaths: Iterable[Scanpath]) -> Fixations:
    """Return the fixations of scanpaths, in their order; t counts them."""
    empty = (0, 0, *[np.empty(0)] * 3)
    n, observer, x, y, duration = zip(empty, *scanpaths, strict=True)
    lengths = np.array([*map(len, x)])
    n, observer, scanpath = np.repeat([n, observer, np.cumsum(lengths > 0) - 1], lengths, axis=1)
    x, y, duration, t = map(np.concatenate, (x, y, duration, [*map(np.arange, lengths)]))
    return table(x, y, n, observer, t, duration, scanpath)


def _of_pixels(counts: np.ndarray, n: int) -> Fixations:
    """Return the fixations of a fixation map (height, width), at the centres of its pixels; raise
    ValueError where some are no counts, or too many to be fixations of one picture."""
    if not _whole(counts):
        raise ValueError("its pixels are no counts of fixations")
    if np.sum(counts, dtype=np.float64) > MOST:
        raise ValueError(f"more than {MOST} fixations on one picture")
    row, column = np.nonzero(counts)
    repeats = counts[row, column].astype(np.int64)
    return table(np.repeat(column + 0.5, repeats), np.repeat(row + 0.5, repeats), n)


def _each(records: Mapping, stimuli: Files, read: Callable, path: Path | None = None):
    """Yield what `read(n, record)` does for the records of stimuli, in the order of n. A UsageError
    for a record of another layout names `path`, or the record where that is one."""
    record_of = matched(stimuli, records, path or Path("fixations"))
    strays = sorted({*records} - {*record_of.values()})
    if strays:
        said = "fixations of %d pictures that are not in stimuli/ are left out, first %r"
        logging.warning(said, len(strays), strays[0])
    for n, name in enumerate(sorted(stimuli)):
        if name in record_of:
            record = records[record_of[name]]
            with matlab.laid_out(path or record):
                yield from list(read(n, record))


def _only(files: Files) -> Path:
    """Return the one file that there is; raise UsageError where there are others."""
    if len(files) != 1:
        raise UsageError(f"fixations/: one .mat file expected, found {', '.join(files) or 'none'}")
    return next(iter(files.values()))


def read_points(files: Files, stimuli: Files, discs: bool = False) -> Fixations:
    """Read pictures and arrays of points or discs, one a stimulus: a fixation at the centre of
    each pixel that is set (see looks.marks), or at the middle of each disc.

    One that is smaller or larger is scaled to its stimulus. Repeats are lost, but in an array of
    counts; so are observers and order. Raises UsageError for one of another aspect ratio than its
    stimulus, or an array of no counts.
    """
    stimulus = [stimuli[name] for name in sorted(stimuli)]

    def points(n: int, path: Path):
        levels = maps.read(path)
        fixations = _of_discs(levels, n) if discs else _of_pixels(_counts(path, levels), n)
        (height, width), (rows, columns) = shape(stimulus[n]), levels.shape
        if skewed(levels.shape, (height, width)):
            raise UsageError(
                f"{path}: points on {columns}x{rows} pixels, but the stimulus has {width}x{height}"
            )
        yield fixations.scaled(width / columns, height / rows)

    return concatenate(_each(files, stimuli, points))


def _counts(path: Path, levels: np.ndarray) -> np.ndarray:
    """Return the fixation map: the numbers of an array, unless all that are set are the same; 1
    where a picture's is set."""
    counted = path.suffix.lower() == ".npy" and len(np.unique(levels[levels > 0])) > 1
    return levels if counted else looks.marks(levels)


def _of_discs(levels: np.ndarray, n: int) -> Fixations:
    """Return a fixation at the middle of each bright component."""
    edges, _ = looks.components(levels > levels.max() / 2)
    y, x = edges.mean(2).T
    return table(x, y, n)
