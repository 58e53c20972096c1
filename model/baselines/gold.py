"""The gold standard: how well people predict one another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.baselines.centre_bias import CentreBias, likeliest, spread

PICTURES = 500  # at most so many choose the gold standard's three numbers

Picture = tuple[np.ndarray, np.ndarray, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class GoldStandard:
    """Each observer of a picture as the picture's other observers predict them.

    For every observer there is a density of its own: a kernel density of all the others'
    fixations, mixed with the centre bias and the uniform density. What it gains over the centre
    bias is what a model of pictures can explain (Kuemmerer, Wallis, Bethge, PNAS 112, 2015).

    bandwidth: the kernel's standard deviation in units of sqrt(width * height); kernels are cut
    off at the picture's edge, as the centre bias' are. centre, uniform: the shares of the centre
    bias and of the uniform density.
    """

    bias: CentreBias
    bandwidth: float
    centre: float
    uniform: float

    def log_likelihood(
        self, points: np.ndarray, observers: np.ndarray, height: int, width: int, own: bool = False
    ) -> np.ndarray:
        """Return (M,), nats: each fixation's log-density, all observers but its own being known;
        with `own` that too, which says more than can be known of a fixation before it is made.

        points: (M, 2) x and y inside the picture, in its pixels; observers: (M,) who looked. It is
        what `log_densities` has at the fixations' pixels, but takes milliseconds.
        """
        others = at_fixations(points, observers, height, width, self.bandwidth, own)
        column, row = np.int64(points).T
        bias = np.exp(self.bias.log_density(height, width)[row, column])
        return np.log(self._mixed(others, bias, height * width))

    def log_densities(
        self, points: np.ndarray, observers: np.ndarray, height: int, width: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield for each observer (M,) True at the fixations of theirs, and the log-density
        (height, width), in nats, that the others' fixations give.

        A metric of the gold standard is that of each observer's fixations by the others' map,
        averaged over fixations; those of blurred maps have no meaning by observer.
        """
        sigma = self.bandwidth * np.sqrt(height * width)
        across, down = spread(points[:, 0], width, sigma), spread(points[:, 1], height, sigma)
        bias = np.exp(self.bias.log_density(height, width))
        for observer in np.unique(observers):
            theirs = observers == observer
            density = down[~theirs].T @ across[~theirs]
            density /= density.sum()
            yield theirs, np.log(self._mixed(density, bias, density.size))

    def _mixed(self, others: np.ndarray, bias: np.ndarray, pixels: int) -> np.ndarray:
        kernel = 1 - self.centre - self.uniform
        return kernel * others + self.centre * bias + self.uniform / pixels


def gold_standard(pictures: Sequence[Picture], bias: CentreBias) -> GoldStandard:
    """Fit the gold standard, its bandwidth and shares chosen by cross-validation.

    Args:
        pictures: for each the points (M, 2) in its pixels, inside it, the observers (M,) and the
            shape (height, width); of more than 500, evenly spaced ones are taken.
        bias: the centre bias that is mixed in.

    Chosen is what makes the fixations of left-out observers likeliest, each fixation weighing the
    same. Take the training pictures, so that nothing is fitted to those that are judged.
    """
    chosen = list(pictures)[:: -(-len(pictures) // PICTURES)]
    chosen.sort(key=lambda picture: picture[2])  # a shape's map of the centre bias is made once
    constant = np.concatenate([without_others(points, *shape, bias) for points, _, shape in chosen])

    def densities(bandwidth: float) -> np.ndarray:
        others = [at_fixations(*people, *shape, bandwidth) for *people, shape in chosen]
        return np.column_stack([np.concatenate(others), constant])

    bandwidth, (_, centre, uniform) = likeliest(densities)
    return GoldStandard(bias, bandwidth, float(centre), float(uniform))


def without_others(points: np.ndarray, height: int, width: int, bias: CentreBias) -> np.ndarray:
    """Return (M, 2): each fixation by the centre bias and by the uniform density."""
    column, row = np.int64(points).T
    centre = np.exp(bias.log_density(height, width)[row, column])
    return np.stack([centre, np.full_like(centre, 1 / (height * width))], 1)


def at_fixations(
    points: np.ndarray,
    observers: np.ndarray,
    height: int,
    width: int,
    bandwidth: float,
    own: bool = False,
) -> np.ndarray:
    """Return (M,): each fixation's pixel by the kernel density of the other observers' fixations;
    with `own`, of its own observer's too, itself among them.

    Kernels at fixations alone, not whole maps. Every fixation needs another observer's.
    """
    sigma = bandwidth * np.sqrt(height * width)
    others = (observers[:, None] != observers) | own
    kernel, inside = np.ones(others.shape), np.ones(len(points))
    for values, size in ((points[:, 0], width), (points[:, 1], height)):
        kernel *= mass(np.floor(values)[:, None], np.floor(values)[:, None] + 1, values, sigma)
        inside *= mass(0, size, values, sigma)
    return (kernel * others).sum(1) / (others @ inside)


def mass(low, high, middle: np.ndarray, sigma: float) -> np.ndarray:
    """Return the share of Gaussians that lies between two positions."""
    from scipy.special import ndtr

    return ndtr((high - middle) / sigma) - ndtr((low - middle) / sigma)


def known_observers(observers: np.ndarray) -> bool:
    """Return whether a picture's gold standard can be told: two observers at least, all known."""
    return bool((observers >= 0).all()) and len(np.unique(observers)) > 1


def lacking(observers: Mapping[str, np.ndarray | None]) -> str | None:
    """Return why some pictures have no gold standard, with the first of them; by name, (M,) each,
    or None without fixations."""
    for name, who in observers.items():
        if who is None:
            return f"the gold standard needs fixations of every picture: {name!r} has a map alone"
        if not known_observers(who):
            return (
                f"the gold standard needs two known observers of every picture: {name!r} has "
                f"{len(np.unique(who[who >= 0]))}, and {(who < 0).sum()} of its {len(who)} "
                "fixations are of unknown observers"
            )
    return None
