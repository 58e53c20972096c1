"""What a run leaves on disk while it trains: history, best weights, states."""

import dataclasses
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from errors import UsageError
from model.checkpoints import states
from model.checkpoints.restore import MODEL, STATE, Start, so_far
from model.checkpoints.runs import Run, about_of, jsonable, link, write_json
from model.checkpoints.weights import save_weights, write_weights
from model.training.optimizer import averaged
from model.training.trainer import Progress

GOES_ON = "once that is mended, the same command goes on from what was saved last"


class Keeper:
    """Writes what a run leaves: after each epoch history, best weights, a state; in mid-epoch a
    state every so often.

    Best weights and those of epochs are averaged ones where the optimizer averages; the state has
    those that train, and the average with the optimizer's.

    about: what the JSON beside weights says, besides where they come from; every: the weights of
    every so-many-th epoch are kept too, 0 for none; minutes: between states in mid-epoch, 0: never;
    record: writes the history, (path, rows).
    """

    def __init__(
        self,
        run: Run,
        model: keras.Model,
        start: Start,
        about: dict,
        every: int,
        minutes: float,
        record: Callable[[Path, list[dict]], None],
    ):
        self.run, self.model, self.start = run, model, start
        self.about, self.every, self.record = about, every, record
        self.seconds, self.time = 60 * minutes, time.monotonic()
        self.state, self.done = (start.path if start.resume else None), None

    def epoch(self, progress: Progress, improved: bool) -> None:
        """The state is written last: what a cut leaves undone, a resumed run does again."""
        row = progress.history[-1]
        about = {**self.about, "epoch": row["epoch"], "metrics": row, "versions": versions()}
        about |= {"start": self.start.line, "initial": self.start.initial}
        about |= {"chain": self.start.chain, "split": self.start.split}
        with saving(self.run):
            self.record(self.run.history, progress.history)
            with averaged(self.model):
                if improved:
                    save_weights(self.run.best, self.model, about)
                if self.every and progress.epoch % self.every == 0:
                    save_weights(self.run.epoch(progress.epoch), self.model, about)
        self.save(progress)

    def step(self, progress: Progress) -> None:
        if self.seconds and time.monotonic() - self.time >= self.seconds:
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Writes the state, unless it was the last that was written."""
        if self.done == (progress.epoch, progress.step):
            return
        came = {"initial": self.start.initial, "chain": self.start.chain[1:]}
        came |= {"source": self.start.source, "began": self.start.began, "split": self.start.split}
        came["epochs"] = self.about.get("config", {}).get("epochs")
        content = {"shape": self.start.shape, **came, "progress": dataclasses.asdict(progress)}
        files = {
            MODEL: lambda path: write_weights(path, self.model),
            STATE: lambda path: path.write_text(json.dumps(jsonable(content))),
        }
        with saving(self.run):
            self.state = states.save(self.run.latest, files, self.state)
        self.time, self.done = time.monotonic(), (progress.epoch, progress.step)
        if progress.step:
            logging.info("saved after %s", so_far(dataclasses.asdict(progress)))


@contextmanager
def saving(run: Run) -> Iterator[None]:
    """Turns what keeps a file of a run from being written into a UsageError of one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UsageError(f"{run.name} cannot be saved: {reason}; {GOES_ON}") from None


class Idle:
    """What a worker keeps that is not the chief: nothing."""

    def epoch(self, progress: Progress, improved: bool) -> None: ...

    def step(self, progress: Progress) -> None: ...

    def save(self, progress: Progress) -> None: ...


def describe(run: Run, about: Mapping, training: Sequence) -> None:
    """Writes the JSON beside best weights that no network has, fitted on samples of a corpus."""
    own = link(run.name, about["corpus"], {sample.name: sample.digest for sample in training})
    run.best.parent.mkdir(parents=True, exist_ok=True)
    write_json(about_of(run.best), {**about, "chain": [own], "versions": versions()})


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
