"""What inspect knows of a corpus, as numbers: of its pictures, its fixations, its sides."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from config import Config
from data.corpus import Assumed, Corpus
from data.samples import Sample
from formats.coordinates import commonest
from formats.fixations import Fixations, concatenate, inside
from formats.hdf5 import Stored
from formats.layout import ending
from formats.pictures import maps
from formats.pictures.decode import Picture, decode, opened
from formats.pictures.images import fitted
from inspection.contrast import contrast, follow
from inspection.duplicates import alike, groups, perceptual
from report.figures import binned

ENOUGH = 64  # pixels of a side to compare pictures by
LISTED = 20  # groups, sizes that are named one by one
EDGE = 0.01  # of a side, at which clipped coordinates gather
TRIED = 500  # pictures, on which what may be wrong with coordinates is tried
LEFT = 0.9  # of all fixations are on their pictures, where a mistake is undone
SCALES = (1 / 4, 1 / 3, 1 / 2, 5 / 8, 3 / 4, 5 / 4, 3 / 2, 7 / 4, 2, 5 / 2, 3, 4)
COLOURED = 24  # of 255, by which channels differ where a map has colours


class Look:
    """A picture at a glance: its format and mode, perceptual hashes, contrast, colours.

    kind: such as "JPEG RGB"; hashes: bool (2, 144); grid: float32 (64, 64), its contrast; colour:
    share of its pixels that are not grey; border: mean level of its rim less that of all.
    """

    def __init__(self, picture: Picture):
        levels = glance(picture)
        small = Image.fromarray(levels)
        self.kind = kind(picture)
        self.hashes = perceptual(small)
        self.grid = contrast(small)
        self.colour = float((np.ptp(levels, axis=2) > COLOURED).mean())
        rim = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
        self.border = float(rim.mean() - levels.mean())


def glance(picture: Picture) -> np.ndarray:
    """Return uint8 (height, width, 3) of a picture, large enough to compare pictures by; of a map
    in an array, its levels from black to white."""
    if is_array(picture):
        levels = maps.read(picture)
        grey = np.uint8(255 * levels / (levels.max() or 1))
        found = np.repeat(grey[..., None], 3, 2)
    else:
        found = decode(picture)
    factor = min(found.shape[:2]) // ENOUGH
    return np.asarray(Image.fromarray(found).reduce(factor)) if factor > 1 else found


def is_array(picture: Picture) -> bool:
    return not isinstance(picture, Stored) and ending(picture.name) == ".npy"


def kind(picture: Picture) -> str:
    """Return the format and mode of a picture, by its content."""
    if isinstance(picture, Stored):
        return "HDF5"
    if is_array(picture):
        return "NPY"
    with opened(picture) as found:
        return f"{found.format} {found.mode}"


def spread(values: Sequence[float]) -> dict | None:
    """Return count, min, median, mean and max of finite numbers, and their histogram (`edges`,
    `counts`); None where there are none."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    edges, counts = binned(known)
    found = {"count": len(known), "min": known.min(), "median": np.median(known)}
    found |= {"mean": known.mean(), "max": known.max()}
    found = {name: float(f"{value:.6g}") for name, value in found.items()} | {"count": len(known)}
    return {**found, "edges": edges.round(10).tolist(), "counts": counts.tolist()}


def of_pictures(samples: Sequence[Sample], looks: Sequence[Look], size: Sequence[int]) -> dict:
    """Return how many pictures there are, their formats, sizes (WIDTHxHEIGHT), and the share of
    an input of `size` (height, width) that is padding."""
    shapes = np.array([sample.shape for sample in samples]).reshape(-1, 2)
    names = Counter(f"{width}x{height}" for height, width in shapes)
    areas, ratios = shapes.prod(1), shapes[:, 1] / shapes[:, 0]
    inner = [np.prod(fitted(shape, tuple(size))) for shape in shapes]
    ends = {"smallest": areas.argmin(), "largest": areas.argmax()} if len(samples) else {}
    ends |= {"tallest": ratios.argmin(), "widest": ratios.argmax()} if len(samples) else {}
    return {
        "count": len(samples),
        "formats": Counter(look.kind for look in looks).most_common(),
        "sizes": names.most_common(LISTED),
        "different_sizes": len(names),
        "ends": {end: samples[index].name for end, index in ends.items()},
        "input": list(size),
        "padding": spread(1 - np.array(inner) / np.prod(size)),
    }


