"""Where people looked, as one table; fixation maps and blurred ones made from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

UNKNOWN = -1
EARLIER = 4  # fixations of a history, as many as DeepGaze III looks at (Kuemmerer et al., JoV 2022)
TRUNCATE = 4  # standard deviations of the empirical map's kernel
LINES = 16  # that are blurred at a time
PRODUCTS = 1 << 18  # of numbers; for as many OpenBLAS takes no second core


@dataclass(frozen=True, eq=False)
class Fixations:
    """Fixations, a row each; all arrays have length M.

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
        """Tell whether every fixation belongs to a known scanpath."""
        return len(self) > 0 and bool((self.scanpath >= 0).all())

    def select(self, rows: np.ndarray) -> "Fixations":
        """Return the rows of a boolean mask (M,) or of an array of indices."""
        return Fixations(*(column[rows] for column in vars(self).values()))

    def scaled(self, x: float, y: float) -> "Fixations":
        """Return the same fixations on a picture that is x times as wide and y times as high."""
        history = self.history * np.float32([x, y])
        return replace(self, x=self.x * x, y=self.y * y, history=history)

    def later(self) -> np.ndarray:
        """Return (M,) bool: which rows are not the first of their scanpath."""
        return ~np.isnan(self.history[:, 0, 0])

    def by_stimulus(self, count: int) -> list["Fixations"]:
        """Return a table for each of the stimuli 0..count-1, rows in their order."""
        order = np.argsort(self.n, kind="stable")
        edges = np.searchsorted(self.n[order], np.arange(count + 1))
        return [self.select(rows) for rows in np.split(order, edges)[1:-1]]


def table(
    x, y, n, subject=UNKNOWN, t=np.nan, duration=np.nan, scanpath=UNKNOWN, history=None
) -> Fixations:
    """Copy arrays (M,) into a table; a scalar stands for all rows. Without a history (M, 4, 2) it
    is that of the rows of each scanpath."""
    length = np.shape(x)

    def column(values, dtype=np.float64):
        return np.broadcast_to(np.asarray(values, dtype), length).copy()

    x, y, t, duration = map(column, (x, y, t, duration))
    n, subject, scanpath = (column(values, np.int64) for values in (n, subject, scanpath))
    with np.errstate(over="ignore"):  # what float32 cannot hold is far outside as infinity, too
        history = histories(x, y, scanpath) if history is None else np.float32(history)
    return Fixations(x, y, n, subject, t, duration, scanpath, history)


def histories(x: np.ndarray, y: np.ndarray, scanpath: np.ndarray) -> np.ndarray:
    """Return float32 (M, 4, 2): the four points before each in its scanpath, the last one first."""
    points = np.stack([x, y], 1)
    order = np.argsort(scanpath, kind="stable")
    history = np.full((len(points), EARLIER, 2), np.nan, np.float32)
    for back in range(1, EARLIER + 1):
        now, then = order[back:], order[:-back]
        same = (scanpath[now] == scanpath[then]) & (scanpath[now] >= 0)
        history[now[same], back - 1] = points[then[same]]
    return history


def concatenate(tables: Iterable[Fixations]) -> Fixations:
    """Join the rows of tables; scanpaths are numbered on, so that none run together."""
    parts, start = [table([], [], [])], 0
    for part in tables:
        scanpath = np.where(part.scanpath >= 0, part.scanpath + start, UNKNOWN)
        parts.append(replace(part, scanpath=scanpath))
        start += int(part.scanpath.max(initial=UNKNOWN)) + 1
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Fixations(*map(np.concatenate, columns))


def inside(x, y, height, width) -> np.ndarray:
    """Return (M,) bool: which fixations are on their pictures."""
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def counts(x, y, shape: Sequence[int], size: Sequence[int] | None = None) -> np.ndarray:
    """Return the fixation map: how many fixations fell on each pixel.

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


def blur(counts: np.ndarray, sigma: float) -> np.ndarray:
    """Return counts (height, width) under a Gaussian, float64, as pysaliency blurs them.

    sigma: standard deviation in pixels of these counts. The kernel ends at 4 sigma, and what would
    leave the picture is reflected, so that the sum stays.
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
    rows, i = np.unique(pixels // width, return_inverse=True)
    columns, j = np.unique(pixels % width, return_inverse=True)
    fixated = csr_array((counts.ravel()[pixels], (i, j)), (len(rows), len(columns)))
    across = fixated @ _spread(kernel, columns, width)
    down, blurred = _spread(kernel, rows, height), np.empty(counts.shape)
    for top in range(0, height, LINES):
        near = slice(*np.searchsorted(rows, [top - reach, top + LINES + reach]))
        strip = slice(top, top + LINES)
        step = PRODUCTS // (LINES * max(near.stop - near.start, 1)) or 1
        for left in range(0, width, step):
            tile = slice(left, left + step)
            np.matmul(down[near, strip].T, across[near, tile], out=blurred[strip, tile])
    return blurred


def _spread(kernel: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """Return lines (K, size): the kernel around each place, what leaves them reflected back."""
    # Reflected at both ends, a line is a ring of twice its length, run through there and back.
    reach = len(kernel) // 2
    ring = np.bincount(np.arange(-reach, reach + 1) % (2 * size), kernel, 2 * size)
    windows = np.lib.stride_tricks.sliding_window_view(np.tile(ring, 2), size)
    return windows[2 * size - places] + windows[places + 1]
