import os
import re
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from helpers import refusal
from PIL import Image

from formats import hdf5
from formats.hdf5 import Stored, integers, numbers, opened, texts
from formats.pictures.decode import decode, decode_map, shape
from formats.pictures.integrity import Memory, check

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
COLOURS = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        for key, pixels in enumerate((GREY, COLOURS)):
            file.create_dataset(str(key), data=pixels, compression="gzip")
    return tmp_path / "s.hdf5"


# pictures


def test_a_stored_picture_is_decoded_like_any_other(path):
    grey, colours = Stored(path, "0"), Stored(path, "1")
    np.testing.assert_array_equal(decode(grey), np.repeat(GREY[..., None], 3, 2))
    np.testing.assert_array_equal(decode(colours), COLOURS)
    np.testing.assert_array_equal(decode_map(grey), GREY)
    assert (shape(grey), shape(colours)) == ((4, 6), (5, 6))


def test_it_is_checked_and_remembered_like_any_other(path, tmp_path):
    pictures, memory = [Stored(path, "0"), Stored(path, "1")], Memory(tmp_path)
    found = check(pictures, memory)
    assert [seen[:3] for seen in found.values()] == [(4, 6, False), (5, 6, False)]
    assert len({seen.digest for seen in found.values()}) == 2
    assert check(pictures, memory) == found
    with h5py.File(path, "a") as file:
        file["1"][0, 0, 0] = 200
    os.utime(path, ns=(1, 1))
    again = check(pictures, Memory(tmp_path))
    assert [again[p].digest == found[p].digest for p in pictures] == [True, False]


def test_digests_tell_shapes_apart_and_no_kind_of_file(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["0"], file["1"] = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)
    Image.new("RGB", (3, 2)).save(tmp_path / "0.bmp")
    stored = [Stored(tmp_path / "s.hdf5", key) for key in "01"]
    found = check([*stored, tmp_path / "0.bmp"], Memory(tmp_path))
    first, second, file = (seen.digest for seen in found.values())
    assert first == file != second


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((2, 3)), "found type float64 and shape (2, 3); a picture is uint8"),
        (np.zeros((2, 3, 4), np.uint8), "found type uint8 and shape (2, 3, 4)"),
        (np.zeros(3, np.uint8), "found type uint8 and shape (3,)"),
        (np.zeros((0, 3), np.uint8), "a picture of 3x0 pixels"),
    ],
)
def test_what_is_no_picture(tmp_path, pixels, said):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["0"] = pixels
    picture = Stored(tmp_path / "s.hdf5", "0")
    assert refusal(decode, picture).startswith(f"{picture}: {said}")
    told = refusal(check, [picture], Memory(tmp_path))
    assert told.startswith(f"1 pictures cannot be read, first '{picture}': {said}")


