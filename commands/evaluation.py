"""What `test` does: wires what is tested, a corpus, the metrics and the report together."""

import collections
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from absl import logging

import storage
from batches.truth import relative_points, shuffled, truth
from data.samples import Sample
from errors import UsageError
from formats.fixations import counts
from formats.pictures.decode import decode_whole
from formats.pictures.images import resize
from model.baselines.centre_bias import CentreBias, centre_bias, uniform
from model.baselines.gold import GoldStandard, gold_standard, lacking
from model.checkpoints.runs import Run
from model.metrics.likelihood import BIT, IG, LL
from model.metrics.maps import tuebingen
from model.metrics.mit import others
from model.metrics.registry import METRICS
from model.metrics.scoring import score
from model.networks.density import OUTSIDE
from report.pictures import save_map, save_overlay, save_stimulus
from report.statistics import percentiles


class Part(NamedTuple):
    """A log-density (height, width) in nats, and the fixations (n, 2) that it answers for: None for
    all of the picture's. `saliency` is the map that it was made of, where it was made of one."""

    log_density: np.ndarray
    points: np.ndarray | None = None
    saliency: np.ndarray | None = None


@dataclass(frozen=True)
class Subject:
    """What is tested. `files` are those of its pictures and report; `line` says to a person what it
    is; `answers` yields, for each of some samples in order, the parts of its answer; `conditional`:
    it knows more than the picture, the fixations before."""

    files: Run
    line: str
    answers: Callable[[list[Sample]], Iterator[Iterable[Part]]]
    conditional: bool = False


@dataclass(frozen=True)
class Yardstick:
    """What a corpus' answers are measured by: the centre bias of its training side at a shape, the
    fixations on the other pictures, the gold standard where observers are known, and the protocol.
    `others` gives, for a sample and its log-density, the logarithm of the mean density that is
    answered for the other pictures, where each metric is to be scored on the map made for it."""

    centre: Callable[[int, int], np.ndarray]
    negatives: Callable[[Sample], np.ndarray] | None
    gold: GoldStandard | None
    protocol: str
    others: Callable[[Sample, np.ndarray], np.ndarray | None] | None = None

    def scores(self, sample: Sample, part: Part, known: Mapping) -> dict[str, float]:
        """Return a part's metrics by the names that the field writes."""
        answer, centre, maps = part.log_density, self.centre(*sample.shape), None
        if self.others:
            maps = tuebingen(answer, self.others(sample, answer), sample.sigma)
        whole = part.points is None
        found = score(answer, known, centre, part.saliency, self.protocol, whole, maps)
        return {METRICS[name].label: value for name, value in found.items()}


def yardstick(
    training: list[Sample],
    tested: list[Sample],
    subject: Subject,
    negatives: Callable[[Sample], np.ndarray] | None,
    args,
) -> Yardstick:
    """Return what the tested side of a corpus is measured by."""
    bias = centre_bias(relative_points(training))
    gold = gold_of(training, tested, bias) if negatives and args.protocol == "tuebingen" else None
    others = mean_of_others(subject, tested) if args.maps else None
    return Yardstick(bias.log_density, negatives, gold, args.protocol, others)


def negatives_of(tested: list[Sample], protocol: str) -> Callable[[Sample], np.ndarray] | None:
    """Return the fixations on the others of all tested pictures; None where some have none."""
    if any(sample.points is None for sample in tested):
        return None
    return shuffled(tested) if protocol == "tuebingen" else ten_others(tested)


def ten_others(samples: list[Sample]) -> Callable[[Sample], np.ndarray]:
    """Return the old MIT protocol's negatives: fixations on ten of the other pictures."""
    places = {sample.name: index for index, sample in enumerate(samples)}

    def negatives(sample: Sample) -> np.ndarray:
        chosen = others(len(samples), places[sample.name])
        return shuffled([sample, *(samples[index] for index in chosen)])(sample)

    return negatives


def mean_of_others(subject: Subject, samples: list[Sample]) -> Callable:
    """Return a function of a sample and its own log-density: the logarithm of the mean density
    answered for the other pictures, at its shape; None where there are no others."""
    shape = samples[0].shape

    def density(log_density: np.ndarray) -> np.ndarray:
        values = np.float64(resize(np.exp(log_density)[..., None], shape)[..., 0])
        return values / values.sum()

    total = np.zeros(shape)
    for part, *more in subject.answers(samples):
        if more:
            raise UsageError(f"--maps: {subject.files.name} answers with more than one density")
        total += density(part.log_density)

    def of(sample: Sample, log_density: np.ndarray) -> np.ndarray | None:
        if len(samples) < 2:
            return None
        mean = np.maximum(total - density(log_density), 0) / (len(samples) - 1)
        values = np.float64(resize(mean[..., None], sample.shape)[..., 0])
        return np.log(np.maximum(values / values.sum(), np.finfo(np.float64).tiny))

    return of


