import numpy as np
import pytest
from helpers import refusal_of
from sample_files import mapped, noise, sample

from batches.truth import relative_points, shuffled, truth

# truth at the stimulus' own size


def test_truth_of_a_point_by_hand(tmp_path):
    np.save(tmp_path / "true.npy", np.full((20, 30), -np.log(600), np.float32))
    known = sample(tmp_path, (20, 30), [(15.5, 9.9)] * 2, truth=tmp_path / "true.npy")
    found = truth(known)
    assert set(found) == {"density", "log_density", "fixations", "true_log_density"}
    assert all(grid.dtype == np.float64 and grid.shape == (20, 30) for grid in found.values())
    assert np.argwhere(found["fixations"]).tolist() == [[9, 15]] and found["fixations"].sum() == 2
    # Sigma 2, cut off at 4 sigma: the weight of the middle is 1 / sum(exp(-k^2 / 8), |k| <= 8).
    weights = np.exp(-(np.arange(-8, 9) ** 2) / 8)
    assert found["density"][9, 15] == pytest.approx(1 / weights.sum() ** 2, rel=1e-9)
    assert found["density"][9, 17] == pytest.approx(np.exp(-0.5) / weights.sum() ** 2, rel=1e-9)
    assert found["density"].sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(np.exp(found["log_density"]), found["density"], atol=1e-15)
    assert np.isfinite(found["log_density"]).all()
    np.testing.assert_allclose(found["true_log_density"], -np.log(600), rtol=1e-6)


@pytest.mark.parametrize(
    "values, said",
    [
        (np.full((20, 30), 1 / 600), "its density sums to 601.001, must be 1; it is a density, of"),
        (np.zeros((20, 31)), "its shape is 20x31, must be the stimulus' 20x30"),
        (np.full((20, 30), np.nan), "600 of 600 values are NaN or inf"),
    ],
)
def test_a_true_density_that_is_none(tmp_path, values, said):
    path = tmp_path / "true.npy"
    np.save(path, values)
    assert refusal_of(path, truth, sample(tmp_path, (20, 30), [(1, 1)], truth=path)).startswith(
        said
    )


def test_truth_of_a_map_by_hand(tmp_path):
    levels = np.zeros((4, 6))
    levels[1, 2], levels[3, 5] = 30, 10
    found = truth(mapped(tmp_path, (4, 6), levels))
    assert set(found) == {"density", "log_density"}
    np.testing.assert_allclose(found["density"], levels / 40)
    np.testing.assert_allclose(found["log_density"][[1, 0], [2, 0]], [np.log(0.75), np.log(1e-20)])


def test_truth_of_a_smaller_map_is_at_the_size_of_the_stimulus(tmp_path):
    levels = np.zeros((6, 8))
    levels[2, 5] = 200
    found = truth(mapped(tmp_path, (60, 80), levels))["density"]
    assert found.shape == (60, 80) and found.min() >= 0
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert np.argwhere(found == found.max()).mean(0) == pytest.approx([24.5, 54.5], abs=0.5)


# negatives


def test_negatives_are_the_fixations_on_the_others_scaled(tmp_path):
    samples = [
        sample(tmp_path, (10, 20), [(0, 0), (19.9, 9.9)]),
        sample(tmp_path, (20, 20), [(4.5, 19), (4.5, 19), (1, 1)]),
        sample(tmp_path, (10, 20), [(7.3, 2.1)]),
    ]
    negatives = shuffled(samples)
    first = np.zeros((10, 20))  # of the second, rows halved, repeats kept; and of the third
    first[9, 4], first[0, 1], first[2, 7] = 2, 1, 1
    second = np.zeros((20, 20))  # of the first and the third, rows doubled
    second[0, 0] = second[19, 19] = second[4, 7] = 1
    for known, expected in zip(samples, (first, second), strict=False):
        found = negatives(known)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, expected)
        found += 1  # is one's own
    np.testing.assert_array_equal(negatives(samples[0]), first)
    stranger = sample(tmp_path, (10, 20), [(7.3, 2.1)])
    assert negatives(stranger).sum() == 6 and negatives(stranger)[2, 7] == 1


def test_negatives_as_pysaliency_finds_them(tmp_path):
    """Each of the others' fixations by itself: x times the ratio of the widths, cut off."""
    random = np.random.default_rng(3)
    shapes = [(37, 91), (60, 41), (37, 91), (19, 23)]
    samples = [sample(tmp_path, s, random.uniform(0, s[::-1], (50, 2))) for s in shapes]
    negatives = shuffled(samples)
    for index, (height, width) in enumerate(shapes):
        expected = np.zeros((height, width))
        for other in range(4):
            for x, y in samples[other].points if other != index else []:
                ratio = width / shapes[other][1], height / shapes[other][0]
                expected[int(y * ratio[1]), int(x * ratio[0])] += 1
        np.testing.assert_array_equal(negatives(samples[index]), expected)


def test_a_coordinate_that_rounds_up_to_the_edge_stays_inside(tmp_path):
    last = np.nextafter(3.0, 0)
    assert last * (17 / 3) == 17
    samples = [sample(tmp_path, (3, 3), [(last, last)]), sample(tmp_path, (17, 17), [(0, 0)])]
    found = shuffled(samples)(samples[1])
    assert found[16, 16] == found.sum() == 1


def test_relative_points_by_hand(tmp_path):
    samples = [
        sample(tmp_path, (20, 40), [(10, 5), (39, 0)]),
        sample(tmp_path, (10, 10), [(2.5, 7.5)]),
        sample(tmp_path, (10, 10), []),
    ]
    expected = [[0.25, 0.25], [0.975, 0], [0.25, 0.75]]
    np.testing.assert_allclose(np.concatenate(relative_points(samples)), expected)


def test_relative_points_of_a_map_are_drawn_from_it(tmp_path):
    levels = np.zeros((10, 20))
    levels[3, 7] = 9
    drawn = mapped(tmp_path, (40, 80), levels)
    np.testing.assert_allclose(relative_points([drawn])[0], [[7.5 / 20, 3.5 / 10]] * 100)
    wide = np.zeros((10, 20))
    wide[:, 10:] = noise(10, 10)
    [found] = relative_points([mapped(tmp_path, (40, 80), wide)])
    assert (found[:, 0] > 0.5).all() and len(np.unique(found, axis=0)) > 30
