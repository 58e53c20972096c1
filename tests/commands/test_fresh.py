"""A fresh start is gone on with by the command that began it, and begun again once it is done."""

import dataclasses
import types

import pytest
from conftest import SMALL
from helpers import history, killed
from networks import tiny
from run_files import save_best

from config import Config
from data.corpus import open_corpus
from errors import UsageError
from formats.pictures.integrity import Memory
from model.checkpoints import folders, restore
from model.checkpoints.fresh import begun
from model.checkpoints.keeper import Keeper
from model.checkpoints.runs import Run
from model.training.trainer import Progress

CORPUS = types.SimpleNamespace(name="own", reference="own", initial=None)
SETTINGS = Config(encoder="small", epochs=4)


def left(run, epoch, began=None, settings=SETTINGS, runs=("first",), **far):
    """Leave the checkpoint of a run after some epochs, as a command of these runs leaves it, whose
    start has this name."""
    began = began and {"name": began, "runs": list(runs)}
    start = restore.find_start(run, CORPUS, settings, fresh=True, weights=None, began=began)
    keeper = Keeper(run, tiny(), start, {"config": {}}, 0, 0.0, lambda *_: None)
    keeper.save(Progress(epoch, **far))


def planned(*runs, settings=SETTINGS):
    return [(run, settings, None) for run in runs]


def test_a_start_goes_on_until_all_of_it_is_done(tmp_path):
    first, second = Run(tmp_path, "first"), Run(tmp_path, "second")
    runs, both = planned(first, second), {"runs": ("first", "second")}
    name, going_on = begun(runs, CORPUS)
    assert not going_on  # nothing was begun
    left(first, 4, name, **both)
    left(second, 4, "before", **both)  # done, by an earlier start
    assert begun(runs, CORPUS) == (name, {"first"})
    left(second, 1, name, **both)
    assert begun(runs, CORPUS) == (name, {"first", "second"})
    left(second, 4, name, **both)
    other, going_on = begun(runs, CORPUS)
    assert other != name and not going_on


def test_what_another_command_began_anew_is_none_of_this_ones(tmp_path):
    """As where one of several folds was."""
    first, second = Run(tmp_path, "first"), Run(tmp_path, "second")
    left(first, 1, "alone")
    left(second, 1, "a", runs=("first", "second"))
    assert begun(planned(first, second), CORPUS) == ("a", {"second"})
    assert begun(planned(first), CORPUS) == ("alone", {"first"})


def test_a_start_is_done_when_what_it_writes_last_is_written(tmp_path):
    run, last = Run(tmp_path, "first"), tmp_path / "last.json"
    last.write_text("")
    left(run, 4, "a")
    assert begun(planned(run), CORPUS, last) == ("a", {"first"})
    last.write_text("{}")
    assert begun(planned(run), CORPUS, last)[1] == set()


def test_another_command_begins_anew(tmp_path):
    run = Run(tmp_path, "first")
    left(run, 1)  # not begun by --fresh
    assert begun(planned(run), CORPUS)[1] == set()
    left(run, 1, "a")
    for change in ({"seed": 7}, {"epochs": 9}, {"patience": 3}):
        other = dataclasses.replace(SETTINGS, **change)
        assert begun(planned(run, settings=other), CORPUS)[1] == set()
    assert begun([(run, SETTINGS, tmp_path / "w.weights.h5")], CORPUS)[1] == set()
    assert begun(planned(run), CORPUS)[1] == {"first"}
    folders.newest(run.latest).weights.write_bytes(b"")  # damaged
    assert begun(planned(run), CORPUS)[1] == set()


def test_a_run_that_lost_its_patience_is_done(tmp_path):
    run, settings = Run(tmp_path, "first"), dataclasses.replace(SETTINGS, patience=2)
    history = [{"epoch": n, "val_loss": loss} for n, loss in ((1, 0.5), (2, 0.6), (3, 0.7))]
    left(run, 3, "a", settings, best=0.5, history=history)
    assert begun(planned(run, settings=settings), CORPUS)[1] == set()


def test_a_killed_fresh_start_goes_on_by_the_command_it_says(cli, own, tmp_path):
    """And once it is done, the same command means another start."""
    command = ("train", "-d", own, *SMALL, "--epochs", "2", "--metrics", "cc", "--fresh")
    command += ("--results", tmp_path)
    with killed("epoch 2, step 1"):
        assert cli(*command)[0] == 130
    code, out, _ = cli(*command)
    assert code == 0 and "latest checkpoint after 1 epochs" in out
    first = history(tmp_path)
    code, out, _ = cli(*command)
    assert code == 0 and "latest checkpoint" not in out
    assert history(tmp_path) == first and len(first) == 2


