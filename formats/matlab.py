"""MATLAB's files as arrays, and a damaged one as one line.

Those up to version 7 are read here ("MAT-File Format", The MathWorks), trusted in nothing that they
claim: SciPy's reader lets a damaged one end the program by a segmentation fault.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from errors import UsageError
from formats import hdf5

HEADER = 128  # bytes of text, version and order of bytes before the first element
ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}
MATRIX, COMPRESSED = 14, 15  # kinds of elements
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
NUMBERS |= {13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-{}", 16: "utf-8", 17: "utf-16-{}", 18: "utf-32-{}"}
CELL, STRUCT, TEXT, NUMERIC = 1, 2, 4, range(6, 16)  # classes of arrays
COMPLEX = 0x800
DEEPEST = 32  # arrays within arrays
MOST = 10**6  # cells and fields of a variable; OSIE, of the known ones the richest, has 43 thousand
FIELDS, REFERENCES = 10**3, 10**5
DAMAGED = (OSError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError, StopIteration)
DAMAGED += (struct.error, zlib.error)

Element = tuple[int, memoryview]  # its kind and its data


def variable(path: Path, name: str) -> np.ndarray:
    """A variable of a MATLAB file of version 5 to 7; structs and cells are arrays of objects.

    A text is an array of one. Numbers have the type in which they are stored.

    Raises:
        UsageError: a file that is damaged or has no such variable.
    """
    with _reported(path, name):
        content = memoryview(path.read_bytes())
        order = ORDERS.get(bytes(content[HEADER - 4 : HEADER]))
        if order is None:
            raise ValueError("it does not begin as one of version 5 to 7")
        for kind, data in _elements(content[HEADER:], order):
            if kind == COMPRESSED:
                data = _unpacked(data, order, name)
            if _name(data, order) == name:
                return _Reader(order).array(data)
        raise ValueError("there is none of that name")


def cells(path: Path, name: str) -> list[np.ndarray]:
    """The cells of a cell array of a MATLAB file of version 7.3, which is HDF5.

    An M x 3 matrix lies transposed there: (3, M). An empty one is its two sizes, one-dimensional.

    Raises:
        UsageError: a file that is damaged or has no such variable.
    """
    import h5py

    with _reported(path, name), hdf5.opened(path, "HDF5") as file:
        references = hdf5.dataset(file, name)
        if h5py.check_ref_dtype(references.dtype) is not h5py.Reference:
            raise UsageError(f"found type {references.dtype}, references to cells are needed")
        if references.size > REFERENCES:
            raise UsageError(f"{references.size} cells, at most {REFERENCES} are read")
        return hdf5.referenced(file, np.ravel(references[...]))


def rows(values: np.ndarray, width: int) -> np.ndarray:
    """float64 (M, width) of a matrix with a row each; an empty one has any shape in MATLAB."""
    return floats(values).reshape(-1, np.shape(values)[-1] or width)[:, :width]


def floats(values) -> np.ndarray:
    """The same numbers in float64."""
    return np.asarray(values, np.float64)


@contextmanager
def laid_out(path: Path) -> Iterator[None]:
    """What is found to be of another layout than a corpus' file has becomes a UsageError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        reason = hdf5.printable(error)
        raise UsageError(f"{path}: not laid out as the corpus' files are ({reason})") from None


@contextmanager
def _reported(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (*DAMAGED, UsageError) as error:
        reason = hdf5.printable(error) or "it ends too early"
        raise UsageError(
            f"{path}: not a whole MATLAB file with the variable {name!r} ({reason})"
        ) from None


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """The elements that stand one behind another."""
    start = 0
    while start < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, start)
        body, stop = start + 8, start + 8 + size
        if kind >> 16:  # a small one: its size is in the first word too, its data are the second
            kind, size, body, stop = kind & 0xFFFF, kind >> 16, start + 4, start + 8
        elif kind != COMPRESSED:
            stop += -size % 8
        if body + size > min(stop, len(data)):
            raise ValueError("an element is longer than what holds it")
        yield kind, data[body : body + size]
        start = stop


