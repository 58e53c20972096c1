import dataclasses
import json
import logging
import types

import keras
import numpy as np
import pytest
from helpers import one_line
from networks import one_device, tiny
from run_files import lay_flat, save_best
from sample_files import sample

from batches.keys import prepare
from batches.pipeline import batches
from batches.tasks import TASKS
from config import Config, read
from errors import UsageError
from formats.fixations import table
from model.checkpoints import folders, restore
from model.checkpoints.keeper import Keeper
from model.checkpoints.lineage import refuse_seen
from model.checkpoints.runs import Run, chain_of, chosen, link, read_about, run_name, with_best
from model.training.optimizer import make
from model.training.trainer import Data, Interrupted, Progress, fit

NOWHERE = restore.Start("")


def named(name, initial=None, own=False, stimuli=()):
    """A corpus of a name."""
    return types.SimpleNamespace(name=name, initial=initial, own=own, stimuli=stimuli)


CORPUS = named("own")


def saved(run, more=(), **config):
    about = {"corpus": "own", "config": {"encoder": "small", **config}, "size": [8, 8], "epoch": 1}
    save_best(run, tiny(), {**about, **dict(more)})
    return run


def start(run, settings=None, corpus=CORPUS, fresh=False, weights=None):
    settings = settings or Config(encoder="small")
    return restore.find_start(run, corpus, settings, fresh=fresh, weights=weights)


def keeper_of(run, model, begun=NOWHERE, about=None, minutes=0.0):
    return Keeper(run, model, begun, about or {"config": {}}, 0, minutes, lambda *_: None)


def save_latest(run, begun, progress, model=None):
    keeper_of(run, model or tiny(), begun).save(progress)


def test_the_order_of_candidates(tmp_path):
    run = Run(tmp_path, "msinet_own")
    corpus = named("own", "first")
    saved(Run(tmp_path, "msinet_first"))
    file = tmp_path / "mine.weights.h5"
    file.touch()
    assert start(run).checkpoint is None
    assert start(run, corpus=corpus).checkpoint == Run(tmp_path, "msinet_first").best
    assert start(run, corpus=corpus).initial == "msinet_first"
    assert start(run, corpus=corpus, weights=file).checkpoint.weights == file
    save_latest(run, start(run, corpus=corpus, weights=file), Progress(epoch=3))
    found = start(run, corpus=corpus, weights=file)
    assert found.resume and found.checkpoint.folder == run.latest / "000001"
    assert found.line == "msinet_own's latest checkpoint after 3 epochs"
    assert not start(run, corpus=corpus, weights=file, fresh=True).resume


def test_initial_none_and_another_corpus(tmp_path):
    run = Run(tmp_path, "msinet_own")
    corpus = named("own", "first")
    with one_line("first run python main.py train -d first, or .*--initial"):
        start(run, corpus=corpus)
    assert start(run, Config(encoder="small", initial="none"), corpus).checkpoint is None
    other = saved(Run(tmp_path, "msinet_other"))
    assert start(run, Config(encoder="small", initial="other"), corpus).checkpoint == other.best
    assert (
        start(run, Config(encoder="small", initial="msinet_other"), corpus).checkpoint == other.best
    )


def test_weights_of_another_encoder_are_refused(tmp_path):
    saved(Run(tmp_path, "msinet_first"))
    with pytest.raises(UsageError, match="was trained with --encoder small, this run has vgg16"):
        start(Run(tmp_path, "x"), Config(initial="first"))


def test_a_changed_configuration_names_what_differs(tmp_path):
    run = Run(tmp_path, "msinet_own")
    before = start(run, Config(encoder="small", seed=1, size=(64, 96)))
    save_latest(run, before, Progress(epoch=1))
    with pytest.raises(UsageError) as error:
        start(run, Config(encoder="small", seed=2, epochs=50))
    assert "seed 1 (now 2), size 64x96 (now None)" in str(error.value)
    assert "epochs" not in str(error.value) and "--fresh" in str(error.value)


