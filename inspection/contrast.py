"""Whether fixations belong to their pictures: people look where there is something to see.

Shuffled AUC of local contrast: how often a fixation has more of it than the fixations on other
pictures would have in its picture. On OSIE .648, on ADD1000 .647; with the stimuli in another
order, x and y swapped, mirrored, upside down or at half the scale .49 to .54: fixations that belong
to their pictures are told from those that do not, whatever their centre bias.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from batches.truth import relative_points
from data.samples import Sample
from formats.coordinates import natural
from formats.fixations import Fixations

SIDE = 64  # of the grid that contrast is measured on
OTHERS = 2000  # fixations of other pictures
MAPS = 500  # whose densities are drawn from, where a corpus has maps alone
TRIED = 500  # pictures, on which what may be wrong with coordinates is tried
LEFT = 0.9  # of all fixations are on their pictures, where a mistake is undone
SCALES = (1 / 4, 1 / 3, 1 / 2, 5 / 8, 3 / 4, 5 / 4, 3 / 2, 7 / 4, 2, 5 / 2, 3, 4)


def contrast(picture: Image.Image) -> np.ndarray:
    """Return the local contrast of a picture, float32 (64, 64): its gradients, blurred."""
    from scipy.ndimage import gaussian_filter

    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    slopes = np.gradient(gaussian_filter(np.float32(small), 0.7))
    return gaussian_filter(np.hypot(*slopes), 1.5)


def of_samples(
    samples: Sequence[Sample],
    records: Mapping[str, Fixations] | None,
    grids: Sequence[np.ndarray],
) -> dict | None:
    """Return how well fixations follow the pictures (of_contrast), or draws from their maps where
    no fixations are known; None where fewer than two pictures have any.

    Args:
        records: the fixations of stimuli as their files have them.
        grids: the contrast of each sample's picture.
    """
    if records:
        having = [i for i, sample in enumerate(samples) if len(records.get(sample.name, ()))]
        rows = [(records[samples[i].name], samples[i].shape) for i in having]
        points = [np.stack([r.x / width, r.y / height], 1) for r, (height, width) in rows]
    else:
        having = [i for i, sample in enumerate(samples) if sample.density_map]
        having = having[:: -(-len(having) // MAPS) or 1]
        points = relative_points([samples[i] for i in having])
    if len(having) < 2:
        return None
    by_number = sorted(range(len(having)), key=lambda i: natural(samples[having[i]].name))
    shapes = [samples[i].shape for i in having]
    return of_contrast([grids[i] for i in having], points, shapes, np.argsort(by_number))


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
    tried, others = range(0, len(points), -(-len(points) // TRIED)), {}
    for words, moved in otherwise(points, shapes, numerical).items():
        rows = [moved(i) for i in tried]
        # What the few that would be left follow is chance.
        on = share_inside(rows) >= LEFT
        others[words] = follow([grids[i] for i in tried], rows)[0] if on else None
    return {"auc": score, "error": error, "pictures": len(points), "others": others}


def follow(
    grids: Sequence[np.ndarray], points: Sequence[np.ndarray]
) -> tuple[float, float] | tuple[None, None]:
    """Return the mean over pictures of the shuffled AUC of contrast, and its standard error; None
    where fewer than two have points.

    Args:
        grids: the contrast of each picture, (64, 64).
        points: (M, 2) of each, x and y as fractions of width and height; those outside 0..1 are
            left out, and so are pictures without any.
    """
    points = [rows[((rows >= 0) & (rows < 1)).all(1)] for rows in points]
    every = np.concatenate([*points, np.empty((0, 2))])
    pool = every[np.random.default_rng(0).permutation(len(every))[:OTHERS]]
    aucs = [auc(*pair, pool) for pair in zip(grids, points, strict=True) if len(pair[1])]
    if len(aucs) < 2:
        return None, None
    return float(np.mean(aucs)), float(np.std(aucs, ddof=1) / np.sqrt(len(aucs)))


def auc(grid: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Return how often a grid is higher at its own points than at others; ties count half."""
    low = np.sort(at(grid, others))
    value = at(grid, own)
    below = np.searchsorted(low, value, "left") + np.searchsorted(low, value, "right")
    return below.mean() / (2 * len(low))


def at(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the values (M,) of a grid at points (M, 2), fractions of its sides."""
    column, row = np.int64(points * grid.shape[::-1]).T
    return grid[row, column]


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
