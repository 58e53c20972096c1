"""Where people looked, as one table; its HDF5 files, and counts and blurred maps made from it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from absl import logging

from config import UsageError

UNKNOWN = -1
FOLDER = "stimuli/"


@dataclass(frozen=True, eq=False)
class Fixations:
    """One row a fixation, all arrays of length M.

    x, y: float64 pixels of the original stimulus, x the column and y the row; floor is the pixel.
    n: int64, index of the stimulus.
    subject: int64, the observer; -1 where not known.
    t, duration: float64 seconds, NaN where not known. Where the authors give the order alone,
        t counts 0, 1, 2, ... within the scanpath, as pysaliency has it.
    scanpath: int64, which scanpath, its rows in order of time; all -1 where the order is not known.
    """

    x: np.ndarray
    y: np.ndarray
    n: np.ndarray
    subject: np.ndarray
    t: np.ndarray
    duration: np.ndarray
    scanpath: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @property
    def ordered(self) -> bool:
        """Whether every fixation belongs to a known scanpath."""
        return len(self) > 0 and bool((self.scanpath >= 0).all())

    def select(self, rows: np.ndarray) -> "Fixations":
        """The rows of a boolean mask (M,) or of an array of indices."""
        return Fixations(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def by_stimulus(self, count: int) -> list["Fixations"]:
        """One table for each of the stimuli 0..count-1, rows in their order."""
        order = np.argsort(self.n, kind="stable")
        edges = np.searchsorted(self.n[order], np.arange(count + 1))
        return [self.select(order[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def table(x, y, n, subject=UNKNOWN, t=np.nan, duration=np.nan, scanpath=UNKNOWN) -> Fixations:
    """A table from arrays (M,); a scalar stands for all rows."""
    x = np.asarray(x, np.float64)

    def column(values, kind=np.float64):
        return np.broadcast_to(np.asarray(values, kind), x.shape).copy()

    index, observer, path = (column(values, np.int64) for values in (n, subject, scanpath))
    return Fixations(x.copy(), column(y), index, observer, column(t), column(duration), path)


def concatenate(tables: Iterable[Fixations]) -> Fixations:
    """All rows under one another; scanpaths are numbered on, so that none run together."""
    parts, start = [table([], [], [])], 0
    for part in tables:
        known = part.scanpath >= 0
        parts.append(replace(part, scanpath=np.where(known, part.scanpath + start, UNKNOWN)))
        start += int(part.scanpath.max(initial=UNKNOWN)) + 1
    names = [field.name for field in fields(Fixations)]
    return Fixations(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def counts(x, y, shape: Sequence[int], size: Sequence[int] | None = None) -> np.ndarray:
    """How many fixations fell on each pixel.

    Args:
        x, y: (M,) pixels of the original picture; those outside it count nowhere.
        shape: (height, width, ...) of the original picture.
        size: (height, width) wanted; coordinates are scaled to it. Default: the original's.

    Returns:
        float64 (height, width), at the floor pixels, repeats counted.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    height, width = size = tuple(shape[:2] if size is None else size)
    inside = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0])
    column = np.floor(x[inside] * (width / shape[1])).astype(np.int64)
    row = np.floor(y[inside] * (height / shape[0])).astype(np.int64)
    # The product of a coordinate just inside may round up to the edge.
    pixels = np.minimum(row, height - 1) * width + np.minimum(column, width - 1)
    return np.bincount(pixels, minlength=height * width).astype(np.float64).reshape(size)


