"""Scanpaths as a table and as a picture."""

import numpy as np
import pytest
from PIL import Image

from report.scanpaths import COLOURS, save_scanpaths, write_csv

GREY = np.full((120, 120, 3), 128, np.uint8)


def drawn(path, scanpaths, image=GREY):
    save_scanpaths(path, image, np.asarray(scanpaths, float))
    with Image.open(path) as picture:
        return np.asarray(picture)


def near(picture, colour, tolerance=3):
    return (np.abs(picture.astype(int) - colour) <= tolerance).all(axis=-1)


def test_csv_has_a_row_a_fixation_counted_from_one(tmp_path):
    paths = np.array([[[10.5, 20.5], [30.25, 40]], [[1 / 3, 1e5], [np.nan, np.nan]]])
    write_csv(tmp_path / "deep" / "a.csv", paths)
    assert (tmp_path / "deep" / "a.csv").read_text().splitlines() == [
        "scanpath,fixation,x,y",
        "1,1,10.5,20.5",
        "1,2,30.25,40",
        "2,1,0.3333333333,100000",
    ]


def test_circles_lie_where_the_fixations_do_and_lines_between(tmp_path):
    picture = drawn(tmp_path / "a.png", [[[20, 60], [100, 60]]])
    assert picture.shape == (1200, 1200, 3)
    found = near(picture, COLOURS[0])
    rows, columns = np.nonzero(found)
    # Ten times larger; a circle's radius is 9.6 / 960 of 1200 px, and text covers its middle.
    assert columns.min() == pytest.approx(200 - 12, abs=1.5)
    assert columns.max() == pytest.approx(1000 + 12, abs=1.5)
    assert rows.min() == pytest.approx(600 - 12, abs=1.5)
    assert found[600, 300:900].all()
    assert not found[610, 300:900].any()
    # Outside the rims the picture is as it was.
    assert (picture[630:] == 128).all()
    assert (picture[:570] == 128).all()


def test_each_scanpath_has_a_colour_and_the_ninth_is_dashed(tmp_path):
    rows = np.linspace(10, 110, 9)
    picture = drawn(tmp_path / "a.png", [[[20, y], [100, y]] for y in rows])
    share = [
        near(picture, COLOURS[i % 8])[round(10 * y), 300:900].mean() for i, y in enumerate(rows)
    ]
    assert share[:8] == [1] * 8
    assert 0.3 < share[8] < 0.7


def test_what_ends_early_is_drawn_as_far_as_it_goes(tmp_path):
    gone = [np.nan, np.nan]
    short = drawn(tmp_path / "a.png", [[[20, 60], gone, gone]])
    assert (drawn(tmp_path / "b.png", [[[20, 60]]]) == short).all()
    assert not near(short, COLOURS[0])[:, 300:].any()


def test_without_scanpaths_the_picture_stays(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (30, 1200, 3), dtype=np.uint8)
    assert (drawn(tmp_path / "a.png", np.zeros((0, 3, 2)), image) == image).all()


@pytest.mark.parametrize(
    ("shape", "size"),
    [((300, 400), (900, 1200)), ((700, 1400), (700, 1400)), ((9, 3200), (4, 1600))],
)
def test_size_is_between_bounds(tmp_path, shape, size):
    image = np.zeros((*shape, 3), np.uint8)
    assert drawn(tmp_path / "a.png", [[[3, 3]]], image).shape[:2] == size


def test_first_fixations_lie_on_top(tmp_path):
    """Two scanpaths that cross over: the second fixation of the one, the first of the other."""
    picture = drawn(tmp_path / "a.png", [[[60, 60], [20, 20]], [[100, 100], [60, 60]]])
    around = near(picture, COLOURS[0])[594:607, 594:607]
    assert around.mean() > 0.4
    assert not near(picture, COLOURS[1])[594:607, 594:607].any()


def test_numbers_tell_the_order(tmp_path):
    both = drawn(tmp_path / "a.png", [[[20, 60], [100, 60]]])
    assert (both[588:613, 188:213] != both[588:613, 988:1013]).any()
    ink = near(both, (255, 255, 255))[592:609, 192:209]
    assert ink.any()


def test_jpeg(tmp_path):
    picture = drawn(tmp_path / "a.jpg", [[[20, 60], [100, 60]]])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
    assert near(picture, COLOURS[0], 40)[600, 400:800].all()


def test_what_are_no_scanpaths_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        save_scanpaths(tmp_path / "a.png", GREY, np.zeros((3, 2)))
    assert not list(tmp_path.iterdir())