def of_maps(looks: Sequence[Look]) -> dict:
    """Return how many maps there are, their formats, how many have colours, and how many are
    lighter at the rim than elsewhere, as inverted ones are."""
    return {
        "count": len(looks),
        "formats": Counter(look.kind for look in looks).most_common(),
        "coloured": sum(look.colour > 0.05 for look in looks),
        "light_rim": sum(look.border > 0 for look in looks),
    }


def of_fixations(records: Mapping[str, Fixations], shapes: Mapping[str, Sequence[int]]) -> dict:
    """Return what a corpus' record of fixations says, those outside their picture included.

    Args:
        records: of each stimulus, as its files have them.
        shapes: (height, width) of each; stimuli without one are left out.
    """
    names = [name for name in records if name in shapes]
    rows = concatenate(records[name] for name in names)
    lengths = np.array([len(records[name]) for name in names], np.int64)
    picture = np.repeat(np.arange(len(names)), lengths)
    sides = np.array([shapes[name] for name in names]).reshape(-1, 2)[picture]
    places, outside = of_places(rows.x, rows.y, *sides.T)
    worst = np.bincount(picture[outside], minlength=len(names)) / np.maximum(lengths, 1)
    return {
        "count": len(rows),
        "pictures_without": int((lengths == 0).sum()),
        "per_picture": spread(lengths),
        **of_people(rows, picture),
        **places,
        "pictures_outside": int((worst > 0).sum()),
        "worst_outside": names[int(worst.argmax())] if outside.any() else None,
        "repeated": repeated(rows),
        "durations": spread(rows.duration),
        "times": spread(rows.t),
        "counted": bool(len(rows) and (rows.t % 1 == 0).all()),
    }


def of_people(rows: Fixations, picture: np.ndarray) -> dict:
    """Return how many observers and scanpaths there are, on which of the pictures (M,)."""
    _, each = np.unique(rows.subject[rows.subject >= 0], return_counts=True)
    known = rows.scanpath >= 0
    _, first, lengths = np.unique(rows.scanpath[known], return_index=True, return_counts=True)
    _, seen = np.unique(picture[known][first], return_counts=True)
    return {
        "observers": len(each),
        "per_observer": spread(each),
        "scanpaths": len(first),
        "scanpaths_per_picture": spread(seen),
        "per_scanpath": spread(lengths),
    }


def of_places(x, y, height, width) -> tuple[dict, np.ndarray]:
    """Return where fixations are in pictures of (height, width), all (M,); and which are outside,
    (M,) bool, those without coordinates not counted."""
    known = np.isfinite(x) & np.isfinite(y)
    within, swapped = inside(x, y, height, width), inside(y, x, height, width)
    across, down = x / width, y / height
    rim = np.minimum.reduce([across, 1 - across, down, 1 - down])
    centre = (abs(x - width / 2) <= 0.5) & (abs(y - height / 2) <= 0.5)
    places = {
        "missing": ~known,
        "outside": known & ~within,
        "outside_swapped": known & ~swapped,
        "negative": (x < 0) | (y < 0),
        "fractions": (abs(x) <= 1) & (abs(y) <= 1),
        "edge": within & (rim < EDGE),
        "centre": centre,
    }
    found = {name: int(rows.sum()) for name, rows in places.items()}
    found["reach"] = reach(across[known], down[known])
    point = commonest(x[known], y[known]) if known.any() else None
    found["commonest"] = point and dict(zip(("x", "y", "count"), point, strict=True))
    return found, places["outside"]


def reach(x: np.ndarray, y: np.ndarray) -> list[float] | None:
    """Return left, top, right and bottom of where 99 % of fixations are, as fractions of the
    picture's sides; None without any."""
    if not len(x):
        return None
    (left, right), (top, bottom) = (np.percentile(values, (0.5, 99.5)) for values in (x, y))
    return [round(float(value), 4) for value in (left, top, right, bottom)]


def repeated(rows: Fixations) -> int:
    """Return how many fixations are where the one before them in their scanpath is."""
    path, x, y = (values[np.argsort(rows.scanpath, kind="stable")] for values in
                  (rows.scanpath, rows.x, rows.y))  # fmt: skip
    same = (np.diff(path) == 0) & (path[1:] >= 0) & (np.diff(x) == 0) & (np.diff(y) == 0)
    return int(same.sum())


