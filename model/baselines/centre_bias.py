"""Models without layers: what a prediction must beat."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import storage
from errors import UsageError

FOLDS = 5
GRID = (120, 160)  # on which the centre bias' bandwidths are compared
# From the widest on, so that without evidence the choice claims least.
BANDWIDTHS = (0.4, 0.25, 0.15, 0.1, 0.07, 0.05, 0.035, 0.025, 0.018, 0.013, 0.01)
REFINEMENTS = 3
KEPT = 32  # shapes whose maps are kept: 200 MB at 768x1024
NUMBERS = ("x", "y", "bandwidth", "uniform")
TEMPLATE = "template"


def uniform(height: int, width: int) -> np.ndarray:
    """Return a log-density (height, width), nats, float64, that makes all pixels equally likely."""
    return np.full((height, width), -np.log(height * width))


@dataclass(frozen=True, eq=False)
class CentreBias:
    """Where people look whatever the picture: a kernel density of training fixations.

    x, y: (M,) fixations as fractions of the picture's width and height, 0..1. bandwidth: the
    Gaussian kernel's standard deviation in units of sqrt(width * height). uniform: the share of a
    uniform density, which keeps the sum above 0 where nobody looked.

    Kernels are cut off at the picture's edge and the sum is normalised as a whole. People look
    less and less towards the edge: on OSIE's validation pictures each kernel normalised by itself
    comes out .001 bits lower, kernels reflected at the edge .003 bits.
    """

    x: np.ndarray
    y: np.ndarray
    bandwidth: float
    uniform: float

    @functools.cached_property
    def log_density(self) -> Callable[[int, int], np.ndarray]:
        """Function of (height, width) -> (height, width), nats, float64, read-only; its exp sums to
        1. The last maps are remembered."""
        return functools.lru_cache(KEPT)(self._log_density)

    def _log_density(self, height: int, width: int) -> np.ndarray:
        density = self.kernel_density(height, width)
        answer = np.log((1 - self.uniform) * density + self.uniform / density.size)
        answer.flags.writeable = False  # every caller gets the same array
        return answer

    def kernel_density(self, height: int, width: int) -> np.ndarray:
        """Return (height, width) without the uniform share; uniform where no fixation is inside."""
        rows = np.floor(np.asarray(self.y) * height).astype(int)
        columns = np.floor(np.asarray(self.x) * width).astype(int)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        if not inside.any():
            return np.full((height, width), 1 / (height * width))
        pixels = rows[inside] * width + columns[inside]
        counts = np.bincount(pixels, minlength=height * width).reshape(height, width)
        sigma = self.bandwidth * np.sqrt(height * width)
        down, across = (spread(np.arange(n) + 0.5, n, sigma) for n in (height, width))
        density = down.T @ counts @ across
        return density / density.sum()

    def save(self, path: Path) -> None:
        """Write an HDF5 file, in one piece, from which `load_prior` makes the very same."""
        with storage.hdf5(path) as file:
            for name in NUMBERS:
                values = np.atleast_1d(np.asarray(getattr(self, name), np.float64))
                # Checksums are of chunks, and what is empty has none.
                file.create_dataset(name, data=values, fletcher32=True if len(values) else None)


@dataclass(frozen=True, eq=False)
class Template:
    """Where people look whatever the picture, as a grid of somebody's own: `values` (H, W), natural
    logarithms of a density but for a constant, finite; stretched to any picture."""

    values: np.ndarray

    def log_density(self, height: int, width: int) -> np.ndarray:
        """Return (height, width), nats, float64; its exp sums to 1."""
        from scipy.ndimage import zoom
        from scipy.special import logsumexp

        scale = np.divide((height, width), self.values.shape)
        grid = zoom(self.values, scale, order=1, mode="nearest", grid_mode=True)
        return grid - logsumexp(grid)

    def save(self, path: Path) -> None:
        """Write an HDF5 file, in one piece, from which `load_prior` makes the very same."""
        with storage.hdf5(path) as file:
            file.create_dataset(TEMPLATE, data=self.values, fletcher32=True)


Prior = CentreBias | Template
UNIFORM = CentreBias(np.empty(0), np.empty(0), 1.0, 1.0)


def load_prior(path: Path) -> Prior:
    """Return what `save` wrote; raise UsageError where the file is missing, damaged or another."""
    import h5py

    refusal = f"{path}: not the weights of a centre bias"
    try:
        with storage.local(path) as copy, h5py.File(copy, "r", locking=False) as file:
            if TEMPLATE in file:
                return Template(np.asarray(file[TEMPLATE], np.float64))
            x, y, *numbers = (np.asarray(file[name], np.float64) for name in NUMBERS)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{refusal}: {' '.join(str(error).split())[:200]}") from None
    if not (x.shape == y.shape == (x.size,) and np.isfinite([x, y]).all()):
        raise UsageError(f"{refusal}: x and y must be as many finite numbers")
    for name, value in zip(NUMBERS[2:], numbers, strict=True):
        if value.shape != (1,) or not 0 < value[0] <= 1:
            raise UsageError(f"{refusal}: {name} must be one number above 0, at most 1")
    return CentreBias(x, y, *(float(value[0]) for value in numbers))


def left_out(
    points: Sequence[np.ndarray], bias: CentreBias
) -> Callable[[int, int, int], np.ndarray]:
    """Return what gives for one of the pictures, by its place, and (height, width) the log-density
    of their centre bias without the fixations of the picture's own fold.

    points: as for `centre_bias`, which found the kernel on the same folds.
    """

    @functools.lru_cache(FOLDS * KEPT)
    def of_fold(fold: int, height: int, width: int) -> np.ndarray:
        others = [p for k in range(FOLDS) if k != fold for p in points[k::FOLDS]]
        x, y = np.concatenate(others or [np.empty((0, 2))]).T
        return CentreBias(x, y, bias.bandwidth, bias.uniform).log_density(height, width)

    return lambda index, height, width: of_fold(index % FOLDS, height, width)


def centre_bias(points: Sequence[np.ndarray]) -> CentreBias:
    """Fit the centre bias of training pictures, its bandwidth and uniform share cross-validated.

    Args:
        points: for each picture (M, 2) fixations, x and y as fractions of its width and height.

    Chosen is what makes the fixations of held-out pictures likeliest, in five folds over pictures:
    few pictures get a wide kernel, so that a model is not praised for the baseline's noise.
    """
    folds = [np.concatenate(points[i::FOLDS]) for i in range(min(FOLDS, len(points)))]
    bandwidth, mixed = likeliest(lambda bandwidth: held_out(folds, bandwidth))
    return CentreBias(*np.concatenate(points).T, bandwidth, float(mixed[1]))


def held_out(folds: Sequence[np.ndarray], bandwidth: float) -> np.ndarray:
    """Return (M, 2): each fixation by the other folds' kernel density, and by the uniform one."""
    parts = []
    for index, fold in enumerate(folds):
        others = np.concatenate([f for i, f in enumerate(folds) if i != index] or [fold[:0]])
        density = CentreBias(*others.T, bandwidth, 0).kernel_density(*GRID)
        column, row = np.minimum(np.int64(fold * GRID[::-1]), np.array(GRID[::-1]) - 1).T
        parts.append(density[row, column])
    densities = np.concatenate(parts)
    return np.stack([densities, np.full_like(densities, 1 / np.prod(GRID))], 1)


