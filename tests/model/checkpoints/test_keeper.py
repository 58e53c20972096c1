"""What a run leaves on disk while it trains, and when."""

import json
import os
import shutil
import types
from contextlib import suppress

import numpy as np
import pytest
from helpers import one_line
from networks import tiny
from run_files import lay_flat

from model.baselines.centre_bias import UNIFORM, Template, load_prior
from model.checkpoints import folders, keeper
from model.checkpoints.keeper import Idle, Keeper
from model.checkpoints.restore import Start, begin
from model.checkpoints.runs import Run, link, read_about
from model.checkpoints.weights import load_weights
from model.training.optimizer import AveragingAdam, averaged
from model.training.trainer import Progress

NOWHERE = Start("")
ABOUT = {"corpus": "own", "config": {}, "size": [8, 8]}


def kept(run, model=None, start=NOWHERE, every=0, minutes=0.0, record=lambda *_: None):
    return Keeper(run, model or tiny(), start, ABOUT, every, minutes, record)


def after(epoch, step=0):
    history = [{"epoch": number, "val_loss": 0.5} for number in range(1, epoch + 1)]
    return Progress(epoch, step, {"loss": 1.0} if step else {}, 0.5, history)


def resumed(run):
    return Start("", checkpoint=folders.newest(run.latest), resume=True)


def says(run):
    """Return how far the run is by the checkpoint that counts."""
    found = json.loads(folders.newest(run.latest).record.read_text())["progress"]
    return found["epoch"], found["step"]


def files(folder):
    """All files below a folder and what is in them."""
    there = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in there}


# what


def test_an_epoch_writes_history_best_and_asked_epochs(tmp_path):
    run, rows = Run(tmp_path, "r"), []
    keeps = kept(run, every=2, record=lambda path, history: rows.append((path, len(history))))
    keeps.epoch(after(1), improved=True)
    keeps.epoch(after(2), improved=False)
    assert rows == [(run.history, 1), (run.history, 2)]
    assert read_about(run)["epoch"] == 1
    assert json.loads(folders.find(run.epoch(2)).record.read_text())["epoch"] == 2
    assert not folders.find(run.epoch(1)) and says(run) == (2, 0)


def test_best_weights_are_averaged_and_the_latest_are_as_they_train(tmp_path):
    run, model = Run(tmp_path, "r"), tiny(optimizer=AveragingAdam(0.9, learning_rate=0.1))
    for _ in range(3):
        model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    trained = model.get_weights()
    with averaged(model):
        average = model.get_weights()
    kept(run, model, every=1).epoch(after(1), improved=True)
    for found in (run.best, folders.find(run.epoch(1))):
        again = tiny()
        begin(Start("", checkpoint=found), again)
        np.testing.assert_array_equal(again.get_weights()[0], average[0])
    again = tiny(optimizer=AveragingAdam(0.9, learning_rate=0.1))
    begin(resumed(run), again)
    np.testing.assert_array_equal(again.get_weights()[0], trained[0])
    with averaged(again):
        np.testing.assert_array_equal(again.get_weights()[0], average[0])
    assert np.abs(average[0] - trained[0]).max() > 1e-3


def test_a_checkpoint_says_where_the_run_came_from(tmp_path):
    run = Run(tmp_path, "r")
    chain = (link("r", "own", {"1": "f1"}), link("before", "A", {"2": "f2"}))
    start = Start("", {"seed": 3}, initial="before", chain=chain)
    progress = Progress(2, 5, {"loss": 0.1, "weight": 3.0}, 1 / 3, [{"epoch": 1}, {"epoch": 2}])
    kept(run, start=start).save(progress)
    content = json.loads(folders.newest(run.latest).record.read_text())
    assert content["fingerprint"] == {"seed": 3} and content["initial"] == "before"
    assert content["chain"] == [*chain]
    assert Progress(**content["progress"]) == progress


def test_a_baseline_says_what_it_was_fitted_on(tmp_path):
    run, samples = Run(tmp_path, "centerbias_own"), [types.SimpleNamespace(name="1", digest="f1")]
    keeper.save_baseline(run, UNIFORM, {**ABOUT, "epoch": 0}, samples)
    assert load_prior(run.best.weights).bandwidth == 1
    assert read_about(run)["chain"] == [link("centerbias_own", "own", {"1": "f1"})]


def test_a_worker_that_is_not_the_chief_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    idle = Idle()
    idle.epoch(after(1), improved=True)
    idle.step(after(1, 1))
    idle.save(after(1, 1))
    assert files(tmp_path) == {}


# which checkpoints


def test_two_checkpoints_stay_and_what_else_lies_there(tmp_path):
    run = Run(tmp_path, "r")
    run.latest.mkdir(parents=True)
    (run.latest / "thesis.txt").touch()
    keeps = kept(run)
    for epoch in (1, 2, 3):
        keeps.save(after(epoch))
    there = {path.name for path in run.latest.iterdir()}
    assert there == {"000002", "000003", "latest", "thesis.txt"} and says(run) == (3, 0)


def test_a_resumed_run_keeps_the_checkpoint_that_it_came_from(tmp_path):
    run = Run(tmp_path, "r")
    for epoch in (1, 2):
        kept(run, start=resumed(run) if epoch > 1 else NOWHERE).save(after(epoch))
    first, second = sorted(folders.numbered(run.latest))
    (second / "weights.h5").write_bytes(b"")
    kept(run, start=resumed(run)).save(after(1, 3))
    assert sorted(folders.numbered(run.latest))[0] == first and not second.exists()
    assert says(run) == (1, 3)
    kept(run).save(after(1))  # --fresh
    assert len(folders.numbered(run.latest)) == 1


