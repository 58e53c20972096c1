"""What HDF5 files hold, read in the process of formats.isolated: arrays of the kinds that are
needed, or a refusal that says what was found."""

from math import prod
from pathlib import Path

import numpy as np

from errors import UsageError

# Of either order of bytes; no longer ones, which become infinite in 64 bits.
NUMBERS = [np.dtype(order + kind) for order in "<>" for kind in np.typecodes["AllInteger"] + "efd"]
SMALL = 2**20  # bytes that a dataset may have without storage, all of them its fill value


def opened(path: Path):
    """An h5py.File. No lock is asked for, since shared file systems and read-only disks have none
    to give."""
    import h5py

    return h5py.File(path, "r", locking=False)


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
    """What a group has under a name; None where it has nothing, UsageError where that lies
    elsewhere."""
    import h5py

    if name not in parent:
        return None
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise UsageError(f"{name} is a link to elsewhere")
    return parent[name]


def dataset(group, *names: str):
    """The first of the datasets that is there.

    Raises:
        UsageError: none is, it is something else, or its data are not, or not all, in this file.
    """
    import h5py

    name = next((name for name in names if name in group), names[0])
    node = member(group, name)
    if not isinstance(node, h5py.Dataset):
        found = "none" if node is None else "a group" if isinstance(node, h5py.Group) else "a type"
        raise UsageError(f"needs the dataset {' or '.join(names)}, found {found}")
    if node.shape is None or node.is_virtual or node.external:
        raise UsageError(f"the dataset {name} has no data in this file")
    # What was never written would be read as zeros.
    written = node.id.get_storage_size()
    if node.chunks is not None:
        written = node.id.get_num_chunks() * prod(node.chunks) * node.dtype.itemsize
    if node.nbytes > max(written, SMALL):
        raise UsageError(f"the dataset {name} claims {node.nbytes} bytes, the file has {written}")
    return node


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
    return list(node.asstr()[...])


def shapes(group, name: str) -> list[tuple[int, int]]:
    """The height and width at the start of each row of a dataset of whole numbers, rows of any
    length."""
    import h5py

    node = dataset(group, name)
    kind = h5py.check_vlen_dtype(node.dtype)
    if node.ndim == 1 and kind is not None and np.dtype(kind).kind in "iu":
        rows = list(node[...])
    else:
        rows = list(numbers(group, name, axes=2))
    found = [tuple(int(side) for side in row[:2]) for row in rows]
    if not all(len(row) == 2 and min(row) > 0 for row in found):
        raise UsageError(f"the dataset {name} has a row without a height and a width")
    return found
