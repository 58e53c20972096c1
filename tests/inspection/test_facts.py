"""What inspect counts, on samples and tables made by hand."""

import numpy as np
import pytest
from helpers import noise
from PIL import Image

from config import Config
from data.corpus import Assumed, Corpus
from data.samples import Sample
from data.splits import Ratio
from formats.fixations import concatenate, table
from inspection import facts
from inspection.contrast import contrast, of_contrast
from inspection.fixations import of_fixations
from inspection.looks import Look, kind


def look(folder, levels, name="a.png"):
    Image.fromarray(np.uint8(levels)).save(folder / name)
    return Look(folder / name)


def test_a_look_tells_format_colours_and_a_light_rim(tmp_path):
    grey = np.full((40, 60), 30)
    grey[10:30, 20:40] = 200
    found = look(tmp_path, grey)
    assert (found.kind, found.colour, found.border < 0) == ("PNG L", 0, True)
    assert look(tmp_path, 255 - grey).border > 0
    coloured = np.full((40, 60, 3), 30)
    coloured[:20, :, 0] = 200
    assert look(tmp_path, coloured).colour == 0.5
    Image.fromarray(np.uint8(grey)).save(tmp_path / "b.jpg", format="GIF")
    assert kind(tmp_path / "b.jpg").startswith("GIF")  # its content says so, not its name


def test_a_map_in_an_array_is_looked_at_from_black_to_white(tmp_path):
    levels = np.full((40, 60), 1e-6)
    levels[10:30, 20:40] = 4e-6  # a density, not grey levels
    np.save(tmp_path / "a.npy", levels)
    found = Look(tmp_path / "a.npy")
    assert (found.kind, found.colour, found.border < 0) == ("NPY", 0, True)
    np.save(tmp_path / "a.npy", np.zeros((40, 60)))
    assert Look(tmp_path / "a.npy").border == 0


def test_a_spread_leaves_out_what_is_not_finite():
    found = facts.spread([1, 2, 4, np.nan, np.inf])
    assert {name: found[name] for name in ("count", "min", "median", "mean", "max")} == {
        "count": 3, "min": 1, "median": 2, "mean": 2.33333, "max": 4,
    }  # fmt: skip
    assert sum(found["counts"]) == 3 and len(found["edges"]) == len(found["counts"]) + 1
    assert facts.spread([np.nan]) is None and facts.spread([]) is None


def test_pictures_are_counted_by_format_and_size_and_padding():
    shapes = [(100, 200), (100, 200), (100, 100), (300, 100)]
    samples = [Sample(f"{n}.png", None, shape) for n, shape in enumerate(shapes)]
    looks = [type("Look", (), {"kind": kind}) for kind in ("PNG L", "PNG L", "JPEG RGB", "PNG L")]
    found = facts.of_pictures(samples, looks, (64, 128))
    assert found["formats"] == [("PNG L", 3), ("JPEG RGB", 1)]
    assert found["sizes"][0] == ("200x100", 2) and found["different_sizes"] == 3
    assert found["ends"] == {
        "smallest": "2.png", "largest": "3.png", "tallest": "3.png", "widest": "0.png",
    }  # fmt: skip
    # 64x128, 64x128, 64x64 and 64x21 of 64x128.
    assert found["padding"]["max"] == pytest.approx(1 - 21 / 128, abs=1e-5)
    assert found["padding"]["mean"] == pytest.approx((0 + 0 + 1 / 2 + 107 / 128) / 4, abs=1e-5)


def test_no_pictures_are_counted_too():
    found = facts.of_pictures([], [], (64, 64))
    assert (found["count"], found["ends"], found["padding"]) == (0, {}, None)


def known(**records):
    """Facts of records ((x, y, subject, scanpath), ...) on pictures of 100x50."""
    tables = {}
    for name, rows in records.items():
        x, y, subject, scanpath = np.float64(rows).reshape(-1, 4).T
        tables[name] = table(x, y, 0, subject, duration=0.25, scanpath=scanpath)
    return of_fixations(tables, dict.fromkeys(records, (50, 100)))


def test_fixations_observers_and_scanpaths_are_counted():
    found = known(a=[(10, 10, 0, 0), (20, 10, 0, 0), (30, 10, 1, 1)], b=[(5, 5, 0, 0)], c=[])
    assert (found["count"], found["observers"], found["scanpaths"]) == (4, 2, 3)
    assert (found["pictures_without"], found["per_picture"]["max"]) == (1, 3)
    assert (found["per_observer"]["min"], found["per_observer"]["max"]) == (1, 3)
    # Two on a, one on b; c, which nobody saw, is none.
    assert found["scanpaths_per_picture"]["mean"] == 1.5
    assert (found["per_scanpath"]["max"], found["per_scanpath"]["mean"]) == (2, 1.33333)
    assert found["durations"]["median"] == 0.25 and found["times"] is None
    assert not found["counted"]


def test_fixations_outside_are_counted_as_their_files_have_them():
    found = known(
        a=[(10, 10, 0, 0), (100, 10, 0, 0), (20, 70, 0, 0), (20, 60, 0, 0), (-1, 10, 0, 0)],
        b=[(99.9, 49.9, 0, 0), (np.nan, 3, 0, 0)],
    )
    assert (found["outside"], found["negative"], found["missing"]) == (4, 1, 1)
    assert (found["pictures_outside"], found["worst_outside"]) == (1, "a")
    # Pictures are 50 high and 100 wide. The other way round, (20, 70) and (20, 60) would be inside,
    # and (100, 10), (-1, 10) and (99.9, 49.9) outside.
    assert found["outside_swapped"] == 3


