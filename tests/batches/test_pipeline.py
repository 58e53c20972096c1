import dataclasses

import numpy as np
import pytest
from helpers import noise, same
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_files import mapped, picture, sample

from batches.free_viewing import FreeViewing
from batches.keys import prepare
from batches.order import filled, parts, plan
from batches.pipeline import batches
from batches.tasks import TASKS
from data.samples import Sample
from errors import UsageError
from formats.fixations import table
from formats.pictures.images import fitted, margins
from model.training.strategy import mirrored

SIZE = (24, 32)


def one(samples, *args, **options) -> dict[str, np.ndarray]:
    """The first batch as a device has it, in NumPy."""
    return in_numpy(next(iter(batches(samples, SIZE, *args, **options))))


def in_numpy(batch) -> dict[str, np.ndarray]:
    return {key: values.numpy() for key, values in prepare(batch).items()}


def mirroring(count: int, index: int, wanted: bool) -> dict:
    """A seed with which a sample is mirrored, or is not."""

    def found(seed: int) -> bool:
        steps = plan(count, 1, seed=seed, flip=True)
        return bool(steps["flip"][list(steps["id"]).index(index)]) == wanted

    return {"seed": next(filter(found, range(100))), "flip": True}


# plan


def test_plan_without_a_seed_is_in_order_and_filled_up():
    found = plan(5, 3)
    np.testing.assert_array_equal(found["id"], [0, 1, 2, 3, 4, 0])
    np.testing.assert_array_equal(found["weight"], [1, 1, 1, 1, 1, 0])
    assert found["weight"].dtype == np.float32 and not found["flip"].any()


def test_plan_fills_up_more_than_there_is():
    found = plan(2, 5)
    assert len(found["id"]) == 5 and set(found["id"]) == {0, 1}
    np.testing.assert_array_equal(found["weight"], [1, 1, 0, 0, 0])


def test_plan_is_a_function_of_seed_and_epoch():
    first = plan(50, 4, seed=3, epoch=2, flip=True)
    for other in (dict(seed=4, epoch=2), dict(seed=3, epoch=1), dict(seed=2, epoch=3)):
        assert not same(first, plan(50, 4, **other, flip=True))
    np.random.seed(0)  # what else draws numbers changes nothing
    np.random.random(9)
    assert same(first, plan(50, 4, seed=3, epoch=2, flip=True))


def test_plan_shows_each_sample_once_whatever_the_batch_size():
    four, seven = (plan(50, size, seed=1, flip=True) for size in (4, 7))
    for found in (four, seven):
        assert sorted(found["id"][found["weight"] == 1]) == list(range(50))
    assert len(four["id"]) == 52 and len(seven["id"]) == 56
    assert all(np.array_equal(four[key][:50], seven[key][:50]) for key in four)


def test_plan_mirrors_about_half():
    share = np.mean([plan(100, 1, seed=0, epoch=e, flip=True)["flip"].mean() for e in range(20)])
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(2000)  # five standard deviations
    assert not plan(100, 1, seed=0)["flip"].any()


# a batch


def test_a_batch_has_its_keys_types_shapes_and_ranges(tmp_path):
    samples = [sample(tmp_path, shape, [(1, 1)]) for shape in ((48, 64), (70, 20), (10, 90))]
    found = one(samples, 2)
    described = {key: (value.dtype, value.shape) for key, value in found.items()}
    assert described == {
        "image": (np.float32, (2, *SIZE, 3)),
        "density": (np.float32, (2, *SIZE, 1)),
        "fixations": (np.float32, (2, *SIZE, 1)),
        "valid": (np.float32, (2, *SIZE, 1)),
        "weight": (np.float32, (2,)),
        "id": (np.int64, (2,)),
    }
    assert set(np.unique(found["valid"])) == {0, 1}


def test_a_batch_has_what_all_samples_know(tmp_path):
    points, drawn = sample(tmp_path, (9, 9), [(1, 1)]), mapped(tmp_path, (9, 9), np.eye(9))
    assert FreeViewing.truth([points]) == ("density", "fixations")
    assert FreeViewing.truth([points, drawn]) == ("density",)
    assert FreeViewing.truth([points, points.bare()]) == ()
    assert set(one([points.bare()], 1)) == {"image", "valid", "weight", "id"}


