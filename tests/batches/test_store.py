"""Fitted pictures and densities on disk: what comes back, what is made anew, who else writes."""

import dataclasses
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import flip, noise, same
from sample_files import mapped, sample

from batches import store
from batches.store import Store
from data.samples import Sample
from errors import UsageError
from formats.fixations import table
from formats.pictures.images import fitted

ROOT = Path(__file__).parents[2]
SIZE = (24, 32)
BOTH = ("image", "density")
# Enlarged, shrunk, as they are; of one side alone; lengths of rows that are no multiples of 4.
SHAPES = [(48, 64), (24, 32), (7, 5), (100, 13), (13, 100), (1, 300), (25, 33), (5, 7)]


def several(folder, shapes=SHAPES):
    return [
        sample(folder, shape, [(1, 0.5)], seed, digest=f"{seed:x}")
        for seed, shape in enumerate(shapes)
    ]


def arrays(known, size=SIZE, names=BOTH):
    """Noise of the right shapes, another for each sample."""
    random = np.random.default_rng(int(known.digest, 16))
    shape = fitted(known.shape, size)
    found = {
        "image": random.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "density": np.float32(random.random((*shape, 1))),
    }
    return {name: found[name] for name in names}


class Making:
    """What makes a sample's arrays, and remembers of which samples it did."""

    def __init__(self, names=BOTH):
        self.names, self.made = names, []

    def __call__(self, known):
        self.made.append(known.name)
        return arrays(known, names=self.names)


def filled(folder, samples, making=None, names=BOTH):
    """A store of samples, whose rows are made where they lack."""
    kept = Store(folder, samples, SIZE, names, making or Making(names))
    kept.fill()
    return kept


@pytest.mark.parametrize("names", [BOTH, ("image",), ("density",)])
def test_what_was_made_once_comes_back_bit_by_bit(tmp_path, names):
    (tmp_path / "p").mkdir()
    samples, making = several(tmp_path / "p"), Making(names)
    first = filled(tmp_path, samples, making, names)
    assert sorted(making.made) == [known.name for known in samples]
    again = filled(tmp_path, samples[::-1], making, names)  # in whatever order they come
    assert len(making.made) == len(samples)
    for known in samples:
        for each in (first, again):
            assert same(each.read(known), arrays(known, names=names))
    files = sorted(path.name for path in tmp_path.glob("*.*"))
    assert files == [f"{first.fingerprint}.checks", f"{first.fingerprint}.pictures"]


# damage


LENGTH = 24 * 32 * (3 + 4)  # bytes of a row: RGB and a float32 a pixel
PAGE = 4096  # a disk loses whole ones
CHECK = store.CHECK.itemsize


def lose_page(path, place):
    """A page of zeros, as a disk leaves it that lost its power."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(PAGE))


DAMAGES = {
    # of the pictures, of the checks, which rows these touch
    "a bit of a row": (lambda path: flip(path, 2 * LENGTH + 40), None, [2]),
    "the last bit of a row": (lambda path: flip(path, LENGTH - 1), None, [0]),
    "a page": (lambda path: lose_page(path, LENGTH + 100), None, [1]),
    "cut in a row": (lambda path: os.truncate(path, 1 * LENGTH + 1), None, [1, 2, 3]),
    "cut by a byte": (lambda path: os.truncate(path, 4 * LENGTH - 1), None, [3]),
    "empty": (lambda path: os.truncate(path, 0), None, [0, 1, 2, 3]),
    "zeros": (lambda path: path.write_bytes(bytes(4 * LENGTH)), None, [0, 1, 2, 3]),
    "checks cut in one": (None, lambda path: os.truncate(path, 2 * CHECK + 3), [2, 3]),
    "checks empty": (None, lambda path: os.truncate(path, 0), [0, 1, 2, 3]),
    "a bit of a check": (None, lambda path: flip(path, 3 * CHECK), [3]),
    "no check, but something": (None, lambda path: flip(path, CHECK + 4), [1]),
}
GONE = {
    "gone": (lambda path: path.unlink(), None, [0, 1, 2, 3]),
    "checks gone": (None, lambda path: path.unlink(), [0, 1, 2, 3]),
}


def spoil(kept, damage):
    """Damage a store's files; return the names of the samples that this touches."""
    pictures, checks, touched = (DAMAGES | GONE)[damage]
    for spoiling, ending in ((pictures, ".pictures"), (checks, ".checks")):
        if spoiling:
            spoiling(kept.path.with_suffix(ending))
    return [kept.samples[place].name for place in touched]


