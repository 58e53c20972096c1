"""Where weights come from, in order."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
from absl import logging

from config import Config, show, typed
from errors import UsageError
from model.checkpoints import folders
from model.checkpoints.folders import FLAT, Checkpoint
from model.checkpoints.lineage import refuse_changed, refuse_seen
from model.checkpoints.runs import (
    Run,
    chain_of,
    corpus_called,
    jsonable,
    link,
    read_about,
    read_json,
)
from model.checkpoints.weights import load_pytorch, load_weights
from model.networks.registry import MODELS, depends_on
from model.training.trainer import Progress

PUBLISHED = ".pth"  # DeepGaze III's, as its authors save them

ENCODER_WEIGHTS = {"vgg16": "imagenet", "densenet201": "imagenet", "small": "none"}


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run starts from: `checkpoint` has the weights (the run's own latest for `resume`),
    None for the encoder's own; `line` says it to a person; `fingerprint` is the configuration's;
    `initial` the run that it is fine-tuned from, if it is; `chain` has a link (runs.link) for each
    run whose pictures the weights have seen; `whole`: the weights are the encoder's too; `source`:
    the digest of the initial run's weights; `began`: the fresh start that the run goes back to, if
    it does: what it is called, the runs of its command, and how long this one was to train;
    `epochs`: how many the run that goes on was to have; `split`: the sample digest of each name on
    each side, and whose split it is, of a run that goes on as it kept it (None: it kept none
    yet)."""

    line: str
    fingerprint: Mapping = dataclasses.field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    resume: bool = False
    initial: str | None = None
    chain: tuple[dict, ...] = ()
    whole: bool = True
    source: str | None = None
    began: Mapping | None = None
    epochs: int | None = None
    split: Mapping | None = None

    def encoder_weights(self, settings: Config) -> str:
        """Return what the encoder is built with: nothing where other weights follow."""
        return "none" if self.checkpoint and self.whole else configured_weights(settings)


def find_start(
    run: Run,
    corpus,
    settings: Config,
    *,
    fresh: bool,
    weights: Path | None,
    follow_initial: bool = False,
    began: Mapping | None = None,
) -> Start:
    """Return the first of these that is there; a refusal names what differs or what to run first.

    1. The run's own latest checkpoint, unless `fresh`, or `follow_initial` and the initial run has
       other best weights by now: the run goes on where it stopped.
    2. The `weights` that were asked for.
    3. The best weights of `initial`, the corpus' or the configuration's.
    4. What the encoder learned elsewhere.

    `began`: what a fresh start is called, and the runs of its command.
    """
    latest = None if fresh else folders.newest(run.latest)
    initial = (settings.initial or corpus.initial or "none").lower()
    fine_tuned = weights is None and initial != "none"
    if latest and follow_initial and fine_tuned and outdated(latest, run, corpus, settings):
        logging.info("%s starts anew: %s has other weights by now", run.name, initial)
        latest = None
    fingerprint = fingerprint_of(corpus, settings, weights)
    if latest:
        return going_on(run, latest, fingerprint)
    if weights is not None:
        start = from_file(weights, settings)
    else:
        start = from_initial(run, corpus, settings) if fine_tuned else from_encoder(settings)
    began = began and {**began, "epochs": settings.epochs, "patience": settings.patience}
    return dataclasses.replace(start, fingerprint=fingerprint, began=began)


def outdated(latest: Checkpoint, run: Run, corpus, settings: Config) -> bool:
    """Return whether the initial run has other weights than those that a run went out from."""
    source = folders.digest(initial_of(run, corpus, settings).best.weights)
    return (read_json(latest.record).get("source") or source) != source


def going_on(run: Run, latest: Checkpoint, fingerprint: Mapping) -> Start:
    """Return the start of a run that goes on; UsageError where its configuration was another."""
    same_fingerprint(run, latest, fingerprint)
    record = read_record(latest)
    line = f"{run.name}'s latest checkpoint after {so_far(record['progress'])}"
    fields = {name: record.get(name) for name in ("initial", "source", "began", "split")}
    fields["epochs"] = record["config"].get("epochs")
    return Start(line, fingerprint, latest, True, chain=tuple(record["chain"][1:]), **fields)


