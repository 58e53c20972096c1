import h5py
import numpy as np
import pytest
from helpers import refusal

from formats.hdf5 import integers, numbers, opened, texts


@pytest.mark.parametrize("chunks", [None, True])
def test_a_claimed_shape_is_not_allocated(tmp_path, chunks):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", (10**12,), chunks=chunks)
        file.create_dataset("names", (10**12,), h5py.string_dtype(), chunks=chunks)
    with opened(tmp_path / "s.hdf5") as file:
        said = "the dataset x claims 4000000000000 bytes, the file has 0"
        assert refusal(numbers, file, "x") == said
        assert "the file has 0" in refusal(texts, file, "names")


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


def test_texts_of_a_fixed_length(tmp_path):
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


def test_links_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file["x"] = [1.0]
        file["soft"], file["far"] = h5py.SoftLink("/x"), h5py.ExternalLink("other.hdf5", "/x")
    with opened(tmp_path / "s.hdf5") as file:
        for name in ("soft", "far"):
            assert refusal(numbers, file, name) == f"{name} is a link to elsewhere"


@pytest.mark.parametrize(
    "packing",
    [{"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True}, {"scaleoffset": 3}],
    ids=repr,
)
def test_numbers_are_read_however_they_are_packed(tmp_path, packing):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", data=np.arange(70.0) / 8, chunks=(30,), **packing)
    with opened(tmp_path / "s.hdf5") as file:
        assert numbers(file, "x").tolist() == [k / 8 for k in range(70)]
