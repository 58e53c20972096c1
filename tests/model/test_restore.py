import json
import types

import keras
import numpy as np
import pytest

from config import Config, UsageError
from model import restore
from model.runs import Run, chosen, read_about
from model.trainer import Progress


def tiny(units=3):
    inputs = keras.Input((4,), name="image")
    model = keras.Model({"image": inputs}, {"logits": keras.layers.Dense(units, name="d")(inputs)})
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    model.optimizer.build(model.trainable_variables)
    return model


CORPUS = types.SimpleNamespace(name="own", reference="own", initial=None)


def saved(run, **config):
    about = {"corpus": "own", "config": {"encoder": "small", **config}, "size": [8, 8], "epoch": 1}
    restore.save_weights(run.best, tiny(), about)
    return run


def start(run, settings=None, corpus=CORPUS, fresh=False, weights=None):
    settings = settings or Config(encoder="small")
    return restore.find_start(run, corpus, settings, fresh=fresh, weights=weights)


def test_the_order_of_candidates(tmp_path):
    run = Run(tmp_path, "msinet_own")
    corpus = types.SimpleNamespace(name="own", reference="own", initial="first")
    saved(Run(tmp_path, "msinet_first"))
    file = tmp_path / "mine.weights.h5"
    file.touch()
    assert start(run).path is None
    assert start(run, corpus=corpus).path == Run(tmp_path, "msinet_first").best
    assert start(run, corpus=corpus).initial == "msinet_first"
    assert start(run, corpus=corpus, weights=file).path == file
    shape = start(run, corpus=corpus, weights=file).shape
    restore.save_state(run, tiny(), shape, Progress(epoch=3))
    found = start(run, corpus=corpus, weights=file)
    assert found.resume and found.path == run.latest / "000003"
    assert not start(run, corpus=corpus, weights=file, fresh=True).resume


def test_initial_none_and_another_corpus(tmp_path):
    run = Run(tmp_path, "msinet_own")
    corpus = types.SimpleNamespace(name="own", reference="own", initial="first")
    with pytest.raises(UsageError, match="first run python main.py train -d first, or .*--initial"):
        start(run, corpus=corpus)
    assert start(run, Config(encoder="small", initial="none"), corpus).path is None
    other = saved(Run(tmp_path, "msinet_other"))
    assert start(run, Config(encoder="small", initial="other"), corpus).path == other.best
    assert start(run, Config(encoder="small", initial="msinet_other"), corpus).path == other.best


def test_weights_of_another_encoder_are_refused(tmp_path):
    saved(Run(tmp_path, "msinet_first"))
    with pytest.raises(UsageError, match="was trained with --encoder small, this run has vgg16"):
        start(Run(tmp_path, "x"), Config(initial="first"))


def test_a_changed_configuration_names_what_differs(tmp_path):
    run = Run(tmp_path, "msinet_own")
    before = start(run, Config(encoder="small", seed=1, size=(64, 96)))
    restore.save_state(run, tiny(), before.shape, Progress(epoch=1))
    with pytest.raises(UsageError) as error:
        start(run, Config(encoder="small", seed=2, epochs=50))
    assert "seed 1 (now 2), size 64x96 (now None)" in str(error.value)
    assert "epochs" not in str(error.value) and "--fresh" in str(error.value)


def test_a_state_brings_back_weights_optimizer_and_progress(tmp_path):
    run, model = Run(tmp_path, "r"), tiny()
    model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    progress = Progress(epoch=2, best=0.25, history=[{"epoch": 1}, {"epoch": 2, "loss": 0.1}])
    restore.save_state(run, model, {}, progress)
    again = tiny()
    found = restore.begin(restore.Start("", {}, run.latest / "000002", resume=True), again)
    assert found == progress
    for a, b in zip(model.weights + model.optimizer.variables,
                    again.weights + again.optimizer.variables, strict=True):  # fmt: skip
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert int(again.optimizer.iterations) == 1


def test_weights_come_without_the_optimizers_state(tmp_path):
    run, model = Run(tmp_path, "r"), tiny()
    model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    about = {"corpus": "own", "config": {}, "size": [8, 8], "epoch": 1}
    restore.save_weights(run.best, model, about)
    again = tiny()
    restore.begin(restore.Start("", {}, run.best), again)
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
    assert int(again.optimizer.iterations) == 0
    assert read_about(run) == about