# when


class Clock:
    """Seconds that pass when a test says so; there is no other clock."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(keeper, "time", types.SimpleNamespace(monotonic=lambda: self.now))


def test_a_checkpoint_is_saved_in_mid_epoch_every_so_many_minutes(tmp_path, monkeypatch):
    clock, run, saved = Clock(monkeypatch), Run(tmp_path, "r"), []
    keeps = kept(run, minutes=2)
    for step, passed in enumerate((60, 59, 1, 119, 1, 120), start=1):
        clock.now += passed
        keeps.step(after(0, step))
        if run.latest.exists() and says(run) == (0, step):
            saved.append(step)
    assert saved == [3, 5, 6]


def test_minutes_count_from_the_last_checkpoint_whatever_it_was_saved_for(tmp_path, monkeypatch):
    clock, run = Clock(monkeypatch), Run(tmp_path, "r")
    keeps = kept(run, minutes=1)
    clock.now += 59
    keeps.epoch(after(1), improved=False)
    clock.now += 59
    keeps.step(after(1, 1))
    assert says(run) == (1, 0)
    clock.now += 1
    keeps.step(after(1, 2))
    assert says(run) == (1, 2)


def test_without_minutes_there_is_none_in_mid_epoch(tmp_path, monkeypatch):
    clock, run = Clock(monkeypatch), Run(tmp_path, "r")
    keeps = kept(run, minutes=0)
    clock.now += 1e9
    keeps.step(after(0, 1))
    assert not run.latest.exists()


def test_no_checkpoint_is_saved_twice(tmp_path, monkeypatch):
    """Neither by a stop right after a save, nor by a stop in validation after an epoch's steps."""
    clock, run = Clock(monkeypatch), Run(tmp_path, "r")
    keeps = kept(run, minutes=1)
    clock.now += 60
    keeps.step(after(0, 7))
    before = files(run.latest)
    keeps.save(after(0, 7))
    assert files(run.latest) == before
    keeps.save(after(0, 8))
    assert says(run) == (0, 8) and len(folders.numbered(run.latest)) == 2


# kills


class Killed(BaseException):
    """What ends a process."""


def killed(monkeypatch, count):
    """Have a process do nothing more after so many changes to the disk; return those it did."""
    done = []

    def only_alive(change):
        def changes(*given, **named):
            if len(done) == count:
                raise Killed
            done.append(change)
            return change(*given, **named)

        return changes

    for name in ("replace", "mkdir", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, only_alive(getattr(os, name)))
    return done


@pytest.mark.parametrize("flat", [False, True])
def test_best_is_the_old_one_or_the_new_one_whole_wherever_a_run_is_killed(
    tmp_path, monkeypatch, flat
):
    """A fresh start that was told another centre bias than the run before it."""
    priors = UNIFORM, Template(np.zeros((2, 3)))
    old, new = (tiny(), priors[0], 1), (tiny(), priors[1], 7)
    before = save_best(tmp_path / "before", *old)
    if flat:
        lay_flat(before.best_place)
    count, found, ended = 0, [], False
    while not ended:
        results = shutil.copytree(tmp_path / "before", tmp_path / str(count))
        with monkeypatch.context() as patch, suppress(Killed):
            killed(patch, count)
            save_best(results, *new)
            ended = True
        found.append(read_best(results))
        save_best(results, *new)  # goes on
        assert read_best(results) == said_by(*new)
        assert {path.name for path in results.rglob("*.h5")} <= {"weights.h5", "centre_bias.h5"}
        assert len([*results.glob("ckpts/best/**/*.h5")]) == 2
        count += 1
    turn = found.index(said_by(*new))
    assert found == [said_by(*old)] * turn + [said_by(*new)] * (count - turn)
    assert 8 < turn < count - 2  # changes before the pointer, and after it


def save_best(results, model, prior, epoch):
    run = Run(results, "r")
    progress = Progress(epoch, history=[{"epoch": epoch}])
    Keeper(run, model, NOWHERE, ABOUT, 0, 0.0, lambda *_: None, prior).epoch(progress, True)
    return run


def read_best(results):
    """Return what of a run's best checkpoint is there: epoch, weights, kind of its centre bias."""
    best, model = Run(results, "r").best, tiny()
    load_weights(model, best)
    return said_by(
        model, load_prior(best.centre_bias), json.loads(best.record.read_text())["epoch"]
    )


def said_by(model, prior, epoch):
    return epoch, model.get_weights()[0].tobytes(), type(prior)


# a full disk


@pytest.mark.parametrize("what", ["history", "best", "latest", "HDF5's own words"])
def test_what_cannot_be_saved_is_one_line_and_the_one_before_stays(tmp_path, monkeypatch, what):
    run, full = Run(tmp_path, "r"), OSError(28, "No space left on device")
    keeps = kept(run)
    keeps.epoch(after(1), improved=True)
    before = files(tmp_path)
    words = "No space left on device"
    if what == "HDF5's own words":
        words = "Can't write data (file write failed: errno = 28)"
        full = OSError(words.replace(" (", "\n ("))

    def fails(*_):
        raise full

    if what == "history":
        keeps.record = fails
    else:
        monkeypatch.setattr(keeper, "write_weights", fails)
    with one_line("^r cannot be saved: ") as error:
        keeps.epoch(after(2), improved=what == "best")
    assert words in str(error.value)
    assert "the same command goes on" in str(error.value)
    assert files(tmp_path) == before and says(run) == (1, 0)
    monkeypatch.undo()
    keeps.save(after(2))
    assert says(run) == (2, 0)
