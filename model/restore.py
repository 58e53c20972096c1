"""Where weights come from, in order, and where they go: save, resume, atomically."""

import dataclasses
import hashlib
import platform
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from config import Config, UsageError, show
from model.runs import WEIGHTS, Run, about_of, jsonable, read_about, read_json, write_json
from model.trainer import Progress

ENCODER_WEIGHTS = {"vgg16": "imagenet", "densenet201": "imagenet", "small": "none"}


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run starts from: `path` has the weights (a folder of state for `resume`), None for
    the encoder's own; `line` says it to a person; `shape` is the configuration's fingerprint;
    `initial` the run that it is fine-tuned from, if it is."""

    line: str
    shape: dict
    path: Path | None = None
    resume: bool = False
    initial: str | None = None

    def encoder_weights(self, settings: Config) -> str:
        """What the encoder is built with: nothing where other weights follow."""
        return own_weights(settings) if self.path is None else "none"


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
        return Start(f"{run.name}'s own state of epoch {int(state.name)}", shape, state, True)
    if weights is not None:
        if not weights.is_file():
            raise UsageError(f"--weights {weights}: no such file")
        return Start(str(weights), shape, weights)
    initial = settings.initial or corpus.initial or "none"
    if initial.lower() != "none":
        source = initial_run(run.results, initial, corpus.name)
        same_encoder(source, settings)
        return Start(f"{source.name}'s best weights", shape, source.best, initial=source.name)
    chosen = own_weights(settings)
    if chosen not in ("imagenet", "hed", "none") and not Path(chosen).is_file():
        raise UsageError(
            f"--encoder-weights {chosen}: no such file; allowed are imagenet, hed, none or a path"
        )
    return Start(f"the encoder's own, {chosen}", shape)


def own_weights(settings: Config) -> str:
    """What the encoder learned elsewhere, by the configuration."""
    chosen = settings.encoder_weights
    return ENCODER_WEIGHTS[settings.encoder] if chosen == "default" else chosen


def on_pictures(
    start: Start, run: Run, training: Sequence[str], validation: Sequence[str]
) -> Start:
    """The start with its pictures in the fingerprint; a run that goes on must have the same, or
    what it has seen in training would come up in validation."""
    both = "\n".join([*training, "", *validation]).encode()
    digest = hashlib.sha256(both).hexdigest()[:8]
    pictures = f"{len(training)}+{len(validation)} of {digest}"
    if start.resume:
        same_shape(run, start.path, {"pictures": pictures})
    return dataclasses.replace(start, shape={**start.shape, "pictures": pictures})


def same_shape(run: Run, state: Path, shape: Mapping) -> None:
    """Raises UsageError where a state is of another configuration; names the fields."""
    before = read_json(state / "state.json")["shape"]
    differ = [
        f"{name} {show(before.get(name))} (now {show(value)})"
        for name, value in sorted(shape.items())
        if before.get(name) != value
    ]
    if differ:
        raise UsageError(
            f"{run.name} was trained with {', '.join(differ)}; "
            "--fresh starts it anew, --name NAME calls this run something else"
        )


def initial_run(results: Path, initial: str, corpus: str) -> Run:
    """The run of that name, or of that corpus, that has best weights."""
    for name in (f"msinet_{initial.lower()}", initial):
        if Run(results, name).best.is_file():
            return Run(results, name)
    raise UsageError(
        f"{corpus} starts from the weights of {initial}, and {results} has none; first run "
        f"python main.py train -d {initial}, or choose --initial none or another corpus"
    )


def same_encoder(source: Run, settings: Config) -> None:
    """Raises UsageError where weights are of another encoder than the configuration's."""
    encoder = read_about(source)["config"]["encoder"]
    if encoder != settings.encoder:
        raise UsageError(
            f"{source.name} was trained with --encoder {encoder}, this run has "
            f"{settings.encoder}; use the same, or --initial none"
        )


def begin(start: Start, model: keras.Model) -> Progress:
    """Loads what the run starts from into a compiled model; says so."""
    logging.info("weights: %s", start.line)
    # The optimizer's state is in a file of state too, and must exist before it can be filled; and
    # several devices cannot agree on variables made within their first step.
    model.optimizer.build(model.trainable_variables)
    if start.path is None:
        return Progress()
    if not start.resume:
        load_weights(bare(model), start.path)
        return Progress()
    load_weights(model, start.path / f"model{WEIGHTS}")
    return Progress(**read_json(start.path / "state.json")["progress"])


@dataclasses.dataclass(frozen=True)
class Keeper:
    """Writes what a run leaves after each epoch: history, best weights, latest state.

    about: what the JSON beside weights says; every: the weights of every so-many-th epoch are
    kept too, 0 for none; record: writes the history, (path, rows).
    """

    run: Run
    model: keras.Model
    shape: dict
    about: dict
    every: int
    record: Callable[[Path, list[dict]], None]

    def keep(self, progress: Progress, improved: bool) -> None:
        """The latest state is written last: what a cut leaves undone, a resumed run does again."""
        row = progress.history[-1]
        about = {**self.about, "epoch": row["epoch"], "metrics": row, "versions": versions()}
        self.record(self.run.history, progress.history)
        if improved:
            save_weights(self.run.best, self.model, about)
        if self.every and progress.epoch % self.every == 0:
            save_weights(self.run.epoch(progress.epoch), self.model, about)
        save_state(self.run, self.model, self.shape, progress)


def save_state(run: Run, model: keras.Model, shape: Mapping, progress: Progress) -> None:
    """Writes a folder that appears under its epoch's number in one piece, and drops the others."""
    state = run.latest / f"{progress.epoch:06d}"
    part = run.latest / f".{state.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save_weights(part / f"model{WEIGHTS}")
    write_json(part / "state.json", {"shape": shape, "progress": dataclasses.asdict(progress)})
    shutil.rmtree(state, ignore_errors=True)
    part.rename(state)
    for other in run.latest.iterdir():
        if other != state and re.fullmatch(r"\d{6}|\.\d{6}\.part", other.name):
            shutil.rmtree(other)


def save_weights(path: Path, model: keras.Model, about: Mapping) -> None:
    """Writes weights without the optimizer, and the JSON beside them that says what they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("." + path.name)
    bare(model).save_weights(part)
    part.replace(path)
    write_json(about_of(path), about)


def bare(model: keras.Model) -> keras.Model:
    """The same layers without the optimizer, whose state Keras would keep among the weights."""
    return keras.Model(model.input, model.output, name=model.name)


def load_weights(model: keras.Model, weights: Path) -> None:
    """Loads weights into a model; UsageError where they are of another one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras' word for layers left as they were
            model.load_weights(weights)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{weights}: not the weights of {model.name}: {reason}") from None


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
