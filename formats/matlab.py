"""The authors' .mat files -> columns of fixations, read in the process of formats.isolated.

Columns are record (which of the `names` of a file with many pictures), subject (-1 where not
known), x, y and duration (seconds, NaN where not known), those of an observer in order of time.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from errors import UsageError, printable
from formats import hdf5
from formats.fixations import MOST, UNKNOWN, of_counts
from formats.isolated import Arrays

ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}  # of bytes, by the end of the header of version 5
MATRIX, COMPRESSED = 14, 15  # kinds of elements
CELLS, STRUCTS = 1, 2  # classes of arrays

# A scanpath: record, observer, x, y, and durations where they are known.
Scanpath = tuple[int, int, np.ndarray, np.ndarray, np.ndarray | float]


def salicon(path: Path) -> Arrays:
    """Read `gaze`, one entry an observer, with its detected `fixations`: pixels from 1."""
    gaze = variable(path, "gaze")
    with laid_out():
        paths = [rows(each, 2).T - 1 for each in np.ravel(gaze["fixations"])]
        return columns((0, observer, x, y, np.nan) for observer, (x, y) in enumerate(paths))


def cat2000(path: Path) -> Arrays:
    """Read `fixLocs`, how many fixations each pixel has; coordinates are the pixels' centres."""
    counts = variable(path, "fixLocs")
    with laid_out():
        found = of_counts(reals(counts))
        return columns([(0, UNKNOWN, found.x, found.y, np.nan)])


def dutomron(path: Path) -> Arrays:
    """Read `s` with rows (x, y, observer), pixels from 0; observer 0 is the picture's size."""
    table = variable(path, "s")
    with laid_out():
        x, y, observer = rows(table, 3).T
        return columns(by_observer(0, x, y, observer))


def pascals(path: Path) -> Arrays:
    """Read cell k of `fixCell`, with rows (y, x, observer) for k.jpg, all from 1. The file is HDF5,
    where matrices lie transposed, and an empty one is its two sizes."""
    found = cells(path, "fixCell")
    with laid_out():
        paths = []
        for k, cell in enumerate(found):
            y, x, observer = cell if cell.ndim == 2 else np.empty((3, 0))
            paths += by_observer(k, x - 1.0, y - 1.0, observer)
        names = [f"{k}.jpg" for k in range(1, len(found) + 1)]
        return columns(paths) | {"names": np.array(names, str)}


def osie(path: Path) -> Arrays:
    """Read `fixations`: pictures `img`, each with the scanpaths of 15 `subjects`. Coordinates are
    fractions of pixels and stand as they are, as in pysaliency; durations are milliseconds."""
    pictures = variable(path, "fixations")
    with laid_out():
        names, paths = [], []
        for k, cell in enumerate(np.ravel(pictures)):
            names.append(str(cell["img"][0, 0].item()))
            for observer, subject in enumerate(cell["subjects"][0, 0].ravel()):
                fields = ("fix_x", "fix_y", "fix_duration")
                x, y, duration = (reals(subject[field][0, 0]).ravel() for field in fields)
                paths.append((k, observer, x, y, duration / 1000))
        if len({*names}) < len(names):
            raise ValueError("two records of one picture")
        return columns(paths) | {"names": np.array(names, str)}


def variable(path: Path, name: str) -> np.ndarray:
    """Return a variable of a MATLAB file; structs and cells are arrays of objects."""
    from scipy.io import loadmat

    content = memoryview(path.read_bytes())
    if order := ORDERS.get(bytes(content[124:128])):
        elements(content[128:], order)
    found = loadmat(path, appendmat=False, variable_names=[name])
    if name not in found:
        raise UsageError(f"needs the variable {name!r}, found none of that name")
    return found[name]


