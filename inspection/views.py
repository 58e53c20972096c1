"""What inspect draws: a dozen stimuli with what is known of them, duplicates, a batch."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from batches.keys import prepare
from batches.pipeline import batches
from batches.truth import truth
from config import Config
from data.samples import Sample
from formats.fixations import Fixations
from formats.pictures.decode import decode, decode_whole
from model.checkpoints.runs import Run
from report.pictures import save_stimulus, save_view

VIEWS = 12
TWICE = 6  # groups of duplicates that are drawn
EACH = 4  # of a group, and of a batch
TINY = 1e-20

Records = Mapping[str, Fixations] | None


def draw_views(
    run: Run, samples: Sequence[Sample], records: Records, side: Mapping[str, str], known: Mapping
) -> list[dict]:
    """Draws a dozen stimuli with what is known of them; returns what the page says of each."""
    views = []
    for number, (sample, why) in enumerate(chosen(samples, records, known)):
        path = run.images / f"view{number}.jpg"
        points = points_of(sample, records)
        has = sample.density_map or (sample.points is not None and len(sample.points))
        density = truth(sample)["log_density"] if has else None
        save_view(path, decode_whole(sample.stimulus), density, points)
        views.append({
            "name": sample.name,
            "why": why,
            "side": side.get(sample.name),
            "size": f"{sample.shape[1]}x{sample.shape[0]}",
            "fixations": None if points is None else len(points),
            "picture": below_page(run, path),
        })  # fmt: skip
    return views


def chosen(
    samples: Sequence[Sample], records: Records, known: Mapping
) -> Iterator[tuple[Sample, str]]:
    """The first and last, the odd and the extreme samples, each once, and why; then others."""
    if not samples:
        return
    named = {sample.name: sample for sample in samples}
    reasons: dict[str, str] = {}
    for name, why in [*odd(samples, known), *extreme(samples, records)]:
        reasons.setdefault(name, why)
    rest = [name for name in named if name not in reasons]
    places = np.linspace(0, len(rest) - 1, min(len(rest), max(VIEWS - len(reasons), 0)))
    reasons |= {rest[place]: "one of the others" for place in places.astype(int)}
    for name in list(reasons)[:VIEWS]:
        yield named[name], reasons[name]


def odd(samples: Sequence[Sample], known: Mapping) -> Iterator[tuple[str, str]]:
    """The first and the last by name, and those of odd sizes."""
    yield samples[0].name, "the first by name"
    yield samples[-1].name, "the last by name"
    pictures = known["pictures"]
    if pictures["different_sizes"] > 1:
        for end, name in pictures["ends"].items():
            yield name, f"the {end}"
    sides = Counter(sample.shape for sample in samples)
    rare = min(samples, key=lambda sample: sides[sample.shape])
    if sides[rare.shape] * 20 < len(samples):
        yield rare.name, "of a rare size"


def extreme(samples: Sequence[Sample], records: Records) -> Iterator[tuple[str, str]]:
    """Those with the most and the fewest fixations, the most outside, farthest from where others
    look, gathered and scattered most."""
    points = {s.name: points_of(s, records) for s in samples}
    points = {s.name: points[s.name] / s.shape[::-1] for s in samples if points[s.name] is not None}
    points = {name: rows[np.isfinite(rows).all(1)] for name, rows in points.items()}
    points = {name: rows for name, rows in points.items() if len(rows)}
    if not points:
        return
    outside = {name: ((p < 0) | (p >= 1)).any(1).mean() for name, p in points.items()}
    if max(outside.values()):
        yield most(outside), "the most outside"
    counts = {name: len(rows) for name, rows in points.items()}
    yield most(counts), "the most fixations"
    yield most({name: -count for name, count in counts.items()}), "the fewest fixations"
    inside = {name: p[((p >= 0) & (p < 1)).all(1)] for name, p in points.items()}
    inside = {name: p for name, p in inside.items() if len(p) > 2}
    if not inside:
        return
    middle = np.median(np.concatenate([*inside.values()]), 0)
    far = {name: np.hypot(*(np.median(p, 0) - middle)) for name, p in inside.items()}
    yield most(far), "farthest from where others look"
    scatter = {name: p.std(0).mean() for name, p in inside.items()}
    yield most(scatter), "scattered most"
    yield most({name: -value for name, value in scatter.items()}), "gathered most"


def most(values: Mapping[str, float]) -> str:
    return max(values, key=values.__getitem__)


def points_of(sample: Sample, records: Records) -> np.ndarray | None:
    """(M, 2) x and y as the files have them, those outside too; None where none are known."""
    if not records or sample.name not in records:
        return sample.points
    rows = records[sample.name]
    return np.stack([rows.x, rows.y], 1)


def draw_duplicates(
    run: Run, samples: Sequence[Sample], side: Mapping[str, str], known: Mapping
) -> list[list[dict]]:
    """Draws some pictures that are there twice, those across sides first."""
    named = {sample.name: sample for sample in samples}
    groups = {tuple(g): None for key in ("across", "exact", "near") for g in known[key]}
    drawn = []
    for group in list(groups)[:TWICE]:
        drawn.append([])
        for name in group[:EACH]:
            path = run.images / f"twice{len(drawn)}_{len(drawn[-1])}.jpg"
            save_stimulus(path, decode(named[name].stimulus), max_side=240)
            where = {"name": name, "side": side.get(name), "picture": below_page(run, path)}
            drawn[-1].append(where)
    return drawn


def draw_batch(
    run: Run, training: Sequence[Sample], settings: Config, size: Sequence[int]
) -> list[dict]:
    """Draws the first pictures of the first epoch as the network gets them, in their frames."""
    if not training:
        return []
    order = {"seed": settings.seed, "epoch": 0, "flip": settings.flip}
    batch = next(iter(batches(training, tuple(size), EACH, **order)))
    seen, drawn = prepare(batch), []
    for place in range(min(EACH, len(training))):
        frame = {key: values[place].numpy() for key, values in seen.items()}
        path = run.images / f"batch{place}.png"
        save_view(path, np.uint8(frame["image"]), framed(frame), pixels(frame))
        padding = float(1 - frame["valid"].mean(dtype=np.float64))
        drawn.append({
            "name": training[frame["id"]].name,
            "mirrored": bool(batch["flip"][place]),
            "padding": padding,
            "picture": below_page(run, path),
        })  # fmt: skip
    return drawn


def framed(frame: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(H, W) log-density of a frame, where it has one."""
    if "density" not in frame:
        return None
    return np.log(np.float64(frame["density"][..., 0]) + TINY)


def pixels(frame: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(M, 2) the pixels of a frame that have fixations, where they are known."""
    if "fixations" not in frame:
        return None
    return np.argwhere(frame["fixations"][..., 0])[:, ::-1] + 0.5


def below_page(run: Run, path: Path) -> str:
    """A picture's path as the page points to it."""
    return os.path.relpath(str(path), str(run.page.parent))
