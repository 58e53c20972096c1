"""A store of a run's pictures: batches with it are those without it."""

import dataclasses
import os

import numpy as np
import pytest
from helpers import flip, refusal_of
from sample_files import mapped, noise, sample

from batches.free_viewing import FreeViewing
from batches.making import make
from batches.pipeline import batches
from batches.store import keep
from batches.tasks import TASKS
from errors import UsageError
from formats.fixations import table
from formats.pictures.images import fitted

SIZE = (24, 32)
SHAPES = [(48, 64), (24, 32), (7, 5), (100, 13), (13, 100), (1, 300), (61, 47)]
BOTH = {"image", "density", "fixations"}


@pytest.fixture
def samples(tmp_path):
    """Of all shapes; with fixations in an order, each with a digest of its own."""
    (tmp_path / "p").mkdir()
    rows = [np.float64([(0, 0), (s[1] - 0.1, s[0] - 0.1), (s[1] / 2, s[0] / 3)]) for s in SHAPES]
    return [
        dataclasses.replace(
            sample(tmp_path / "p", shape, seed=seed, digest=f"{seed:x}"),
            table=table(*points.T, 0, scanpath=0),
        )
        for seed, (shape, points) in enumerate(zip(SHAPES, rows, strict=True))
    ]


def listed(samples, **options):
    mirrored = {"flip": "features" not in options}
    return list(batches(samples, SIZE, 3, seed=2, **mirrored, **options).as_numpy_iterator())


def alike(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("truth_is", ["points", "map"])
def test_the_store_gives_what_is_made_without_it(tmp_path, shape, truth_is):
    (tmp_path / "p").mkdir()
    if truth_is == "points":
        known = sample(tmp_path / "p", shape, [(0, 0), (shape[1] / 2, shape[0] / 3)])
    else:
        known = mapped(tmp_path / "p", shape, noise(*shape))
    known = dataclasses.replace(known, digest="ab", map_digest="cd")
    kept = keep(tmp_path / "s", [known], SIZE, BOTH)
    found, expected = kept.read(known), make(known, SIZE, ["image", "density"])
    target = fitted(shape, SIZE)
    assert found.keys() == expected.keys() == {"image", "density"}
    assert expected["image"].shape == (*target, 3) and expected["density"].shape == (*target, 1)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype == {"image": "u1", "density": "f4"}[name]
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("case", ["pictures", "scanpaths", "features"])
def test_batches_with_a_store_are_those_without_it_and_read_no_picture(tmp_path, samples, case):
    options, names = {"maps": {"prior": lambda _, *shape: np.full(shape, 0.5)}}, BOTH
    if case == "scanpaths":
        options |= {"task": TASKS["scanpaths"], "group": 2}
        names = {"image"}
    if case == "features":
        options["features"], names = lambda known: np.ones((2, 2, 3), np.float32), {"density"}
    plain, turned = listed(samples, **options), {"epoch": 1}
    other = listed(samples, **options, **turned)
    kept = keep(tmp_path / "s", samples, SIZE, names)
    assert {*kept.rows} == names & {"image", "density"}
    for known in samples:
        known.stimulus.unlink()
    alike(listed(samples, store=kept, **options), plain)
    alike(listed(samples, store=kept, **options, **turned), other)


def spoil(folder):
    """Damage a store as disks do: a bit of a row is another, others are cut off."""
    rows = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in rows[::2]:
        flip(path, 0)
    for path in rows[1::4]:
        os.truncate(path, path.stat().st_size // 2)


def test_batches_of_a_store_that_is_damaged_meanwhile_are_those_without_it(tmp_path, samples):
    plain = [listed(samples, epoch=epoch) for epoch in (0, 1)]
    kept = keep(tmp_path / "s", samples, SIZE, BOTH)
    batch = iter(batches(samples, SIZE, 3, seed=2, flip=True, store=kept).as_numpy_iterator())
    first = next(batch)
    spoil(tmp_path / "s")
    alike([first, *batch], plain[0])
    spoil(tmp_path / "s")
    alike(listed(samples, epoch=1, store=kept), plain[1])


def test_a_damaged_row_whose_picture_is_gone_is_one_line(tmp_path, samples):
    kept = keep(tmp_path / "s", samples, SIZE, BOTH)
    lost = samples[0]
    flip(kept.rows["image"].place(lost.digest), 0)
    lost.stimulus.unlink()
    assert refusal_of(lost.stimulus, kept.read, lost) == "no such file or directory"


def test_each_side_of_a_corpus_reads_from_the_store_of_both(tmp_path, samples):
    kept = keep(tmp_path / "s", samples, SIZE, FreeViewing.truth(samples) + ("image",))
    for side in (samples[:3], samples[3:]):
        alike(listed(side, store=kept), listed(side))


def test_a_picture_that_cannot_be_read_is_named_before_the_first_batch(tmp_path, samples):
    samples[2].stimulus.write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"2\.png: not a picture"):
        keep(tmp_path / "s", samples, SIZE, BOTH)
