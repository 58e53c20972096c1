"""Training of every kind, run as a user runs it, with the small encoder on a small corpus."""

import json
import types

import pytest
import tensorflow as tf
from conftest import SMALL, make_own
from helpers import about, arrays, history, one_line, run
from PIL import Image, ImageFilter
from run_files import newest

from errors import UsageError
from formats.pictures import decode
from model.checkpoints import folders

pytestmark = pytest.mark.usefixtures("quick")
GAZE = ("-m", "deepgaze", *SMALL)


def train(cli, own, results, *more):
    code, out, err = cli("train", "-d", own, "--results", results, *more)
    assert (code, err) == (0, "")
    return out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_own(tmp_path_factory.mktemp("corpus") / "own")


@pytest.fixture(scope="module")
def gaze(corpus, tmp_path_factory, quick):
    """Results with a spatial model of two epochs, to which tests add runs of other names."""
    results = tmp_path_factory.mktemp("gaze")
    assert run("train", "-d", corpus, "--results", results, *GAZE, "--epochs", "2") == 0
    return results


@pytest.fixture(scope="module")
def folds(corpus, tmp_path_factory, quick):
    """Results with a run of one epoch for each of three folds."""
    results = tmp_path_factory.mktemp("folds")
    more = (*SMALL, "--folds", "3", "--epochs", "1", "--metrics", "cc")
    assert run("train", "-d", corpus, "--results", results, *more) == 0
    return results


def test_frozen_features_are_computed_once_for_all_runs(cli, corpus, gaze):
    assert len([*gaze.glob("cache/features/small-64x64-*/*/*")]) == 13
    again = train(cli, corpus, gaze, *GAZE, "--epochs", "2", "--name", "again")
    assert "features of" not in again
    assert history(gaze, "again") == history(gaze, "deepgaze_own")
    losses = [float(row["nll"]) for row in history(gaze, "again")]
    assert losses[1] < losses[0]


def test_a_cosine_that_is_stretched_is_said(cli, corpus, gaze):
    """Half of it done, it goes on from half of the learning rate of 0.001."""
    named = (*GAZE, "--name", "cosine", "--schedule", "cosine", "--epochs")
    assert "stretched" not in train(cli, corpus, gaze, *named, "1")
    out = train(cli, corpus, gaze, *named, "2")
    said = "--epochs 2, 1 before: the rest of the learning rate's cosine is stretched to end there;"
    assert f"{said} it goes on from 0.0005\n" in out
    assert "stretched" not in train(cli, corpus, gaze, *named, "2")


def test_cached_features_train_as_the_encoder_does(cli, corpus, gaze, tmp_path, monkeypatch):
    import config

    monkeypatch.setattr(config.Config, "cached", False)
    out = train(cli, corpus, tmp_path, *GAZE, "--epochs", "2")
    assert "features of" not in out
    for one, other in zip(
        history(gaze, "deepgaze_own"), history(tmp_path, "deepgaze_own"), strict=True
    ):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), abs=1e-5)


def test_a_scanpath_model_starts_from_a_spatial_one(cli, corpus, gaze):
    more = ("--scanpath", "--initial", "deepgaze_own", "--name", "paths", "--epochs", "1")
    out = train(cli, corpus, gaze, *GAZE, *more)
    assert "deepgaze_own's best weights" in out and "scanpath" in out
    chain = about(gaze, "paths")["chain"]
    assert [link["run"] for link in chain] == ["paths", "deepgaze_own"]


def test_presets_are_stages_that_start_from_one_another(corpus):
    import flags
    import main

    def planned(*more):
        argv = ["main.py", "train", "-d", str(corpus), *more]
        return main.planned(flags.parse(argv, main.COMMANDS))

    (simple,) = planned("--preset", "deepgaze3-simple").values()
    assert simple.milestones == (12, 18) and simple.missing == "centre" and simple.scanpath
    assert simple.learning_rate == 0.001585 and simple.epochs == 25
    stages = planned("--preset", "deepgaze3", "--mixture", "2")
    names = ["deepgaze_own_spatial", "deepgaze_own_scanpath", "deepgaze_own"]
    assert list(stages) == names
    assert [each.initial for each in stages.values()] == [None, *names[:2]]
    assert stages[names[1]].freeze == "encoder,saliency_0,saliency_1"
    assert {each.mixture for each in stages.values()} == {2}
    folds = planned("--preset", "deepgaze3", "--folds", "2")
    assert folds["deepgaze_own_fold2of2"].initial == "deepgaze_own_scanpath_fold2of2"