@pytest.mark.slow
def test_a_fresh_start_on_other_pictures_begins_anew_and_says_so(cli, own, tmp_path):
    common = ("train", "-d", own, *SMALL, "--epochs", "2", "--metrics", "cc", "--results", tmp_path)
    with killed("epoch 2, step 1"):
        assert cli(*common, "--fresh")[0] == 130
    lines = (own / "fixations.csv").read_text().splitlines()
    (own / "fixations.csv").write_text("\n".join(lines[:-1]) + "\n")
    code, _, err = cli(*common)
    said = "1 pictures have changed since, first '12.png' (its fixations, map or blur)"
    assert code == 2 and said in err and err.count("\n") == 1
    code, out, _ = cli(*common, "--fresh")
    assert code == 0 and "msinet_own starts anew: its pictures or fixations have changed" in out
    assert len(history(tmp_path)) == 2


@pytest.mark.parametrize("trained", ["gone.png", "03.png"], ids=["gone", "others"])
def test_what_a_fresh_start_kept_of_its_split_ends_where_it_begins_anew(
    own, tmp_path, monkeypatch, trained
):
    from commands.training import starting

    split = {"origin": "", "train": {trained: ""}, "valid": {"01.png": ""}, "test": {}}

    def found(*_, fresh, began=None):
        return restore.Start("", {}, tmp_path, resume=not fresh, split=split)

    monkeypatch.setattr(restore, "find_start", found)
    monkeypatch.setattr(restore, "differing", lambda *_: ["pictures 1 (now 2)"])
    given = (Run(tmp_path, "own"), open_corpus(str(own), None), SETTINGS, Memory(None))
    start, loaded, (training, validation, _, _) = starting(*given, fresh=False, began={"name": "a"})
    assert not start.resume and loaded.split.origin == "val.txt"
    assert (len(training), len(validation)) == (10, 3)
    if trained == "gone.png":
        with pytest.raises(UsageError, match="'gone.png'; put them back, or train another run"):
            starting(*given, fresh=False)
    else:
        assert starting(*given, fresh=False)[0].resume


def test_a_later_stage_starts_anew_where_the_one_before_learned_more(tmp_path):
    """Whoever was killed in between: what it stands on is told by its own checkpoint."""
    first, second = Run(tmp_path, "msinet_first"), Run(tmp_path, "second")
    settings = dataclasses.replace(SETTINGS, initial="msinet_first")
    about = {"corpus": "own", "config": {"encoder": "small"}, "size": [8, 8], "epoch": 1}
    save_best(first, tiny(), about)
    left(second, 1, settings=settings)

    def start(follow_initial):
        return restore.find_start(
            second, CORPUS, settings, fresh=False, weights=None, follow_initial=follow_initial
        )

    assert start(follow_initial=True).resume
    save_best(first, tiny(), about)  # other weights
    assert (
        not start(follow_initial=True).resume
        and start(follow_initial=True).checkpoint == first.best
    )
    assert start(follow_initial=False).resume  # a fine-tune by itself goes on with what it began


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"head": "minmax"}, {"head": "softmax"}, "--head minmax, this run has softmax"),
        (
            {"model": "deepgaze", "scanpath": True, "missing": "none"},
            {"model": "deepgaze", "scanpath": True, "missing": "centre"},
            "--missing none, this run has centre",
        ),
        ({"model": "deepgaze"}, {"model": "deepgaze", "scanpath": True, "missing": "centre"}, None),
        ({"learning_rate": 1.0, "seed": 3}, {}, None),
    ],
)
def test_weights_of_another_option_that_they_depend_on_are_refused(tmp_path, before, now, said):
    about = {"corpus": "own", "config": {"encoder": "small", **before}, "size": [8, 8], "epoch": 1}
    save_best(Run(tmp_path, "other"), tiny(), about)
    settings = Config(encoder="small", initial="other", **now)
    given = {"fresh": False, "weights": None}
    if said is None:
        assert restore.find_start(Run(tmp_path, "x"), CORPUS, settings, **given).initial == "other"
        return
    with pytest.raises(restore.UsageError, match=f"other was trained with {said}; use the same"):
        restore.find_start(Run(tmp_path, "x"), CORPUS, settings, **given)
    file = {"fresh": False, "weights": Run(tmp_path, "other").best_place}
    with pytest.raises(restore.UsageError, match=said):
        restore.find_start(Run(tmp_path, "x"), CORPUS, settings, **file)


def test_published_weights_say_nothing_of_a_missing_fixation_at_the_centre(tmp_path):
    file = tmp_path / "deepgaze3.pth"
    file.touch()
    given = {"fresh": False, "weights": file}
    settings = Config(model="deepgaze", encoder="small", scanpath=True, missing="centre")
    with pytest.raises(restore.UsageError, match="--missing none, this run has centre"):
        restore.find_start(Run(tmp_path, "x"), CORPUS, settings, **given)
    settings = dataclasses.replace(settings, missing="none")
    assert (
        restore.find_start(Run(tmp_path, "x"), CORPUS, settings, **given).checkpoint.weights == file
    )
