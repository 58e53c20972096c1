"""The Matlab variants: hand numbers, stored values, seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.metrics import mit
from model.metrics.picture import Picture

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "osie10.json"
LINE = np.array([0.0, 1, 2, 4])


def seen(*counts):
    return np.float64(counts)


def judged(metric, saliency, **truths):
    return metric.of_picture(Picture(np.log(np.full(len(saliency), 0.1)), truths, saliency))


def sauc(saliency, fixations, negatives, seed=0):
    picture = Picture(saliency, {"fixations": fixations, "negatives": negatives}, saliency)
    return mit.sauc_mit(picture, **picture.truths, seed=seed)


def test_similarity_scales_first():
    """(0, 1, 2, 4) / 7 beside (0, 1, 1, 2) / 4, which 3 + (0, 1, 1, 2) becomes."""
    wanted = 0 + 1 / 7 + 1 / 4 + 1 / 2
    assert judged(mit.SIM_MIT, LINE, density=3 + np.array([0.0, 1, 1, 2])) == pytest.approx(wanted)
    assert judged(mit.SIM_MIT, np.full(4, 5.0), density=LINE) == pytest.approx(
        0 + 1 / 7 + 1 / 4 + 1 / 4
    )


def test_information_gain_scales_first():
    """Own values 0 + eps, 4 / 7; the baseline's 1 / 4 throughout: it is constant."""
    found = judged(mit.IG_MIT, LINE - 9, fixations=seen(0, 0, 0, 5), baseline=np.zeros(4))
    assert found == pytest.approx(np.log2(4 / 7 / 0.25))
    found = judged(mit.IG_MIT, LINE, fixations=seen(2, 0, 0, 1), baseline=np.zeros(4))
    assert found == pytest.approx((np.log2(2.2204e-16 * 4) + np.log2(16 / 7)) / 2)
    assert np.isnan(judged(mit.IG_MIT, LINE, fixations=seen(0, 0, 0, 0), baseline=np.zeros(4)))


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_area_by_hand(seed):
    """One negative pixel, scaled to .25: it lies below all of the positives, or is one of them."""
    assert sauc(LINE, seen(0, 0, 3, 1), seen(0, 9, 0, 0), seed) == pytest.approx(1)
    assert sauc(LINE, seen(0, 1, 0, 0), seen(0, 9, 0, 0), seed) == pytest.approx(0.5)
    # Corners are steps of .1 apart: .25 and .2 are one level.
    close = np.array([0.0, 0.25, 0.2, 1])
    assert sauc(close, seen(0, 1, 0, 0), seen(0, 0, 1, 0), seed) == pytest.approx(0.5)
    assert sauc(np.ones(4), seen(0, 1, 0, 0), seen(0, 0, 1, 0), seed) == 0.5


def test_there_is_no_shuffled_area_without_fixations_or_negatives():
    for some, none in (("fixations", "negatives"), ("negatives", "fixations")):
        truths = {some: seen(0, 1, 0, 0), none: seen(0, 0, 0, 0)}
        assert np.isnan(judged(mit.SAUC_MIT, LINE, **truths))


def test_shuffled_area_is_a_mean_over_seeded_splits():
    """One positive at .5 among negatives at 0 and 1: a split has the one or the other."""
    saliency = np.array([0.0, 0.5, 1])
    found = [sauc(saliency, seen(0, 1, 0), seen(1, 0, 1), seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0] * 100 == pytest.approx(round(found[0] * 100))
    assert 0.3 < found[0] < 0.7


def test_others_are_ten_and_not_itself():
    first, again, second = mit.others(40, 3), mit.others(40, 3), mit.others(40, 4)
    np.testing.assert_array_equal(first, again)
    assert len({*first}) == 10 and 3 not in first
    assert {*first} != {*second}
    np.testing.assert_array_equal(mit.others(4, 1), [0, 2, 3])


@pytest.mark.corpus
@pytest.mark.parametrize("truth", ["arange", "onehot12"])
@pytest.mark.parametrize("name", ["arange", "onehot12", "negative", "zeros"])
def test_divergence_agrees_with_pysaliency(name, truth):
    if not REFERENCE.is_file():
        pytest.skip("shared/reference is not beside the checkout")
    maps = {"arange": np.arange(12.0), "onehot12": np.eye(12)[6], "zeros": np.zeros(12)}
    maps["negative"] = maps["arange"] - 20
    wanted = json.loads(REFERENCE.read_text())["edge_cases"][f"KL_MIT({name},{truth})"]
    found = judged(mit.KLD_MIT, maps[name], density=maps[truth] / maps[truth].sum())
    assert found == pytest.approx(wanted, abs=1e-9)