def test_the_last_batch_is_filled_with_weight_0(tmp_path):
    samples = [sample(tmp_path, (24, 32), seed=seed) for seed in range(3)]
    found = list(batches(samples, SIZE, 2).as_numpy_iterator())
    np.testing.assert_array_equal([b["id"] for b in found], [[0, 1], [2, 0]])
    np.testing.assert_array_equal([b["weight"] for b in found], [[1, 1], [1, 0]])


@pytest.mark.parametrize("shape", [(48, 64), (100, 13), (13, 100), (7, 5), (1, 300)])
@pytest.mark.parametrize("truth_is", ["points", "map"])
def test_the_density_is_one_over_the_picture_and_nothing_outside(tmp_path, shape, truth_is):
    if truth_is == "points":
        known = sample(tmp_path, shape, [(0, 0), (shape[1] - 0.1, shape[0] - 0.1)])
    else:
        known = mapped(tmp_path, shape, noise(*shape))
    found = one([known], 1)
    height, width = fitted(shape, SIZE)
    top, left = margins((height, width), SIZE)
    inside = np.zeros((*SIZE, 1))
    inside[top : top + height, left : left + width] = 1
    np.testing.assert_array_equal(found["valid"][0], inside)
    density = found["density"][0].astype(np.float64)
    assert density.min() >= 0
    assert density.sum() == pytest.approx(1, abs=1e-6)
    assert (density * (1 - inside)).sum() == 0
    assert (found["image"][0][inside[..., 0] == 0] == 126).all()


def test_counts_keep_repeats_and_their_total(tmp_path):
    points = [(10.9, 4.2)] * 3 + [(63.99, 47.99), (0, 0)]
    found = one([sample(tmp_path, (48, 64), points)], 1)["fixations"][0, ..., 0]
    expected = np.zeros(SIZE)
    expected[2, 5] = 3  # half of (10.9, 4.2) is (5.45, 2.1)
    expected[23, 31] = expected[0, 0] = 1
    np.testing.assert_array_equal(found, expected)


def test_coordinates_are_scaled_and_never_a_map_of_points(tmp_path):
    # (30, 100) -> (10, 32) at 10 / 30 and 32 / 100, below 7 rows of padding
    found = one([sample(tmp_path, (30, 100), [(50, 14.9), (99.9, 29.9)])], 1)["fixations"]
    assert np.argwhere(found[0, ..., 0]).tolist() == [[7 + 4, 16], [7 + 9, 31]]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "shape, x, y", [((48, 64), 20.7, 9.2), ((9, 12), 5.5, 4.5), ((50, 16), 4, 36)]
)
def test_a_bright_pixel_and_its_fixation_move_together(tmp_path, shape, x, y, mirrored):
    levels = np.zeros((*shape, 3))
    levels[int(y), int(x)] = 255
    path = picture(tmp_path / "a.png", levels)
    points = np.array([[x, y]])
    known = Sample("a.png", path, shape, table(*points.T, 0), sigma=1.5)
    found = one([known], 1, **mirroring(1, 0, mirrored))
    height, width = fitted(shape, SIZE)
    top, left = margins((height, width), SIZE)
    row, column = int(y * height / shape[0]), int(x * width / shape[1])
    seen = left + (width - 1 - column if mirrored else column)
    image = np.where(found["valid"][0] == 1, found["image"][0], 0)[..., 0]
    grids = (image, found["density"][0, ..., 0])
    peaks = [np.argwhere(grid == grid.max()).mean(0) for grid in grids]
    assert np.argwhere(found["fixations"][0, ..., 0]).tolist() == [[top + row, seen]]
    assert abs(np.array(peaks) - [top + row, seen]).max() <= max(0.5, height / shape[0] / 2)


def test_mirroring_turns_all_there_is(tmp_path):
    known = sample(tmp_path, (40, 30), [(3, 5), (3, 5), (28, 39)])
    plain, turned = (one([known], 1, **mirroring(1, 0, wanted)) for wanted in (False, True))
    left, width = 7, 18  # (40, 30) -> (24, 18), 7 pixels on either side
    for key in ("image", "density", "fixations", "valid"):
        inner, other = (b[key][0][:, left : left + width] for b in (plain, turned))
        np.testing.assert_array_equal(other, inner[:, ::-1])
        np.testing.assert_array_equal(plain[key][0][:, :left], turned[key][0][:, :left])


