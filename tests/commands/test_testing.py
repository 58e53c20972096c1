"""Evaluations of every kind, run as a user runs them, with the small encoder on a small corpus."""

import json

import numpy as np
import pytest
from conftest import SMALL, make_own
from helpers import about, rows, run
from PIL import Image

from commands.sides import refuse_other
from data.corpus import open_corpus
from errors import UsageError
from formats.pictures.integrity import Memory
from model.checkpoints.runs import Run

BLUR = ("--pixels-per-degree", "4")
NAMES = ["LL", "IG", "AUC", "AUC_Judd", "sAUC", "NSS", "CC", "SIM", "KLDiv"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A corpus, and results with a run of two epochs on it."""
    folder = tmp_path_factory.mktemp("tested")
    own, results = make_own(folder / "own"), folder / "results"
    assert run("train", "-d", own, "--results", results, *SMALL, "--epochs", "2") == 0
    return own, results


def evaluate(cli, trained, name, *more):
    own, results = trained
    code, out, err = cli("test", "-d", own, "--results", results, *more)
    assert (code, err) == (0, "")
    return json.loads((results / "reports" / f"{name}.metrics.json").read_text()), out


def refused(cli, trained, *more):
    code, _, err = cli("test", "-d", trained[0], "--results", trained[1], *more)
    assert code == 2 and err.count("\n") == 1
    return err


def test_the_numbers_are_stored_with_protocol_counts_and_intervals(cli, trained):
    found, out = evaluate(cli, trained, "msinet_own")
    assert found["n_images"] == 3 and found["n_fixations"] == 36
    assert "Tuebingen" in found["protocol"] and "4 px" in found["protocol"]
    assert list(found["image"]) == list(found["fixation"]) == NAMES
    assert found["interval"]["IG"] == [None, None] and "3 pictures, at least 10" in out
    assert set(found["baselines"]) == {"uniform", "centerbias", "goldstandard", "observers"}
    gold = found["baselines"]["goldstandard"]["image"]["IG"]
    assert found["explained"]["share"] == pytest.approx(found["image"]["IG"] / gold)
    upper = found["baselines"]["observers"]["image"]["IG"]
    share = found["explained"]["beside"]["observers"]["share"]
    assert upper > gold and share == pytest.approx(found["image"]["IG"] / upper)
    assert "% of the leave-one-out gold standard's IG, a lower bound" in out
    assert "own kernel density, its upper end" in out
    fixation = found["fixation"]
    assert [name for name in NAMES if fixation[name] is None] == ["CC", "SIM", "KLDiv"]


def test_uniform_knows_nothing(cli, trained):
    found, _ = evaluate(cli, trained, "uniform_own", "-m", "uniform", *BLUR)
    for name, value in {"LL": 0, "AUC": 0.5, "sAUC": 0.5, "NSS": 0, "CC": 0}.items():
        assert found["image"][name] == pytest.approx(value, abs=1e-12)


def test_the_centre_bias_gains_nothing_over_itself(cli, trained):
    found, _ = evaluate(cli, trained, "centerbias_own", "-m", "centerbias", *BLUR)
    assert found["image"]["IG"] == pytest.approx(0, abs=1e-12)
    assert found["image"] == pytest.approx(found["baselines"]["centerbias"]["image"])
    assert Run(trained[1], "centerbias_own").best


def test_the_gold_standard_is_all_that_is_explainable(cli, trained):
    found, _ = evaluate(cli, trained, "goldstandard_own", "-m", "goldstandard", *BLUR)
    assert found["explained"]["share"] == pytest.approx(1, abs=1e-9)
    assert found["image"]["AUC"] > 0.9 and found["image"]["IG"] > 2
    assert list(found["image"]) == ["LL", "IG", "AUC", "sAUC", "NSS"]


def test_a_fitted_baseline_is_not_the_newest_run(cli, trained):
    evaluate(cli, trained, "centerbias_own", "-m", "centerbias", *BLUR)
    code, out, _ = cli("test", "--results", trained[1])
    assert code == 0 and "msinet_own.html" in out
    code, out, _ = cli("test", "--results", trained[1], "-m", "centerbias")
    assert code == 0 and "centerbias_own.html" in out


def test_baselines_pool_their_folds_too(cli, trained):
    found, _ = evaluate(cli, trained, "uniform_own_3folds", "-m", "uniform", "--folds", "3")
    assert found["n_images"] == 13
    found, _ = evaluate(
        cli, trained, "uniform_own_fold2of3", "-m", "uniform", "--folds", "3", "--fold", "2"
    )
    assert found["n_images"] == 4


def test_the_third_side_is_scored_where_there_is_one(cli, own, tmp_path):
    common = ("test", "-d", own, "--results", tmp_path, "-m", "uniform", "--side", "test")
    code, _, err = cli(*common)
    assert code == 2 and "--side test: own has no test side: 10 to train, 3 to validate, 0" in err
    validating = (own / "val.txt").read_text().split()
    third = sorted(f"{n:02d}.png" for n in range(13) if f"{n:02d}.png" not in validating)[:2]
    (own / "test.txt").write_text("\n".join(third))
    code, out, err = cli(*common)
    assert (code, err) == (0, "") and "; the test side; means over 2 pictures" in out
    assert [row["name"] for row in rows(tmp_path / "reports/uniform_own_test.csv")] == third
    found = json.loads((tmp_path / "reports/uniform_own_test.metrics.json").read_text())
    assert (found["side"], found["n_images"]) == ("test", 2)


def test_the_test_side_that_all_folds_share_is_no_sum_of_them(cli, trained):
    err = refused(cli, trained, "-m", "uniform", "--folds", "3", "--side", "test")
    assert "would count 3 times; --fold I tests one of them" in err


def test_predictions_are_scored_as_the_model_that_made_them(cli, trained, tmp_path):
    from model.baselines.centre_bias import load_prior

    own, results = trained
    wanted, _ = evaluate(cli, trained, "centerbias_own", "-m", "centerbias", *BLUR)
    bias = load_prior(Run(results, "centerbias_own").best.weights).log_density(48, 64)
    for kind, values in (("density", bias), ("saliency", 7 * np.exp(bias))):
        for path in (own / "stimuli").iterdir():
            (tmp_path / kind).mkdir(exist_ok=True)
            np.save(tmp_path / kind / f"{path.stem}.npy", values)
        found, _ = evaluate(
            cli, trained, kind, "--predictions", tmp_path / kind, "--kind", kind, *BLUR
        )
        assert list(found["image"]) == NAMES
        for name in NAMES:
            assert found["image"][name] == pytest.approx(wanted["image"][name], abs=1e-9), name


def test_predictions_of_the_wrong_kind_are_refused(cli, trained, tmp_path):
    for path in (trained[0] / "stimuli").iterdir():
        np.save(tmp_path / f"{path.stem}.npy", np.ones((48, 64)))
    err = refused(cli, trained, "--predictions", tmp_path, "--kind", "density")
    assert "must be 1" in err
    assert "--kind" in refused(cli, trained, "--predictions", tmp_path)
    assert "no such folder" in refused(
        cli, trained, "--predictions", tmp_path / "no", "--kind", "saliency"
    )


def test_pictures_of_the_training_are_refused_even_in_a_copied_folder(cli, trained, tmp_path):
    own, results = trained
    chain = about(results)["chain"]
    other = make_own(tmp_path / "other", count=5, seed=9)
    for index, name in enumerate(chain[0]["train"]):
        (other / "stimuli" / f"{index % 5:02d}.png").unlink(missing_ok=True)
        with Image.open(own / "stimuli" / name) as picture:
            picture.save(other / "stimuli" / f"{index % 5:02d}.bmp")
    text = (other / "fixations.csv").read_text()
    (other / "fixations.csv").write_text(text.replace(".png", ".bmp"))
    err = refused(cli, trained, "--on", other)
    assert "msinet_own was trained on" in err and "cannot be tested" in err


def test_another_corpus_is_tested_on_at_its_own_geometry(cli, trained, tmp_path):
    other = make_own(tmp_path / "elsewhere", count=10, seed=5)
    found, _ = evaluate(cli, trained, "msinet_own_on_elsewhere", "--on", other)
    assert found["corpus"] == "elsewhere" and "24 px" in found["protocol"]
    assert found["n_images"] == 2
    page = (trained[1] / "reports/msinet_own_on_elsewhere.html").read_text()
    assert "elsewhere" in page


def test_what_changed_since_a_run_is_said_and_what_is_gone_is_named(cli, trained):
    own, results = trained
    table, before = own / "fixations.csv", (own / "fixations.csv").read_text()
    assert "changed since" not in evaluate(cli, trained, "msinet_own")[1]
    lines = before.splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ",7.5"
    table.write_text("\n".join(lines) + "\n")
    said = "own: 1 pictures have changed since, first '00.png' (its fixations, map or blur)"
    assert said in evaluate(cli, trained, "msinet_own")[1]
    table.write_text(before)
    moved = own.rename(own.with_name("elsewhere"))
    code, _, err = cli("test", "--results", results, "--name", "msinet_own")
    assert code == 2 and f"{own}, whose run it is, is not there; -d FOLDER" in err
    moved.rename(own)
    (own / "stimuli" / "00.png").rename(own / "00.png")
    assert "'00.png'; put them back" in refused(cli, trained)
    (own / "00.png").rename(own / "stimuli" / "00.png")


def test_another_folder_of_one_name_is_not_tested_by_its_run(cli, trained, tmp_path):
    other = make_own(tmp_path / "own")
    for path in (other / "stimuli").iterdir():
        Image.eval(Image.open(path), lambda level: 255 - level).save(path)
    for more in ((), ("-m", "centerbias")):
        evaluate(cli, trained, f"{more[-1] if more else 'msinet'}_own", *more, *BLUR)
        err = refused(cli, (other, trained[1]), *more, *BLUR)
        assert "is a run of another folder called own" in err


def test_runs_are_compared_picture_by_picture(cli, trained):
    a, _ = evaluate(cli, trained, "msinet_own")
    b, _ = evaluate(cli, trained, "uniform_own", "-m", "uniform", *BLUR)
    code, out, err = cli("test", "--results", trained[1], "--compare", "msinet_own", "uniform_own")
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("IG"))
    wanted = b["image"]["IG"] - a["image"]["IG"]
    assert float(line.split()[3]) == pytest.approx(wanted, abs=6e-4)
    code, _, err = cli("test", "--results", trained[1], "--compare", "msinet_own", "nothing")
    assert code == 2 and "nothing" in err and err.count("\n") == 1


def test_other_protocols_have_reports_of_their_own(cli, trained):
    usual, _ = evaluate(cli, trained, "msinet_own")
    mit, _ = evaluate(cli, trained, "msinet_own_mit", "--protocol", "mit")
    assert "MIT" in mit["protocol"] and "SIM_MIT" in mit["image"] and "SIM" not in mit["image"]
    maps, _ = evaluate(cli, trained, "msinet_own_maps", "--maps", "tuebingen")
    for name in ("LL", "IG", "AUC", "NSS"):  # of the density, and of what keeps its order
        assert maps["image"][name] == pytest.approx(usual["image"][name], abs=1e-9)
    assert maps["image"]["CC"] != usual["image"]["CC"]
    code, _, err = cli("test", "--results", trained[1], "--compare", "msinet_own", "msinet_own_mit")
    assert code == 2 and "not comparable" in err


def test_a_scanpath_model_is_scored_fixation_by_fixation(cli, trained):
    own, results = trained
    more = ("-m", "deepgaze", "--scanpath", "--epochs", "1", *SMALL)
    assert cli("train", "-d", own, "--results", results, *more)[0] == 0
    found, out = evaluate(cli, trained, "deepgaze_own", "-m", "deepgaze")
    assert list(found["image"]) == ["LL", "IG", "AUC", "sAUC", "NSS"] and found["n_fixations"] == 36
    assert found["explained"] is None and "gold standard's IG" not in out
    err = refused(cli, trained, "-m", "deepgaze", "-p", own / "stimuli" / "00.png")
    assert "main.py scanpaths" in err


def test_a_mixture_answers_with_the_mean_density(cli, trained):
    found, _ = evaluate(cli, trained, "msinet_own+msinet_own", "--name", "msinet_own+msinet_own")
    alone, _ = evaluate(cli, trained, "msinet_own")
    assert found["image"] == pytest.approx(alone["image"], abs=1e-9)
    assert "no weights of nobody" in refused(cli, trained, "--name", "msinet_own+nobody")


def test_the_mean_of_two_densities_is_that_of_their_pixels():
    from commands.evaluation import Part, Subject
    from commands.subjects import mixture

    a, b = np.array([[0.5, 0.5]]), np.array([[0.1, 0.9]])
    members = [Subject(None, "one", lambda _, d=d: iter([[Part(np.log(d))]])) for d in (a, b)]
    ((part,),) = mixture(None, members).answers([None])
    assert np.exp(part.log_density) == pytest.approx(np.array([[0.3, 0.7]]))


def test_a_corpus_that_was_moved_is_asked_for(cli, trained, tmp_path):
    own, results = trained
    moved = own.rename(tmp_path / "own")
    try:
        code, _, err = cli("test", "--name", "msinet_own", "--results", results)
        assert code == 2 and err == (
            f"{own}, whose run it is, is not there; -d FOLDER says where it is now\n"
        )
    finally:
        moved.rename(own)


def test_weights_that_a_kill_left_without_their_json_are_no_other_run(trained, tmp_path):
    corpus, run = open_corpus(str(trained[0]), None), Run(tmp_path, "msinet_own")
    weights = tmp_path / "ckpts/best/msinet_own.weights.h5"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    refuse_other(run, corpus, Memory(None))
    run.best.record.write_text("{}")
    with pytest.raises(UsageError, match="damaged"):
        refuse_other(run, corpus, Memory(None))
