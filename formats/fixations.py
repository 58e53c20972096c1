"""Where people looked, as one table; counts and blurred maps made from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

UNKNOWN = -1
EARLIER = 4  # fixations of a history, as many as DeepGaze III looks at (Kuemmerer et al., JoV 2022)
MOST = 10**6  # fixations on a picture, and numbers of observers
TRUNCATE = 4  # standard deviations of the empirical map's kernel
LINES = 16  # that are blurred at a time
PRODUCTS = 1 << 18  # of numbers; for as many OpenBLAS takes no second core


@dataclass(frozen=True, eq=False)
class Fixations:
    """One row a fixation, all arrays of length M.

    x, y: float64 pixels of the original stimulus, x the column and y the row; floor is the pixel.
    n: int64, index of the stimulus.
    subject: int64, the observer; -1 where not known.
    t, duration: float64 seconds, NaN where not known. Where the authors give the order alone,
        t counts 0, 1, 2, ... within the scanpath, as pysaliency has it.
    scanpath: int64, which scanpath, its rows in order of time; all -1 where the order is not known.
    history: float32 (M, 4, 2), x and y of the four fixations before each in its scanpath, the last
        one first, wherever they fell; NaN where there was none.
    """

    x: np.ndarray
    y: np.ndarray
    n: np.ndarray
    subject: np.ndarray
    t: np.ndarray
    duration: np.ndarray
    scanpath: np.ndarray
    history: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @property
    def ordered(self) -> bool:
        """Whether every fixation belongs to a known scanpath."""
        return len(self) > 0 and bool((self.scanpath >= 0).all())

    def select(self, rows: np.ndarray) -> "Fixations":
        """The rows of a boolean mask (M,) or of an array of indices."""
        return Fixations(*(column[rows] for column in vars(self).values()))

    def scaled(self, x: float, y: float) -> "Fixations":
        """Return the same fixations and histories on a picture that is x times as wide and y times
        as high."""
        history = self.history * np.float32([x, y])
        return replace(self, x=self.x * x, y=self.y * y, history=history)

    def later(self) -> np.ndarray:
        """(M,) bool: which rows are not the first of their scanpath."""
        return ~np.isnan(self.history[:, 0, 0])

    def by_stimulus(self, count: int) -> list["Fixations"]:
        """One table for each of the stimuli 0..count-1, rows in their order."""
        order = np.argsort(self.n, kind="stable")
        edges = np.searchsorted(self.n[order], np.arange(count + 1))
        return [self.select(order[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def table(
    x, y, n, subject=UNKNOWN, t=np.nan, duration=np.nan, scanpath=UNKNOWN, history=None
) -> Fixations:
    """A table from arrays (M,); a scalar stands for all rows. Histories are those of the rows of
    each scanpath, unless the (M, 4, 2) of them are known otherwise."""
    x = np.asarray(x, np.float64)

    def column(values, kind=np.float64):
        return np.broadcast_to(np.asarray(values, kind), x.shape).copy()

    index, observer, path = (column(values, np.int64) for values in (n, subject, scanpath))
    y = column(y)
    with np.errstate(over="ignore"):  # what float32 cannot hold is far outside as infinity, too
        history = before(np.stack([x, y], 1), path) if history is None else np.float32(history)
    return Fixations(x.copy(), y, index, observer, column(t), column(duration), path, history)


def before(points: np.ndarray, scanpath: np.ndarray) -> np.ndarray:
    """float32 (M, 4, 2): the four points before each (M, 2) of a scanpath (M,), last one first."""
    order = np.argsort(scanpath, kind="stable")
    found = np.full((len(points), EARLIER, 2), np.nan, np.float32)
    for back in range(1, EARLIER + 1):
        now, then = order[back:], order[:-back]
        same = (scanpath[now] == scanpath[then]) & (scanpath[now] >= 0)
        found[now[same], back - 1] = points[then[same]]
    return found


def concatenate(tables: Iterable[Fixations]) -> Fixations:
    """All rows under one another; scanpaths are numbered on, so that none run together."""
    parts, start = [table([], [], [])], 0
    for part in tables:
        known = part.scanpath >= 0
        parts.append(replace(part, scanpath=np.where(known, part.scanpath + start, UNKNOWN)))
        start += int(part.scanpath.max(initial=UNKNOWN)) + 1
    names = [field.name for field in fields(Fixations)]
    return Fixations(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def inside(x, y, height, width) -> np.ndarray:
    """Return (M,) bool: which fixations are on their pictures."""
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def counts(x, y, shape: Sequence[int], size: Sequence[int] | None = None) -> np.ndarray:
    """How many fixations fell on each pixel.

    Args:
        x, y: (M,) pixels of the original picture; those outside it count nowhere.
        shape: (height, width, ...) of the original picture.
        size: (height, width) wanted; coordinates are scaled to it. Default: the original's.

    Returns:
        float64 (height, width), at the floor pixels, repeats counted.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    height, width = size = tuple(shape[:2] if size is None else size)
    within = inside(x, y, *shape[:2])
    column = np.floor(x[within] * (width / shape[1])).astype(np.int64)
    row = np.floor(y[within] * (height / shape[0])).astype(np.int64)
    # The product of a coordinate just inside may round up to the edge.
    pixels = np.minimum(row, height - 1) * width + np.minimum(column, width - 1)
    # With weights it gives float64 by itself, and no copy of a picture's pixels is made.
    return np.bincount(pixels, np.ones(len(pixels)), height * width).reshape(size)


