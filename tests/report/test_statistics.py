import math
import time

import numpy as np
import pytest

from model.metrics.metric import Metric
from model.metrics.registry import METRICS
from report.statistics import (
    averages,
    calibration,
    explained,
    interval,
    intervals,
    means,
    paired,
    percentiles,
    ratio,
    summarise,
)
from report.table import write_table


def row(name="a", fixations=1, gold=None, **metrics):
    baselines = {} if gold is None else {"goldstandard": {"IG": gold}}
    return {"name": name, "fixations": fixations, "metrics": metrics, "baselines": baselines}


def test_means_are_of_what_all_have():
    assert means([{"CC": 0.25, "NSS": 1.0, "odd": 1}, {"CC": 0.75, "NSS": 2.0}]) == {
        "CC": 0.5,
        "NSS": 1.5,
    }
    assert means([{}, {}]) == means([]) == {}
    assert means([{"LL": -math.inf}, {"LL": 1.0}]) == {"LL": -math.inf}


def over_fixations(counts, **values):
    found = [dict(zip(values, each, strict=True)) for each in zip(*values.values(), strict=True)]
    return averages(found, counts)["fixation"]


def test_means_over_fixations_weigh_pictures_by_them():
    found = over_fixations([1, 3], NSS=[4.0, 0.0], odd=[0.5, 0.7])
    assert found == pytest.approx({"NSS": 1.0, "odd": 0.65})


@pytest.mark.parametrize("name", ["CC", "SIM", "KLDiv", "SIM_MIT", "KLDiv_MIT"])
def test_what_compares_whole_pictures_has_no_mean_over_fixations(name):
    assert math.isnan(over_fixations([1, 3], **{name: [0.5, 0.7]})[name])


def test_a_picture_without_fixations_counts_in_no_mean_over_them():
    assert over_fixations([0, 2], NSS=[math.nan, 3.0]) == {"NSS": 3.0}
    assert over_fixations([0], NSS=[1.0]) == {}


@pytest.fixture
def hits(monkeypatch):
    """A metric of all pictures together: the share of hits in what was tried."""
    metric = Metric("hits", "Hits", finish=lambda total, weight: total[0] / total[1])
    monkeypatch.setitem(METRICS, "hits", metric)


