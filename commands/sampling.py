"""What `scanpaths` does: a trained model looks at a picture, fixation by fixation."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from absl import logging
from keras import ops

import storage
from batches.keys import Shown, prepare
from batches.pipeline import batches
from batches.tasks import TASKS
from commands import subjects
from commands.priors import prior_of, suffix
from config import Config
from data.corpus import corpus_name
from data.samples import Sample, pictures
from errors import UsageError
from formats.pictures.decode import decode_whole
from formats.pictures.images import fitted
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import Prior
from model.checkpoints.runs import Run, chosen
from model.checkpoints.weights import load_weights
from model.inference.scanpaths import sample
from model.networks.density import log_density
from model.networks.registry import MODELS, SCANPATHS, build
from report.scanpaths import save_scanpaths, write_csv


def scanpaths(args) -> None:
    """Sample scanpaths over a picture; write them as CSV and drawn on it."""
    model = next(name for name, model in MODELS.items() if SCANPATHS in model.tasks)
    name = args.name or (args.data and f"{model}_{corpus_name(args.data)}")
    run, about = chosen(args.results, name, model)
    settings = subjects.settings_of(run, about)
    if TASKS[settings.task].drawn_by != "scanpaths":
        raise UsageError(
            f"{run.name} knows no scanpaths; train one: python main.py train -d "
            f"{about['corpus']} -m {model} --scanpath, or choose one with --name"
        )
    memory = Memory(args.cache_dir or storage.cache(args.results))
    looked, *more = pictures(args.path, memory)
    if more:
        raise UsageError(f"-p {args.path}: {1 + len(more)} pictures; one is looked at")
    size = tuple(about["size"])
    prior = None if args.prior is None else prior_of(args.prior, Path("data"), memory)
    after = viewer(run, settings, size, looked, prior)
    paths = sample(after, looked.shape, args.count, args.length, args.seed)
    drawn = run.picture(looked.name, f"_scanpaths{suffix(args.prior)}.png")
    write_csv(drawn.with_suffix(".csv"), paths)
    save_scanpaths(drawn, decode_whole(looked.stimulus), paths)
    logging.info("scanpaths: %s and .csv", drawn)


def viewer(
    run: Run, settings: Config, size: tuple[int, int], looked: Sample, prior: Prior | None
) -> Callable[[np.ndarray], Iterator[np.ndarray]]:
    """Return a function of histories (count, 4, 2), in pixels of the picture, that gives the
    log-density of the next fixation for each; the picture is encoded once."""
    keras.config.set_dtype_policy(settings.precision)
    model = build(settings, size)
    load_weights(model, run.best)
    (batch,) = map(prepare, batches([looked], size, 1, maps=subjects.priors(settings, run, prior)))
    seen = {"features": model.get_layer("encoder")(batch["image"])}
    seen["centre_bias"] = batch["centre_bias"]
    shown = Shown(looked, np.empty(0), looked.shape, fitted(looked.shape, size), size)

    def after(histories: np.ndarray) -> Iterator[np.ndarray]:
        told = ops.convert_to_tensor(shown.placed(histories))
        valid = ops.repeat(batch["valid"], len(histories), axis=0)
        logits = model.get_layer("readout")({**seen, "history": told, "valid": valid})["logits"]
        for frame in log_density(logits, valid).numpy():
            yield subjects.at_shape(frame, looked.shape)

    return after