def covering(many: int, few: int) -> np.ndarray:
    """(few, many) weights of a mean: the share of each small pixel that lies in a large one."""
    edges = np.arange(few + 1) * many / few
    pixel = np.arange(many)
    share = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(share, 0, None) * few / many


@pytest.mark.parametrize("shape", [(48, 64), (61, 47), (25, 99)])
def test_pixels_by_another_computation(tmp_path, shape):
    known = sample(tmp_path, shape)
    found = one([known], 1, **mirroring(1, 0, True))["image"][0]
    rows, columns = (covering(m, f) for m, f in zip(shape, fitted(shape, SIZE), strict=True))
    small = np.einsum("ih,hwc,jw->ijc", rows, noise(*shape, 3).astype(float), columns)[:, ::-1]
    spare = [side - used for side, used in zip(SIZE, small.shape, strict=False)]
    around = [(s // 2, s - s // 2) for s in spare]
    expected = np.pad(small, [*around, (0, 0)], constant_values=126)
    assert abs(found - expected).max() <= 0.5 + 1e-3  # rounded to whole levels


def test_enlarged_pixels_by_another_computation(tmp_path):
    known = sample(tmp_path, (12, 16))
    found = one([known], 1)["image"][0]
    for channel, levels in enumerate(np.moveaxis(noise(12, 16, 3), 2, 0)):
        grid = Image.fromarray(levels.astype(np.float32))
        expected = np.clip(grid.resize((32, 24), Image.Resampling.BICUBIC), 0, 255)
        assert abs(found[..., channel] - expected).max() <= 0.5 + 0.3  # whole levels; see images


def test_a_density_of_points_is_their_blur_shrunk(tmp_path):
    known = sample(tmp_path, (48, 64), [(32, 24), (32, 24), (20, 12)])
    found = one([known], 1)["density"][0, ..., 0]
    y, x = np.mgrid[:48, :64]

    def bell(column: int, row: int):
        bounded = (abs(x - column) <= 8) & (abs(y - row) <= 8)  # cut off at 4 sigma
        grid = np.exp(-((x - column) ** 2 + (y - row) ** 2) / 8) * bounded
        return grid / grid.sum()

    whole = (2 * bell(32, 24) + bell(20, 12)) / 3
    expected = whole.reshape(24, 2, 32, 2).sum((1, 3))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_map_may_be_smaller_than_its_stimulus(tmp_path):
    levels = np.zeros((24, 32))
    levels[10, 20], levels[3, 4] = 30, 10
    found = one([mapped(tmp_path, (96, 128), levels)], 1)["density"][0, ..., 0]
    np.testing.assert_allclose(found, levels / 40, atol=1e-7)
    tiny = np.zeros((6, 8))
    tiny[2, 5] = 200
    enlarged = one([mapped(tmp_path, (96, 128), tiny)], 1)["density"][0, ..., 0]
    assert np.argwhere(enlarged == enlarged.max()).mean(0).tolist() == [9.5, 21.5]
    assert enlarged.min() == 0  # though cubic undershoots


def test_a_map_of_16_bits_keeps_its_levels(tmp_path):
    path = tmp_path / "map.png"
    levels = np.zeros(SIZE, np.uint16)
    levels[0, 0], levels[1, 1] = 60000, 100
    Image.fromarray(levels).save(path)
    found = one([sample(tmp_path, SIZE, density_map=path)], 1)["density"][0, ..., 0]
    np.testing.assert_allclose(found, levels / 60100, atol=1e-7)


def test_a_map_of_nothing_is_uniform(tmp_path):
    empty, black = sample(tmp_path, (48, 64), []), mapped(tmp_path, (48, 64), np.zeros((48, 64)))
    for known in (empty, black):
        found = one([known], 1)["density"]
        np.testing.assert_allclose(found, np.full(found.shape, 1 / 768), rtol=1e-5)


def test_a_turned_picture_is_fitted_as_it_is_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = picture(tmp_path / "a.jpg", np.zeros((64, 48, 3)), exif=exif)
    found = one([Sample("a.jpg", path, (48, 64), table([60.0], [10.0], 0), sigma=1.0)], 1)
    assert found["valid"].all()
    assert np.argwhere(found["fixations"][0, ..., 0]).tolist() == [[5, 30]]


# weights, maps and features


def test_each_picture_or_each_fixation_weighs_the_same(tmp_path):
    samples = [sample(tmp_path, (24, 32), [(1, 1)] * count) for count in (3, 1, 2)]

    def found(key: str, weigh: str) -> list:
        dataset = batches(samples, SIZE, 2, seed=2, weigh=weigh)
        return np.concatenate([batch[key] for batch in dataset.as_numpy_iterator()]).tolist()

    assert found("id", "images") == found("id", "fixations") == [2, 0, 1, 2]
    assert found("weight", "images") == [1, 1, 1, 0]
    assert found("weight", "fixations") == [2, 3, 1, 0]


def test_maps_cannot_be_weighed_by_fixations(tmp_path):
    samples = [sample(tmp_path, (9, 9), [(1, 1)]), mapped(tmp_path, (9, 9), np.eye(9))]
    with pytest.raises(UsageError, match="^--weigh fixations: 1 stimuli have no fixations, only"):
        batches(samples, SIZE, 1, weigh="fixations")


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_map_is_made_at_the_fitted_shape_and_mirrored_with_the_picture(tmp_path, mirrored):
    known = sample(tmp_path, (40, 30))
    asked = []

    def ramp(_, height, width):
        asked.append((height, width))
        return np.arange(1.0, height * width + 1).reshape(height, width)

    found = one([known], 1, maps={"prior": ramp}, **mirroring(1, 0, mirrored))
    expected = np.zeros((24, 32))  # (40, 30) -> (24, 18), 7 pixels on either side
    expected[:, 7:25] = ramp(0, 24, 18)[:, ::-1] if mirrored else ramp(0, 24, 18)
    np.testing.assert_array_equal(found["prior"][0, ..., 0], expected)
    assert found["prior"].dtype == np.float32 and set(asked) == {(24, 18)}


def test_a_map_may_be_another_for_each_sample(tmp_path):
    samples = [sample(tmp_path, shape) for shape in [(24, 32), (24, 16), (24, 32)]]
    level = {known.name: float(place) for place, known in enumerate(samples, start=1)}
    maps = {"a": lambda known, *shape: np.full(shape, level[known.name])}
    found = [batch["a"].sum() for batch in batches(samples, SIZE, 1, maps=maps).as_numpy_iterator()]
    assert found == [768, 2 * 384, 3 * 768]


def test_features_stand_in_for_the_picture_that_is_not_read(tmp_path):
    samples = [sample(tmp_path, (48, 64), [(4, 6)], seed=seed) for seed in range(3)]
    plain = one(samples, 2)
    for known in samples:
        known.stimulus.unlink()

    def features(known):
        return np.full((3, 4, 5), int(known.name[0]), np.float16)

    batch = one(samples, 2, features=features)
    assert set(batch) == {*plain, "features"} - {"image"}
    assert batch["features"].dtype == np.float32 and batch["features"].shape == (2, 3, 4, 5)
    assert batch["features"][:, 0, 0, 0].tolist() == [0, 1]
    for key in set(plain) - {"image"}:
        np.testing.assert_array_equal(batch[key], plain[key])
    spec = batches(samples, SIZE, 2, features=features).element_spec["features"]
    assert spec.shape == (2, 3, 4, 5)


def test_features_cannot_be_mirrored(tmp_path):
    with pytest.raises(UsageError, match="cannot be mirrored; train with --no-flip"):
        batches(
            [sample(tmp_path, (9, 9))], SIZE, 1, flip=True, features=lambda _: np.ones((1, 1, 1))
        )


# order


def test_a_resumed_epoch_is_the_same_and_another_is_not(tmp_path):
    samples = [sample(tmp_path, (30, 40 + seed), [(seed, 3)], seed=seed) for seed in range(9)]

    def epoch(number: int):
        dataset = batches(samples, SIZE, 4, seed=5, epoch=number, flip=True)
        return list(dataset.as_numpy_iterator())

    first, again, other = epoch(1), epoch(1), epoch(2)
    for one_batch, same_batch in zip(first, again, strict=True):
        for key in one_batch:
            np.testing.assert_array_equal(one_batch[key], same_batch[key])
    order = plan(9, 4, seed=5, epoch=1, flip=True)
    np.testing.assert_array_equal(np.concatenate([b["id"] for b in first]), order["id"])
    assert any((a["image"] != b["image"]).any() for a, b in zip(first, other, strict=True))


# parts of batches


@settings(deadline=None)
@given(
    count=st.integers(1, 40),
    workers=st.integers(1, 4),
    each=st.integers(1, 3),
    pictures=st.integers(1, 3),
    skip=st.integers(0, 9),
    seed=st.none() | st.integers(0, 9),
)
def test_the_parts_of_all_devices_are_the_batches_in_order(
    count, workers, each, pictures, skip, seed
):
    """Step by step and device by device, each worker's from its own stream."""
    devices = workers * each
    size = devices * pictures
    rows = plan(count, size, seed=seed, epoch=2, flip=True)
    steps = len(rows["id"]) // size
    skip = min(skip, steps)
    shares = [parts(rows, size, skip, (worker, workers, devices)) for worker in range(workers)]
    for key, whole in rows.items():
        # What a worker's devices take in a step lies together: (step, device, picture).
        streams = [share[key].reshape(steps - skip, each, pictures) for share in shares]
        np.testing.assert_array_equal(np.stack(streams, 1).ravel(), whole[skip * size :])


def test_parts_of_rows_that_have_fixations_are_of_whole_pictures():
    rows = filled({"id": np.arange(18).reshape(6, 3), "weight": np.ones((6, 3), "f4")}, 4)
    assert rows["id"].shape == (8, 3) and (rows["weight"][6:] == 0).all()
    np.testing.assert_array_equal(rows["id"][6:], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(parts(rows, 4, 1, (1, 2, 2))["id"], [[[0, 1, 2], [3, 4, 5]]])
    found = parts(rows, 4, 1, (0, 2, 4))["id"]
    np.testing.assert_array_equal(found, [[[12, 13, 14]], [[15, 16, 17]]])


@pytest.mark.parametrize("group", [0, 3])
@pytest.mark.parametrize("skip, workers, each", [(0, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 2)])
def test_parts_hold_what_the_whole_batches_do(tmp_path, group, skip, workers, each):
    """All of a batch, bit by bit: pictures, truth, weights, ids, histories."""
    points = [(3, 5), (9, 2), (20, 20), (11, 7), (2, 9)]
    rows = table(*np.float64(points).T, 0, scanpath=0)
    samples = [
        dataclasses.replace(sample(tmp_path, (24, 30 + seed), seed=seed), table=rows)
        for seed in range(9)
    ]
    task = TASKS["scanpaths" if group else "free viewing"]
    known = {"seed": 5, "epoch": 3, "flip": True, "task": task, "group": group}
    wholes = list(batches(samples, SIZE, 4, **known).as_numpy_iterator())[skip:]
    devices = workers * each
    streams = [
        batches(samples, SIZE, 4, skip=skip, share=(worker, workers, devices), **known)
        for worker in range(workers)
    ]
    streams = [list(stream.as_numpy_iterator()) for stream in streams]
    assert [len(stream) for stream in streams] == [len(wholes) * each] * workers
    for step, whole in enumerate(wholes):
        mine = [part for stream in streams for part in stream[step * each : (step + 1) * each]]
        for key, values in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in mine]), values)