def _unpacked(packed: memoryview, order: str, name: str) -> memoryview:
    """The data of a packed element; only the beginning where that has another name."""
    begin = memoryview(zlib.decompressobj().decompress(packed, 1024))[8:]
    if _name(begin, order) != name:
        return begin
    unpacker, most = zlib.decompressobj(), max(hdf5.LARGE, hdf5.RATIO * len(packed))
    # MATLAB itself leaves out the last bytes of some: whether all is there, the element knows.
    whole = memoryview(unpacker.decompress(packed, most))
    if unpacker.unconsumed_tail:
        raise ValueError(f"its {len(packed)} bytes become more than {most}")
    return next(_elements(whole, order))[1]


def _name(matrix: memoryview, order: str) -> str:
    """What the variable of a matrix is called."""
    parts = _elements(matrix, order)
    _, _, (_, name) = next(parts, None), next(parts, None), next(parts, (0, b""))
    return bytes(name).decode("latin-1")


class _Reader:
    """Makes an array of the data of a matrix, and of those that it holds."""

    def __init__(self, order: str):
        self.order, self.held = order, 0

    def array(self, matrix: memoryview, depth: int = 0) -> np.ndarray:
        if not len(matrix):
            return np.zeros((0, 0))
        parts = _elements(matrix, self.order)
        flags, shape = int(self.numbers(next(parts))[0]), self.numbers(next(parts)).tolist()
        next(parts)  # its name
        kind = flags & 0xFF
        if flags & COMPLEX or len(shape) < 2 or min(shape) < 0 or depth > DEEPEST:
            raise ValueError(f"an array of shape {shape} with flags {flags:#x} at depth {depth}")
        if kind in NUMERIC:
            return self.numbers(next(parts)).reshape(shape, order="F")
        if kind == TEXT:
            return np.array([self.text(next(parts))])
        if kind == CELL:
            return self.held_arrays(parts, prod(shape), depth).reshape(shape, order="F")
        if kind == STRUCT:
            return self.structs(parts, prod(shape), depth).reshape(shape, order="F")
        raise ValueError(f"an array of class {kind}")

    def held_arrays(self, parts: Iterator[Element], count: int, depth: int) -> np.ndarray:
        """The next arrays, so many, as objects."""
        self.held += count
        if self.held > MOST:
            raise ValueError(f"more than {MOST} cells and fields")
        found = np.empty(count, object)
        for index in range(count):
            kind, matrix = next(parts)
            if kind != MATRIX:
                raise ValueError(f"an element of kind {kind} where an array is needed")
            found[index] = self.array(matrix, depth + 1)
        return found

    def structs(self, parts: Iterator[Element], count: int, depth: int) -> np.ndarray:
        length, text = int(self.numbers(next(parts))[0]), bytes(next(parts)[1])
        starts = range(0, len(text), length)
        if not 0 < len(starts) <= FIELDS:
            raise ValueError(f"structs of {len(starts)} fields")
        names = [text[k : k + length].partition(b"\0")[0].decode("latin-1") for k in starts]
        fields = self.held_arrays(parts, count * len(names), depth)
        found = np.empty(count, [(name, object) for name in names])
        for index, name in enumerate(names):
            found[name] = fields[index :: len(names)]
        return found

    def numbers(self, element: Element) -> np.ndarray:
        kind, data = element
        if kind not in NUMBERS:
            raise ValueError(f"an element of kind {kind} where numbers are needed")
        stored = np.dtype(NUMBERS[kind]).newbyteorder(self.order)
        return np.frombuffer(data, stored).astype(NUMBERS[kind])

    def text(self, element: Element) -> str:
        kind, data = element
        if kind not in TEXTS:
            raise ValueError(f"an element of kind {kind} where a text is needed")
        encoding = TEXTS[kind].format("le" if self.order == "<" else "be")
        return bytes(data).decode(encoding)
