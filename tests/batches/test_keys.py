"""What a device makes of a batch as it travels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batches import keys
from batches.tasks import TASKS
from model.networks.registry import MODELS

SIZE = (3, 5)


def travelling(**values):
    """A batch of two pictures, the second to be mirrored, two columns wide and one from the left;
    what is padding is on the right more than on the left."""
    valid = np.zeros((2, *SIZE, 1), np.uint8)
    valid[:, :, 1:3] = 1
    known = {"valid": valid, "flip": np.array([False, True])}
    known |= {"id": np.array([4, 7]), "weight": np.float32([1, 0.5])}
    return {name: keys.tf.constant(value) for name, value in {**known, **values}.items()}


def prepared(**values):
    return {name: x.numpy() for name, x in keys.prepare(travelling(**values)).items()}


def test_a_frame_is_mirrored_whole_with_all_that_lies_on_it():
    image = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    density = np.random.default_rng(1).random((2, *SIZE, 1), np.float32)
    found = prepared(image=image, density=density)
    assert set(found) == {"image", "density", "valid", "id", "weight"}
    for name, values in (("image", image), ("density", density)):
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name][0], values[0])
        np.testing.assert_array_equal(found[name][1], values[1][:, ::-1])
    assert found["valid"][:, 0, :, 0].tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]]
    assert found["id"].tolist() == [4, 7] and found["weight"].tolist() == [1, 0.5]


def test_pixels_are_counted_where_they_lie_once_mirrored_and_repeats_with_them():
    pixels = np.int32([[(1, 0), (1, 0), (-1, -1)], [(1, 2), (2, 0), (2, 0)]])
    found = prepared(pixels=pixels)
    expected = np.zeros((2, *SIZE))
    expected[0, 0, 1] = 2
    expected[1, 2, 3], expected[1, 0, 2] = 1, 2  # columns 1 and 2 of five, from the other side
    np.testing.assert_array_equal(found["fixations"][..., 0], expected)
    assert found["fixations"].dtype == np.float32 and "pixels" not in found


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=9), max_size=4))
def test_counts_by_another_computation(places):
    most = max(map(len, places), default=0)
    pixels = np.full((len(places), most, 2), -1, np.int32)
    expected = np.zeros((len(places), *SIZE, 1))
    for index, points in enumerate(places):
        pixels[index, : len(points)] = np.reshape(points, (-1, 2))
        for column, row in points:
            expected[index, row, column] += 1
    found = keys.scattered(keys.tf.constant(pixels), SIZE)
    np.testing.assert_array_equal(found, expected)


def test_coordinates_are_mirrored_as_lengths_and_what_is_missing_stays_so():
    history = np.full((2, 1, 4, 2), np.nan, np.float32)
    history[:, 0, 0] = 1.25, 2.5
    found = prepared(history=history, weight=np.ones((2, 1), "f4"), id=np.array([[4], [7]]))
    assert found["history"].shape == (2, 4, 2)
    assert found["history"][:, 0].tolist() == [[1.25, 2.5], [5 - 1.25, 2.5]]
    assert np.isnan(found["history"][:, 1:]).all()


def test_samples_of_a_picture_have_a_row_each():
    weight = np.float32([[1, 2, 3], [4, 5, 6]])
    pixels = np.int32([[[(0, 0)], [(1, 1)], [(2, 2)]], [[(0, 0)], [(1, 1)], [(4, 2)]]])
    image = np.zeros((2, *SIZE, 3), np.uint8)
    found = prepared(weight=weight, id=np.arange(6).reshape(2, 3), pixels=pixels, image=image)
    assert found["weight"].tolist() == [1, 2, 3, 4, 5, 6] and found["id"].tolist() == [*range(6)]
    assert found["image"].shape == (2, *SIZE, 3)
    assert found["valid"][:, 0, 1, 0].tolist() == [1, 1, 1, 0, 0, 0]
    where = [np.argwhere(grid[..., 0]).tolist() for grid in found["fixations"]]
    assert where == [[[0, 0]], [[1, 1]], [[2, 2]], [[0, 4]], [[1, 3]], [[2, 0]]]


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_is_trained_for_is_a_task(model):
    assert {*MODELS[model].tasks} <= {*TASKS}
