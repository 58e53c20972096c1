"""What a run leaves on disk while it trains, and when."""

import json
import types

import keras
import numpy as np
import pytest
from helpers import one_line
from networks import tiny

from model.checkpoints import keeper, restore, states
from model.checkpoints.keeper import Idle, Keeper
from model.checkpoints.restore import Start, begin
from model.checkpoints.runs import Run, link, read_about
from model.training.optimizer import AveragingAdam, averaged
from model.training.trainer import Progress

NOWHERE = Start("", {})
ABOUT = {"corpus": "own", "config": {}, "size": [8, 8]}


def kept(run, model=None, start=NOWHERE, every=0, minutes=0.0, record=lambda *_: None):
    return Keeper(run, model or tiny(), start, ABOUT, every, minutes, record)


def after(epoch, step=0):
    history = [{"epoch": number, "val_loss": 0.5} for number in range(1, epoch + 1)]
    return Progress(epoch, step, {"loss": 1.0} if step else {}, 0.5, history)


def resumed(run):
    return Start("", {}, states.newest(run.latest), resume=True)


def says(run):
    """How far the run is by the state that counts."""
    found = json.loads((states.newest(run.latest) / "state.json").read_text())["progress"]
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
    assert json.loads((tmp_path / "ckpts/epochs/r/0002.json").read_text())["epoch"] == 2
    assert not run.epoch(1).exists() and says(run) == (2, 0)


def test_best_weights_are_averaged_and_the_state_is_as_it_trains(tmp_path):
    run, model = Run(tmp_path, "r"), tiny(optimizer=AveragingAdam(0.9, learning_rate=0.1))
    for _ in range(3):
        model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    trained = model.get_weights()
    with averaged(model):
        average = model.get_weights()
    kept(run, model, every=1).epoch(after(1), improved=True)
    for path, wanted in ((run.best, average), (run.epoch(1), average)):
        again = tiny()
        begin(Start("", {}, path), again)
        np.testing.assert_array_equal(again.get_weights()[0], wanted[0])
    again = tiny(optimizer=AveragingAdam(0.9, learning_rate=0.1))
    begin(resumed(run), again)
    np.testing.assert_array_equal(again.get_weights()[0], trained[0])
    with averaged(again):
        np.testing.assert_array_equal(again.get_weights()[0], average[0])
    assert np.abs(average[0] - trained[0]).max() > 1e-3


def test_a_state_says_where_the_run_came_from(tmp_path):
    run = Run(tmp_path, "r")
    chain = (link("r", "own", {"1": "f1"}), link("before", "A", {"2": "f2"}))
    start = Start("", {"seed": 3}, None, initial="before", chain=chain)
    progress = Progress(2, 5, {"loss": 0.1, "weight": 3.0}, 1 / 3, [{"epoch": 1}, {"epoch": 2}])
    kept(run, start=start).save(progress)
    content = json.loads((states.newest(run.latest) / restore.STATE).read_text())
    assert content["shape"] == {"seed": 3} and content["initial"] == "before"
    assert content["chain"] == [chain[1]]
    assert Progress(**content["progress"]) == progress


def test_a_baseline_says_what_it_was_fitted_on(tmp_path):
    run, samples = Run(tmp_path, "centerbias_own"), [types.SimpleNamespace(name="1", digest="f1")]
    keeper.describe(run, {**ABOUT, "epoch": 0}, samples)
    assert read_about(run)["chain"] == [link("centerbias_own", "own", {"1": "f1"})]


def test_a_worker_that_is_not_the_chief_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    idle = Idle()
    idle.epoch(after(1), improved=True)
    idle.step(after(1, 1))
    idle.save(after(1, 1))
    assert files(tmp_path) == {}


# which states


def test_two_states_stay_and_what_else_lies_there(tmp_path):
    run = Run(tmp_path, "r")
    run.latest.mkdir(parents=True)
    (run.latest / "thesis.txt").touch()
    keeps = kept(run)
    for epoch in (1, 2, 3):
        keeps.save(after(epoch))
    there = {path.name for path in run.latest.iterdir()}
    assert there == {"000002", "000003", "latest", "thesis.txt"} and says(run) == (3, 0)


def test_a_resumed_run_keeps_the_state_that_it_came_from(tmp_path):
    run = Run(tmp_path, "r")
    for epoch in (1, 2):
        kept(run, start=resumed(run) if epoch > 1 else NOWHERE).save(after(epoch))
    first, second = sorted(states.states(run.latest))
    (second / restore.MODEL).write_bytes(b"")
    kept(run, start=resumed(run)).save(after(1, 3))
    assert sorted(states.states(run.latest))[0] == first and not second.exists()
    assert says(run) == (1, 3)
    kept(run).save(after(1))  # --fresh
    assert len(states.states(run.latest)) == 1


# when


class Clock:
    """Seconds that pass when a test says so; there is no other clock."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(keeper, "time", types.SimpleNamespace(monotonic=lambda: self.now))


def test_a_state_is_saved_in_mid_epoch_every_so_many_minutes(tmp_path, monkeypatch):
    clock, run, saved = Clock(monkeypatch), Run(tmp_path, "r"), []
    keeps = kept(run, minutes=2)
    for step, passed in enumerate((60, 59, 1, 119, 1, 120), start=1):
        clock.now += passed
        keeps.step(after(0, step))
        if run.latest.exists() and says(run) == (0, step):
            saved.append(step)
    assert saved == [3, 5, 6]


def test_minutes_count_from_the_last_state_whatever_it_was_saved_for(tmp_path, monkeypatch):
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


def test_without_minutes_there_is_no_state_in_mid_epoch(tmp_path, monkeypatch):
    clock, run = Clock(monkeypatch), Run(tmp_path, "r")
    keeps = kept(run, minutes=0)
    clock.now += 1e9
    keeps.step(after(0, 1))
    assert not run.latest.exists()


def test_no_state_is_saved_twice(tmp_path, monkeypatch):
    """Neither by a stop right after a save, nor by a stop in validation after an epoch's steps."""
    clock, run = Clock(monkeypatch), Run(tmp_path, "r")
    keeps = kept(run, minutes=1)
    clock.now += 60
    keeps.step(after(0, 7))
    before = files(run.latest)
    keeps.save(after(0, 7))
    assert files(run.latest) == before
    keeps.save(after(0, 8))
    assert says(run) == (0, 8) and len(states.states(run.latest)) == 2


# a full disk


@pytest.mark.parametrize("what", ["history", "best", "state", "HDF5's own words"])
def test_what_cannot_be_saved_is_one_line_and_the_state_before_stays(tmp_path, monkeypatch, what):
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
    elif what == "best":
        monkeypatch.setattr(keeper, "save_weights", fails)
    else:
        monkeypatch.setattr(keras.Model, "save_weights", fails)
    with one_line("^r cannot be saved: ") as error:
        keeps.epoch(after(2), improved=what == "best")
    assert words in str(error.value)
    assert "the same command goes on" in str(error.value)
    assert files(tmp_path) == before and says(run) == (1, 0)
    monkeypatch.undo()
    keeps.save(after(2))
    assert says(run) == (2, 0)
