"""Whether coordinates mean pixels of the pictures that lie there: order, size, unit, place."""

import re
from collections.abc import Collection, Mapping, Sequence
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
    for by_text, by_count in zip(sorted(names), sorted(names, key=natural), strict=True):
        if by_text != by_count:
            raise UsageError(
                f"{unknown}: as texts '{by_text}' comes where '{by_count}' comes as people count; "
                f"{cure}"
            )


def natural(name: str) -> list:
    """Return what sorts names as people do: folder by folder, numbers by their value, in any case
    of letters."""
    parts = (re.split(r"(\d+)", part.casefold()) for part in name.split("/"))
    return [[int(t) if t.isdecimal() else t for t in part] for part in parts]


def in_seconds(fixations: Fixations, where: object) -> Fixations:
    """Return fixations with times and durations in seconds, which were in thousandths or millionths
    of them by their medians."""
    order = np.argsort(fixations.scanpath, kind="stable")
    scanpath = fixations.scanpath[order]
    following = (np.diff(scanpath) == 0) & (scanpath[1:] >= 0)
    steps = np.diff(fixations.t[order])[following] if following.any() else fixations.t
    changed = {}
    for name, times in (("duration", fixations.duration), ("t", steps)):
        times = times[np.isfinite(times)]
        middle = np.median(times) if len(times) else 0
        unit = next((unit for unit, (longest, _) in UNITS.items() if middle > longest), None)
        if unit:
            said = "%s: %s in %s, by a median of more than %d; divided by %d"
            logging.info(said, where, name, unit, *UNITS[unit])
            changed[name] = getattr(fixations, name) / UNITS[unit][1]
    return replace(fixations, **changed)


def scale(recorded: Shape | None, shape: Shape) -> tuple[float, float]:
    """Return what x and y are multiplied by, where a picture had another size when people saw it;
    raise UsageError where it also had another aspect ratio."""
    if recorded in (None, shape):
        return 1.0, 1.0
    if skewed(recorded, shape):
        was, now = (f"{w}x{h}" for h, w in (recorded, shape))
        raise UsageError(
            f"its fixations are of {was} pixels by stimuli.hdf5, the picture has {now}, which is "
            "of another aspect ratio; put the pictures there that people saw"
        )
    return shape[1] / recorded[1], shape[0] / recorded[0]


def skewed(shape: Shape, other: Shape) -> bool:
    """Tell whether no scale takes one shape to the other within a pixel's rounding."""
    return abs(other[1] * shape[0] - other[0] * shape[1]) > max(*shape, *other)


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
    if units is None:
        ask_of_fractions(*together(records.values()))
    fitted, scaled = {}, []
    for name, rows in records.items():
        try:
            factors = scale(recorded.get(name), shapes[name])
        except UsageError as error:
            raise UsageError(f"'{name}': {error}") from None
        scaled += [name] * (factors != (1.0, 1.0))
        fitted[name] = rows if factors == (1.0, 1.0) else rows.scaled(*factors)
    if scaled:
        then, now = (f"{w}x{h}" for h, w in (recorded[scaled[0]], shapes[scaled[0]]))
        said = "%d pictures have another size than their fixations were recorded on, first '%s', "
        said += "%s then, %s now; coordinates, and the corpus' sigma, are scaled"
        logging.warning(said, len(scaled), scaled[0], then, now)
    return fitted


def ask_of_fractions(x: np.ndarray, y: np.ndarray) -> None:
    """Raise UsageError where nearly all coordinates (M,) are within 0..1; say where some are."""
    small = np.count_nonzero((np.minimum(x, y) >= 0) & (np.maximum(x, y) <= 1))
    said = f"{small} of {len(x)} fixations have x and y within 0..1"
    if small and small >= (1 - MOST_OUTSIDE) * len(x):
        raise UsageError(
            f"{said}: are they fractions of width and height? --units fractions, or --units pixels "
            "if they are in the first pixel"
        )
    if len(x) >= MANY and small > ONE_PLACE * len(x):
        logging.warning(f"{said}, and the others not: are they fractions of width and height?")


def together(tables: Collection[Fixations]) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of all tables."""
    return tuple(np.concatenate([np.empty(0), *(getattr(t, c) for t in tables)]) for c in "xy")


def check_places(
    records: Mapping[str, Fixations], shapes: Mapping[str, Shape], drop: bool
) -> dict[str, np.ndarray]:
    """Return, for each name, which of its fixations are on the picture. Say how many are not; raise
    UsageError where more than a tenth are not, unless `drop`."""
    lengths = [len(rows) for rows in records.values()]
    sizes = np.reshape([shapes[name] for name in records], (-1, 2))
    (x, y), (height, width) = together(records.values()), np.repeat(sizes, lengths, axis=0).T
    within = inside(x, y, height, width)
    count, outside = len(within), np.count_nonzero(~within)
    by_name = dict(zip(records, np.split(within, np.cumsum(lengths)[:-1]), strict=False))
    if outside:
        said = f"{outside} of {count} fixations lie outside their picture"
        if outside > MOST_OUTSIDE * count and not drop:
            raise UsageError(
                f"{said}: x is {span(x)}, y {span(y)}, pictures are up to "
                f"{width.max()}x{height.max()} pixels; usual causes: pictures of another size than "
                "people saw, an origin in the middle, the screen's pixels, x and y "
                "swapped; --outside drop leaves them out"
            )
        lost = [name for name, rows in by_name.items() if rows.sum() < len(rows) / 2]
        if lost:
            said += f", and on {len(lost)} pictures most of theirs, first '{lost[0]}': has it the "
            said += "size that people saw?"
        logging.warning("%s; they are dropped", said)
    if count >= MANY:
        warn_of_places(x, y, width, height)
    return by_name


def span(values: np.ndarray) -> str:
    """Return the lowest and the highest of numbers, in words."""
    values = values[np.isfinite(values)]
    return f"{values.min():.6g}..{values.max():.6g}" if len(values) else "not known"


def warn_of_places(x: np.ndarray, y: np.ndarray, width: np.ndarray, height: np.ndarray) -> None:
    """Say where no fixation is beyond the upper left part of its picture, or many are at one place;
    all (M,), M > 0."""
    across, down = (x / width).max(initial=0), (y / height).max(initial=0)
    if max(across, down) < 0.6:
        said = "no fixation lies beyond %.0f %% of its picture's width and %.0f %% of its height; "
        said += "are these pictures larger than those that people saw, or is it another unit?"
        logging.warning(said, 100 * across, 100 * down)
    column, row, most = commonest(x, y)
    if most > ONE_PLACE * len(x):
        said = "%d of %d fixations are exactly at %.6g, %.6g: is that how missing ones are "
        said += "written, or where people had to begin?"
        logging.warning(said, most, len(x), column, row)


def commonest(x: np.ndarray, y: np.ndarray) -> tuple[float, float, int]:
    """Return x and y of the point that most have, to the last bit, and how many; (M,), M > 0."""
    points, counts = np.unique(x + 1j * y, return_counts=True)  # twice as quick as by rows
    most = counts.argmax()
    return float(points[most].real), float(points[most].imag), int(counts[most])