def test_a_run_does_not_go_on_with_other_fixations(tmp_path):
    """Of the same pictures; a state of before they were told apart goes on."""
    run, sides = Run(tmp_path, "r"), ([], [])
    save_latest(run, restore.on_pictures(start(run), run, CORPUS, *sides, "a"), Progress(epoch=1))
    assert restore.on_pictures(start(run), run, CORPUS, *sides, "a").resume
    with pytest.raises(UsageError, match="r was trained with fixations a .now b."):
        restore.on_pictures(start(run), run, CORPUS, *sides, "b")
    save_latest(run, restore.on_pictures(start(run), run, CORPUS, *sides), Progress(epoch=1))
    assert restore.on_pictures(start(run), run, CORPUS, *sides, "b").resume


def test_checkpoints_of_before_there_was_a_field_go_on(tmp_path, monkeypatch):
    """A field that they do not have has its default there; no initial weights are known of them."""
    run, settings = Run(tmp_path, "msinet_own"), Config(encoder="small", initial="first")
    saved(Run(tmp_path, "msinet_first"))
    whole = restore.fingerprint_of
    lacking = ("hold_out", "prior")
    monkeypatch.setattr(
        restore, "fingerprint_of",
        lambda *given: {k: v for k, v in whole(*given).items() if k not in lacking},
    )  # fmt: skip
    begun = dataclasses.replace(start(run, settings), source=None)
    save_latest(run, begun, Progress(epoch=1))
    monkeypatch.undo()
    given = {"fresh": False, "weights": None, "follow_initial": True}
    assert restore.find_start(run, CORPUS, settings, **given).resume
    with pytest.raises(UsageError, match="hold_out 0 .now 3"):
        start(run, dataclasses.replace(settings, hold_out=3))


def test_a_checkpoint_brings_back_weights_optimizer_and_progress(tmp_path):
    run, model = Run(tmp_path, "r"), tiny()
    model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    history = [{"epoch": 1}, {"epoch": 2, "loss": 0.1}]
    progress = Progress(2, 5, {"loss": 1 / 3, "weight": 20.0}, best=0.25, history=history)
    save_latest(run, start(run), progress, model)
    assert start(run).line == "r's latest checkpoint after 2 epochs and 5 steps"
    again = tiny()
    found = restore.begin(
        restore.Start("", checkpoint=folders.newest(run.latest), resume=True), again
    )
    assert found == progress
    for a, b in zip(model.weights + model.optimizer.variables,
                    again.weights + again.optimizer.variables, strict=True):  # fmt: skip
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert int(again.optimizer.iterations) == 1


def test_best_weights_of_before_are_found_by_every_name(tmp_path):
    run = saved(Run(tmp_path, "msinet_first"), chained("msinet_first", **{"1": "f1"}))
    lay_flat(run.best_place)
    lay_flat(saved(Run(tmp_path, "older")).best_place)
    saved(Run(tmp_path, "now"))
    flat = tmp_path / "ckpts/best/msinet_first.weights.h5"
    assert run.best.weights == flat and [*with_best(tmp_path)] == ["msinet_first", "now", "older"]
    assert chosen(tmp_path, "msinet_first") == (run, read_about(run))
    settings = Config(encoder="small", initial="first")
    wanted = (link("msinet_first", "own", {"1": "f1"}),)
    for given in ({"settings": settings}, {"weights": flat}, {"weights": run.best_place}):
        begun = start(Run(tmp_path, "r"), **given)
        assert begun.checkpoint == run.best and begun.chain == wanted
    for path in (run.best_place, run.best.record):
        assert read(folders.record_of(path)) == {"encoder": "small"}
    again = saved(run)  # and go with what comes in their place
    assert again.best.folder == tmp_path / "ckpts/best/msinet_first/000001"
    assert not flat.exists() and [*with_best(tmp_path)] == ["msinet_first", "now", "older"]


def test_a_configuration_is_read_from_a_checkpoint_and_from_files(tmp_path):
    run = saved(Run(tmp_path, "r"))
    for path in (run.best_place, run.best.folder, run.best.record):
        assert read(folders.record_of(path)) == {"encoder": "small"}
    file = tmp_path / "own.yaml"
    file.write_text("epochs: 3")
    assert folders.record_of(file) == file and folders.record_of(None) is None
    with one_line("--config .*none.yaml"):
        read(folders.record_of(tmp_path / "none.yaml"))


