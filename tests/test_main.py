"""The command line, run as a user runs it, with the small encoder on a small corpus."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, make_own
from helpers import arrays, history, killed, run
from PIL import Image

import flags
import main
from config import Config
from data.corpus import Corpus
from formats.pictures import decode
from model.checkpoints.folders import find
from model.checkpoints.runs import Run
from model.metrics.registry import METRICS

ROOT = Path(__file__).parent.parent


def train(cli, own, results, *more):
    code, out, err = cli("train", "-d", own, "--results", results, *SMALL, *more)
    assert (code, err) == (0, "")
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A corpus and a results folder with a run of three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    own, results = make_own(folder / "own"), folder / "results"
    more = (*SMALL, "--epochs", "3", "--save-every", "2")
    assert run("train", "-d", own, "--results", results, *more) == 0
    return own, results


@pytest.fixture
def copied(trained, tmp_path):
    """The corpus, and a copy of the results to change."""
    own, results = trained
    return own, shutil.copytree(results, tmp_path / "results")


def test_training_writes_best_latest_history_curve_and_log(trained):
    _, results = trained
    assert [row["epoch"] for row in history(results)] == ["1", "2", "3"]
    assert {"loss", "val_loss", "val_kld", "val_cc", "val_sim", "val_nss"} <= set(
        history(results)[0]
    )
    with Image.open(results / "history" / "msinet_own.png") as curve:
        assert np.asarray(curve).std() > 0
    latest = sorted(p.name for p in (results / "ckpts/latest/msinet_own").iterdir())
    assert latest == ["000002", "000003", "latest"]
    assert list((results / "logs/msinet_own").rglob("events.out.tfevents.*"))
    about = json.loads(Run(results, "msinet_own").best.record.read_text())
    assert about["config"]["encoder"] == "small"
    (own,) = about["chain"]
    assert len(own["train"]) == 10 and all(own["train"].values())  # 13 pictures, 80 to 20
    assert str(about["epoch"]) == min(history(results), key=lambda r: float(r["val_loss"]))["epoch"]
    assert {"git", "keras", "tensorflow"} <= set(about["versions"])


def test_a_run_resumed_and_killed_is_the_uninterrupted_one_bit_for_bit(
    cli, trained, tmp_path, monkeypatch
):
    from model.training import trainer

    own, whole = trained
    train(cli, own, tmp_path, "--epochs", "1")
    fine = trainer.check_finite

    def killed(sums, batch, strategy, names, when):
        if when == "epoch 3, step 2":
            raise KeyboardInterrupt
        fine(sums, batch, strategy, names, when)

    monkeypatch.setattr(trainer, "check_finite", killed)
    code, out, err = cli("train", "-d", own, "--results", tmp_path, *SMALL, "--epochs", "3")
    assert code == 130 and err.startswith(
        "stopped by SIGINT at once; what was saved before stays; "
    )
    assert "; to go on: " in err and err.count("\n") == 1
    assert "latest checkpoint after 1 epochs" in out
    monkeypatch.undo()
    assert "latest checkpoint after 2 epochs" in train(cli, own, tmp_path, "--epochs", "3")
    assert history(tmp_path) == history(whole)
    for part in ("latest/msinet_own/000003", "best/msinet_own"):
        files = (find(results / "ckpts" / part).weights for results in (tmp_path, whole))
        one, other = map(arrays, files)
        assert one == other


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(trained, tmp_path):
    own, whole = trained
    command = [sys.executable, "main.py", "train", "-d", own, "--results", tmp_path, *SMALL]
    subprocess.run([*command, "--epochs", "3", "--devices", "2"], cwd=ROOT, check=True)
    names = ["loss", "val_loss", "kld", "val_kld"]
    # Round-off grows with each step of Adam, and NSS divides by a small deviation: in the first
    # epoch metrics are as near as losses, which stay so.
    pairs = zip(
        history(whole),
        history(tmp_path),
        ([*names, "val_cc", "val_nss"], names, names),
        strict=True,
    )
    for one, two, compared in pairs:
        for name in compared:
            assert float(one[name]) == pytest.approx(float(two[name]), abs=1e-5)


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["", "fresh"])
def test_an_interrupted_training_that_saved_nothing_has_nothing_to_go_on_from(
    cli, own, tmp_path, copied, fresh
):
    """A state of before is nothing that --fresh goes on with."""
    own, results = copied if fresh else (own, tmp_path / "r")
    with killed("epoch 1, step 2"):
        code, _, err = cli("train", "-d", own, "--results", results, *SMALL, *fresh)
    assert (code, err) == (130, "interrupted\n")


def test_training_learns(trained):
    rows = history(trained[1])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_another_configuration_is_refused_by_the_fields_that_differ(cli, trained):
    own, results = trained
    code, _, err = cli("train", "-d", own, "--results", results, *SMALL, "--seed", "7")
    assert code == 2
    assert "seed 42 (now 7)" in err and "--fresh" in err and err.count("\n") == 1


def test_fresh_starts_anew(cli, copied):
    own, results = copied
    train(cli, own, results, "--epochs", "1", "--seed", "7", "--fresh", "--metrics", "cc")
    assert [row["epoch"] for row in history(results)] == ["1"]


def test_initial_starts_from_another_runs_weights(cli, trained, tmp_path):
    _, results = trained
    other = make_own(tmp_path / "other", seed=1)
    out = train(
        cli,
        other,
        results,
        "--epochs",
        "1",
        "--initial",
        "msinet_own",
        "--learning-rate",
        "1e-9",
        "--metrics",
        "cc",
    )
    assert "weights: msinet_own's best weights" in out
    near, far = (arrays(Run(results, f"msinet_{name}").best.weights) for name in ("own", "other"))
    assert near.keys() == far.keys()
    for name in near:
        np.testing.assert_allclose(*(np.frombuffer(w[name], "f4") for w in (near, far)), atol=1e-6)


def test_a_missing_initial_says_what_to_run_first(cli, own, tmp_path):
    code, _, err = cli(
        "train", "-d", own, "--results", tmp_path / "r", *SMALL, "--initial", "salicon"
    )
    assert code == 2
    assert "python main.py train -d salicon" in err and err.count("\n") == 1


def test_save_every_keeps_weights_of_epochs(trained):
    (kept,) = (trained[1] / "ckpts/epochs/msinet_own").iterdir()
    assert kept.name == "0002" and json.loads(find(kept).record.read_text())["epoch"] == 2


def test_test_writes_maps_overlays_table_and_page(cli, trained):
    own, results = trained
    code, out, err = cli("test", "-d", own, "--results", results)
    assert (code, err) == (0, "")
    with (results / "reports" / "msinet_own.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    metrics = {"LL", "IG", "AUC", "AUC_Judd", "sAUC", "NSS", "CC", "SIM", "KLDiv"}
    assert {"name", "fixations", *metrics} == {key for key in rows[0] if "." not in key}
    for row in rows:
        with Image.open(results / "images/msinet_own" / row["name"]) as drawn:
            assert drawn.size == (64, 48) and drawn.mode == "L"
    page = (results / "reports" / "msinet_own.html").read_text()
    assert all(row["name"] in page for row in rows)
    mean = np.mean([float(row["CC"]) for row in rows])
    assert f"{mean:.3f}" in out


def test_test_without_arguments_takes_the_newest_weights(cli, trained):
    _, results = trained
    code, out, _ = cli("test", "--results", results, "--name", "msinet_own")
    assert code == 0 and "centre bias" in out


def test_pictures_keep_their_sub_folders_and_sizes(cli, trained, tmp_path):
    _, results = trained
    for folder, size in (("a", (50, 31)), ("b", (33, 70))):
        (tmp_path / "p" / folder).mkdir(parents=True)
        Image.new("RGB", size, "teal").save(tmp_path / "p" / folder / "001.jpg")
    code, _, err = cli(
        "test", "--results", results, "-p", tmp_path / "p", "--name", "msinet_own",
        "--format", "npy",
    )  # fmt: skip
    assert (code, err) == (0, "")
    for folder, shape in (("a", (31, 50)), ("b", (70, 33))):
        answer = np.load(results / "images/msinet_own" / folder / "001.npy")
        assert answer.shape == shape and answer.dtype == np.float32
        assert np.exp(answer.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)
        assert (results / "images/msinet_own" / folder / "001_overlay.jpg").is_file()


def test_one_picture(cli, trained, tmp_path):
    _, results = trained
    Image.new("L", (40, 30), 90).save(tmp_path / "one.png")
    code, _, err = cli("test", "--results", results, "-p", tmp_path / "one.png")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["train", "-d", "osei"], ["osei", "did you mean osie"]),
        (["train", "-d", "osie", "--epoch", "3"], ["--epoch", "did you mean --epochs"]),
        (["train", "-d", "osie", "--epochs", "x"], ["--epochs", "x"]),
        (["train"], ["-d"]),
        (["trian"], ["trian"]),
        (["test", "-d", "osei"], ["osei", "did you mean osie"]),
        (["download", "-d", "fixationadd1000"], ["no public download", "--archive"]),
        (["train", "-d", "osie", "--corpora", "no.py"], ["no.py", "no such file"]),
        (["info", "--corpora", "/etc/passwd"], [": no such file, or none that ends in .py"]),
        (["train", "-d", "."], ["no folder stimuli/"]),
        (["test", "-p", "/nowhere"], ["no weights", "python main.py train -d"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(cli, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*argv)
    assert code == 2
    assert all(word in err for word in words)
    assert err.count("\n") == 1


def test_results_that_cannot_be_written(cli, own, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = cli("train", "-d", own, "--results", tmp_path / "file" / "r", *SMALL)
    assert code == 2 and "cannot write" in err and err.count("\n") == 1


def test_a_loss_that_is_not_finite_names_its_pictures_and_is_never_best(
    cli, own, tmp_path, monkeypatch
):
    nan = replace(METRICS["kld"], training=lambda log_density: log_density[:, 0, 0, 0] * np.nan)
    monkeypatch.setitem(METRICS, "kld", nan)
    code, _, err = cli("train", "-d", own, "--results", tmp_path / "r", *SMALL)
    assert code == 2
    assert "the loss is nan in epoch 1, step 1" in err and ".png" in err and err.count("\n") == 1
    assert not (tmp_path / "r" / "ckpts" / "best").exists()
    assert not (tmp_path / "r" / "ckpts" / "latest" / "msinet_own").exists()


def test_a_metric_that_a_corpus_cannot_give(cli, own, tmp_path):
    (own / "fixations.csv").unlink()
    (own / "saliency").mkdir()
    for picture in (own / "stimuli").iterdir():
        Image.new("L", (64, 48), 100).save(own / "saliency" / picture.name)
    asked = cli("train", "-d", own, "--results", tmp_path / "r", *SMALL, "--metrics", "nss")
    assert asked[0] == 2 and "nss needs fixations" in asked[2]
    out = train(cli, own, tmp_path / "r", "--epochs", "1")
    assert "nss is left out" in out
    assert "val_nss" not in history(tmp_path / "r")[0]
    code, _, err = cli("test", "-d", own, "--results", tmp_path / "r")
    assert (code, err) == (0, "")


def test_a_users_class_trains_through_the_command_line(cli, tmp_path):
    make_own(tmp_path / "data" / "LABCORPUS")
    (tmp_path / "lab.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from data.corpus import Corpus\nfrom data.splits import Shuffled\n\n\n"
        "@dataclass\nclass Place:\n    x: float\n\n\nclass LABCORPUS(Corpus):\n"
        '    """Our lab\'s pictures."""\n\n'
        "    size = (64, 64)\n    split = Shuffled(train=10, valid=3)\n    sigma = 4\n"
    )
    code, _, err = cli(
        "train", "-d", "labcorpus", "-p", tmp_path / "data", "--corpora", tmp_path / "lab.py",
        "--results", tmp_path / "r", "--encoder", "small", "--epochs", "1", "--metrics", "cc",
    )  # fmt: skip
    assert (code, err) == (0, "")
    del Corpus.registry["labcorpus"]
    assert len(history(tmp_path / "r", "msinet_labcorpus")) == 1