def test_coordinates_that_say_what_they_are_are_counted():
    found = known(a=[(0, 0, 0, 0), (0, 0, 0, 0), (0.5, 1, 0, 0), (50, 25, 0, 0), (99.5, 20, 0, 0)])
    assert (found["fractions"], found["edge"], found["centre"]) == (3, 4, 1)
    assert found["commonest"] == {"x": 0, "y": 0, "count": 2}
    assert found["repeated"] == 1
    assert found["reach"] == pytest.approx([0, 0, 0.995 * 0.98 + 0.5 * 0.02, 0.5], abs=0.03)


def test_what_is_not_known_is_none():
    rows = table([5.0], [5.0], 0)
    found = of_fixations({"a": rows, "gone": rows}, {"a": (50, 100)})
    assert (found["count"], found["observers"], found["scanpaths"]) == (1, 0, 0)
    assert found["per_observer"] is None and found["per_scanpath"] is None
    assert found["scanpaths_per_picture"] is None and found["durations"] is None
    empty = of_fixations({"a": concatenate([])}, {"a": (50, 100)})
    assert (empty["count"], empty["reach"], empty["commonest"]) == (0, None, None)


def test_duplicates_are_exact_near_and_across_sides(tmp_path):
    def sample(name, digest):
        return Sample(name, None, (9, 9), digest=digest)

    samples = [sample(n, d) for n, d in zip("abcde", ["1", "1", "2", "3", "4"], strict=True)]
    hashes = np.random.default_rng(0).random((5, 2, 144)) < 0.5
    hashes[1], hashes[3] = hashes[0], hashes[2]
    looks = [type("Look", (), {"hashes": rows}) for rows in hashes]
    side = {"a": "train", "b": "train", "c": "train", "d": "validate"}
    found = facts.of_duplicates(samples, looks, side)
    assert found == {"exact": [["a", "b"]], "near": [["c", "d"]], "across": [["c", "d"]]}


def spot(x, y):
    levels = np.full((60, 80), 90, np.uint8)
    levels[int(y * 60) - 4 : int(y * 60) + 4, int(x * 80) - 4 : int(x * 80) + 4] = 250
    return Image.fromarray(levels)


RIGHT = np.random.default_rng(0).uniform(0.15, 0.85, (30, 2))
ORDER = np.random.default_rng(1).permutation(30)
MISTAKES = {
    "x and y swapped": lambda p: p[:, ::-1] * (60 / 80, 80 / 60),
    "y counted from below": lambda p: p * (1, -1) + (0, 1),
    "x counted from the right": lambda p: p * (-1, 1) + (1, 0),
    "both counted from the centre": lambda p: p - 0.5,
    "fractions of width and height": lambda p: p / (80, 60),
    "coordinates of pictures 2 times as large": lambda p: p * 2,
    "coordinates of pictures 0.5 times as large": lambda p: p / 2,
    "those of the picture before": lambda places: np.roll(places, -1, 0),
    "those of the picture after": lambda places: np.roll(places, 1, 0),
    "the stimuli in the order of their numbers": lambda places: places[np.argsort(ORDER)],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_by_what_would_mend_it(mistake):
    change, random = MISTAKES[mistake], np.random.default_rng(2)
    paired = "those" in mistake or "order" in mistake
    points = [random.normal(at, 0.01, (10, 2)) for at in (change(RIGHT) if paired else RIGHT)]
    points = points if paired else [change(rows) for rows in points]
    grids = [contrast(spot(*place)) for place in RIGHT]
    found = of_contrast(grids, points, [(60, 80)] * 30, ORDER)
    others = {words: auc or 0 for words, auc in found["others"].items()}
    assert others[mistake] > 0.9 and others[mistake] > max(others.values()) - 0.02
    assert (found["auc"] or 0) < 0.8


def test_what_would_put_fixations_outside_is_no_mistake_that_was_made():
    points = [np.float64([[0.9, 0.5]] * 8 + [[0.1, 0.1], [np.nan, 0]]), np.float64([[0.2, 0.3]])]
    found = of_contrast([contrast(spot(0.2, 0.2))] * 2, points, [(60, 80)] * 2, [0, 1])
    assert found["others"]["coordinates of pictures 0.5 times as large"] is None  # 8 of 10 leave
    assert found["others"]["coordinates of pictures 2 times as large"] is not None
    assert found["others"]["x counted from the right"] is not None


class Somewhere(Corpus, register=False):
    size, split, name = (64, 64), Ratio(4, 1), "somewhere"

    def __init__(self, sigma):
        self.sigma = sigma


def test_sigma_says_whose_it_is(tmp_path):
    def sigma(corpus, **given):
        return facts.of_sigma(corpus, Config.make(given), [Sample("a", None)])

    assert sigma(Somewhere(30)) == {"pixels": 30.0, "from": "of somewhere"}
    assert sigma(Somewhere(Assumed(24)))["from"].startswith("assumed; --pixels-per-degree")
    given = sigma(Somewhere(Assumed(24)), pixels_per_degree=12.0)
    assert given == {"pixels": 12.0, "from": "--pixels-per-degree"}
    resized = [Sample("a", None, sigma=15.0), Sample("b", None, sigma=15.0)]
    assert facts.of_sigma(Somewhere(30), Config(), resized)["pixels"] == 15.0
    mapped = [Sample("a", None, density_map=tmp_path / "a.png")]
    assert facts.of_sigma(Somewhere(30), Config(), mapped)["pixels"] is None


def test_maps_are_counted_by_colour_and_rim(tmp_path):
    grey = np.full((40, 60), 30)
    grey[10:30, 20:40] = 200
    looks = [look(tmp_path, grey), look(tmp_path, 255 - grey), look(tmp_path, noise(40, 60, 3))]
    found = facts.of_maps(looks)
    assert (found["count"], found["coloured"]) == (3, 1) and found["light_rim"] >= 1
