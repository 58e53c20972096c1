import numpy as np
import pytest
import tensorflow as tf
from helpers import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.pictures.images import (
    GREY,
    cleared,
    crop,
    fit,
    fitted,
    margins,
    misfits,
    resize,
    unfit,
)

FRAME = (24, 32)
SHAPES = [(24, 32), (47, 31), (200, 9), (11, 301), (5, 7), (61, 80), (120, 160)]
sides = st.integers(1, 40)


def covering(many: int, few: int) -> np.ndarray:
    """(few, many) weights of a mean: the share of each small pixel that lies in a large one."""
    edges = np.arange(few + 1) * many / few
    pixel = np.arange(many)
    share = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(share, 0, None) * few / many


def pad(picture, size, value=0):
    """A picture in the middle of a frame of `value`."""
    frame = np.empty((*size, picture.shape[2]), picture.dtype)
    cleared(frame, picture.shape, value)[...] = picture
    return frame


# shapes


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((600, 800), (24, 32)),
        ((60, 100), (19, 32)),  # 60 * .32 = 19.2
        ((1000, 10), (24, 1)),
        ((10, 1000), (1, 32)),
        ((6, 8), (24, 32)),
        ((6, 6), (24, 24)),
    ],
)
def test_fitted_by_hand(shape, expected):
    assert fitted(shape, FRAME) == expected


@given(shape=st.tuples(st.integers(1, 5000), st.integers(1, 5000)), size=st.tuples(sides, sides))
def test_fitted_keeps_the_aspect_ratio_within_a_pixel_and_fills_the_frame(shape, size):
    height, width = fitted(shape, size)
    assert 1 <= height <= size[0] and 1 <= width <= size[1]
    assert height == size[0] or width == size[1]
    scale = min(size[0] / shape[0], size[1] / shape[1])
    # A side is off by rounding alone; what rounds to no pixel at all gets one.
    assert height == 1 or abs(height - shape[0] * scale) <= 0.5 + 1e-9
    assert width == 1 or abs(width - shape[1] * scale) <= 0.5 + 1e-9


@given(size=st.tuples(sides, sides), data=st.data())
@settings(max_examples=50, deadline=None)
def test_crop_undoes_pad(size, data):
    shape = tuple(data.draw(st.integers(1, side)) for side in size)
    picture = noise(*shape, 3)
    framed = pad(picture, size, GREY)
    assert framed.shape == (*size, 3) and framed.dtype == np.uint8
    np.testing.assert_array_equal(crop(framed, shape), picture)
    np.testing.assert_array_equal(crop(tf.constant(framed), shape), picture)
    top, left = margins(shape, size)
    below, right = size[0] - shape[0] - top, size[1] - shape[1] - left
    assert below - top in (0, 1) and right - left in (0, 1)  # floor before, ceil after
    framed[top : top + shape[0], left : left + shape[1]] = GREY
    assert (framed == GREY).all()


def test_pad_by_hand():
    found = pad(np.float32([[[1], [2]]]), (4, 5), 7)[..., 0]
    np.testing.assert_array_equal(found, [[7] * 5, [7, 1, 2, 7, 7], [7] * 5, [7] * 5])


# resize


def test_shrinking_takes_means():
    picture = np.uint8([[0, 4, 100, 100], [8, 12, 200, 201]])[..., None]
    np.testing.assert_array_equal(resize(picture, (1, 2))[..., 0], [[6, 150.25]])


def test_shrinking_by_a_fraction_weighs_by_area():
    # Two pixels of three: (1 * a + .5 * b) / 1.5 and (.5 * b + 1 * c) / 1.5
    picture = np.float32([[30, 60, 90]])[..., None]
    np.testing.assert_allclose(resize(picture, (1, 2))[0, :, 0], [40, 80], rtol=1e-6)


@pytest.mark.parametrize("shape", [(47, 31), (61, 80), (24, 33)])
def test_shrinking_is_the_mean_over_areas(shape):
    picture = noise(*shape, 3)
    target = fitted(shape, FRAME)
    rows, columns = (covering(many, few) for many, few in zip(shape, target, strict=True))
    expected = np.einsum("ih,hwc,jw->ijc", rows, picture.astype(float), columns)
    np.testing.assert_allclose(resize(picture, target), expected, atol=1e-3)


@pytest.mark.parametrize("shape, target", [((5, 7), (23, 32)), ((12, 16), (24, 32))])
def test_enlarging_is_bicubic(shape, target):
    picture = np.float32(noise(*shape))
    # TensorFlow's kernel is that of Keys with a = -1/2 too; it reads its own off a table.
    expected = tf.image.resize(picture[..., None], target, method="bicubic")
    np.testing.assert_allclose(resize(picture[..., None], target), expected, atol=0.3)


def test_enlarging_overshoots_as_cubic_does():
    # Keys: halfway between two pixels, weights -1/16, 9/16, 9/16, -1/16
    edge = np.float32([[0, 0, 0, 100, 100, 100]])[..., None]
    found = resize(edge, (3, 18))[1, :, 0]
    assert found.min() < -1 and found.max() > 101
    np.testing.assert_allclose((found[8] + found[9]) / 2, 50, atol=0.1)


