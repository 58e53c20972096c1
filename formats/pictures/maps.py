"""Fixation and saliency maps in pictures and arrays: read, and what a folder of them shows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UsageError
from formats.pictures import integrity
from formats.pictures.arrays import in_words, plane, read_array
from formats.pictures.decode import decode_levels, decode_map
from formats.pictures.looks import FLAT, SHARP, SMOOTH, Look, look_at

LISTS = 4  # numbers that a row of coordinates may have: no map is as narrow
NEARLY_ALL = 0.75  # of the components of pictures of discs: some overlap, or leave the picture


class Shown(NamedTuple):
    """What a folder shows: "points", "discs" or "maps". Of discs: height and width, and how many of
    the components are of another size; of maps, how many are brighter at the border."""

    kind: str
    size: tuple[int, int] = (1, 1)
    components: int = 0
    odd: int = 0
    inverted: int = 0


def read(path: Path) -> np.ndarray:
    """Return the levels (height, width), 0 or more, of a picture or a .npy of a fixation or
    saliency map; raise UsageError where it cannot be read, or its numbers are no levels."""
    if path.suffix.lower() != ".npy":
        return decode_map(path)
    levels = plane(read_array(path))
    if levels.ndim != 2 or min(levels.shape) <= LISTS:
        raise UsageError(
            f"{path}: its shape is {in_words(levels.shape)}, must be height x width; "
            "coordinates are read from fixations.csv"
        )
    if not (np.isfinite(levels).all() and levels.min() >= 0):
        raise UsageError(
            f"{path}: some of its numbers are negative or not finite; of log-densities, save exp"
        )
    return np.float64(levels)


def measure(path: Path) -> tuple[integrity.Seen, np.ndarray]:
    """Return what a map is like, and its levels; see integrity.look."""
    if path.suffix.lower() == ".npy":
        levels = shows = read(path)
    else:
        levels, shows = decode_levels(path)
    digest = integrity.digest(shows)
    return integrity.Seen(*levels.shape, not levels.any(), digest, [*look_at(levels)]), levels


def shown(folder: Path, files: Mapping[str, Path], memory: integrity.Memory) -> Shown:
    """Return what the files of a folder, by their names in it, show; all are looked at.

    `memory` remembers what was seen, as for integrity.check. Raises UsageError where some cannot be
    read, are coloured, or show something else than the others; or where what they show is neither
    points nor maps: masks of objects, dark points on white.
    """
    measured = integrity.check(files.values(), memory, measure)
    looks = {name: Look(*measured[path].shows) for name, path in files.items()}
    looks = {name: look for name, look in looks.items() if look.kind}
    kinds = Counter(look.kind for look in looks.values())
    main = max(kinds, key=kinds.get, default=SMOOTH)
    alike = {name: look for name, look in looks.items() if look.kind == main}
    folder_shows = together(main, alike.values())
    if folder_shows is None:
        raise UsageError(
            f"{folder}: {len(alike)} of {len(files)} pictures show areas of one level, such as "
            f"masks of objects, first '{next(iter(alike))}'; maps are blurred, and fixations "
            "bright points on black"
        )
    if folder_shows.kind == "points":
        looks |= {n: Look(FLAT) for n, look in alike.items() if not (look.single or look.thin)}
    strays = [name for name, look in looks.items() if look.kind != main]
    if strays:
        raise UsageError(
            f"{folder}: {len(strays)} of {len(files)} pictures show {looks[strays[0]].kind}, first "
            f"'{strays[0]}', and the others {main}; all must show the same"
        )
    return folder_shows


def together(kind: str, looks: Iterable[Look]) -> Shown | None:
    """Return what pictures of one kind show, None where that is neither points, discs nor maps."""
    looks = list(looks)
    if kind == SMOOTH:
        return Shown("maps", inverted=sum(look.inverted for look in looks))
    if kind == FLAT:
        return None
    sizes = Counter()
    for look in looks:
        sizes[look.height, look.width] += look.same
    height, width = size = max(sizes, key=sizes.get)
    same = sum(n for (h, w), n in sizes.items() if abs(h - height) <= 1 and abs(w - width) <= 1)
    total = Look(SHARP, False, *np.sum([look[2:] for look in looks], axis=0).tolist())
    if total._replace(same=same).points:
        return Shown("points")
    discs = Shown("discs", size, total.count, total.count - same)
    return discs if same >= NEARLY_ALL * total.count else None
