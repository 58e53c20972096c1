"""HDF5 files of others: read only and unlocked, and trusted in nothing that they claim."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

import storage
from errors import UsageError
from formats.hdf5_loops import check_attribute, check_object, check_texts

DAMAGED = (OSError, LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError)
DAMAGED += (AttributeError, NotImplementedError, struct.error, zlib.error)
# Of either order of bytes; no longer ones, which become infinite in 64 bits.
NUMBERS = [np.dtype(order + kind) for order in "<>" for kind in np.typecodes["AllInteger"] + "efd"]
SMALL = 2**20  # bytes that a dataset may have without storage, all of them its fill value
# Two screens of 8K, while a WebP of 1.2 kB may unpack to 268 million. A picture takes up to 26
# bytes a pixel on its way (WebP with transparency).
PIXELS = 2**26
# A dataset larger than this must have a hundredth of its bytes in the file: zeros pack a thousand
# times. What is padded, such as scanpaths of several lengths, packs less than that.
LARGE, RATIO = 2**28, 100


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
        with h5py.File(storage.kept(path), "r", locking=False) as file:
            check_object(file)
            yield file
    except UsageError as error:
        raise UsageError(f"{name}: {printable(error)}") from None
    except DAMAGED as error:
        reason = printable(error) or type(error).__name__
        raise UsageError(f"{name}: not a whole HDF5 file ({reason})") from None


def printable(text) -> str:
    """In one line, with a ? for what cannot be seen: names and attributes may be any bytes."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def read_typed(path: Path, readers: dict):
    """What the reader of the file's type makes of it; readers: type -> (function, versions)."""
    with opened(path) as file:
        kind, version = str(attribute(file, "type")), str(attribute(file, "version"))
        read, versions = readers.get(kind, (None, ()))
        if version not in versions:
            allowed = "; ".join(f"{name} {', '.join(v)}" for name, (_, v) in readers.items())
            raise UsageError(f"found type {kind}, version {version}; readable are {allowed}")
        return read(file)


def attribute(node, name: str, default="none"):
    """An attribute, of bytes as text; a default where there is none."""
    if name not in node.attrs:
        return default
    if node.attrs.get_id(name).dtype.hasobject:
        check_attribute(node, name)
    value = node.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def group(parent, name: str):
    """A group, or an empty dict where there is none; UsageError where it is something else."""
    import h5py

    node = member(parent, name)
    if node is not None and not isinstance(node, h5py.Group):
        raise UsageError(f"needs the group {name}, found a dataset")
    return node or {}


def member(parent, name: str):
    """What a group has under a name; None where it has nothing.

    Raises:
        UsageError: it lies elsewhere, or what leads to its parts has a loop.
    """
    import h5py

    if name not in parent:
        return None
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise UsageError(f"{name} is a link to elsewhere")
    node = parent[name]
    if isinstance(node, h5py.Group | h5py.Dataset):
        check_object(node)
    return node


def dataset(group, *names: str):
    """The first of the datasets that is there.

    Raises:
        UsageError: none is, it is something else, or its data are not in this file.
    """
    import h5py

    name = next((name for name in names if name in group), names[0])
    node = member(group, name)
    if not isinstance(node, h5py.Dataset):
        found = "none" if node is None else "a group" if isinstance(node, h5py.Group) else "a type"
        raise UsageError(f"needs the dataset {' or '.join(names)}, found {found}")
    return checked(node, name)


def checked(node, name: str):
    """A dataset whose data are in this file, and not less than it claims."""
    if node.shape is None or node.is_virtual or node.external:
        raise UsageError(f"the dataset {name} has no data in this file")
    held = stored_bytes(node)
    if node.nbytes > max(held, SMALL):
        raise UsageError(f"the dataset {name} claims {node.nbytes} bytes, the file has {held}")
    packed = node.id.get_storage_size()
    if node.nbytes > max(LARGE, RATIO * packed):
        raise UsageError(f"the dataset {name} has {packed} bytes that become {node.nbytes}")
    return node


def referenced(file, references) -> list[np.ndarray]:
    """What references to datasets of numbers lead to.

    Raises:
        UsageError: one leads to something else, or all together are too large for the memory.
    """
    import h5py

    nodes = [file[reference] for reference in references]
    for node in nodes:
        if not isinstance(node, h5py.Dataset) or node.dtype not in NUMBERS:
            raise UsageError(f"a reference to {node}, datasets of numbers are needed")
        check_object(node)
    total = sum(checked(node, str(node.name)).nbytes for node in nodes)
    if total > LARGE:
        raise UsageError(f"its cells are {total} bytes, at most {LARGE} are read")
    return [node[...] for node in nodes]


def stored_bytes(node) -> int:
    """How many of a dataset's bytes were written, as they are when read."""
    if node.chunks is None:
        return node.id.get_storage_size()
    return node.id.get_num_chunks() * prod(node.chunks) * node.dtype.itemsize


def numbers(group, *names: str, axes: int = 1) -> np.ndarray:
    """The first of the datasets that is there, real numbers with so many axes."""
    node = dataset(group, *names)
    if node.dtype not in NUMBERS or node.ndim != axes:
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
    check_texts(node)
    return list(node.asstr()[...])


def shapes(group, name: str) -> list[tuple[int, int]]:
    """The height and width at the start of each row of a dataset of whole numbers, rows of any
    length."""
    import h5py

    node = dataset(group, name)
    kind = h5py.check_vlen_dtype(node.dtype)
    if node.ndim == 1 and kind is not None and np.dtype(kind).kind in "iu":
        check_texts(node)
        rows = list(node[...])
    else:
        rows = list(numbers(group, name, axes=2))
    found = [tuple(int(side) for side in row[:2]) for row in rows]
    if not all(len(row) == 2 and min(row) > 0 for row in found):
        raise UsageError(f"the dataset {name} has a row without a height and a width")
    return found


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

    def pixels(self, most: int = PIXELS) -> np.ndarray:
        """uint8 (height, width) or (height, width, 3).

        Raises:
            UsageError: it is no such picture, has more than `most` pixels, or cannot be read.
        """
        with opened(self.file, str(self)) as file:
            node = picture(file, self.key)
            if said := too_large(*node.shape[1::-1], most):
                raise UsageError(said)
            return node[...]


def picture(file, key: str):
    """The dataset of a picture, its type and shape checked."""
    node = dataset(file, key)
    shape = node.shape
    if node.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise UsageError(
            f"found type {node.dtype} and shape {shape}; a picture is uint8, height x width or "
            "height x width x 3"
        )
    if not shape[0] * shape[1]:
        raise UsageError(f"a picture of {shape[1]}x{shape[0]} pixels")
    return node


def too_large(width: int, height: int, most: int) -> str:
    """Return why a picture of more than `most` pixels is not read, with the cure; "" of others."""
    if width * height <= most:
        return ""
    return (
        f"{width}x{height} pixels are {width * height / 1e6:.0f} million, at most "
        f"{most / 1e6:.0f} million are read; make it smaller, or allow --max-pixels "
        f"{width * height}"
    )