def of_sigma(corpus: Corpus, settings: Config, samples: Sequence[Sample]) -> dict:
    """Return sigma of the blur in pixels of the stimuli, and who says so."""
    assumed = isinstance(corpus.sigma, Assumed)
    whose = "assumed; --pixels-per-degree gives another" if assumed else f"of {corpus.name}"
    if settings.pixels_per_degree:
        whose = "--pixels-per-degree"
    if any(sample.density_map for sample in samples):
        return {"pixels": None, "from": "the maps that the corpus has"}
    # That of pictures which were resized since is scaled; samples on no side have the corpus'.
    used = [sample.sigma for sample in samples if sample.sigma]
    sigma = np.median(used) if used else settings.pixels_per_degree or corpus.sigma
    return {"pixels": float(sigma), "from": whose}


def of_duplicates(samples: Sequence[Sample], looks: Sequence[Look], side: Mapping) -> dict:
    """Return the groups of names of pictures with the same pixels (`exact`), of one scene (`near`)
    with other pixels, and of those of one scene that are on several sides (`across`).

    Args:
        side: the side that a sample's name is on.
    """
    scenes = alike(np.array([look.hashes for look in looks]))
    near = [group for group in scenes if len({samples[i].digest for i in group}) > 1]
    sides = [{side[name] for i in group if (name := samples[i].name) in side} for group in scenes]
    across = [group for group, on in zip(scenes, sides, strict=True) if len(on) > 1]
    found = {"exact": groups([s.digest for s in samples]), "near": near, "across": across}
    return {key: [[samples[i].name for i in group] for group in found[key]] for key in found}


def of_contrast(
    grids: Sequence[np.ndarray],
    points: Sequence[np.ndarray],
    shapes: Sequence[Sequence[int]],
    numerical: Sequence[int],
) -> dict:
    """Return how well fixations follow contrast (`auc`, `error`), and would, were they `others`:
    None where these would put too many outside their pictures to be what was meant.

    Args:
        points: (M, 2) of each picture, as fractions of its width and height.
        shapes: (height, width) of each.
        numerical: the pictures' places in the order of the numbers in their names.
    """
    score, error = follow(grids, points)
    few = range(0, len(points), -(-len(points) // TRIED))
    few_grids, others = [grids[i] for i in few], {}
    for words, rows in otherwise(points, shapes, numerical).items():
        moved = [rows(i) for i in few]
        # What the few that would be left follow is chance.
        on = share_inside(moved) >= LEFT
        others[words] = follow(few_grids, moved)[0] if on else None
    return {"auc": score, "error": error, "pictures": len(points), "others": others}


def share_inside(points: Sequence[np.ndarray]) -> float:
    """Return the share of points, fractions of a picture's sides, that are on their pictures."""
    rows = np.concatenate(points)
    rows = rows[np.isfinite(rows).all(1)]
    return float(((rows >= 0) & (rows < 1)).all(1).mean()) if len(rows) else 0.0


def otherwise(points: Sequence[np.ndarray], shapes, numerical) -> dict[str, Callable]:
    """Return functions of a picture's index that give its points as they would be without some
    mistake, by the words for that."""
    one, count = np.nextafter(1, 0), len(points)

    def larger(scale: float) -> Callable:
        return lambda i: points[i] / scale

    return {
        "x and y swapped": lambda i: points[i][:, ::-1] * (ratio := shapes[i][0] / shapes[i][1],
                                                           1 / ratio),
        "y counted from below": lambda i: points[i] * (1, -1) + (0, one),
        "x counted from the right": lambda i: points[i] * (-1, 1) + (one, 0),
        "both counted from the centre": lambda i: points[i] + 0.5,
        "fractions of width and height": lambda i: points[i] * shapes[i][::-1],
        "those of the picture before": lambda i: points[i - 1],
        "those of the picture after": lambda i: points[(i + 1) % count],
        "the stimuli in the order of their numbers": lambda i: points[numerical[i]],
        **{f"coordinates of pictures {s:.3g} times as large": larger(s) for s in SCALES},
    }  # fmt: skip