@pytest.mark.parametrize("damage", DAMAGES | GONE)
def test_what_is_damaged_is_made_anew_and_nothing_else(tmp_path, damage):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p", [SIZE] * 4)
    touched = spoil(filled(tmp_path, samples), damage)
    making = Making()
    again = filled(tmp_path, samples, making)
    for _ in range(2):
        for each in samples:
            assert same(again.read(each), arrays(each))
        assert sorted(making.made) == touched
    after = Making()
    assert same(filled(tmp_path, samples, after).read(samples[0]), arrays(samples[0]))
    assert after.made == []


@pytest.mark.parametrize("damage", [*GONE, "cut in a row", "cut by a byte", "empty"])
def test_what_is_cut_off_is_made_before_it_is_read(tmp_path, damage):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p", [SIZE] * 4)
    touched, making = spoil(filled(tmp_path, samples), damage), Making()
    filled(tmp_path, samples, making)
    assert sorted(making.made) == touched


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_while_it_is_read_is_made_anew_and_said_once(tmp_path, damage, caplog):
    (tmp_path / "p").mkdir()
    making = Making()
    kept = filled(tmp_path, several(tmp_path / "p", [SIZE] * 4), making)
    making.made.clear()
    touched = spoil(kept, damage)
    rows = {name: np.full((*SIZE, depth), 7, kind) for name, (kind, depth) in store.KINDS.items()}
    for _ in range(2):
        for each in kept.samples:
            assert same(kept.read(each, rows), arrays(each))
        assert sorted(making.made) == touched
    (line,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert line.startswith(f"{kept.path}: damaged, first at '{touched[0]}'; ")


def test_a_damaged_row_that_cannot_be_written_is_right_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    kept = filled(tmp_path, several(tmp_path / "p", [SIZE] * 2))
    flip(kept.path, 5)
    monkeypatch.setattr(store.os, "pwrite", lambda _, row, __: len(row) - 1)  # a full disk
    for _ in range(2):
        assert same(kept.read(kept.samples[0]), arrays(kept.samples[0]))


def test_a_disk_that_cannot_read_a_row_has_it_made(tmp_path, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    (tmp_path / "p").mkdir()
    kept = filled(tmp_path, several(tmp_path / "p", [SIZE]))
    monkeypatch.setattr(store.os, "preadv", failing)
    assert same(kept.read(kept.samples[0]), arrays(kept.samples[0]))


def test_a_filled_store_is_not_read_when_it_is_opened(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p")
    filled(tmp_path, samples)
    monkeypatch.delattr(store.os, "preadv")
    monkeypatch.delattr(store.zlib, "crc32")
    making = Making()
    filled(tmp_path, samples, making)
    assert making.made == []


def test_a_row_whose_checksum_is_0_is_told_from_one_that_was_not_written(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    samples, making = several(tmp_path / "p", [SIZE]), Making()
    monkeypatch.setattr(store, "zlib", types.SimpleNamespace(crc32=lambda *_: 0))
    for _ in range(2):
        filled(tmp_path, samples, making).read(samples[0])
    assert len(making.made) == 1


def test_a_picture_that_cannot_be_made_ends_the_filling_and_the_rest_stays(tmp_path):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p")
    making = Making()

    def failing(known):
        if known.digest == "3":
            raise UsageError("3.png: damaged")
        return making(known)

    with pytest.raises(UsageError, match="^3.png: damaged$"):
        filled(tmp_path, samples, failing)
    begun = set(making.made)
    filled(tmp_path, samples, making)
    assert len(making.made) == len(samples) and "3.png" not in begun


# the fingerprint


def test_another_fingerprint_for_all_that_decides(tmp_path):
    (tmp_path / "p").mkdir()
    samples = [*several(tmp_path / "p", [SIZE] * 2), mapped(tmp_path / "p", SIZE, noise(*SIZE, 3))]

    def of(first=samples[0], rest=samples[1:], size=SIZE, names=BOTH):
        return Store(tmp_path, [first, *rest], size, names, Making()).fingerprint

    known, other = of(), table(np.array([1.0]), np.array([np.nextafter(0.5, 1)]), 0)
    changed = [
        of(size=(32, 24)),
        of(names=("image",)),
        of(dataclasses.replace(samples[0], digest="ff")),
        of(dataclasses.replace(samples[0], shape=(24, 31))),
        of(dataclasses.replace(samples[0], sigma=3.0)),
        of(dataclasses.replace(samples[0], table=other)),
        of(rest=samples[1:2]),
        of(rest=[samples[1], dataclasses.replace(samples[2], map_digest="ff")]),
    ]
    assert len({known, *changed}) == 9 and all(len(mark) == 16 for mark in changed)
    assert of() == known == of(samples[1], [samples[2], samples[0]])
    # a folder that was moved has the same content
    moved = dataclasses.replace(samples[2], density_map=tmp_path / "moved.png")
    assert of(rest=[samples[1], moved]) == known


def test_points_do_not_matter_to_pictures_alone(tmp_path):
    (tmp_path / "p").mkdir()
    (known,) = several(tmp_path / "p", [SIZE])
    marks = {
        Store(tmp_path, [each], SIZE, ("image",), Making()).fingerprint
        for each in (known, dataclasses.replace(known, table=table(*np.ones((2, 3)), 0)))
    }
    assert len(marks) == 1


# room


def test_a_disk_without_room_is_said_with_what_is_needed(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p", [SIZE] * 3)
    before = len(os.listdir("/proc/self/fd"))
    needed = 3 * LENGTH
    usage = store.shutil.disk_usage(tmp_path)._replace(free=int(needed / store.ROOM) - 1)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="0.0 GB are needed, 0.0 GB free") as error:
        Store(tmp_path, samples, SIZE, BOTH, Making())
    assert error.value.errno == 28
    del error
    assert len(os.listdir("/proc/self/fd")) == before
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage._replace(free=usage.free + 2))
    filled(tmp_path, samples)


def test_what_lies_there_already_needs_no_room(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p", [SIZE] * 3)
    kept = filled(tmp_path, samples)
    os.fsync(kept.rows)  # until then a disk may not have given it its blocks
    usage = store.shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(
        store, "CHECK", np.dtype([])
    )  # but for those of the checks, of which there are few
    Store(tmp_path, samples, SIZE, BOTH, Making())


def test_files_are_closed_with_the_store(tmp_path):
    (tmp_path / "p").mkdir()
    samples = several(tmp_path / "p", [SIZE] * 2)
    before = len(os.listdir("/proc/self/fd"))
    kept = Store(tmp_path, samples, SIZE, BOTH, Making())
    assert len(os.listdir("/proc/self/fd")) == before + 2
    del kept
    assert len(os.listdir("/proc/self/fd")) == before


# several at once


def fill_beside(folder, me, other):
    """Fill a store; once another process is in the middle of filling it too, each goes on."""
    samples = [Sample(f"{i}.png", None, SIZE, digest=f"{i:x}") for i in range(40)]

    def making(known):
        (folder / me).touch()
        until = time.monotonic() + 60
        while not (folder / other).exists() and time.monotonic() < until:
            time.sleep(0.001)
        return arrays(known)

    filled(folder, samples, making)
    return samples


FILLING = """
import sys
sys.path[:0] = ["tests", "tests/batches"]
from pathlib import Path
from test_store import fill_beside
fill_beside(Path(sys.argv[1]), "b", "a")
"""


def test_two_processes_fill_one_store(tmp_path):
    command = [sys.executable, "-c", FILLING, tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        samples = fill_beside(tmp_path, "a", "b")
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert b"Exception ignored" not in said  # at its end
    assert (tmp_path / "b").exists()
    making = Making()
    kept = filled(tmp_path, samples, making)
    assert making.made == []
    for known in samples:
        assert same(kept.read(known), arrays(known))
