"""How many pictures a second the pipeline gives, beside a plain loop of Pillow and SciPy.

    python bench/pipeline.py PATH_TO_CORPUS_ROOT CORPUS

The loop does the same work by one thread: decode, shrink, blur the fixations at the original size,
shrink that. Both also say the processor time that a picture takes over all cores, which other
programs on the machine disturb less.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from data import corpora  # noqa: E402, F401  its classes register themselves
from data.corpus import open_corpus  # noqa: E402
from data.fixations import counts  # noqa: E402
from data.images import fitted  # noqa: E402
from data.pipeline import batches  # noqa: E402
from data.samples import Sample, load  # noqa: E402

BATCH, EPOCHS, PICTURES = 4, 5, 200
STAGES = ("decode", "shrink", "blur", "shrink the blur")


def main(root: str, name: str) -> None:
    corpus = open_corpus(name, Path(root))
    with tempfile.TemporaryDirectory() as folder:
        samples = load(corpus, Path(folder) / "checked.json")[0][:PICTURES]
    print(f"{len(samples)} pictures of {name}, fitted to {corpus.size}; median of {EPOCHS} epochs")
    report("pipeline", samples, lambda epoch: piped(samples, corpus.size, epoch))
    spent = dict.fromkeys(STAGES, 0.0)
    report("Pillow", samples, lambda _: [by_hand(s, corpus.size, spent) for s in samples])
    parts = (f"{stage} {1000 * t / EPOCHS / len(samples):.1f}" for stage, t in spent.items())
    print("  of which ms:", ", ".join(parts))


def piped(samples: list[Sample], size: tuple[int, int], epoch: int) -> None:
    for _ in batches(samples, size, BATCH, seed=0, epoch=epoch, flip=True):
        pass


def by_hand(sample: Sample, size: tuple[int, int], spent: dict[str, float]) -> None:
    """One picture; adds the seconds of each of STAGES to `spent`."""
    marks = [time.perf_counter()]

    def after(result):
        marks.append(time.perf_counter())
        return result

    with Image.open(sample.stimulus) as file:
        picture = after(file.convert("RGB"))
    shape = fitted(sample.shape, size)
    after(picture.resize(shape[::-1], Image.Resampling.BOX))
    smooth = after(gaussian_filter(counts(*sample.points.T, sample.shape), sample.sigma))
    grid = Image.fromarray(np.float32(smooth))
    after(grid.resize(shape[::-1], Image.Resampling.BOX))
    for stage, start, end in zip(STAGES, marks[:-1], marks[1:], strict=True):
        spent[stage] += end - start


def report(what: str, samples: list[Sample], epoch: Callable[[int], object]) -> None:
    """Runs a few epochs and prints the medians."""
    walls, cores = [], []
    for number in range(EPOCHS):
        wall, core = time.perf_counter(), time.process_time()
        epoch(number)
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    rate = len(samples) / statistics.median(walls)
    spent = 1000 * statistics.median(cores) / len(samples)
    print(f"{what}: {rate:.1f} pictures/s, {spent:.1f} ms of processor time a picture")


if __name__ == "__main__":
    main(*sys.argv[1:])
