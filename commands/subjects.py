"""What can be tested: networks, baselines, and what other programs predicted.

Each is a function of samples that yields, for each of them in order, the parts of its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

import config
from batches.keys import prepare
from batches.pipeline import batches
from batches.tasks import TASKS
from batches.truth import relative_points
from commands.evaluation import Part, Subject, gold_of, observers_of
from commands.priors import same_for_all
from config import Config
from data.predictions import Predictions
from data.samples import Sample
from errors import UsageError
from formats.pictures.images import unfit
from model.baselines.centre_bias import Prior, centre_bias, load_prior, uniform
from model.baselines.gold import GoldStandard, lacking
from model.checkpoints.runs import Run
from model.checkpoints.weights import load_weights
from model.metrics.picture import as_log_density
from model.networks.registry import MODELS, TAKE_PRIOR, build
from model.training import trainer
from model.training.strategy import mirrored


def settings_of(run: Run, about: dict) -> Config:
    """Return the configuration that a run was trained with, as the JSON of its weights has it."""
    return Config.make(config.from_json(about["config"], str(run.best.record)))


def of_run(
    run: Run,
    about: dict,
    settings: Config,
    size: tuple[int, int],
    files: Run,
    prior: Prior | None = None,
) -> Subject:
    """Return a trained model, whose answers are at the input size of the corpus that it is tested
    on; `prior`: instead of the one that it was trained with."""
    model, task = MODELS[settings.model], TASKS[settings.task]
    if prior and not model.prior:
        takes = " and ".join(TAKE_PRIOR)
        raise UsageError(f"--prior: {model.title} takes no centre bias, {takes} does")
    if model.fitted:
        return Subject(files, model.title, everywhere(load_prior(run.best.weights).log_density))

    def answers(samples: list[Sample]) -> Iterator[Iterator[Part]]:
        keras.config.set_dtype_policy(settings.precision)
        strategy = mirrored(settings.batch_size, 0)
        with strategy.scope():
            network = build(settings, size)
            load_weights(network, run.best)
        maps = priors(settings, run, prior)
        answered = predicted(strategy, settings, network, size, samples, maps)
        frames = (frame for _, frame in answered)
        for sample in tqdm(samples, disable=None):
            yield parts(sample, task.answers(sample, frames))

    held = settings.hold_out
    chosen = f"{held} held-out training pictures" if held else "the validation side"
    line = f"{model.title} on {settings.encoder}{task.label}"
    line += f", epoch {about['epoch']}, chosen on {chosen}"
    return Subject(files, line, answers, task.conditional)


def predicted(strategy, settings: Config, network, size, samples, maps) -> Iterator:
    """Yield the `id` of each of the task's samples and its log-density, in a network's frame."""
    task = TASKS[settings.task]
    shown = task.asked(samples)
    options = {"task": task, "group": settings.fixations_per_picture, "maps": maps}

    def make(share: trainer.Share):
        return batches(shown, size, settings.batch_size, share=share, **options)

    return trainer.predict(strategy, network, make, prepare)


def priors(settings: Config, run: Run, prior: Prior | None = None) -> dict[str, Callable]:
    """Return the maps that a network takes beside the picture: a prior, or that of its training."""
    if not MODELS[settings.model].prior:
        return {}
    return {"centre_bias": same_for_all(prior or load_prior(run.best.centre_bias))}


def parts(sample: Sample, frames) -> Iterator[Part]:
    """Yield each log-density of a frame at the picture's own shape, when it is asked."""
    for frame, points in frames:
        yield Part(at_shape(frame, sample.shape), points)


def at_shape(frame: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a log-density (H, W, 1) in a network's frame as one of `shape`, float64."""
    logits = np.float64(unfit(frame, shape)[..., 0])
    logits -= logits.max()
    return logits - np.log(np.exp(logits).sum())


def mixture(files: Run, subjects: list[Subject]) -> Subject:
    """Return the mean of what subjects answer, each with one density a picture."""

    def answers(samples: list[Sample]) -> Iterator[list[Part]]:
        for members in zip(*(s.answers(samples) for s in subjects), strict=True):
            answered = [[part.log_density for part in member] for member in members]
            if any(len(densities) > 1 for densities in answered):
                raise UsageError(f"{files.name}: of scanpath models no mean is taken")
            yield [Part(np.logaddexp.reduce(np.concatenate(answered)) - np.log(len(answered)))]

    return Subject(files, "mean of " + "; ".join(s.line for s in subjects), answers)


def everywhere(function: Callable[[int, int], np.ndarray]) -> Callable:
    """Return what answers with a log-density that depends on a picture's shape alone."""
    return lambda samples: ([Part(function(*sample.shape))] for sample in samples)


def observers(gold: GoldStandard) -> Callable:
    """Return what the gold standard answers: a part an observer, as the others predict them."""

    def of(sample: Sample) -> Iterator[Part]:
        answered = gold.log_densities(sample.points, sample.counted.subject, *sample.shape)
        return (Part(answer, sample.points[rows]) for rows, answer in answered)

    return lambda samples: (of(sample) for sample in tqdm(samples, disable=None))


def gold(training: list[Sample], tested: list[Sample]) -> Callable:
    """Return what the gold standard of a corpus answers; UsageError where observers are unknown."""
    why = lacking(observers_of([*training, *tested]))
    if why:
        raise UsageError(why)
    return observers(gold_of(training, tested, centre_bias(relative_points(training))))


# What a baseline answers that is never trained, given the sides of a corpus.
UNTRAINED = {"uniform": lambda training, tested: everywhere(uniform), "goldstandard": gold}


def foreign(folder: Path, kind: str) -> Callable:
    """Return what another program predicted: log-densities or saliency maps."""
    noticed: set[Path] = set()

    def answers(samples: list[Sample]) -> Iterator[list[Part]]:
        predictions = Predictions(folder, kind, samples)
        for sample in tqdm(samples, disable=None):
            values = predictions(sample)
            if kind == "density":
                yield [Part(values)]
            else:
                yield [Part(as_log_density(values), saliency=values)]
        if not {*predictions.off, *predictions.inverted} <= noticed:
            predictions.notices()
            noticed.update(predictions.off, predictions.inverted)

    return answers
