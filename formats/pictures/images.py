"""Fit, pad, crop and their inverse: between a picture's own frame and a model's. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

GREY = 126  # what surrounds a fitted picture; nothing is ever counted there
NEARLY_ALL = 0.9  # of the pictures that lie across an input
SAVED = 0.05  # share of padding that another size has to save to be named
SMALLEST = 24  # pixels of a side in which something can be seen: three cells at a stride of 8
ALIGNMENT = 64  # bytes, of TensorFlow's own arrays


def fitted(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (height, width) of the shape's aspect ratio that is inside `size`."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(round(side * scale), 1) for side in shape)
    return min(height, size[0]), min(width, size[1])


def misfits(shapes: Mapping[str, tuple[int, int]], size: tuple[int, int]) -> Iterator[str]:
    """Yield lines on pictures, (height, width) by name, that an input size does not suit: nearly
    all lie across it, or some shrink to a few pixels."""
    height, width = size
    across = [(h, w) for h, w in shapes.values() if (h - w) * (height - width) < 0]
    share = padding(across, size)
    if len(across) >= NEARLY_ALL * len(shapes) and share > padding(across, (width, height)) + SAVED:
        lying, framed = ("wide", "upright") if height > width else ("upright", "wide")
        yield (
            f"{len(across)} of {len(shapes)} pictures are {lying}, the input of HEIGHTxWIDTH "
            f"{height}x{width} is {framed}: {share:.0%} of it is padding; "
            f"--size {width}x{height} suits"
        )
    small = {n: s for n, s in shapes.items() if min(fitted(s, size)) < min(SMALLEST, *s)}
    if small:
        name, (h, w) = next(iter(small.items()))
        fh, fw = fitted((h, w), size)
        yield (
            f"{len(small)} of {len(shapes)} pictures shrink to a side of less than {SMALLEST} "
            f"pixels, first '{name}' from {w}x{h} to {fw}x{fh} (width x height)"
        )


def padding(shapes: Sequence[tuple[int, int]], size: tuple[int, int]) -> float:
    """Return the mean share of an input that pictures of such shapes leave empty; 0 without any."""
    filled = [math.prod(fitted(shape, size)) for shape in shapes]
    return 1 - sum(filled) / (len(filled) * math.prod(size)) if filled else 0.0


def resize(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return float32 (h, w, c): by area where it shrinks, else bicubic (Keys, a = -1/2)."""
    if tuple(shape) == picture.shape[:2]:
        return np.float32(picture)
    if shape[0] < picture.shape[0] or shape[1] < picture.shape[1]:
        with tf.device("CPU:0"):  # of a strategy's devices none else can
            return tf.raw_ops.ResizeArea(images=picture[None], size=shape).numpy()[0]
    channels = (Image.fromarray(grid) for grid in np.moveaxis(np.float32(picture), 2, 0))
    return np.stack([c.resize(shape[::-1], Image.Resampling.BICUBIC) for c in channels], 2)


def fit(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a uint8 picture at another shape, rounded, so that a cache changes nothing."""
    if tuple(shape) == image.shape[:2]:
        return image
    resized = resize(image, shape)
    np.rint(resized, out=resized)
    return np.clip(resized, 0, 255, out=resized).astype(np.uint8)  # bicubic may leave the range


def margins(shape, size: tuple[int, int]):
    """Return (top, left) of a fitted picture in its frame; an odd pixel goes below or right."""
    return (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2


def cleared(frame: np.ndarray, shape: tuple[int, ...], value) -> np.ndarray:
    """Fill a frame around its middle (h, w, c) with `value`; return the middle."""
    if shape[:2] != frame.shape[:2]:
        frame[...] = value
    return crop(frame, shape[:2])


def aligned(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Return an empty array that TensorFlow takes over as it is, where others are copied."""
    length = math.prod(shape) * kind.itemsize
    room = np.empty(length + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + length].view(kind).reshape(shape)


def crop(framed, shape: tuple[int, int]):
    """Return the (h, w, c) in the middle of a frame; array or tensor."""
    top, left = margins(shape, framed.shape[:2])
    return framed[top : top + shape[0], left : left + shape[1]]


def unfit(framed, shape: tuple[int, int]) -> tf.Tensor:
    """Return a (H, W, c) map in a model's frame at the picture's `shape`, its placing undone.

    Bilinear, since what comes back is smooth. Values are interpolated: a log-density has to be
    normalised again at the new shape.
    """
    inner = crop(framed, fitted(shape, tuple(framed.shape[:2])))
    return tf.image.resize(tf.convert_to_tensor(inner)[None], shape, method="bilinear")[0]
