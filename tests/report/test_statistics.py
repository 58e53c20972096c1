import math
import time

import numpy as np
import pytest

from report.statistics import (
    calibration,
    explained,
    fixation_means,
    interval,
    intervals,
    means,
    paired,
    percentiles,
    ratio,
    summarise,
)


def row(name="a", fixations=1, gold=None, **metrics):
    baselines = {} if gold is None else {"goldstandard": {"IG": gold}}
    return {"name": name, "fixations": fixations, "metrics": metrics, "baselines": baselines}


def test_means_are_over_rows_and_what_all_of_them_have():
    rows = [row(CC=0.25, NSS=1.0, odd=1), row(CC=0.75, NSS=2.0)]
    assert means(rows, "metrics") == {"CC": 0.5, "NSS": 1.5}
    assert means([{"best": {}}, {"best": {}}], "best") == {}
    assert means([], "best") == {}
    assert means([row(LL=-math.inf), row(LL=1.0)], "metrics") == {"LL": -math.inf}


def test_means_over_fixations_weigh_pictures_by_them():
    rows = [row(fixations=1, NSS=4.0, CC=0.5), row(fixations=3, NSS=0.0, CC=0.7)]
    assert fixation_means(rows, "metrics") == pytest.approx({"NSS": 1.0, "CC": 0.65})


def test_a_picture_without_fixations_counts_in_no_mean_over_them():
    rows = [row(fixations=0, NSS=math.nan), row(fixations=2, NSS=3.0)]
    assert fixation_means(rows, "metrics") == {"NSS": 3.0}
    assert fixation_means([row(fixations=None, NSS=1.0)], "metrics") == {}


