"""What `train` does: wires a corpus, a network, the loop and the files of a run together."""

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

import config
import storage
from batches.keys import prepare
from batches.making import framed
from batches.pipeline import batches
from batches.store import Store, keep
from batches.tasks import TASKS
from batches.truth import relative_points
from commands import priors
from commands.sides import load_sides, record, refuse_other
from commands.stopping import Stop, Stopped
from config import Config
from data.corpus import Corpus
from data.samples import Loaded, Sample, fingerprint
from data.splits import held_out
from errors import UsageError
from formats.pictures.images import misfits
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import centre_bias
from model.checkpoints import folders, restore
from model.checkpoints.keeper import GOES_ON, Idle, Keeper, save_baseline
from model.checkpoints.runs import Run
from model.inference.features import Features
from model.metrics import choice
from model.networks.registry import MODELS, build
from model.training import optimizer, trainer
from model.training.strategy import agree, choose, is_chief, lost_workers
from report.curves import save_history


def train(
    run: Run, corpus: Corpus, settings: Config, *, root: Path, cache: Path | None = None, **asked
) -> None:
    """Train one run, from where the restore chain says, and keep its best weights.

    Args:
        root: where corpora lie.
        cache: where what can be made again is kept, in place of the usual folder.
        asked: where to start from, as restore.find_start takes it.

    Raises:
        UsageError: what is asked for is not there, or cannot be; or another process has the run.
        Stopped: a signal came; the run is saved.
        WorkerLost: another worker is gone; the run goes on from the checkpoint that was saved last.
    """
    model = MODELS[settings.model]
    if not model.trained:
        raise UsageError(f"-m {settings.model}: there is nothing to train; test has it")
    # First of all: workers find one another before anything else touches a device.
    strategy = strategy_of(settings)
    chief = is_chief(strategy)
    if chief:
        storage.check_writable(run.results)
    else:
        logging.set_verbosity(logging.WARNING)  # the chief says what all do
    with folders.locked(run.latest) if chief else nullcontext():
        cache = cache_of(run, chief, settings, cache)
        if model.fitted:
            loaded = load_sides(corpus, Memory(cache), settings)
            refuse_other(run, corpus, Memory(cache))
            if chief:
                fit_centre_bias(settings, corpus, run, loaded)
            return
        choice.check_names(settings.loss, settings.metrics)
        memory = memory_of(cache, corpus, settings)
        start, loaded, sides = starting(run, corpus, settings, memory, **asked)  # which takes long
        training, validation, _, _ = sides
        shapes = {sample.name: sample.shape for sample in [*loaded.train, *loaded.valid]}
        for line in misfits(shapes, settings.size or corpus.size) if chief else ():
            logging.warning("%s", line)
        start = restore.on_pictures(start, run, corpus, *sides, record(loaded))
        with lost_workers(), plain_errors():
            learn(strategy, settings, corpus, root, cache, run, start, training, validation)
    logging.info("best weights: %s", run.best_place)
    logging.info("history: %s and .png", run.history)


def starting(run: Run, corpus: Corpus, settings: Config, memory: Memory, **asked) -> tuple:
    """Return where a run starts from, its samples, and their sides as `sides_of` has them.

    What a command with --fresh began starts anew where its pictures or fixations have changed
    since, or are gone.
    """
    start = restore.find_start(run, corpus, settings, **asked)
    refuse_other(run, corpus, memory)
    again = asked.get("began") and start.resume
    try:
        kept = {"split": start.split} if start.resume else None
        loaded = load_sides(corpus, memory, settings, kept=kept)
        sides = sides_of(loaded, settings)
        anew = again and restore.differing(start.checkpoint, restore.pictures_of(*sides[:3]))
    except UsageError:
        if not again:
            raise
        anew = True
    if not anew:
        return start, loaded, sides
    logging.info("%s starts anew: its pictures or fixations have changed", run.name)
    return starting(run, corpus, settings, memory, **asked | {"fresh": True})


def sides_of(loaded: Loaded, settings: Config) -> tuple[list[Sample], list[Sample], str, list]:
    """Return what is trained and what validated on, the fingerprint of both, and what of the
    training side was held out to validate."""
    training, validation, held = loaded.train, loaded.valid, []
    if settings.hold_out:
        training, held = held_out(training, settings.hold_out, settings.seed)
        validation = held
    TASKS[settings.task].truth([*training, *validation])  # refuses what lacks some
    return training, validation, fingerprint([*training, *validation], blur=True), held


