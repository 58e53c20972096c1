"""Whether coordinates mean pixels of the pictures that lie there: order, size, unit, place."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from absl import logging

from errors import UsageError
from formats.fixations import Fixations, inside

Shape = tuple[int, int]  # height and width
MOST_OUTSIDE = 0.1
MANY = 20  # fixations, of which some should be in the right or lower part of their pictures
ONE_PLACE = 0.05  # of all fixations; pixels of real pictures have some thousandths at most
# Medians of durations, and of times from one fixation to the next, beyond which they are in a unit
# of which a second has so many.
UNITS = {"microseconds": (20_000, 1_000_000), "milliseconds": (20, 1000)}


def check_order(names: Sequence[str], numbers: int) -> None:
    """Raise UsageError where it is not known which pictures a file's numbers mean: there are more
    names than `numbers` of pictures, or they have one order as texts and another as people count
    them."""
    cure = "put the stimuli.hdf5 beside it that was written with it"
    unknown = "which picture its numbers mean is not known without stimuli.hdf5"
    if 0 < numbers < len(names):
        raise UsageError(
            f"{unknown}: they are 0..{numbers - 1}, and there are {len(names)} pictures; {cure}"
        )
    orders = zip(sorted(names), sorted(names, key=natural), strict=True)
    differ = [pair for pair in orders if pair[0] != pair[1]]
    if differ:
        plain, other = differ[0]
        raise UsageError(
            f"{unknown}: as texts '{plain}' comes where '{other}' comes as people count; {cure}"
        )


def natural(name: str) -> list:
    """Return what sorts names as people do: folder by folder, numbers by their value, in any case
    of letters."""
    parts = (re.split(r"(\d+)", part.casefold()) for part in name.split("/"))
    return [[int(t) if t.isdecimal() else t for t in part] for part in parts]


def in_seconds(found: Fixations, where: object) -> Fixations:
    """Return fixations whose times and durations are seconds, where they were thousandths or
    millionths."""
    order = np.argsort(found.scanpath, kind="stable")
    same = np.diff(found.scanpath[order]) == 0
    known = same & (found.scanpath[order][1:] >= 0)
    steps = np.diff(found.t[order])[known] if known.any() else found.t
    changed = {}
    for name, numbers in (("duration", found.duration), ("t", steps)):
        numbers = numbers[np.isfinite(numbers)]
        middle = np.median(numbers) if len(numbers) else 0
        for unit, (longest, parts) in UNITS.items():
            if middle > longest:
                said = "%s: %s in %s, by a median of more than %d; divided by %d"
                logging.info(said, where, name, unit, longest, parts)
                changed[name] = getattr(found, name) / parts
                break
    return replace(found, **changed)


def scale(recorded: Shape | None, shape: Shape) -> tuple[float, float]:
    """Return what x and y are multiplied by, where a picture had another size when people saw it.

    Raises:
        UsageError: it also had another aspect ratio.
    """
    if recorded in (None, shape):
        return 1.0, 1.0
    if skewed(recorded, shape):
        was, now = (f"{w}x{h}" for h, w in (recorded, shape))
        raise UsageError(
            f"its fixations are of {was} pixels by stimuli.hdf5, the picture has {now}, which is "
            "of another aspect ratio; put the pictures there that people saw"
        )
    return shape[1] / recorded[1], shape[0] / recorded[0]


def skewed(one: Shape, other: Shape) -> bool:
    """Tell whether no scale takes one shape to the other within a pixel's rounding."""
    (h, w), (oh, ow) = one, other
    return abs(ow * h - oh * w) > max(h, w, oh, ow)


