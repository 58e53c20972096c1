"""Means over pictures and fixations, their intervals, differences of two runs, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.metrics.likelihood import IG
from model.metrics.registry import labelled

Row = Mapping[str, Any]

CEILINGS = ("goldstandard", "observers", "truth")  # baselines that tell how much can be known
MIN_PICTURES = 10  # pictures that have an interval: of fewer, none keeps what it promises
DRAWS, BLOCK = 10_000, 2_000_000  # a block of 16 MB at a time
LEVEL = (0.025, 0.975)
MIN_DEVIATION = 0.5  # of the images' deviation, that a draw's counts as at least
LEVELS = np.linspace(0, 1, 51)


def summarise(rows: Sequence[Row], conditional: bool = False) -> dict[str, Any]:
    """Return the averages of an evaluation, as they are stored in `<name>.metrics.json`.

    Rows have "metrics" {name: value}, and may have "fixations" (their number) and "baselines"
    {name: {metric: value}}. `conditional`: what is tested knows more than the picture, such as the
    fixations before, so that what pictures allow is no measure of it.

    Returns n_images, n_fixations, n_infinite (images whose IG is not finite), image and fixation
    (means over images and over fixations, {} where no fixation is known), interval {metric: [low,
    high]} of the means over images, baselines {name: {image, fixation}} and explained (as
    `explained` gives it).
    """
    counts = [row.get("fixations") or 0 for row in rows]
    beside = [row.get("baselines") or {} for row in rows]
    names = dict.fromkeys(name for baselines in beside for name in baselines)
    model = [row["metrics"] for row in rows]
    return {
        "n_images": len(rows),
        "n_fixations": sum(counts),
        "n_infinite": sum(not math.isfinite(metrics.get(IG.label, 0)) for metrics in model),
        **averages(model, counts),
        "interval": intervals(rows, "metrics"),
        "baselines": {
            name: averages([baselines.get(name) or {} for baselines in beside], counts)
            for name in names
        },
        "explained": None if conditional else explained(rows),
    }


def averages(samples: Sequence[Mapping], counts: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return `means` over images, and over fixations, of which each has so many: that of what is
    one over an image's, NaN for what compares whole images by their empirical densities; {} without
    any fixation.
    """
    fixated = [(metrics, count) for metrics, count in zip(samples, counts, strict=True) if count]
    by_fixation = means(*zip(*fixated, strict=True)) if fixated else {}
    whole = (name for name in by_fixation if labelled(name).depends_on == "density")
    return {"image": means(samples), "fixation": by_fixation | dict.fromkeys(whole, math.nan)}


def means(samples: Sequence[Mapping], weights: Sequence[int] | None = None) -> dict[str, float]:
    """Return what the metrics that all have come to: their means, and what is accumulated."""
    weights = np.ones(len(samples)) if weights is None else np.array(weights)
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean: NaN
        totals = {name: weights @ [sample[name] for sample in samples] for name in common(samples)}
        return {n: float(labelled(n).finish(x, weights.sum())) for n, x in totals.items()}


def common(samples: Sequence[Mapping]) -> list[str]:
    """Return the names that all have, in the first's order."""
    return [name for name in samples[0] if all(name in s for s in samples)] if samples else []


