"""A sample -> what a batch has of it: its picture and its density, fitted to an input size."""

from collections.abc import Sequence

import numpy as np

from batches import truth
from data.samples import Sample
from formats.pictures.decode import decode
from formats.pictures.images import GREY, cleared, fit, fitted, resize

# The types and depths of what is made of (height, width) pixels.
KINDS = {"image": (np.dtype(np.uint8), 3), "density": (np.dtype(np.float32), 1)}


def make(sample: Sample, size: tuple[int, int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return those that are named of a sample's image (h, w, 3) uint8 and density (h, w, 1)
    float32 summing to 1, fitted to a size; raises UsageError where a file cannot be read."""
    target = fitted(truth.shape_of(sample), size)
    return {name: MAKE[name](sample, target) for name in names}


def image(sample: Sample, target: tuple[int, int]) -> np.ndarray:
    """Return a sample's picture at (h, w)."""
    return fit(decode(sample.stimulus), target)


def framed(sample: Sample, size: tuple[int, int]) -> np.ndarray:
    """Return a sample's picture in its frame, (H, W, 3)."""
    (picture,) = make(sample, size, ["image"]).values()
    frame = np.empty((*size, 3), picture.dtype)
    cleared(frame, picture.shape, GREY)[...] = picture
    return frame


def density(sample: Sample, target: tuple[int, int]) -> np.ndarray:
    """Return a sample's empirical density at (h, w)."""
    return resized(truth.density(sample, truth.shape_of(sample)), target)


def resized(values: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Return a density (height, width) as float32 (h, w, 1), summing to 1 there too."""
    smooth = np.maximum(resize(np.float32(values)[..., None], target), 0)  # bicubic may undershoot
    return smooth / smooth.sum()


MAKE = {"image": image, "density": density}