def from_initial(run: Run, corpus, settings: Config) -> Start:
    """Return the start from the best weights of the initial run."""
    initial = initial_of(run, corpus, settings)
    name, about, best = initial.name, read_about(initial), initial.best
    same_model(name, about, settings)
    chain, source = tuple(chain_of(about, name)), folders.digest(best.weights)
    line = f"{name}'s best weights"
    return Start(line, checkpoint=best, initial=name, chain=chain, source=source)


def from_encoder(settings: Config) -> Start:
    """Return the start from what the encoder learned elsewhere."""
    chosen = configured_weights(settings)
    if chosen not in ("imagenet", "hed", "none") and not Path(chosen).is_file():
        raise UsageError(
            f"--encoder-weights {chosen}: no such file; allowed are imagenet, hed, none or a path"
        )
    return Start(f"the encoder's own, {chosen}")


def read_record(checkpoint: Checkpoint) -> dict:
    """Return what a checkpoint's JSON says; of one from before, in today's words."""
    record = read_json(checkpoint.record)
    if "shape" in record:
        unknown = link(str(checkpoint.folder))  # its own pictures: it has their number alone
        record |= {"fingerprint": record["shape"], "chain": [unknown, *record["chain"]]}
        record["config"] = {**record["shape"], "epochs": record.get("epochs")}
    if before := record.get("fingerprint"):  # of a field that there was not yet, its default
        corpus = corpus_called(before["corpus"])
        record["fingerprint"] = jsonable(Config().fingerprint()) | before | {"corpus": corpus}
    return record


def fingerprint_of(corpus, settings: Config, weights: Path | None) -> dict:
    """Return the fingerprint of a configuration on a corpus, as it comes back from JSON."""
    return jsonable({"corpus": corpus.name, **settings.fingerprint(), "weights": weights})


def initial_of(run: Run, corpus, settings: Config) -> Run:
    """Return the run that a configuration starts from, whose name it says or that trained the same
    model on the corpus that it says; UsageError where neither has best weights."""
    initial, model = settings.initial or corpus.initial, settings.model
    for name in (f"{model}_{initial.lower()}", initial):
        if Run(run.results, name).best:
            return Run(run.results, name)
    flag = "" if model == Config.model else f" -m {model}"
    raise UsageError(
        f"{corpus.name} starts from the weights of {initial}, and {run.results} has none of "
        f"{model}; first run python main.py train -d {initial}{flag}, or choose --initial none or "
        "another corpus"
    )


def so_far(progress: Mapping) -> str:
    """Return in words how far a run is."""
    step = progress["step"]
    return f"{progress['epoch']} epochs" + (f" and {step} steps" if step else "")


def from_file(weights: Path, settings: Config) -> Start:
    """Return the start from a file of weights, or a checkpoint's folder; the JSON beside weights,
    where there is one, says what they are."""
    checkpoint = folders.find(weights)
    if checkpoint is None:
        raise UsageError(f"--weights {weights}: no such file, nor a checkpoint's folder")
    if weights.suffix == PUBLISHED:
        options = MODELS[settings.model].published
        if options is None:
            model = next(name for name in MODELS if MODELS[name].published is not None)
            raise UsageError(
                f"--weights {weights}: published weights are of {model}, this run is "
                f"{settings.model}; use -m {model}, or a file {FLAT[0]}"
            )
        about = {"config": {**dataclasses.asdict(settings), **options}}
    else:
        about = read_record(checkpoint) if checkpoint.record.is_file() else {}
    name = str(weights)
    if "config" in about:
        same_model(name, about, settings)
    whole = weights.suffix != PUBLISHED or settings.encoder_weights == "default"
    return Start(name, checkpoint=checkpoint, chain=tuple(chain_of(about, name)), whole=whole)


