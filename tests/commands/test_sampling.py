"""Scanpaths over a picture, from a model that was trained on scanpaths."""

import csv

import pytest
from conftest import SMALL, make_own
from helpers import run
from PIL import Image


@pytest.fixture(scope="module")
def viewed(tmp_path_factory, quick):
    """A corpus and a model of its scanpaths."""
    folder = tmp_path_factory.mktemp("viewed")
    own, results = make_own(folder / "own"), folder / "results"
    more = (*SMALL, "-m", "deepgaze", "--scanpath", "--epochs", "1")
    assert run("train", "-d", own, "--results", results, *more) == 0
    return own, results


def scanpaths(cli, viewed, *more):
    own, results = viewed
    picture = own / "stimuli" / "03.png"
    code, _, err = cli("scanpaths", "-d", own, "-p", picture, "--results", results, *more)
    assert (code, err) == (0, "")
    with (results / "images/deepgaze_own/03_scanpaths.csv").open() as file:
        return list(csv.DictReader(file))


def test_scanpaths_are_written_and_drawn(cli, viewed):
    rows = scanpaths(cli, viewed, "--count", "3", "--length", "4")
    assert [(row["scanpath"], row["fixation"]) for row in rows] == [
        (str(i), str(j)) for i in (1, 2, 3) for j in (1, 2, 3, 4)
    ]
    assert all(0 < float(row["x"]) < 64 and 0 < float(row["y"]) < 48 for row in rows)
    with Image.open(viewed[1] / "images/deepgaze_own/03_scanpaths.png") as drawn:
        assert drawn.width / drawn.height == pytest.approx(64 / 48, abs=0.01)


def test_a_seed_gives_the_same_scanpaths_again_and_another_others(cli, viewed):
    more = ("--count", "3", "--length", "4", "--seed")
    first = scanpaths(cli, viewed, *more, "1")
    assert scanpaths(cli, viewed, *more, "1") == first
    assert scanpaths(cli, viewed, *more, "2") != first


def test_a_model_without_scanpaths_has_none(cli, viewed):
    own, results = viewed
    train = ("train", "-d", own, "--results", results, "-m", "centerbias")
    assert cli(*train, "--pixels-per-degree", "4")[0] == 0
    picture = own / "stimuli" / "03.png"
    code, _, err = cli("scanpaths", "--name", "centerbias_own", "-p", picture, "--results", results)
    assert code == 2 and "--scanpath" in err and err.count("\n") == 1
    code, _, err = cli("scanpaths", "-d", own, "-p", own / "stimuli", "--results", results)
    assert code == 2 and "13 pictures" in err
