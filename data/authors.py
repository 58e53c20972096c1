"""What the authors of a corpus ship, and one's own CSV or pictures of points -> Fixations.

A reader of a corpus' files takes `files` (their path below fixations/ -> where it is) and
`stimuli` (path below stimuli/ -> where it is); `n` indexes sorted(stimuli). Records of pictures
that are not there are left out, with a notice: a small archive may come with all fixations.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from posixpath import splitext

import numpy as np
from absl import logging

from config import UsageError
from data import matlab
from data.decode import decode_map, shape
from data.fixations import Fixations, concatenate, table
from data.hdf5 import printable
from data.names import matched

MOST = 10**6  # fixations on a picture, and numbers of observers

Files = Mapping[str, Path]
# A scanpath: stimulus, observer, x, y, and durations where they are known.
Scanpath = tuple[int, int, np.ndarray, np.ndarray, np.ndarray | float]


def read_salicon(files: Files, stimuli: Files) -> Fixations:
    """SALICON's <picture>.mat: `gaze`, one entry an observer, with its detected `fixations`.

    They are MATLAB's pixels, from 1: 1 is taken off. Their order is that of time.
    """

    def scanpaths(n: int, path: Path):
        for observer, rows in enumerate(np.ravel(matlab.variable(path, "gaze")["fixations"])):
            x, y = matlab.rows(rows, 2).T
            yield _scanpath(n, observer, x - 1, y - 1)

    return _from_scanpaths(_each(files, stimuli, scanpaths))


def read_cat2000(files: Files, stimuli: Files) -> Fixations:
    """CAT2000's <category>/NNN.mat: `fixLocs`, how many fixations each pixel of the picture has.

    Coordinates are the pixels' centres; neither observers nor order are known.
    """

    def points(n: int, path: Path):
        yield _of_pixels(matlab.variable(path, "fixLocs"), n)

    return concatenate(_each(files, stimuli, points))


def read_dutomron(files: Files, stimuli: Files) -> Fixations:
    """DUT-OMRON's <picture>.mat: `s` with rows (x, y, observer), pixels from 0.

    The row of observer 0 is the picture's size. The rows of an observer are taken to be in order
    of time, as pysaliency takes them.
    """

    def scanpaths(n: int, path: Path):
        x, y, observer = matlab.rows(matlab.variable(path, "s"), 3).T
        yield from _by_observer(n, x, y, observer)

    return _from_scanpaths(_each(files, stimuli, scanpaths))


def read_pascals(files: Files, stimuli: Files) -> Fixations:
    """PASCAL-S' pascalFix.mat (HDF5): cell k of `fixCell` has rows (y, x, observer) for k.jpg.

    Pixels and observers from 1: 1 is taken off. The rows of an observer are taken to be in order
    of time, as pysaliency takes them.
    """
    path = _only(files)
    records = {f"{k}.jpg": cell for k, cell in enumerate(matlab.cells(path, "fixCell"), 1)}

    def scanpaths(n: int, cell: np.ndarray):
        if cell.ndim == 2:  # not an empty one
            y, x, observer = matlab.floats(cell)
            yield from _by_observer(n, x - 1, y - 1, observer)

    return _from_scanpaths(_each(records, stimuli, scanpaths, path))


def read_osie(files: Files, stimuli: Files) -> Fixations:
    """OSIE's fixations.mat: pictures `img`, each with the scanpaths of 15 `subjects`.

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
    """Scanpaths of rows that name their observer, from 1; 0 is nobody."""
    if not ((observer >= 0) & (observer < MOST) & (np.floor(observer) == observer)).all():
        raise ValueError("an observer that is no number of one")
    for number in np.unique(observer[observer > 0]).astype(int):
        mine = observer == number
        yield _scanpath(n, number - 1, x[mine], y[mine])


