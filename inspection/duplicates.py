"""Pictures that are there twice: one scene re-saved, resized or mirrored, by perceptual hash."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

SIDE = 12  # a hash has this many low frequencies a side
# Of 144 bits. Re-saved, resized, stretched, grey and brighter copies of OSIE's pictures differ in
# at most 12, copies cropped by 5 % in 16 (median); its 244,649 pairs of other scenes in 42 or more.
NEAR = 20
ROWS = 1024  # that are compared with all others at a time


def perceptual(picture: Image.Image) -> np.ndarray:
    """Return the hashes of a picture and of its mirror image, bool (2, 144)."""
    from imagehash import phash

    return np.stack([phash(p, SIDE).hash.ravel() for p in (picture, ImageOps.mirror(picture))])


def alike(hashes: np.ndarray) -> list[list[int]]:
    """Return the groups of pictures that show one scene, as ascending indices.

    Args:
        hashes: bool (N, 2, 144), of N pictures and of their mirror images.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    if not len(hashes):
        return []
    # Those of one hash are one, else a corpus of blank pictures would have N * N pairs.
    _, first, same = np.unique(hashes[:, 0], axis=0, return_index=True, return_inverse=True)
    upright, mirrored = np.moveaxis(np.float32(hashes[first]) * 2 - 1, 1, 0)
    least = upright.shape[1] - 2 * NEAR  # a scalar product: the equal bits less the others
    pairs = []
    for start in range(0, len(upright), ROWS):
        for bits in (upright, mirrored):
            near = np.argwhere(bits[start : start + ROWS] @ upright.T >= least)
            pairs.append(near + [start, 0])
    left, right = np.concatenate(pairs).T
    links = csr_array((np.ones(len(left), bool), (left, right)), (len(upright),) * 2)
    return groups(connected_components(links, directed=False)[1][same.ravel()])


def groups(labels: Sequence) -> list[list[int]]:
    """Return the indices of equal labels, where there are two at least, by their first."""
    indices_of: dict = {}
    for index, label in enumerate(labels):
        indices_of.setdefault(label, []).append(index)
    return [indices for indices in indices_of.values() if len(indices) > 1]
