"""What an evaluation measures, and what it says of it: by hand, and by doing the same otherwise."""

import json
import types

import numpy as np
import pytest
from conftest import make_own
from helpers import rows
from PIL import Image

from batches.truth import relative_points, truth
from commands import evaluation, subjects
from data.corpus import open_corpus
from data.samples import load
from data.scenes import SYNTHETIC
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import centre_bias, uniform
from model.baselines.gold import gold_standard
from model.checkpoints.runs import Run, read_about

PARTS = ["LL", "IG", "AUC", "sAUC", "NSS"]
FINAL = [*PARTS, "AUC_Judd", "CC", "SIM", "KLDiv"]


def evaluated(cli, results, *more):
    """The numbers of the only evaluation in a folder of results, and the lines that were said."""
    code, out, err = cli("test", "--results", results, *more)
    assert (code, err) == (0, "")
    (path,) = (results / "reports").glob("*.metrics.json")
    return json.loads(path.read_text()), out


def refused(cli, results, *more):
    code, _, err = cli("test", "--results", results, *more)
    assert code == 2 and err.count("\n") == 1
    return err


def lines_of(own):
    return (own / "fixations.csv").read_text().splitlines()


def rewrite(own, lines):
    (own / "fixations.csv").write_text("\n".join(lines) + "\n")