def _scanpath(n: int, observer: int, x, y, duration=np.nan) -> Scanpath:
    """Checked; raises ValueError."""
    if not (len(x) == len(y) == len(np.broadcast_to(duration, x.shape))):
        raise ValueError(f"{len(x)} x and {len(y)} y")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a coordinate that is not finite")
    return n, observer, x, y, duration


def _from_scanpaths(scanpaths: Iterable[Scanpath]) -> Fixations:
    found = [scanpath for scanpath in scanpaths if len(scanpath[2])]
    if not found:
        return concatenate([])
    lengths = [len(x) for _, _, x, _, _ in found]
    durations = [np.broadcast_to(duration, len(x)) for _, _, x, _, duration in found]
    return table(
        np.concatenate([x for _, _, x, _, _ in found]),
        np.concatenate([y for _, _, _, y, _ in found]),
        n=np.repeat([n for n, *_ in found], lengths),
        subject=np.repeat([subject for _, subject, *_ in found], lengths),
        t=np.concatenate([np.arange(length) for length in lengths]),
        duration=np.concatenate(durations),
        scanpath=np.repeat(np.arange(len(found)), lengths),
    )


def _of_pixels(levels: np.ndarray, n: int) -> Fixations:
    """Fixations at the centres of the pixels of a picture of counts, row by row.

    Raises:
        ValueError: some are no counts, or there are too many to be fixations of one picture.
    """
    if not ((levels >= 0) & (levels <= MOST) & (np.floor(levels) == levels)).all():
        raise ValueError("its pixels are no counts of fixations")
    if np.sum(levels, dtype=np.float64) > MOST:
        raise ValueError(f"more than {MOST} fixations on one picture")
    row, column = np.nonzero(levels)
    times = levels[row, column].astype(np.int64)
    return table(np.repeat(column + 0.5, times), np.repeat(row + 0.5, times), n)


def _each(records: Mapping, stimuli: Files, read: Callable, path: Path | None = None):
    """What `read(n, record)` yields for the records of stimuli, in the order of n.

    Raises:
        UsageError: a record of another layout; names `path`, or the record where that is one.
    """
    found = matched(stimuli, records, path or Path("fixations"))
    missing = sorted({*records} - {*found.values()})
    if missing:
        said = "fixations of %d pictures that are not in stimuli/ are left out, first %r"
        logging.warning(said, len(missing), missing[0])
    for n, name in enumerate(sorted(stimuli)):
        if name in found:
            record = records[found[name]]
            with matlab.laid_out(path or record):
                yield from list(read(n, record))


def _stem(name: str) -> str:
    return splitext(name)[0]


def _only(files: Files) -> Path:
    if len(files) != 1:
        raise UsageError(f"fixations/: one .mat file expected, found {', '.join(files) or 'none'}")
    return next(iter(files.values()))


