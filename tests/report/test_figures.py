import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from report.figures import binned, calibration_plot, histogram, nice, ticks

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def by_class(svg, name):
    return [each for each in parsed(svg).iter() if each.get("class") == name]


@pytest.mark.parametrize(
    ("step", "found"), [(1, 1), (1.01, 2), (0.03, 0.05), (0.2, 0.2), (6e-7, 1e-6), (300, 500)]
)
def test_steps_are_round_numbers(step, found):
    assert nice(step) == pytest.approx(found)


def test_ticks_are_round_and_inside():
    assert ticks(0.13, 0.92, 5) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ticks(-1, 1, 5) == pytest.approx([-1, -0.5, 0, 0.5, 1])


def test_bins_hold_every_value_and_are_round():
    values = np.array([0.0, 0.1, 0.1, 1.6])
    edges, counts = binned(values, [2.05])
    np.testing.assert_allclose(edges, np.arange(12) * 0.2)
    assert counts.tolist() == [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("values", [[0.5] * 9, [0.1 + 0.2, 0.3], [1e6, 1e6 + 1e-6], [], [-3.0]])
def test_values_that_are_all_the_same_make_one_bar(values):
    counts = binned(np.array(values))[1]
    assert sorted(counts)[-1] == len(values) == counts.sum()


def test_bars_say_how_many_pictures_and_grow_with_them():
    svg = histogram([0.0, 0.1, 0.1, 1.6, math.nan, math.inf], {"mean": 0.45}, 'A "b" <c>')
    bars = by_class(svg, "bar")
    titles = [bar.find(SVG + "title").text for bar in bars]
    assert titles == ["0 to 0.1: 1 picture", "0.1 to 0.2: 2 pictures", "1.6 to 1.7: 1 picture"]
    heights = [float(bar.get("height")) for bar in bars]
    assert heights == pytest.approx([50, 100, 50])
    assert parsed(svg).get("aria-label") == 'A "b" <c>'


def test_marks_stand_at_their_value_and_unknown_ones_nowhere():
    svg = histogram([0.0, 1.0], {"mean": 0.5, "bias": math.nan}, "")
    # Edges 0, .1 ... 1.1 over 228 of 240 units, 6 left free on the left.
    (mean,) = by_class(svg, "mean")
    assert float(mean.get("x1")) == pytest.approx(6 + 228 * 0.5 / 1.1, abs=0.06)
    assert not by_class(svg, "bias")


def test_a_histogram_of_nothing_is_an_empty_one():
    svg = histogram([math.nan], {}, "none")
    assert not by_class(svg, "bar")


def test_calibration_is_drawn_against_the_diagonal():
    levels = np.array([0, 0.5, 1])
    found = {"levels": levels, "share": levels**2, "low": levels**3, "high": levels, "gap": -0.25}
    svg = calibration_plot(found)
    points = [by_class(svg, name)[0].get("points") for name in ("diagonal", "curve", "band")]
    # The square's corners: (54, 308) below left, (354, 8) above right.
    assert points[0] == "54.0,308.0 354.0,8.0"
    assert points[1] == "54.0,308.0 204.0,233.0 354.0,8.0"
    assert re.match(r"54.0,308.0 204.0,270.5 354.0,8.0 354.0,8.0 204.0,158.0", points[2])
    assert "-0.250" in parsed(svg).get("aria-label")
