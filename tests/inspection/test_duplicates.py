import io

import numpy as np
import pytest
from helpers import noise
from PIL import Image, ImageEnhance, ImageOps

from inspection.duplicates import NEAR, alike, groups, perceptual


def scene(seed: int) -> Image.Image:
    """A picture of soft blobs, 160x120."""
    return Image.fromarray(noise(9, 12, 3, seed=seed)).resize((160, 120), Image.Resampling.BICUBIC)


def saved(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return Image.open(file)


COPIES = {
    "saved as a JPEG": saved,
    "half as large": lambda picture: picture.resize((80, 60)),
    "stretched": lambda picture: picture.resize((160, 160)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "grey": lambda picture: picture.convert("L"),
    "mirrored": ImageOps.mirror,
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_among_other_scenes(copy):
    scenes = [scene(seed) for seed in range(8)]
    hashes = [perceptual(picture) for picture in [*scenes, COPIES[copy](scenes[2])]]
    assert alike(np.array(hashes)) == [[2, 8]]


def test_pictures_are_alike_up_to_twenty_bits():
    own = np.zeros((4, 2, 144), bool)
    own[1, 0, :NEAR] = True
    own[2, 0, 100 : 100 + NEAR + 1] = True
    own[3, 0, :72] = True
    own[:, 1] = np.random.default_rng(0).random((4, 144)) < 0.5  # nobody's mirror image
    assert alike(own) == [[0, 1]]


def test_a_mirror_image_is_alike_whichever_of_the_two_comes_first():
    hashes = np.random.default_rng(0).random((3, 2, 144)) < 0.5
    hashes[2] = hashes[0, ::-1]
    assert alike(hashes) == [[0, 2]]
    assert alike(hashes[::-1]) == [[0, 2]]


def test_many_of_one_hash_are_one_group_also_beyond_a_block(monkeypatch):
    monkeypatch.setattr("inspection.duplicates.ROWS", 2)
    hashes = np.random.default_rng(0).random((7, 2, 144)) < 0.5
    hashes[[1, 5, 6]] = hashes[1]
    hashes[4] = hashes[3]
    hashes[4, 0, :3] ^= True
    assert alike(hashes) == [[1, 5, 6], [3, 4]]


def test_nothing_is_alike_in_nothing():
    assert alike(np.array([])) == []


def test_groups_have_two_at_least():
    assert groups(["a", "b", "a", "c", "b", "a"]) == [[0, 2, 5], [1, 4]]