def read_csv(path: Path, stimuli: Files) -> Fixations:
    """One's own fixations.csv: columns image, subject, x, y and, if known, t and duration.

    image is the path below stimuli/, with or without its ending; subject a number or a name
    (names are numbered in their order); x and y pixels from 0, fractions welcome; t and duration
    seconds. The rows of one image and subject are a scanpath, in order of t, or of the file
    without t (which then counts them).

    Raises:
        UsageError: a column is missing, a number is none, an image is not there; with the line.
    """
    places = _places(stimuli)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = header = _header(reader.fieldnames or (), path)
            rows = [_row(row, f"{path}: line {reader.line_num}", places) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    return _of_rows(rows, "t" in header)


def _header(names: Iterable[str], path: Path) -> list[str]:
    header = [name.strip().lower() for name in names]
    for name in ("image", "subject", "x", "y"):
        if name not in header:
            found = printable(", ".join(header)) or "nothing"
            raise UsageError(
                f"{path}: line 1 has no column {name!r}: found {found}; needed are "
                "image, subject, x, y, optional t, duration"
            )
    return header


def _places(stimuli: Files) -> dict[str, int]:
    names = sorted(stimuli)
    short = {_stem(name): n for n, name in enumerate(names)}
    return short | {name: n for n, name in enumerate(names)}


def _row(row: dict, where: str, places: dict[str, int]) -> tuple:
    """(n, subject, x, y, t, duration) of one line; t and duration NaN where empty."""
    image = (row["image"] or "").strip()
    if image not in places:
        raise UsageError(f"{where}: image {image!r} is not in stimuli/")
    numbers = [_number(row, name, where) for name in ("x", "y", "t", "duration")]
    return places[image], (row["subject"] or "").strip(), *numbers


def _number(row: dict, name: str, where: str) -> float:
    text = (row.get(name, "nan") or "").strip()
    if not text and name == "duration":
        return np.nan
    try:
        number = float(text)
    except ValueError:
        number = np.inf
    if not np.isinf(number):  # NaN lies outside of its picture, where it is counted
        return number
    raise UsageError(f"{where}: {name} is {text!r}, a number is needed")


def _of_rows(rows: list[tuple], timed: bool) -> Fixations:
    n, subject, x, y, t, duration = zip(*rows, strict=True) if rows else [()] * 6
    observer = np.unique(subject, return_inverse=True)[1]
    if all(re.fullmatch(r"\d{1,18}", name) for name in subject):
        observer = np.array([int(name) for name in subject], np.int64)
    order = np.lexsort((t, observer, n) if timed else (observer, n))
    found = table(x, y, n, observer, t, duration).select(order)
    keys = np.stack([found.n, found.subject])
    _, first, scanpath = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    scanpath = scanpath.reshape(-1)  # NumPy 2.0 gave it the shape of keys
    t = found.t if timed else np.arange(len(found)) - first[scanpath]
    return table(found.x, found.y, found.n, found.subject, t, found.duration, scanpath)


def read_points(files: Files, stimuli: Files) -> Fixations:
    """Pictures of points, one a stimulus: a fixation at the centre of each pixel that is set.

    Pixels are set above 0; in a JPEG above half of its range, for its compression leaves a faint
    ring around each. A smaller or larger picture is scaled to its stimulus. Repeats are lost, and
    so are observers and order.

    Raises:
        UsageError: a picture of another aspect ratio than its stimulus.
    """
    seen = [path for _, path in sorted(stimuli.items())]

    def points(n: int, path: Path):
        levels = decode_map(path)
        found = _of_pixels(levels > _floor(path), n)
        height, width = shape(seen[n])
        rows, columns = levels.shape
        if abs(columns * height - rows * width) > max(height, width):
            raise UsageError(
                f"{path}: points on {columns}x{rows} pixels, but the stimulus has {width}x{height}"
            )
        yield table(found.x * (width / columns), found.y * (height / rows), found.n)

    return concatenate(_each(files, stimuli, points))


def _floor(path: Path) -> float:
    return 127.5 if path.suffix.lower() in (".jpg", ".jpeg") else 0.0


def looks_like_points(paths: Iterable[Path], sample: int = 5) -> bool:
    """Whether pictures show points rather than blurred maps, by the first few that show anything.

    Points: a small share of the pixels is set and there are few grey levels; or, as a JPEG knows
    many levels, what is set stands alone, beside pixels less than half as bright.
    """
    verdicts = []
    for path in paths:
        levels = decode_map(path)
        if levels.max() > 0:
            verdicts.append(_is_points(levels))
        if len(verdicts) == sample:
            break
    return sum(verdicts) * 2 > len(verdicts)


def _is_points(levels: np.ndarray) -> bool:
    from scipy.ndimage import minimum_filter

    bright = levels > levels.max() / 2
    if bright.mean() > 0.1:
        return False
    few = len(np.unique(levels)) <= 16 and (levels > 0).mean() < 0.1
    alone = minimum_filter(levels, 3)[bright] < levels[bright] / 2
    return bool(few or alone.mean() > 0.5)
