import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter

from formats.fixations import Fixations, blur, concatenate, counts, table

COLUMNS = ("x", "y", "n", "subject", "t", "duration", "scanpath")


def scanpaths() -> Fixations:
    """Fractions, a repeat within a scanpath, and scanpaths of several lengths."""
    return table(
        x=[3.25, 3.25, 39.9, 0, 7, 7.5],
        y=[1, 1, 29.5, 0, 2, 2],
        n=[0, 0, 0, 1, 1, 1],
        subject=[4, 4, 4, 2, 9, 9],
        t=[0, 1, 2, 0, 0.5, 0.75],
        duration=[0.1, 0.2, 0.3, 0.4, 0.5, np.nan],
        scanpath=[0, 0, 0, 1, 2, 2],
    )


# the table


def test_a_scalar_stands_for_all_rows_and_the_unknown_is_marked():
    found = table([1, 2], [3, 4], 5)
    assert found.n.tolist() == [5, 5]
    assert found.subject.tolist() == found.scanpath.tolist() == [-1, -1]
    assert np.isnan(found.t).all() and np.isnan(found.duration).all()
    kinds = {name: getattr(found, name).dtype for name in COLUMNS}
    assert {name for name, kind in kinds.items() if kind == np.int64} == {
        "n",
        "subject",
        "scanpath",
    }
    assert {name for name, kind in kinds.items() if kind == np.float64} == {
        "x",
        "y",
        "t",
        "duration",
    }


def test_the_table_is_a_copy_of_what_it_was_made_from():
    x = np.zeros(2)
    found = table(x, x, 0)
    x[:] = 7
    assert found.x.tolist() == found.y.tolist() == [0, 0]


def test_by_stimulus_gives_every_stimulus_its_rows_in_order():
    found = table([1, 2, 3, 4], [0] * 4, [2, 0, 2, 0])
    parts = found.by_stimulus(4)
    assert [part.x.tolist() for part in parts] == [[2, 4], [], [1, 3], []]


def test_concatenated_scanpaths_stay_apart_and_the_unknown_stay_unknown():
    unknown = table([1], [1], 0)
    both = concatenate([scanpaths(), unknown, scanpaths()])
    assert both.scanpath.tolist() == [0, 0, 0, 1, 2, 2, -1, 3, 3, 3, 4, 5, 5]
    assert both.x.tolist() == [*scanpaths().x, 1, *scanpaths().x]
    assert scanpaths().ordered and not both.ordered
    assert len(concatenate([])) == 0


# counts


def test_counts_at_the_floor_pixel_with_repeats():
    found = counts([0.99, 0, 2.5, 2.5], [0, 0.5, 1.999, 1], (2, 3))
    np.testing.assert_array_equal(found, [[2, 0, 0], [0, 0, 2]])


def test_what_lies_outside_counts_nowhere():
    x = [-0.01, 3, 1, 1, np.nan, 1, 2.999]
    y = [1, 1, -0.01, 2, 1, np.nan, 1.999]
    np.testing.assert_array_equal(counts(x, y, (2, 3, 3)), [[0, 0, 0], [0, 0, 1]])


def test_scaling_moves_coordinates():
    # 4x6 -> 2x3: halves; 2x2 -> 4x4: the pixel at (1, 0) begins at (2, 0).
    np.testing.assert_array_equal(
        counts([1.9, 5, 4], [3, 0, 1], (4, 6), (2, 3)), [[0, 0, 2], [1, 0, 0]]
    )
    assert np.argwhere(counts([1], [0], (2, 2), (4, 4))).tolist() == [[0, 2]]


@settings(deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-5, 60), st.floats(-5, 60)), max_size=30),
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_counts_sum_to_the_fixations_inside_at_any_size(points, shape, size):
    x, y = np.reshape(points, (-1, 2)).T
    inside = sum(0 <= a < shape[1] and 0 <= b < shape[0] for a, b in points)
    found = counts(x, y, shape, size)
    assert found.shape == size and found.sum() == inside


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_last_coordinate_inside_is_in_the_last_pixel(side, wanted):
    last = np.nextafter(side, 0)
    assert counts([last], [0], (1, side), (1, wanted))[0, -1] == 1


# blur


def test_blur_is_a_gaussian_by_its_formula():
    one = np.zeros((41, 41))
    one[20, 20] = 1
    row, column = np.mgrid[-20:21, -20:21]
    bell = np.exp(-(row**2 + column**2) / (2 * 3.0**2))
    bell[(abs(row) > 12) | (abs(column) > 12)] = 0  # cut off at 4 sigma
    np.testing.assert_allclose(blur(one, 3), bell / bell.sum(), atol=1e-15)


def test_edges_reflect():
    edge = np.zeros((1, 30))
    edge[0, 0] = 1
    weights = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2.0**2))
    weights /= weights.sum()
    # The mirror lies before the first pixel: pixel k gets what k and -1 - k would.
    expected = [weights[8 + k] + (weights[8 + k + 1] if k < 8 else 0) for k in range(9)]
    np.testing.assert_allclose(blur(edge, 2)[0, :9], expected, atol=1e-15)


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.integers(0, 9),
    ),
    st.floats(0.3, 40),
)
def test_blur_keeps_the_sum_and_nothing_below_zero(levels, sigma):
    found = blur(levels, sigma)
    assert found.dtype == np.float64 and (found >= 0).all()
    np.testing.assert_allclose(found.sum(), levels.sum(), rtol=1e-9)


@pytest.mark.parametrize(
    "shape, sigma", [((60, 80), 2.4), ((80, 60), 24), ((1, 9), 3), ((7, 1), 30)]
)
@pytest.mark.parametrize("many", [0, 1, 30])
def test_blur_is_that_of_scipy_and_pysaliency(shape, sigma, many):
    random = np.random.default_rng(many)
    sparse = np.zeros(shape)
    np.add.at(sparse, tuple(random.integers(0, side, many) for side in shape), 1)
    expected = gaussian_filter(sparse, sigma, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(blur(sparse, sigma), expected, rtol=1e-12, atol=1e-16)
