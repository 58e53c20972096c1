"""What inspect knows of a corpus' pictures, maps, blur and duplicates, as numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from config import Config
from data.corpus import Assumed, Corpus
from data.samples import Sample
from formats.pictures.images import fitted
from inspection.duplicates import alike, groups
from inspection.looks import Look
from report.figures import binned

LISTED = 20  # sizes that are named one by one


def spread(values: Sequence[float]) -> dict | None:
    """Return count, min, median, mean and max of finite numbers, and their histogram (`edges`,
    `counts`); None where there are none."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    ends = {"min": values.min(), "median": np.median(values)}
    ends |= {"mean": values.mean(), "max": values.max()}
    ends = {name: float(f"{value:.6g}") for name, value in ends.items()}
    edges, counts = binned(values)
    histogram = {"edges": edges.round(10).tolist(), "counts": counts.tolist()}
    return {"count": len(values), **ends, **histogram}


def of_pictures(samples: Sequence[Sample], looks: Sequence[Look], size: Sequence[int]) -> dict:
    """Return how many pictures there are, their formats, sizes (WIDTHxHEIGHT), and the share of
    an input of `size` (height, width) that is padding."""
    shapes = np.array([sample.shape for sample in samples]).reshape(-1, 2)
    sizes = Counter(f"{width}x{height}" for height, width in shapes)
    areas, ratios = shapes.prod(1), shapes[:, 1] / shapes[:, 0]
    inner = np.array([np.prod(fitted(shape, tuple(size))) for shape in shapes])
    ends = {}
    if len(samples):
        ends = {"smallest": areas.argmin(), "largest": areas.argmax()}
        ends |= {"tallest": ratios.argmin(), "widest": ratios.argmax()}
    return {
        "count": len(samples),
        "formats": Counter(look.kind for look in looks).most_common(),
        "sizes": sizes.most_common(LISTED),
        "different_sizes": len(sizes),
        "ends": {end: samples[index].name for end, index in ends.items()},
        "input": list(size),
        "padding": spread(1 - inner / np.prod(size)),
    }


def of_maps(looks: Sequence[Look]) -> dict | None:
    """Return how many maps there are, their formats, how many have colours, and how many are
    lighter at the rim than elsewhere, as inverted ones are; None without any."""
    if not looks:
        return None
    return {
        "count": len(looks),
        "formats": Counter(look.kind for look in looks).most_common(),
        "coloured": sum(look.colour > 0.05 for look in looks),
        "light_rim": sum(look.border > 0 for look in looks),
    }


def of_sigma(corpus: Corpus, settings: Config, samples: Sequence[Sample]) -> dict:
    """Return sigma of the blur in pixels of the stimuli, and who says so."""
    if any(sample.density_map for sample in samples):
        return {"pixels": None, "from": "the maps that the corpus has"}
    whose = f"of {corpus.name}"
    if settings.pixels_per_degree:
        whose = "--pixels-per-degree"
    elif isinstance(corpus.sigma, Assumed):
        whose = "assumed; --pixels-per-degree gives another"
    # That of pictures which were resized since is scaled; samples on no side have the corpus'.
    scaled = [sample.sigma for sample in samples if sample.sigma]
    sigma = np.median(scaled) if scaled else settings.pixels_per_degree or corpus.sigma
    return {"pixels": float(sigma), "from": whose}


def of_duplicates(samples: Sequence[Sample], looks: Sequence[Look], side: Mapping) -> dict:
    """Return the groups of names of pictures with the same pixels (`exact`), of one scene (`near`)
    with other pixels, and of those of one scene that are on several sides (`across`).

    Args:
        side: the side that a sample's name is on.
    """
    scenes = [[samples[i] for i in group] for group in alike(np.array([k.hashes for k in looks]))]
    exact = [[samples[i] for i in group] for group in groups([s.digest for s in samples])]
    near = [scene for scene in scenes if len({s.digest for s in scene}) > 1]
    across = [scene for scene in scenes if len({side[s.name] for s in scene if s.name in side}) > 1]
    kinds = {"exact": exact, "near": near, "across": across}
    return {kind: [[s.name for s in scene] for scene in kinds[kind]] for kind in kinds}
