"""What coordinates mean."""

import numpy as np
import pytest
from helpers import one_line

from formats.coordinates import (
    check_order,
    check_places,
    fit_to_pictures,
    in_seconds,
    scale,
)
from formats.fixations import table

WIDE = {"a": (60, 80), "b": (60, 80)}


def points(x, y, **more):
    return table(x, y, 0, **more)


def placed(records, shapes=WIDE, recorded=None, units=None):
    return fit_to_pictures(records, shapes, recorded or {}, units)


# order


@pytest.mark.parametrize(
    "names",
    [
        ["1.jpg", "2.jpg", "9.jpg"],
        ["001.jpg", "002.jpg", "010.jpg"],
        ["a/1.jpg", "b/1.jpg"],
        ["img_1.png"],
        [],
    ],
)
def test_names_of_one_order_are_paired_in_it(names):
    check_order(names, len(names))


@pytest.mark.parametrize(
    "names",
    [
        ["1.jpg", "2.jpg", "10.jpg"],
        ["p9.png", "p10.png"],
        ["a/1.jpg", "a-b/1.jpg"],
        ["a.jpg", "B.jpg"],
        ["s2/1.jpg", "s10/1.jpg"],
    ],
)
def test_names_that_people_count_otherwise_are_refused(names):
    with one_line("put the stimuli.hdf5 beside it"):
        check_order(names, len(names))


def test_more_pictures_than_numbers_are_refused():
    check_order(["1.jpg", "2.jpg"], 2)
    with one_line("they are 0..1, and there are 3 pictures; put the stimuli.hdf5 beside it"):
        check_order(["1.jpg", "1b.jpg", "2.jpg"], 2)


# units


def test_fractions_are_asked_about_and_taken():
    records = {"a": points([0.5, 0.25], [0.5, 1.0]), "b": points([0.0], [0.75])}
    with one_line("3 of 3 fixations have x and y within 0..1.*--units fractions"):
        placed(records)
    found = placed(records, units="fractions")
    assert found["a"].x.tolist() == [40, 20] and found["a"].y.tolist() == [30, 60]
    assert found["b"].y.tolist() == [45]
    same = placed(records, units="pixels")
    assert same["a"].x.tolist() == [0.5, 0.25]


def test_fractions_of_which_some_lie_outside_are_asked_about_too():
    x = np.arange(10) / 10
    with one_line("9 of 10 fixations have x and y within 0..1"):
        placed({"a": points(np.where(x == 0.3, 1.02, x), 0.5)})
    eight = {"a": points(np.where(x < 0.2, -0.02, x), 0.5)}
    assert placed(eight)["a"].x.tolist() == eight["a"].x.tolist()


def test_fractions_among_pixels_are_said(caplog):
    x = np.arange(60.0) + 2
    x[:3] = 0.5
    placed({"a": points(x, x)}, {"a": (99, 99)})
    assert caplog.text == ""
    x[3] = 0.25
    placed({"a": points(x, x)}, {"a": (99, 99)})
    assert "4 of 60 fixations have x and y within 0..1, and the others not" in caplog.text


@pytest.mark.parametrize(
    ("duration", "t", "wanted"),
    [
        ([200, 300, 250], [0, 300, 700], ([0.2, 0.3, 0.25], [0, 0.3, 0.7])),
        ([0.2, 0.3, 0.25], [0, 1, 2], ([0.2, 0.3, 0.25], [0, 1, 2])),
        ([0.2, 0.3, 0.25], [1000, 1300, 1700], ([0.2, 0.3, 0.25], [1, 1.3, 1.7])),
        ([2e5, 3e5, 250000], [0, 3e5, 7e5], ([0.2, 0.3, 0.25], [0, 0.3, 0.7])),
        ([200, np.nan, 250], [60.0, 60.3, 60.9], ([0.2, np.nan, 0.25], [60.0, 60.3, 60.9])),
        ([np.nan] * 3, [np.nan] * 3, ([np.nan] * 3, [np.nan] * 3)),
    ],
)
def test_thousandths_and_millionths_become_seconds(duration, t, wanted):
    found = in_seconds(points([1, 2, 3], 1, duration=duration, t=t, scanpath=0), "own")
    np.testing.assert_allclose(found.duration, wanted[0])
    np.testing.assert_allclose(found.t, wanted[1])