def test_a_run_of_before_goes_on(tmp_path):
    """Its latest checkpoint has Keras' file of weights, and calls the fingerprint a shape."""
    run, model, settings = Run(tmp_path, "r"), tiny(), Config(encoder="small", epochs=7)
    model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    progress, before = Progress(2, 5, {"loss": 1.0}, 0.25, [{"epoch": 1}]), [link("a", "A", {})]
    fingerprint = restore.fingerprint_of(CORPUS, settings, None)
    del fingerprint["hold_out"]
    record = {"shape": fingerprint, "chain": before, "epochs": 7, "initial": "a", "source": "s"}
    record |= {"began": None, "split": SPLIT, "progress": dataclasses.asdict(progress)}
    folders.save(run.latest, {
        "model.weights.h5": model.save_weights,
        "state.json": lambda path: path.write_text(json.dumps(record)),
    })  # fmt: skip
    begun = start(run, settings)
    assert (begun.resume, begun.chain, begun.epochs, begun.split) == (True, (*before,), 7, SPLIT)
    again = tiny()
    assert restore.begin(begun, again) == progress
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for one, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    with one_line("hold_out 0 .now 3"):
        start(run, dataclasses.replace(settings, hold_out=3))
    unknown, *rest = start(Run(tmp_path, "x"), settings, weights=run.latest).chain
    assert unknown["train"] is None and rest == before
    save_latest(run, begun, progress, again)
    assert start(run, settings).chain == begun.chain[1:]  # of whose own link it has none here


def test_weights_come_without_the_optimizers_state(tmp_path):
    run, model = Run(tmp_path, "r"), tiny()
    model.optimizer.apply([np.ones(w.shape, "f4") for w in model.trainable_variables])
    about = {"corpus": "own", "config": {}, "size": [8, 8], "epoch": 1}
    save_best(run, model, about)
    again = tiny()
    restore.begin(restore.Start("", checkpoint=run.best), again)
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
    assert int(again.optimizer.iterations) == 0
    assert read_about(run) == {**about, "address": "own"}


def test_the_newest_best_weights_are_chosen(tmp_path):
    import os

    with pytest.raises(UsageError, match="no weights; first run python main.py train -d"):
        chosen(tmp_path, None)
    for age, name in enumerate(("b", "a", "c")):
        os.utime(saved(Run(tmp_path, name)).best.weights, (1000 - age, 1000 - age))
    assert chosen(tmp_path, None)[0].name == "b"
    assert chosen(tmp_path, "c")[0].name == "c"
    with pytest.raises(UsageError, match="no weights of d, only of"):
        chosen(tmp_path, "d")


def test_pictures_keep_their_folders(tmp_path):
    run = Run(tmp_path, "r")
    assert run.picture("Action/001.jpg", ".png") == tmp_path / "images/r/Action/001.png"


def test_the_encoders_weights_are_left_out_where_others_follow(tmp_path):
    assert restore.Start("").encoder_weights(Config()) == "imagenet"
    assert restore.Start("").encoder_weights(Config(encoder="small")) == "none"
    assert restore.Start("").encoder_weights(Config(encoder_weights="hed")) == "hed"
    other = restore.Start("", checkpoint=folders.beside(tmp_path))
    assert other.encoder_weights(Config(encoder_weights="hed")) == "none"


def test_the_files_of_a_run(tmp_path):
    run = Run(tmp_path, "deepgaze_own")
    assert run.metrics == tmp_path / "reports/deepgaze_own.metrics.json"
    assert run.page == tmp_path / "reports/deepgaze_own.html"
    assert run.on("other").page == tmp_path / "reports/deepgaze_own_on_other.html"
    saved(run)
    assert run.best.centre_bias == tmp_path / "ckpts/best/deepgaze_own/000001/centre_bias.h5"
    assert chosen(tmp_path, None)[0] == run
    assert run_name("deepgaze_own", 10, 3) == "deepgaze_own_fold3of10"
    assert run_name("deepgaze_own") == "deepgaze_own"


@pytest.mark.parametrize("name", ["../x", ".", "a/b", "", ".hidden"])
def test_a_run_may_not_leave_its_folders(tmp_path, name):
    with pytest.raises(UsageError, match="must be letters.*; --name NAME calls"):
        Run(tmp_path, name)


def samples(*names, **digests):
    return [types.SimpleNamespace(name=name, digest=digests.get(name, "")) for name in names]