def configured_weights(settings: Config) -> str:
    """Return what names the weights of the encoder's own that a configuration asks for."""
    chosen = settings.encoder_weights
    return ENCODER_WEIGHTS[settings.encoder] if chosen == "default" else chosen


def pictures_of(training: Sequence, validation: Sequence, fixations: str | None = None) -> dict:
    """Return a fingerprint's fields of the samples of both sides, and of what is known of them."""
    names = [*(s.name for s in training), "", *(s.name for s in validation)]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
    fields = {"pictures": f"{len(training)}+{len(validation)} of {digest}"}
    return fields | ({"fixations": fixations} if fixations else {})


def on_pictures(
    start: Start,
    run: Run,
    corpus,
    training: Sequence,
    validation: Sequence,
    fixations: str | None = None,
    held: Sequence = (),
    split: Mapping | None = None,
) -> Start:
    """Return the start with its pictures, samples of a corpus, in the fingerprint and in the chain.

    Args:
        fixations: see pictures_of.
        held: the training pictures that validate in place of the validation side.
        split: the record of the split; that of a run which goes on stays as it was.

    Raises:
        UsageError: a run that goes on had other fixations, or other pictures, so that what it has
            seen in training would come up in validation; or an initial one was trained on what is
            to validate.
    """
    pictures = pictures_of(training, validation, fixations)
    if start.resume:
        refuse_changed(run, start.split, split)
        same_fingerprint(run, start.checkpoint, pictures)
    what = f"{run.name} cannot be validated"
    both = [*training, *validation]
    refuse_seen({"chain": start.chain}, corpus, validation, what, held=False, known=both)
    sides = ({sample.name: sample.digest for sample in side} for side in (training, held))
    pictures = {**start.fingerprint, **pictures}
    chain, split = (link(run.name, corpus.name, *sides), *start.chain), start.split or split
    return dataclasses.replace(start, fingerprint=pictures, chain=chain, split=split)


def same_fingerprint(run: Run, latest: Checkpoint, fingerprint: Mapping) -> None:
    """Raise UsageError where a checkpoint is of another configuration; names the fields."""
    if differ := differing(latest, fingerprint):
        raise UsageError(
            f"{run.name} was trained with {', '.join(differ)}; "
            "--fresh starts it anew, --name NAME calls this run something else"
        )


def differing(latest: Checkpoint, fingerprint: Mapping) -> list[str]:
    """Return the fields in which a checkpoint is of another configuration, with both values."""
    before = read_record(latest)["fingerprint"]
    differ = []
    for name, value in sorted(fingerprint.items()):
        if before.get(name, value) != value:
            joint = "x" if name == "size" else ","
            differ.append(f"{name} {show(before[name], joint)} (now {show(value, joint)})")
    return differ


def same_model(source: str, about: Mapping, settings: Config) -> None:
    """Raise UsageError where weights are of another model than the configuration's.

    What was trained without scanpaths starts one with them; not the other way round.
    """
    items = {item.name: item for item in dataclasses.fields(Config)}
    trained = {**{name: item.default for name, item in items.items()}, **about["config"]}
    for name in depends_on(trained):
        wanted = getattr(settings, name)
        if trained[name] != wanted:
            raise UsageError(
                f"{source} was trained with {typed(items[name], trained[name])}, this run has "
                f"{show(wanted or 'none')}; use the same, or --initial none"
            )


def begin(start: Start, model: keras.Model) -> Progress:
    """Load what the run starts from into a compiled model; return how far it is."""
    logging.info("weights: %s", start.line)
    # What the optimizer keeps is in the latest checkpoint too, and must exist before it can be
    # filled; and several devices cannot agree on variables made within their first step.
    model.optimizer.build(model.trainable_variables)
    checkpoint = start.checkpoint
    if start.resume:
        load_weights(model, checkpoint, optimizer=True)
        return Progress(**read_json(checkpoint.record)["progress"])
    if checkpoint and checkpoint.weights.suffix == PUBLISHED:
        load_pytorch(model, checkpoint.weights, start.whole)
    elif checkpoint:
        load_weights(model, checkpoint, partly=True)
    return Progress()
