from pathlib import Path

import numpy as np
import pytest
from helpers import noise, one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batches.keys import prepare
from batches.order import plan as order_of_pictures
from batches.pipeline import batches
from batches.scanpaths import Scanpaths
from batches.tasks import TASKS
from data.samples import Sample
from formats.fixations import counts, table
from formats.pictures.images import fitted, margins
from model.training.strategy import mirrored

SIZE = (24, 32)


def sample(folder: Path, shape: tuple[int, int], points, scanpath, seed: int = 0) -> Sample:
    """A picture of noise, with points as ((x, y), ...) and the scanpath of each."""
    path = folder / f"{len(list(folder.iterdir()))}.png"
    Image.fromarray(noise(*shape, 3, seed=seed)).save(path)
    rows = table(*np.float64(points).reshape(-1, 2).T, 0, scanpath=scanpath)
    return Sample(path.name, path, shape, rows, sigma=2.0)


def several(folder: Path, lengths=(7, 3, 5)) -> list[Sample]:
    """Samples of 48x64 whose fixations' x tell the picture (tens) and the row, in two scanpaths."""
    found = []
    for index, length in enumerate(lengths):
        points = [(10 * index + row + 0.5, 4 * row + 0.5) for row in range(length)]
        path = np.arange(length) % 2 + 5
        found.append(sample(folder, (48, 64), points, path, seed=index))
    return found


def shown(samples, batch_size, **options) -> list[dict[str, np.ndarray]]:
    """Batches as a device has them."""
    task = TASKS["scanpaths" if "group" in options else "free viewing"]
    found = batches(samples, SIZE, batch_size, task=task, **options)
    return [{key: x.numpy() for key, x in prepare(batch).items()} for batch in found]


def seed_of(mirrored: bool) -> dict:
    """A seed with which the only sample is mirrored, or is not."""
    seeds = (s for s in range(99) if order_of_pictures(1, 1, seed=s, flip=True)["flip"][0])
    others = (s for s in range(99) if not order_of_pictures(1, 1, seed=s, flip=True)["flip"][0])
    return {"seed": next(seeds if mirrored else others), "flip": True}


# histories


def test_a_history_has_the_four_before_it_last_first(tmp_path):
    points = [(n, 10 * n) for n in range(6)]
    found = Scanpaths([sample(tmp_path, (60, 60), points, 0)], 1).rows
    expected = np.full((6, 4, 2), np.nan)
    for now in range(6):
        for back, then in enumerate(range(now - 1, max(now - 5, -1), -1)):
            expected[now, back] = then, 10 * then
    np.testing.assert_array_equal(found.history, expected)
    np.testing.assert_array_equal(found.history[5, :, 0], [4, 3, 2, 1])
    np.testing.assert_array_equal(np.stack([found.x, found.y], 1), points)