def test_a_run_does_not_go_on_with_other_pictures(tmp_path):
    run = Run(tmp_path, "r")
    fresh = restore.on_pictures(start(run), run, CORPUS, samples("a", "b"), samples("c"))
    save_latest(run, fresh, Progress(epoch=1))
    assert restore.on_pictures(start(run), run, CORPUS, samples("a", "b"), samples("c")).resume
    with pytest.raises(UsageError, match=r"pictures 2\+1 of \w{8} \(now 1\+2 of \w{8}\)"):
        restore.on_pictures(start(run), run, CORPUS, samples("a"), samples("b", "c"))


def test_encoder_weights_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="--encoder-weights /no: no such file; allowed are"):
        start(Run(tmp_path, "r"), Config(encoder_weights="/no"))


SPLIT = {"origin": "val.txt", "train": {"a": ""}, "valid": {"b": ""}, "test": {}}
DAMAGES = {
    "corpus": 3, "config": None, "size": ["64", 64], "epoch": "1", "address": 4, "train": "a",
    "split": {**SPLIT, "test": None}, "chain": [{"run": "r", "corpus": "own"}],
}  # fmt: skip


@pytest.mark.parametrize("key", DAMAGES)
def test_a_damaged_json_beside_weights(tmp_path, key):
    run = saved(Run(tmp_path, "r"))
    path = run.best.record
    about = {"corpus": "own", "config": {}, "size": [64, 64], "epoch": 1, "split": SPLIT}
    path.write_text(json.dumps(about))
    assert read_about(run)["split"] == SPLIT
    path.write_text(json.dumps({**about, key: DAMAGES[key]}))
    with pytest.raises(UsageError, match=f"damaged, it has no {key}; move it"):
        read_about(run)


@pytest.mark.parametrize("content", ["null", "[]", "{}"])
def test_a_json_of_something_else_beside_weights(tmp_path, content):
    run = saved(Run(tmp_path, "r"))
    run.best.record.write_text(content)
    with pytest.raises(UsageError, match="damaged, it has no corpus"):
        read_about(run)


def chained(name, corpus="own", initial=None, **train):
    """What the JSON of a run says that was trained on these pictures."""
    before = chain_of(initial, "") if initial else []
    return {"chain": [link(name, corpus, train), *before]}


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, "--model msinet, this run has deepgaze"),  # as its first version wrote it
        ({"model": "deepgaze", "encoder": "vgg16"}, "--encoder vgg16, this run has small"),
        ({"model": "deepgaze", "mixture": 10}, "--mixture 10, this run has 1"),
        ({"model": "deepgaze", "scanpath": True}, "with --scanpath, this run has none"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path, config, wanted):
    run = saved(Run(tmp_path, "before"), **config)
    settings = Config(model="deepgaze", encoder="small", initial="before")
    with pytest.raises(UsageError, match=f"^before was trained {'with ' * ('has' in wanted)}.*"):
        start(Run(tmp_path, "x"), settings)
    with one_line(wanted):
        start(Run(tmp_path, "x"), Config(model="deepgaze", encoder="small"), weights=run.best_place)


def test_an_initial_corpus_means_the_same_model(tmp_path):
    corpus = named("own", "first")
    settings = Config(model="deepgaze", encoder="small", scanpath=True)
    saved(Run(tmp_path, "msinet_first"))
    with one_line("none of deepgaze; first run .* -d first -m deepgaze,"):
        start(Run(tmp_path, "deepgaze_own"), settings, corpus)
    first = saved(Run(tmp_path, "deepgaze_first"), model="deepgaze")
    assert start(Run(tmp_path, "deepgaze_own"), settings, corpus).checkpoint == first.best


def test_published_weights_are_of_deepgaze(tmp_path):
    file = tmp_path / "deepgaze3.pth"
    file.touch()
    run = Run(tmp_path, "r")
    with pytest.raises(UsageError, match="are of deepgaze, this run is msinet"):
        start(run, weights=file)
    found = start(run, Config(model="deepgaze", encoder="densenet201"), weights=file)
    assert found.encoder_weights(Config(encoder="densenet201")) == "none"
    own = Config(model="deepgaze", encoder="densenet201", encoder_weights="imagenet")
    assert start(run, own, weights=file).encoder_weights(own) == "imagenet"