def test_the_same_shape_is_the_same_picture():
    picture = noise(*FRAME, 3)
    np.testing.assert_array_equal(resize(picture, FRAME), picture)


# fit


def test_fit_rounds_and_clips():
    assert fit(np.uint8([[[0], [1], [1], [1]]]), (1, 1)) == 1  # .75
    enlarged = fit(np.uint8([[0, 0, 0, 255, 255, 255]])[..., None], (3, 18))
    assert enlarged.dtype == np.uint8 and enlarged.min() == 0 and enlarged.max() == 255
    assert (np.diff(enlarged[1, :, 0].astype(int)) >= -20).all()  # no overflow beyond the edge


@pytest.mark.parametrize("shape", SHAPES)
def test_fit_is_the_rounded_resize(shape):
    picture, target = noise(*shape, 3), fitted(shape, FRAME)
    expected = np.clip(np.round(resize(picture, target)), 0, 255)
    np.testing.assert_array_equal(fit(picture, target), expected)


def test_fit_is_the_same_inside_tf_data():
    """In the threads of a pipeline, under a strategy of several devices."""
    pictures = [noise(*shape, 3) for shape in SHAPES]

    def fitting(index):
        return fit(pictures[index], fitted(SHAPES[index], FRAME))

    dataset = tf.data.Dataset.range(len(SHAPES)).map(
        lambda index: tf.numpy_function(fitting, [index], tf.uint8), num_parallel_calls=3
    )
    for index, found in enumerate(dataset):
        np.testing.assert_array_equal(found, fitting(index))


# unfit


@pytest.mark.parametrize("shape", SHAPES)
def test_unfit_gives_back_a_constant(shape):
    there = pad(np.full((*fitted(shape, FRAME), 1), np.float32(-12.345)), FRAME, 99)
    back = unfit(there, shape)
    np.testing.assert_array_equal(back, np.full((*shape, 1), np.float32(-12.345)))


@pytest.mark.parametrize("shape", SHAPES)
def test_unfit_undoes_fit_and_pad_of_a_smooth_map(shape):
    """A half wave along each axis, f = cos(pi u) cos(pi v), |f''| <= pi^2, flat at its ends.

    With steps of d = 1/n, n the fewer of the two pixel counts along an axis, a mean over areas is
    off by up to d^2/24 |f''|, linear interpolation by d^2/8 |f''|, and the half pixel at an end,
    where it goes on level, by d^2/8 |f''| more.
    """
    height, width = ((np.arange(side) + 0.5) / side for side in shape)
    smooth = np.outer(np.cos(np.pi * height), np.cos(np.pi * width))[..., None]
    target = fitted(shape, FRAME)
    there = pad(resize(smooth, target), FRAME, 99)
    back = unfit(there, shape)
    steps = sum(1 / min(a, b) ** 2 for a, b in zip(shape, target, strict=True))
    assert abs(back - smooth).numpy().max() <= np.pi**2 * (1 / 24 + 1 / 8 + 1 / 8) * steps + 1e-5


def test_unfit_puts_a_peak_back_in_its_place():
    shape, target = (240, 640), fitted((240, 640), FRAME)
    inner = np.zeros((*target, 1), np.float32)
    inner[3, 21] = 1
    there = pad(inner, FRAME)
    back = unfit(there, shape)[..., 0].numpy()
    rows, columns = np.nonzero(back)
    middle = np.average([rows + 0.5, columns + 0.5], axis=1, weights=back[rows, columns])
    np.testing.assert_allclose(middle, [70, 430], rtol=1e-5)  # (3.5, 21.5) by 20 pixels a pixel


# inputs that do not suit


def test_an_input_across_nearly_all_pictures_is_said_with_its_padding():
    wide = {str(n): (120, 160) for n in range(9)}
    said = "9 of 10 pictures are wide, the input of HEIGHTxWIDTH 160x120 is upright: "
    # 120 x 90 of 160 x 120 pixels are filled
    said += "44% of it is padding; --size 120x160 suits"
    assert list(misfits(wide | {"a": (160, 120)}, (160, 120))) == [said]
    assert list(misfits(wide | {"a": (160, 120), "b": (9, 9)}, (160, 120))) == []
    assert list(misfits(wide, (120, 160))) == list(misfits(wide, (160, 160))) == []
    (said,) = misfits({"a": (160, 120)}, (120, 160))
    assert said.startswith("1 of 1 pictures are upright, the input of HEIGHTxWIDTH 120x160 is wide")


def test_pictures_that_are_nearly_square_lie_across_nothing():
    assert list(misfits({"a": (101, 100)}, (240, 320))) == []


def test_pictures_that_shrink_to_a_few_pixels_are_said():
    shapes = {"a": (240, 320), "b": (100, 2000), "c": (3000, 100)}
    said = "2 of 3 pictures shrink to a side of less than 24 pixels, first 'b' from 2000x100 to "
    assert list(misfits(shapes, (240, 320))) == [f"{said}320x16 (width x height)"]
    assert list(misfits({"small": (9, 12)}, (240, 320))) == []
