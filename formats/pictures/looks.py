"""What one fixation or saliency map shows: points, discs, a blur, or areas of one level."""

from typing import NamedTuple

import numpy as np

DARK = 0.4  # at most so much of a picture is bright where it shows points or discs
LARGE = 1 / 6  # of a picture's longer side: no disc is as large, for it shows no place any more
FEW = 16  # levels, of masks that a dozen observers drew
SHARP, SMOOTH, FLAT = "points", "blurred maps", "areas of one level"


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

    @property
    def thin(self) -> bool:
        """Whether most pixels of components are at their rims, as those of points that touch."""
        return self.inner < self.area / 4

    @property
    def points(self) -> bool:
        """Whether components are single pixels, or such as touch by chance."""
        return 2 * self.single >= self.count or (2 * self.same < self.count and self.thin)


def look_at(levels: np.ndarray) -> Look:
    """Return what a picture (height, width) of levels from 0 shows by itself."""
    low, top = levels.min(), levels.max()
    if low == top:
        return Look("")
    if (levels > 0).mean() < DARK and len(np.unique(levels)) <= FEW:
        counts = of_components(levels > 0)  # of fixations, perhaps
        if counts.kind == SHARP and counts.points:
            return counts
    bright = levels > top / 2
    if bright.mean() < DARK and is_sharp(levels, bright):
        return of_components(bright)
    height = (levels - low) / (np.float64(top) - low)
    return Look(FLAT) if is_flat(height) else Look(SMOOTH, is_inverted(height))


def is_sharp(levels: np.ndarray, bright: np.ndarray) -> bool:
    """Tell whether what is bright ends at once, as points, discs and masks do and no blur does.

    Most pixels at the rim are beside such as are less than a quarter as bright; and beside the
    brightest few are in between, but those at smooth edges and in the rings of a JPEG.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    least, most, half = minimum_filter(levels, 3), maximum_filter(levels, 3), levels.max() / 2
    rim = bright & (least <= half)
    between = (most > half) & (levels > most / 4) & (levels < most * 0.75)
    ends = least[rim] < levels[rim] / 4
    return bool(ends.mean() > 0.55 and between.sum() < 1.3 * bright.sum())


def is_flat(height: np.ndarray) -> bool:
    """Tell whether a picture of levels 0..1 shows areas: dark and bright with little in between, or
    few levels with large steps, as masks that were averaged."""
    dark, bright = np.mean(height <= 0.25), np.mean(height >= 0.75)
    if np.mean((height > 0.25) & (height < 0.75)) < 0.25 * min(bright, dark):
        return True
    steps = np.abs(np.diff(height, axis=1))
    large = steps.any() and np.median(steps[steps > 0]) > 1 / 8
    return bool(large and len(np.unique(height)) <= FEW)


def is_inverted(height: np.ndarray) -> bool:
    """Tell whether a map of levels 0..1 is bright, and brighter at its border, a tenth of each
    side, than in the middle."""
    h, w = height.shape
    inner = height[h // 10 : h - h // 10, w // 10 : w - w // 10]
    middle = height[h // 4 : h - h // 4, w // 4 : w - w // 4]
    if inner.size == height.size or np.median(height) <= 0.6:
        return False
    border = (height.sum(dtype=float) - inner.sum(dtype=float)) / (height.size - inner.size)
    return bool(border > middle.mean())


def components(bright: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edges (n, 2, 2), [[top, bottom], [left, right]], of what touches, and its labels
    (height, width)."""
    from scipy.ndimage import find_objects, label

    labels, _ = label(bright, np.ones((3, 3)))
    boxes = [[(side.start, side.stop) for side in box] for box in find_objects(labels)]
    return np.reshape(boxes, (-1, 2, 2)), labels


def of_components(bright: np.ndarray) -> Look:
    """Return a sharp picture's look."""
    from scipy.ndimage import minimum_filter

    edges, labels = components(bright)
    areas, sizes = np.bincount(labels.ravel())[1:], np.diff(edges)[..., 0]
    shapes, first, counts = np.unique(sizes, axis=0, return_index=True, return_counts=True)
    common, k = shapes[counts.argmax()], first[counts.argmax()]
    even = is_even(labels[tuple(slice(*side) for side in edges[k])] == k + 1)
    same = even * np.sum(np.abs(sizes - common).max(1) <= 1)
    inner = np.sum(minimum_filter(bright, 3))
    numbers = len(areas), np.sum(areas == 1), areas.sum(), inner, *common, same
    found = Look(SHARP, False, *map(int, numbers))
    large = max(common) > LARGE * max(bright.shape) and not found.thin
    return Look(FLAT) if large else found


def is_even(shape: np.ndarray) -> bool:
    """Tell whether a shape is about its own mirror image, as drawn marks are and chance is not."""
    mirrored = (shape[::-1], shape[:, ::-1])
    return all((shape & other).sum() >= 0.75 * shape.sum() for other in mirrored)


def marks(levels: np.ndarray) -> np.ndarray:
    """Return (height, width) bool: which pixels of a picture of points are set.

    All above 0; only those above half of its range where such stand in a ring of faint ones, as
    the compression of a JPEG leaves around each.
    """
    from scipy.ndimage import maximum_filter

    top = levels.max()
    bright, faint = levels > top / 2, (levels > 0) & (levels <= top / 8)
    ringed = maximum_filter(faint, 15)[bright]  # JPEG's blocks have 8 pixels
    return bright if ringed.size and ringed.mean() > 0.5 else levels > 0