def gold_of(training: list[Sample], tested: list[Sample], bias: CentreBias) -> GoldStandard | None:
    """Fit the gold standard of a corpus on its training side, whose centre bias is given; return
    None, and say why, where observers are not known of all."""
    why = lacking(observers_of([*training, *tested]))
    if why:
        logging.warning("no gold standard, and no share of it: %s", why)
        return None
    return gold_standard([people(sample) for sample in training], bias)


def observers_of(samples: list[Sample]) -> dict[str, np.ndarray | None]:
    """Return who looked at each picture, None where it has a map alone; by name."""
    return {s.name: None if s.counted is None else s.counted.subject for s in samples}


def people(sample: Sample):
    """Return points, observers and shape, as the gold standard takes them."""
    return sample.points, sample.counted.subject, sample.shape


def ceiling(gold: GoldStandard, sample: Sample, centre: np.ndarray, own: bool) -> dict[str, float]:
    """Return what the gold standard knows of a picture's fixations, in bits per fixation; with
    `own`, when it knows those that it is asked about too."""
    points, observers, shape = people(sample)
    likelihood = gold.log_likelihood(points, observers, *shape, own)
    column, row = np.int64(points).T
    gain = likelihood - centre[row, column]
    return {
        LL.label: float(likelihood.mean() + np.log(np.prod(shape))) / BIT,
        IG.label: float(gain.mean()) / BIT,
    }


def in_threads(function, items, ahead: int = 8) -> list:
    """Return what the function makes of each tuple, in order; draw items only as needed."""
    results, waiting = [], collections.deque()
    with ThreadPoolExecutor(storage.cores()) as pool:
        for item in items:
            waiting.append(pool.submit(function, *item))
            if len(waiting) > ahead:
                results.append(waiting.popleft().result())
        return results + [work.result() for work in waiting]


def rows(subject: Subject, samples: list[Sample], measure: Yardstick, args) -> list[dict]:
    """Return the report's rows of samples; draw their pictures."""
    pairs = zip(samples, subject.answers(samples), strict=True)
    return in_threads(functools.partial(judge, subject.files, measure, args.format), pairs)


def judge(run: Run, measure: Yardstick, fmt: str, sample: Sample, parts: Iterable[Part]) -> dict:
    """Return a row of the report: metrics of the answer and the baselines, links to pictures."""
    known, links, image = truth(sample), run.links(sample.name), decode_whole(sample.stimulus)
    save_stimulus(links["stimulus"], image, sample.points)
    save_overlay(links["truth"], image, known.pop("log_density"), max_side=400)
    best, centre = known.pop("true_log_density", None), measure.centre(*sample.shape)
    if measure.negatives:
        known["negatives"] = measure.negatives(sample)
    metrics, answer, levels = measured(measure, sample, parts, known)
    draw(run, fmt, sample, image, answer)
    plain, gold = replace(measure, others=None), {}
    if measure.gold:
        ends = {"goldstandard": False, "observers": True}
        gold = {name: ceiling(measure.gold, sample, centre, own) for name, own in ends.items()}
    return {
        "name": sample.name,
        "fixations": 0 if sample.points is None else len(sample.points),
        **{key: os.path.relpath(path, run.page.parent) for key, path in links.items()},
        "metrics": metrics,
        "baselines": {
            "uniform": plain.scores(sample, Part(uniform(*sample.shape)), known),
            "centerbias": plain.scores(sample, Part(centre), known),
            **gold,
            **({} if best is None else {"truth": plain.scores(sample, Part(best), known)}),
        },
        "percentiles": levels,
    }


def measured(measure: Yardstick, sample: Sample, parts: Iterable[Part], known: Mapping):
    """Return metrics by their public names, the answer's mean density as log-density, and each
    fixation's level in its density. What answers in parts is averaged over their fixations, and has
    no map to compare with the empirical density."""
    total, levels, density, count = collections.Counter(), [], 0.0, 0
    for part in parts:
        here = dict(known)
        if part.points is not None:
            here["fixations"] = counts(*part.points.T, sample.shape)
            del here["density"]
        number = here["fixations"].sum() if "fixations" in here else 1
        for name, value in measure.scores(sample, part, here).items():
            total[name] += number * value
        if "fixations" in here:
            levels.append(percentiles(part.log_density, here["fixations"]))
        density, count = density + number * np.exp(part.log_density), count + number
    answer = np.maximum(np.log(np.maximum(density / count, 1e-300)), OUTSIDE)
    levels = np.concatenate(levels) if levels else np.empty(0)
    return {name: value / count for name, value in total.items()}, answer, levels


def draw(run: Run, fmt: str, sample: Sample, image: np.ndarray, answer: np.ndarray) -> None:
    """Write a sample's saliency map and overlay."""
    save_map(run.picture(sample.name, f".{fmt}"), answer, fmt)
    save_overlay(run.picture(sample.name, "_overlay.jpg"), image, answer)
