"""The page of a corpus, made as a user makes it, of small corpora, whole and broken."""

import json
import shutil

import numpy as np
import pytest
from absl import logging
from conftest import make_own
from helpers import noise
from PIL import Image, ImageOps

import flags
import main
from commands import inspecting
from config import Config
from data.corpus import open_corpus
from data.samples import Sample
from formats.fixations import table
from formats.pictures.integrity import Memory
from inspection.views import VIEWS, chosen, draw_views
from model.checkpoints.runs import Run


def inspected(cli, own, results, *more):
    code, out, err = cli("inspect", "-d", own, "--results", results, *more)
    assert (code, err) == (0, "")
    return out, json.loads((results / "reports/own.inspect.json").read_text())


def gathered(folder, **given):
    corpus, settings = open_corpus(str(folder), None), Config.make(given)
    found = inspecting.gather(corpus, settings, Memory(folder.parent / "cache"))
    return found, inspecting.facts_of(corpus, settings, found)


def test_a_page_its_pictures_and_its_numbers_are_written(cli, own, tmp_path):
    with Image.open(own / "stimuli/03.png") as picture:
        ImageOps.mirror(picture).resize((96, 72)).save(own / "stimuli/14.jpg")
    with (own / "fixations.csv").open("a") as file:
        file.write("14.jpg,0,95,80\n14.jpg,0,40,30\n")
    results = tmp_path / "results"
    out, known = inspected(cli, own, results, "--size", "64x96", "--pixels-per-degree", "4")
    said = out.splitlines()
    assert said[0] == "checking 14 pictures" and said[-1].endswith("reports/own.inspect.html")
    assert "sigma      4 px, --pixels-per-degree" in said
    assert known["pictures"]["formats"] == [["PNG RGB", 13], ["JPEG RGB", 1]]
    assert (known["fixations"]["count"], known["fixations"]["outside"]) == (158, 1)
    assert known["sides"] == {"train": 11, "validate": 3}
    assert known["duplicates"]["near"] == [["03.png", "14.jpg"]]
    assert len(known["views"]) == VIEWS and len(known["batch"]) == 4
    page = (results / "reports/own.inspect.html").read_text()
    for view in [*known["views"], *known["batch"], *known["twice"][0]]:
        assert view["picture"] in page
        assert (results / "reports" / view["picture"]).is_file()
    with Image.open(results / "reports" / known["batch"][0]["picture"]) as frame:
        assert frame.size == (96, 64)