def strategy_of(settings: Config):
    """Return what a configuration's steps are distributed over.

    Raises:
        UsageError: it is not there, or a batch cannot be shared by its devices in equal parts.
    """
    strategy = choose(settings.strategy, settings.batch_size, settings.devices)
    devices = strategy.num_replicas_in_sync
    if settings.batch_size // devices % settings.accumulate:
        raise UsageError(
            f"--accumulate {settings.accumulate}: each of {devices} devices computes "
            f"{settings.batch_size // devices} pictures of a batch, which it must divide"
        )
    return strategy


def cache_of(run: Run, chief: bool, settings: Config, asked: Path | None) -> Path | None:
    """Return where what can be made again is kept; only the chief writes to the results."""
    if not settings.cache:
        return None
    return asked or (storage.cache(run.results) if chief else storage.users_cache())


def memory_of(cache: Path | None, corpus: Corpus, settings: Config) -> Memory:
    """Return what tells which pictures were checked, and keeps what batches have of them."""
    if cache is None:
        return Memory(None)
    store = Store(cache, settings.size or corpus.size)
    return Memory(cache, store.taker(len(corpus.stimuli)))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise a UsageError of TensorFlow's pipeline as it was raised; one of TensorBoard's log, where
    that cannot be written; and one where there is not enough memory."""
    try:
        yield
    except tf.errors.OpError as error:
        message = error.message or ""
        if found := re.search(r"UsageError: (.*)", message):
            raise UsageError(found.group(1)) from None
        if found := re.search(r"(\S+\.tfevents\.\S+); (.*)", message):
            raise UsageError(f"{found[1]} cannot be written: {found[2]}; {GOES_ON}") from None
        if not isinstance(error, tf.errors.ResourceExhaustedError):
            raise
        raise UsageError(
            "there is not enough memory for a step: a smaller --size or --batch-size needs less, "
            "or the same batch in parts, --accumulate N"
        ) from None


def learn(
    strategy, settings: Config, corpus: Corpus, root, cache, run: Run, start, training, validation
) -> None:
    """Build the network, fill what is cached, run the loop."""
    size, chief = settings.size or corpus.size, is_chief(strategy)
    prior, maps = None, {}
    if MODELS[settings.model].prior:
        begun = begun_with(run, start) if start.resume else None
        given = (settings.prior, corpus, root, Memory(cache), training, begun)
        prior, maps["centre_bias"] = priors.of_training(*given)
    model, progress = begin(strategy, settings, size, start, len(training))
    say_what_is_left(settings, start, progress, model)
    seen = kept(strategy, settings, cache, model, size, [*training, *validation])
    data = wire(settings, size, maps, training, validation, seen, cache)
    known = TASKS[settings.task].truth([*training, *validation])
    with stoppable(progress) as stop:
        trainer.fit(
            strategy,
            model,
            data,
            config.weights(settings.loss),
            choice.choose(settings.loss, settings.metrics, known),
            settings.epochs,
            progress,
            keeper_of(settings, corpus, run, start, model, size, prior) if chief else Idle(),
            callbacks=[keras.callbacks.TensorBoard(str(run.log), write_graph=False)] * chief,
            network=model.get_layer("readout") if settings.cached else None,
            patience=settings.patience,
            accumulate=settings.accumulate,
            stop=stop,
        )
    agree(strategy, run.name)  # what the chief has written is there, for a run that starts from it


def begin(strategy, settings: Config, size: tuple[int, int], start, count: int) -> tuple:
    """Return the compiled network of a run on so many pictures, and how far the run is."""
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    with strategy.scope():
        model = build(settings, size, start.encoder_weights(settings))
        trainer.freeze(model, settings.freeze)
        model.compile(optimizer=optimizer.make(settings, -(-count // settings.batch_size)))
        progress = restore.begin(start, model)
    agree(
        strategy, repr((settings, start.fingerprint, start.source, progress.epoch, progress.step))
    )
    return model, progress


def say_what_is_left(settings: Config, start, progress, model: keras.Model) -> None:
    """Say where nothing is left to do, or where the rest of the learning rate is another now."""
    if progress.epoch >= settings.epochs:
        logging.info("all %d epochs are done; a larger --epochs goes on", progress.epoch)
    elif settings.schedule == "cosine" and start.epochs not in (None, settings.epochs):
        how = "stretched" if settings.epochs > start.epochs else "shortened"
        logging.warning(
            "--epochs %d, %d before: the rest of the learning rate's cosine is %s to end there; it "
            "goes on from %.3g", settings.epochs, start.epochs, how,
            float(model.optimizer.learning_rate),
        )  # fmt: skip


@contextmanager
def stoppable(progress: trainer.Progress) -> Iterator[Stop]:
    """Let signals ask a run to stop inside; raise Stopped where one did."""
    with Stop() as stop:
        try:
            yield stop
            asked = stop()  # too late for this run, not for those that follow it
        except trainer.Interrupted:
            asked = True
    if asked:
        far = restore.so_far(asdict(progress))
        raise Stopped(stop.signal or signal.SIGTERM, f"after {far}, which are saved")


def begun_with(run: Run, start) -> Path | None:
    """Return the file of the prior that a run began with, None where it has none."""
    files = [place.centre_bias for place in (start.checkpoint, run.best) if place]
    return next((file for file in files if file.is_file()), None)


def keeper_of(settings: Config, corpus: Corpus, run: Run, start, model, size, prior) -> Keeper:
    """Return what writes a run to disk."""
    about = {"corpus": corpus.name, "address": corpus.address}
    about |= {"size": size, "config": asdict(settings)}
    every, minutes = settings.save_every, settings.save_minutes
    return Keeper(run, model, start, about, every, minutes, save_history, prior)


def kept(strategy, settings: Config, cache: Path | None, model: keras.Model, size, samples):
    """Return what reads a sample's frozen features, on disk then; None where the encoder runs in
    every step."""
    if not settings.cached:
        return None
    features = Features(cache, settings.encoder, model.get_layer("encoder"), size)
    pictures = {sample.digest: sample.bare() for sample in samples}
    lacking = features.rows.lacking(pictures)
    if lacking:
        bare = [pictures[digest] for digest in lacking]
        store = keep(cache, bare, size, ["image"])
        logging.info("computing the encoder's features of %d pictures", len(bare))

        def make(share: trainer.Share):
            return batches(bare, size, settings.batch_size, share=share, store=store)

        features.fill(strategy, make, lacking)
    return lambda sample: features.read(sample.digest, lambda: framed(sample, size))


def wire(settings: Config, size, maps: Mapping, training, validation, seen, cache: Path | None):
    """Return the datasets of a run."""
    task, samples = TASKS[settings.task], [*training, *validation]
    common = {
        "task": task,
        "group": settings.fixations_per_picture,
        "weigh": settings.weigh,
        "maps": maps,
        "features": seen,
    }
    if cache:
        names = {*(() if seen else ("image",)), *task.truth(samples)}
        common["store"] = keep(cache, samples, size, names)
    batch, order = settings.batch_size, {"seed": settings.seed, "flip": settings.flip}

    def train(epoch: int, skip: int, share: trainer.Share):
        where = {"epoch": epoch, "skip": skip, "share": share}
        return batches(training, size, batch, **order, **where, **common)

    def valid(share: trainer.Share):
        return batches(validation, size, batch, seed=task.validated_by, share=share, **common)

    steps = -(-len(training) // batch)
    return trainer.Data(train, valid, prepare, steps, task(training, 1).names())


def fit_centre_bias(settings: Config, corpus: Corpus, run: Run, loaded: Loaded) -> None:
    """Train the baseline: a kernel density of the training fixations."""
    training = loaded.train
    bias = centre_bias(relative_points(training))
    about = {"corpus": corpus.name, "address": corpus.address, "epoch": 0, "metrics": {}}
    about |= {"size": settings.size or corpus.size, "config": asdict(settings)}
    about |= {"split": record(loaded), "training": fingerprint(training)}
    save_baseline(run, bias, about, training)
    logging.info(
        "kernel of %.3g of the picture's side, %g of a uniform density; weights: %s",
        bias.bandwidth, bias.uniform, run.best_place,
    )  # fmt: skip
