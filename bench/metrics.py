"""How fast the final evaluation is, beside pysaliency 0.2.22 on the same predictions.

    python bench/metrics.py PATH_TO_CORPUS_ROOT CORPUS --pysaliency PYTHON [--predictions FOLDER]
        [--pictures N] [--threads N]

PYTHON is the interpreter of another environment, with pysaliency 0.2.22 and numpy < 2. FOLDER has a
log-density <stimulus>.npy, float64 nats at the stimulus' size, for each picture of the validation
side; without it cheap ones are made: blurred fixations with noise. Both programs read the same
memory-mapped files and make the empirical maps themselves.

pysaliency runs on one core; both have BLAS on one, and one pass over all pictures, without imports,
compilation and the preparation of predictions. The table has processor time, which other programs
on the machine disturb least, user's and system's, of all threads; what each metric takes here on
its own; the largest difference of a picture's value; and all at once as `scoring.score` gives them,
one picture at a time, empirical maps, counts and negatives included. On the clock, one thread and
several are measured in the same run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from formats.pictures.integrity import Memory


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(args, Path(folder))
        ours, alone, spent, walls = measure(prepared, Path(folder), args.threads)
        command = [args.pysaliency, "-W", "ignore", __file__, "--peer", folder]
        theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    scale = 1000 / len(prepared["samples"])
    print(f"{len(prepared['samples'])} pictures; ms of processor time a picture\n")
    print(f"{'':16}{'pysaliency':>12}{'here, alone':>13}{'ratio':>8}{'difference':>13}")
    for name, peer in theirs["seconds"].items():
        line = f"{name:16}{peer * scale:12.2f}{alone[name] * scale:13.2f}{peer / alone[name]:8.1f}"
        if name in ours:
            line += f"{np.nanmax(np.abs(np.subtract(ours[name], theirs['values'][name]))):13.1e}"
        print(line)
    peer, wall = sum(theirs["seconds"].values()), theirs["wall"]
    print(f"{'all at once':16}{peer * scale:12.2f}{spent * scale:13.2f}{peer / spent:8.1f}")
    print("\nms on the clock a picture, which other programs on the machine disturb\n")
    for threads, own in walls.items():
        what = f"all, {threads} thread" + "s" * (threads > 1)
        print(f"{what:16}{wall * scale:12.2f}{own * scale:13.2f}{wall / own:8.1f}")


def prepare(args: argparse.Namespace, folder: Path) -> dict:
    """Reads the corpus; writes what pysaliency shares. Not measured."""
    from batches.truth import relative_points, shuffled
    from data import corpora  # noqa: F401  its classes register themselves
    from data.corpus import open_corpus
    from data.samples import load
    from model.baselines.centre_bias import centre_bias

    corpus = open_corpus(args.corpus, Path(args.root))
    training, samples, *_ = load(corpus, Memory(folder))
    samples = samples[: args.pictures]
    bias = centre_bias(relative_points(training))
    random, inside = np.random.default_rng(0), []
    for index, sample in enumerate(samples):
        x, y = sample.points.T
        here = (x >= 0) & (y >= 0) & (x < sample.shape[1]) & (y < sample.shape[0])
        inside.append(np.column_stack([sample.points, np.full(len(x), index)])[here])
        np.save(folder / f"baseline{index}.npy", bias.log_density(*sample.shape))
        stored = Path(args.predictions or "") / f"{Path(sample.name).stem}.npy"
        made = np.float64(np.load(stored)) if args.predictions else guessed(sample, random)
        np.save(folder / f"prediction{index}.npy", made)
    shapes = np.array([sample.shape for sample in samples])
    np.savez(folder / "truth.npz", points=np.concatenate(inside), shapes=shapes)
    np.save(folder / "sigma.npy", samples[0].sigma)
    return {"samples": samples, "others": shuffled(samples)}


def guessed(sample, random: np.random.Generator) -> np.ndarray:
    """A prediction of middling quality, no two pixels alike."""
    from formats.fixations import blur, counts

    near = blur(counts(*sample.points.T, sample.shape), 1.5 * sample.sigma)
    near = near / near.sum() + random.uniform(0.5, 1, sample.shape) / near.size
    return np.log(near / near.sum())


def opened(folder: Path, count: int) -> dict:
    return {
        name: [np.asarray(np.load(folder / f"{name}{i}.npy", mmap_mode="r")) for i in range(count)]
        for name in ("prediction", "baseline")
    }


def measure(prepared: dict, folder: Path, threads: int) -> tuple[dict, dict, float, dict]:
    """Values by metric; seconds of each metric alone and of all at once; those on the clock of all,
    by number of threads."""
    from formats.fixations import blur, counts
    from model.metrics.picture import Picture
    from model.metrics.registry import METRICS
    from model.metrics.scoring import score

    metrics = [m for m in METRICS.values() if m.final and "tuebingen" in m.protocols]
    alone = dict.fromkeys(["maps", *(metric.label for metric in metrics)], 0.0)

    def known(sample) -> dict:
        seen = counts(*sample.points.T, sample.shape)
        density = blur(seen, sample.sigma)
        density /= density.sum()
        return {"fixations": seen, "density": density, "negatives": prepared["others"](sample)}

    def scored(sample, prediction, baseline) -> dict:
        return score(prediction, known(sample), baseline)

    def work() -> list:  # files are mapped anew, so that reading them counts each time
        return [prepared["samples"], *opened(folder, len(prepared["samples"])).values()]

    for sample, prediction, baseline in zip(*work(), strict=True):
        start = time.process_time()
        truth = known(sample)
        alone["maps"] += time.process_time() - start
        for metric in metrics:
            start = time.process_time()
            metric.of_picture(Picture(prediction, {"baseline": baseline, **truth}))
            alone[metric.label] += time.process_time() - start
    walls, spent = {}, 0.0
    for number in sorted({1, threads}):
        maps = work()
        wall, start = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(number) as pool:
            found = list(pool.map(scored, *maps))
        walls[number] = time.perf_counter() - wall
        spent = spent or time.process_time() - start
    values = {metric.label: [row[metric.name] for row in found] for metric in metrics}
    return values, alone, spent, walls


def peer(folder: Path) -> None:
    """Runs under pysaliency's interpreter: prints its seconds and values, as JSON."""
    import pysaliency

    truth = np.load(folder / "truth.npz")
    (x, y, n), shapes = truth["points"].T, truth["shapes"]
    n = n.astype(int)
    pictures = [np.zeros(shape, np.uint8) for shape in shapes]
    for index, picture in enumerate(pictures):
        picture[0, :2] = divmod(index, 256)  # how a model tells them apart
    stimuli = pysaliency.Stimuli(pictures)
    list(stimuli.stimulus_ids)  # hashes of the pictures, which it makes once
    fixations = pysaliency.Fixations.create_without_history(x, y, n)
    maps = opened(folder, len(pictures))

    class Density(pysaliency.Model):
        def __init__(self, name):
            super().__init__(caching=False)
            self.maps = maps[name]

        def _log_density(self, picture):
            return self.maps[int(picture[0, 0]) * 256 + int(picture[0, 1])]

    class Saliency(pysaliency.SaliencyMapModel):
        def _saliency_map(self, picture):
            return np.exp(density._log_density(picture))

    density, baseline = Density("prediction"), Density("baseline")
    saliency, sigma = Saliency(caching=False), float(np.load(folder / "sigma.npy"))
    gold = pysaliency.FixationMap(stimuli, fixations, kernel_size=sigma)
    steps = {
        "maps": lambda: [gold.saliency_map(s) for s in stimuli] and None,
        "LL": lambda: density.information_gains(stimuli, fixations),
        "IG": lambda: density.information_gains(stimuli, fixations, baseline),
        "AUC": lambda: saliency.AUC_per_image(stimuli, fixations),
        "AUC_Judd": lambda: saliency.AUC_per_image(
            stimuli, fixations, nonfixations="unfixated", thresholds="fixations"
        ),
        "sAUC": lambda: saliency.AUC_per_image(stimuli, fixations, nonfixations="shuffled"),
        "NSS": lambda: saliency.NSSs(stimuli, fixations),
        "CC": lambda: saliency.CCs(stimuli, gold),
        "SIM": lambda: saliency.SIMs(stimuli, gold),
        "KLDiv": lambda: saliency.KLDivs(stimuli, gold),
    }
    saliency.AUC_per_image(stimuli[:1], fixations[n == 0])  # compiles
    saliency.AUC_per_image(stimuli[:1], fixations[n == 0], "unfixated", "fixations")
    seconds, values, wall = {}, {}, time.perf_counter()
    for name, step in steps.items():
        start = time.process_time()
        found = step()
        seconds[name] = time.process_time() - start
        if found is not None:
            found = np.asarray(found)
            per_fixation = len(found) == len(n) and len(n) != len(pictures)
            means = [found[n == i].mean() for i in range(len(pictures))] if per_fixation else found
            values[name] = np.asarray(means).tolist()
    wall = time.perf_counter() - wall
    print(json.dumps({"seconds": seconds, "values": values, "wall": wall}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(Path(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("root")
        parser.add_argument("corpus")
        parser.add_argument("--pysaliency", required=True, metavar="PYTHON")
        parser.add_argument("--predictions", metavar="FOLDER")
        parser.add_argument("--pictures", type=int)
        parser.add_argument("--threads", type=int, default=2)
        main(parser.parse_args())