# what is known and what is not


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Means of uniform density, centre bias, gold standard and true density on the drawn corpus."""
    folder = tmp_path_factory.mktemp("drawn") / "synthetic"
    SYNTHETIC.make(folder)
    training, validation, *_ = load(SYNTHETIC(folder), Memory(folder.parent))
    bias = centre_bias(relative_points(training))
    gold = gold_standard([evaluation.people(sample) for sample in training[::4]], bias)
    negatives = evaluation.negatives_of(validation, "tuebingen")
    measure = evaluation.Yardstick(bias.log_density, negatives, gold, "tuebingen")
    found = {name: [] for name in ("uniform", "centre", "gold", "truth", "observers")}
    for sample, by_others in zip(validation, subjects.observers(gold)(validation), strict=True):
        known = truth(sample) | {"negatives": negatives(sample)}
        del known["log_density"]
        answers = {
            "uniform": [evaluation.Part(uniform(*sample.shape))],
            "centre": [evaluation.Part(bias.log_density(*sample.shape))],
            "gold": by_others,
            "truth": [evaluation.Part(known.pop("true_log_density"))],
        }
        for name, parts in answers.items():
            found[name].append(evaluation.measured(measure, sample, parts, known)[0])
        centre = bias.log_density(*sample.shape)
        found["observers"].append(evaluation.ceiling(gold, sample, centre, own=True))
    return {
        name: {key: np.mean([row[key] for row in rows]) for key in rows[0]}
        for name, rows in found.items()
    }


@pytest.mark.parametrize("name", FINAL)
def test_who_knows_more_scores_higher_by_every_metric(judged, name):
    order = [judged[who] for who in ("uniform", "centre", "gold", "truth")]
    values = [means[name] for means in order if name in means]
    assert len(values) == (4 if name in PARTS else 3)  # a gold standard answers in parts
    # Negatives have the centre bias of the fixations: by sAUC it is at chance, give or take.
    slack = 1e-3 if name == "sAUC" else 0
    steps = np.diff(values) * (-1 if name == "KLDiv" else 1)
    assert (steps >= -slack).all() and steps[1:].min() > 0.01


def test_the_true_density_lies_between_the_two_ends_of_the_gold_standard(judged):
    for name in ("LL", "IG"):
        assert judged["gold"][name] < judged["truth"][name] < judged["observers"][name]


def test_a_single_picture_has_no_negatives_and_no_other_maps(cli, tmp_path):
    own = make_own(tmp_path / "own", count=5)
    for more in ((), ("--maps", "tuebingen"), ("--protocol", "mit")):
        results = tmp_path / f"r{len(more)}{more[-1:]}"
        found, out = evaluated(cli, results, "-d", own, "-m", "uniform", *more)
        assert found["n_images"] == 1
        undefined = {name for name, value in found["image"].items() if value is None}
        assert undefined == ({"sAUC_MIT"} if "mit" in more else {"sAUC"})
        assert "sAUC" in out and "nan" not in out


def test_a_picture_of_a_single_observer_takes_the_gold_standard_away_and_that_is_said(
    cli, tmp_path
):
    own = make_own(tmp_path / "own", count=5)
    rewrite(own, [line for line in lines_of(own) if not line.startswith(("00.png,1", "00.png,2"))])
    found, out = evaluated(cli, tmp_path / "r", "-d", own, "-m", "uniform")
    assert "goldstandard" not in found["baselines"] and found["explained"] is None
    assert "no gold standard, and no share of it: " in out and "'00.png' has 1" in out
    assert "'00.png' has 1" in refused(cli, tmp_path / "r", "-d", own, "-m", "goldstandard")


def test_a_model_that_is_infinitely_wrong_on_some_pictures_has_no_share(cli, tmp_path):
    own, folder = make_own(tmp_path / "own", count=20), tmp_path / "predicted"
    folder.mkdir()
    evaluated(cli, tmp_path / "u", "-d", own, "-m", "uniform")
    names = [row["name"] for row in rows(tmp_path / "u/reports/uniform_own.csv")]
    for index, name in enumerate(names):
        density = np.ones((48, 64))
        density[1:] *= index > 1  # of two of the pictures, nothing but the uppermost row
        with np.errstate(divide="ignore"):
            np.save(folder / f"{name[:2]}.npy", np.log(density / density.sum()))
    more = ("--predictions", folder, "--kind", "density")
    found, out = evaluated(cli, tmp_path / "r", "-d", own, *more)
    assert found["n_infinite"] == 2 and found["explained"] is None
    assert "no share of the gold standard's IG: IG is not finite on 2 of 4 pictures" in out
    assert "% of the" not in out


# what may be compared


def test_two_corpora_of_the_same_names_and_counts_are_not_compared(cli, tmp_path):
    for name, seed in (("one", 0), ("two", 5)):
        own, results = make_own(tmp_path / name, seed=seed), tmp_path / "r"
        for model in ("uniform", "centerbias"):
            assert cli("test", "-d", own, "--results", results, "-m", model)[0] == 0
    err = refused(cli, results, "--compare", "uniform_one", "uniform_two")
    assert "(one and two): not comparable" in err
    code, out, _ = cli("test", "--results", results, "--compare", "uniform_one", "centerbias_one")
    assert code == 0 and "means over 3 pictures" in out and "left out" not in out


def test_another_blur_leaves_out_what_depends_on_it(cli, own, tmp_path):
    for name, sigma in (("narrow", "2"), ("wide", "6")):
        more = ("-m", "uniform", "--name", name, "--pixels-per-degree", sigma)
        assert cli("test", "-d", own, "--results", tmp_path, *more)[0] == 0
    code, out, _ = cli("test", "--results", tmp_path, "--compare", "narrow", "wide")
    assert code == 0 and "left out: CC, SIM, KLDiv, for the empirical densities differ" in out
    assert {line.split()[0] for line in out.splitlines()[2:-2]} == {*PARTS, "AUC_Judd"}


def test_another_training_side_leaves_out_what_is_gained_over_it(cli, own, tmp_path):
    """As where a picture was added and the validation side stayed; here, where one was replaced."""
    common = ("-d", own, "--results", tmp_path, "-m", "uniform", "--name")
    assert cli("test", *common, "before")[0] == 0
    names = [row["name"] for row in rows(tmp_path / "reports/before.csv")]
    other = next(f"{i:02d}.png" for i in range(13) if f"{i:02d}.png" not in names)
    kept = [line for line in lines_of(own) if not line.startswith(f"{other},2")]
    rewrite(own, kept)
    assert cli("test", *common, "after")[0] == 0
    code, out, _ = cli("test", "--results", tmp_path, "--compare", "before", "after")
    assert code == 0 and "left out: IG, for the training sides of the baselines differ" in out


# the first fixation


@pytest.fixture
def timed(tmp_path):
    """A folder of one's own with times, rows in no order; first fixations are in the middle."""
    own = make_own(tmp_path / "timed")
    rows = [line.split(",") for line in lines_of(own)[1:]]
    for index, row in enumerate(rows):
        when = index % 12 // 3
        row[2:] = ["32.5", "24.5", "0"] if when == 0 else [*row[2:], f"{when}.5"]
    np.random.default_rng(0).shuffle(rows)
    rewrite(own, ["image,subject,x,y,t", *map(",".join, rows)])
    return own


def test_skip_first_is_a_corpus_without_first_fixations(cli, timed, tmp_path):
    """In what is scored, in negatives, in the centre bias and in the gold standard."""
    skipped = {}
    for model in ("uniform", "centerbias", "goldstandard"):
        found, out = evaluated(
            cli, tmp_path / f"s_{model}", "-d", timed, "-m", model, "--skip-first"
        )
        (head,) = (line for line in out.splitlines() if "means over 3 pictures" in line)
        assert "without the first fixation of each scanpath" in head
        assert "without the first fixation" in found["protocol"]
        assert found["name"] == f"{model}_timed_skipfirst" and found["n_fixations"] == 27
        skipped[model] = found
    rewrite(timed, [line for line in lines_of(timed) if not line.endswith(",0")])
    for model, found in skipped.items():
        wanted, _ = evaluated(cli, tmp_path / model, "-d", timed, "-m", model)
        for part in ("image", "fixation", "baselines"):
            assert found[part] == wanted[part], (model, part)


