import numpy as np
import pytest
from PIL import Image

from data import scenes
from data.scenes import SYNTHETIC, SYNTHETIC_SHIFTED
from formats.pysaliency import read_hdf5


class Few(SYNTHETIC, register=False):
    """Three scenes."""

    split = scenes.Shuffled(train=2, valid=1)


def test_the_true_density_is_one_and_positive():
    picture, density = scenes.scene(np.random.default_rng(0), SYNTHETIC.appeal)
    assert picture.shape == (120, 160, 3) and picture.dtype == np.uint8
    assert density.shape == (120, 160)
    assert density.sum() == pytest.approx(1)
    assert density.min() > 0


def test_observers_look_where_the_density_says():
    """Their mean log-density is the density's own, minus its entropy, within 4 standard errors."""
    random = np.random.default_rng(0)
    _, density = scenes.scene(random, SYNTHETIC.appeal)
    logs = np.log(density)
    found = np.concatenate(
        [
            logs[np.int64(table.y), np.int64(table.x)]
            for table in (scenes.observed(random, density, 0) for _ in range(50))
        ]
    )
    mean = (density * logs).sum()
    deviation = np.sqrt((density * (logs - mean) ** 2).sum())
    assert abs(found.mean() - mean) < 4 * deviation / np.sqrt(len(found))


def test_a_corpus_is_whole_and_the_same_each_time(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Few.make(tmp_path / folder)
    table = read_hdf5(tmp_path / "a" / "fixations.hdf5")
    assert len(table) == 3 * scenes.OBSERVERS * scenes.PER_SCANPATH
    assert table.scanpath.max() + 1 == 3 * scenes.OBSERVERS
    for name in ("000", "001", "002"):
        pictures = [Image.open(tmp_path / f / "stimuli" / f"{name}.png") for f in ("a", "b")]
        np.testing.assert_array_equal(*map(np.asarray, pictures))
        truth = np.load(tmp_path / "a" / "truth" / f"{name}.npy")
        assert np.exp(truth.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    again = read_hdf5(tmp_path / "b" / "fixations.hdf5")
    np.testing.assert_array_equal(table.x, again.x)


def test_the_shifted_observers_prefer_another_colour():
    first, second = (max(c.appeal, key=c.appeal.get) for c in (SYNTHETIC, SYNTHETIC_SHIFTED))
    assert (first, second) == ("red", "blue")
    assert SYNTHETIC_SHIFTED.initial == SYNTHETIC.name
