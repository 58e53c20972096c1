"""What a network is told of where people look whatever the picture, and which pictures choose."""

import json

import numpy as np
import pytest
from conftest import SMALL, make_own
from helpers import about, killed, rows, run

from batches.truth import relative_points
from commands import priors, subjects
from config import Config
from data.corpus import open_corpus
from data.samples import load
from errors import UsageError
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import (
    FOLDS,
    UNIFORM,
    CentreBias,
    Template,
    centre_bias,
    load_prior,
)
from model.checkpoints.runs import Run

GAZE = ("-m", "deepgaze", *SMALL, "--epochs", "1")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A corpus, another one, and results with a DeepGaze of one epoch."""
    folder = tmp_path_factory.mktemp("told")
    own, results = make_own(folder / "own"), folder / "results"
    make_own(folder / "other", seed=4)
    assert run("train", "-d", own, "--results", results, *GAZE) == 0
    return own, results


def image(cli, told, name, *more):
    """The means over images of an evaluation, and the line that says what was tested."""
    own, results = told
    code, _, err = cli("test", "-d", own, "--results", results, "-m", "deepgaze", *more)
    assert (code, err) == (0, "")
    found = json.loads((results / "reports" / f"deepgaze_own{name}.metrics.json").read_text())
    return found["image"], found["model"]


def test_a_prior_takes_the_place_of_that_of_the_training(cli, told):
    own, results = told
    usual, line = image(cli, told, "")
    assert "prior" not in line and line.endswith("epoch 1, chosen on the validation side")
    best = Run(results, "deepgaze_own")
    for file in (best.best.centre_bias, best.best_place):
        same, line = image(cli, told, priors.suffix(str(file)), "--prior", file)
        assert same == usual and line.endswith(f"; prior: {file}")
    assert image(cli, told, priors.suffix(str(own)), "--prior", own)[0] == usual
    uniform, _ = image(cli, told, "_prior-uniform", "--prior", "uniform")
    elsewhere = str(own.with_name("other"))
    other, _ = image(cli, told, priors.suffix(elsewhere), "--prior", elsewhere)
    assert len({usual["IG"], uniform["IG"], other["IG"]}) == 3
    assert (results / "images/deepgaze_own_prior-uniform").is_dir()


def test_a_prior_of_pictures_and_of_the_wrong_network(cli, told, tmp_path):
    own, results = told
    common = ("test", "--results", results, "-p", own / "stimuli" / "00.png", "--format", "npy")
    drawn = {}
    for more in ((), ("--prior", "uniform")):
        assert cli(*common, "--name", "deepgaze_own", *more)[0] == 0
        folder = "deepgaze_own" + "_prior-uniform" * bool(more)
        drawn[more[-1:]] = np.load(results / "images" / folder / "00.npy")
    assert np.abs(drawn[()] - drawn[("uniform",)]).max() > 0.01
    more = ("-d", own, "-m", "uniform", "--prior", "uniform")
    code, _, err = cli("test", "--results", results, *more)
    assert code == 2 and "only a trained network takes" in err and err.count("\n") == 1
    with pytest.raises(UsageError, match="^--prior: MSI-Net takes no centre bias, deepgaze does"):
        subjects.of_run(Run(tmp_path, "x"), {}, Config(), (64, 64), Run(tmp_path, "x"), UNIFORM)
    for more in (("--prior", "uniform"), ("-m", "centerbias", "--hold-out", "3")):
        code, _, err = cli("train", "-d", own, "--results", tmp_path, *SMALL, *more)
        assert code == 2 and " ".join(more[-2:]) in err and "has no such thing" in err
    for asked in ("", "nosuch", "no.npy"):
        more = ("--name", "deepgaze_own", "--prior", asked)
        code, _, err = cli("test", "--results", results, *more)
        assert code == 2 and err.startswith(
            f"--prior '{asked}': must be uniform, a file or a corpus"
        )


def test_files_of_priors(tmp_path):
    random = np.random.default_rng(0)
    grid = random.normal(size=(10, 20))
    np.save(tmp_path / "grid.npy", grid)
    found = priors.prior_of(str(tmp_path / "grid.npy"), tmp_path, Memory(None))
    same = found.log_density(10, 20)
    np.testing.assert_allclose(same, grid - np.log(np.exp(grid).sum()), atol=1e-12)
    for shape in ((48, 64), (7, 9)):
        assert np.exp(found.log_density(*shape)).sum() == pytest.approx(1, abs=1e-12)
    np.save(tmp_path / "zeros.npy", np.zeros((1024, 1024)))  # as DeepGaze's users write uniform
    flat = priors.prior_of(str(tmp_path / "zeros.npy"), tmp_path, Memory(None))
    np.testing.assert_allclose(flat.log_density(3, 4), -np.log(12))
    np.testing.assert_allclose(UNIFORM.log_density(3, 4), -np.log(12))
    for prior in (UNIFORM, CentreBias(np.array([0.3]), np.array([0.4]), 0.1, 0.2), Template(grid)):
        prior.save(tmp_path / "saved.h5")
        again = load_prior(tmp_path / "saved.h5")
        np.testing.assert_array_equal(again.log_density(8, 9), prior.log_density(8, 9))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 5), 0.05), "holds a density; its natural logarithm"),
        (np.full((4, 5), np.nan), "must be finite"),
        (np.zeros(20), "two axes"),
        (None, "must be uniform, a file or a corpus"),
    ],
)
def test_files_that_are_no_prior_are_refused(tmp_path, values, said):
    if values is not None:
        np.save(tmp_path / "a.npy", values)
    with pytest.raises(UsageError, match=f"^--prior .*a.npy'?: .*{said}"):
        priors.prior_of(str(tmp_path / "a.npy"), tmp_path, Memory(None))


def test_in_training_a_picture_is_told_of_the_other_folds_alone(own, tmp_path, caplog):
    corpus = open_corpus(str(own), tmp_path)
    training, validation, *_ = load(corpus, Memory(tmp_path))
    prior, told = priors.of_training(None, corpus, tmp_path, Memory(None), training)
    points = relative_points(training)
    whole = centre_bias(points)
    np.testing.assert_array_equal(
        told(validation[0], 48, 64), whole.log_density(48, 64), err_msg="validation: all of it"
    )
    for place, sample in enumerate(training):
        others = [p for i, p in enumerate(points) if i % FOLDS != place % FOLDS]
        wanted = CentreBias(*np.concatenate(others).T, whole.bandwidth, whole.uniform)
        np.testing.assert_array_equal(told(sample, 48, 64), wanted.log_density(48, 64))
    assert prior.log_density(9, 9) == pytest.approx(whole.log_density(9, 9))
    for spelled in (f"{own}/", f"{own}/../{own.name}", str(own)):
        _, again = priors.of_training(spelled, corpus, tmp_path, Memory(None), training)
        wanted = told(training[0], 48, 64)
        np.testing.assert_array_equal(again(training[0], 48, 64), wanted)
    fixed, told = priors.of_training("uniform", corpus, tmp_path, Memory(None), training)
    assert fixed is UNIFORM and (told(training[0], 2, 2) == -np.log(4)).all()


@pytest.mark.slow
def test_the_prior_of_the_corpus_that_is_tested_on_is_that_of_the_folds_training_side(cli, own):
    """Not that of its usual training side, in which most of the tested pictures are."""
    common = ("-d", own, "--results", own.parent / "r", "-m", "deepgaze", "--folds", "2")
    assert cli("train", *common, *SMALL, "--epochs", "1")[0] == 0
    assert cli("test", *common, "--prior", own)[0] == 0
    means = [
        json.loads((own.parent / f"r/reports/deepgaze_own_2folds{name}.metrics.json").read_text())
        for name in ("", priors.suffix(str(own)))
    ]
    assert means[0]["image"] == means[1]["image"]


@pytest.mark.slow
def test_a_run_keeps_the_prior_that_it_began_with(cli, own, tmp_path):
    """What was asked for is another by now: the run ends as it would have."""
    ended = []
    for name, change in (("whole", False), ("parts", True)):
        np.save(tmp_path / "cb.npy", np.random.default_rng(0).normal(size=(6, 8)))
        common = ("train", "-d", own, "--results", tmp_path, "-m", "deepgaze", *SMALL)
        common += ("--prior", tmp_path / "cb.npy", "--epochs", "2", "--name", name)
        if change:
            with killed("epoch 2, step 1"):
                assert cli(*common)[0] == 130
            np.save(tmp_path / "cb.npy", np.zeros((6, 8)))
        assert cli(*common)[0] == 0
        ended.append(rows(tmp_path / f"history/{name}.csv"))
    assert ended[0] == ended[1]


def test_after_a_resume_priors_are_what_they_were(own, tmp_path, caplog):
    """The corpus' own leaves out folds; another is that which the run began with."""
    corpus = open_corpus(str(own), tmp_path)
    training, *_ = load(corpus, Memory(tmp_path))
    for asked in (None, str(own)):
        given = (asked, corpus, tmp_path, Memory(None), training)
        prior, first = priors.of_training(*given)
        prior.save(tmp_path / "saved.h5")
        _, again = priors.of_training(*given, begun=tmp_path / "saved.h5")
        np.testing.assert_array_equal(first(training[0], 9, 9), again(training[0], 9, 9))
        assert (first(training[0], 9, 9) != prior.log_density(9, 9)).any()
    np.save(tmp_path / "cb.npy", np.zeros((6, 8)))
    asked = str(tmp_path / "cb.npy")
    given = (asked, corpus, tmp_path, tmp_path, training, tmp_path / "saved.h5")
    np.testing.assert_array_equal(
        priors.of_training(*given)[1](training[0], 9, 9), prior.log_density(9, 9)
    )