def spread(positions: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """Return (M, size): the share of a Gaussian around each position that falls on each pixel.

    positions: (M,), in pixels: the middle of the first is 0.5. A row sums to what is inside.
    """
    from scipy.special import ndtr

    edges = np.arange(size + 1) - np.asarray(positions, np.float64)[:, None]
    return np.diff(ndtr(edges / sigma))


def likeliest(densities: Callable[[float], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the bandwidth, and the shares of a mixture, that make held-out fixations likeliest.

    `densities` gives for a bandwidth (M, K): M fixations by the K densities to be mixed. The
    grid is tried first, then three times the geometric middle on either side of the best.
    """
    tried: dict[float, tuple[float, np.ndarray]] = {}

    def attempt(bandwidth: float) -> None:
        values = densities(bandwidth)
        mixed = shares(values)
        tried[bandwidth] = (float(np.log(values @ mixed).sum()), mixed)

    def best() -> float:
        return max(tried, key=lambda bandwidth: tried[bandwidth][0])

    for bandwidth in BANDWIDTHS:
        attempt(bandwidth)
    for _ in range(REFINEMENTS):
        middle, order = best(), sorted(tried)
        at = order.index(middle)
        for beside in (*order[max(at - 1, 0) : at], *order[at + 1 : at + 2]):
            attempt(float(np.sqrt(middle * beside)))
    return best(), tried[best()][1]


def shares(densities: np.ndarray, rounds: int = 200, close: float = 1e-6) -> np.ndarray:
    """Return (K,), summing to 1: how to mix K densities so that M fixations are likeliest.

    `densities` (M, K), each row with one above 0. Expectation maximisation (Dempster, Laird,
    Rubin, 1977). Each density counts as having explained one fixation more than it did: of few
    fixations the shares become equal, and none becomes 0, which would make the unseen impossible.
    """
    count = densities.shape[1]
    mixed = np.full(count, 1 / count)
    for _ in range(rounds):
        explained = (1 / (densities @ mixed)) @ densities * mixed
        before, mixed = mixed, (explained + 1) / (len(densities) + count)
        if np.abs(mixed - before).max() < close:
            break
    return mixed
