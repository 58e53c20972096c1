import json
from html.parser import HTMLParser

import pytest

from report.inspection import lines, write_page
from report.warnings import warnings


def spread(low, median, high):
    counted = {"edges": [low, median, high + 1], "counts": [3, 4]}
    return {"count": 7, "min": low, "median": median, "mean": median, "max": high, **counted}


def record(**other):
    return {
        "count": 1000,
        "pictures_without": 0,
        "per_picture": spread(10, 20, 30),
        "observers": 5,
        "per_observer": spread(150, 200, 250),
        "scanpaths": 100,
        "scanpaths_per_picture": spread(2, 2, 2),
        "per_scanpath": spread(5, 10, 15),
        "missing": 0,
        "outside": 0,
        "outside_swapped": 0,
        "negative": 0,
        "pictures_outside": 0,
        "worst_outside": None,
        "fractions": 0,
        "edge": 3,
        "centre": 2,
        "reach": [0.05, 0.04, 0.96, 0.95],
        "commonest": {"x": 4.5, "y": 3.0, "count": 2},
        "repeated": 5,
        "durations": spread(0.1, 0.25, 0.9),
        "times": spread(0.0, 2.5, 5.0),
        "counted": False,
        **other,
    }


def facts(**other):
    pictures = {
        "count": 50,
        "formats": [["JPEG RGB", 48], ["PNG L", 2]],
        "sizes": [["800x600", 49], ["640x480", 1]],
        "different_sizes": 2,
        "ends": {},
        "input": [240, 320],
        "padding": spread(0.0, 0.1, 0.25),
    }
    contrast = {"auc": 0.64, "error": 0.01, "pictures": 50, "others": {"x and y swapped": 0.52}}
    return {
        "corpus": "/somewhere/own",
        "name": "own",
        "folder": "/somewhere/own",
        "refusal": None,
        "notices": [],
        "pictures": pictures,
        "unreadable": {},
        "fixations": record(),
        "maps": None,
        "sigma": {"pixels": 24.0, "from": "of own"},
        "sides": {"train": 40, "validate": 10},
        "split": "a shuffle",
        "duplicates": {"exact": [], "near": [], "across": []},
        "contrast": contrast,
        "warnings": [],
        "views": [],
        "twice": [],
        "batch": [],
        "page": "results/reports/own.inspect.html",
    } | other


def following(auc, **others):
    return {"auc": auc, "error": 0.01, "pictures": 50, "others": others}


def maps(**other):
    return {"count": 50, "formats": [["PNG RGB", 50]], "coloured": 0, "light_rim": 0, **other}


def test_nothing_is_said_of_a_corpus_that_is_fine():
    assert warnings(facts()) == []
    assert warnings(facts(fixations=None, contrast=None, maps=maps(light_rim=20))) == []


WRONG = {
    "resized": ({"outside": 300, "outside_swapped": 280, "pictures_outside": 40,
                 "worst_outside": "7.jpg"},
                "300 of 1,000 fixations (30 %) lie outside their picture, on 40 pictures, most of "
                "'7.jpg': are these the pictures that were shown"),
    "swapped": ({"outside": 150, "outside_swapped": 3, "worst_outside": "7.jpg"},
                "x and y swapped? 3 would"),
    "centred": ({"outside": 700, "outside_swapped": 700, "negative": 690,
                 "worst_outside": "7.jpg"}, "counted from the picture's centre?"),
    "fractions": ({"fractions": 1000}, "fractions of the picture's sides"),
    "enlarged": ({"reach": [0.02, 0.02, 0.48, 0.9]}, "the left 48 % and the upper 90 %"),
    "missing": ({"missing": 4}, "4 of 1,000 fixations (0.4 %) have no coordinates"),
    "clipped": ({"edge": 300}, "on the outermost 1 % of their picture"),
    "lost": ({"commonest": {"x": 0.0, "y": 0.0, "count": 110}}, "exactly at (0, 0)"),
    "cross": ({"centre": 90}, "at the very centre"),
    "held": ({"repeated": 400}, "where the one before them is"),
    "raw": ({"per_scanpath": spread(300, 400, 500)}, "scanpaths have 400 fixations"),
    "alone": ({"observers": 1}, "of one observer"),
    "bare": ({"pictures_without": 3}, "3 pictures have no fixations"),
    "milliseconds": ({"durations": spread(100, 250, 900)}, "a fixation lasts 250 s (median)"),
    "twice divided": ({"durations": spread(1e-4, 2.5e-4, 9e-4)}, "a fixation lasts 0.00025 s"),
    "late": ({"times": spread(0, 2500, 5000)}, "times go up to 5000 s"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_fixations_is_one_line(case):
    change, said = WRONG[case]
    (line,) = warnings(facts(fixations=record(**change)))
    assert said in line and line.isprintable()


def test_order_alone_is_no_time():
    assert warnings(facts(fixations=record(counted=True, times=spread(0, 400, 900)))) == []


def test_a_few_outside_or_at_one_point_are_no_mistake():
    few = record(outside=5, outside_swapped=0, worst_outside="7.jpg")
    assert warnings(facts(fixations=few)) == []
    few = record(count=100, commonest={"x": 3.0, "y": 4.0, "count": 19})
    assert warnings(facts(fixations=few)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"refusal": "no split"}, "train refuses this: no split"),
        ({"maps": maps(coloured=50)}, "50 of 50 maps have colours"),
        ({"maps": maps(light_rim=26)}, "black where people look?"),
        ({"contrast": following(0.51, mirrored=0.53)}, "0.510 (chance .5, usual .65): is it their"),
        ({"contrast": following(0.58, mirrored=0.65)}, "with mirrored it would be 0.650"),
        ({"duplicates": {"exact": [], "near": [], "across": [["a.jpg", "b.jpg"]]}},
         "on both sides of the split: 1 scene, first 'a.jpg' and 'b.jpg'"),
    ],
)  # fmt: skip
def test_what_else_is_wrong_is_one_line(change, said):
    (line,) = warnings(facts(**change))
    assert said in line


