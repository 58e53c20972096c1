"""Fitted pictures and densities on disk: which rows samples share, what is written and when."""

import dataclasses
import logging

import numpy as np
import pytest
from helpers import noise, same
from PIL import Image
from sample_files import mapped, sample

import cache
from batches import making, store
from batches.making import make
from batches.store import Store, keep
from data.samples import Sample
from errors import UsageError
from formats.fixations import table
from formats.pictures import integrity, maps
from formats.pictures.integrity import Memory

SIZE = (24, 32)
BOTH = ("image", "density")
# Enlarged, shrunk, as they are; of one side alone; lengths of rows that are no multiples of 4.
SHAPES = [(48, 64), (24, 32), (7, 5), (100, 13), (13, 100), (1, 300), (25, 33), (5, 7)]


def several(folder, shapes=SHAPES):
    folder.mkdir()
    return [
        sample(folder, shape, [(1, 0.5)], seed, digest=f"{seed:02x}")
        for seed, shape in enumerate(shapes)
    ]


def rows_of(folder):
    """The rows below a folder of caches: kind and digest."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted((path.parts[0], path.name) for path in files)


@pytest.fixture
def made(monkeypatch):
    """The names of what is made from now on, and of what kind."""
    names = []
    for kind, function in making.MAKE.items():

        def watched(known, target, kind=kind, function=function):
            names.append((kind, known.name))
            return function(known, target)

        monkeypatch.setitem(making.MAKE, kind, watched)
    return names


@pytest.mark.parametrize("names", [BOTH, ("image",), ("density",)])
def test_what_was_made_once_comes_back_bit_by_bit(tmp_path, names, made):
    samples = several(tmp_path / "p")
    first = keep(tmp_path / "c", samples, SIZE, names)
    assert sorted(made) == sorted((name, each.name) for each in samples for name in names)
    again = keep(tmp_path / "c", samples[::-1], SIZE, names)  # in whatever order they come
    assert len(made) == len(samples) * len(names)
    for known in samples:
        expected = make(known, SIZE, names)
        into = {name: np.full_like(array, 7) for name, array in expected.items()}
        assert same(first.read(known), expected) and same(again.read(known, into), expected)
        assert all(again.read(known, into)[name] is into[name] for name in names)


def test_sigmas_folds_and_corpora_share_pictures(tmp_path, made):
    samples = several(tmp_path / "p")
    keep(tmp_path / "c", samples[:5], SIZE, BOTH)
    made.clear()
    others = [dataclasses.replace(each, sigma=3.0, name=f"x/{each.name}") for each in samples]
    keep(tmp_path / "c", others, SIZE, BOTH)
    assert {each for each in made if each[0] == "image"} == {
        ("image", each.name) for each in others[5:]
    }
    assert len([each for each in made if each[0] == "density"]) == len(samples)


def test_another_row_for_all_that_decides(tmp_path):
    (tmp_path / "p").mkdir()
    known = sample(tmp_path / "p", SIZE, [(1, 0.5)], digest="aa")
    drawn = dataclasses.replace(
        mapped(tmp_path / "p", SIZE, noise(*SIZE, 3)), digest="aa", map_digest="bb"
    )
    other = table(np.array([1.0]), np.array([np.nextafter(0.5, 1)]), 0)
    of = store.key
    assert of("image", known, SIZE) == of("image", drawn, SIZE) == "aa"
    changed = [
        known,
        dataclasses.replace(known, digest="ff"),
        dataclasses.replace(known, shape=(24, 31)),
        dataclasses.replace(known, sigma=3.0),
        dataclasses.replace(known, table=other),
        drawn,
        dataclasses.replace(drawn, map_digest="ff"),
    ]
    keys = {of("density", each, SIZE) for each in changed}
    assert len(keys | {of("density", drawn, (24, 31))}) == 8
    moved = dataclasses.replace(drawn, density_map=tmp_path / "moved.png", sigma=9.0)
    assert of("density", moved, SIZE) == of("density", drawn, SIZE)
    folders = {store.folder(size) for size in (SIZE, SIZE[::-1])}
    assert len(folders) == 2 and store.folder(SIZE).startswith("24x32-")


def test_another_version_of_what_makes_rows_is_another_folder(monkeypatch):
    before = store.folder(SIZE)
    monkeypatch.setattr(store.PIL, "__version__", "0")
    assert store.folder(SIZE) != before


@pytest.mark.parametrize("name", BOTH)
def test_what_has_no_digest_shares_no_row(tmp_path, name):
    (tmp_path / "p").mkdir()
    for known in (
        sample(tmp_path / "p", SIZE, [(1, 1)]),
        mapped(tmp_path / "p", SIZE, noise(*SIZE)),
    ):
        with pytest.raises(ValueError, match="without a digest"):
            Store(tmp_path / "c", SIZE, [name]).fill([known])


def test_a_picture_that_cannot_be_made_ends_the_filling_and_the_rest_stays(tmp_path, made):
    samples = several(tmp_path / "p")
    whole = samples[3].stimulus.read_bytes()
    samples[3].stimulus.write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"3\.png: not a picture"):
        keep(tmp_path / "c", samples, SIZE, BOTH)
    begun = {name for _, name in made}
    samples[3].stimulus.write_bytes(whole)
    keep(tmp_path / "c", samples, SIZE, ["image"])
    assert len(made) == len(samples) + 1 and "3.png" in begun


# what is decoded for another purpose


def drawn_corpus(folder, shape, map_shape):
    """A picture and a blurred map, as files."""
    folder.mkdir()
    y, x = np.mgrid[: map_shape[0], : map_shape[1]]
    levels = 200 * np.exp(-((y - 9) ** 2 + (x - 12) ** 2) / 50)
    Image.fromarray(noise(*shape, 3)).save(folder / "a.png")
    Image.fromarray(np.uint8(levels)).save(folder / "map.png")
    return folder / "a.png", folder / "map.png"


@pytest.mark.parametrize("map_shape", [(48, 61), (24, 31)])  # the latter is another when fitted
def test_what_is_decoded_to_be_checked_is_kept_and_is_what_would_be_made(tmp_path, map_shape, made):
    picture, drawing = drawn_corpus(tmp_path / "p", (48, 61), map_shape)
    memory = Memory(None, Store(tmp_path / "c", SIZE).taker(1))
    (seen,) = integrity.check([picture], memory).values()
    (look,) = integrity.check([drawing], memory, maps.measure).values()
    assert [kind for kind, _ in rows_of(tmp_path / "c")] == ["densities", "pictures"]
    known = Sample("a", picture, seen.shape, density_map=drawing, digest=seen.digest)
    known = dataclasses.replace(known, map_digest=look.digest)
    kept = keep(tmp_path / "c", [known], SIZE, BOTH)
    assert made == ([("density", "a")] if map_shape == (24, 31) else [])
    assert same(kept.read(known), make(known, SIZE, BOTH))


def test_pictures_of_points_are_no_densities(tmp_path):
    (tmp_path / "p").mkdir()
    levels = np.zeros((48, 64), np.uint8)
    levels[[5, 20, 40], [8, 30, 50]] = 255
    Image.fromarray(levels).save(tmp_path / "p/map.png")
    memory = Memory(None, Store(tmp_path / "c", SIZE).taker(1))
    integrity.check([tmp_path / "p/map.png"], memory, maps.measure)
    assert rows_of(tmp_path / "c") == []


def test_what_is_not_wanted_is_not_taken(tmp_path):
    """Scanpaths have no densities."""
    picture, drawing = drawn_corpus(tmp_path / "p", (48, 64), (48, 64))
    memory = Memory(None, Store(tmp_path / "c", SIZE, ["image"]).taker(1))
    integrity.check([picture], memory)
    integrity.check([drawing], memory, maps.measure)
    assert [kind for kind, _ in rows_of(tmp_path / "c")] == ["pictures"]


def test_maps_that_look_alike_have_rows_of_their_own(tmp_path):
    """Of 16 bits, too faint to be seen; white ones that are transparent to another degree."""
    random = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    for number in (0, 1):
        faint = np.uint16(random.integers(0, 100, (24, 32)))
        Image.fromarray(faint).save(tmp_path / f"p/faint{number}.png")
        white = np.full((24, 32, 2), 255, np.uint8)
        white[..., 1] = random.integers(0, 256, (24, 32))
        Image.fromarray(white).save(tmp_path / f"p/white{number}.png")
    files = sorted((tmp_path / "p").iterdir())
    seen = integrity.check(files, Memory(None), maps.measure)
    assert len({each.digest for each in seen.values()}) == 4


# room


def test_a_disk_without_room_is_said_with_what_is_needed_and_nothing_is_taken(
    tmp_path, monkeypatch, caplog
):
    samples = several(tmp_path / "p", [SIZE] * 3)
    needed = 3 * 24 * 32 * 4  # of the densities, which are larger
    usage = cache.shutil.disk_usage(tmp_path)._replace(free=int(needed / cache.ROOM) - 1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with caplog.at_level(logging.WARNING):
        assert keep(tmp_path / "c", samples, SIZE, BOTH) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert "0.0 GB are needed, 0.0 GB free" in line and "\n" not in line
    assert line.endswith(": pictures are decoded in every epoch")
    assert Store(tmp_path / "c", SIZE).taker(3) is None
    assert Store(tmp_path / "c", SIZE).taker(2)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage._replace(free=usage.free + 2))
    assert keep(tmp_path / "c", samples, SIZE, BOTH)


def test_a_disk_that_fills_up_meanwhile_is_the_same(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    samples = several(tmp_path / "p", [SIZE] * 3)
    monkeypatch.setattr(cache.Rows, "write", full)
    memory = Memory(None, Store(tmp_path / "c", SIZE).taker(3))
    integrity.check([samples[0].stimulus], memory)
    assert "No space left" not in caplog.text
    assert keep(tmp_path / "c", samples, SIZE, BOTH) is None
    assert "No space left on device: pictures are decoded in every epoch" in caplog.text


def test_a_place_that_cannot_be_written_to_is_the_same(tmp_path, caplog):
    samples = several(tmp_path / "p", [SIZE])
    (tmp_path / "file").touch()
    assert Store(tmp_path / "file", SIZE).taker(1) is None
    assert keep(tmp_path / "file", samples, SIZE, BOTH) is None
    assert "Not a directory" in caplog.text and "decoded in every epoch" in caplog.text


def test_what_a_store_has_no_place_for_needs_none(tmp_path):
    samples = several(tmp_path / "p", [SIZE])
    assert keep(tmp_path / "c", samples, SIZE, {"features", "fixations", "history"}) is None
    assert not (tmp_path / "c").exists()