def blur(counts: np.ndarray, sigma: float) -> np.ndarray:
    """The empirical map: counts under a Gaussian, as pysaliency and the Tuebingen benchmark do.

    Args:
        counts: (height, width).
        sigma: standard deviation in pixels of these counts, cut off at 4 sigma.

    Returns:
        float64 (height, width) of the same sum: edges reflect.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.sparse import csr_array

    def along(lines: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(lines, sigma, mode="reflect", truncate=4.0)

    # Most pixels have no fixation: filtering only what has some takes a third of the time that
    # gaussian_filter takes, and differs by round-off.
    counts = np.asarray(counts, np.float64)
    rows = np.flatnonzero(counts.any(1))
    if not len(rows):
        return np.zeros(counts.shape)
    down = along(np.eye(len(counts))[rows])  # where each of these rows is spread to
    return csr_array(down.T) @ along(counts[rows])


def write_hdf5(
    folder: Path, names: Sequence[str], shapes: Sequence[Sequence[int]], fixations: Fixations
) -> None:
    """Writes stimuli.hdf5 and fixations.hdf5 as pysaliency 0.2.22 writes and reads them.

    The stimuli are a FileStimuli 2.1; the fixations FixationTrains 1.2 where scanpaths are
    known, else Fixations 1.0, the only version of those that 0.2.22 takes.

    Args:
        folder: an existing folder, with the pictures at stimuli/<name> in it.
        names: of all stimuli, in the order that `fixations.n` indexes.
        shapes: (height, width, channels) of each; (height, width) of a grey one.
    """
    import h5py

    with h5py.File(folder / "stimuli.hdf5", "w") as file:
        _attributes(file, type="FileStimuli", version="2.1", __attributes__=[])
        file.attrs["size"] = len(names)
        text = [(FOLDER + name).encode() for name in names]
        file.create_dataset("filenames", data=np.array(text, object), dtype=h5py.string_dtype())
        vector = h5py.vlen_dtype(np.dtype("int64"))
        rows = file.create_dataset("shapes", (len(names),), dtype=vector)
        for index, shape in enumerate(shapes):
            rows[index] = np.array(shape, np.int64)
    with h5py.File(folder / "fixations.hdf5", "w") as file:
        (_write_trains if fixations.ordered else _write_flat)(file, fixations)


def _attributes(node, **values) -> None:
    for name, value in values.items():
        node.attrs[name] = np.bytes_(value if isinstance(value, str) else json.dumps(value))


def _write_trains(file, fixations: Fixations) -> None:
    rows = fixations.select(np.argsort(fixations.scanpath, kind="stable"))
    _, first, index, lengths = np.unique(
        rows.scanpath, return_index=True, return_inverse=True, return_counts=True
    )
    position = np.arange(len(rows)) - first[index]

    def padded(values: np.ndarray) -> np.ndarray:
        matrix = np.full((len(first), lengths.max()), np.nan)
        matrix[index, position] = values
        return matrix

    _attributes(file, type="FixationTrains", version="1.2")
    _attributes(file, __attributes__=["subjects", "scanpath_index"])
    for name in "xyt":
        file[f"train_{name}s"] = padded(getattr(rows, name))
    file["train_ns"], file["train_subjects"] = rows.n[first], rows.subject[first]
    known = not np.isnan(rows.duration).all()
    _attributes(file, scanpath_attribute_mapping={"durations": "duration"} if known else {})
    _attributes(file.create_group("scanpath_attributes"), __attributes__=[])
    extra = file.create_group("scanpath_fixation_attributes")
    _attributes(extra, __attributes__=["durations"] if known else [])
    if known:
        extra["durations"] = padded(rows.duration)


def _write_flat(file, fixations: Fixations) -> None:
    _attributes(file, type="Fixations", version="1.0")
    for name in ("x", "y", "t", "n"):
        file[name] = getattr(fixations, name)
    for name in ("x_hist", "y_hist", "t_hist"):
        file[name] = np.full((len(fixations), 1), np.nan)
    file["subjects"], extra = fixations.subject, ["subjects"]
    if not np.isnan(fixations.duration).all():
        file["duration"] = fixations.duration
        extra.append("duration")
    _attributes(file, __attributes__=extra)


def read_hdf5(path: Path, names: Sequence[str] | None = None) -> Fixations:
    """A pysaliency file of fixations, which may lie on a read-only disk.

    Args:
        names: the stimuli that `n` is to index. A stimuli.hdf5 beside the file says which it has,
            in which order; without one they are taken to be these. Fixations on other stimuli are
            left out, with a notice. Default: `n` as it stands.

    Raises:
        UsageError: a file that is damaged, of another type or version, or of other stimuli.
    """
    readers = {
        "FixationTrains": (_read_trains, ("1.0", "1.1", "1.2", "1.3")),
        "ScanpathFixations": (_read_scanpaths, ("1.0",)),
        "Fixations": (_read_flat, ("1.0", "1.1", "1.2")),
    }
    found = _open(path, readers)
    return found if names is None else _renumbered(found, names, path)


def _renumbered(found: Fixations, names: Sequence[str], path: Path) -> Fixations:
    beside = path.with_name("stimuli.hdf5")
    stored = read_names(beside) if beside.exists() else list(names)
    if len(found) and not 0 <= found.n.min() <= found.n.max() < len(stored):
        span = f"stimuli {found.n.min()}..{found.n.max()}"
        raise UsageError(f"{path}: fixations on {span}, allowed are 0..{len(stored) - 1}")
    index = {name: place for place, name in enumerate(names)}
    places = np.array([index.get(name, UNKNOWN) for name in stored], np.int64)
    known = places[found.n] >= 0
    if not known.all():
        missing = [stored[n] for n in np.unique(found.n[~known])]
        said = f"{path}: {len(missing)} of its stimuli are not here, first '{missing[0]}'"
        if not known.any():
            raise UsageError(said)
        logging.warning("%s; their %d fixations are left out", said, (~known).sum())
    return replace(found, n=places[found.n]).select(known)


def read_names(path: Path) -> list[str]:
    """The stimuli's names in a pysaliency FileStimuli file, as they lie below stimuli/.

    Raises:
        UsageError: a file that is damaged, or of another type or version.
    """
    return _open(path, {"FileStimuli": (_read_filenames, ("1.0", "2.0", "2.1"))})


def _read_filenames(file) -> list[str]:
    names = [name.replace("\\", "/") for name in file["filenames"].asstr()[...]]
    # Version 1.0 has whole paths; pysaliency itself calls the folder Stimuli in some corpora.
    return [re.sub(rf"^(.*/)?{FOLDER}", "", name, flags=re.IGNORECASE) for name in names]


def _open(path: Path, readers: dict):
    """What the reader of the file's type makes of it; readers: type -> (function, versions)."""
    import h5py

    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            said = (file.attrs.get(name, "none") for name in ("type", "version"))
            kind, version = (v.decode() if isinstance(v, bytes) else str(v) for v in said)
            read, versions = readers.get(kind, (None, ()))
            if version in versions:
                return read(file)
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path}: not a whole pysaliency file ({reason})") from error
    allowed = "; ".join(f"{name} {', '.join(v)}" for name, (_, v) in readers.items())
    raise UsageError(f"{path}: found type {kind}, version {version}; readable are {allowed}")