def test_a_users_class_is_defined_once_for_a_command_and_the_test_that_follows(
    tmp_path, monkeypatch
):
    (tmp_path / "lab.py").write_text(
        "from data.corpus import Corpus\nfrom data.splits import Ratio\n\n\n"
        'class LABCORPUS(Corpus):\n    """Ours."""\n\n'
        "    size = (64, 64)\n    split = Ratio(4, 1)\n    sigma = 4\n"
    )
    tested = []
    monkeypatch.setattr(main, "test", tested.append)
    typed = ["main.py", "train", "-d", "labcorpus", "--corpora", str(tmp_path / "lab.py")]
    try:
        main.pool(flags.parse([*typed, "--folds", "2"], main.COMMANDS), Config(folds=2))
    finally:
        del Corpus.registry["labcorpus"]
    assert [(args.data, args.folds) for args in tested] == [("labcorpus", 2)]


def test_info_lists_corpora_and_runs(cli, trained):
    _, results = trained
    code, out, _ = cli("info", "--results", results)
    assert code == 0
    assert "osie" in out and "msinet_own" in out


def test_help_needs_no_tensorflow():
    code = "import main, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_wrong_losses_and_metrics_are_told_before_pictures_are_read(cli, own, tmp_path):
    (own / "stimuli" / "00.png").write_bytes(b"")
    for flag, value, words in (
        ("--loss", "auc", ["--loss auc", "kld"]),
        ("--metrics", "ig", ["--metrics ig", "auc"]),
        ("--encoder-weights", "/no.h5", ["/no.h5", "no such file"]),
    ):
        code, _, err = cli("train", "-d", own, "--results", tmp_path / "r", *SMALL, flag, value)
        assert code == 2 and err.count("\n") == 1 and all(word in err for word in words)


@pytest.fixture
def grown(trained, tmp_path):
    """The corpus and the results; as long as the test runs, there is a picture more."""
    own, results = trained
    more, before = make_own(tmp_path / "more", count=14), (own / "fixations.csv").read_text()
    shutil.copytree(more, own, dirs_exist_ok=True)
    yield own, results
    (own / "stimuli" / "13.png").unlink()
    (own / "fixations.csv").write_text(before)


def test_a_resumed_run_keeps_its_split(cli, grown):
    own, results = grown
    code, out, err = cli("train", "-d", own, "--results", results, *SMALL, "--epochs", "3")
    assert (code, err) == (0, "") and "1 stimuli are on no side, first '13.png'; left out" in out
    assert (
        "split of own: 10 to train, 3 to validate, 0 to test; as the run keeps it (val.txt)" in out
    )


def test_more_pixels_are_allowed_to_one_command():
    for text, most in ((["--max-pixels", "100000000"], 10**8), ([], 2**26)):
        args = flags.parse(["main.py", "train", "-d", "own", *text], main.COMMANDS)
        seen = []
        args.command = lambda _, seen=seen: seen.append(decode.most)
        assert main.main(args) == 0 and seen == [most]