def test_the_prior_of_what_is_tested_on_is_of_the_training_side_that_is_given(
    own, tmp_path, caplog
):
    """As of a fold, not of its usual training side, in which most of the tested pictures are."""
    corpus = open_corpus(str(own), tmp_path)
    sides = load(corpus, Memory(tmp_path), fold=(1, 2))
    found = priors.prior_of(str(own), tmp_path, Memory(None), corpus, sides[0])
    wanted = centre_bias(relative_points(sides[0])).log_density(9, 9)
    np.testing.assert_array_equal(found.log_density(9, 9), wanted)
    usual = priors.prior_of(str(own), tmp_path, Memory(None))
    assert (usual.log_density(9, 9) != wanted).any()


def test_held_out_pictures_choose_the_epoch_and_the_validation_side_is_only_tested(
    cli, own, tmp_path
):
    common = ("-d", own, "--results", tmp_path)
    code, _, err = cli("train", *common, *SMALL, "--epochs", "1", "--hold-out", "3")
    assert (code, err) == (0, "")
    (link,) = about(tmp_path)["chain"]
    assert len(link["train"]) == 7 and len(link["held"]) == 3
    assert not {*link["train"]} & {*link["held"]}
    assert cli("test", *common)[0] == 0
    found = json.loads((tmp_path / "reports/msinet_own.metrics.json").read_text())
    assert found["n_images"] == 3 and "chosen on 3 held-out training pictures" in found["model"]
    names = {row["name"] for row in rows(tmp_path / "reports/msinet_own.csv")}
    assert not names & ({*link["train"]} | {*link["held"]})
    # In another corpus, what chose the epoch is no new picture.
    other = make_own(tmp_path / "copy")
    for path in (other / "stimuli").iterdir():
        if path.name not in link["held"]:
            path.unlink()
    lines = (other / "fixations.csv").read_text().splitlines()
    kept = [line for line in lines if line.split(",")[0] in ("image", *link["held"])]
    (other / "fixations.csv").write_text("\n".join(kept) + "\n")
    (other / "val.txt").write_text(min(link["held"]))
    code, _, err = cli("test", *common, "--on", other)
    assert code == 2 and "chose its epoch by 1 of the 1" in err
    code, _, err = cli("train", *common, *SMALL, "--name", "x", "--hold-out", "10")
    assert code == 2 and "--hold-out 10: there are 10 pictures to train on" in err