def test_times_without_scanpaths_are_looked_at_themselves(caplog):
    caplog.set_level("INFO")
    assert in_seconds(points([1, 2], 1, t=[500, 900]), "own").t.tolist() == [0.5, 0.9]
    assert "own: t in milliseconds" in caplog.text


# size


def test_pictures_that_were_resized_have_coordinates_and_histories_scaled(caplog):
    rows = {"a": points([400, 799], [300, 1], scanpath=0), "b": points([8], [6])}
    found = placed(rows, {"a": (300, 400), "b": (60, 80)}, {"a": (600, 800), "b": (60, 80)})
    assert found["a"].x.tolist() == [200, 399.5] and found["a"].y.tolist() == [150, 0.5]
    assert found["a"].history[1, 0].tolist() == [200, 150]
    assert found["b"].x.tolist() == [8]
    assert "1 pictures have another size" in caplog.text
    assert (
        "first 'a', 800x600 then, 400x300 now; coordinates, and the corpus' sigma, are scaled"
        in caplog.text
    )


def test_a_turned_or_cropped_picture_is_refused():
    with one_line("800x600 pixels by stimuli.hdf5, the picture has 600x800"):
        scale((600, 800), (800, 600))
    with one_line("'a': its fixations are of 800x600"):
        placed({"a": points([9], [9])}, {"a": (600, 600)}, {"a": (600, 800)})
    assert scale((601, 800), (300, 400)) == (0.5, 300 / 601)  # rounded


# outside


def test_a_tenth_outside_is_said_and_more_is_refused(caplog):
    x = np.arange(10.0) * 8
    records = {"a": points(np.where(np.arange(10) < 1, 80, x), 30)}
    within = check_places(records, WIDE, drop=False)
    assert within["a"].tolist() == [False] + [True] * 9
    assert "1 of 10 fixations lie outside their picture; they are dropped" in caplog.text
    records = {"a": points([-1, 80, 30], [30, 30, 59.9])}
    with one_line(
        r"2 of 3 fixations lie outside their picture: x is -1..80, y 30..59.9, pictures are up to "
        r"80x60 pixels; usual causes: .*size.*origin.*screen.*--outside drop"
    ):
        check_places(records, WIDE, drop=False)
    assert check_places(records, WIDE, drop=True)["a"].tolist() == [False, False, True]


def test_pictures_that_most_fixations_miss_are_named(caplog):
    records = {"a": points(np.arange(40.0), 30), "b": points([90, 95, 30], 30)}
    check_places(records, WIDE, drop=False)
    assert "2 of 43 fixations lie outside their picture; they are dropped" in caplog.text
    assert "most of those on 1 pictures, " in caplog.text
    assert "first 'b': has it the size that people saw?" in caplog.text


def test_all_of_a_picture_outside_is_no_crash():
    assert check_places({"a": points([-1], [-1])}, WIDE, drop=True)["a"].tolist() == [False]
    assert check_places({}, WIDE, drop=False) == {}


def test_fixations_in_the_upper_left_part_alone_are_said(caplog):
    random = np.random.default_rng(1)
    check_places({"a": points(*random.random((2, 60)) * 30)}, WIDE, drop=False)
    assert "no fixation lies beyond" in caplog.text and "another unit" in caplog.text
    caplog.clear()
    check_places({"a": points(*random.random((2, 60)) * [[79], [30]])}, WIDE, drop=False)
    assert caplog.text == ""


def test_many_fixations_at_one_place_are_said(caplog):
    x, y = np.random.default_rng(1).random((2, 60)) * [[80], [60]]
    x[:4], y[:4] = 0, 0
    check_places({"a": points(x, y)}, WIDE, drop=False)
    assert "4 of 60 fixations are exactly at 0, 0: is that how missing" in caplog.text
    caplog.clear()
    x[0] = 79
    check_places({"a": points(x, y)}, WIDE, drop=False)
    assert caplog.text == ""