def test_a_cut_while_saving_leaves_the_state_before(tmp_path, monkeypatch):
    run, model = Run(tmp_path, "r"), tiny()
    restore.save_state(run, model, {}, Progress(epoch=1))

    def cut(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "write_json", cut)
    with pytest.raises(KeyboardInterrupt):
        restore.save_state(run, model, {}, Progress(epoch=2))
    monkeypatch.undo()
    assert restore.newest(run) == run.latest / "000001"
    restore.save_state(run, model, {}, Progress(epoch=2))
    assert [p.name for p in run.latest.iterdir()] == ["000002"]


def test_weights_of_another_model_are_one_line(tmp_path):
    run = saved(Run(tmp_path, "r"))
    with pytest.raises(UsageError, match="not the weights of") as error:
        restore.load_weights(restore.bare(tiny(units=5)), run.best)
    assert "\n" not in str(error.value)


def test_keeper_writes_history_best_and_asked_epochs(tmp_path):
    run, rows = Run(tmp_path, "r"), []
    about = {"corpus": "own", "config": {}, "size": [8, 8]}
    keeper = restore.Keeper(run, tiny(), {}, about, 2, lambda p, h: rows.append(len(h)))
    keeper.keep(Progress(1, 0.5, [{"epoch": 1}]), improved=True)
    keeper.keep(Progress(2, 0.5, [{"epoch": 1}, {"epoch": 2}]), improved=False)
    assert rows == [1, 2]
    assert read_about(run)["epoch"] == 1
    assert json.loads((tmp_path / "ckpts/epochs/r/0002.json").read_text())["epoch"] == 2
    assert not run.epoch(1).exists()


def test_the_newest_best_weights_are_chosen(tmp_path):
    import os

    with pytest.raises(UsageError, match="no weights; first run python main.py train -d"):
        chosen(tmp_path, None)
    for age, name in enumerate(("b", "a", "c")):
        os.utime(saved(Run(tmp_path, name)).best, (1000 - age, 1000 - age))
    assert chosen(tmp_path, None)[0].name == "b"
    assert chosen(tmp_path, "c")[0].name == "c"
    with pytest.raises(UsageError, match="no weights of d, only of"):
        chosen(tmp_path, "d")


def test_pictures_keep_their_folders(tmp_path):
    run = Run(tmp_path, "r")
    assert run.picture("Action/001.jpg", ".png") == tmp_path / "images/r/Action/001.png"


def test_the_encoders_weights_are_left_out_where_others_follow(tmp_path):
    assert restore.Start("", {}).encoder_weights(Config()) == "imagenet"
    assert restore.Start("", {}).encoder_weights(Config(encoder="small")) == "none"
    assert restore.Start("", {}).encoder_weights(Config(encoder_weights="hed")) == "hed"
    assert restore.Start("", {}, tmp_path).encoder_weights(Config(encoder_weights="hed")) == "none"


@pytest.mark.parametrize("name", ["../x", ".", "a/b", "", ".hidden"])
def test_a_run_may_not_leave_its_folders(tmp_path, name):
    with pytest.raises(UsageError, match="--name .* must be letters"):
        Run(tmp_path, name)


def test_saving_deletes_states_alone(tmp_path):
    run = Run(tmp_path, "r")
    run.latest.mkdir(parents=True)
    (run.latest / "thesis.txt").touch()
    for epoch in (1, 2):
        restore.save_state(run, tiny(), {}, Progress(epoch=epoch))
    assert sorted(p.name for p in run.latest.iterdir()) == ["000002", "thesis.txt"]


def test_a_run_does_not_go_on_with_other_pictures(tmp_path):
    run = Run(tmp_path, "r")
    fresh = restore.on_pictures(start(run), run, ["a", "b"], ["c"])
    restore.save_state(run, tiny(), fresh.shape, Progress(epoch=1))
    assert restore.on_pictures(start(run), run, ["a", "b"], ["c"]).resume
    with pytest.raises(UsageError, match=r"pictures 2\+1 of \w{8} \(now 1\+2 of \w{8}\)"):
        restore.on_pictures(start(run), run, ["a"], ["b", "c"])


def test_encoder_weights_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="--encoder-weights /no: no such file; allowed are"):
        start(Run(tmp_path, "r"), Config(encoder_weights="/no"))


def test_a_damaged_json_beside_weights(tmp_path):
    run = saved(Run(tmp_path, "r"))
    (tmp_path / "ckpts/best/r.json").write_text("{}")
    with pytest.raises(UsageError, match="damaged, it has no corpus"):
        read_about(run)
