"""What inspect draws: a dozen stimuli with what is known of them, duplicates, a batch."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from batches.pipeline import batches, plan
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
    run: Run, samples: Sequence[Sample], records: Records, side: Mapping[str, str], facts: Mapping
) -> list[dict]:
    """Draw a dozen stimuli with what is known of them; return what the page says of each."""
    views = []
    for number, (sample, why) in enumerate(chosen(samples, records, facts)):
        path = run.images / f"view{number}.jpg"
        points = points_of(sample, records)
        has_truth = sample.density_map or (sample.points is not None and len(sample.points))
        density = truth(sample)["log_density"] if has_truth else None
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
    samples: Sequence[Sample], records: Records, facts: Mapping
) -> Iterator[tuple[Sample, str]]:
    """Yield the first, last, odd and extreme samples, each once, and why; then others."""
    if not samples:
        return
    by_name = {sample.name: sample for sample in samples}
    reasons: dict[str, str] = {}
    for name, why in [*odd(samples, facts), *extreme(samples, records)]:
        reasons.setdefault(name, why)
    others = [name for name in by_name if name not in reasons]
    places = np.linspace(0, len(others) - 1, min(len(others), max(VIEWS - len(reasons), 0)))
    reasons |= {others[place]: "one of the others" for place in places.astype(int)}
    for name in list(reasons)[:VIEWS]:
        yield by_name[name], reasons[name]


def odd(samples: Sequence[Sample], facts: Mapping) -> Iterator[tuple[str, str]]:
    """Yield the first and the last by name, and those of odd sizes."""
    yield samples[0].name, "the first by name"
    yield samples[-1].name, "the last by name"
    pictures = facts["pictures"]
    if pictures["different_sizes"] > 1:
        for end, name in pictures["ends"].items():
            yield name, f"the {end}"
    shapes = Counter(sample.shape for sample in samples)
    rare = min(samples, key=lambda sample: shapes[sample.shape])
    if shapes[rare.shape] * 20 < len(samples):
        yield rare.name, "of a rare size"


def extreme(samples: Sequence[Sample], records: Records) -> Iterator[tuple[str, str]]:
    """Yield those with the most and the fewest fixations, the most outside, farthest from where
    others look, gathered and scattered most."""
    points = {s.name: (points_of(s, records), s.shape[::-1]) for s in samples}
    points = {name: p[np.isfinite(p).all(1)] / sides for name, (p, sides) in points.items()
              if p is not None}  # fmt: skip
    points = {name: p for name, p in points.items() if len(p)}
    if not points:
        return
    outside = {name: ((p < 0) | (p >= 1)).any(1).mean() for name, p in points.items()}
    if max(outside.values()):
        yield max(outside, key=outside.get), "the most outside"
    counts = {name: len(p) for name, p in points.items()}
    yield max(counts, key=counts.get), "the most fixations"
    yield min(counts, key=counts.get), "the fewest fixations"
    inside = {name: p[((p >= 0) & (p < 1)).all(1)] for name, p in points.items()}
    inside = {name: p for name, p in inside.items() if len(p) > 2}
    if not inside:
        return
    middle = np.median(np.concatenate([*inside.values()]), 0)
    far = {name: np.hypot(*(np.median(p, 0) - middle)) for name, p in inside.items()}
    yield max(far, key=far.get), "farthest from where others look"
    scatter = {name: p.std(0).mean() for name, p in inside.items()}
    yield max(scatter, key=scatter.get), "scattered most"
    yield min(scatter, key=scatter.get), "gathered most"


def points_of(sample: Sample, records: Records) -> np.ndarray | None:
    """Return (M, 2) x and y as the files have them, those outside too; None where not known."""
    if not records or sample.name not in records:
        return sample.points
    rows = records[sample.name]
    return np.stack([rows.x, rows.y], 1)


def draw_duplicates(
    run: Run, samples: Sequence[Sample], side: Mapping[str, str], duplicates: Mapping
) -> list[list[dict]]:
    """Draw some pictures that are there twice, those across sides first."""
    stimuli = {sample.name: sample.stimulus for sample in samples}
    groups = dict.fromkeys(
        tuple(g) for kind in ("across", "exact", "near") for g in duplicates[kind]
    )
    drawn = []
    for number, group in enumerate(list(groups)[:TWICE], 1):
        paths = {name: run.images / f"twice{number}_{i}.jpg" for i, name in enumerate(group[:EACH])}
        for name, path in paths.items():
            save_stimulus(path, decode(stimuli[name]), max_side=240)
        drawn.append([
            {"name": name, "side": side.get(name), "picture": below_page(run, path)}
            for name, path in paths.items()
        ])  # fmt: skip
    return drawn


def draw_batch(
    run: Run, training: Sequence[Sample], settings: Config, size: Sequence[int]
) -> list[dict]:
    """Draw the first pictures of the first epoch as the network gets them, in their frames."""
    if not training:
        return []
    order = {"seed": settings.seed, "epoch": 0, "flip": settings.flip}
    rows = plan(len(training), EACH, **order)
    batch = next(iter(batches(training, tuple(size), EACH, **order)))
    drawn = []
    for place in np.flatnonzero(rows["weight"][:EACH]):
        frame = {key: values[place].numpy() for key, values in batch.items()}
        path = run.images / f"batch{place}.png"
        save_view(path, np.uint8(frame["image"]), *truth_in(frame))
        drawn.append({
            "name": training[rows["id"][place]].name,
            "mirrored": bool(rows["flip"][place]),
            "padding": float(1 - frame["valid"].mean(dtype=np.float64)),
            "picture": below_page(run, path),
        })  # fmt: skip
    return drawn


def truth_in(frame: Mapping[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the log-density (H, W) of a frame and the pixels (M, 2) that have fixations; None
    where it has none."""
    density, pixels = frame.get("density"), frame.get("fixations")
    return (
        None if density is None else np.log(np.float64(density[..., 0]) + TINY),
        None if pixels is None else np.argwhere(pixels[..., 0])[:, ::-1] + 0.5,
    )


def below_page(run: Run, path: Path) -> str:
    """Return a picture's path as the page points to it."""
    return os.path.relpath(str(path), str(run.page.parent))