def test_what_is_accumulated_is_no_mean_of_pictures(hits, tmp_path):
    """3 of 10 and 1 of 1 are 4 of 11; of a picture alone there is nothing to show or compare."""
    rows = [row("a", NSS=1.0, Hits=np.array([3, 10])), row("b", NSS=2.0, Hits=np.array([1, 1]))]
    found = summarise(rows)
    assert found["image"] == pytest.approx({"NSS": 1.5, "Hits": 4 / 11})
    assert list(found["interval"]) == list(paired(rows, rows)) == ["NSS"]
    write_table(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "name,fixations,NSS"


def test_interval_is_that_of_the_normal_limit():
    # The mean of n draws of variance v has standard deviation sqrt(v / n), 1.96 of it a side.
    values = np.random.default_rng(1).normal(1, 1, 400)
    low, high = interval(values, draws=20_000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)


def drawn(shape, count, size, seed=0):
    """(size, count): samples of a distribution whose mean is 0."""
    random = np.random.default_rng(seed)
    return {
        "normal": lambda: random.normal(size=(size, count)),
        "skewed": lambda: random.gamma(4, size=(size, count)) - 4,  # as information gains are
        "very skewed": lambda: random.exponential(size=(size, count)) - 1,
    }[shape]()


@pytest.mark.parametrize("size", [10, 20, 49, 50, 200])
@pytest.mark.parametrize("shape", ["normal", "skewed", "very skewed"])
def test_intervals_cover_the_mean_as_often_as_they_promise(shape, size):
    """95 of 100 times; 1500 simulated evaluations tell that to .011, at two standard deviations."""
    low, high = interval(drawn(shape, 1500, size), draws=2000)
    covered = np.mean((low <= 0) & (high >= 0))
    assert covered == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("size", [10, 30, 100])
def test_intervals_of_shares_cover_them_as_often_as_they_promise(size):
    """A model that knows .7 of what can be known of each picture, give or take."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(600):
        gold = random.gamma(4, size=size)
        _, low, high = ratio(0.7 * gold + random.normal(0, 0.5, size), gold, draws=1000)
        covered += low <= 0.7 <= high
    assert covered / 600 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_few_pictures_have_no_interval(size):
    assert np.isnan(interval(np.arange(size))).all()
    assert np.isnan(ratio(np.arange(size) + 1.0, np.ones(size))[1:]).all()


def test_intervals_stay_near_what_was_seen_where_one_picture_is_far_off():
    """Where draws that miss it have hardly any deviation."""
    values = np.append(np.random.default_rng(0).normal(0.93, 0.01, 12), 0.5)
    low, high = interval(values)
    assert 0.78 < low < values.mean() - 0.05 and values.mean() + 0.02 < high < 1
    low, high = interval(np.array([0.0] * 9 + [1]))
    assert -0.2 < low < 0 and 0.2 < high < 0.6
    assert interval(np.full(12, 0.3)) == pytest.approx((0.3, 0.3), abs=1e-12)


def test_interval_is_the_same_for_a_seed_alone_and_among_others():
    values = np.random.default_rng(0).normal(size=(50, 3))
    low, high = interval(values)
    assert interval(values[:, 1]) == pytest.approx((low[1], high[1]), abs=1e-12)
    assert interval(values[:, 1], seed=1) != pytest.approx((low[1], high[1]), abs=1e-9)


def test_blocks_of_draws_leave_the_interval_as_it_is(monkeypatch):
    values = np.random.default_rng(0).normal(size=30)
    whole = interval(values, draws=100)
    monkeypatch.setattr("report.statistics.BLOCK", 210)  # seven draws at a time, two at last
    assert interval(values, draws=100) == pytest.approx(whole, abs=1e-12)


def test_what_is_not_finite_has_no_interval_and_spoils_no_other():
    rows = [row(LL=-math.inf, CC=0.5), *[row(LL=1.0, CC=0.5)] * 9]
    found = intervals(rows, "metrics")
    assert found["CC"] == pytest.approx([0.5, 0.5])
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


def test_there_is_no_share_where_either_side_is_not_finite_everywhere():
    """A model that is infinitely wrong on some pictures is not praised for the others."""
    fine = [row(IG=2.0, gold=2.0)] * 21
    assert explained(fine)["share"] == 1
    assert explained([*fine, row(IG=-math.inf, gold=2.0)]) is None
    assert explained([*fine, row(IG=9.0)]) is None
    assert explained([*fine, row(IG=1.0, gold=math.nan)]) is None
    assert explained([row(IG=1.0)]) is None
    assert explained([row(IG=1.0, gold=-0.5)]) is None


def test_what_knows_more_than_the_picture_has_no_share():
    rows = [row(IG=1.0, gold=2.0)] * 12
    assert summarise(rows)["explained"]["share"] == 0.5
    assert summarise(rows, conditional=True)["explained"] is None


def test_the_upper_end_and_the_true_density_stand_beside_the_share():
    rows = [row(IG=1.0, gold=2.0) for _ in range(12)]
    for each in rows:
        each["baselines"] |= {"truth": {"IG": 4.0}, "observers": {"IG": 5.0}}
    found = explained(rows)
    assert (found["of"], found["share"], found["n_images"]) == ("goldstandard", 0.5, 12)
    assert {name: each["share"] for name, each in found["beside"].items()} == {
        "observers": 0.2,
        "truth": 0.25,
    }


def test_ratio_resamples_columns_with_their_denominator():
    by = np.arange(1.0, 13)
    found = ratio(np.stack([by * 0.2, by * 0 + 1], 1), by)
    assert found[:, 0] == pytest.approx([0.2] * 3)
    assert found[0, 1] == pytest.approx(12 / 78)
    assert found[1, 1] < 12 / 78 < found[2, 1]


def test_summary_holds_all_averages():
    rows = [row("a", 1, 2.0, IG=1.0, CC=0.2), row("b", 3, 4.0, IG=2.0, CC=0.4)]
    found = summarise(rows)
    assert (found["n_images"], found["n_fixations"]) == (2, 4)
    assert found["image"] == pytest.approx({"IG": 1.5, "CC": 0.3})
    assert found["fixation"] == pytest.approx({"IG": 1.75, "CC": math.nan}, nan_ok=True)
    assert found["baselines"] == {"goldstandard": {"image": {"IG": 3.0}, "fixation": {"IG": 3.5}}}
    assert np.isnan(found["interval"]["IG"]).all() and found["n_infinite"] == 0
    assert len(summarise(rows * 5)["interval"]["IG"]) == 2
    assert found["explained"]["share"] == 0.5


def test_paired_differences_are_by_name():
    a = [row(f"{i:02d}", NSS=float(i), CC=0.1) for i in range(12)]
    b = [row(f"{i:02d}", NSS=i + 0.5) for i in reversed(range(12))]
    found = paired(a, b)
    assert list(found) == ["NSS"]
    nss = found["NSS"]
    assert (nss.a, nss.b) == (5.5, 6.0)
    assert (nss.mean, nss.low, nss.high) == pytest.approx((0.5, 0.5, 0.5))


def test_pairs_of_other_pictures_are_refused():
    with pytest.raises(ValueError, match="not of the same pictures, such as 'y'"):
        paired([row("x", NSS=1.0)], [row("x", NSS=1.0), row("y", NSS=1.0)])
    assert paired([row("x", NSS=1.0)], [row("x", CC=1.0)]) == {}


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
    assert np.isnan(found["low"]).all()  # two pictures have no interval
    assert calibration([{}, {"percentiles": None}, {"percentiles": []}]) is None
