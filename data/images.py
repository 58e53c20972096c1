"""Fit, pad, crop and their inverse: between a picture's own frame and a model's. Pure."""

import tensorflow as tf

GREY = 126  # what surrounds a fitted picture; nothing is ever counted there


def fitted(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of the shape's aspect ratio that is inside `size`."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(round(side * scale), 1) for side in shape)
    return min(height, size[0]), min(width, size[1])


def resize(picture: tf.Tensor, shape) -> tf.Tensor:
    """float32 (h, w, c) at another shape: area where it shrinks, else bicubic (Keys, a = -1/2)."""
    shrinks = tf.reduce_any(tf.shape(picture)[:2] > tf.cast(shape, tf.int32))
    batch = tf.cast(picture, tf.float32)[None]
    return tf.cond(
        shrinks,
        lambda: tf.image.resize(batch, shape, method="area"),
        lambda: tf.image.resize(batch, shape, method="bicubic"),
    )[0]


def fit(image: tf.Tensor, shape) -> tf.Tensor:
    """A uint8 picture at another shape, rounded to uint8, so that a cache changes nothing."""
    return tf.cast(tf.clip_by_value(tf.round(resize(image, shape)), 0, 255), tf.uint8)


def margins(shape, size: tuple[int, int]):
    """(top, left) of a fitted picture in its frame; what is odd goes below and to the right."""
    return (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2


def pad(picture: tf.Tensor, size: tuple[int, int], value=0) -> tf.Tensor:
    """(h, w, c) in the middle of a frame of `size`, the rest filled with `value`."""
    shape = tf.shape(picture)
    top, left = margins(shape, size)
    around = [[top, size[0] - shape[0] - top], [left, size[1] - shape[1] - left], [0, 0]]
    padded = tf.pad(picture, around, constant_values=tf.cast(value, picture.dtype))
    return tf.ensure_shape(padded, (*size, picture.shape[-1]))


def crop(framed, shape: tuple[int, int]):
    """The inverse of `pad`: the (h, w, c) that was put into the frame; array or tensor."""
    top, left = margins(shape, framed.shape[:2])
    return framed[top : top + shape[0], left : left + shape[1]]


def unfit(framed, shape: tuple[int, int]) -> tf.Tensor:
    """The inverse of fit and pad: a (H, W, c) map in a model's frame at the picture's `shape`.

    Bilinear, since what comes back is smooth. Values are interpolated: a log-density has to be
    normalised again at the new shape.
    """
    inner = crop(framed, fitted(shape, tuple(framed.shape[:2])))
    return tf.image.resize(tf.convert_to_tensor(inner)[None], shape, method="bilinear")[0]