def test_a_first_fixation_outside_its_picture_is_the_first_one_all_the_same(cli, timed, tmp_path):
    inside, _ = evaluated(cli, tmp_path / "a", "-d", timed, "-m", "uniform", "--skip-first")
    rewrite(timed, [line.replace(",32.5,24.5,0", ",-3,24.5,0") for line in lines_of(timed)])
    more = ("-d", timed, "-m", "uniform", "--skip-first", "--outside", "drop")
    outside, _ = evaluated(cli, tmp_path / "b", *more)
    assert outside["n_fixations"] == inside["n_fixations"] == 27


def test_first_fixations_that_are_not_known_are_refused(cli, timed, tmp_path):
    more = ("-d", timed, "-m", "uniform", "--skip-first")
    (timed / "fixations.csv").rename(tmp_path / "fixations.csv")
    (timed / "fixations").mkdir()
    for path in (timed / "stimuli").iterdir():
        points = Image.new("L", (64, 48))
        points.putpixel((20, 20), 255)
        points.save(timed / "fixations" / path.name)
    err = refused(cli, tmp_path / "r", *more)
    assert "--skip-first" in err and "order" in err
    (timed / "fixations").rename(timed / "saliency")
    for path in (timed / "saliency").iterdir():
        Image.fromarray(np.uint8(np.add.outer(np.arange(48), np.arange(64)))).save(path)
    assert "maps" in refused(cli, tmp_path / "r", *more)
    (tmp_path / "fixations.csv").rename(timed / "fixations.csv")
    assert "--pixels-per-degree" in refused(cli, tmp_path / "r", *more)
    assert cli("test", "--results", tmp_path / "r", *more, "--pixels-per-degree", "4")[0] == 0


def test_a_side_without_a_fixation_that_counts_is_one_line(cli, timed, tmp_path):
    evaluated(cli, tmp_path / "u", "-d", timed, "-m", "uniform")
    tested = tuple(row["name"] for row in rows(tmp_path / "u/reports/uniform_timed.csv"))
    whole = lines_of(timed)
    for side in (True, False):
        rewrite(
            timed,
            [s for s in whole if s.endswith(",0") or s.startswith(tested) != side or ",t" in s],
        )
        err = refused(cli, tmp_path / "r", "-d", timed, "-m", "uniform", "--skip-first")
        assert "stimuli to " + ("validate" if side else "train on") in err
        assert "has a fixation that counts" in err


def test_maps_alone_have_no_gold_standard(cli, own, tmp_path):
    (own / "fixations.csv").unlink()
    (own / "saliency").mkdir()
    for path in (own / "stimuli").iterdir():
        Image.open(path).convert("L").save(own / "saliency" / path.name)
    err = refused(cli, tmp_path / "r", "-d", own, "-m", "goldstandard")
    assert "needs fixations of every picture" in err


# folds


def test_cross_validations_of_other_folds_have_the_same_negatives(cli, own, tmp_path):
    for folds in ("2", "3"):
        more = ("-m", "uniform", "--folds", folds)
        assert cli("test", "-d", own, "--results", tmp_path, *more)[0] == 0
    code, out, _ = cli(
        "test", "--results", tmp_path, "--compare", "uniform_own_2folds", "uniform_own_3folds"
    )
    assert code == 0 and "left out: IG, for" in out and "sAUC" in out and "negatives" not in out


