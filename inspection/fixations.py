"""What inspect knows of a corpus' fixations, as numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from formats.coordinates import commonest
from formats.fixations import Fixations, concatenate, inside
from inspection.facts import spread

EDGE = 0.01  # of a side, at which clipped coordinates gather


def of_fixations(records: Mapping[str, Fixations], shapes: Mapping[str, Sequence[int]]) -> dict:
    """Return what a corpus' record of fixations says, those outside their picture included.

    Args:
        records: the fixations of each stimulus, as its files have them.
        shapes: (height, width) of each; stimuli without one are left out.
    """
    names = [name for name in records if name in shapes]
    rows = concatenate(records[name] for name in names)
    lengths = np.array([len(records[name]) for name in names], np.int64)
    picture = np.repeat(np.arange(len(names)), lengths)
    sides = np.array([shapes[name] for name in names]).reshape(-1, 2)[picture]
    places, outside = of_places(rows.x, rows.y, *sides.T)
    shares = np.bincount(picture[outside], minlength=len(names)) / np.maximum(lengths, 1)
    return {
        "count": len(rows),
        "pictures_without": int((lengths == 0).sum()),
        "per_picture": spread(lengths),
        **of_people(rows, picture),
        **places,
        "pictures_outside": int((shares > 0).sum()),
        "worst_outside": names[int(shares.argmax())] if outside.any() else None,
        "repeated": repeated(rows),
        "durations": spread(rows.duration),
        "times": spread(rows.t),
        "counted": bool(len(rows) and (rows.t % 1 == 0).all()),
    }


def of_people(rows: Fixations, picture: np.ndarray) -> dict:
    """Return how many observers and scanpaths there are, on which of the pictures (M,)."""
    _, per_observer = np.unique(rows.subject[rows.subject >= 0], return_counts=True)
    known = rows.scanpath >= 0
    _, first, lengths = np.unique(rows.scanpath[known], return_index=True, return_counts=True)
    _, per_picture = np.unique(picture[known][first], return_counts=True)
    return {
        "observers": len(per_observer),
        "per_observer": spread(per_observer),
        "scanpaths": len(first),
        "scanpaths_per_picture": spread(per_picture),
        "per_scanpath": spread(lengths),
    }


def of_places(x, y, height, width) -> tuple[dict, np.ndarray]:
    """Return where fixations are in pictures of (height, width), all (M,); and which are outside,
    (M,) bool, those without coordinates not counted."""
    known = np.isfinite(x) & np.isfinite(y)
    within, swapped = inside(x, y, height, width), inside(y, x, height, width)
    across, down = x / width, y / height
    rim = np.minimum.reduce([across, 1 - across, down, 1 - down])
    places = {
        "missing": ~known,
        "outside": known & ~within,
        "outside_swapped": known & ~swapped,
        "negative": (x < 0) | (y < 0),
        "fractions": (abs(x) <= 1) & (abs(y) <= 1),
        "edge": within & (rim < EDGE),
        "centre": (abs(x - width / 2) <= 0.5) & (abs(y - height / 2) <= 0.5),
    }
    numbers = {name: int(rows.sum()) for name, rows in places.items()}
    if not known.any():
        return {**numbers, "reach": None, "commonest": None}, places["outside"]
    # Left, top, right and bottom of where 99 % are, as fractions of the picture's sides.
    reach = np.percentile([across[known], down[known]], (0.5, 99.5), axis=1).ravel()
    point = dict(zip(("x", "y", "count"), commonest(x[known], y[known]), strict=True))
    return {**numbers, "reach": reach.round(4).tolist(), "commonest": point}, places["outside"]


def repeated(rows: Fixations) -> int:
    """Return how many fixations are where the one before them in their scanpath is."""
    rows = rows.select(np.argsort(rows.scanpath, kind="stable"))
    same = (np.diff(rows.scanpath) == 0) & (rows.scanpath[1:] >= 0)
    return int((same & (np.diff(rows.x) == 0) & (np.diff(rows.y) == 0)).sum())