def _read_trains(file) -> Fixations:
    parts = ("xs", "ys", "ns", "subjects", "ts", "lengths")
    names = (f"train_{part}" for part in parts)
    return _unpadded(file, *names, "scanpath_fixation_attributes/durations")


def _read_scanpaths(file) -> Fixations:
    names = ("xs", "ys", "n", "scanpath_attributes/subject", "fixation_attributes/ts", "length")
    return _unpadded(file["scanpaths"], *names, "fixation_attributes/durations")


def _unpadded(group, xs, ys, ns, subjects, ts, lengths, durations) -> Fixations:
    """A table of matrices with a row for each scanpath; where no lengths are, NaN ends it."""
    x = group[xs][...]
    valid = ~np.isnan(x)
    if lengths in group:
        valid = np.arange(x.shape[1]) < group[lengths][...][:, None]
    path = np.nonzero(valid)[0]
    t, duration = (group[name][...][valid] if name in group else np.nan for name in (ts, durations))
    subject = _numbers(group[subjects][...])[path] if subjects in group else UNKNOWN
    return table(x[valid], group[ys][...][valid], group[ns][...][path], subject, t, duration, path)


def _read_flat(file) -> Fixations:
    x = file["x"][...]
    subject = _numbers(file["subject" if "subject" in file else "subjects"][...])
    index = file["scanpath_index"][...] if "scanpath_index" in file else UNKNOWN
    duration = file["duration"][...] if "duration" in file else np.nan
    y, n, t = (file[name][...] for name in ("y", "n", "t"))
    fixations = table(x, y, n, subject, t, duration, index)
    if not fixations.ordered:
        return fixations
    earlier = (~np.isnan(file["x_hist"][...])).sum(1)
    return fixations.select(np.lexsort((earlier, fixations.scanpath)))


def _numbers(values: np.ndarray) -> np.ndarray:
    """Observers as integers: names are numbered in their order."""
    whole = np.issubdtype(values.dtype, np.number)
    return values if whole else np.unique(values.astype(str), return_inverse=True)[1]