def test_interval_is_that_of_the_normal_limit():
    # The mean of n draws of variance v has standard deviation sqrt(v / n), 1.96 of it a side.
    values = np.random.default_rng(1).exponential(1, 400)
    low, high = interval(values, draws=20_000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_of_two_values_is_exact():
    # Means of two draws from {0, 1} are 0, .5, 1 with probabilities 1/4, 1/2, 1/4.
    assert interval([0, 1], level=0.4) == (0.5, 0.5)
    assert interval([0, 1], level=0.6) == (0.0, 1.0)


def test_interval_is_the_same_for_a_seed_alone_and_among_others():
    values = np.random.default_rng(0).normal(size=(50, 3))
    low, high = interval(values)
    assert interval(values[:, 1]) == pytest.approx((low[1], high[1]), abs=1e-12)
    assert interval(values[:, 1], seed=1) != pytest.approx((low[1], high[1]), abs=1e-9)
    assert interval(values[:1, 0]) == (values[0, 0],) * 2


def test_blocks_of_draws_leave_the_interval_as_it_is(monkeypatch):
    values = np.random.default_rng(0).normal(size=30)
    whole = interval(values, draws=100)
    monkeypatch.setattr("report.statistics.BLOCK", 210)  # seven draws at a time, two at last
    assert interval(values, draws=100) == pytest.approx(whole, abs=1e-12)


def test_what_is_not_finite_has_no_interval_and_spoils_no_other():
    found = intervals([row(LL=-math.inf, CC=0.5), row(LL=1.0, CC=0.5)], "metrics")
    assert found["CC"] == [0.5, 0.5]
    assert all(map(math.isnan, found["LL"]))


def test_intervals_of_an_evaluation_take_less_than_a_second():
    values = np.random.default_rng(0).normal(size=(200, 9))
    begin = time.process_time()
    interval(values)
    assert time.process_time() - begin < 1


def test_share_is_of_means_resampled_together():
    # Every picture's share is one half: so is any resample's, however the gold standard varies.
    gold = np.random.default_rng(0).uniform(1, 3, 40)
    found = explained([row(IG=g / 2, gold=g) for g in gold])
    assert found["of"] == "goldstandard" and found["n_images"] == 40
    assert [found["share"], *found["interval"]] == pytest.approx([0.5] * 3, abs=1e-12)


def test_share_is_a_ratio_of_means_not_a_mean_of_ratios():
    assert explained([row(IG=1.0, gold=1.0), row(IG=0.0, gold=3.0)])["share"] == 0.25


def test_share_is_over_pictures_that_have_both():
    rows = [row(IG=1.0, gold=2.0), row(IG=9.0), row(IG=5.0, gold=math.nan)]
    found = explained(rows)
    assert (found["share"], found["n_images"]) == (0.5, 1)
    assert explained([row(IG=1.0)]) is None
    assert explained([row(IG=1.0, gold=-0.5)]) is None


def test_the_true_density_is_what_explains_where_it_is_known():
    known = row(IG=1.0, gold=2.0)
    known["baselines"]["truth"] = {"IG": 4.0}
    assert explained([known])["of"] == "truth"
    assert explained([known])["share"] == 0.25


def test_ratio_resamples_columns_with_their_denominator():
    by = np.array([1.0, 2.0, 5.0])
    found = ratio(np.stack([by * 0.2, by * 0 + 1], 1), by)
    assert found[:, 0] == pytest.approx([0.2] * 3)
    assert found[0, 1] == 3 / 8
    assert found[1, 1] == pytest.approx(0.2) and found[2, 1] == pytest.approx(1)


def test_summary_holds_all_averages():
    rows = [row("a", 1, 2.0, IG=1.0, CC=0.2), row("b", 3, 4.0, IG=2.0, CC=0.4)]
    found = summarise(rows)
    assert (found["n_images"], found["n_fixations"]) == (2, 4)
    assert found["image"] == pytest.approx({"IG": 1.5, "CC": 0.3})
    assert found["fixation"] == pytest.approx({"IG": 1.75, "CC": 0.35})
    assert found["baselines"] == {"goldstandard": {"image": {"IG": 3.0}, "fixation": {"IG": 3.5}}}
    assert found["interval"]["IG"] == [1.0, 2.0]
    assert found["explained"]["share"] == 0.5


def test_paired_differences_are_over_common_pictures_by_name():
    a = [row("x", NSS=1.0, CC=0.1), row("y", NSS=2.0, CC=0.1), row("z", NSS=50.0, CC=0.1)]
    b = [row("y", NSS=2.5), row("w", NSS=9.0), row("x", NSS=1.5)]
    found = paired(a, b)
    assert (found.count, found.alone) == (2, (1, 1))
    assert list(found.metrics) == ["NSS"]
    nss = found.metrics["NSS"]
    assert (nss.a, nss.b) == (1.5, 2.0)
    assert (nss.mean, nss.low, nss.high) == (0.5, 0.5, 0.5)


def test_pairs_without_a_common_picture_or_truth_are_refused():
    with pytest.raises(ValueError, match="no picture in common: 1 pictures, first 'x'; none"):
        paired([row("x", NSS=1.0)], [])
    with pytest.raises(ValueError, match="not the same truth: 'x' has 3 and 4 fixations"):
        paired([row("x", 3, NSS=1.0)], [row("x", 4, NSS=1.0)])


def test_percentiles_by_hand():
    # Sorted masses .1, .2, .2, .5: below .1 nothing and half of itself; the two .2 share a middle.
    density = np.log([[0.2, 0.1], [0.5, 0.2]])
    counts = [[1, 2], [1, 0]]
    found = percentiles(density + 7, counts)
    np.testing.assert_allclose(found, [0.3, 0.05, 0.05, 0.75], atol=1e-12)


def test_a_fixation_where_nothing_was_expected_is_at_the_bottom():
    density = np.array([[-np.inf, 0.0]])
    assert percentiles(density, np.array([[2, 1]])).tolist() == [0, 0, 0.5]
    assert percentiles(density, np.zeros((1, 2))).shape == (0,)


def test_fixations_drawn_from_the_density_are_uniform_and_others_are_not():
    random = np.random.default_rng(0)
    density = random.gamma(0.3, size=(40, 50))
    density /= density.sum()

    def drawn(power):
        chances = density**power / (density**power).sum()
        rows = []
        for _ in range(20):
            counts = random.multinomial(200, chances.ravel()).reshape(density.shape)
            rows.append({"percentiles": percentiles(np.log(density), counts)})
        return calibration(rows)

    right, sharper, flatter = drawn(1), drawn(1.5), drawn(0.7)
    assert right["count"] == 4000
    assert abs(right["gap"]) < 1.63 / math.sqrt(4000)  # Kolmogorov and Smirnov at 1 %
    inside = (right["low"] <= right["levels"]) & (right["levels"] <= right["high"])
    assert inside.mean() > 0.8
    assert sharper["gap"] < -0.05 and flatter["gap"] > 0.05


def test_calibration_by_hand_and_none_where_nothing_is_known():
    found = calibration([{"percentiles": [0.1, 0.5]}, {}, {"percentiles": [0.9, 0.95]}])
    share = dict(zip(found["levels"].round(2).tolist(), found["share"].tolist(), strict=True))
    assert (share[0.08], share[0.1], share[0.5], share[0.9], share[1.0]) == (0, 0.25, 0.5, 0.75, 1)
    assert found["gap"] == pytest.approx(0.5 - 0.88)
    assert calibration([{}, {"percentiles": None}, {"percentiles": []}]) is None