def elements(data: memoryview, order: str) -> list[tuple[int, memoryview]]:
    """Return kind and data of the elements, one behind another, of a file of version 5 or an array.

    Raises:
        ValueError: they do not end where it ends, or an array of cells or structs has not as many
            as its sides say; SciPy takes what there is, without a word.
    """
    found, end = [], 0
    while (start := end) < len(data):
        kind, size = struct.unpack_from(order + "II", data, start)
        body, end = data[start + 8 : start + 8 + size], start + 8 + size
        if small := kind >> 16:  # it lies where the size would
            kind, body, end = kind & 0xFFFF, data[start + 4 : start + 4 + small], start + 8
        elif kind != COMPRESSED:
            end += -size % 8
        if end > len(data):
            raise ValueError("an element that is cut off")
        if kind == COMPRESSED:  # MATLAB leaves out the mark of the end at times
            elements(memoryview(zlib.decompressobj().decompress(body)), order)
        elif kind == MATRIX and size:
            parts = elements(body, order)
            (word,), sides = struct.unpack(order + "I", parts[0][1][:4]), parts[1][1]
            count = prod(struct.unpack(f"{order}{len(sides) // 4}i", sides))
            if word & 0xFF == STRUCTS:  # a cell for each field, whose names are all of one length
                count *= len(parts[4][1]) // struct.unpack(order + "i", parts[3][1])[0]
            if word & 0xFF in (CELLS, STRUCTS) and [k for k, _ in parts].count(MATRIX) != count:
                raise ValueError(f"an array that has not all of its {count} cells")
        found.append((kind, body))
    return found


def cells(path: Path, name: str) -> list[np.ndarray]:
    """Return the cells, all of numbers, of a cell array of a MATLAB file of version 7.3."""
    import h5py

    with hdf5.opened(path) as file:
        references = hdf5.dataset(file, name)
        if h5py.check_ref_dtype(references.dtype) is not h5py.Reference:
            raise UsageError(f"found type {references.dtype}, references to cells are needed")
        nodes = [file[reference] for reference in np.ravel(references[...])]
        for node in nodes:
            if not isinstance(node, h5py.Dataset) or node.dtype not in hdf5.NUMBERS:
                raise UsageError(f"a reference to {node}, datasets of numbers are needed")
        return [node[...] for node in nodes]


def rows(values: np.ndarray, width: int) -> np.ndarray:
    """Return float64 (M, width) of a matrix with a row each; an empty one has any shape."""
    return reals(values).reshape(-1, np.shape(values)[-1] or width)[:, :width]


def reals(values) -> np.ndarray:
    """Return the same real numbers in float64; raises ValueError."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"found {values.dtype}, real numbers are needed")
    return values.astype(np.float64)


def by_observer(record: int, x, y, observer) -> Iterator[Scanpath]:
    """Yield the scanpaths of rows that name their observer, from 1; 0 is nobody."""
    if not ((observer >= 0) & (observer < MOST) & (np.floor(observer) == observer)).all():
        raise ValueError("an observer that is no number of one")
    for number in np.unique(observer[observer > 0]).astype(int):
        own = observer == number
        yield record, number - 1, x[own], y[own], np.nan


def columns(scanpaths: Iterable[Scanpath]) -> Arrays:
    """Return scanpaths under one another; raises ValueError where one is none."""
    parts = [np.empty((5, 0))]
    for _, _, x, y, duration in (paths := [*scanpaths]):
        if not (len(x) == len(y) == len(np.broadcast_to(duration, x.shape))):
            raise ValueError(f"{len(x)} x and {len(y)} y")
    parts += [np.stack(np.broadcast_arrays(*path)) for path in paths]
    record, subject, x, y, duration = np.concatenate(parts, 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a coordinate that is not finite")
    known = {"record": record.astype(int), "subject": subject.astype(int)}
    return known | {"x": x, "y": y, "duration": duration}


@contextmanager
def laid_out() -> Iterator[None]:
    """What is found to be of another layout than a corpus' file has becomes a UsageError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UsageError(f"not laid out as the corpus' files are ({printable(error)})") from None