@pytest.mark.slow
def test_a_preset_of_one_stage_is_resumed_as_if_it_had_not_stopped(cli, own, tmp_path):
    more = (*GAZE, "--preset", "deepgaze3-simple", "--metrics", "nss")
    train(cli, own, tmp_path / "whole", *more, "--epochs", "2")
    train(cli, own, tmp_path / "parts", *more, "--epochs", "1")
    train(cli, own, tmp_path / "parts", *more, "--epochs", "2")
    whole, parts = (history(tmp_path / part, "deepgaze_own") for part in ("whole", "parts"))
    assert whole == parts and len(whole) == 2
    settings = about(tmp_path / "whole", "deepgaze_own")["config"]
    assert settings["milestones"] == [12, 18] and settings["missing"] == "centre"
    assert float(whole[0]["learning_rate"]) == pytest.approx(0.001585)


@pytest.mark.slow
def test_a_preset_of_stages_chains_its_runs(cli, own, tmp_path):
    more = (*GAZE, "--preset", "deepgaze3", "--epochs", "1", "--mixture", "2", "--metrics", "nss")
    out = train(cli, own, tmp_path, *more)
    names = ["deepgaze_own", "deepgaze_own_scanpath", "deepgaze_own_spatial"]
    assert [link["run"] for link in about(tmp_path, names[0])["chain"]] == names
    assert about(tmp_path, names[1])["config"]["freeze"] == "encoder,saliency_0,saliency_1"
    assert out.count("epoch 1") == 0 and len(history(tmp_path, names[0])) == 1
    assert "all 1 epochs are done" in train(cli, own, tmp_path, *more)


def test_all_folds_are_trained_and_tested_on_what_each_left_out(folds):
    seen = [set(about(folds, f"msinet_own_fold{i}of3")["chain"][0]["train"]) for i in (1, 2, 3)]
    assert all(sum(name in fold for fold in seen) == 2 for name in set.union(*seen))
    report = json.loads((folds / "reports/msinet_own_3folds.metrics.json").read_text())
    assert report["n_images"] == 13 and report["n_fixations"] == 13 * 12


def test_another_fold_than_the_one_left_out_is_refused(cli, corpus, folds):
    more = ("--folds", "3", "--fold", "2", "--initial", "msinet_own_fold1of3", "--fresh")
    code, _, err = cli("train", "-d", corpus, "--results", folds, *SMALL, *more)
    assert code == 2 and err.count("\n") == 1
    assert "msinet_own_fold1of3 was trained on" in err and "cannot be validated" in err


def test_a_subset_is_all_that_is_trained_on(cli, corpus, gaze, tmp_path):
    (tmp_path / "none.txt").write_text("elsewhere.png\n")
    more = ("--results", tmp_path, "--subset", tmp_path / "none.txt")
    code, _, err = cli("train", "-d", corpus, *SMALL, *more)
    assert code == 2 and "elsewhere.png" in err and err.count("\n") == 1
    kept = sorted(about(gaze, "deepgaze_own")["chain"][0]["train"])[:4]
    (tmp_path / "some.txt").write_text("\n".join(kept) + "\n")
    train(cli, corpus, tmp_path, *SMALL, "--epochs", "1", "--subset", tmp_path / "some.txt")
    assert sorted(about(tmp_path, "msinet_own")["chain"][0]["train"]) == kept


@pytest.mark.parametrize("model", ["uniform", "goldstandard"])
def test_what_cannot_be_trained_says_so(cli, own, tmp_path, model):
    code, _, err = cli("train", "-d", own, "--results", tmp_path, "-m", model)
    assert code == 2 and "nothing to train" in err and err.count("\n") == 1


def test_maps_alone_cannot_train_scanpaths(cli, own, tmp_path):
    (own / "saliency").mkdir()
    (own / "fixations.csv").unlink()
    for path in (own / "stimuli").iterdir():
        Image.open(path).convert("L").save(own / "saliency" / path.name)
    code, _, err = cli("train", "-d", own, "--results", tmp_path, *GAZE, "--scanpath")
    assert code == 2 and "order" in err and err.count("\n") == 1


