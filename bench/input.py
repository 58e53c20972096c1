"""How many pictures a second become batches, beside PyTorch's DataLoader and beside a plain loop.

    python bench/input.py ROOT CORPUS --torch PYTHON

All take the same pictures of a corpus, decode and fit them, pad, mirror half, and batch by 8. Here
the first epoch makes the store, later ones read it. PYTHON is one that has torch; its loader is
taken at the number of workers that is best for it, with JPEGs decoded whole as loaders do, and at
their own reduced scale as it is done here. The loop runs the same functions as the pipeline, one
after the other, without reduced scale. Then the same with the truth of each picture: a Gaussian at
the stimulus' own size, by SciPy in the loop.

Rounds alternate between the three; the best of each is printed, since what else runs on a machine
only takes time away.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

import storage  # noqa: E402

storage.import_tensorflow()

from batches.free_viewing import FreeViewing  # noqa: E402
from batches.pipeline import batches  # noqa: E402
from batches.reading import keep  # noqa: E402
from data import corpora  # noqa: E402, F401  its classes register themselves
from data.corpus import open_corpus  # noqa: E402
from data.samples import Sample, load  # noqa: E402
from formats.fixations import counts  # noqa: E402
from formats.pictures.decode import decode  # noqa: E402
from formats.pictures.images import GREY, cleared, fit, fitted, resize  # noqa: E402
from formats.pictures.integrity import Memory  # noqa: E402

BATCH, WORKERS, LATER = 8, (0, 1, 2, 3), 5
PEER = Path(__file__).parent / "peers" / "loader.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    corpus = open_corpus(args.corpus, args.root)
    with tempfile.TemporaryDirectory() as folder:
        known = load(corpus, Memory(Path(folder)))[0][: args.pictures]
    bare, size = [sample.bare() for sample in known], corpus.size
    print(f"{len(bare)} pictures of {args.corpus}, fitted to {size[0]}x{size[1]}, pictures/s")
    found: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        measure(found, bare, size)
        if args.torch:
            for scaled in (False, True):
                peer(found, args.torch, bare, size, scaled)
    say(found)
    print("with their truth, blurred at the stimuli's size")
    found = {}
    for _ in range(args.rounds):
        measure(found, known, size)
    say(found)


def measure(found: dict[str, list[float]], samples: list[Sample], size: tuple[int, int]) -> None:
    """A round: the loop; a first epoch that makes the store; later ones."""

    def rate(name: str, function: Callable[[], object]) -> None:
        begun = time.perf_counter()
        function()
        found.setdefault(name, []).append(len(samples) / (time.perf_counter() - begun))

    def epoch(number: int, store) -> None:
        for _ in batches(samples, size, BATCH, seed=0, epoch=number, flip=True, store=store):
            pass

    with tempfile.TemporaryDirectory() as folder:

        def first() -> None:
            epoch(0, keep(Path(folder), samples, size, names))

        names = ("image", *FreeViewing.truth(samples))
        rate("plain loop", lambda: looped(samples, size))
        rate("first epoch", first)
        store = keep(Path(folder), samples, size, names)
        for number in range(LATER):
            rate("later epochs", lambda number=number: epoch(number, store))


def looped(samples: list[Sample], size: tuple[int, int]) -> None:
    """An epoch in plain order."""
    flips = np.random.default_rng(0).random(len(samples)) < 0.5
    for start in range(0, len(samples), BATCH):
        part, turned = samples[start : start + BATCH], flips[start : start + BATCH]
        shapes = [fitted(sample.shape, size) for sample in part]
        pictures = [fit(decode(s.stimulus), shape) for s, shape in zip(part, shapes, strict=True)]
        padded(pictures, size, turned, GREY)
        if FreeViewing.truth(part):
            maps = [blurred(s, shape) for s, shape in zip(part, shapes, strict=True)]
            padded(maps, size, turned)


def padded(pictures: list[np.ndarray], size, turned, value=0) -> np.ndarray:
    """(B, H, W, c): each, mirrored or not, in the middle of a frame of `value`."""
    found = np.empty((len(pictures), *size, pictures[0].shape[2]), pictures[0].dtype)
    for frame, picture, mirrored in zip(found, pictures, turned, strict=True):
        cleared(frame, picture.shape, value)[...] = picture[:, ::-1] if mirrored else picture
    return found


def blurred(sample: Sample, shape: tuple[int, int]) -> np.ndarray:
    """A sample's density at a shape, (h, w, 1)."""
    smooth = gaussian_filter(counts(*sample.points.T, sample.shape), sample.sigma)
    grid = resize(np.float32(smooth)[..., None], shape)
    return grid / grid.sum()


def peer(found: dict, python: str, samples: list[Sample], size, scaled: bool) -> None:
    """A round of the DataLoader, at the number of workers that is best for it."""
    files = [(str(sample.stimulus), fitted(sample.shape, size)) for sample in samples]
    task = {"files": files, "size": size, "batch": BATCH, "epochs": 3, "workers": WORKERS}
    ran = subprocess.run(
        [python, PEER], input=json.dumps({**task, "scaled": scaled}), capture_output=True, text=True
    )
    if ran.returncode:
        sys.exit(f"{python} {PEER}: {ran.stderr.strip()}")
    rates = json.loads(ran.stdout)
    workers = max(rates, key=rates.get)
    name = "DataLoader, reduced scale" if scaled else "DataLoader"
    found.setdefault(name, []).append(rates[workers])
    print(f"  {name}: {', '.join(f'{w} workers {r:.0f}' for w, r in rates.items())}")


def say(found: dict[str, list[float]]) -> None:
    """Prints the best of each, and of how many times the others' that is."""
    best = {name: max(rates) for name, rates in found.items()}
    others = [name for name in best if not name.endswith(("epoch", "epochs"))]
    for name, rate in best.items():
        ratios = "" if name in others else "".join(
            f", {rate / best[other]:.1f} x {other}" for other in others
        )  # fmt: skip
        print(f"{name}: {rate:.0f}{ratios}")


if __name__ == "__main__":
    main()
