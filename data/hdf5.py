"""HDF5 files of others: read only and unlocked, and trusted in nothing that they claim."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from os import SEEK_END
from pathlib import Path

import numpy as np

from config import UsageError

DAMAGED = (OSError, LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError)
DAMAGED += (AttributeError, NotImplementedError)
SMALL = 2**20  # bytes that a dataset may have without storage, all of them its fill value
PIXELS = 2**28  # of a picture; Pillow refuses as many
# How a text of any length is stored: where it is.
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])


@contextmanager
def opened(path: Path, name: str = "") -> Iterator:
    """An h5py.File; what is wrong with it, or is found to be while it is in use, becomes a
    UsageError that begins with `name`, by default the path.

    It is closed at the end: a handle must not outlive a fork. No lock is asked for, since shared
    file systems and read-only disks have none to give.
    """
    import h5py

    name = name or str(path)
    if not path.is_file():
        raise UsageError(f"{name}: no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{name}: not a whole HDF5 file ({reason})") from None


def read_typed(path: Path, readers: dict):
    """What the reader of the file's type makes of it; readers: type -> (function, versions)."""
    with opened(path) as file:
        kind, version = attribute(file, "type"), attribute(file, "version")
        read, versions = readers.get(kind, (None, ()))
        if version not in versions:
            allowed = "; ".join(f"{name} {', '.join(v)}" for name, (_, v) in readers.items())
            raise UsageError(f"found type {kind}, version {version}; readable are {allowed}")
        return read(file)


def attribute(node, name: str) -> str:
    """A text attribute, in bytes or not; "none" where there is none."""
    value = node.attrs.get(name, "none")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def group(parent, name: str):
    """A group, or an empty dict where there is none; UsageError where it is something else."""
    import h5py

    node = parent.get(name, {})
    if not isinstance(node, h5py.Group | dict):
        raise UsageError(f"needs the group {name}, found a dataset")
    return node


def dataset(group, *names: str):
    """The first of the datasets that is there.

    Raises:
        UsageError: none is, it is something else, or its data are not in this file.
    """
    import h5py

    name = next((name for name in names if name in group), names[0])
    node = group.get(name)
    if not isinstance(node, h5py.Dataset):
        found = "none" if node is None else "a group" if isinstance(node, h5py.Group) else "a type"
        raise UsageError(f"needs the dataset {' or '.join(names)}, found {found}")
    if node.shape is None or node.is_virtual or node.external:
        raise UsageError(f"the dataset {name} has no data in this file")
    held = stored_bytes(node)
    if node.nbytes > max(held, SMALL):
        raise UsageError(f"the dataset {name} claims {node.nbytes} bytes, the file has {held}")
    return node


def stored_bytes(node) -> int:
    """How many of a dataset's bytes were written, as they are when read."""
    if node.chunks is None:
        return node.id.get_storage_size()
    return node.id.get_num_chunks() * prod(node.chunks) * node.dtype.itemsize


def numbers(group, *names: str, axes: int = 1) -> np.ndarray:
    """The first of the datasets that is there, real numbers with so many axes."""
    node = dataset(group, *names)
    if node.dtype.kind not in "iuf" or node.ndim != axes:
        raise UsageError(
            f"the dataset {node.name} has type {node.dtype} and shape {node.shape}; needed are "
            f"numbers with {axes} axes"
        )
    return node[...]


def integers(group, *names: str) -> np.ndarray:
    """int64 (M,), also of whole numbers stored as floats."""
    values = numbers(group, *names)
    whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < 2**62)
    if not whole.all():
        raise UsageError(f"the dataset {names[0]} has {values[~whole][0]}, needs whole numbers")
    return values.astype(np.int64)


def texts(group, *names: str) -> list[str]:
    """The strings of a dataset with one axis."""
    import h5py

    node = dataset(group, *names)
    if node.ndim != 1 or h5py.check_string_dtype(node.dtype) is None:
        raise UsageError(
            f"the dataset {node.name} has type {node.dtype} and shape {node.shape}; needed are "
            "texts with one axis"
        )
    check_heaps(node)
    return list(node.asstr()[...])


def check_heaps(node) -> None:
    """Raises UsageError where reading texts of any length would never end, or fill the memory.

    They lie in heaps, and each object of a heap says where the next begins (HDF5 File Format
    Specification 3.0, III.E); libhdf5 1.14 goes round for ever at one that says: here.
    """
    start = node.id.get_offset()
    if start is None or node.id.get_storage_size() != node.size * REFERENCE.itemsize:
        return
    with open(node.file.filename, "rb") as file:
        file.seek(start)
        held = np.frombuffer(file.read(node.size * REFERENCE.itemsize), REFERENCE)
        if held["length"].max(initial=0) > file.seek(0, SEEK_END):
            raise UsageError("not a whole HDF5 file (a text longer than the file)")
        for heap in np.unique(held["heap"]):
            file.seek(min(heap, SMALL**2))
            size = int.from_bytes(file.read(16)[8:], "little")
            check_heap(file.read(min(size, 2**32)))


def check_heap(objects: bytes) -> None:
    """Raises UsageError where an object of a heap is smaller than its own header of 16 bytes."""
    start = 0
    while start + 16 <= len(objects):
        index = int.from_bytes(objects[start : start + 2], "little")
        size = int.from_bytes(objects[start + 8 : start + 16], "little")
        step = (16 + -(-size // 8) * 8) % 2**64 if index else size  # free space counts its header
        if step < 16:
            raise UsageError("not a whole HDF5 file (a heap with an object of no size)")
        start += step


@dataclass(frozen=True)
class Stored:
    """A picture that is a dataset of an HDF5 file, as in pysaliency's Stimuli in memory."""

    file: Path
    key: str

    def __str__(self) -> str:
        return f"{self.file}[{self.key}]"

    @property
    def shape(self) -> tuple[int, int]:
        """Its height and width."""
        with opened(self.file, str(self)) as file:
            return picture(file, self.key).shape[:2]

    def pixels(self) -> np.ndarray:
        """uint8 (height, width) or (height, width, 3).

        Raises:
            UsageError: it is no such picture, or cannot be read.
        """
        with opened(self.file, str(self)) as file:
            return picture(file, self.key)[...]


def picture(file, key: str):
    """The dataset of a picture, its type and shape checked."""
    node = dataset(file, key)
    shape = node.shape
    if node.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise UsageError(
            f"found type {node.dtype} and shape {shape}; a picture is uint8, height x width or "
            "height x width x 3"
        )
    if not 0 < shape[0] * shape[1] < PIXELS:
        raise UsageError(f"a picture of {shape[1]}x{shape[0]} pixels")
    return node