def test_negatives_of_a_cross_validation_are_those_of_all_its_folds(cli, own, tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "predicted"
    folder.mkdir()
    for path in (own / "stimuli").iterdir():
        np.save(folder / f"{path.stem}.npy", random.uniform(size=(48, 64)))
    more = ("--predictions", folder, "--kind", "saliency", "--folds", "4")
    evaluated(cli, tmp_path / "r", "-d", own, *more)
    found = {
        row["name"]: float(row["sAUC"]) for row in rows(tmp_path / "r/reports/predicted_4folds.csv")
    }
    samples = sum(load(open_corpus(str(own), tmp_path), Memory(tmp_path))[:3], [])
    assert len(samples) == len(found) == 13
    for sample in samples:
        values = np.load(folder / f"{sample.name[:2]}.npy")
        here, there = (
            np.concatenate([values[*np.int64(s.points).T[::-1]] for s in some])
            for some in ([sample], [s for s in samples if s is not sample])
        )
        more = (here[:, None] > there).mean() + (here[:, None] == there).mean() / 2
        assert found[sample.name] == pytest.approx(more, abs=1e-12)


def test_a_centre_bias_is_fitted_again_where_the_training_side_grew(cli, tmp_path):
    """Also where the picture that came sends others to the other side."""
    own, results, said = make_own(tmp_path / "own"), tmp_path / "r", []
    make_own(tmp_path / "more", count=14)
    run = Run(results, "centerbias_own")
    for added in (None, None, "fixations", "picture"):
        if added == "fixations":
            rewrite(own, [*lines_of(own), *(f"{i:02d}.png,7,3,3" for i in range(13))])
        if added == "picture":
            (tmp_path / "more/stimuli/13.png").rename(own / "stimuli/13.png")
            rewrite(own, [*lines_of(own), *lines_of(tmp_path / "more")[-12:]])
        found, out = evaluated(cli, results, "-d", own, "-m", "centerbias")
        said.append(("weights: " in out, run.best.weights.stat().st_mtime_ns))
        assert found["image"]["IG"] == pytest.approx(0, abs=1e-12)
    fitted, times = zip(*said, strict=True)
    assert fitted == (True, False, True, True) and times[0] == times[1] < times[2] < times[3]


def test_a_centre_bias_is_fitted_on_coordinates_as_they_are_tested(cli, tmp_path):
    own, results = make_own(tmp_path / "own"), tmp_path / "r"
    header, *rows = (own / "fixations.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    x, y = (header.split(",").index(name) for name in "xy")
    for row in cells:
        row[x], row[y] = (f"{float(row[place]) / 100:g}" for place in (x, y))
    (own / "fixations.csv").write_text("\n".join([header, *map(",".join, cells)]) + "\n")
    asked = ("test", "-d", own, "-m", "centerbias", "--results", results)
    code, _, err = cli(*asked)
    assert code == 2 and "--units fractions" in err
    assert cli(*asked, "--units", "fractions")[0] == 0
    about = read_about(Run(results, "centerbias_own"))
    assert about["config"]["units"] == "fractions"
    assert cli("test", "--name", "centerbias_own", "--results", results)[0] == 0


def test_a_running_sum_gives_the_mean_over_the_others():
    random, shape = np.random.default_rng(0), (6, 8)
    drawn = random.uniform(0.1, 1, (5, *shape))
    drawn /= drawn.sum((1, 2), keepdims=True)
    samples = [types.SimpleNamespace(name=str(i), shape=shape) for i in range(5)]
    subject = evaluation.Subject(
        None, "", lambda given: ([evaluation.Part(np.log(drawn[int(s.name)]))] for s in given)
    )
    others = evaluation.mean_of_others(subject, samples)
    for index, sample in enumerate(samples):
        wanted = np.log(np.delete(drawn, index, axis=0).mean(0))
        np.testing.assert_allclose(others(sample, np.log(drawn[index])), wanted, atol=1e-6)
    alone = evaluation.mean_of_others(subject, samples[:1])
    assert alone(samples[0], np.log(drawn[0])) is None


def test_a_centre_bias_without_first_fixations_is_not_taken_for_one_with_them(cli, timed, tmp_path):
    found, files = [], []
    for more in ((), ("--skip-first",), ("--name", "centerbias_timed")):
        asked = ("-d", timed, "-m", "centerbias") if "--name" not in more else ()
        assert cli("test", "--results", tmp_path, *asked, *more)[0] == 0
        name = "centerbias_timed" + "_skipfirst" * ("--skip-first" in more)
        found.append(json.loads((tmp_path / f"reports/{name}.metrics.json").read_text())["image"])
        files.append(Run(tmp_path, "centerbias_timed").best.weights.stat().st_mtime_ns)
    assert found[0] == found[2] != found[1] and len({*files}) == 1
    assert all(image["IG"] == pytest.approx(0, abs=1e-12) for image in found)


def test_a_centre_bias_is_tested_on_another_corpus_as_it_is(cli, own, tmp_path):
    other = make_own(tmp_path / "other", seed=3)
    assert cli("train", "-d", own, "--results", tmp_path, "-m", "centerbias")[0] == 0
    weights = Run(tmp_path, "centerbias_own").best.weights
    before = weights.stat().st_mtime_ns
    more = ("-d", other, "-m", "centerbias", "--name", "centerbias_own")
    assert cli("test", "--results", tmp_path, *more)[0] == 0
    assert weights.stat().st_mtime_ns == before
    assert (tmp_path / "reports/centerbias_own_on_other.metrics.json").is_file()