def test_a_picture_that_is_read_at_a_smaller_scale_is_drawn_with_its_own_fixations(
    own, tmp_path, monkeypatch
):
    with Image.open(own / "stimuli/00.png") as picture:  # 64x48: seen at a scale below 1536 pixels
        picture.resize((640, 480)).save(own / "stimuli/00.jpg")
    (own / "stimuli/00.png").unlink()
    rows = [f"00.jpg,{i % 3},{500 + i},400" for i in range(12)]
    lines = (own / "fixations.csv").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("00.png")] + rows
    (own / "fixations.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr("formats.pictures.decode.PIXELS", 64 * 48)
    monkeypatch.setattr("formats.pictures.decode.most", 10**6)
    drawn = {}
    monkeypatch.setattr(
        "inspection.views.save_view", lambda path, *given: drawn.update({path: given})
    )
    found, known = gathered(own)
    draw_views(Run(tmp_path, "r"), found.samples, found.records, found.side, known)
    image, density, points = drawn[tmp_path / "images/r/view0.jpg"]
    assert image.shape == (480, 640, 3) and density.shape == (480, 640)
    assert sorted(points[:, 0]) == [500 + i for i in range(12)]


def test_json_is_all_that_is_on_stdout(cli, own, tmp_path):
    code, out, err = cli("inspect", "-d", own, "--results", tmp_path / "results", "--json")
    assert code == 0 and err == "checking 13 pictures\n"
    assert json.loads(out) == json.loads(
        (tmp_path / "results/reports/own.inspect.json").read_text()
    )


def test_a_corpus_that_train_refuses_is_shown_without_sides(cli, own, tmp_path):
    (own / "stimuli/05.png").write_bytes(b"no picture")
    out, known = inspected(cli, own, tmp_path / "results")
    assert "! train refuses this: 1 pictures cannot be read" in out
    assert list(known["unreadable"]) == ["05.png"] and known["pictures"]["count"] == 12
    assert (known["sides"], known["batch"]) == ({}, [])
    assert known["fixations"]["count"] == 12 * 12 and len(known["views"]) == 12


def test_pictures_without_truth_are_shown_all_the_same(own):
    (own / "fixations.csv").unlink()
    found, known = gathered(own)
    assert found.refusal.endswith("beside stimuli/")
    assert (known["pictures"]["count"], known["fixations"], known["contrast"]) == (13, None, None)


def test_what_only_partial_takes_is_refused_and_shown(own):
    rows = (own / "fixations.csv").read_text().splitlines()
    (own / "fixations.csv").write_text("\n".join(rows[:-12]) + "\n")
    found, known = gathered(own)
    assert "1 stimuli have no fixations" in found.refusal
    assert sum(known["sides"].values()) == 12 and known["fixations"]["pictures_without"] == 1
    found, known = gathered(own, partial=True)
    assert found.refusal is None and any("left out" in line for line in known["notices"])


def test_sides_are_those_that_train_would_have(own):
    assert gathered(own, hold_out=3)[1]["sides"] == {"train": 7, "validate": 3, "held out": 3}
    known = gathered(own, folds=4, fold=2)[1]
    assert known["sides"] == {"train": 10, "validate": 3}
    assert known["split"] == "fold 2 of 4"


def test_one_picture_on_both_sides_is_warned_of(own):
    found, _ = gathered(own)
    names = [min(s.name for s in found.sides[side]) for side in ("train", "validate")]
    shutil.copy(own / "stimuli" / names[0], own / "stimuli" / names[1])
    _, known = gathered(own)
    assert known["duplicates"]["across"] == known["duplicates"]["exact"] == [sorted(names)]
    assert any("on both sides of the split: 1 scene" in line for line in known["warnings"])


@pytest.mark.parametrize("pictures", ["saliency", "fixations"])
def test_coloured_maps_are_warned_of(own, pictures):
    (own / "fixations.csv").unlink()
    (own / pictures).mkdir()
    for stimulus in (own / "stimuli").iterdir():
        levels = np.zeros((48, 64, 3), np.uint8)
        levels[..., 0], levels[10:20, 10:20, 1] = 90, noise(10, 10)
        Image.fromarray(levels).save(own / pictures / stimulus.name)
    _, known = gathered(own)
    assert known["maps"]["coloured"] == 13
    assert any("13 of 13 maps have colours" in line for line in known["warnings"])


def sample(name, *points, shape=(100, 100)):
    return Sample(name, None, shape, table(*np.float64(points).reshape(-1, 2).T, 0))


def test_the_odd_and_the_extreme_are_chosen_each_once():
    middle = [(50, 50), (52, 50), (50, 52), (48, 48)]
    samples = [sample(f"{n:02d}", *middle) for n in range(30)]
    samples[3] = sample("03", *middle, (51, 51))
    samples[5] = sample("05", (50, 50))
    samples[7] = sample("07", (5, 95), (6, 94), (7, 93), (5, 94))
    samples[9] = sample("09", (1, 1), (99, 99), (1, 99), (99, 1))
    samples[11] = sample("11", *[(50, 50)] * 4)
    samples[13] = sample("13", *middle, shape=(100, 300))
    records = {s.name: s.table for s in samples} | {"15": sample("15", (500, 9), *middle).table}
    ends = {"smallest": "00", "largest": "13", "tallest": "00", "widest": "13"}
    known = {"pictures": {"different_sizes": 2, "ends": ends}}
    found = {s.name: why for s, why in chosen(samples, records, known)}
    assert len(found) == VIEWS
    assert found == {
        "00": "the first by name",
        "29": "the last by name",
        "13": "the largest",
        "15": "the most outside",
        "03": "the most fixations",
        "05": "the fewest fixations",
        "07": "farthest from where others look",
        "09": "scattered most",
        "11": "gathered most",
    } | {name: why for name, why in found.items() if why == "one of the others"}


def test_a_corpus_without_pictures_or_fixations_has_no_extremes():
    known = {"pictures": {"different_sizes": 1, "ends": {}}}
    assert [*chosen([], None, known)] == []
    bare = [Sample(f"{n}", None, (9, 9)) for n in range(3)]
    assert [s.name for s, _ in chosen(bare, None, known)] == ["0", "2", "1"]
    bare = [Sample(f"{n:03d}", None, (9, 9)) for n in range(201)]
    others = [int(s.name) for s, _ in chosen(bare, None, known)][2:]  # from the whole of them
    assert len(others) == VIEWS - 2 and max(np.diff([0, *others, 200])) <= 23


def test_train_says_which_command_shows_its_corpus(tmp_path):
    def whose(*argv):
        return main.named(flags.parse(["main.py", "train", *map(str, argv)], main.COMMANDS))

    own = make_own(tmp_path / "own", count=2)
    assert whose("-d", own) == ["-d", str(own)]
    assert whose("-d", "osie", "-p", "here") == ["-d", "osie", "-p", "here"]
    (tmp_path / "mine.py").write_text("")
    more = ["--corpora", str(tmp_path / "mine.py")]
    assert whose("-d", own, *more) == ["-d", str(own), *more]
    more = ["--size", "64x96", "--units", "fractions", "--partial"]
    assert {*whose("-d", own, *more, "--epochs", "3")} == {"-d", str(own), *more}


def test_what_is_logged_inside_is_heard_and_not_shown(capsys):
    before = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    with inspecting.heard() as said:
        logging.info("%d pictures", 3)
        logging.warning("left out")
    logging.set_verbosity(before)
    assert said == ["3 pictures", "left out"]
    assert capsys.readouterr() == ("", "")


def test_a_link_to_a_picture_that_is_gone_is_named_as_one_that_cannot_be_read(own):
    (own / "stimuli/00.png").unlink()
    (own / "stimuli/00.png").symlink_to(own / "gone.png")
    found, known = gathered(own)
    assert "00.png': is gone, or a link to what is not there" in found.refusal
    assert list(known["unreadable"]) == ["00.png"] and known["pictures"]["count"] == 12
