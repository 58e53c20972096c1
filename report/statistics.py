"""Means over pictures and fixations, their intervals, differences of two runs, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """What a metric's numbers mean: unit; better = 1 (higher), -1 (lower) or 0 (not known)."""

    unit: str
    better: int


SCALES = {
    "LL": Scale("bits per fixation over a uniform density", 1),
    "IG": Scale("bits per fixation over the centre bias", 1),
    "AUC": Scale("against every pixel, 0.5 is chance", 1),
    "AUC_Judd": Scale("against pixels without fixation, 0.5 is chance", 1),
    "sAUC": Scale("against fixations on other pictures, 0.5 is chance", 1),
    "NSS": Scale("standard deviations above the map’s mean", 1),
    "CC": Scale("correlation with the empirical density, −1 to 1", 1),
    "SIM": Scale("mass shared with the empirical density, 0 to 1", 1),
    "KLDiv": Scale("nats from the empirical density, 0 is perfect", -1),
    "sAUC_MIT": Scale("against fixations on ten other pictures, 0.5 is chance", 1),
    "SIM_MIT": Scale("as SIM, of maps stretched to 0..1", 1),
    "KLDiv_MIT": Scale("nats from the empirical density, Matlab’s formula", -1),
    "InfoGain_MIT": Scale("bits over the centre bias, of maps stretched to 0..1", 1),
}
UNKNOWN = Scale("", 0)
CEILINGS = ("truth", "goldstandard")  # what explainable information is measured by: the first known
DRAWS, BLOCK = 10_000, 2_000_000  # a block of 16 MB at a time
LEVELS = np.linspace(0, 1, 51)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """The averages of an evaluation, as they are stored in `<name>.metrics.json`.

    Rows have "metrics" {name: value}, and may have "fixations" (their number) and "baselines"
    {name: {metric: value}}. Returns n_images, n_fixations, image and fixation (means over images
    and over fixations, {} where no fixation is known), interval {metric: [low, high]} of the means
    over images, baselines {name: {image, fixation}} and explained (as `explained` gives it).
    """
    counts = [row.get("fixations") or 0 for row in rows]
    given = [row.get("baselines") or {} for row in rows]
    names = dict.fromkeys(name for baselines in given for name in baselines)
    found = [row["metrics"] for row in rows]
    return {
        "n_images": len(rows),
        "n_fixations": sum(counts),
        **_averages(found, counts),
        "interval": intervals(rows, "metrics"),
        "baselines": {
            name: _averages([baselines.get(name) or {} for baselines in given], counts)
            for name in names
        },
        "explained": explained(rows),
    }


def means(rows: Sequence[Row], key: str) -> dict[str, float]:
    """The mean over rows of each number that all of them have in row[key]."""
    names, values = _table([row[key] for row in rows])
    return dict(zip(names, _mean(values), strict=True))


def fixation_means(rows: Sequence[Row], key: str) -> dict[str, float]:
    """The mean over rows, each weighing by its number of fixations: the mean over all fixations of
    what is one over a picture's; {} without any.
    """
    seen = [row for row in rows if row.get("fixations")]
    names, values = _table([row[key] for row in seen])
    counts = np.array([row["fixations"] for row in seen], float)
    if not seen:
        return {}
    with np.errstate(invalid="ignore"):
        return dict(zip(names, (counts @ values / counts.sum()).tolist(), strict=True))


def _averages(found: Sequence[Mapping[str, float]], counts: Sequence[int]) -> dict[str, dict]:
    rows = [{"of": f, "fixations": c} for f, c in zip(found, counts, strict=True)]
    return {"image": means(rows, "of"), "fixation": fixation_means(rows, "of")}


def _table(found: Sequence[Mapping[str, float]]) -> tuple[list[str], np.ndarray]:
    """The names that all have, in the first's order, and their values (rows, names)."""
    names = [name for name in found[0] if all(name in each for each in found)] if found else []
    values = [[float(each[name]) for name in names] for each in found]
    return names, np.array(values).reshape(len(found), len(names))


def _mean(values: np.ndarray) -> list[float]:
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean: NaN
        return values.mean(axis=0).tolist() if values.size else []


def interval(
    values: np.ndarray, seed: int = 0, draws: int = DRAWS, level: float = 0.95
) -> tuple[Any, Any]:
    """Bootstrap interval of the mean over images: percentiles of the means of resampled images.

    `values` is (n,) or (n, k): k metrics of n images, resampled together. Returns (low, high),
    floats or (k,) each; the same for the same seed. A metric that is not finite somewhere has none:
    NaN. (Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.)
    """
    values = np.asarray(values, float)
    table = values.reshape(len(values), -1)
    known = np.isfinite(table).all(axis=0)
    ends = np.full((2, table.shape[1]), math.nan)
    if known.any() and len(table):
        ends[:, known] = _ends(_resampled(table[:, known], seed, draws) / len(table), level)
    return tuple(ends.reshape(2, *values.shape[1:]).tolist() if values.ndim == 1 else ends)


def intervals(rows: Sequence[Row], key: str) -> dict[str, list[float]]:
    """[low, high] of `interval` of every mean of `means`."""
    names, values = _table([row[key] for row in rows])
    if not names:
        return {}
    return dict(zip(names, np.transpose(interval(values)).tolist(), strict=True))