def of_counts(counts: np.ndarray, n: int = UNKNOWN) -> Fixations:
    """Return fixations at the centres of the pixels of a picture of counts (height, width), row by
    row.

    Raises:
        ValueError: some are no counts, or there are too many to be fixations of one picture.
    """
    if not ((counts >= 0) & (counts <= MOST) & (np.floor(counts) == counts)).all():
        raise ValueError("its pixels are no counts of fixations")
    if np.sum(counts, dtype=np.float64) > MOST:
        raise ValueError(f"more than {MOST} fixations on one picture")
    row, column = np.nonzero(counts)
    times = counts[row, column].astype(np.int64)
    return table(np.repeat(column + 0.5, times), np.repeat(row + 0.5, times), n)


def blur(counts: np.ndarray, sigma: float) -> np.ndarray:
    """The empirical map: counts under a Gaussian, as pysaliency and the Tuebingen benchmark do.

    Args:
        counts: (height, width).
        sigma: standard deviation in pixels of these counts, cut off at 4 sigma.

    Returns:
        float64 (height, width) of the same sum: edges reflect.
    """
    from scipy.sparse import csr_array

    # Most pixels have no fixation: what has some is spread along its row, and the rows downwards,
    # tile by tile of the picture, to which few rows contribute. Tiles are so small that BLAS takes
    # no more cores than the caller's. This is several times faster than gaussian_filter and differs
    # by round-off.
    counts = np.asarray(counts, np.float64)
    (height, width), reach = counts.shape, int(TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    pixels = np.flatnonzero(counts.ravel() > 0)
    rows, line = np.unique(pixels // width, return_inverse=True)
    columns, place = np.unique(pixels % width, return_inverse=True)
    seen = csr_array((counts.ravel()[pixels], (line, place)), (len(rows), len(columns)))
    across = seen @ _spread(kernel, columns, width)
    down, found = _spread(kernel, rows, height), np.empty(counts.shape)
    for top in range(0, height, LINES):
        near = slice(*np.searchsorted(rows, [top - reach, top + LINES + reach]))
        strip = slice(top, top + LINES)
        step = PRODUCTS // (LINES * max(near.stop - near.start, 1)) or 1
        for left in range(0, width, step):
            tile = slice(left, left + step)
            np.matmul(down[near, strip].T, across[near, tile], out=found[strip, tile])
    return found


def _spread(kernel: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """Lines (K, size), each with the kernel around a place, and what leaves it reflected back."""
    # Reflected at both ends, a line is a ring of twice its length, run through there and back.
    reach = len(kernel) // 2
    ring = np.bincount(np.arange(-reach, reach + 1) % (2 * size), kernel, 2 * size)
    windows = np.lib.stride_tricks.sliding_window_view(np.tile(ring, 2), size)
    return windows[2 * size - places] + windows[places + 1]