@pytest.mark.parametrize("size", [4, 3])
def test_two_devices_share_each_batch(tmp_path, size):
    samples = []
    for index in range(5):
        path = picture(tmp_path / f"{index}.png", noise(24, 32, 3, seed=index))
        samples.append(Sample(path.name, path, SIZE, table([index], [5.0], 0), sigma=2.0))
    strategy = mirrored(2, 2)
    dataset = batches(samples, SIZE, size, seed=1, flip=False)
    rows = []
    for batch in strategy.experimental_distribute_dataset(dataset):
        local = [strategy.experimental_local_results(values) for values in batch.values()]
        for device, share in enumerate(zip(*local, strict=True)):
            found = in_numpy(dict(zip(batch, share, strict=True)))
            keys = ("id", "weight", "fixations")
            for index, weight, counts in zip(*(found[key] for key in keys), strict=True):
                rows.append((device, index, weight, counts[5, :, 0].argmax()))
    assert sorted(index for _, index, weight, _ in rows if weight) == [0, 1, 2, 3, 4]
    assert len(rows) == -(-5 // size) * size
    assert all(index == column for _, index, _, column in rows)  # each with its own truth
    assert {device for device, *_ in rows} == {0, 1}


def test_nothing_is_tuned_while_batches_are_read(tmp_path):
    """TensorFlow's thread that tunes keeps an epoch from ending for up to a minute."""
    found = batches([sample(tmp_path, SIZE)], SIZE, 1)
    assert found.options().autotune.enabled is False
