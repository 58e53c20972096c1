"""The stimuli that pysaliency's files list: pictures in memory, or files wherever they lie."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image

import storage
from errors import UsageError
from formats import cached, isolated
from formats.hdf5 import attribute, dataset, member, opened, read_typed, shapes, texts
from formats.isolated import Arrays
from formats.layout import below_stimuli
from formats.names import Pairing, key
from formats.pictures.integrity import in_threads

LABELS = ("name", "names", "filename", "filenames")  # what labs call the names of Stimuli


class Listed(NamedTuple):
    """A stimulus that is listed: its name, where it is (None: nowhere), the height and width that
    it had when it was (None where that is not said), and whether it is a picture inside the list,
    that belongs where it is and may have to be written there."""

    name: str
    source: Path | None
    shape: tuple[int, int] | None = None
    inside: bool = False


def read_stimuli(path: Path, here: Mapping[str, Path]) -> list[Listed]:
    """A file of stimuli, in the file's order.

    Stimuli in memory are called after an attribute of theirs, or by their index. Files are called
    as in `here`, the pictures that lie in stimuli/; those elsewhere by their path below the
    folder that they share.

    Raises:
        UsageError: a file that is damaged, of another type or version, or that takes two files
            for one.
    """
    known, where = cached.read(stimuli, path), {}
    names = known["names"].tolist()
    if known["inside"]:
        folder = cached.place("stimuli", cached.digest_of(path))
        found = [Listed(name, folder / f"{n}.png", inside=True) for n, name in enumerate(names)]
    else:
        places = _located(names, path.parent, here, bool(known["old"]))
        sizes = (
            map(tuple, known["shapes"].tolist()) if len(known["shapes"]) else [None] * len(names)
        )
        found = [Listed(*place, size) for place, size in zip(places, sizes, strict=True)]
    for name, source, *_ in found:
        if not name.isprintable():
            raise UsageError(f"{path}: a stimulus is called {name!r}, which cannot be printed")
        if where.setdefault(name, source) != source:
            raise UsageError(f"{path}: two of its stimuli are '{name}'")
    return found


def write_out(path: Path, listed: Sequence[Listed]) -> None:
    """Write the pictures inside a file of stimuli to where they belong, those that are not there.

    Raises:
        UsageError: one is no picture.
    """
    places = [each.source for each in listed if each.inside]
    todo = [n for n, place in enumerate(places) if not place.is_file()]

    def write(n: int) -> None:
        pixels = isolated.read(picture, path, str(n))["pixels"]
        with storage.replacing(places[n]) as part:
            Image.fromarray(pixels).save(part, compress_level=1)

    if todo:
        logging.info("writing %d pictures of %s to %s", len(todo), path, places[0].parent)
        for _ in in_threads(write, todo):
            pass


# in the process of formats.isolated


def stimuli(path: Path) -> Arrays:
    """Return what a file of stimuli lists: `names`; `shapes` (N, 2), none where it has none;
    whether the pictures are `inside`, or their paths `old`, those of another machine."""

    def listed(file) -> Arrays:
        names = [name.replace("\\", "/") for name in texts(file, "filenames")]
        _check_size(file, len(names))
        sizes = shapes(file, "shapes") if "shapes" in file else []
        if sizes and len(sizes) != len(names):
            raise UsageError(f"has {len(names)} filenames and {len(sizes)} shapes")
        return {"names": names, "shapes": sizes, "old": attribute(file, "version") == "1.0"}

    def stored(file) -> Arrays:
        count = sum(key.isdecimal() for key in file)
        _check_size(file, count)
        return {"names": _labels(file, count)}

    readers = {
        "FileStimuli": (listed, ("1.0", "2.0", "2.1")),
        "Stimuli": (stored, ("1.0", "1.1")),
    }
    found = read_typed(path, readers)
    known = {"inside": np.array("old" not in found), "names": np.array(found.pop("names"), str)}
    return known | {name: np.array(value, int) for name, value in found.items()}


def picture(path: Path, key: str) -> Arrays:
    """Return the `pixels` of a picture inside a file of stimuli, its type and shape checked."""
    with opened(path) as file:
        node = dataset(file, key)
        shape = node.shape
        if node.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
            raise UsageError(
                f"its picture {key} has type {node.dtype} and shape {shape}; a picture is uint8, "
                "height x width or height x width x 3"
            )
        if not shape[0] * shape[1]:
            raise UsageError(f"its picture {key} has {shape[1]}x{shape[0]} pixels")
        return {"pixels": node[...]}


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