def ratio(values: np.ndarray, by: np.ndarray, seed: int = 0, level: float = 0.95) -> np.ndarray:
    """The ratio of two means over images and its bootstrap interval: (share, low, high).

    `values` (n,) or (n, k) and `by` (n,) are resampled together. Returns (3,) or (3, k).
    """
    table = np.column_stack([values, by]).astype(float)
    sums = _resampled(table, seed, DRAWS)
    totals = table.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = sums[:, :-1] / sums[:, -1:]
        found = np.vstack([totals[:-1] / totals[-1], _ends(drawn, level)])
    return found[:, 0] if np.ndim(values) == 1 else found


def _resampled(table: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Sums (draws, k) over n rows that are drawn from the n of (n, k), with replacement."""
    return np.concatenate([counts @ table for counts in _counts(len(table), seed, draws)])


def _counts(n: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """How often each of n images is drawn, (some draws, n) at a time to bound memory."""
    random, size = np.random.default_rng(seed), max(1, BLOCK // n)
    for done in range(0, draws, size):
        rows = min(size, draws - done)
        chosen = random.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def _ends(drawn: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)


def explained(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Share of explainable information: the model's mean IG over the gold standard's, or over the
    true density's where that is known; None where neither is, or has none to explain.

    Returns of (the baseline's name), share, interval [low, high] and n_images, the pictures for
    which both are known and finite. (Kuemmerer, Wallis, Bethge, PNAS 112, 2015.)
    """
    for name in CEILINGS:
        pairs = [
            (row["metrics"].get("IG", math.nan), best.get("IG", math.nan))
            for row in rows
            if (best := (row.get("baselines") or {}).get(name))
        ]
        model, gold = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2).T
        if gold.sum() > 0:
            share, *ends = ratio(model, gold).tolist()
            return {"of": name, "share": share, "interval": ends, "n_images": len(gold)}
    return None


@dataclass(frozen=True)
class Difference:
    """Means of a metric over the pictures that two runs share, the mean difference b - a and the
    ends of its 95 % interval."""

    a: float
    b: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Pairing:
    """Differences by metric, over `count` pictures; `alone`: how many more each of the two has."""

    metrics: Mapping[str, Difference]
    count: int
    alone: tuple[int, int]


def paired(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> Pairing:
    """Differences of the metrics that both have, over the pictures of the same name.

    Raises:
        ValueError: no picture in common, or one of them has other fixations in the other.
    """
    a, b = ({row["name"]: row for row in rows} for rows in (rows_a, rows_b))
    names = [name for name in a if name in b]
    if not names:
        raise ValueError(f"no picture in common: {_first(a)}; {_first(b)}")
    for name in names:
        counts = [row[name].get("fixations") or 0 for row in (a, b)]
        if counts[0] != counts[1]:
            raise ValueError(
                f"not the same truth: '{name}' has {counts[0]} and {counts[1]} fixations"
            )
    first, second = ([row[name]["metrics"] for name in names] for row in (a, b))
    metrics = [n for n in _table(first)[0] if all(n in each for each in second)]
    x, y = (np.array([[float(e[m]) for m in metrics] for e in side]) for side in (first, second))
    with np.errstate(invalid="ignore"):
        gaps = y - x
    columns = [_mean(x), _mean(y), _mean(gaps), *(interval(gaps) if metrics else ((), ()))]
    found = {
        name: Difference(*map(float, values))
        for name, *values in zip(metrics, *columns, strict=True)
    }
    return Pairing(found, len(names), (len(a) - len(names), len(b) - len(names)))


def _first(rows: Mapping[str, Row]) -> str:
    return f"{len(rows)} pictures, first '{next(iter(rows))}'" if rows else "none"


def percentiles(log_density: np.ndarray, fixations: np.ndarray) -> np.ndarray:
    """For each fixation the mass of the density on less dense pixels, and half of it on equal ones.

    log_density (h, w), in nats, -inf allowed; fixations (h, w), how many on each pixel. Returns
    one number in 0..1 a fixation, uniform where fixations are drawn from the density (the
    probability integral transform by highest-density regions: 1 minus it is the mass of the
    smallest region that reaches the fixation).
    """
    times = np.asarray(fixations).ravel().astype(int)
    flat = np.asarray(log_density, float).ravel()
    if times.sum() == 1:  # as of scanpaths, by the thousand: not worth a sort
        own, mass = flat[times.argmax()], np.exp(flat - flat.max())
        return np.atleast_1d((mass[flat < own].sum() + mass[flat <= own].sum()) / (2 * mass.sum()))
    rising = np.sort(flat)
    mass = np.concatenate([[0], np.cumsum(np.exp(rising - rising[-1]))])
    found = np.repeat(flat[times > 0], times[times > 0])
    below, upto = (mass[np.searchsorted(rising, found, side)] for side in ("left", "right"))
    return (below + upto) / (2 * mass[-1])


def calibration(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The cumulative distribution of the rows' "percentiles" over all fixations, or None.

    Returns levels (51,) in 0..1, share (51,): of the fixations whose percentile is at most the
    level, low and high (51,): its 95 % interval over images, gap: the largest distance of share
    and level, with its sign, and count, of fixations.
    """
    known = [np.asarray(p) for row in rows if (p := row.get("percentiles")) is not None and len(p)]
    if not known:
        return None
    below = np.array([(each[:, None] <= LEVELS).sum(axis=0) for each in known], float)
    counts = np.array([len(each) for each in known], float)
    share, low, high = ratio(below, counts)
    gaps = share - LEVELS
    return {
        "levels": LEVELS,
        "share": share,
        "low": low,
        "high": high,
        "gap": float(gaps[np.abs(gaps).argmax()]),
        "count": int(counts.sum()),
    }
