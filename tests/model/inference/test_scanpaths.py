"""Scanpaths: exact probabilities, what the model is told, and the same ones from the same seed."""

import numpy as np
import pytest

from model.inference.scanpaths import draw, sample

QUARTERS = np.log([[0.1, 0.2, 0.0001], [0.3, 0.4, 0.0001]]) + 5


def flat(histories):
    return np.zeros((len(histories), 6, 8))


@pytest.mark.parametrize(
    ("chance", "point"),
    [
        (0.0, (0.5, 0.5)),
        (0.0999, (0.5, 0.5)),
        (0.1001, (1.5, 0.5)),
        (0.2999, (1.5, 0.5)),
        (0.3001, (0.5, 1.5)),
        (0.5999, (0.5, 1.5)),
        (0.6001, (1.5, 1.5)),
        (1 - 2**-53, (1.5, 1.5)),
    ],
)
def test_the_pixel_up_to_which_the_chance_lies(chance, point):
    """Cumulated row by row: .1, .3, .3, .6, 1, 1; columns of no mass are never drawn."""
    with np.errstate(divide="ignore"):
        density = np.log([[0.1, 0.2, 0.0], [0.3, 0.4, 0.0]]) - 3
    assert draw(density, (2, 3), chance) == point


def test_a_pixel_of_no_mass_is_not_drawn_even_by_chance_zero():
    assert draw(np.array([[-np.inf, 0.0, 0.0]]), (1, 3), 0.0) == (1.5, 0.5)


def test_pixels_come_as_often_as_their_density_says():
    paths = sample(lambda h: np.broadcast_to(QUARTERS, (len(h), 2, 3)), (2, 3), 4000, 1, 0)
    column, row = np.int64(paths[:, 0]).T
    share = np.bincount(row * 3 + column, minlength=6) / 4000
    # Standard errors are at most sqrt(.24 / 4000) = .008.
    np.testing.assert_allclose(share, [0.1, 0.2, 0, 0.3, 0.4, 0], atol=0.03)
    assert {*np.unique(paths[..., 1])} == {0.5, 1.5}


def test_a_seed_gives_the_same_and_more_or_longer_leave_the_first_as_they_were():
    paths = sample(flat, (6, 8), 3, 4, 7)
    assert paths.shape == (3, 4, 2)
    np.testing.assert_array_equal(sample(flat, (6, 8), 3, 4, 7), paths)
    np.testing.assert_array_equal(sample(flat, (6, 8), 5, 6, 7)[:3, :4], paths)
    assert (sample(flat, (6, 8), 3, 4, 8) != paths).any()
    assert (paths[0] != paths[1]).any()
    # Nor are they those of the next seed, moved by one.
    assert (sample(flat, (6, 8), 3, 4, 8)[:2] != paths[1:]).any()


def test_histories_are_the_last_four_the_last_one_first():
    told = []

    def record(histories):
        told.append(histories)
        return flat(histories)

    paths = sample(record, (6, 8), 2, 6, 0)
    assert [h.shape for h in told] == [(2, 4, 2)] * 6
    assert np.isnan(told[0]).all()
    np.testing.assert_array_equal(told[2][:, :2], paths[:, 1::-1])
    assert np.isnan(told[2][:, 2:]).all()
    np.testing.assert_array_equal(told[5], paths[:, 4:0:-1])


def test_densities_depend_on_the_own_history():
    """A model that never leaves the column of the last fixation, one at a time."""

    def same_column(histories):
        for history in histories:
            density = np.full((6, 8), -np.inf)
            last = history[0, 0]
            density[:, slice(None) if np.isnan(last) else int(last)] = 0
            yield density

    paths = sample(same_column, (6, 8), 20, 5, 3)
    assert (paths[:, :, 0] == paths[:, :1, 0]).all()
    assert len(np.unique(paths[:, 0, 0])) > 3
    assert len(np.unique(paths[:, :, 1])) == 6


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_density_that_is_none_is_refused(wrong):
    density = np.zeros((6, 8))
    density[2, 3] = wrong
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="NaN or infinite"),
    ):
        draw(density, (6, 8), 0.5)


def test_a_density_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 6\).*\(6, 8\)"):
        draw(np.zeros((8, 6)), (6, 8), 0.5)
