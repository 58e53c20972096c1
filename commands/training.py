"""What `train` does: wires a corpus, a network, the loop and the files of a run together."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import keras
from absl import logging

import config
from config import Config, UsageError
from data.corpus import Corpus
from data.histories import gather, names
from data.pipeline import batches, keys, relative_points
from data.samples import Sample, load
from model import features, metrics, optimizer, restore, trainer
from model.baselines import CentreBias, centre_bias
from model.build import build
from model.runs import Run
from model.strategy import mirrored
from report.curves import save_history


def train(run: Run, corpus: Corpus, settings: Config, *, fresh: bool, weights: Path | None) -> bool:
    """Trains one run, from where the restore chain says, and keeps its best weights; returns
    whether it was not done before."""
    if settings.model in ("uniform", "goldstandard"):
        raise UsageError(f"-m {settings.model}: there is nothing to train; test has it")
    if settings.model == "centerbias":
        fit_centre_bias(settings, corpus, run, load_sides(corpus, run.results, settings)[0])
        return True
    start = restore.find_start(run, corpus, settings, fresh=fresh, weights=weights)
    metrics.check_names(settings.loss, settings.metrics)
    samples = load_sides(corpus, run.results, settings)
    if settings.scanpath:
        gather([*samples[0], *samples[1]])  # refuses what has no order, before anything is made
    start = restore.on_pictures(start, run, corpus.reference, *samples)
    went_on = learn(settings, corpus, run, start, *samples)
    logging.info("best weights: %s", run.best)
    logging.info("history: %s and .png", run.history)
    return went_on


def load_sides(
    corpus: Corpus, results: Path, settings: Config
) -> tuple[list[Sample], list[Sample]]:
    """A corpus' training and validation samples, as a configuration has them."""
    return load(
        corpus,
        results / "checked.json",
        settings.partial,
        settings.pixels_per_degree,
        fold=(settings.fold, settings.folds) if settings.fold else None,
        subset=Path(settings.subset) if settings.subset else None,
    )


def learn(settings: Config, corpus: Corpus, run: Run, start, training, validation) -> bool:
    """Builds the network, fills what is cached, runs the loop where epochs are left to do."""
    size = settings.size or corpus.size
    bias = centre_bias(relative_points(training)) if settings.model == "deepgaze" else None
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    with mirrored(settings.batch_size, settings.devices).scope():
        model = build(settings, size, start.encoder_weights(settings))
        trainer.freeze(model, settings.freeze)
        model.compile(optimizer=optimizer.make(settings, -(-len(training) // settings.batch_size)))
        progress = restore.begin(start, model)
        begun = progress.epoch
        if begun >= settings.epochs:
            logging.info("all %d epochs are done; a larger --epochs goes on", begun)
        about = {"corpus": corpus.reference, "size": size, "config": asdict(settings)}
        keeper = restore.Keeper(run, model, start, about, settings.save_every, save_history)
        if bias:
            bias.save(run.centre_bias)
        data = wire(settings, size, bias, training, validation, kept(settings, run, model, size))
        known = ("fixations",) if settings.scanpath else keys([*training, *validation])
        trainer.fit(
            model,
            data,
            config.weights(settings.loss),
            metrics.choose(settings.loss, settings.metrics, known),
            settings.epochs,
            progress,
            keeper.keep,
            callbacks=[keras.callbacks.TensorBoard(str(run.log), write_graph=False)],
            network=model.get_layer("readout") if settings.cached else None,
            patience=settings.patience,
        )
    return progress.epoch > begun


def kept(settings: Config, run: Run, model: keras.Model, size) -> Callable | None:
    """What makes a list of samples' frozen features be on disk, and gives the function that reads
    a sample's; None where the encoder runs in every step."""
    if not settings.cached:
        return None
    encoder = model.get_layer("encoder")
    folder = run.features / features.fingerprint(encoder, size)

    def fill(samples: Sequence[Sample]) -> Callable:
        lacking = features.lacking(folder, [sample.digest for sample in samples])
        if lacking:
            bare = [samples[i].bare() for i in lacking]
            logging.info("computing the encoder's features of %d pictures", len(bare))
            found = batches(bare, size, settings.batch_size)
            features.fill(encoder, found, [samples[i].digest for i in lacking], folder)
        return lambda sample: features.read(folder, sample.digest)

    return fill


def wire(settings: Config, size, bias: CentreBias | None, training, validation, fill):
    """The datasets of a run."""
    common = {
        "maps": {"centre_bias": bias.log_density} if bias else {},
        "features": fill([*training, *validation]) if fill else None,
        "group": settings.fixations_per_picture if settings.scanpath else 0,
        "weigh": settings.weigh,
    }
    batch, seed, flip = settings.batch_size, settings.seed, settings.flip
    return trainer.Data(
        train=lambda epoch: batches(
            training, size, batch, seed=seed, epoch=epoch, flip=flip, **common
        ),
        # Scanpaths: the same fixations of each picture every time, not all of them.
        valid=lambda: batches(
            validation, size, batch, seed=0 if settings.scanpath else None, **common
        ),
        steps=-(-len(training) // batch),
        names=names(training) if settings.scanpath else [sample.name for sample in training],
    )


def fit_centre_bias(settings: Config, corpus: Corpus, run: Run, training) -> None:
    """The baseline's training: a kernel density of the training fixations."""
    bias = centre_bias(relative_points(training))
    about = {"corpus": corpus.reference, "size": settings.size or corpus.size, "epoch": 0}
    about |= {"config": asdict(settings), "metrics": {}}
    restore.describe(run, about, training)
    bias.save(run.best)
    logging.info(
        "kernel of %.3g of the picture's side, %g of a uniform density; weights: %s",
        bias.bandwidth, bias.uniform, run.best,
    )  # fmt: skip
