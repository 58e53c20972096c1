"""Names that other systems, programs and people spell otherwise."""

from pathlib import Path

import pytest
from helpers import one_line

from formats.names import Pairing, key, matched

HERE = Path("study")
NAMES = ["p0.png", "p1.png", "a/001.png", "a/002.png", "B\u00fcro.jpg"]


@pytest.mark.parametrize(
    "text, name",
    [
        ("p0.png", "p0.png"),
        ("p0", "p0.png"),
        (" P0.PNG ", "p0.png"),
        ("p0.jpeg", "p0.png"),
        ("p0.png.png", "p0.png"),
        ("stimuli/p0.png", "p0.png"),
        ("./p0.png", "p0.png"),
        ("C:\\study\\Stimuli\\p0.png", "p0.png"),
        ("/home/me/pictures/p0.png", "p0.png"),
        ("a/1", "a/001.png"),
        ("2.0", "a/002.png"),
        ("Bu\u0308ro.jpg", "B\u00fcro.jpg"),
        ("b/001.png", None),
        ("p2", None),
        ("p00x.png", None),
        ("", None),
    ],
)
def test_a_name_means_a_stimulus_however_it_is_spelt(text, name):
    assert Pairing(NAMES).find(text) == name


@pytest.mark.parametrize(
    "text, name",
    [("1", "1.png"), ("001", "001.png"), ("001.png", "001.png"), ("01", None), ("x/1.png", None)],
)
def test_names_that_zeros_tell_apart_are_told_apart_by_them(text, name):
    assert Pairing(["1.png", "001.png"]).find(text) == name


def test_case_and_folders_tell_apart_where_they_must():
    pairing = Pairing(["A.png", "a.png", "x/001.png", "y/001.png"])
    assert [pairing.find(text) for text in ("A", "a", "x/1", "1")] == [
        "A.png", "a.png", "x/001.png", None
    ]  # fmt: skip


def test_two_folders_of_another_machine_are_not_taken_for_one_picture():
    pairing = Pairing(["001.png", "002.png"])
    assert pairing.find("C:\\cats\\001.png") == "001.png"
    with one_line("would both be the stimulus '001.png'"):
        pairing.find("C:\\dogs\\001.png")


def test_near_names_are_offered():
    assert Pairing(["street.jpg", "beach.jpg"]).near("stret.jpg") == " (did you mean street.jpg?)"
    assert Pairing(["street.jpg"]).near("qqqq") == ""
    both = Pairing(["train/p0.png", "val/p0.png"])
    assert both.find("p0") is None
    assert both.near("p0") == " (did you mean train/p0.png or val/p0.png?)"


def test_no_digit_but_leading_zeros_is_lost():
    assert key("img_010_00.jpg") == "img_10_0"
    assert key("i100") == "i100" != key("i1")


@pytest.mark.parametrize("ending", ["_fixMap.png", "_saliency.npy", "-heat.jpg", ".png.png"])
def test_an_ending_that_all_have_is_no_part_of_names(ending):
    stimuli = ["p1.png", "p11.png", "p2.png"]
    files = ["p1" + ending, "p11" + ending, "p2" + ending]
    assert matched(stimuli, files, HERE) == dict(zip(stimuli, files, strict=True))


def test_what_could_be_another_picture_is_left_alone():
    assert matched(["p1.png", "p2.png"], ["p1.png", "p2_2.png"], HERE) == {"p1.png": "p1.png"}
    assert matched(["p1.png", "p2.png"], ["p11.png", "p21.png"], HERE) == {}
    both = [f"p{n}_{kind}.png" for n in (1, 2) for kind in ("fixMap", "fixPts")]
    assert matched(["p1.png", "p2.png"], both, HERE) == {}


def test_strays_do_not_hide_an_ending():
    files = ["p1_map.png", "p2_map.png", "readme_of_maps.png"]
    found = {"p1.png": "p1_map.png", "p2.png": "p2_map.png"}
    assert matched(["p1.png", "p2.png"], files, HERE) == found
    assert matched(["p1.png", "p2.png", "p3.png"], files[:2], HERE) == found


def test_two_files_of_one_stimulus_are_refused():
    with one_line("study: 'p1.png' and 'p1.jpg' are of one stimulus, 'p1.png'"):
        matched(["p1.png"], ["p1.png", "p1.jpg"], HERE)
