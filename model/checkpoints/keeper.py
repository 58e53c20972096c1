"""What a run leaves on disk while it trains: its history, and checkpoints."""

import dataclasses
import functools
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
from model.checkpoints import folders
from model.checkpoints.folders import CENTRE_BIAS, RECORD, WEIGHTS
from model.checkpoints.restore import Start, so_far
from model.checkpoints.runs import Run, link, write_json
from model.checkpoints.weights import write_weights
from model.training.optimizer import averaged
from model.training.trainer import Progress

GOES_ON = "once that is mended, the same command goes on from what was saved last"


class Keeper:
    """Write what a run leaves: after each epoch history, best and latest checkpoint; in mid-epoch
    the latest every so often.

    Best weights and those of epochs are averaged ones where the optimizer averages; the latest
    checkpoint has those that train, and the average with the optimizer's state.

    about: what a checkpoint's JSON says, besides where its weights come from; every: each
    so-many-th epoch is kept too, 0 for none; minutes: between checkpoints in mid-epoch, 0: never;
    record: writes the history, (path, rows); prior: what the network is told of where people look
    whatever the picture, if it is.
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
        prior=None,
    ):
        self.run, self.model, self.start = run, model, start
        self.about, self.every, self.record, self.prior = about, every, record, prior
        self.seconds, self.time = 60 * minutes, time.monotonic()
        self.latest, self.done = (start.checkpoint.folder if start.resume else None), None

    def epoch(self, progress: Progress, improved: bool) -> None:
        """Write an epoch, the latest last: what a cut leaves undone, a resumed run does again."""
        with saving(self.run):
            self.record(self.run.history, progress.history)
            with averaged(self.model):
                files = self.files(progress)
                if improved:
                    folders.save(self.run.best_place, files)
                if self.every and progress.epoch % self.every == 0:
                    folders.save(self.run.epoch(progress.epoch), files)
        self.save(progress)

    def step(self, progress: Progress) -> None:
        if self.seconds and time.monotonic() - self.time >= self.seconds:
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Write the latest checkpoint, unless that was the last to be written."""
        if self.done == (progress.epoch, progress.step):
            return
        with saving(self.run):
            files = self.files(progress, optimizer=True)
            self.latest = folders.save(self.run.latest, files, self.latest)
        self.time, self.done = time.monotonic(), (progress.epoch, progress.step)
        if progress.step:
            logging.info("saved after %s", so_far(dataclasses.asdict(progress)))

    def files(self, progress: Progress, optimizer: bool = False) -> dict:
        """Return what writes each file of a checkpoint."""
        names = ("initial", "chain", "split", "fingerprint", "source", "began")
        record = {**self.about, "start": self.start.line, "versions": versions()}
        record |= {name: getattr(self.start, name) for name in names}
        record |= {"epoch": progress.epoch, "progress": dataclasses.asdict(progress)}
        record["metrics"] = progress.history[-1] if progress.history else {}
        files = {
            WEIGHTS: lambda path: write_weights(path, self.model, optimizer),
            RECORD: lambda path: write_json(path, record),
        }
        return files | ({CENTRE_BIAS: self.prior.save} if self.prior else {})


@contextmanager
def saving(run: Run) -> Iterator[None]:
    """Raise UsageError of one line where a file of a run cannot be written inside."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UsageError(f"{run.name} cannot be saved: {reason}; {GOES_ON}") from None


class Idle:
    """Keep nothing, as a worker does that is not the chief."""

    def epoch(self, progress: Progress, improved: bool) -> None: ...

    def step(self, progress: Progress) -> None: ...

    def save(self, progress: Progress) -> None: ...


def save_baseline(run: Run, bias, about: Mapping, training: Sequence) -> None:
    """Write the best checkpoint of a centre bias that was fitted on samples of a corpus."""
    seen = link(run.name, about["corpus"], {sample.name: sample.digest for sample in training})
    record = {**about, "chain": [seen], "versions": versions()}
    files = {WEIGHTS: bias.save, RECORD: lambda path: write_json(path, record)}
    with saving(run):
        folders.save(run.best_place, files)


@functools.cache
def versions() -> dict[str, str]:
    """Return what weights were made with: the git revision, and versions of what computes."""
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
