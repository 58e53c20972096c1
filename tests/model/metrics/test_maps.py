"""Each metric's own map beats the plain density in expectation, on densities that are known."""

import numpy as np
import pytest

from model.metrics import maps, scoring
from model.metrics.registry import METRICS

SHAPE, SIGMA, LOOKS = (60, 80), 6, 60


@pytest.fixture(scope="module")
def world():
    """(6, H, W) log-densities of pictures: one centre bias, times a few spots each."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    centre = np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 2 / 18**2)
    pictures = []
    for _ in range(6):
        spots = 0.02
        for s in (2, 3, 5, 8):
            distance = np.hypot(y - random.uniform(5, 55), x - random.uniform(5, 75))
            spots = spots + np.exp(-(distance**2) / 2 / s**2)
        density = centre * spots
        pictures.append(np.log(density / density.sum()))
    return np.array(pictures)


def others(world, index):
    return np.log(np.delete(np.exp(world), index, axis=0).mean(0))


def made_of(world, index):
    return maps.tuebingen(world[index], others(world, index), SIGMA)


def drawn(log_density, random, looks=LOOKS):
    counts = random.multinomial(looks, np.exp(log_density).ravel() / np.exp(log_density).sum())
    return np.float64(counts.reshape(SHAPE))


def truth(world, index, random):
    fixations = drawn(world[index], random)
    empirical = maps.blurred(fixations, SIGMA)
    negatives = sum(drawn(x, random) for i, x in enumerate(world) if i != index)
    return {"fixations": fixations, "density": empirical / LOOKS, "negatives": negatives}


@pytest.mark.parametrize("name", ["sauc", "cc", "sim", "kld"])
def test_a_map_beats_the_plain_density(world, name):
    random, gains = np.random.default_rng(1), []
    sign = -1 if name == "kld" else 1
    for index, log_density in enumerate(world):
        made = made_of(world, index)[METRICS[name].map]
        for _ in range(5):
            known = truth(world, index, random)
            plain, own = (
                scoring.score(log_density, known, log_density, x)[name]
                for x in (np.exp(log_density), made)
            )
            gains.append(sign * (own - plain))
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains)) > 0


def test_the_map_for_sim_beats_the_one_for_cc(world):
    """Which is the mean of what is compared with, but the best map is a quantile of it."""
    random, gains = np.random.default_rng(2), []
    for index in range(len(world)):
        made = made_of(world, index)
        for _ in range(10):
            empirical = truth(world, index, random)["density"]
            smooth = made["smooth"] / made["smooth"].sum()
            gains.append(
                np.minimum(empirical, made["similar"]).sum() - np.minimum(empirical, smooth).sum()
            )
    assert np.mean(gains) > 1e-5 + 3 * np.std(gains) / np.sqrt(len(gains))


def test_maps_that_change_nothing(world):
    """AUC knows the order alone, NSS and IG are best with the density itself."""
    random = np.random.default_rng(3)
    known, log_density = truth(world, 0, random), world[0]
    made = made_of(world, 0)
    wanted = scoring.score(log_density, known, others(world, 0))
    for name in ("auc", "nss"):
        found = scoring.score(log_density, known, log_density, made[METRICS[name].map])
        assert found[name] == pytest.approx(wanted[name], rel=1e-9)
    found = scoring.score(log_density, known, others(world, 0), maps=made)
    assert [found[name] for name in ("ll", "ig")] == [wanted[name] for name in ("ll", "ig")]


def test_each_metric_is_scored_on_its_own_map(world):
    """And shuffled AUC on none where there is no other picture."""
    known = truth(world, 0, np.random.default_rng(4))
    made = made_of(world, 0)
    found = scoring.score(world[0], known, world[1], maps=made)
    for name, value in found.items():
        on = METRICS[name].map and made[METRICS[name].map]
        assert value == scoring.score(world[0], known, world[1], on)[name]
    alone = scoring.score(world[0], known, world[1], maps=maps.tuebingen(world[0], None, SIGMA))
    assert np.isnan(alone.pop("sauc"))
    assert alone == {name: found[name] for name in alone}


def test_equalised_by_hand():
    """Ties share the mean of their ranks: half of what is not more and what is less."""
    found = maps.equalised(np.array([[-1.0, 5, 3], [3, -np.inf, 5]]))
    np.testing.assert_allclose(found, np.array([[1.5, 5, 3], [3, 0.5, 5]]) / 6)


def test_the_map_for_sim_of_a_sure_model():
    """All fixations fall on one pixel: the best map is the kernel itself."""
    density = np.zeros((20, 24))
    density[8, 10] = 1
    wanted = maps.blurred(density, 3)
    np.testing.assert_allclose(maps.similar(density, 3), wanted, atol=1e-6)


@pytest.mark.parametrize("shape", [(61, 83), (7, 5)])
def test_the_map_for_sim_is_a_density_and_seeded(shape):
    density = np.random.default_rng(0).uniform(size=shape)
    density /= density.sum()
    first, again, other = (maps.similar(density, 9, seed=seed) for seed in (0, 0, 1))
    assert first.shape == shape and first.min() >= 0
    assert first.sum() == pytest.approx(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
