"""The stimuli that pysaliency's files list: pictures in memory, or files wherever they lie."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

import storage
from errors import UsageError
from formats.hdf5 import Stored, attribute, member, read_typed, shapes, texts
from formats.layout import below_stimuli
from formats.names import Pairing, key

LABELS = ("name", "names", "filename", "filenames")  # what labs call the names of Stimuli


class Listed(NamedTuple):
    """A stimulus that is listed: its name, where it is (None: nowhere), and the height and width
    that it had when it was (None where that is not said)."""

    name: str
    source: Path | Stored | None
    shape: tuple[int, int] | None = None


def read_stimuli(path: Path, here: Mapping[str, Path]) -> list[Listed]:
    """A file of stimuli, in the file's order.

    Stimuli in memory are called after an attribute of theirs, or by their index. Files are called
    as in `here`, the pictures that lie in stimuli/; those elsewhere by their path below the
    folder that they share.

    Raises:
        UsageError: a file that is damaged, of another type or version, or that takes two files
            for one.
    """

    def listed(file):
        names = [name.replace("\\", "/") for name in texts(file, "filenames")]
        _check_size(file, len(names))
        places = _located(names, path.parent, here, attribute(file, "version") == "1.0")
        sizes = shapes(file, "shapes") if "shapes" in file else [None] * len(names)
        if len(sizes) != len(names):
            raise UsageError(f"has {len(names)} filenames and {len(sizes)} shapes")
        return [Listed(*place, size) for place, size in zip(places, sizes, strict=True)]

    def stored(file):
        count = sum(key.isdecimal() for key in file)
        _check_size(file, count)
        return [Listed(name, Stored(path, str(n))) for n, name in enumerate(_labels(file, count))]

    readers = {
        "FileStimuli": (listed, ("1.0", "2.0", "2.1")),
        "Stimuli": (stored, ("1.0", "1.1")),
    }
    found, where = read_typed(path, readers), {}
    for name, source, _ in found:
        if not name.isprintable():
            raise UsageError(f"{path}: a stimulus is called {name!r}, which cannot be printed")
        if where.setdefault(name, source) != source:
            raise UsageError(f"{path}: two of its stimuli are '{name}'")
    return found


def _check_size(file, count: int) -> None:
    said = attribute(file, "size", count)
    if np.shape(said) or said != count:
        raise UsageError(f"says that it has {said} stimuli, found {count}")


def _located(names: list[str], folder: Path, here: Mapping[str, Path], old: bool) -> list[tuple]:
    """(name, path) of each; `old` where the paths may be those of another machine."""
    called = {_absolute(file): name for name, file in here.items()}
    pairing = Pairing(here)
    found = [_find(name, folder, here, pairing, old or name.startswith("/")) for name in names]
    outside = {file.parent for file in found if file and file not in called}
    shared = os.path.commonpath(outside) if outside else ""

    def named(name: str, file: Path | None) -> tuple[str, Path | None]:
        if file is None:
            return below_stimuli(name), None
        if file in called:
            return called[file], here[called[file]]
        return file.relative_to(shared).as_posix(), file

    return [named(name, file) for name, file in zip(names, found, strict=True)]


def _absolute(file: Path) -> Path:
    """The one way to write a path."""
    if storage.is_remote(file):
        return storage.Remote(os.path.normpath(file))
    return Path(os.path.abspath(file))


def _find(
    name: str, folder: Path, here: Mapping[str, Path], pairing: Pairing, old: bool
) -> Path | None:
    """The file of a stored name: in stimuli/, or where it says, relative to the HDF5 file; of an
    old path whatever part of its end leads to one; else what is spelt otherwise in stimuli/."""
    parts = PurePosixPath(name).parts
    ends = ["/".join(parts[k:]) for k in range(1, len(parts))] if old else []
    listed = here.get(below_stimuli(name))
    if listed and storage.is_remote(listed):
        return _absolute(listed)  # it is there, and to ask for each would take long
    tries = [listed, folder / name]
    tries += [file for end in ends for file in (here.get(end), folder / end)]
    exact = next((file for file in tries if file and file.is_file()), None)
    spelt = pairing.by_path.get(key(name), ())
    file = here[spelt[0]] if exact is None and len(spelt) == 1 else exact
    return _absolute(file) if file else None


def _labels(file, count: int) -> list[str]:
    """The names that an attribute gives to stimuli in memory where each is a path of its own,
    else their indices."""
    for label in LABELS:
        if getattr(member(file, label), "dtype", np.dtype(int)).kind in "OS":
            names = [below_stimuli(name) for name in texts(file, label)]
            stems = {PurePosixPath(name).with_suffix("") for name in names if _is_path(name)}
            if len(stems) == len(names) == count:
                return names
    return [str(index) for index in range(count)]


def _is_path(name: str) -> bool:
    """Whether it is a relative path that leads nowhere else, for results are called after it."""
    path = PurePosixPath(name)
    return bool(path.name) and name.isprintable() and path.root == "" and ".." not in path.parts
