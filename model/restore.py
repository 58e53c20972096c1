"""Where weights come from, in order, and where they go: save, resume, atomically."""

import dataclasses
import hashlib
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from config import Config, UsageError, show
from model.optimizer import averaged
from model.runs import (
    WEIGHTS,
    Run,
    about_of,
    chain_of,
    jsonable,
    link,
    read_about,
    read_json,
    write_json,
)
from model.trainer import Progress
from model.weights import load_partly, load_pytorch, load_weights, save_weights

PUBLISHED = ".pth"  # DeepGaze III's, as its authors save them

ENCODER_WEIGHTS = {"vgg16": "imagenet", "densenet201": "imagenet", "small": "none"}


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run starts from: `path` has the weights (a folder of state for `resume`), None for
    the encoder's own; `line` says it to a person; `shape` is the configuration's fingerprint;
    `initial` the run that it is fine-tuned from, if it is; `chain` has a link (runs.link) for each
    run whose pictures the weights have seen; `whole`: the weights are the encoder's too."""

    line: str
    shape: dict
    path: Path | None = None
    resume: bool = False
    initial: str | None = None
    chain: tuple[dict, ...] = ()
    whole: bool = True

    def encoder_weights(self, settings: Config) -> str:
        """What the encoder is built with: nothing where other weights follow."""
        return "none" if self.path and self.whole else own_weights(settings)


def find_start(run: Run, corpus, settings: Config, *, fresh: bool, weights: Path | None) -> Start:
    """The first of these that is there; each refusal names what differs or what to run first.

    1. The run's own latest state, unless `fresh`: the run goes on where it stopped.
    2. The `weights` that were asked for.
    3. The best weights of `initial`, the corpus' or the configuration's.
    4. What the encoder learned elsewhere.
    """
    shape = jsonable({"corpus": corpus.reference, **settings.shape(), "weights": weights})
    state = None if fresh else newest(run)
    if state is not None:
        same_shape(run, state, shape)
        before = read_json(state / "state.json")
        line, kept = f"{run.name}'s own state of epoch {int(state.name)}", before["chain"]
        return Start(line, shape, state, True, before["initial"], tuple(kept))
    if weights is not None:
        return from_file(weights, settings, shape)
    initial = settings.initial or corpus.initial or "none"
    if initial.lower() != "none":
        source = initial_run(run.results, initial, corpus.name, settings.model)
        about = read_about(source)
        same_model(source.name, about, settings)
        line, chain = f"{source.name}'s best weights", tuple(chain_of(about, source.name))
        return Start(line, shape, source.best, initial=source.name, chain=chain)
    chosen = own_weights(settings)
    if chosen not in ("imagenet", "hed", "none") and not Path(chosen).is_file():
        raise UsageError(
            f"--encoder-weights {chosen}: no such file; allowed are imagenet, hed, none or a path"
        )
    return Start(f"the encoder's own, {chosen}", shape)


def from_file(weights: Path, settings: Config, shape: dict) -> Start:
    """The start from a file of weights; the JSON beside it, where there is one, says what it is."""
    if not weights.is_file():
        raise UsageError(f"--weights {weights}: no such file")
    if weights.suffix == PUBLISHED:
        if settings.model != "deepgaze":
            raise UsageError(
                f"--weights {weights}: published weights are of deepgaze, this run is "
                f"{settings.model}; use -m deepgaze, or a file {WEIGHTS}"
            )
        whole = settings.encoder_weights == "default"
        return Start(str(weights), shape, weights, chain=(link(str(weights)),), whole=whole)
    about = read_json(about_of(weights)) if about_of(weights).is_file() else {}
    if "config" in about:
        same_model(str(weights), about, settings)
    return Start(str(weights), shape, weights, chain=tuple(chain_of(about, str(weights))))


def own_weights(settings: Config) -> str:
    """What the encoder learned elsewhere, by the configuration."""
    chosen = settings.encoder_weights
    return ENCODER_WEIGHTS[settings.encoder] if chosen == "default" else chosen


def on_pictures(start: Start, run: Run, corpus: str, training: Sequence, validation: Sequence):
    """The start with its pictures, samples of a corpus, in the fingerprint and in the chain.

    Raises:
        UsageError: a run that goes on had other pictures, so that what it has seen in training
            would come up in validation; or an initial one was trained on what is to validate.
    """
    names = [[sample.name for sample in side] for side in (training, validation)]
    digest = hashlib.sha256("\n".join([*names[0], "", *names[1]]).encode()).hexdigest()[:8]
    pictures = f"{len(training)}+{len(validation)} of {digest}"
    if start.resume:
        same_shape(run, start.path, {"pictures": pictures})
    refuse_seen({"chain": start.chain}, corpus, validation, f"{run.name} cannot be validated")
    own = link(run.name, corpus, {sample.name: sample.digest for sample in training})
    shape, chain = {**start.shape, "pictures": pictures}, (own, *start.chain)
    return dataclasses.replace(start, shape=shape, chain=chain)


def refuse_seen(about: Mapping, corpus: str, samples: Sequence, what: str) -> None:
    """Raises UsageError where weights have seen samples of a corpus in training.

    The weights' own run and all that it was fine-tuned from count; a picture is the same by its
    name in the same corpus, by its content in another. Where it is not known what one was trained
    on, a warning.

    Args:
        about: what the JSON beside the weights says.
        what: how the error begins, `NAME cannot be tested`.
    """
    for seen in chain_of(about, "the run"):
        if seen["train"] is None:
            logging.warning(
                "which pictures %s was trained on is not known; whether any of these %d is among "
                "them could not be checked", seen["run"], len(samples),
            )  # fmt: skip
            continue
        # Corpora have pictures twice, and their splits are what they are: there names tell.
        same, digests = seen["corpus"] == corpus, set(seen["train"].values()) - {""}
        found = [
            s.name for s in samples if (s.name in seen["train"] if same else s.digest in digests)
        ]
        if found:
            raise UsageError(
                f"{what}: {seen['run']} was trained on {len(found)} of the {len(samples)} "
                f"pictures, first {found[0]!r}; take others, or weights that have not seen them"
            )


