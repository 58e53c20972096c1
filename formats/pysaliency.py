"""pysaliency's HDF5 files: written as version 0.2.22 does, read in all types and versions."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import logging

import storage
from errors import UsageError
from formats import cached
from formats.fixations import EARLIER, UNKNOWN, Fixations, table
from formats.hdf5 import group, integers, member, numbers, read_typed, texts
from formats.isolated import Arrays
from formats.layout import STIMULI


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

    with storage.hdf5(folder / "stimuli.hdf5") as file:
        _attributes(file, type="FileStimuli", version="2.1", __attributes__=[])
        file.attrs["size"] = len(names)
        text = [(STIMULI + name).encode() for name in names]
        file.create_dataset("filenames", data=np.array(text, object), dtype=h5py.string_dtype())
        vector = h5py.vlen_dtype(np.dtype("int64"))
        rows = file.create_dataset("shapes", (len(names),), dtype=vector)
        for index, shape in enumerate(shapes):
            rows[index] = np.array(shape, np.int64)
    with storage.hdf5(folder / "fixations.hdf5") as file:
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


def read_hdf5(path: Path) -> Fixations:
    """A file of fixations, which may lie on a read-only disk; `n` as it stands, never below 0.

    Where scanpaths are known, rows are in their order. Plain Fixations have histories of their own,
    which may be of fixations that a filter left out.

    Raises:
        UsageError: a file that is damaged, or of another type or version.
    """
    return Fixations(**cached.read(fixations, path))


def fixations(path: Path) -> Arrays:
    """Return the columns of a file of fixations, in the process of formats.isolated."""
    readers = {
        "FixationTrains": (_read_trains, ("1.0", "1.1", "1.2", "1.3")),
        "ScanpathFixations": (_read_scanpaths, ("1.0",)),
        "Fixations": (_read_flat, ("1.0", "1.1", "1.2")),
    }
    return vars(read_typed(path, readers))


def renumbered(
    found: Fixations, order: Sequence[str], names: Sequence[str], path: Path, partial: bool = False
) -> Fixations:
    """Fixations whose `n` indexes `order`, with `n` indexing `names`.

    Raises:
        UsageError: an `n` beyond the order, or stimuli that `names` has not; with `partial` the
            fixations on those are left out, with a notice, if there are others.
    """
    if len(found) and found.n.max() >= len(order):
        span = f"stimuli {found.n.min()}..{found.n.max()}"
        raise UsageError(f"{path}: fixations on {span}, allowed are 0..{len(order) - 1}")
    index = {name: place for place, name in enumerate(names)}
    places = np.array([index.get(name, UNKNOWN) for name in order], np.int64)
    known = places[found.n] >= 0
    missing = [name for name in order if name not in index]
    if missing:
        said = f"{path}: {len(missing)} of its stimuli are not here, first '{missing[0]}'"
        if not partial or not known.any():
            raise UsageError(said if partial else f"{said}; --partial leaves them out")
        logging.warning("%s; their %d fixations are left out", said, (~known).sum())
    return replace(found, n=places[found.n]).select(known)


def _read_trains(file) -> Fixations:
    parts = [f"train_{part}" for part in ("xs", "ys", "ns", "lengths")]
    subject, t = _observers(file, "train_subjects"), numbers(file, "train_ts", axes=2)
    each = group(file, "scanpath_fixation_attributes")
    return _unpadded(file, *parts, subject, t, each)


def _read_scanpaths(file) -> Fixations:
    paths = group(file, "scanpaths")
    own, each = group(paths, "scanpath_attributes"), group(paths, "fixation_attributes")
    known = any(name in own for name in ("subject", "subjects"))
    subject = _observers(own, "subject", "subjects") if known else None
    t = numbers(each, "ts", axes=2) if "ts" in each else None
    return _unpadded(paths, "xs", "ys", "n", "length", subject, t, each)


def _unpadded(node, xs, ys, ns, length, subject, t, attributes) -> Fixations:
    """A table of matrices with a row for each scanpath."""
    x, y, n = numbers(node, xs, axes=2), numbers(node, ys, axes=2), integers(node, ns)
    lengths = integers(node, length) if length in node else None
    duration = _durations(attributes, axes=2)
    columns = {ys: y, ns: n, "subject": subject, "ts": t, "durations": duration, length: lengths}
    _check_shapes(xs, x, columns)
    filled = _filled(x, lengths, xs)
    if (_filled(y, lengths, ys) != filled).any():
        raise UsageError(f"{xs} and {ys} have scanpaths of different lengths")
    path = np.nonzero(filled)[0]
    t, duration = (np.nan if values is None else values[filled] for values in (t, duration))
    subject = UNKNOWN if subject is None else subject[path]
    return table(x[filled], y[filled], _indices(n)[path], subject, t, duration, path)


def _check_shapes(name: str, like: np.ndarray, columns: dict) -> None:
    """Raises UsageError where one of the columns and matrices is not as long as the first."""
    for other, values in columns.items():
        if values is not None and values.shape != like.shape[: values.ndim]:
            raise UsageError(f"{other} has the shape {values.shape}, but {name} {like.shape}")


def _filled(values: np.ndarray, lengths: np.ndarray | None, name: str) -> np.ndarray:
    """Which elements of a matrix padded with NaN are there, so many in each row; without lengths
    those before the first NaN."""
    if lengths is None:
        lengths = (~np.isnan(values)).sum(1)
    wrong = lengths[(lengths < 0) | (lengths > values.shape[1])]
    if len(wrong):
        raise UsageError(f"{name} has rows of {values.shape[1]}, found a length of {wrong[0]}")
    filled = np.arange(values.shape[1]) < lengths[:, None]
    rows = np.flatnonzero((np.isnan(values) & filled).any(1))
    if len(rows):
        raise UsageError(f"{name} has NaN before the end of its row {rows[0]}")
    return filled


def _indices(n: np.ndarray) -> np.ndarray:
    if n.min(initial=0) < 0:
        raise UsageError(f"fixations on stimulus {n.min()}; they are counted from 0")
    return n


def _observers(node, *names: str) -> np.ndarray:
    """Observers as integers: names are numbered in their order."""
    values = next((member(node, name) for name in names if name in node), None)
    if getattr(values, "dtype", np.dtype(float)).kind in "iuf":
        return integers(node, *names)
    return np.unique(texts(node, *names), return_inverse=True)[1]


def _durations(node, axes: int) -> np.ndarray | None:
    names = [name for name in ("durations", "duration") if name in node]
    return numbers(node, *names, axes=axes) if names else None


def _read_flat(file) -> Fixations:
    x, y, t = (numbers(file, name) for name in ("x", "y", "t"))
    n, subject = _indices(integers(file, "n")), _observers(file, "subject", "subjects")
    lengths = integers(file, "lengths") if "lengths" in file else None
    index = integers(file, "scanpath_index") if "scanpath_index" in file else None
    past = [numbers(file, name, axes=2) for name in ("x_hist", "y_hist")]
    duration = _durations(file, axes=1)
    columns = {"y": y, "t": t, "n": n, "subject": subject, "durations": duration}
    _check_shapes("x", x, columns | {"lengths": lengths, "scanpath_index": index})
    _check_shapes("x_hist", past[0], {"x": x, "y_hist": past[1]})
    if np.isnan(x).any() or np.isnan(y).any():
        raise UsageError("x or y has NaN among its numbers")
    earlier = _filled(past[0], lengths, "x_hist")
    if (_filled(past[1], lengths, "y_hist") != earlier).any():
        raise UsageError("x_hist and y_hist have histories of different lengths")
    duration = np.nan if duration is None else duration
    if index is None and not earlier.any():
        return table(x, y, n, subject, t, duration)
    past, count = np.stack(past, 2), earlier.sum(1)
    # Filters leave rows out, and histories as they were. The same begin is the same scanpath.
    points = np.stack([x, y], 1)
    begin = np.where(count[:, None] > 0, past[:, 0], points) if past.shape[1] else points
    path = np.column_stack([n, subject, begin]) if index is None else index[:, None]
    scanpath = np.unique(path, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((count, scanpath))
    found = table(x, y, n, subject, t, duration, scanpath, _last(past, count))
    return found.select(order)


def _last(past: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return (M, 4, 2): the last four of `count` (M,) points in rows (M, L, 2), last one first."""
    found = np.full((len(past), EARLIER, 2), np.nan)
    for back in range(EARLIER):
        rows = np.flatnonzero(count > back)
        found[rows, back] = past[rows, count[rows] - 1 - back]
    return found
