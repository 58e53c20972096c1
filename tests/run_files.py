"""A small training whose files are looked at: what it left, and whether it counted every step."""

import json

import h5py
from conftest import SMALL
from helpers import about, arrays, history

from model.checkpoints import states
from model.checkpoints.restore import MODEL, STATE

NAME = "msinet_own"
PICTURES, BATCH, EPOCHS = 22, 4, 3  # of 28 pictures, 80 to 20; the last batch of an epoch has two
EVERY_STEP = ("--save-minutes", "0.0001")


def command(own, results, *more):
    return ("train", "-d", own, "--results", results, *SMALL, "--metrics", "cc", *more)


def left(results, name=NAME):
    """All that a run leaves to go on from, to test and to look at: its arrays and its numbers."""
    return {
        "state": arrays(newest(results, name) / MODEL),
        "best": arrays(results / f"ckpts/best/{name}.weights.h5"),
        "best epoch": best_epoch(results, name),
        "progress": progress(results, name),
        "history": history(results, name),
    }


def best_epoch(results, name=NAME):
    return about(results, name)["epoch"]


def folder(results, name=NAME):
    """Where the states are."""
    return results / "ckpts/latest" / name


def newest(results, name=NAME):
    return states.newest(folder(results, name))


def cut_off(results):
    """States that were begun and are not there."""
    there = states.states(folder(results))
    return [state for state in there if not (state / states.CHECKS).is_file()]


def progress(results, name=NAME):
    """How far the newest state is, None where there is none."""
    state = newest(results, name)
    return state and json.loads((state / STATE).read_text())["progress"]


def counted(results, pictures=PICTURES):
    """How far the newest state is, once its steps were found to be counted once each: by the
    optimizer, by the epoch's sums and by the history."""
    far, steps = progress(results), -(-pictures // BATCH)
    if far is not None:
        with h5py.File(newest(results) / MODEL) as file:
            assert file["optimizer/vars/0"][()] == far["epoch"] * steps + far["step"]
        assert far["sums"].get("weight", 0) == min(far["step"] * BATCH, pictures)
        assert [row["epoch"] for row in far["history"]] == list(range(1, far["epoch"] + 1))
    return far
