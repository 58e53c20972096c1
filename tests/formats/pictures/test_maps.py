"""What pictures show: drawn relatives of points, discs, masks and blurred maps; the real ones."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers import noise, refusal, refusal_of
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, label

from formats import authors
from formats.pictures import maps
from formats.pictures.integrity import Memory
from formats.pictures.looks import FLAT, SHARP, SMOOTH, look_at, marks
from formats.pictures.maps import shown, together

CORPORA = Path(__file__).parents[4] / "shared" / "corpora"
HEIGHT, WIDTH = 120, 160


def places(count: int, seed: int = 0, clustered: bool = False):
    """y and x of so many fixations."""
    random = np.random.default_rng(seed)
    if clustered:
        y, x = random.normal((HEIGHT / 2, WIDTH / 2), (HEIGHT / 8, WIDTH / 8), (count, 2)).T
        return np.clip(y, 0, HEIGHT - 1), np.clip(x, 0, WIDTH - 1)
    return random.uniform(0, (HEIGHT, WIDTH), (count, 2)).T


def dots(count: int, **options) -> np.ndarray:
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[tuple(side.astype(int) for side in places(count, **options))] = 255
    return levels


def blurred(sigma: float, count: int, **options) -> np.ndarray:
    levels = gaussian_filter(np.float64(dots(count, **options)), sigma)
    return np.uint8(np.round(levels / levels.max() * 255))


def drawn(shape: str, radius: int, count: int = 10, fine: int = 1, **options) -> np.ndarray:
    """Discs, squares or crosses, with smooth edges where they are drawn `fine` times larger."""
    picture = Image.new("L", (WIDTH * fine, HEIGHT * fine))
    draw = ImageDraw.Draw(picture)
    for y, x in zip(*places(count, **options), strict=True):
        (y, x), reach = ((y, x) if fine > 1 else (int(y), int(x))), radius * fine
        y, x = y * fine, x * fine
        if shape == "cross":
            draw.line((x - reach, y, x + reach, y), 255, fine)
            draw.line((x, y - reach, x, y + reach), 255, fine)
        else:
            box = (x - reach, y - reach, x + reach, y + reach)
            (draw.ellipse if shape == "disc" else draw.rectangle)(box, 255)
    return np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX))


def objects(count: int = 1, seed: int = 0) -> np.ndarray:
    random, picture = np.random.default_rng(seed), Image.new("L", (WIDTH, HEIGHT))
    for _ in range(count):
        (x, y), (w, h) = random.uniform(5, 80, 2), random.uniform(15, 40, 2)
        corners = [(x, y), (x + w, y + h / 3), (x + w * 0.8, y + h), (x - w / 4, y + h * 0.7)]
        ImageDraw.Draw(picture).polygon(corners, 255)
    return np.asarray(picture)


def compressed(levels: np.ndarray, form: str = "JPEG", quality: int = 75) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, form, quality=quality)
    return np.asarray(Image.open(file).convert("L"))


def kind(*pictures: np.ndarray) -> str | None:
    looks = [look_at(np.float32(levels)) for levels in pictures]
    assert len({one.kind for one in looks}) == 1
    found = together(looks[0].kind, looks)
    return found and found.kind


# one picture


@pytest.mark.parametrize("quality", [50, 75, 95, 100])
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("count", [1, 3, 40, 500])
def test_points(count, form, quality):
    for clustered in (False, True):
        levels = dots(count, clustered=clustered)
        stored = compressed(levels, form, quality)
        assert kind(stored) == "points"
        if form != "WEBP":  # which moves points in dense pictures
            np.testing.assert_array_equal(marks(stored), levels > 0)


def test_points_of_many_levels_are_all_set():
    levels = dots(40)
    levels[levels > 0] = np.random.default_rng(1).integers(1, 256, np.count_nonzero(levels))
    assert kind(levels) == "points" and marks(levels).sum() == np.count_nonzero(levels)


@pytest.mark.parametrize("shape", ["disc", "square", "cross"])
@pytest.mark.parametrize("radius", [1, 2, 3, 5])
def test_discs(shape, radius):
    pictures = [drawn(shape, radius, seed=seed) for seed in range(4)]
    assert kind(*pictures) == kind(*map(compressed, pictures)) == "discs"
    if radius > 1 and shape != "cross":  # smooth marks that are thin may be points or their blur
        pictures = [drawn(shape, radius, fine=4, seed=seed) for seed in range(4)]
        assert kind(*pictures) == "discs"


def test_the_size_of_discs_and_how_many_are_of_another():
    levels = np.zeros((60, 80))
    for row in (10, 20, 30, 40):
        levels[row : row + 5, [10, 11, 12, 30, 31, 32, 50, 51, 52]] = 255
    levels[10:15, 53:57] = 255  # two that touch
    found = together(SHARP, [look_at(levels)])
    assert found == ("discs", (5, 3), 12, 1, 0)


def test_equal_objects_are_no_discs():
    levels = np.zeros((40, 60))
    levels[10:30, 15:45] = 255
    assert look_at(levels).kind == FLAT


@pytest.mark.parametrize("sigma", [0.7, 1, 1.5, 2, 2.5, 3, 8, 15, 30])
@pytest.mark.parametrize("count", [1, 3, 40, 500])
def test_blurred_maps(sigma, count):
    levels = blurred(sigma, count)
    for stored in (levels, compressed(levels), 255 - levels, levels / 25, 1e-6 * levels):
        assert look_at(np.float32(stored)).kind == SMOOTH


def test_other_maps():
    saturated = np.minimum(4.0 * blurred(8, 10), 255)
    coarse = gaussian_filter(np.float64(dots(40)[:24, :32]), 1)
    for levels in (saturated, coarse, noise(40, 60), np.add.outer(np.arange(9), np.arange(9))):
        assert look_at(np.float32(levels)).kind == SMOOTH


def test_inverted_maps_are_brighter_at_the_border():
    levels = blurred(8, 20, clustered=True)
    assert look_at(255 - levels).inverted and not look_at(levels).inverted


@pytest.mark.parametrize("level", [0, 7])
def test_pictures_of_one_level_say_nothing(level):
    assert look_at(np.full((9, 9), level, np.float32)).kind == ""


# a folder


def folder(path: Path, *pictures: np.ndarray) -> dict[str, Path]:
    path.mkdir(exist_ok=True)
    files = {f"{number}.png": path / f"{number}.png" for number in range(len(pictures))}
    for file, levels in zip(files.values(), pictures, strict=True):
        Image.fromarray(np.uint8(levels)).save(file)
    return files


def seen(tmp_path: Path, *pictures: np.ndarray):
    path = tmp_path / "drawn"
    return shown(path, folder(path, *pictures), Memory(tmp_path / "cache"))


def test_pictures_without_any_point_say_nothing_of_the_others(tmp_path):
    black = np.zeros((9, 9))
    assert seen(tmp_path, black, black, dots(1)).kind == "points"
    assert seen(tmp_path, black, black).kind == "maps"


def test_what_was_seen_is_remembered(tmp_path, monkeypatch):
    pictures = [drawn("disc", 3, seed=seed) for seed in range(3)]
    first = seen(tmp_path, *pictures)
    files = {f"{n}.png": tmp_path / f"drawn/{n}.png" for n in range(3)}
    monkeypatch.setattr(maps, "look_at", None)
    assert shown(tmp_path / "drawn", files, Memory(tmp_path / "cache")) == first
    assert first.kind == "discs" and first.components > 20


@pytest.mark.parametrize(
    "pictures, said",
    [
        ([dots(9)] * 3 + [blurred(8, 9)], "1 of 4 pictures show blurred maps, first '3.png', and"),
        ([blurred(8, 9)] * 3 + [dots(9)], "1 of 4 pictures show points, first '3.png', and the"),
        ([dots(9)] * 3 + [objects(3)], "1 of 4 pictures show areas of one level, first '3.png'"),
        ([blurred(8, 9)] * 3 + [255 - dots(9)], "1 of 4 pictures show areas of one level, first"),
        ([objects(2, n) for n in range(4)], "pictures show areas of one level, such as masks of"),
        ([255 - dots(9)] * 4, "4 of 4 pictures show areas of one level, such as masks of objects"),
    ],
)
def test_what_is_neither_or_mixed_is_refused(tmp_path, pictures, said):
    assert said in refusal(seen, tmp_path, *pictures)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_masks_of_objects_are_refused(tmp_path, count):
    masks = [objects(count, seed) for seed in range(5)]
    averages = [np.mean([objects(count, n + k) for k in range(4)], 0) for n in range(5)]
    inverted = [255 - mask for mask in masks]
    for pictures in (masks, [compressed(mask) for mask in masks], averages, inverted):
        assert "areas of one level" in refusal(seen, tmp_path, *pictures)


def test_touching_points_are_no_areas(tmp_path):
    pair = np.zeros((40, 60))
    pair[10, 20:26] = 255
    assert seen(tmp_path, dots(9), dots(9), pair).kind == "points"


def test_points_that_touch_alike_in_all_pictures_are_no_discs(tmp_path):
    levels = np.zeros((40, 60))
    levels[[12, 13, 14, 13, 14, 15], [12, 13, 14, 12, 13, 14]] = 255
    assert seen(tmp_path, *[levels] * 5).kind == "points"


@pytest.mark.parametrize("count", [5, 50, 300])
@pytest.mark.parametrize("spread", [0.05, 0.15, 0.4])
def test_counts_of_fixations_are_points(count, spread):
    random, counts = np.random.default_rng(0), np.zeros((60, 80))
    y, x = random.normal((30, 40), (60 * spread, 80 * spread), (count, 2)).T
    np.add.at(counts, (np.clip(y, 0, 59).astype(int), np.clip(x, 0, 79).astype(int)), 1)
    assert kind(counts) == "points"


def test_coloured_maps_are_counted(tmp_path):
    files = folder(tmp_path / "drawn", blurred(8, 9))
    for name in ("a.png", "b.png"):
        files[name] = tmp_path / name
        Image.fromarray(np.stack([blurred(8, 9), dots(9), dots(9)], 2)).save(files[name])
    said = refusal(shown, tmp_path, files, Memory(tmp_path / "cache"))
    assert said.startswith(f"2 pictures cannot be read, first '{files['a.png']}': it is coloured")


# arrays


def array(tmp_path: Path, values) -> Path:
    np.save(tmp_path / "a.npy", values)
    return tmp_path / "a.npy"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.uint8, np.int64, bool])
def test_arrays_are_levels(tmp_path, kind):
    values = np.arange(48).reshape(6, 8).astype(kind)
    for stored in (values, values[..., None]):
        found = maps.read(array(tmp_path, stored))
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, values)
        assert look_at(found).kind in (SMOOTH, "", FLAT)


@pytest.mark.parametrize(
    "values, said",
    [
        (-np.ones((6, 8)), "some of its numbers are negative or not finite; of log-densities, "),
        (np.full((6, 8), np.nan), "some of its numbers are negative or not finite"),
        (np.full((6, 8), np.inf), "some of its numbers are negative or not finite"),
        (np.ones((30, 2)), "its shape is 30x2, must be height x width; coordinates are read from"),
        (np.ones((3, 30)), "its shape is 3x30, must be height x width"),
        (np.ones((6, 8, 3)), "its shape is 6x8x3, must be height x width"),
        (np.float64(1), "its shape is that of one number, must be height x width"),
    ],
)
def test_arrays_that_are_no_levels(tmp_path, values, said):
    path = array(tmp_path, values)
    assert refusal_of(path, maps.read, path).startswith(said)


def test_an_array_is_measured_by_its_numbers(tmp_path):
    one = maps.measure(array(tmp_path, np.full((6, 8), 1e-9)))[0]
    other = maps.measure(array(tmp_path, np.full((6, 8), 2e-9)))[0]
    assert one.shape == (6, 8) and not one.black and one.digest != other.digest
    assert maps.measure(array(tmp_path, np.zeros((6, 8))))[0].black


# the real files


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the real corpora are not beside the checkout")
@pytest.mark.corpus
@pytest.mark.parametrize("kind", ["points", "blurred"])
def test_the_two_archives_of_add1000_are_told_apart(tmp_path, kind):
    with tarfile.open(CORPORA / "fixation_add1000" / f"{kind}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    files = {path.name: path for path in sorted(tmp_path.rglob("fixation/*.png"))}
    assert len(files) == 60
    found = shown(tmp_path, files, Memory(tmp_path / "cache"))
    assert found.kind == {"points": "points", "blurred": "maps"}[kind] and not found.inverted
    if kind == "points":
        levels = [np.asarray(Image.open(path)) for path in files.values()]
        assert sum(label(one, np.ones((3, 3)))[1] for one in levels) == 7290
        stimuli = {path.name: path for path in sorted(tmp_path.rglob("stimuli/*.jpg"))}
        table = authors.read_points(files, stimuli)
        assert len(table) == sum(np.count_nonzero(one) for one in levels) == 8171