def fit_to_pictures(
    records: Mapping[str, Fixations], shapes: Mapping[str, Shape], recorded: Mapping, units
) -> dict[str, Fixations]:
    """Return fixations in pixels of the pictures that are there.

    Args:
        shapes: of these pictures; recorded: of those that people saw, where that is known.
        units: of the coordinates: `pixels`, `fractions` of width and height, None: not said.

    Raises:
        UsageError: nearly all coordinates are within 0..1, and it is not said what that means; a
            picture of another aspect ratio than people saw.
    """
    if units == "fractions":
        return {name: rows.scaled(*shapes[name][::-1]) for name, rows in records.items()}
    found, scaled = {}, []
    x, y = together(records.values())
    small = np.count_nonzero((np.minimum(x, y) >= 0) & (np.maximum(x, y) <= 1))
    if units is None and small and small >= (1 - MOST_OUTSIDE) * len(x):
        raise UsageError(
            f"{small} of {len(x)} fixations have x and y within 0..1: are they fractions of width "
            "and height? --units fractions, or --units pixels if they are in the first pixel"
        )
    if units is None and len(x) >= MANY and small > ONE_PLACE * len(x):
        said = "%d of %d fixations have x and y within 0..1, and the others not: are they fractions"
        logging.warning(f"{said} of width and height?", small, len(x))
    for name, rows in records.items():
        try:
            factors = scale(recorded.get(name), shapes[name])
        except UsageError as error:
            raise UsageError(f"'{name}': {error}") from None
        if factors != (1.0, 1.0):
            scaled.append(name)
            rows = rows.scaled(*factors)
        found[name] = rows
    if scaled:
        first = scaled[0]
        sizes = [f"{w}x{h}" for h, w in (recorded[first], shapes[first])]
        logging.warning(
            "%d pictures have another size than their fixations were recorded on, first '%s', %s "
            "then, %s now; coordinates, and the corpus' sigma, are scaled",
            len(scaled), first, *sizes,
        )  # fmt: skip
    return found


def together(tables: Iterable[Fixations]) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of all tables."""
    rows = [*tables]
    return tuple(np.concatenate([np.empty(0), *(getattr(t, c) for t in rows)]) for c in "xy")


def check_places(
    records: Mapping[str, Fixations], shapes: Mapping[str, Shape], drop: bool
) -> dict[str, np.ndarray]:
    """Return, for each name, which of its fixations are on the picture; the others are said.

    Raises:
        UsageError: more than a tenth are not, unless `drop`.
    """
    lengths = np.array([len(rows) for rows in records.values()], np.int64)
    sizes = np.reshape([shapes[name] for name in records], (-1, 2))
    (x, y), (height, width) = together(records.values()), np.repeat(sizes, lengths, axis=0).T
    within = inside(x, y, height, width)
    count, outside = len(within), np.count_nonzero(~within)
    found = dict(zip(records, np.split(within, np.cumsum(lengths)[:-1]), strict=False))
    if outside:
        said = f"{outside} of {count} fixations lie outside their picture"
        if outside > MOST_OUTSIDE * count and not drop:
            raise UsageError(
                f"{said}: x is {span(x)}, y {span(y)}, pictures are up to "
                f"{width.max()}x{height.max()} pixels; usual causes: pictures of another size than "
                "people saw, an origin in the middle, the screen's pixels, x and y "
                "swapped; --outside drop leaves them out"
            )
        lost = [n for n, rows in found.items() if np.count_nonzero(rows) < len(rows) / 2]
        if lost:
            said += f", and on {len(lost)} pictures most of theirs, first '{lost[0]}': has it the "
            said += "size that people saw?"
        logging.warning("%s; they are dropped", said)
    warn_of_corner(x / width, y / height)
    warn_of_one_place(x, y)
    return found


def span(values: np.ndarray) -> str:
    """Return the lowest and the highest of numbers, in words."""
    known = values[np.isfinite(values)]
    return f"{known.min():.6g}..{known.max():.6g}" if len(known) else "not known"


def warn_of_corner(across: np.ndarray, down: np.ndarray) -> None:
    """Say where no fixation is beyond the upper left part of its picture; (M,) fractions of it."""
    reach = across.max(initial=0), down.max(initial=0)
    if len(across) >= MANY and max(reach) < 0.6:
        logging.warning(
            "no fixation lies beyond %.0f %% of its picture's width and %.0f %% of its height; are "
            "these pictures larger than those that people saw, or is it another unit?",
            *(100 * side for side in reach),
        )


def warn_of_one_place(x: np.ndarray, y: np.ndarray) -> None:
    """Say where many fixations have the very same coordinates."""
    if len(x) < MANY:
        return
    column, row, most = commonest(x, y)
    if most > ONE_PLACE * len(x):
        logging.warning(
            "%d of %d fixations are exactly at %.6g, %.6g: is that how missing ones are written, "
            "or where people had to begin?", most, len(x), column, row,
        )  # fmt: skip


def commonest(x: np.ndarray, y: np.ndarray) -> tuple[float, float, int]:
    """Return x and y of the point that most have, to the last bit, and how many; (M,), M > 0."""
    points, counts = np.unique(x + 1j * y, return_counts=True)  # twice as quick as by rows
    most = int(counts.argmax())
    return float(points[most].real), float(points[most].imag), int(counts[most])