def test_few_pictures_do_not_say_whether_fixations_follow():
    assert warnings(facts(contrast=following(0.4, mirrored=0.42) | {"pictures": 19})) == []
    assert warnings(facts(contrast=following(0.4, mirrored=0.9) | {"pictures": 7})) == []
    unsure = following(0.4, mirrored=0.5) | {"pictures": 8, "error": 0.03}
    assert warnings(facts(contrast=unsure)) == []  # 0.1 is less than four errors
    (line,) = warnings(facts(contrast=following(0.4, mirrored=0.5) | {"pictures": 8}))
    assert "with mirrored it would be 0.500" in line
    nothing = {"auc": None, "error": None, "pictures": 50, "others": {"mirrored": None}}
    assert warnings(facts(contrast=nothing)) == []


def test_padding_is_said_where_it_is_much():
    known = facts()
    known["pictures"]["padding"] = spread(0.3, 0.6, 0.7)
    assert warnings(known) == ["60 % of the input of 240x320 is padding; --size gives another"]


def test_lines_have_warnings_first_and_the_page_last():
    known = facts(warnings=["something"], notices=["sigma assumed"], unreadable={"a.png": "empty"})
    said = lines(known)
    assert said[0] == "! something" and said[-1] == "page: results/reports/own.inspect.html"
    assert said[-2] == "train says: sigma assumed"
    text = "\n".join(said)
    assert "50: JPEG RGB (48), PNG L (2); 1 cannot be read, first 'a.png': empty" in text
    assert "padding 10 % (0 to 25 %)" in text
    assert "100; a picture 2, each of 10 (5 to 15)" in text
    assert "99 % within 5 to 96 % of the width and 4 to 95 % of the height" in text
    assert "0.25 s (0.1 to 0.9)" in text
    assert "40 train, 10 validate: a shuffle" in text


def test_lines_of_a_corpus_that_nothing_is_known_of():
    nothing = facts(fixations=None, contrast=None, maps=maps(), sides={})
    nothing["pictures"] |= {"count": 0, "formats": [], "sizes": [], "padding": None}
    text = "\n".join(lines(nothing))
    assert "split      none\n" in text and "pictures   0: none" in text


class Page(HTMLParser):
    """The elements of a page as (tag, attributes), and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


NASTY = "<script>alert(1)</script> 100%.jpg"


def test_the_page_shows_warnings_numbers_histograms_and_pictures(tmp_path):
    picture = "../images/own.inspect/view0.jpg"
    view = {"name": NASTY, "why": "the first by name", "side": "train", "size": "800x600"}
    twice = [[{"name": NASTY, "side": None, "picture": picture}] * 2]
    batch = [{"name": NASTY, "mirrored": True, "padding": 0.25, "picture": picture}]
    known = facts(
        warnings=[f"wrong: {NASTY}"],
        notices=["sigma assumed"],
        views=[view | {"fixations": 1, "picture": picture}, view | {"fixations": None, "side": None,
                                                                    "picture": "../a b#.jpg"}],
        twice=twice,
        batch=batch,
    )  # fmt: skip
    write_page(tmp_path / "reports" / "own.inspect.html", json.loads(json.dumps(known)))
    text = (tmp_path / "reports" / "own.inspect.html").read_text()
    page = Page(text)
    assert "<script" not in text and f"wrong: {NASTY}" in page.text
    images = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert images == [picture, "../a%20b%23.jpg", picture, picture, picture]
    assert "mirrored · 25 % padding" in page.text and "800x600 · 1 fixation · train" in page.text
    # Of the spreads, that of scanpaths a picture has one value alone.
    assert [tag for tag, _ in page.elements].count("svg") == 4
    assert "Red dots" not in page.text and "No number looks wrong" not in page.text


def test_a_page_without_warnings_says_so(tmp_path):
    view = {"name": "a", "why": "", "side": None, "size": "", "fixations": 3, "picture": "a"}
    known = facts(fixations=record(outside=2, worst_outside="a"), views=[view])
    write_page(tmp_path / "a.html", known)
    text = Page((tmp_path / "a.html").read_text()).text
    assert "No number looks wrong" in text
    assert "Red dots" in text  # of fixations outside, however few