def test_the_chain_goes_along_with_weights_and_checkpoints(tmp_path):
    """From a first run over a second, cut and resumed, to a third that starts from its file."""
    first, second, third = (Run(tmp_path, name) for name in ("msinet_a", "b", "c"))
    begun = restore.on_pictures(start(first), first, named("A"), samples("1", **{"1": "f1"}), [])
    about = {"corpus": "A", "config": {"encoder": "small"}, "size": [8, 8]}
    keep(first, begun, about)
    settings = Config(encoder="small", initial="a")
    begun = restore.on_pictures(
        start(second, settings), second, named("B"), samples("2"), samples("3")
    )
    keep(second, begun, {**about, "corpus": "B"}, improved=False)
    first.best.weights.unlink()
    resumed = start(second, settings)
    assert resumed.resume and resumed.initial == "msinet_a"
    resumed = restore.on_pictures(resumed, second, named("B"), samples("2"), samples("3"))
    keep(second, resumed, {**about, "corpus": "B"})
    wanted = [link("b", "B", {"2": ""}), link("msinet_a", "A", {"1": "f1"})]
    assert read_about(second)["chain"] == wanted
    assert read_about(second)["initial"] == "msinet_a"
    assert list(start(third, weights=second.best_place).chain) == wanted


def keep(run, begun, about, improved=True):
    epoch = int(begun.checkpoint.folder.name) + 1 if begun.resume else 1
    progress = Progress(epoch, best=0.5, history=[{"epoch": epoch}])
    keeper_of(run, tiny(), begun, about).epoch(progress, improved)


def test_what_an_initial_run_was_trained_on_does_not_validate(tmp_path):
    saved(Run(tmp_path, "msinet_a"), chained("msinet_a", **{"1": "", "2": ""}))
    run = Run(tmp_path, "r")
    begun = start(run, Config(encoder="small", initial="a"))
    restore.on_pictures(begun, run, CORPUS, samples("1", "2"), samples("3"))
    with pytest.raises(UsageError, match="^r cannot be validated: msinet_a was trained on 1 of"):
        restore.on_pictures(begun, run, CORPUS, samples("1"), samples("2", "3"))


def test_pictures_that_were_seen_are_refused():
    first = chained("first", "A", **{"1": "f1", "2": ""})
    about = chained("second", "B", initial=first, **{"3": "f3"})
    fine = [("A", samples("3", "4")), ("B", samples("1", "2", "4")), ("C", samples("1", "2", "3"))]
    for corpus, tested in fine:
        refuse_seen(about, named(corpus), tested, "second cannot be tested")
    with one_line() as error:
        refuse_seen(about, named("A"), samples("4", "2", "1"), "second cannot be tested")
    text = "second cannot be tested: first was trained on 2 of the 3 pictures, first '2', the same "
    assert str(error.value).startswith(text)
    with pytest.raises(UsageError, match="second was trained on 1 of the 1 pictures, first '3'"):
        refuse_seen(about, named("B"), samples("3"), "")


def test_two_folders_of_one_name_are_told_apart_by_their_pictures():
    about = chained("r", "study", **{"1": "f1", "2": "f2"})
    study, known = named("study", own=True), samples("1", "9", **{"1": "f1"})
    with one_line("r was trained on 1 of the 1 pictures, first '2'"):
        refuse_seen(about, study, samples("2", **{"2": "new"}), "", known=known)
    other = samples("1", **{"1": "g1"})
    refuse_seen(about, study, samples("2", **{"2": "g2"}), "", known=other)
    with one_line("first '7'"):
        refuse_seen(about, study, samples("7", **{"7": "f2"}), "", known=other)


def test_a_picture_that_was_renamed_is_known_by_its_pixels():
    about = chained("r", "A", **{"1": "f1", "2": "f2"})
    tested = samples("9", **{"9": "f1"})
    with one_line("first '9', the same by pixels"):
        refuse_seen(about, named("A", stimuli=("2", "9")), tested, "")
    # where it is there under its own name, too, the split has it twice
    refuse_seen(about, named("A", stimuli=("1", "2", "9")), tested, "")


def test_runs_of_before_have_the_path_of_a_folder_for_its_name(tmp_path):
    run = saved(Run(tmp_path, "r"), {"corpus": "/home/me/Study"})
    assert read_about(run)["corpus"] == "study"
    assert read_about(run)["address"] == "/home/me/Study"
    about = chained("r", "/home/me/Study", **{"1": "f1"})
    with one_line("first '1'"):
        refuse_seen(about, named("study"), samples("1"), "")


TRUTH = "ab" * 8