def test_more_pixels_may_be_allowed(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["0"] = np.zeros((50, 81), np.uint8)
    picture = Stored(tmp_path / "s.hdf5", "0")
    monkeypatch.setattr("formats.pictures.decode.most", 4000)
    said = refusal(decode, picture)
    assert said.startswith(f"{picture}: 81x50 pixels are") and "allow --max-pixels 4050" in said
    monkeypatch.setattr("formats.pictures.decode.most", 4050)
    assert decode(picture).shape == (50, 81, 3)


def test_threads_read_what_one_reads(path):
    pictures = [Stored(path, str(n % 2)) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for n, pixels in enumerate(pool.map(Stored.pixels, pictures)):
            np.testing.assert_array_equal(pixels, (GREY, COLOURS)[n % 2])


def test_nothing_stays_open(path):
    before = len(os.listdir("/proc/self/fd"))
    Stored(path, "0").pixels()
    refusal(Stored(path, "9").pixels)
    assert len(os.listdir("/proc/self/fd")) == before


# what a file claims


@pytest.mark.parametrize("chunks", [None, True])
def test_a_claimed_shape_is_not_allocated(tmp_path, chunks):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", (10**12,), chunks=chunks)
        file.create_dataset("0", (2**20, 2**20), np.uint8, chunks=chunks)
        file.create_dataset("names", (10**12,), h5py.string_dtype(), chunks=chunks)
    with opened(tmp_path / "s.hdf5") as file:
        said = "the dataset x claims 4000000000000 bytes, the file has 0"
        assert refusal(numbers, file, "x") == said
        assert "the file has 0" in refusal(texts, file, "names")
    assert "the file has 0" in refusal(Stored(tmp_path / "s.hdf5", "0").pixels)


def test_a_giant_picture_is_refused_though_it_is_there(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        whole = (2**14, 2**14)
        file.create_dataset("0", whole, np.uint8, chunks=(2**14, 2**14), compression="gzip")
        file["0"][0, 0] = 1
    assert "16384x16384 pixels are 268 million" in refusal(Stored(tmp_path / "s.hdf5", "0").pixels)


def test_data_in_other_files_are_not_looked_for(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", (3,), external=[(str(tmp_path / "raw"), 0, 24)])
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "x", (3,))
        file.create_virtual_dataset("v", layout)
        file["e"] = h5py.Empty("f8")
    with opened(tmp_path / "s.hdf5") as file:
        for name in "xve":
            assert refusal(numbers, file, name) == f"the dataset {name} has no data in this file"


def test_whole_numbers(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["f"], file["u"] = [0.0, 3.0], np.uint64([2**63, 1])
        file["i"], file["b"] = np.int8([-1, 5]), [True, False]
    with opened(tmp_path / "s.hdf5") as file:
        assert integers(file, "f").tolist() == [0, 3] and integers(file, "i").tolist() == [-1, 5]
        assert integers(file, "i").dtype == np.int64
        assert "has 9223372036854775808, needs whole numbers" in refusal(integers, file, "u")
        assert "the dataset /b has type bool" in refusal(integers, file, "b")


@pytest.mark.parametrize(
    ("find", "change", "said"),
    [
        # The free space behind the texts says that it is of no size: libhdf5 would never end.
        ("free", 0, "a heap with an object of no size"),
        # A text says that it has two thousand million letters.
        ("length", 2**31, "texts longer than the file"),
    ],
)
def test_texts_of_a_damaged_heap(tmp_path, find, change, said):
    path = tmp_path / "s.hdf5"
    with h5py.File(path, "w") as file:
        file["names"] = ["one", "two"]
        start = file["names"].id.get_offset()
    whole = bytearray(path.read_bytes())
    if find == "length":
        whole[start : start + 4] = change.to_bytes(4, "little")
    else:
        heap = int.from_bytes(whole[start + 4 : start + 12], "little")
        assert whole[heap : heap + 4] == b"GCOL"
        free = heap + 16 + 2 * 24  # two objects: a header of 16 bytes, three letters in 8
        assert whole[free : free + 2] == b"\0\0"
        whole[free + 8 : free + 16] = change.to_bytes(8, "little")
    path.write_bytes(whole)
    with opened(path) as file:
        assert re.search(said, refusal(texts, file, "names"))


def test_texts_of_a_fixed_length_need_no_heap(tmp_path):
    """Sixteen bytes, as the places of other texts have."""
    names = ["0123456789abcdef", "b"]
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["names"] = np.array(names, "S16")
    with opened(tmp_path / "s.hdf5") as file:
        assert texts(file, "names") == names


def test_numbers_of_more_bits_than_can_be_kept(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["x"] = np.ones(3, np.longdouble)
    with opened(tmp_path / "s.hdf5") as file:
        assert "has type float128" in refusal(numbers, file, "x")


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "LARGE", 2**16)
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", data=np.zeros(2**16), chunks=(2**16,), compression="gzip")
        file.create_dataset("y", data=np.zeros(2**13), chunks=(2**13,), compression="gzip")
        file["z"] = np.zeros(2**16)
    with opened(tmp_path / "s.hdf5") as file:
        assert len(numbers(file, "y")) == 2**13 and len(numbers(file, "z")) == 2**16
        assert "bytes that become 524288" in refusal(numbers, file, "x")


def test_what_cannot_be_printed_is_not(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.attrs["type"] = np.bytes_("Fix\n\x1b[2J\0s")
    said = refusal(hdf5.read_typed, tmp_path / "s.hdf5", {})
    assert said.startswith(f"{tmp_path / 's.hdf5'}: found type Fix ?[2J?s, version none;")
