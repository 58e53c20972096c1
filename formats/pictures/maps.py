"""What the pictures and arrays of a folder show: points, discs, blurred maps; or none of these."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UsageError
from formats.pictures import integrity
from formats.pictures.arrays import by, plane, read_array
from formats.pictures.decode import decode_levels, decode_map

LISTS = 4  # numbers that a row of coordinates may have: no map is as narrow
DARK = 0.4  # at most so much of a picture is bright where it shows points or discs
NEARLY_ALL = 0.75  # of the components of pictures of discs: some overlap, or leave the picture
LARGE = 1 / 6  # of a picture's longer side: no disc is as large, for it shows no place any more
FEW = 16  # levels, of masks that a dozen observers drew
SHARP, SMOOTH, FLAT = "points", "blurred maps", "areas of one level"


class Shown(NamedTuple):
    """What a folder shows: "points", "discs" or "maps". Of discs: height and width, and how many of
    the components are of another size; of maps, how many are brighter at the border."""

    kind: str
    size: tuple[int, int] = (1, 1)
    components: int = 0
    odd: int = 0
    inverted: int = 0


class Look(NamedTuple):
    """What one picture shows: SHARP, SMOOTH, FLAT, or "" where that is all one level.

    inverted: it is brighter at the border. Of its bright components where they are sharp: how many,
    how many of one pixel, the pixels of all and those among them that are at no rim; the commonest
    height and width, and how many are as large, give or take a pixel, if their shape is even.
    """

    kind: str
    inverted: bool = False
    count: int = 0
    single: int = 0
    area: int = 0
    inner: int = 0
    height: int = 0
    width: int = 0
    same: int = 0


def read(path: Path) -> np.ndarray:
    """The levels (height, width) of a picture or a .npy of a fixation or saliency map, 0 or more.

    Raises:
        UsageError: it cannot be read, or its numbers are no levels.
    """
    if path.suffix.lower() != ".npy":
        return decode_map(path)
    levels = plane(read_array(path))
    if levels.ndim != 2 or min(levels.shape) <= LISTS:
        raise UsageError(
            f"{path}: its shape is {by(levels.shape)}, must be height x width; "
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
        levels = known = read(path)
    else:
        levels, known = decode_levels(path)
    digest = integrity.digest(known)
    return integrity.Seen(*levels.shape, not levels.any(), digest, [*look(levels)]), levels


def shown(folder: Path, files: Mapping[str, Path], memory: integrity.Memory) -> Shown:
    """Return what the files of a folder show, all of which are looked at.

    Args:
        files: by their names below the folder.
        memory: of what was seen.

    Raises:
        UsageError: some cannot be read, are coloured, or show something else than the others; or
            what they show is neither: masks of objects, dark points on white.
    """
    seen = integrity.check(files.values(), memory, measure)
    looks = {name: Look(*seen[path].shows) for name, path in files.items()}
    looks = {name: look for name, look in looks.items() if look.kind}
    kinds = Counter(look.kind for look in looks.values())
    main = max(kinds, key=kinds.get, default=SMOOTH)
    alike = {name: look for name, look in looks.items() if look.kind == main}
    found = together(main, alike.values())
    if found is None:
        raise UsageError(
            f"{folder}: {len(alike)} of {len(files)} pictures show areas of one level, such as "
            f"masks of objects, first '{next(iter(alike))}'; maps are blurred, and fixations "
            "bright points on black"
        )
    if found.kind == "points":
        looks |= {
            name: Look(FLAT) for name, look in alike.items() if not (look.single or is_thin(look))
        }
    strays = [name for name, look in looks.items() if look.kind != main]
    if strays:
        raise UsageError(
            f"{folder}: {len(strays)} of {len(files)} pictures show {looks[strays[0]].kind}, first "
            f"'{strays[0]}', and the others {main}; all must show the same"
        )
    return found


def together(kind: str, looks: Iterable[Look]) -> Shown | None:
    """What pictures of one kind show, or None where that is neither points, discs nor maps."""
    looks = list(looks)
    if kind == SMOOTH:
        return Shown("maps", inverted=sum(look.inverted for look in looks))
    if kind == FLAT:
        return None
    total = Look(SHARP, False, *np.sum([look[2:] for look in looks], axis=0).tolist())
    sizes = Counter()
    for look in looks:
        sizes[look.height, look.width] += look.same
    height, width = size = max(sizes, key=sizes.get)
    same = sum(n for (h, w), n in sizes.items() if abs(h - height) <= 1 and abs(w - width) <= 1)
    total = total._replace(same=same)
    if are_points(total):
        return Shown("points")
    count = total.count
    return Shown("discs", size, count, count - same) if same >= NEARLY_ALL * count else None


def are_points(look: Look) -> bool:
    """Whether components are single pixels, or such as touch by chance."""
    return 2 * look.single >= look.count or (2 * look.same < look.count and is_thin(look))


def is_thin(look: Look) -> bool:
    """Whether most pixels of components are at their rims, as those of points that touch."""
    return look.inner < look.area / 4


def look(levels: np.ndarray) -> Look:
    """What one picture shows by itself."""
    low, top = levels.min(), levels.max()
    if low == top:
        return Look("")
    if (levels > 0).mean() < DARK and len(np.unique(levels)) <= FEW:
        found = of_components(levels > 0)  # counts of fixations, perhaps
        if found.kind == SHARP and are_points(found):
            return found
    bright = levels > top / 2
    if bright.mean() < DARK and is_sharp(levels, bright):
        return of_components(bright)
    height = (levels - low) / (np.float64(top) - low)
    if is_flat(height):
        return Look(FLAT)
    return Look(SMOOTH, is_inverted(height))


def is_sharp(levels: np.ndarray, bright: np.ndarray) -> bool:
    """Whether what is bright ends at once, as points, discs and masks do and no blur does.

    Most pixels at the rim are beside such as are less than a quarter as bright; and beside the
    brightest few are in between, but those at smooth edges and in the rings of a JPEG.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    least, most = minimum_filter(levels, 3), maximum_filter(levels, 3)
    rim = bright & (least <= levels.max() / 2)
    between = (most > levels.max() / 2) & (levels > most / 4) & (levels < most * 0.75)
    ends = least[rim] < levels[rim] / 4
    return bool(ends.mean() > 0.55 and between.sum() < 1.3 * bright.sum())