def split(**digests):
    return {"origin": "a list", "train": digests, "valid": {"v": "c" * 32}, "test": {}}


def test_what_changed_is_named(tmp_path):
    run = Run(tmp_path, "r")
    sides, before = (samples("a", "b"), samples("v")), split(a="0" * 32, b="1" * 16 + TRUTH, z="")
    begun = restore.on_pictures(start(run), run, CORPUS, *sides, split=before)
    save_latest(run, begun, Progress(epoch=1))
    assert start(run).split == before
    same = restore.on_pictures(start(run), run, CORPUS, *sides, split={**before, "origin": "x"})
    assert same.split == before
    truth, picture = "its fixations, map or blur", "the picture itself"
    for digest, said in (("1" * 16 + "0" * 16, truth), ("2" * 16 + TRUTH, picture), ("", truth)):
        now = split(a="0" * 32, b=digest, z="5" * 32)
        with one_line(rf"1 pictures have changed since, first 'b' \({said}.*--fresh"):
            restore.on_pictures(start(run), run, CORPUS, *sides, split=now)


def test_a_copied_picture_is_known_by_its_content():
    about = chained("r", "A", **{"1": "f1", "2": ""})
    with pytest.raises(UsageError, match="r was trained on 1 of the 2 pictures, first 'copy'"):
        refuse_seen(about, named("B"), samples("x", "copy", copy="f1"), "")


def test_it_is_said_that_copies_saved_anew_are_not_noticed(caplog):
    about = chained("r", "A", **{"1": "f1", "2": "f2", "3": ""})
    one, other = (named(name) for name in "AB")
    with caplog.at_level(logging.INFO):
        refuse_seen(about, one, samples("x"), "")
        assert not caplog.records
        refuse_seen(about, other, samples("x", "anew"), "")
    said = "none of the 2 pictures is, pixel by pixel, one of 2 of other corpora"
    assert said in caplog.text and "copies that were scaled or saved anew are not" in caplog.text
    for corpus, names, by in ((one, {"1": "f9"}, "name"), (other, {"copy": "f1"}, "pixels")):
        with one_line(f"the same by {by}; take others, or weights that have not seen them"):
            refuse_seen(about, corpus, samples(*names, **names), "")


def test_unknown_pictures_are_warned_of(tmp_path, caplog):
    """What has no JSON, or one without names, and what an old JSON does not say of its initial."""
    file = tmp_path / "foreign.weights.h5"
    file.touch()
    begun = start(Run(tmp_path, "r"), weights=file)
    refuse_seen({"chain": begun.chain}, named("own"), samples("1", "2"), "")
    assert f"which pictures {file} was trained on is not known" in caplog.text
    caplog.clear()
    old = {"corpus": "own", "train": ["1"], "initial": "msinet_older"}
    with caplog.at_level(logging.WARNING):
        refuse_seen(old, named("own"), samples("2"), "")
    assert len(caplog.records) == 1 and "which pictures msinet_older was" in caplog.text
    with pytest.raises(UsageError, match="trained on 1 of the 2"):
        refuse_seen(old, named("own"), samples("2", "1"), "")
    caplog.clear()
    refuse_seen({**old, "initial": None}, CORPUS, samples("2"), "")
    assert not caplog.records


SIZE = (8, 12)
LOOKED = [(3, 2), (5, 5), (9, 1), (7, 7), (2, 6)]  # five fixations on each picture


# Of each part of a run how many epochs it is to have, how it ends, at which question; and how far
# the run is then. An epoch asks five times whether to stop: before three steps and two batches of
# validation.
DONE = ((1, None, None), (1, 0))  # then there are to be more
KILLED = ((3, KeyboardInterrupt, 3), (1, 2))  # in the third step, after a state of the second
IN_VALIDATION = ((3, Interrupted, 3), (1, 3))
IN_THE_NEXT_EPOCH = ((3, Interrupted, 4), (2, 2))
WHOLE = ((3, None, None), (3, 0))
COSINE, MULTISTEP = ("cosine", 0, 2), ("multistep", 3, 1)  # with histories


