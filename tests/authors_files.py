"""Small files in the layouts that the authors of corpora ship, for tests of whole archives too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

Points = Sequence[tuple[float, float]]  # x, y


def salicon_mat(path: Path, scanpaths: Sequence[Points]) -> None:
    """<picture>.mat of SALICON: one scanpath an observer, x and y from 1."""
    gaze = np.zeros(
        (len(scanpaths), 1), [(n, object) for n in ("location", "timestamp", "fixations")]
    )
    for entry, points in zip(gaze[:, 0], scanpaths, strict=True):
        samples = np.repeat(np.reshape(points, (-1, 2)), 3, axis=0)
        entry["location"] = samples
        entry["timestamp"] = np.arange(len(samples))[:, None]
        entry["fixations"] = np.reshape(points, (-1, 2)) if len(points) else np.zeros((0, 0))
    _save(path, {"gaze": gaze, "image": path.stem, "resolution": [[480, 640]]})


def cat2000_mat(path: Path, counts: np.ndarray) -> None:
    """<category>/NNN.mat of CAT2000: how many fixations each pixel of the picture has."""
    _save(path, {"fixLocs": np.asarray(counts, np.uint8)})


def dutomron_mat(path: Path, rows: Sequence[tuple[int, int, int]], size: tuple[int, int]) -> None:
    """<picture>.mat of DUT-OMRON: rows (x, y, observer), x and y from 0, observers from 1.

    size: (width, height), which is the row of observer 0.
    """
    _save(path, {"s": np.array([*rows, (*size, 0)], np.int32)})


def pascals_mat(path: Path, cells: Sequence[Sequence[tuple[int, int, int]]]) -> None:
    """pascalFix.mat (MATLAB 7.3): for k.jpg, cell k - 1 has rows (y, x, observer), all from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        references = file.create_dataset("fixCell", (1, len(cells)), h5py.ref_dtype)
        for index, rows in enumerate(cells):
            # MATLAB stores an empty matrix as its sizes, any other one transposed.
            data = np.array(rows, np.float64).T if rows else np.zeros(2, np.uint64)
            references[0, index] = file.create_dataset(f"#refs#/c{index}", data=data).ref


def osie_mat(path: Path, pictures: Mapping[str, Sequence[tuple[Points, Sequence[int]]]]) -> None:
    """fixations.mat of OSIE: for each picture (points, durations in ms) of its observers."""
    records = np.zeros((len(pictures), 1), object)
    for index, (name, scanpaths) in enumerate(pictures.items()):
        subjects = np.zeros((len(scanpaths), 1), object)
        for observer, (points, durations) in enumerate(scanpaths):
            x, y = np.reshape(points, (-1, 2)).astype(float).T
            duration = np.array(durations, np.uint16)
            subjects[observer, 0] = {"fix_x": x, "fix_y": y, "fix_duration": duration}
        records[index, 0] = {"img": name, "subjects": subjects}
    _save(path, {"fixations": records})


def points_picture(path: Path, pixels: Sequence[tuple[int, int]], size: tuple[int, int]) -> None:
    """A picture of points: pixels (x, y) white on black; size (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("L", size)
    for pixel in pixels:
        picture.putpixel(pixel, 255)
    picture.save(path)


def _save(path: Path, variables: Mapping) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)