def test_the_cache_of_pictures_changes_nothing(cli, own, tmp_path):
    """Bit for bit, weights and history; mirrored pictures among them."""
    more = (*SMALL, "--epochs", "2", "--metrics", "cc")
    out = train(cli, own, tmp_path / "with", *more)
    assert "fitting 13 densities to 64x64" in out
    for kind in ("pictures", "densities"):
        assert len([*tmp_path.glob(f"with/cache/{kind}/64x64-*/*/*")]) == 13
    out = train(cli, own, tmp_path / "without", *more, "--no-cache")
    assert "fitting" not in out and not (tmp_path / "without/cache").exists()
    one, other = (tmp_path / name for name in ("with", "without"))
    assert history(one, "msinet_own") == history(other, "msinet_own")
    assert arrays(newest(one).weights) == arrays(newest(other).weights)


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded from now on."""
    paths, upright = [], decode.upright
    monkeypatch.setattr(decode, "upright", lambda path: paths.append(path) or upright(path))
    return paths


@pytest.mark.parametrize("case", ["points", "maps", "features"])
def test_each_picture_is_decoded_once_and_by_a_second_start_not_at_all(
    cli, own, tmp_path, decoded, case
):
    files = [*(own / "stimuli").iterdir()]
    if case == "maps":
        (own / "saliency").mkdir()
        (own / "fixations.csv").unlink()
        for path in (own / "stimuli").iterdir():
            blurred = Image.open(path).convert("L").filter(ImageFilter.GaussianBlur(5))
            blurred.save(own / "saliency" / path.name)
        files += (own / "saliency").iterdir()
    more = (*(GAZE if case == "features" else SMALL), "--epochs", "2")
    train(cli, own, tmp_path, *more)
    assert sorted(decoded) == sorted(files)
    train(cli, own, tmp_path, *more, "--name", "again")
    assert len(decoded) == len(files)


def test_only_what_is_trained_and_validated_on_is_kept(cli, own, tmp_path):
    (tmp_path / "few.txt").write_text("\n".join(f"{n:02}.png" for n in range(13)[::2]))
    more = (
        *SMALL,
        "--epochs",
        "1",
        "--cache-dir",
        tmp_path / "c",
        "--subset",
        tmp_path / "few.txt",
    )
    train(cli, own, tmp_path, *more)
    split = about(tmp_path, "msinet_own")["split"]
    used = {split["train"][name] for name in about(tmp_path, "msinet_own")["chain"][0]["train"]}
    used |= {*split["valid"].values()}
    assert len(used) < 13
    assert {path.name for path in tmp_path.glob("c/pictures/*/*/*")} == {each[:16] for each in used}
    assert {path.name for path in tmp_path.glob("c/densities/*/*/*")} == used
    assert not (tmp_path / "cache").exists()


def test_what_only_draws_and_tests_keeps_no_pictures(cli, corpus, gaze, tmp_path):
    for more in (("-d", corpus), ("-p", corpus / "stimuli/00.png")):
        code, _, err = cli(
            "test",
            "--results",
            gaze,
            "--name",
            "deepgaze_own",
            *more,
            "--cache-dir",
            tmp_path / "c",
        )
        assert (code, err) == (0, "")
    code, _, err = cli("inspect", "-d", corpus, "--results", gaze, "--cache-dir", tmp_path / "c")
    assert (code, err) == (0, "")
    assert not {path.name for path in (tmp_path / "c").iterdir()} & {
        "pictures", "densities", "features",
    }  # fmt: skip


def test_a_batch_that_cannot_be_parted_evenly_is_refused(monkeypatch):
    from commands import training
    from config import Config
    from errors import UsageError

    devices = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(training, "choose", lambda *_: devices)
    assert training.strategy_of(Config(batch_size=8, accumulate=4)) is devices
    with pytest.raises(UsageError, match="^--accumulate 4: each of 2 devices .* 2 pictures"):
        training.strategy_of(Config(batch_size=4, accumulate=4))


def test_what_a_pipeline_finds_wrong_is_one_line(tmp_path):
    """A picture that is gone, named by TensorFlow among its own lines."""
    from batches.pipeline import batches
    from commands.training import plain_errors
    from data.samples import Sample
    from errors import UsageError

    lost = [Sample("a.png", tmp_path / "a.png", (9, 9))]
    with pytest.raises(UsageError) as error, plain_errors():
        list(batches(lost, (24, 32), 1))
    assert str(error.value) == f"{tmp_path}/a.png: no such file or directory"
    with pytest.raises(tf.errors.OpError, match="ZeroDivisionError"), plain_errors():
        wrong = tf.data.Dataset.range(1)
        list(wrong.map(lambda x: tf.numpy_function(lambda x: 1 // 0, [x], tf.int64)))
    with one_line("not enough memory for a step: .*--accumulate N"), plain_errors():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nwith shape")


def test_a_run_that_another_process_has_is_refused(cli, own, tmp_path):
    """Before anything is read or written."""
    with folders.locked(tmp_path / "ckpts/latest/msinet_own"):
        code, _, err = cli("train", "-d", own, "--results", tmp_path, *SMALL)
    assert code == 2 and err.startswith("msinet_own is being trained by another process")
    assert err.count("\n") == 1 and not (tmp_path / "cache").exists()


def test_an_input_that_does_not_suit_the_pictures_is_said(cli, corpus, tmp_path, monkeypatch):
    from commands import training

    def enough(*_):
        raise UsageError("enough")

    monkeypatch.setattr(training.restore, "on_pictures", enough)
    start = ("train", "-d", corpus, "--results", tmp_path, "--encoder", "small", "--size")
    code, out, err = cli(*start, "128x64")
    assert (code, err) == (2, "enough\n")
    assert "13 of 13 pictures are wide, the input of HEIGHTxWIDTH 128x64 is upright: 62%" in out
    assert "pictures are" not in cli(*start, "64x128")[1]
