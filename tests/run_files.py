"""A small training whose files are looked at: what it left, and whether it counted every step."""

import json
import shutil

import h5py
from conftest import SMALL
from helpers import about, arrays, history

from model.checkpoints import folders
from model.checkpoints.folders import RECORD, WEIGHTS
from model.checkpoints.runs import Run, write_json
from model.checkpoints.weights import write_weights

NAME = "msinet_own"
PICTURES, BATCH, EPOCHS = 22, 4, 3  # of 28 pictures, 80 to 20; the last batch of an epoch has two
EVERY_STEP = ("--save-minutes", "0.0001")


def command(own, results, *more):
    return ("train", "-d", own, "--results", results, *SMALL, "--metrics", "cc", *more)


def left(results, name=NAME):
    """All that a run leaves to go on from, to test and to look at: its arrays and its numbers."""
    return {
        "latest": arrays(newest(results, name).weights),
        "best": arrays(Run(results, name).best.weights),
        "best epoch": best_epoch(results, name),
        "progress": progress(results, name),
        "history": history(results, name),
    }


def save_best(run, model, about):
    """Write a run's best checkpoint, of a model and of what its JSON says."""
    files = {WEIGHTS: lambda path: write_weights(path, model)}
    folders.save(run.best_place, files | {RECORD: lambda path: write_json(path, about)})
    return run.best


def lay_flat(place):
    """Lay the files of a checkpoint out as runs of before have them: side by side."""
    now, before = folders.find(place), folders.flat(place)
    for name, path in vars(now).items():
        if path.exists():
            path.rename(getattr(before, name))
    shutil.rmtree(place)


def best_epoch(results, name=NAME):
    return about(results, name)["epoch"]


def folder(results, name=NAME):
    """Return the place of the latest checkpoints."""
    return results / "ckpts/latest" / name


def newest(results, name=NAME):
    return folders.newest(folder(results, name))


def cut_off(results):
    """Return the folders of checkpoints that were begun and are not there."""
    begun = folders.numbered(folder(results))
    return [path for path in begun if not (path / folders.CHECKS).is_file()]


def progress(results, name=NAME):
    """Return how far the latest checkpoint is, None where there is none."""
    latest = newest(results, name)
    return latest and json.loads(latest.record.read_text())["progress"]


def counted(results, pictures=PICTURES):
    """How far the latest checkpoint is, once its steps were found to be counted once each: by the
    optimizer, by the epoch's sums and by the history."""
    far, steps = progress(results), -(-pictures // BATCH)
    if far is not None:
        with h5py.File(newest(results).weights) as file:
            assert file["optimizer/iteration"][()] == far["epoch"] * steps + far["step"]
        assert far["sums"].get("weight", 0) == min(far["step"] * BATCH, pictures)
        assert [row["epoch"] for row in far["history"]] == list(range(1, far["epoch"] + 1))
    return far