def test_a_history_is_of_its_own_scanpath_and_picture(tmp_path):
    # The rows of two scanpaths lie in one another; two pictures have scanpaths of the same number.
    first = sample(tmp_path, (9, 9), [(1, 0), (2, 0), (3, 0), (4, 0)], [7, 3, 7, 3])
    second = sample(tmp_path, (9, 9), [(5, 0), (6, 0)], [7, 7])
    found = Scanpaths([first, second], 1)
    last = found.rows.history[:, 0, 0]
    np.testing.assert_array_equal(last, [np.nan, np.nan, 1, 2, np.nan, 5])
    assert np.isnan(found.rows.history[:, 1:]).all()
    np.testing.assert_array_equal(found.picture, [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("known", [None, table([1, 2], [1, 1], 0), table([1], [1], 0, scanpath=-1)])
def test_fixations_in_no_order_are_refused_by_name(tmp_path, known):
    good = sample(tmp_path, (9, 9), [(1, 1)], 0)
    with one_line("^b.png: the order of its fixations is not known; "):
        shown([good, Sample("b.png", tmp_path / "b.png", (9, 9), known)], 1, group=2)


def test_names_say_picture_and_fixation(tmp_path):
    samples = several(tmp_path, (2, 1))
    assert Scanpaths(samples, 1).names() == [
        "0.png, fixation 1",
        "0.png, fixation 2",
        "1.png, fixation 1",
    ]


# plan


def planned(lengths, group, batch_seed=None, epoch=0, **options):
    samples = [
        Sample(f"{n}.png", Path(), (9, 9), table(np.zeros(n), np.zeros(n), 0, scanpath=0))
        for n in lengths
    ]
    shown = Scanpaths(samples, group)
    return shown.plan(seed=batch_seed, epoch=epoch, **options), shown.picture


def test_without_a_seed_all_fixations_in_order():
    found, _ = planned((5, 1, 2), 2)
    np.testing.assert_array_equal(found["id"], [[0, 1], [2, 3], [4, 4], [5, 5], [6, 7]])
    np.testing.assert_array_equal(found["weight"] > 0, [[1, 1], [1, 1], [1, 0], [1, 0], [1, 1]])
    assert not found["flip"].any() and found["weight"].dtype == np.float32


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    group=st.integers(1, 12),
    seed=st.none() | st.integers(0, 9),
)
def test_a_row_has_fixations_of_one_picture_each_once(lengths, group, seed):
    found, picture = planned(lengths, group, seed)
    real = found["weight"] > 0
    assert found["id"].shape == real.shape == (len(found["flip"]), group)
    assert (picture[found["id"]] == picture[found["id"][:, :1]]).all()  # filling too
    once = found["id"][real]
    assert len(set(once)) == len(once)
    expected = [n if seed is None else min(n, group) for n in lengths]
    np.testing.assert_array_equal(np.bincount(picture[once], minlength=len(lengths)), expected)
    if seed is not None:
        assert len(found["id"]) == len(lengths)


@pytest.mark.parametrize("seed", [None, 3])
def test_rows_of_a_picture_weigh_one_or_their_number(seed):
    for weigh, expected in (("images", [1, 1, 1]), ("fixations", [5, 1, 9])):
        found, picture = planned((5, 1, 9), 4, seed, weigh=weigh)
        whole = np.bincount(picture[found["id"]].ravel(), found["weight"].ravel())
        np.testing.assert_allclose(whole, expected, rtol=1e-6)
        for row in found["weight"]:  # within a picture all the same
            assert len(set(row[row > 0])) == 1


def test_fixations_are_drawn_anew_by_seed_and_epoch():
    first, _ = planned((50, 50), 4, 1, 0)
    again, _ = planned((50, 50), 4, 1, 0)
    np.testing.assert_array_equal(first["id"], again["id"])
    for other in ((2, 0), (1, 1), (0, 1)):
        assert (np.sort(first["id"], 0) != np.sort(planned((50, 50), 4, *other)[0]["id"], 0)).any()


def test_all_fixations_are_drawn_about_equally_often():
    drawn = np.concatenate([planned((8,), 2, 0, epoch)[0]["id"][0] for epoch in range(400)])
    share = np.bincount(drawn, minlength=8) / 400
    deviation = np.sqrt(0.25 * 0.75 / 400)
    assert abs(share - 0.25).max() < 5 * deviation


# batches


def test_a_batch_has_a_row_for_each_fixation(tmp_path):
    found = shown(several(tmp_path), 2, group=3, maps={"prior": lambda _, h, w: np.ones((h, w))})
    described = {key: (value.dtype, value.shape) for key, value in found[0].items()}
    assert described == {
        "image": (np.float32, (2, *SIZE, 3)),
        "prior": (np.float32, (2, *SIZE, 1)),
        "history": (np.float32, (6, 4, 2)),
        "fixations": (np.float32, (6, *SIZE, 1)),
        "valid": (np.float32, (6, *SIZE, 1)),
        "weight": (np.float32, (6,)),
        "id": (np.int64, (6,)),
    }
    spec = batches(several(tmp_path), SIZE, 2, task=TASKS["scanpaths"], group=3).element_spec
    assert all(tensor.shape.is_fully_defined() for tensor in spec.values())


def test_rows_are_of_their_picture_and_each_fixation_is_shown_once(tmp_path):
    samples = several(tmp_path)
    [alone] = shown(samples, 3)
    ids, weights = [], []
    for batch in shown(samples, 2, group=3):
        for row in range(6):
            column, line = np.argwhere(batch["fixations"][row, ..., 0])[0][::-1]
            picture = int(batch["id"][row] >= 7) + int(batch["id"][row] >= 10)
            place = batch["id"][row] - (0, 7, 10)[picture]
            # Half of 10 picture + place + 1/2 and of 4 place + 1/2, as several() has them.
            assert (column, line) == ((10 * picture + place + 0.5) // 2, 2 * place)
            np.testing.assert_array_equal(batch["image"][row // 3], alone["image"][picture])
        ids.extend(batch["id"])
        weights.extend(batch["weight"])
    assert np.array(ids)[np.array(weights) > 0].tolist() == list(range(15))


def test_each_row_has_the_padding_of_its_picture(tmp_path):
    shapes = [(24, 32), (24, 8), (6, 32)]
    [found] = shown([sample(tmp_path, shape, [(1, 1)] * 2, 0) for shape in shapes], 3, group=2)
    assert found["valid"].sum((1, 2, 3)).tolist() == [768, 768, 192, 192, 192, 192]
    assert found["valid"][3, 0].sum() == 8 and found["valid"][4, 0].sum() == 0


def test_whole_rows_of_filling_have_weight_0(tmp_path):
    found = shown(several(tmp_path, (4, 4, 4)), 2, group=4, seed=0)
    assert [batch["id"].shape for batch in found] == [(8,), (8,)]
    np.testing.assert_array_equal(found[0]["weight"], np.full(8, 0.25))
    np.testing.assert_array_equal(found[1]["weight"], [0.25] * 4 + [0] * 4)
    assert all(batch["fixations"].sum((1, 2, 3)).tolist() == [1] * 8 for batch in found)


def test_a_resumed_epoch_is_the_same_and_another_is_not(tmp_path):
    samples = several(tmp_path, (9, 9, 9, 9, 9))
    first, again, other = (
        shown(samples, 2, group=2, seed=4, epoch=epoch, flip=True) for epoch in (3, 3, 4)
    )
    for batch, same in zip(first, again, strict=True):
        for key in batch:
            np.testing.assert_array_equal(batch[key], same[key])
    drawn, anew = (sorted(np.concatenate([b["id"] for b in some])) for some in (first, other))
    assert drawn != anew


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "shape", [(48, 64), (24, 32), (100, 13), (13, 100), (7, 5), (2, 105), (600, 800)]
)
def test_each_fixation_is_where_it_is_counted_and_its_history_with_it(tmp_path, shape, mirrored):
    height, width = shape
    random = np.random.default_rng(1)
    points = random.uniform(0, (width, height), (40, 2))
    points[:10] = np.floor(points[:10])  # on the edges of pixels
    points[10], points[11] = (0, 0), np.nextafter((width, height), 0)  # 105 rounds up to 32
    known = sample(tmp_path, shape, points, 0)
    [found] = shown([known], 1, group=40, **seed_of(mirrored))
    [together] = shown([known], 1, **seed_of(mirrored))
    np.testing.assert_array_equal(found["fixations"].sum(0), together["fixations"][0])
    np.testing.assert_array_equal(found["valid"], np.repeat(together["valid"], 40, 0))
    target = fitted(shape, SIZE)
    top, left = margins(target, SIZE)
    for row, index in enumerate(found["id"]):
        one = counts(*points[index], shape, target)
        expected = np.zeros(SIZE)
        expected[top : top + target[0], left : left + target[1]] = one
        expected = expected[:, :: 1 - 2 * mirrored]  # the frame with its padding
        np.testing.assert_array_equal(found["fixations"][row, ..., 0], expected)
        for back in range(4):
            seen = found["history"][row, back]
            if index <= back:
                assert np.isnan(seen).all()
                continue
            x, y = points[index - back - 1] * (target[1] / width, target[0] / height)
            expected = (SIZE[1] - left - x if mirrored else left + x, top + y)
            np.testing.assert_allclose(seen, expected, atol=1e-4)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_history_lies_in_the_pixel_of_its_fixation(tmp_path, mirrored):
    """By fixations[i] of the fixation itself, against history[i + 1] of the next."""
    points = np.random.default_rng(2).uniform(0, (80, 60), (30, 2))
    [found] = shown([sample(tmp_path, (60, 80), points, 0)], 1, group=30, **seed_of(mirrored))
    place = np.argsort(found["id"])
    pixel = np.array([np.argwhere(grid[..., 0])[0][::-1] for grid in found["fixations"][place]])
    np.testing.assert_array_equal(np.floor(found["history"][place][1:, 0]), pixel[:-1])


def test_two_devices_share_each_batch_by_pictures(tmp_path):
    """Picture i is of level i, its fixation j is in row i and column j."""
    samples = []
    for index in range(5):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((24, 32, 3), index, np.uint8)).save(path)
        rows = table(np.arange(3) + 0.5, [index + 0.5] * 3, 0, scanpath=0)
        samples.append(Sample(path.name, path, SIZE, rows, sigma=2.0))
    strategy, seen = mirrored(2, 2), []
    dataset = batches(samples, SIZE, 4, task=TASKS["scanpaths"], group=3)
    for batch in strategy.experimental_distribute_dataset(dataset):
        local = [strategy.experimental_local_results(value) for value in batch.values()]
        for device, share in enumerate(zip(*local, strict=True)):
            found = {k: x.numpy() for k, x in prepare(dict(zip(batch, share, strict=True))).items()}
            image, ids, weight = found["image"], found["id"], found["weight"]
            fixations, history = found["fixations"], found["history"]
            assert len(image) == 2 and len(fixations) == len(history) == 6
            for row, index in enumerate(ids):
                assert np.argwhere(fixations[row, ..., 0])[0].tolist() == [index // 3, index % 3]
                assert image[row // 3, 0, 0, 0] == index // 3
                before = np.nan if index % 3 == 0 else index % 3 - 0.5
                np.testing.assert_equal(history[row, 0, 0], np.float32(before))
                seen.append((device, index, weight[row]))
    assert [index for _, index, weight in seen if weight] == list(range(15))
    assert len(seen) == 24 and {device for device, *_ in seen} == {0, 1}
