import numpy as np
import pytest
from PIL import Image

from inspection.contrast import auc, contrast, follow


def spot(x: float, y: float) -> Image.Image:
    """A grey picture, 160x120, with a small bright square around a point of 0..1."""
    levels = np.full((120, 160), 90, np.uint8)
    levels[int(y * 120) - 6 : int(y * 120) + 6, int(x * 160) - 6 : int(x * 160) + 6] = 250
    return Image.fromarray(levels)


def test_contrast_is_where_something_is_to_be_seen():
    grid = contrast(spot(0.25, 0.75))
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert grid.shape == (64, 64)
    assert (abs(column / 64 - 0.25) < 0.08) and (abs(row / 64 - 0.75) < 0.08)
    assert grid[10, 50] == 0


def test_auc_counts_ties_half():
    grid = np.array([[0.0, 1.0], [2.0, 3.0]])
    # Of own 1 and 3 against 0, 1, 2, 3: (1 + 1/2 + 3 + 1/2) of 8.
    own = np.array([[0.5, 0], [0.75, 0.99]])
    others = np.array([[0, 0], [0.5, 0], [0, 0.5], [0.5, 0.5]])
    assert auc(grid, own, others) == pytest.approx(5 / 8)


def test_fixations_follow_their_own_pictures_and_no_others():
    random = np.random.default_rng(0)
    places = random.uniform(0.15, 0.85, (40, 2))
    grids = [contrast(spot(*place)) for place in places]
    points = [random.normal(place, 0.02, (10, 2)) for place in places]
    right, error = follow(grids, points)
    wrong, _ = follow(grids, [*points[1:], points[0]])
    assert right > 0.9 and 0.4 < wrong < 0.6 and 0 < error < 0.05


def test_fixations_outside_are_left_out():
    grids = [contrast(spot(0.3, 0.3)), contrast(spot(0.6, 0.6)), contrast(spot(0.5, 0.2))]
    points = [np.array([[0.3, 0.3], [2, 0.5]]), np.array([[0.6, 0.6]]), np.array([[-1, np.nan]])]
    inside = [np.array([[0.3, 0.3]]), np.array([[0.6, 0.6]]), np.empty((0, 2))]
    assert follow(grids, points) == follow(grids, inside)
    assert follow(grids[:1], points[:1]) == (None, None)