@pytest.mark.parametrize(
    ("setting", "cuts"),
    [
        pytest.param(COSINE, [DONE, IN_VALIDATION, WHOLE], id="cosine"),
        pytest.param(MULTISTEP, [DONE, KILLED, WHOLE], id="multistep"),
        *(
            pytest.param(
                setting,
                [DONE, KILLED, IN_VALIDATION, IN_THE_NEXT_EPOCH, WHOLE],
                id=f"{setting[0]}, all cuts",
                marks=pytest.mark.slow,
            )
            for setting in (COSINE, MULTISTEP)
        ),
    ],
)
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, setting, cuts):
    """Bit for bit: weights, averages, moments, history; with warm-up, clipping and an average."""
    course, group, accumulate = setting
    settings = Config(
        schedule=course, milestones=(2,) if course == "multistep" else (), warmup=0.5, clip=0.5,
        average=0.9, learning_rate=0.05, epochs=3, batch_size=2, accumulate=accumulate,
    )  # fmt: skip
    work = pictures(tmp_path, group)
    whole = ran(tmp_path, "whole", settings, work, [WHOLE[0]])
    parts = ran(tmp_path, "parts", settings, work, [part for part, _ in cuts])
    assert [(p.epoch, p.step) for p in parts[2]] == [far for _, far in cuts]
    assert whole[1] == parts[1] and len(whole[1]) == 3
    assert all(row["loss"] > 0 for row in whole[1])
    for a, b in zip(whole[0], parts[0], strict=True):
        np.testing.assert_array_equal(a, b)


def pictures(folder, group):
    """What a run trains on, as the program has it: five pictures and three."""
    (folder / "pictures").mkdir()
    drawn = [sample(folder / "pictures", (8 + i, 12), LOOKED, i) for i in range(8)]
    rows = table(*np.float64(LOOKED).T, 0, scanpath=0)
    task = {"task": TASKS["scanpaths" if group else "free viewing"], "group": group}
    drawn = [dataclasses.replace(each, table=rows) for each in drawn]

    def train(epoch, skip, share):
        order = {"seed": 3, "epoch": epoch, "flip": True, "skip": skip, "share": share}
        return batches(drawn[:5], SIZE, 2, **order, **task)

    def valid(share):
        return batches(drawn[5:], SIZE, 2, seed=0, share=share, **task)

    return Data(train, valid, prepare, 3, [str(i) for i in range(25)])


def network(group, optimizer):
    """A compiled model of pictures, and of histories where there is a group of fixations."""
    keras.utils.set_random_seed(1)
    inputs = {"image": keras.Input((*SIZE, 3), name="image")}
    x = keras.layers.Conv2D(2, 3, padding="same", name="seen")(inputs["image"] / 255)
    if group:
        inputs["history"] = keras.Input((4, 2), name="history")
        told = keras.ops.nan_to_num(keras.layers.Flatten()(inputs["history"])) / 12
        told = keras.layers.Dense(2, name="told")(told)[:, None, None]
        x = keras.ops.tanh(keras.ops.repeat(x, group, axis=0) + told)
    logits = keras.layers.Conv2D(1, 3, padding="same", name="logits")(x)
    model = keras.Model(inputs, {"logits": logits})
    model.compile(optimizer=optimizer)
    return model


def ran(folder, name, settings, data, cuts):
    """A run in so many parts, each from the files of the one before: its state, its history, and
    how far the run was after each part.

    cuts: for each part how many epochs it is to have, and how it ends at which question.
    """
    run, strategy, far = Run(folder, name), one_device(), []
    for epochs, end, question in cuts:
        asked = []

        def stop(end=end, question=question, asked=asked):
            asked.append(1)
            if len(asked) == question and end is KeyboardInterrupt:
                raise end
            return len(asked) == question

        begun = start(run, settings)
        with strategy.scope():
            group = tuple(data.valid((0, 1, 1)).element_spec["id"].shape[1:])
            model = network(group[0] if group else 0, make(settings, data.steps))
            progress = restore.begin(begun, model)
        # One that is killed has a state after each step.
        keeper = keeper_of(run, model, begun, minutes=1e-9 * (end is KeyboardInterrupt))
        accumulate = {"accumulate": settings.accumulate, "stop": stop}
        fitting = (strategy, model, data, {"nll": 1.0}, [], epochs, progress, keeper)
        if end is None:
            fit(*fitting, **accumulate)
        else:
            with pytest.raises(end):
                fit(*fitting, **accumulate)
        far.append(progress)
    return [v.numpy() for v in [*model.weights, *model.optimizer.variables]], progress.history, far