def columns(samples: Iterable[Iterable[str]]) -> list[str]:
    """Return the names of metrics that some have and that are numbers of each picture."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return [name for name in names if not labelled(name).accumulated]


def _table(samples: Sequence[Mapping[str, float]]) -> tuple[list[str], np.ndarray]:
    """Return the `columns` that all have, and their values (rows, names)."""
    names = columns([common(samples)])
    values = [[float(sample[name]) for name in names] for sample in samples]
    return names, np.array(values).reshape(len(samples), len(names))


def interval(values: np.ndarray, seed: int = 0, draws: int = DRAWS) -> tuple[Any, Any]:
    """Return the 95 % interval of the mean over images, (low, high), as `ratio` has it.

    `values` is (n,) or (n, k): k metrics of n images, resampled together. Floats or (k,) each.
    """
    values = np.asarray(values, float)
    ends = ratio(values, np.ones(len(values)), seed, draws)[1:]
    return tuple(ends.tolist() if values.ndim == 1 else ends)


def intervals(rows: Sequence[Row], key: str) -> dict[str, list[float]]:
    """Return [low, high] of `interval` of every mean of `means`."""
    names, values = _table([row[key] for row in rows])
    if not names:
        return {}
    return dict(zip(names, np.transpose(interval(values)).tolist(), strict=True))


def ratio(values: np.ndarray, by: np.ndarray, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Return the ratio of two means over images and its 95 % interval: (share, low, high).

    `values` (n,) or (n, k) and `by` (n,) are resampled together, the same for the same seed.
    Returns (3,) or (3, k). The interval is the bootstrap's with Student's quotient (bootstrap-t;
    Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12), which keeps its promise
    on few images too, where percentiles of resampled means are too narrow. Each resample counts as
    having at least MIN_DEVIATION of the images' deviation, so that one outlier does not blow the
    interval up. NaN below MIN_PICTURES images, and for what is not finite somewhere.
    """
    table, by = np.asarray(values, float).reshape(len(by), -1), np.asarray(by, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = table.sum(axis=0) / by.sum()
    ratios = np.vstack([share, np.full((2, len(share)), math.nan)])
    finite = np.isfinite(share)
    if len(by) >= MIN_PICTURES and finite.any():
        gaps = table[:, finite] - share[finite] * by[:, None]
        ratios[1:, finite] = share[finite] + _studentised(gaps, by, seed, draws)
    return ratios[:, 0] if np.ndim(values) == 1 else ratios


def _studentised(gaps: np.ndarray, by: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Return ends (2, k) of intervals around ratios, from each image's gap (n, k) to its own."""
    k = gaps.shape[1]
    columns = np.column_stack([gaps, gaps**2, gaps * by[:, None], by, by**2])
    sums = _resampled(columns, seed, draws)
    (off, squares, products), whole = np.split(sums[:, : 3 * k], 3, axis=1), sums[:, -2:, None]
    moved = off / whole[:, 0]
    # Squares of each draw's own gaps, to its own ratio; draws without an outlier have next to none.
    spread = squares - 2 * moved * products + moved**2 * whole[:, 1]
    seen = (gaps**2).sum(axis=0)
    quotients = off / np.sqrt(np.maximum(spread, MIN_DEVIATION**2 * seen) + np.finfo(float).tiny)
    low, high = np.quantile(quotients, LEVEL, axis=0)
    return np.stack([-high, -low]) * np.sqrt(seen) / by.sum()


def _resampled(table: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Return sums (draws, k) over n rows that are drawn from the n of (n, k), with replacement."""
    return np.concatenate([counts @ table for counts in _counts(len(table), seed, draws)])


def _counts(n: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """Yield how often each of n images is drawn, (some draws, n) at a time to bound memory."""
    random, size = np.random.default_rng(seed), max(1, BLOCK // n)
    for done in range(0, draws, size):
        rows = min(size, draws - done)
        chosen = random.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def explained(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return the model's mean IG as a share of what is known: of the leave-one-out gold standard's,
    a lower bound of what can be known; beside it of what all observers together say, an upper end,
    and of the true density's.

    None where IG is not finite on every picture, and where no ceiling is known of all of them.
    Returns of (the first known ceiling's name), share, interval [low, high], n_images, and beside:
    {name: {share, interval}} of the others. (Kuemmerer, Wallis, Bethge, PNAS 112, 2015.)
    """
    model = np.array([row["metrics"].get(IG.label, math.nan) for row in rows], float)
    baselines = [row.get("baselines") or {} for row in rows]
    shares = {}
    for name in CEILINGS:
        best = np.array([b.get(name, {}).get(IG.label, math.nan) for b in baselines], float)
        if np.isfinite([model, best]).all() and best.sum() > 0:
            share, *ends = ratio(model, best).tolist()
            shares[name] = {"share": share, "interval": ends}
    if not shares:
        return None
    first, *others = shares
    beside = {name: shares[name] for name in others}
    return {"of": first, **shares[first], "n_images": len(rows), "beside": beside}


@dataclass(frozen=True)
class Difference:
    """Means of a metric over the pictures that two runs share, the mean difference b - a and the
    ends of its 95 % interval."""

    a: float
    b: float
    mean: float
    low: float
    high: float


def paired(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> dict[str, Difference]:
    """Return the differences of the metrics that both have, picture by picture.

    Raises:
        ValueError: they are not of the same pictures, by their names.
    """
    a, b = ({row["name"]: row for row in rows} for rows in (rows_a, rows_b))
    if a.keys() != b.keys():
        raise ValueError(f"not of the same pictures, such as '{min(a.keys() ^ b.keys())}'")
    metrics, both = _table([rows[name]["metrics"] for rows in (a, b) for name in a])
    x, y = np.split(both, 2)
    if not x.size:
        return {}
    with np.errstate(invalid="ignore"):
        gaps = y - x
        table = np.transpose([*(z.mean(axis=0) for z in (x, y, gaps)), *interval(gaps)])
    return {name: Difference(*row) for name, row in zip(metrics, table.tolist(), strict=True)}


def percentiles(log_density: np.ndarray, fixations: np.ndarray) -> np.ndarray:
    """Return for each fixation the mass on less dense pixels, and half of it on equal ones.

    log_density (h, w), in nats, -inf allowed; fixations (h, w), how many on each pixel. Returns
    one number in 0..1 a fixation, uniform where fixations are drawn from the density (the
    probability integral transform by highest-density regions: 1 minus it is the mass of the
    smallest region that reaches the fixation).
    """
    times = np.asarray(fixations).ravel().astype(int)
    flat = np.asarray(log_density, float).ravel()
    if times.sum() == 1:  # as of scanpaths, by the thousand: not worth a sort
        level, mass = flat[times.argmax()], np.exp(flat - flat.max())
        below, upto = mass[flat < level].sum(), mass[flat <= level].sum()
        return np.atleast_1d((below + upto) / (2 * mass.sum()))
    rising = np.sort(flat)
    mass = np.concatenate([[0], np.cumsum(np.exp(rising - rising[-1]))])
    levels = np.repeat(flat[times > 0], times[times > 0])
    below, upto = (mass[np.searchsorted(rising, levels, side)] for side in ("left", "right"))
    return (below + upto) / (2 * mass[-1])


def calibration(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return the cumulative distribution of the rows' "percentiles" over all fixations, or None.

    Returns levels (51,) in 0..1, share (51,): of the fixations whose percentile is at most the
    level, low and high (51,): its 95 % interval over images, gap: the largest distance of share
    and level, with its sign, and count, of fixations.
    """
    pictures = [row["percentiles"] for row in rows if row.get("percentiles") is not None]
    pictures = [np.asarray(shares) for shares in pictures if len(shares)]
    if not pictures:
        return None
    below = np.array([(shares[:, None] <= LEVELS).sum(axis=0) for shares in pictures], float)
    counts = np.array([len(shares) for shares in pictures], float)
    share, low, high = np.clip(ratio(below, counts), 0, 1)
    gaps = share - LEVELS
    return {
        "levels": LEVELS,
        "share": share,
        "low": low,
        "high": high,
        "gap": float(gaps[np.abs(gaps).argmax()]),
        "count": int(counts.sum()),
    }