def is_flat(height: np.ndarray) -> bool:
    """Whether a picture of levels 0..1 shows areas: dark and bright with little in between, or few
    levels with large steps, as masks that were averaged."""
    between = np.mean((height > 0.25) & (height < 0.75))
    if between < 0.25 * min(np.mean(height >= 0.75), np.mean(height <= 0.25)):
        return True
    steps = np.abs(np.diff(height, axis=1))
    large = np.median(steps[steps > 0]) > 1 / 8 if steps.any() else False
    return bool(large and len(np.unique(height)) <= FEW)


def components(bright: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (n, 2, 2), [[top, bottom], [left, right]], of what touches, and its labels (h, w)."""
    from scipy.ndimage import find_objects, label

    labels, _ = label(bright, np.ones((3, 3)))
    boxes = [[(side.start, side.stop) for side in box] for box in find_objects(labels)]
    return np.reshape(boxes, (-1, 2, 2)), labels


def of_components(bright: np.ndarray) -> Look:
    """A sharp picture's look."""
    from scipy.ndimage import minimum_filter

    edges, labels = components(bright)
    areas = np.bincount(labels.ravel())[1:]
    sizes = edges[..., 1] - edges[..., 0]
    kinds, kind, counts = np.unique(sizes, axis=0, return_inverse=True, return_counts=True)
    common = kinds[counts.argmax()]
    first = np.flatnonzero(kind.reshape(-1) == counts.argmax())[0]
    even = is_even(labels[tuple(slice(*side) for side in edges[first])] == first + 1)
    same = even * np.sum(np.abs(sizes - common).max(1) <= 1)
    inner = np.sum(minimum_filter(bright, 3))
    numbers = len(areas), np.sum(areas == 1), areas.sum(), inner, *common, same
    found = Look(SHARP, False, *map(int, numbers))
    large = max(common) > LARGE * max(bright.shape) and not is_thin(found)
    return Look(FLAT) if large else found


def is_even(shape: np.ndarray) -> bool:
    """Whether a shape is about its own mirror image, as drawn marks are and chance is not."""
    return all(
        (shape & turned).sum() >= 0.75 * shape.sum() for turned in (shape[::-1], shape[:, ::-1])
    )


def is_inverted(height: np.ndarray) -> bool:
    """Whether a map of levels 0..1 is bright, and brighter at its border, a tenth of each side,
    than in the middle."""
    h, w = height.shape
    inner = height[h // 10 : h - h // 10, w // 10 : w - w // 10]
    middle = height[h // 4 : h - h // 4, w // 4 : w - w // 4]
    if inner.size == height.size or np.median(height) <= 0.6:
        return False
    border = (height.sum(dtype=float) - inner.sum(dtype=float)) / (height.size - inner.size)
    return bool(border > middle.mean())


def marks(levels: np.ndarray) -> np.ndarray:
    """(height, width) bool: which pixels of a picture of points are set.

    All above 0; only those above half of its range where such stand in a ring of faint ones, as
    the compression of a JPEG leaves around each.
    """
    from scipy.ndimage import maximum_filter

    top = levels.max()
    bright, faint = levels > top / 2, (levels > 0) & (levels <= top / 8)
    ringed = maximum_filter(faint, 15)[bright]  # JPEG's blocks have 8 pixels
    return bright if ringed.size and ringed.mean() > 0.5 else levels > 0
