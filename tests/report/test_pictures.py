import numpy as np
import pytest
from PIL import Image

from report.pictures import (
    INSIDE,
    OUTSIDE,
    save_map,
    save_overlay,
    save_stimulus,
    save_view,
)

QUARTERS = np.log([[0.1, 0.2], [0.3, 0.4]])


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def picture(height, width, value=100):
    return np.full((height, width, 3), value, np.uint8)


def test_map_is_relative_to_its_maximum(tmp_path):
    path = tmp_path / "Action" / "001.png"
    save_map(path, QUARTERS, "png")
    # 255 x 1/4, 2/4, 3/4, 4/4 = 63.75, 127.5 (to even: 128), 191.25, 255
    assert read(path).tolist() == [[64, 128], [191, 255]]


def test_map_does_not_depend_on_normalisation_and_takes_very_low_values(tmp_path):
    save_map(tmp_path / "a.png", np.array([[-1e4, 5000.0, 5000 + np.log(0.2)]]), "png")
    assert read(tmp_path / "a.png").tolist() == [[0, 255, 51]]


def test_npy_keeps_nats_as_float32(tmp_path):
    save_map(tmp_path / "a.npy", QUARTERS, "npy")
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 1)), np.array([[0, -np.inf]]), np.zeros((0, 3))])
def test_what_is_no_log_density_is_refused_and_leaves_nothing(tmp_path, wrong):
    with pytest.raises(ValueError, match="log-density"):
        save_map(tmp_path / "a.png", wrong, "png")
    assert not list(tmp_path.iterdir())


def test_unknown_format_names_the_allowed(tmp_path):
    with pytest.raises(ValueError, match="'jpg'.*png, npy"):
        save_map(tmp_path / "a", QUARTERS, "jpg")


def test_overlay_leaves_the_picture_where_nothing_is_expected(tmp_path):
    # Wide, because the lines of large pictures are thick enough to reach outside.
    log_density = np.full((20, 1300), -1e4)
    log_density[5:12, 5:12] = -np.log(49)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 1300, 3), dtype=np.uint8)
    save_overlay(tmp_path / "a.png", image, log_density)
    changed = (read(tmp_path / "a.png") != image).any(axis=-1)
    assert not changed[log_density == -1e4].any()
    assert changed[log_density > -1e4].all()


def test_overlay_mixes_heat_by_hand(tmp_path):
    # Two pixels: too small for lines. Densities 1 and 1/4 of the maximum: heat 1 and 1/2, so
    # inferno's last and middle colour with opacity .85 and .425 on grey 100.
    save_overlay(tmp_path / "a.png", picture(1, 2), np.log([[0.8, 0.2]]))
    inferno = np.array([[252, 255, 164], [188, 55, 84]])
    share = np.array([[0.85], [0.425]])
    np.testing.assert_allclose(
        read(tmp_path / "a.png")[0], 100 * (1 - share) + inferno * share, atol=1.5
    )


def test_overlay_draws_the_region_of_half_the_mass(tmp_path):
    # An isotropic Gaussian holds the share m within the radius sigma sqrt(-2 ln(1 - m)).
    y, x = np.mgrid[:201, :201] - 100
    sigma, ring = 25.0, 25 * np.sqrt(2 * np.log(2))
    save_overlay(tmp_path / "a.png", picture(201, 201, 0), -(x**2 + y**2) / (2 * sigma**2))
    row = read(tmp_path / "a.png")[100].astype(int)
    white = np.flatnonzero(row[101:].min(axis=-1) > 150) + 1
    assert np.abs(white - ring).min() <= 1
    assert len(white) <= 6
    outer = 25 * np.sqrt(2 * np.log(4))
    assert np.abs(white.max() - outer) <= 1.5


def test_constant_density_has_no_lines(tmp_path):
    save_overlay(tmp_path / "a.png", picture(9, 9), np.full((9, 9), -np.log(81)))
    assert len(np.unique(read(tmp_path / "a.png").reshape(-1, 3), axis=0)) == 1


def test_overlay_shrinks_both(tmp_path):
    save_overlay(tmp_path / "a.jpg", picture(60, 80), np.zeros((60, 80)), max_side=40)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.size, image.format) == ((40, 30), "JPEG")


def test_overlay_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(4, 5, 3\).*\(5, 4\)"):
        save_overlay(tmp_path / "a.png", picture(4, 5), np.zeros((5, 4)))


def test_stimulus_has_a_dot_at_the_scaled_fixation(tmp_path):
    points = np.array([[600.0, 100.0], [np.nan, 5.0]])
    save_stimulus(tmp_path / "a.png", picture(400, 800), points, max_side=200)
    found = read(tmp_path / "a.png").astype(int)
    assert found.shape == (100, 200, 3)
    changed = np.argwhere((found != 100).any(axis=-1))
    # x 600 / 4 = 150, y 100 / 4 = 25 is the corner between pixels 24|25 and 149|150
    np.testing.assert_allclose(changed.mean(axis=0), [24.5, 149.5], atol=0.5)
    assert np.ptp(changed, axis=0).max() < 10


def test_stimulus_is_never_enlarged_and_may_have_no_fixations(tmp_path):
    save_stimulus(tmp_path / "a.png", picture(3, 5))
    save_stimulus(tmp_path / "b.png", picture(3, 5), np.empty((0, 2)))
    for name in ("a.png", "b.png"):
        assert (read(tmp_path / name) == picture(3, 5)).all()


def test_threads_write_their_own_parts(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def write(number):
        save_map(tmp_path / f"{number}.npy", np.full((30, 40), float(number)), "npy")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    for number in range(64):
        assert (np.load(tmp_path / f"{number}.npy") == number).all()
    assert len(list(tmp_path.iterdir())) == 64


def test_a_view_has_dots_inside_and_at_the_border_for_those_outside(tmp_path):
    points = np.array([[30.5, 40.5], [500.0, 60.5], [80.5, -9.0], [np.nan, 3.0]])
    save_view(tmp_path / "a.png", picture(100, 120), None, points)
    found = read(tmp_path / "a.png").astype(int)

    def near(colour, x, y):
        return np.abs(found[y, x] - colour).max() < 40

    assert near(INSIDE, 30, 40) and near(OUTSIDE, 119, 60) and near(OUTSIDE, 80, 0)
    assert not (np.abs(found[20:30, 60:70] - 100) > 2).any()


def test_a_view_shows_density_as_an_overlay_does(tmp_path):
    log_density = np.log(np.full((20, 30), 1e-9))
    log_density[8:12, 10:15] = np.log(0.05)
    save_view(tmp_path / "a.png", picture(20, 30), log_density, np.empty((0, 2)))
    save_overlay(tmp_path / "b.png", picture(20, 30), log_density)
    assert np.array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))
