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
from formats import cached, matlab
from formats.coordinates import skewed
from formats.fixations import UNKNOWN, Fixations, concatenate, of_counts, table
from formats.isolated import Arrays
from formats.names import matched
from formats.pictures import looks, maps
from formats.pictures.decode import shape

Files = Mapping[str, Path]


def read_salicon(files: Files, stimuli: Files) -> Fixations:
    """Read SALICON's <picture>.mat."""
    return _of_many(matlab.salicon, files, stimuli)


def read_cat2000(files: Files, stimuli: Files) -> Fixations:
    """Read CAT2000's <category>/NNN.mat: neither observers nor order are known."""
    return _of_many(matlab.cat2000, files, stimuli)


def read_dutomron(files: Files, stimuli: Files) -> Fixations:
    """Read DUT-OMRON's <picture>.mat. An observer's rows are taken to be in order of time, as
    pysaliency takes them."""
    return _of_many(matlab.dutomron, files, stimuli)


def read_pascals(files: Files, stimuli: Files) -> Fixations:
    """Read PASCAL-S' pascalFix.mat. An observer's rows are taken to be in order of time, as
    pysaliency takes them."""
    return _of_one(matlab.pascals, files, stimuli)


def read_osie(files: Files, stimuli: Files) -> Fixations:
    """Read OSIE's fixations.mat. The times of fixations are not known: t counts them."""
    return _of_one(matlab.osie, files, stimuli)


def _of_many(reader: Callable[..., Arrays], files: Files, stimuli: Files) -> Fixations:
    """Return the fixations of files that are of one picture each."""
    places = _paired(files, stimuli, Path("fixations"))
    if not places:
        return concatenate([])
    found = cached.read_all(reader, [files[name] for name in places])
    return _in_scanpaths(found, np.array([*places.values()])[found["record"]])


def _of_one(reader: Callable[..., Arrays], files: Files, stimuli: Files) -> Fixations:
    """Return the fixations of a file that has records of all pictures; raise UsageError where there
    are others."""
    if len(files) != 1:
        found = ", ".join(files) or "none"
        raise UsageError(f"fixations/: one .mat file expected, found {found}")
    (path,) = files.values()
    found = cached.read(reader, path)
    names = found["names"].tolist()
    places = _paired(names, stimuli, path)
    n = np.array([places.get(name, UNKNOWN) for name in names], int)
    return _in_scanpaths(found, n[found["record"]])


def _paired(records: Iterable[str], stimuli: Files, where: Path) -> dict[str, int]:
    """Return the index of the stimulus of each record that has one, in the order of stimuli."""
    found = matched(stimuli, records, where)
    missing = sorted({*records} - {*found.values()})
    if missing:
        said = "fixations of %d pictures that are not in stimuli/ are left out, first %r"
        logging.warning(said, len(missing), missing[0])
    return {found[name]: n for n, name in enumerate(sorted(stimuli)) if name in found}


def _in_scanpaths(found: Arrays, n: np.ndarray) -> Fixations:
    """Return columns in the order of n, the rows of an observer a scanpath in which t counts;
    those of no stimulus are left out."""
    order = np.argsort(n, kind="stable")
    order = order[n[order] >= 0]
    n, subject = n[order], found["subject"][order]
    scanpath, t = np.full(len(n), UNKNOWN), np.nan
    if (subject >= 0).all():
        begins = np.diff(n, prepend=UNKNOWN) | np.diff(subject, prepend=UNKNOWN) != 0
        scanpath = np.cumsum(begins) - 1
        t = np.arange(len(n)) - np.flatnonzero(begins)[scanpath]
    x, y, duration = (found[name][order] for name in ("x", "y", "duration"))
    return table(x, y, n, subject, t, duration, scanpath)


def read_points(files: Files, stimuli: Files, discs: bool = False) -> Fixations:
    """Read pictures and arrays of points or discs, one a stimulus: a fixation at the centre of
    each pixel that is set (see looks.marks), or at the middle of each disc.

    One that is smaller or larger is scaled to its stimulus. Repeats are lost, but in an array of
    counts; so are observers and order. Raises UsageError for one of another aspect ratio than its
    stimulus, or an array of no counts.
    """
    stimulus = [stimuli[name] for name in sorted(stimuli)]
    places = _paired(files, stimuli, Path("fixations"))
    maps_of = {n: files[name] for name, n in places.items()}

    def columns() -> Arrays:
        parts = [_points(n, path, stimulus[n], discs) for n, path in maps_of.items()]
        fixations = concatenate(parts)
        return {name: getattr(fixations, name) for name in ("x", "y", "n")}

    sizes = [str((n, *shape(stimulus[n]))) for n in maps_of]
    read = cached.kept(columns, f"points {discs}", *sizes, *map(cached.digest_of, maps_of.values()))
    return table(read["x"], read["y"], read["n"])


def _points(n: int, path: Path, stimulus: Path, discs: bool) -> Fixations:
    """Return the fixations of one map of points or discs, scaled to its stimulus."""
    levels = maps.read(path)
    try:
        fixations = _of_discs(levels, n) if discs else of_counts(_counts(path, levels), n)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    (height, width), (rows, columns) = shape(stimulus), levels.shape
    if skewed(levels.shape, (height, width)):
        raise UsageError(
            f"{path}: points on {columns}x{rows} pixels, but the stimulus has {width}x{height}"
        )
    return fixations.scaled(width / columns, height / rows)


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