def test_a_partial_training_does_not_leak_into_a_test_on_another_corpus(cli, told, tmp_path):
    own, results = tmp_path / "data" / "LAB", tmp_path / "r"
    make_own(own)
    for index in (1, 2):
        (own / "stimuli" / f"{index:02d}.png").unlink()
    lines = (own / "fixations.csv").read_text().splitlines()
    kept = [line for line in lines if line[:2] not in ("01", "02")]
    (own / "fixations.csv").write_text("\n".join(kept) + "\n")
    (tmp_path / "lab.py").write_text(
        "from data.corpus import Corpus\nfrom data.splits import Shuffled\n\n\n"
        'class LAB(Corpus):\n    """Thirteen."""\n\n    size = (64, 64)\n'
        "    split = Shuffled(train=10, valid=3)\n    sigma = 4\n"
    )
    common = ("--corpora", tmp_path / "lab.py", "-p", tmp_path / "data")
    try:
        more = (*SMALL, "--epochs", "1", "--partial", "--results", results)
        assert cli("train", "-d", told[0], *more)[0] == 0
        code, _, err = cli("test", "-d", told[0], "--results", results, "--on", "lab", *common)
        assert code == 2 and "11 stimuli with truth, 13 expected" in err
    finally:
        from data.corpus import Corpus

        Corpus.registry.pop("lab", None)