def same_shape(run: Run, state: Path, shape: Mapping) -> None:
    """Raises UsageError where a state is of another configuration; names the fields."""
    before = read_json(state / "state.json")["shape"]
    differ = [
        f"{name} {show(before.get(name), joint(name))} (now {show(value, joint(name))})"
        for name, value in sorted(shape.items())
        if before.get(name) != value
    ]
    if differ:
        raise UsageError(
            f"{run.name} was trained with {', '.join(differ)}; "
            "--fresh starts it anew, --name NAME calls this run something else"
        )


def joint(name: str) -> str:
    """What stands between the numbers of a field."""
    return "x" if name == "size" else ","


def initial_run(results: Path, initial: str, corpus: str, model: str) -> Run:
    """The run of that name, or of the same model on that corpus, that has best weights."""
    for name in (f"{model}_{initial.lower()}", initial):
        if Run(results, name).best.is_file():
            return Run(results, name)
    flag = "" if model == Config.model else f" -m {model}"
    raise UsageError(
        f"{corpus} starts from the weights of {initial}, and {results} has none of {model}; first "
        f"run python main.py train -d {initial}{flag}, or choose --initial none or another corpus"
    )


def same_model(source: str, about: Mapping, settings: Config) -> None:
    """Raises UsageError where weights are of another model than the configuration's.

    What was trained without scanpaths starts one with them; not the other way round.
    """
    before = {"model": Config.model, "mixture": Config.mixture, "scanpath": False}
    before |= about["config"]
    for name in ("model", "encoder", "mixture"):
        wanted = getattr(settings, name)
        found = before.get(name, wanted)
        if found != wanted:
            raise UsageError(
                f"{source} was trained with --{name} {found}, this run has {wanted}; use the same, "
                "or --initial none"
            )
    if before["scanpath"] and not settings.scanpath:
        raise UsageError(
            f"{source} was trained with --scanpath, this run is not; use it too, or --initial none"
        )


def begin(start: Start, model: keras.Model) -> Progress:
    """Loads what the run starts from into a compiled model; says so."""
    logging.info("weights: %s", start.line)
    # The optimizer's state is in a file of state too, and must exist before it can be filled; and
    # several devices cannot agree on variables made within their first step.
    model.optimizer.build(model.trainable_variables)
    if start.resume:
        load_weights(model, start.path / f"model{WEIGHTS}")
        return Progress(**read_json(start.path / "state.json")["progress"])
    if start.path is None:
        return Progress()
    if start.path.suffix == PUBLISHED:
        load_pytorch(model, start.path, start.whole)
    else:
        load_partly(model, start.path)
    return Progress()


@dataclasses.dataclass(frozen=True)
class Keeper:
    """Writes what a run leaves after each epoch: history, best weights, latest state.

    Best weights and those of epochs are averaged ones where the optimizer averages; the state has
    those that train, and the average with the optimizer's.

    about: what the JSON beside weights says, besides where they come from; every: the weights of
    every so-many-th epoch are kept too, 0 for none; record: writes the history, (path, rows).
    """

    run: Run
    model: keras.Model
    start: Start
    about: dict
    every: int
    record: Callable[[Path, list[dict]], None]

    def keep(self, progress: Progress, improved: bool) -> None:
        """The latest state is written last: what a cut leaves undone, a resumed run does again."""
        row = progress.history[-1]
        about = {**self.about, "epoch": row["epoch"], "metrics": row, "versions": versions()}
        about |= {"start": self.start.line, "initial": self.start.initial}
        about["chain"] = self.start.chain
        self.record(self.run.history, progress.history)
        with averaged(self.model):
            if improved:
                save_weights(self.run.best, self.model, about)
            if self.every and progress.epoch % self.every == 0:
                save_weights(self.run.epoch(progress.epoch), self.model, about)
        save_state(self.run, self.model, self.start, progress)


def describe(run: Run, about: Mapping, training: Sequence) -> None:
    """Writes the JSON beside best weights that no network has, fitted on samples of a corpus."""
    own = link(run.name, about["corpus"], {sample.name: sample.digest for sample in training})
    run.best.parent.mkdir(parents=True, exist_ok=True)
    write_json(about_of(run.best), {**about, "chain": [own], "versions": versions()})


def save_state(run: Run, model: keras.Model, start: Start, progress: Progress) -> None:
    """Writes a folder that appears under its epoch's number in one piece, and drops the others."""
    state = run.latest / f"{progress.epoch:06d}"
    part = run.latest / f".{state.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save_weights(part / f"model{WEIGHTS}")
    came = {"initial": start.initial, "chain": start.chain[1:]}
    content = {"shape": start.shape, **came, "progress": dataclasses.asdict(progress)}
    write_json(part / "state.json", content)
    shutil.rmtree(state, ignore_errors=True)
    part.rename(state)
    for other in run.latest.iterdir():
        if other != state and re.fullmatch(r"\d{6}|\.\d{6}\.part", other.name):
            shutil.rmtree(other)


def newest(run: Run) -> Path | None:
    """The folder of the run's latest state, or None."""
    return max(run.latest.glob("[0-9]" * 6), default=None)


def versions() -> dict[str, str]:
    """What weights were made with: the git revision, and versions of what computes."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        revision = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = "unknown"
    return {
        "git": revision,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
